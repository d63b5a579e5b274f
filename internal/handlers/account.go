package handlers

import (
	"net/url"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// fewCodes is from how many recovery codes on the page asks for new ones.
const fewCodes = 3

// showAccount is what somebody sees of his own account.
func (s *Server) showAccount(v *visit) (templ.Component, error) {
	a := v.who.Account
	page := templates.AccountPage{Name: a.Name, Role: string(a.Role), Does: roleDoes[a.Role], Created: v.clock(a.CreatedAt, dayAndTime),
		LastLogin: v.optional(a.LastLoginAt), OthersAction: "/account/end-sessions"}
	if a.Issuer != "" {
		page.Issuer = hostOf(a.Issuer)
	} else {
		page.PasswordHref = "/account/password"
	}
	page.Factor = templates.Factor{SetUpHref: "/account/second-factor", CodesAction: "/account/recovery-codes", RemoveAction: "/account/second-factor/remove",
		Required: s.RequireFactor && a.Role == db.RoleSuperuser}
	if a.HasFactor() {
		left, err := s.Store.RecoveryCodes(v.Context(), a.ID)
		if err != nil {
			return nil, err
		}
		page.Factor.Since, page.Factor.Few = v.optional(a.CodeSince), left <= fewCodes
		page.Factor.Left = plural(int64(left), "recovery code") + " left."
		if page.Factor.Few {
			page.Factor.Left += " Make new ones before the last is used."
		}
	}
	sessions, err := s.Store.Sessions(v.Context())
	if err != nil {
		return nil, err
	}
	others := 0
	for _, se := range sessions {
		if se.AccountID != a.ID {
			continue
		}
		m := v.session(se, a.Name)
		if !m.Own {
			m.EndAction = "/account/sessions/" + se.PublicID + "/end"
			others++
		}
		page.Sessions = append(page.Sessions, m)
	}
	if others > 0 {
		page.Others = plural(int64(others), "other session")
	}
	page.Layout = v.layout("Your account")
	return templates.YourAccount(page), nil
}

// endOwnSessions signs the reader out everywhere else.
func (s *Server) endOwnSessions(v *visit) (done, string, error) {
	n, err := s.Store.EndSessions(v.Context(), v.actor(), v.who.Account.ID)
	return done{what: "session-ended", count: n}, "/account", err
}

// endOwnSession signs the reader out of one of his own sessions; one of somebody
// else is none.
func (s *Server) endOwnSession(v *visit) (done, string, error) {
	err := s.Store.EndSession(v.Context(), v.actor(), chi.URLParam(v.Request, "id"), v.who.Account.ID)
	return done{what: "session-ended", count: 1}, "/account", err
}

// hostOf is an issuer in the room of a word.
func hostOf(issuer string) string {
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		return u.Host
	}
	return issuer
}

// resetFactor takes the second factor from somebody else's account: he has lost
// it, and sets up another when he signs in.
func (s *Server) resetFactor(v *visit) (done, string, error) {
	id, err := v.accountID(false)
	if err == nil {
		err = s.Store.RemoveFactor(v.Context(), v.actor(), id)
	}
	return done{what: "factor-reset"}, "/accounts", err
}
