package handlers

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// roleDoes is what each role may do, in the words of the form.
var roleDoes = map[db.Role]string{
	db.RoleViewer:    "reads everything, changes nothing",
	db.RoleResponder: "reads, and resolves system events",
	db.RoleSuperuser: "also deletes and redacts events, places legal holds, and manages accounts and tokens",
}

// scopeDoes is the same for the scopes of tokens.
var scopeDoes = map[string]string{
	authz.ScopeRead:   "reads what a viewer reads, as JSON, CSV and NDJSON",
	authz.ScopeIngest: "stores events, reads nothing",
}

// expiries are how long a token may hold.
var expiries = []struct {
	value, label string
	days         int
}{
	{"30d", "30 days", 30}, {"90d", "90 days", 90}, {"365d", "a year", 365}, {"never", "for ever", 0},
}

// showAccounts is the page of accounts, sessions and tokens.
func (s *Server) showAccounts(v *visit) (templ.Component, error) {
	page, err := s.accountsPage(v)
	if err != nil {
		return nil, err
	}
	return templates.Accounts(page), nil
}

func (s *Server) accountsPage(v *visit) (templates.AccountsPage, error) {
	page := templates.AccountsPage{PasswordRule: passwordRule,
		Create:      templates.CreateAccount{Action: "/accounts", Role: string(db.RoleViewer)},
		CreateToken: templates.CreateToken{Action: "/tokens", Scope: authz.ScopeRead},
	}
	ctx := v.Context()
	accounts, err := s.Store.Accounts(ctx)
	if err != nil {
		return page, err
	}
	sessions, err := s.Store.Sessions(ctx)
	if err != nil {
		return page, err
	}
	tokens, err := s.Store.Tokens(ctx)
	if err != nil {
		return page, err
	}
	for _, role := range db.Roles() {
		page.Roles = append(page.Roles, templates.RoleChoice{Value: string(role), Does: roleDoes[role]})
	}
	for _, scope := range authz.Scopes() {
		page.CreateToken.Scopes = append(page.CreateToken.Scopes, templates.RoleChoice{Value: scope, Does: scopeDoes[scope]})
	}
	for _, e := range expiries {
		page.CreateToken.Expiry = append(page.CreateToken.Expiry, templates.Choice{Value: e.value, Label: e.label, Current: e.value == "90d"})
	}
	names := map[int64]string{}
	open := map[int64]int{}
	for _, se := range sessions {
		open[se.AccountID]++
	}
	for _, a := range accounts {
		names[a.ID] = a.Name
		page.Accounts = append(page.Accounts, v.account(a, open[a.ID]))
	}
	for _, se := range sessions {
		page.Sessions = append(page.Sessions, v.session(se, names[se.AccountID]))
	}
	for _, t := range tokens {
		page.Tokens = append(page.Tokens, v.token(t))
	}
	page.Layout = v.layout("Accounts, sessions, tokens")
	return page, nil
}

func (v *visit) account(a *db.Account, sessions int) templates.Account {
	path := "/accounts/" + strconv.FormatInt(a.ID, 10)
	m := templates.Account{
		Name: a.Name, Href: userPath(v, a.Name), Role: string(a.Role), Disabled: a.Disabled, Own: v.who.Account != nil && v.who.Account.ID == a.ID,
		Created: v.clock(a.CreatedAt, dayAndTime), LastLogin: v.optional(a.LastLoginAt),
		RoleAction: path + "/role", DisableAction: path + "/disable", PasswordAction: path + "/password", Factor: a.HasFactor(),
	}
	if m.Factor {
		m.FactorAction = path + "/reset-totp"
	}
	if a.Issuer != "" {
		m.Issuer, m.RoleAction, m.PasswordAction = hostOf(a.Issuer), "", ""
		m.Why = "Its role and password are kept by " + m.Issuer + "."
	}
	if a.Disabled {
		m.DisableAction = path + "/enable"
	}
	if sessions > 0 {
		m.Sessions, m.SessionsAction = plural(int64(sessions), "session"), path+"/end-sessions"
	}
	if m.Own {
		// Who takes the right from himself by mistake cannot give it back.
		m.RoleAction, m.DisableAction, m.PasswordAction, m.FactorAction = "", "", "", ""
		m.Why = "Your own role and state are for another superuser to change; the rest is on the page of your account, in the menu under your name."
	}
	return m
}

// optional is an instant that may not be there.
func (v *visit) optional(t time.Time) *templates.Time {
	if t.IsZero() {
		return nil
	}
	m := v.clock(t, dayAndTime)
	return &m
}

func (v *visit) session(se *db.Session, name string) templates.Session {
	agent := agentName(se.UserAgent)
	if agent == "" {
		agent = cut(se.UserAgent, nameLimit)
	}
	m := templates.Session{
		Account: name, Created: v.clock(se.CreatedAt, dayAndTime), Seen: v.clock(se.SeenAt, dayAndTime), Expires: v.clock(se.ExpiresAt, dayAndTime),
		Address: se.Address, Agent: agent, Own: v.who.Session != nil && v.who.Session.PublicID == se.PublicID,
	}
	if !m.Own { // that is signing out
		m.EndAction = "/sessions/" + se.PublicID + "/end"
	}
	return m
}

func (v *visit) token(t *db.Token) templates.Token {
	m := templates.Token{Name: t.Name, Scope: t.Scope, Created: v.clock(t.CreatedAt, dayAndTime), CreatedBy: t.CreatedBy,
		Expires: v.optional(t.ExpiresAt), Used: v.optional(t.UsedAt)}
	switch {
	case !t.RevokedAt.IsZero():
		m.State = &templates.Badge{Text: "revoked", Icon: templates.IconBlocked}
	case !t.ExpiresAt.IsZero() && !v.now.Before(t.ExpiresAt):
		m.State = &templates.Badge{Text: "expired", Icon: templates.IconBlocked}
	default:
		m.RevokeAction = "/tokens/" + strconv.FormatInt(t.ID, 10) + "/revoke"
	}
	return m
}

// createAccount makes an account. What is wrong with it stands in the form.
func (s *Server) createAccount(v *visit) (done, string, error) {
	name, role := v.PostFormValue("name"), db.Role(v.PostFormValue("role"))
	name, problem := db.CheckName(name)
	var hash string
	if problem == nil && roleDoes[role] == "" {
		problem = refuse(http.StatusUnprocessableEntity, "choose a role")
	}
	if problem == nil {
		hash, problem = s.gate.Passwords().New(v.Context(), name, v.PostFormValue("password"))
	}
	if problem == nil {
		_, problem = s.Store.CreateAccount(v.Context(), v.actor(), name, role, hash)
	}
	if problem == nil {
		return done{what: "account-created", count: 1}, "/accounts", nil
	}
	if judge(problem).status >= 500 && !errors.Is(problem, authz.ErrPassword) && !isNameProblem(v.PostFormValue("name")) {
		return done{}, "", problem
	}
	page, err := s.accountsPage(v)
	if err != nil {
		return done{}, "", err
	}
	page.Create.Name, page.Create.Role = cut(v.PostFormValue("name"), nameLimit), string(role)
	page.Create.Error = sentenceCase(problem.Error()) + "."
	if errors.Is(problem, db.ErrExists) {
		page.Create.Error = "There is an account of that name already; upper and lower case are the same."
	}
	return done{}, "", &formError{http.StatusUnprocessableEntity, templates.Accounts(page)}
}

// isNameProblem reports whether a name is one that no account may have.
func isNameProblem(name string) bool {
	_, err := db.CheckName(name)
	return err != nil
}

// errOwnAccount is returned where a superuser would change his own account.
var errOwnAccount = errors.New("one's own account")

// accountID is the account that the path names. A superuser does not change his
// own here: who takes the right from himself by mistake cannot give it back.
func (v *visit) accountID(ownToo bool) (int64, error) {
	id, err := strconv.ParseInt(chi.URLParam(v.Request, "id"), 10, 64)
	if err != nil {
		return 0, refuse(http.StatusNotFound, "there is no such account")
	}
	if !ownToo && v.who.Account != nil && v.who.Account.ID == id {
		return 0, errOwnAccount
	}
	return id, nil
}

func (s *Server) setRole(v *visit) (done, string, error) {
	id, err := v.accountID(false)
	role := db.Role(v.PostFormValue("role"))
	if err == nil && roleDoes[role] == "" {
		err = refuse(http.StatusBadRequest, "role=%s is not viewer, responder or superuser", short(string(role)))
	}
	if err == nil {
		err = s.Store.SetRole(v.Context(), v.actor(), id, role)
	}
	return done{what: "role-changed"}, "/accounts", err
}

func (s *Server) setDisabled(disabled bool) func(*visit) (done, string, error) {
	what := "enabled"
	if disabled {
		what = "disabled"
	}
	return func(v *visit) (done, string, error) {
		id, err := v.accountID(false)
		if err == nil {
			err = s.Store.SetDisabled(v.Context(), v.actor(), id, disabled)
		}
		return done{what: what}, "/accounts", err
	}
}

func (s *Server) setPassword(v *visit) (done, string, error) {
	id, err := v.accountID(false)
	if err != nil {
		return done{}, "", err
	}
	account, err := s.Store.AccountByID(v.Context(), id)
	if err != nil {
		return done{}, "", err
	}
	hash, err := s.gate.Passwords().New(v.Context(), account.Name, v.PostFormValue("password"))
	if errors.Is(err, authz.ErrPassword) {
		return done{}, "", refuse(http.StatusUnprocessableEntity, "%s", err)
	}
	if err == nil {
		err = s.Store.SetPassword(v.Context(), v.actor(), id, hash)
	}
	return done{what: "password-set"}, "/accounts", err
}

func (s *Server) endSessions(v *visit) (done, string, error) {
	id, err := v.accountID(true)
	n := 0
	if err == nil {
		n, err = s.Store.EndSessions(v.Context(), v.actor(), id)
	}
	return done{what: "session-ended", count: n}, "/accounts", err
}

func (s *Server) endSession(v *visit) (done, string, error) {
	err := s.Store.EndSession(v.Context(), v.actor(), chi.URLParam(v.Request, "id"), 0)
	return done{what: "session-ended", count: 1}, "/accounts", err
}

// createToken makes a token and shows its secret, this once: the answer is the
// page itself and no redirection, so that the secret is nowhere else.
func (s *Server) createToken(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	name, scope := strings.TrimSpace(v.PostFormValue("name")), v.PostFormValue("scope")
	expires, problem := s.tokenTerms(v.Context(), name, scope, v.PostFormValue("expires"))
	secret := ""
	if problem == "" {
		var hash []byte
		secret, hash = authz.NewToken()
		if _, err := s.Store.CreateToken(v.Context(), v.actor(), name, scope, hash, expires); err != nil {
			return err
		}
	}
	page, err := s.accountsPage(v)
	if err != nil {
		return err
	}
	status := http.StatusOK
	page.CreateToken.Secret = secret
	if problem != "" {
		status = http.StatusUnprocessableEntity
		page.CreateToken.Name, page.CreateToken.Error = cut(name, nameLimit), problem
		if scopeDoes[scope] != "" {
			page.CreateToken.Scope = scope
		}
	}
	return render(w, v, status, templates.Accounts(page))
}

// tokenTerms checks what a token is to be, and returns when it ends, zero for
// never. problem is a sentence, "" if there is none.
func (s *Server) tokenTerms(ctx context.Context, name, scope, expiry string) (expires time.Time, problem string) {
	if _, err := db.CheckName(name); err != nil {
		return expires, sentenceCase(err.Error()) + "."
	}
	if scopeDoes[scope] == "" {
		return expires, "Choose what the token may do."
	}
	for _, e := range expiries {
		if e.value == expiry {
			if e.days > 0 {
				expires = s.Now().AddDate(0, 0, e.days)
			}
			return expires, ""
		}
	}
	return expires, "Choose how long the token holds."
}

func (s *Server) revokeToken(v *visit) (done, string, error) {
	id, err := strconv.ParseInt(chi.URLParam(v.Request, "id"), 10, 64)
	if err != nil {
		return done{}, "", refuse(http.StatusNotFound, "there is no such token")
	}
	return done{what: "token-revoked"}, "/accounts", s.Store.RevokeToken(v.Context(), v.actor(), id)
}
