package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// overtaken is the refusal of a decision about an event that was made before: it
// says by whom, and leads to the event. It wraps db.ErrConflict, or a refusal that has a
// way on too.
type overtaken struct {
	title, say string
	link       templates.Link // to the event
	err        error
}

// asItIs leads to the event that was decided before.
func asItIs(kind audit.Kind, id int64) templates.Link {
	return templates.Link{Text: "The event as it is now", Href: eventPath(kind, id)}
}

func (e *overtaken) Error() string { return e.say }
func (e *overtaken) Unwrap() error { return e.err }

// noteShown is how much of a note stands in the sentence of a refusal.
const noteShown = 200

// before says who decided something before, when and why.
func (v *visit) before(what, by string, at time.Time, note string) string {
	say := "already " + what
	if by != "" {
		say += " by " + by
	}
	if !at.IsZero() {
		say += " on " + v.day(at) + at.In(v.zone).Format(" at 15:04:05")
	}
	say += ", so nothing was done"
	if note != "" {
		say += ": “" + cut(note, noteShown) + "”"
	}
	return say
}

// overtaken explains the conflict of a resolution or a reopening. Any other error
// stays what it is, and so does a conflict of which nothing more is known.
func (v *visit) overtaken(err error, id int64, resolving bool) error {
	if !errors.Is(err, db.ErrConflict) {
		return err
	}
	kind, store := audit.KindSystemEvent, v.server.Store
	st, failed := store.Get(v.Context(), kind, id)
	if failed != nil || (st.Get("resolved") == "true") != resolving {
		return err
	}
	if resolving {
		at, _ := audit.ParseTime(st.Get("resolved_at")) // none in one that came in resolved, and did not say when
		return &overtaken{"It is resolved already", v.before("resolved", st.Get("resolved_by"), at, st.Get("resolution_note")), asItIs(kind, id), err}
	}
	decisions, failed := store.Decisions(v.Context(), kind, id)
	if failed != nil {
		return err
	}
	e := &overtaken{"It is open already", "it was never resolved, so there is nothing to open again", asItIs(kind, id), err}
	for _, d := range decisions {
		if d.Entry == "reopened" { // the last one says how it is now
			e.say = v.before("opened again", d.Actor, d.At, d.Note)
		}
	}
	return e
}

// redactedBefore explains the conflict of a redaction in the same way.
func (v *visit) redactedBefore(err error, st *db.Stored, field string) error {
	if !errors.Is(err, db.ErrConflict) {
		return err
	}
	// As it is now, and not as it was before the other one redacted it.
	now, failed := v.server.Store.Get(v.Context(), st.Kind, st.ID)
	if failed != nil || now.Get(field) != "" {
		return err
	}
	all, failed := v.server.Store.Redactions(v.Context(), st.Kind, st.ID)
	if failed != nil {
		return err
	}
	e := &overtaken{"There is nothing to redact", "the field " + field + " is empty, so nothing was done", asItIs(st.Kind, st.ID), err}
	for _, r := range all {
		if r.Field == field {
			e.title, e.say = "It is redacted already", field+" was "+v.before("redacted", r.By, r.At, r.Reason)
		}
	}
	return e
}

// noneSelected refuses a form for rows of which none is ticked. What was written for
// them is given back, with the way to the rows.
func (v *visit) noneSelected(kind audit.Kind) error {
	const say = "no event was selected, so nothing was done"
	back := templates.Link{Text: "Back to the rows", Href: address("/"+kind.Path(), "select", "rows")}
	if u, err := url.Parse(localPath(v.PostFormValue("next"), back.Href)); err == nil {
		q := u.Query()
		q.Set("select", "rows")
		u.RawQuery = q.Encode()
		back.Href = u.String()
	}
	return &overtaken{"Nothing was selected", say, back, refuse(http.StatusBadRequest, say)}
}

// typed is the reason in the form that was refused.
func (v *visit) typed() string {
	for _, field := range []string{"note", "reason"} {
		if text := strings.TrimSpace(v.PostFormValue(field)); text != "" && len(text) <= noteLimit {
			return text
		}
	}
	return ""
}
