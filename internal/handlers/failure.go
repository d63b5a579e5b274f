package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
)

// refusal is an error that a person or a program caused and can mend: its text
// is shown as it is.
type refusal struct {
	status int
	say    string
}

func (e *refusal) Error() string { return e.say }

// refuse makes a refusal. Its text is a sentence without a period.
func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, say: fmt.Sprintf(format, args...)}
}

// failure is what an error looks like from outside.
type failure struct {
	status int
	title  string
	say    string // what happened and what to do, for people
}

// failures is the one table from error to answer. The first entry that the
// error wraps decides; anything else is our fault, a 500 that says nothing of
// its cause. An empty say means that the error's own text was made to be shown.
var failures = []struct {
	err error
	failure
}{
	{db.ErrDeleted, failure{http.StatusGone, "This event was deleted", ""}},
	{db.ErrNotFound, failure{http.StatusNotFound, "There is nothing here", "Nothing with that address was ever recorded here, or it has moved"}},
	{db.ErrConflict, failure{http.StatusConflict, "Somebody was faster", "What this page showed has changed meanwhile, so nothing was done; look at it again and decide anew"}},
	{db.ErrExists, failure{http.StatusConflict, "That name is taken", "There is an account of that name already; upper and lower case are the same"}},
	{db.ErrLastOne, failure{http.StatusConflict, "The last superuser stays", "This is the last superuser who can sign in; make another one first"}},
	{errOwnAccount, failure{http.StatusConflict, "That is your own account", "Your own account is for another superuser to change"}},
	{db.ErrIssued, failure{http.StatusConflict, "Its sign-in service decides that", "This account's password and role are kept where its owner signs in; change them there"}},
	{authz.ErrSeal, failure{http.StatusServiceUnavailable, "The key file cannot be used", "Second factors are sealed with a key in a file beside the database, and it cannot be read or made; who runs the server has to put that right"}},
	{db.ErrHeld, failure{http.StatusConflict, "A legal hold covers it", ""}},
	{db.ErrProtected, failure{http.StatusForbidden, "This event cannot be deleted", "It is the trace of a deletion, and such a trace stays"}},
	{db.ErrNoKeys, failure{http.StatusServiceUnavailable, "There is no key to sign with", "A proof needs a signed checkpoint, and this server has no key; who runs it finds out more with 'auditadmin key show'"}},
	{db.ErrAltered, failure{http.StatusConflict, "There is nothing to prove", "The event is not what was recorded, so there is no proof of it; who runs the server has to look with 'auditadmin verify'"}},
	{db.ErrBusy, failure{http.StatusServiceUnavailable, "The database is busy", "Another program holds the database; try again in a few seconds"}},
	{db.ErrUnsure, failure{http.StatusServiceUnavailable, "Nobody knows whether this was recorded", "The database's server was lost just then; look before you do it again, and send events again with their event_id, which stores each once"}},
	{db.ErrAway, failure{http.StatusServiceUnavailable, "The database is away", ""}},
	{db.ErrFull, failure{http.StatusServiceUnavailable, "The disk is full", "Nothing can be recorded until there is space on the server's disk; reading, signing in and deleting still work"}},
	{db.ErrDisk, failure{http.StatusServiceUnavailable, "The disk fails", "The system could not read or write the database's file, so nothing of this was recorded; who runs the server has to look at the disk"}},
	{db.ErrMoved, failure{http.StatusServiceUnavailable, "The database is gone", "Its file was deleted or replaced while it was in use, so nothing can be recorded; who runs the server has to put that right and start it again"}},
	{db.ErrReplica, failure{http.StatusServiceUnavailable, "This is a copy for reading", "It follows the database where events are recorded, and nothing can be changed here; who signs in here is signed in here alone"}},
	{db.ErrRights, failure{http.StatusServiceUnavailable, "The server may not do that", "The login it uses has no right to that in the database; who runs the server finds out more with 'auditadmin db roles'"}},
	{db.ErrReadOnly, failure{http.StatusServiceUnavailable, "The database cannot be written", "Nothing is recorded and nothing can be changed here; who runs the server has to give it the right to write"}},
	{context.DeadlineExceeded, failure{http.StatusServiceUnavailable, "This took too long", "The question was stopped before it was answered; narrow it, for example by a date, and ask again"}},
}

// titles are the headings of the refusals that handlers make themselves.
var titles = map[int]string{
	http.StatusBadRequest:            "That cannot be read",
	http.StatusForbidden:             "That is not allowed",
	http.StatusNotFound:              "There is nothing here",
	http.StatusMethodNotAllowed:      "That is not how this works",
	http.StatusRequestEntityTooLarge: "That is too much",
	http.StatusUnprocessableEntity:   "Something is missing",
	http.StatusServiceUnavailable:    "The database is away",
}

// judge says what an error looks like from outside.
func judge(err error) failure {
	var syntax *query.SyntaxError
	if errors.As(err, &syntax) {
		return failure{http.StatusBadRequest, "That query cannot be read", syntax.Error()}
	}
	var own *refusal
	var late *overtaken
	if errors.As(err, &late) {
		status := http.StatusConflict
		if errors.As(late.err, &own) {
			status = own.status
		}
		return failure{status, late.title, late.say}
	}
	if errors.As(err, &own) {
		title := titles[own.status]
		if title == "" { // no page is without a heading
			title = http.StatusText(own.status)
		}
		return failure{own.status, title, own.say}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return failure{http.StatusRequestEntityTooLarge, titles[http.StatusRequestEntityTooLarge],
			"A form may have " + size(large.Limit) + " at most"}
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			if f.say == "" {
				f.say = ownText(err)
			}
			return f.failure
		}
	}
	return failure{http.StatusInternalServerError, "Something broke here",
		"This is a fault of the program, not yours; it was recorded"}
}

// ownText is the text of the error that was made for people, without the
// operations it was wrapped in on its way.
func ownText(err error) string {
	var deleted *db.DeletedError
	if errors.As(err, &deleted) {
		return deleted.Error()
	}
	var held *db.HeldError
	if errors.As(err, &held) {
		return held.Error()
	}
	var away *db.AwayError
	if errors.As(err, &away) {
		return "The database's server cannot be asked: " + away.Why + "; try again in a few seconds"
	}
	return err.Error()
}
