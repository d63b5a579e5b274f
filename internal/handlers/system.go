package handlers

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// noteLimit bounds a note and a reason, in bytes: a field of an event.
const noteLimit = 16 << 10

// note reads the text of a form that asks for one. problem says what is wrong
// with it, and is "" where nothing is.
func (v *visit) note(field string) (text, problem string) {
	text = strings.TrimSpace(v.PostFormValue(field))
	switch {
	case text == "":
		return text, "Nothing was done: write down why, so that the next reader knows."
	case len(text) > noteLimit:
		return text, "Nothing was done: the text is longer than " + size(noteLimit) + "."
	}
	return text, ""
}

// resolution is the history of a system event's decisions, and the forms for
// the next one, if the reader may. problem says why the last form was refused.
func (v *visit) resolution(st *db.Stored, text, problem string) (*templates.Resolution, error) {
	decisions, err := v.server.Store.Decisions(v.Context(), st.Kind, st.ID)
	if err != nil {
		return nil, err
	}
	decisions = slices.DeleteFunc(decisions, func(d db.Decision) bool { return d.Entry != "resolved" && d.Entry != "reopened" })
	m := &templates.Resolution{}
	before := st.Time()
	for _, d := range decisions {
		step := templates.Step{Time: v.clock(d.At, dayAndTime), Note: d.Note, Icon: templates.IconTick, Tone: templates.Sure}
		word := "Resolved by "
		if d.Entry == "reopened" {
			word, step.Icon, step.Tone = "Opened again by ", templates.IconAgain, templates.Neutral
		}
		step.Text = []templates.Span{plain(word), {Text: d.Actor, Class: templates.Strong, Href: userPath(v, d.Actor)}}
		if gap := d.At.Sub(before); gap > 0 {
			step.Gap = "after " + span(gap)
		}
		before = d.At
		m.Steps = append(m.Steps, step)
	}
	resolved := st.Get("resolved") == "true"
	if resolved && len(decisions) == 0 {
		// It came in resolved: the event says so itself, and the ledger nothing.
		step := templates.Step{Icon: templates.IconTick, Tone: templates.Sure, Note: st.Get("resolution_note"),
			Text: []templates.Span{plain("Resolved by "), strong(joined("", st.Get("resolved_by")))}}
		if at, err := audit.ParseTime(st.Get("resolved_at")); err == nil {
			step.Time = v.clock(at, dayAndTime)
		}
		if st.Get("resolved_by") == "" {
			step.Text = []templates.Span{plain("Recorded as resolved")}
		}
		m.Steps = append(m.Steps, step)
	}
	at := eventPath(st.Kind, st.ID)
	rule, _ := v.server.policy.Rule(http.MethodPost, "/system-events/{id}/resolve")
	switch {
	case !v.who.May(rule):
		m.Refusal = rule.Sentence() + "."
	case resolved:
		m.Reopen = &templates.NoteForm{Action: at + "/reopen", Field: "note", Title: "Open it again…", Lead: "It will stand among the unresolved ones again; what was decided stays in its history.",
			Label: "Why is it not resolved?", Hint: "Everybody who reads this event sees it.", Text: text, Error: problem, Button: "Open again", Icon: templates.IconAgain}
	default:
		m.Resolve = &templates.NoteForm{Action: at + "/resolve", Field: "note", Label: "What was the cause, and what was done?",
			Hint: "Everybody who reads this event sees it.", Text: text, Error: problem, Button: "Resolve", Icon: templates.IconTick}
		m.Alike = v.openAlike(st)
	}
	return m, nil
}

// nextOpen leads from the page of a system event to the next older one that is not
// resolved, or to the newest, so that who works through them need not go back to
// the list. A page of many events is that list itself.
func (v *visit) nextOpen() *templates.Link {
	id, ok := eventID(path.Base(v.URL.Path))
	if !ok || path.Dir(v.URL.Path) != "/"+audit.KindSystemEvent.Path() {
		return nil
	}
	f, err := v.parse(audit.KindSystemEvent, "is:unresolved")
	if err != nil {
		return nil
	}
	sel, err := v.server.Store.Select(v.Context(), f)
	if err != nil {
		return nil
	}
	for _, from := range []db.Page{{After: id, Limit: 1}, {Limit: 1}} {
		// What was resolved is resolved, whether this can be looked up or not.
		if rows, err := sel.List(v.Context(), from); err == nil && len(rows.Items) > 0 {
			st := rows.Items[0]
			return &templates.Link{Text: "The next open one", Href: eventPath(st.Kind, st.ID), Hint: cut(st.Get("title"), quoteLimit)}
		}
	}
	return nil
}

// alikeLimit is how long a title is that others are looked up by, in bytes.
const alikeLimit = 200

// openAlike lists what is not resolved and has the title of an event, to be
// resolved together.
func (v *visit) openAlike(st *db.Stored) *templates.Link {
	title := st.Get("title")
	if title == "" || len(title) > alikeLimit {
		return nil
	}
	q := "event:" + query.Quote(st.Get("event_type")) + " is:unresolved title:" + query.Quote(title)
	return &templates.Link{Text: "Resolve it with others of this title", Href: v.listQuery(st.Kind, q, "select", "rows")}
}

// resolve marks one system event resolved.
func (s *Server) resolve(v *visit) (done, string, error) {
	return s.decide(v, func(id int64, note string) (done, error) {
		n, err := s.Store.Resolve(v.Context(), v.actor(), []int64{id}, note)
		return done{what: "resolved", count: n}, v.overtaken(err, id, true)
	})
}

// reopen marks one system event open again.
func (s *Server) reopen(v *visit) (done, string, error) {
	return s.decide(v, func(id int64, note string) (done, error) {
		return done{what: "reopened", count: 1}, v.overtaken(s.Store.Reopen(v.Context(), v.actor(), id, note), id, false)
	})
}

func (s *Server) decide(v *visit, do func(id int64, note string) (done, error)) (done, string, error) {
	id, err := v.pathID()
	if err != nil {
		return done{}, "", err
	}
	note, problem := v.note("note")
	if problem != "" {
		return done{}, "", s.eventAgain(v, audit.KindSystemEvent, id, func(page *templates.EventPage, st *db.Stored) (err error) {
			page.Resolution, err = v.resolution(st, note, problem)
			return err
		})
	}
	did, err := do(id, note)
	return did, eventPath(audit.KindSystemEvent, id), err
}

// eventAgain is the page of an event with a form that was refused.
func (s *Server) eventAgain(v *visit, kind audit.Kind, id int64, change func(*templates.EventPage, *db.Stored) error) error {
	st, err := s.Store.Get(v.Context(), kind, id)
	if err != nil {
		return err
	}
	page, err := s.eventPage(v, st)
	if err != nil {
		return err
	}
	if err := change(&page, st); err != nil {
		return err
	}
	return &formError{http.StatusUnprocessableEntity, templates.Event(page)}
}

// bulkLimit is how many events are resolved at once by what they match: more is
// a mistake more often than not.
const bulkLimit = 10_000

// resolveMany marks system events resolved: the ones ticked, or everything that
// matched a query when the reader saw its count.
func (s *Server) resolveMany(v *visit) (done, string, error) {
	var did done
	next := localPath(v.PostFormValue("next"), "/system-events")
	note, problem := v.note("note")
	if _, byQuery := v.PostForm["q"]; byQuery {
		did, err := s.resolveQuery(v, note, problem)
		return did, next, err
	}
	ids, err := eventIDs(v.PostForm["id"])
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	switch {
	case err != nil:
		return did, "", err
	case len(ids) == 0:
		return did, "", v.noneSelected(audit.KindSystemEvent)
	case problem != "":
		return did, "", s.selectionAgain(v, audit.KindSystemEvent, resolveAction(), ids, note, problem)
	}
	n, left, err := s.Store.ResolveMany(v.Context(), v.actor(), ids, note)
	if errors.Is(err, db.ErrConflict) {
		err = v.allResolved(err, ids)
	}
	return done{what: "resolved", count: n, left: left}, next, err
}

// resolveQuery resolves what matched a query up to an entry of the ledger, if
// that is still as many as the reader was told.
func (s *Server) resolveQuery(v *visit, note, problem string) (done, error) {
	upTo, errUpTo := strconv.ParseInt(v.PostFormValue("upto"), 10, 64)
	confirm, errConfirm := strconv.ParseInt(v.PostFormValue("confirm"), 10, 64)
	if errUpTo != nil || errConfirm != nil {
		return done{}, refuse(http.StatusBadRequest, "a query is resolved only with upto and confirm, the numbers that its page shows")
	}
	f, err := v.parse(audit.KindSystemEvent, v.PostFormValue("q"))
	if err != nil {
		return done{}, err
	}
	if problem != "" {
		sel, err := s.Store.Select(v.Context(), f)
		if err != nil {
			return done{}, err
		}
		page, err := s.confirmPage(v, sel, f, note, problem)
		if err != nil {
			return done{}, err
		}
		return done{}, &formError{http.StatusUnprocessableEntity, templates.Confirm(page)}
	}
	if confirm > bulkLimit {
		return done{}, refuse(http.StatusBadRequest, "%s are too many to resolve at once; narrow the query to at most %s", number(confirm), number(bulkLimit))
	}
	n, err := s.Store.ResolveSelection(v.Context(), v.actor(), f, upTo, confirm, note)
	return done{what: "resolved", count: n}, s.countChanged(v, err, f, upTo, confirm, note)
}

// resolveAction is what can be done with selected system events.
func resolveAction() templates.SelectAction {
	return templates.SelectAction{Action: "/system-events/resolve", Field: "note", Label: "What was the cause, and what was done?",
		Hint: "It is written to each of them.", Button: "Resolve the selected"}
}

// selectMode offers to select rows, and in that mode what to do with them.
func (s *Server) selectMode(v *visit, f *query.Filter, page *templates.ListPage, t *table, count db.Count) {
	var actions []templates.SelectAction
	path := "/" + f.Kind.Path()
	canResolve := f.Kind == audit.KindSystemEvent && v.may(http.MethodPost, path+"/resolve")
	if canResolve {
		actions = append(actions, resolveAction())
	}
	if v.may(http.MethodPost, path+"/delete") {
		actions = append(actions, deleteAction(f.Kind))
	}
	if len(actions) == 0 {
		return
	}
	if v.params.Get("select") == "" {
		page.SelectHref = v.same("select", "rows")
		return
	}
	page.Select = &templates.Select{Actions: actions, CancelHref: v.same("select", ""), Back: v.same("select", "")}
	t.selects = canResolve && len(actions) == 1
	if open, _ := v.parse(f.Kind, joined(" ", f.String(), "is:unresolved")); canResolve && open != nil && count.Exact && count.Value > 0 && count.Value <= bulkLimit {
		page.Select.All = &templates.Link{Text: "Resolve everything that matches…", Href: v.listQuery(f.Kind, f.String(), "select", "all"),
			Hint: plural(count.Value, "event") + ", the resolved ones stay as they are"}
	}
}

// confirmSelection asks once more before everything that matches is resolved.
func (s *Server) confirmSelection(v *visit, kind audit.Kind) (templ.Component, error) {
	rule, known := s.policy.Rule(http.MethodPost, "/"+kind.Path()+"/resolve")
	if !known {
		return nil, refuse(http.StatusNotFound, "%s are not resolved", kind.Plural())
	}
	if !v.who.May(rule) {
		return nil, refuse(http.StatusForbidden, "%s", rule.Sentence())
	}
	f, sel, err := v.selection(kind)
	if err != nil {
		return nil, err
	}
	page, err := s.confirmPage(v, sel, f, "", "")
	if err != nil {
		return nil, err
	}
	return templates.Confirm(page), nil
}

// sampleRows is how many of many events a page shows before it asks.
const sampleRows = 10

func (s *Server) confirmPage(v *visit, sel *db.Selection, f *query.Filter, text, problem string) (templates.ConfirmPage, error) {
	var page templates.ConfirmPage
	count, err := sel.Count(v.Context())
	if err != nil {
		return page, err
	}
	if !count.Exact || count.Value > bulkLimit {
		return page, refuse(http.StatusBadRequest, "%s events are too many to resolve at once, or cannot be counted exactly; narrow the query to at most %s", countText(count), number(bulkLimit))
	}
	if count.Value == 0 {
		return page, refuse(http.StatusBadRequest, "nothing matches that query, so there is nothing to resolve")
	}
	rows, err := sel.List(v.Context(), db.Page{Limit: sampleRows})
	if err != nil {
		return page, err
	}
	back := v.listQuery(f.Kind, f.String(), "select", "")
	t := v.table(f)
	days, err := t.days(rows.Items, nil)
	if err != nil {
		return page, err
	}
	sample := t.model("The newest of them", days)
	page = templates.ConfirmPage{
		Crumbs:   []templates.Link{{Text: viewOf(f.Kind).title(), Href: "/" + f.Kind.Path()}, {Text: "Resolve", Current: true}},
		Headline: "Resolve " + plural(count.Value, "system event") + "?",
		Lead:     []templates.Span{strong(f.Sentence()), plain(", as they were recorded up to entry #" + number(sel.UpTo()) + ". What comes in later is not touched, and what is resolved already stays as it is.")},
		Query:    f.String(),
		Form: templates.NoteForm{Action: "/" + f.Kind.Path() + "/resolve", Field: "note", Label: "What was the cause, and what was done?", Hint: "It is written to each of them.",
			Text: text, Error: problem, Button: "Resolve " + number(count.Value), Icon: templates.IconTick,
			Hidden: []templates.Hidden{{Name: "q", Value: f.String()}, {Name: "upto", Value: strconv.FormatInt(sel.UpTo(), 10)},
				{Name: "confirm", Value: strconv.FormatInt(count.Value, 10)}, {Name: "next", Value: back}}},
		Cancel: templates.Link{Text: "Cancel", Href: back},
		Sample: &sample,
	}
	if more := count.Value - int64(len(rows.Items)); more > 0 {
		page.More = "and " + number(more) + " more"
	}
	page.Layout = v.layout(page.Headline)
	return page, nil
}

// selectionAgain is the page that asks again for the text that was missing, with
// the same events selected.
func (s *Server) selectionAgain(v *visit, kind audit.Kind, action templates.SelectAction, ids []int64, text, problem string) error {
	page := templates.ConfirmPage{
		Crumbs:   []templates.Link{{Text: viewOf(kind).title(), Href: "/" + kind.Path()}},
		Headline: action.Button + ": " + plural(int64(len(ids)), kind.Singular()),
		Form: templates.NoteForm{Action: action.Action, Field: action.Field, Label: action.Label, Hint: action.Hint, Text: text, Error: problem,
			Button: action.Button, Destroy: action.Destroy, Hidden: []templates.Hidden{{Name: "next", Value: localPath(v.PostFormValue("next"), "/"+kind.Path())}}},
		Cancel: templates.Link{Text: "Cancel", Href: localPath(v.PostFormValue("next"), "/"+kind.Path())},
	}
	for _, id := range ids {
		page.Form.Hidden = append(page.Form.Hidden, templates.Hidden{Name: "id", Value: strconv.FormatInt(id, 10)})
	}
	page.Layout = v.layout(page.Headline)
	return &formError{http.StatusUnprocessableEntity, templates.Confirm(page)}
}
