package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/web/templates"
)

// secretFields are the fields of forms that no page sends back, and what they are
// called where they are asked for once more.
var secretFields = map[string]string{"password": "The new password, once more"}

// addressed turns the words of a rule to the person it is about.
var addressed = strings.NewReplacer("their ", "your ", " theirs", " yours")

// ask is the page that asks again who sends a form. It holds all of the form, and
// sends it to the same address once more with the answer.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, q authz.Question) {
	v, err := s.visit(w, r)
	if err == nil {
		err = render(w, v, http.StatusForbidden, templates.Ask(s.askPage(v, q)))
	}
	if err != nil {
		s.fail(w, v, err)
	}
}

func (s *Server) askPage(v *visit, q authz.Question) templates.AskPage {
	page := templates.AskPage{Action: v.URL.RequestURI(), Does: addressed.Replace(q.Rule.Does), Name: v.who.Name(), Field: authz.ConfirmField,
		Cancel: templates.Link{Text: "Leave it", Href: v.backFrom()}}
	switch {
	case q.Password && q.Code:
		page.Label, page.Hint = "Your password, or a code", "The password of "+v.who.Name()+", or the six digits that your app shows now."
	case q.Password:
		page.Label = "Your password"
	case q.Code:
		page.Label, page.Hint = "A code", "The six digits that your app shows now."
	}
	if q.Issuer {
		page.IssuerHref, page.IssuerName = "/login/issuer?again=1", s.gate.IssuerName()
	}
	var names []string
	for name := range v.PostForm {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if label, secret := secretFields[name]; secret {
			page.Again = append(page.Again, templates.AskAgain{Name: name, Label: label})
			continue
		}
		for _, value := range v.PostForm[name] {
			page.Hidden = append(page.Hidden, templates.Hidden{Name: name, Value: value})
		}
	}
	var many *authz.TooManyError
	switch {
	case errors.As(q.Problem, &many):
		page.Error, page.Wait = "Too many attempts.", "Try again in "+plural(int64(many.Seconds()), "second")+"."
	case errors.Is(q.Problem, authz.ErrSeal):
		page.Error = "Codes cannot be checked just now: who runs the server has to look at the key file. Your password works."
	case q.Problem != nil && q.Password && q.Code:
		page.Error = sentenceCase(authz.ErrConfirm.Error()) + "."
	case q.Problem != nil && q.Code:
		page.Error = sentenceCase(authz.ErrCode.Error()) + "."
	case q.Problem != nil:
		page.Error = "That is not your password."
	}
	page.Layout = v.layout("Is it still you?")
	return page
}

// backFrom is the page that a form stood on, where what it asks for is left: the
// event that it is about, or else the page that the browser names. After a wrong
// answer that is the form's own address, which is no page.
func (v *visit) backFrom() string {
	if kind, inKind := kindOf(v.URL.Path); inKind {
		// The route has not been chosen yet, and names no id.
		rest := strings.TrimPrefix(v.URL.Path, "/"+kind.Path()+"/")
		if first, _, deeper := strings.Cut(rest, "/"); deeper {
			if id, ok := eventID(first); ok {
				return eventPath(kind, id)
			}
		}
		return localPath(v.PostForm.Get("next"), "/"+kind.Path())
	}
	if back := authz.BackTo(v.Request); back != "/" && back != v.URL.RequestURI() {
		return back
	}
	section, _, _ := strings.Cut(strings.TrimPrefix(v.URL.Path, "/"), "/")
	switch section {
	case "accounts", "sessions", "tokens":
		return "/accounts"
	case "holds", "retention":
		return "/holds"
	case "account":
		return "/account"
	}
	return "/"
}
