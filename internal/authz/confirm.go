package authz

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

// freshFor is how long somebody who showed who he is may do what asks for that.
const freshFor = 5 * time.Minute

// FormLimit bounds the body of a form, in bytes: a note, or the ids of a page of
// rows.
const FormLimit = 64 << 10

// ConfirmField is the field of a form that shows again who sends it: with the
// account's password, or a code of its second factor.
const ConfirmField = "auditadmin-confirm"

// ErrConfirm is returned for a password or a code that does not show who sends a
// form.
var ErrConfirm = errors.New("neither your password nor the present code of your second factor")

// Question is what somebody is asked before what he sent is done: who he is. The
// page that asks is a form to the very address the request was sent to, with all
// of its fields and ConfirmField.
type Question struct {
	Rule     Rule
	Password bool // a password answers it
	Code     bool // a code of the second factor answers it
	Issuer   bool // signing in at the issuer again answers it
	// Problem is why the last answer was none: ErrConfirm, a *TooManyError, or
	// nil; with ErrSeal only the password answers.
	Problem error
}

// fresh reports whether a session's owner showed who he is a short time ago. A
// clock that was set back does not make that longer.
func fresh(se *db.Session, now time.Time) bool {
	age := now.Sub(se.ConfirmedAt)
	return age < freshFor && age > -clockSlack
}

// confirm lets a form through whose sender showed who he is a short time ago, or
// shows it with the form, and one that lacks its reason, which the route refuses;
// otherwise it asks, and returns false. The session of
// who answered goes on under a new id.
func (g *Gate) confirm(w http.ResponseWriter, r *http.Request, rule Rule, who Identity) bool {
	if fresh(who.Session, g.store.Now()) {
		return true
	}
	r.Body = http.MaxBytesReader(w, r.Body, FormLimit+2*maxPasswordBytes)
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			g.refuse(w, r, http.StatusRequestEntityTooLarge, "A form may have 64 KiB at most")
		} else {
			g.refuse(w, r, http.StatusBadRequest, "The form cannot be read")
		}
		return false
	}
	a := who.Account
	q := Question{Rule: rule, Password: a.PasswordHash != "" && a.Issuer == "", Code: a.HasFactor(), Issuer: a.Issuer != "" && g.issuer != nil}
	answer, given := r.PostForm.Get(ConfirmField), r.PostForm.Has(ConfirmField)
	r.PostForm.Del(ConfirmField)
	r.Form.Del(ConfirmField)
	if rule.Reason != "" && strings.TrimSpace(r.PostForm.Get(rule.Reason)) == "" {
		return true // to be told that it is missing; nothing is done
	}
	if given && answer != "" {
		var err error
		if q.Problem, err = g.answer(r, who, answer); err == nil && q.Problem == nil {
			err = g.confirmed(w, r)
		}
		if err != nil {
			g.unavailable(w, r, "find out who is asking", err)
			return false
		}
		if q.Problem == nil {
			return true
		}
	}
	g.ask(w, r, q)
	return false
}

// answer checks what somebody shows to say who he is: a code where his account
// has a second factor and it looks like one, his password otherwise. problem is
// for him, err is not. What is wrong is recorded as a failed login attempt.
func (g *Gate) answer(r *http.Request, who Identity, text string) (problem, err error) {
	attempt := g.attempt(r, who.Account.Name)
	attempt.actor = ActorOf(r)
	reason := "wrong password, asked again"
	if digits, recovery := typed(text); who.Account.HasFactor() && (digits != "" || recovery != "") {
		var how string
		how, reason, err = g.checkCode(r.Context(), who.Account, text)
		if err == nil && how != "" {
			// Unlike at a sign-in, nobody else forgets the wrong ones before it.
			return nil, g.store.ClearThrottle(r.Context(), db.CodeKey(who.Account.ID))
		}
		reason += ", asked again"
	} else if err = g.checkPassword(r.Context(), who.Account, text); err == nil {
		return nil, nil
	}
	var many *TooManyError
	switch {
	case errors.As(err, &many):
		return attempt.blocked("again "+attempt.actor.Name, "too many attempts, asked again", many.Wait), nil
	case errors.Is(err, ErrSeal):
		g.log.ErrorContext(r.Context(), "check a code", "error", err)
		return ErrSeal, nil
	case err != nil && !errors.Is(err, ErrCurrentPassword):
		return nil, err
	}
	attempt.failed(reason)
	return ErrConfirm, nil
}

// confirmed notes that the owner of the request's session showed who he is.
func (g *Gate) confirmed(w http.ResponseWriter, r *http.Request) error {
	se, err := g.sessions.Get(r, g.sessions.cookieName(r))
	if err != nil || se.IsNew {
		return err
	}
	now := g.store.Now()
	se.Values[valueConfirmed] = now
	if stored, ok := se.Values[valueSession].(*db.Session); ok {
		stored.ConfirmedAt = now
	}
	return se.Save(r, w)
}

// ask answers a request with the question who sends it.
func (g *Gate) ask(w http.ResponseWriter, r *http.Request, q Question) {
	var many *TooManyError
	if errors.As(q.Problem, &many) {
		w.Header().Set("Retry-After", many.retryAfter())
	}
	if g.onQuestion != nil && !WantsData(r) {
		g.onQuestion(w, r, q)
		return
	}
	g.refuse(w, r, http.StatusForbidden, "This asks again who you are: send your password, or a code of your second factor, in the field "+ConfirmField)
}
