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
		Cancel: templates.Link{Text: "Leave it", Href: authz.BackTo(v.Request)}}
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
