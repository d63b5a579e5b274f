package handlers

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/web/templates"
)

// showLogin is the way in. Who is signed in already goes on.
func (s *Server) showLogin(w http.ResponseWriter, v *visit) error {
	next := authz.SafeNext(v.params.Get("next"))
	if who, err := s.gate.Identify(v.Request); err == nil && who.SignedIn() {
		http.Redirect(w, v.Request, next, http.StatusSeeOther)
		return nil
	}
	page := s.loginPage(v, next)
	if v.flash != nil {
		page.Notice = v.flash.Text
	}
	return render(w, v, http.StatusOK, templates.Login(page))
}

func (s *Server) loginPage(v *visit, next string) templates.LoginPage {
	page := templates.LoginPage{Layout: v.layout("Sign in"), Action: "/login", Next: next, Insecure: s.Insecure && !authz.ClientFrom(v.Context()).HTTPS}
	if page.IssuerName = s.gate.IssuerName(); page.IssuerName != "" {
		page.IssuerHref = address("/login/issuer", "next", next)
	}
	if kind, ok := kindOf(next); ok {
		page.Then = kind.Plural()
	}
	return page
}

// login signs somebody in. An unknown name and a wrong password get the same
// answer.
func (s *Server) login(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	name, next := v.PostFormValue("username"), authz.SafeNext(v.PostFormValue("next"))
	_, err := s.gate.SignIn(w, v.Request, name, v.PostFormValue("password"))
	if err == nil {
		http.Redirect(w, v.Request, next, http.StatusSeeOther)
		return nil
	}
	return s.loginAgain(w, v, next, err)
}

// logout ends the session.
func (s *Server) logout(w http.ResponseWriter, v *visit) error {
	if err := s.gate.SignOut(w, v.Request); err != nil {
		return err
	}
	s.leaveFlash(w, v.Request, done{what: "signed-out"})
	// What was shown is taken from the browser, also where it kept a page against
	// our word. Not cookies: who signed out is told so by one.
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	http.Redirect(w, v.Request, "/login", http.StatusSeeOther)
	return nil
}

// readForm reads the form of a request, within its limit.
func readForm(w http.ResponseWriter, v *visit) error {
	v.Body = http.MaxBytesReader(w, v.Body, formLimit)
	err := v.ParseForm()
	var large *http.MaxBytesError
	if err == nil || errors.As(err, &large) {
		return err
	}
	return refuse(http.StatusBadRequest, "the form cannot be read")
}

// passwordRule is what a new password has to be, in a sentence.
const passwordRule = "At least 15 characters; a sentence of a few words is easy to remember. No other rules."

func (s *Server) passwordPage(v *visit) templates.PasswordPage {
	return templates.PasswordPage{Layout: v.layout("Change my password"), Action: "/account/password", Rule: passwordRule}
}

func (s *Server) showPassword(v *visit) (templ.Component, error) {
	return templates.Password(s.passwordPage(v)), nil
}

// changePassword gives the reader's own account another password.
func (s *Server) changePassword(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	page := s.passwordPage(v)
	status := http.StatusUnprocessableEntity
	if v.PostFormValue("password") != v.PostFormValue("again") {
		page.Error, page.Wrong = "The two new passwords differ.", "again"
		return render(w, v, status, templates.Password(page))
	}
	err := s.gate.ChangePassword(w, v.Request, v.PostFormValue("current"), v.PostFormValue("password"))
	var many *authz.TooManyError
	switch {
	case err == nil:
		s.leaveFlash(w, v.Request, done{what: "password-changed"})
		http.Redirect(w, v.Request, "/", http.StatusSeeOther)
		return nil
	case errors.As(err, &many):
		w.Header().Set("Retry-After", strconv.Itoa(many.Seconds()))
		page.Error, status = sentenceCase(many.Error())+".", http.StatusTooManyRequests
	case errors.Is(err, authz.ErrCurrentPassword):
		page.Error, page.Wrong = sentenceCase(authz.ErrCurrentPassword.Error())+".", "current"
	case errors.Is(err, authz.ErrPassword):
		page.Error, page.Wrong = sentenceCase(err.Error())+".", "password"
	default:
		return err
	}
	return render(w, v, status, templates.Password(page))
}
