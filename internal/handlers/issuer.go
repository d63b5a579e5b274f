package handlers

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/web/templates"
)

// leaveForIssuer sends a browser to the sign-in service.
func (s *Server) leaveForIssuer(w http.ResponseWriter, v *visit) error {
	again := v.params.Get("again") == "1"
	next := authz.SafeNext(v.params.Get("next"))
	if again {
		next = "/account"
	}
	to, err := s.gate.LeaveForIssuer(w, v.Request, next, again)
	if err != nil {
		return s.loginAgain(w, v, next, err)
	}
	http.Redirect(w, v.Request, to, http.StatusSeeOther)
	return nil
}

// returnFromIssuer signs in who comes back from there.
func (s *Server) returnFromIssuer(w http.ResponseWriter, v *visit) error {
	next, err := s.gate.ReturnFromIssuer(w, v.Request)
	if err != nil {
		return s.loginAgain(w, v, next, err)
	}
	if v.who.SignedIn() || next == "/account" {
		s.leaveFlash(w, v.Request, done{what: "confirmed"})
	}
	http.Redirect(w, v.Request, next, http.StatusSeeOther)
	return nil
}

// loginAgain answers a sign-in that did not come about: with the page for the code
// where that is what is missing, and with the sign-in page and the reason for
// anything that a person can do something about.
func (s *Server) loginAgain(w http.ResponseWriter, v *visit, next string, err error) error {
	page := s.loginPage(v, authz.SafeNext(next))
	page.Username = cut(v.PostFormValue("username"), nameLimit)
	status := http.StatusUnauthorized
	var many *authz.TooManyError
	switch {
	case errors.Is(err, authz.ErrCodeNeeded):
		http.Redirect(w, v.Request, address("/login/code", "next", page.Next), http.StatusSeeOther)
		return nil
	case errors.As(err, &many):
		w.Header().Set("Retry-After", strconv.Itoa(many.Seconds()))
		page.Error, page.Hint = "Too many attempts.", "Try again in "+plural(int64(many.Seconds()), "second")+"."
		status = http.StatusTooManyRequests
	case errors.Is(err, authz.ErrSignIn):
		page.Error = sentenceCase(authz.ErrSignIn.Error()) + "."
	case errors.Is(err, authz.ErrChallenge):
		page.Error = sentenceCase(authz.ErrChallenge.Error()) + "."
	case errors.Is(err, authz.ErrIssued):
		page.Error, status = sentenceCase(err.Error())+".", http.StatusForbidden
	case errors.Is(err, authz.ErrIssuer):
		s.Log.ErrorContext(v.Context(), "sign in at the issuer", "error", err)
		page.Error, page.Hint, status = "The sign-in service does not answer as it should.", "Try again; if it stays so, tell who runs the server.", http.StatusBadGateway
	default:
		return err
	}
	return render(w, v, status, templates.Login(page))
}

// showCode asks for the code of the second factor.
func (s *Server) showCode(w http.ResponseWriter, v *visit) error {
	next := authz.SafeNext(v.params.Get("next"))
	name, err := s.gate.Challenged(v.Request)
	if err != nil {
		return err
	}
	if name == "" {
		http.Redirect(w, v.Request, address("/login", "next", next), http.StatusSeeOther)
		return nil
	}
	return render(w, v, http.StatusOK, templates.EnterCode(s.codePage(v, name, next)))
}

func (s *Server) codePage(v *visit, name, next string) templates.CodePage {
	return templates.CodePage{Layout: v.layout("Your code"), Action: "/login/code", Name: name, Next: next, Back: address("/login", "next", next)}
}

// enterCode completes a sign-in with a code.
func (s *Server) enterCode(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	next := authz.SafeNext(v.PostFormValue("next"))
	name, err := s.gate.Challenged(v.Request)
	if err != nil {
		return err
	}
	account, err := s.gate.SignInCode(w, v.Request, v.PostFormValue("code"))
	if err == nil {
		if left, err := s.Store.RecoveryCodes(v.Context(), account.ID); err == nil && left <= fewCodes {
			s.leaveFlash(w, v.Request, done{what: "few-codes", count: left})
		}
		http.Redirect(w, v.Request, next, http.StatusSeeOther)
		return nil
	}
	page, status := s.codePage(v, name, next), http.StatusUnauthorized
	var many *authz.TooManyError
	switch {
	case errors.Is(err, authz.ErrCode):
		page.Error = sentenceCase(authz.ErrCode.Error()) + "."
	case errors.As(err, &many):
		w.Header().Set("Retry-After", strconv.Itoa(many.Seconds()))
		page.Error, page.Hint, status = "Too many attempts.", "Try again in "+plural(int64(many.Seconds()), "second")+".", http.StatusTooManyRequests
	case errors.Is(err, authz.ErrSeal):
		s.Log.ErrorContext(v.Context(), "check a code", "error", err)
		page.Error, page.Hint, status = "Codes cannot be checked just now.", "Who runs the server has to look at the key file; a recovery code works.", http.StatusServiceUnavailable
	default:
		return s.loginAgain(w, v, next, err)
	}
	return render(w, v, status, templates.EnterCode(page))
}
