package handlers

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/diff"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/web/templates"
)

// rawLimit bounds the raw JSON on a page; all of it is in the event's twin.
const rawLimit = 256 << 10

// pathID is the id in the path of a request.
func (v *visit) pathID() (int64, error) {
	s := chi.URLParam(v.Request, "id")
	id, ok := eventID(s)
	if !ok {
		return 0, refuse(http.StatusNotFound, "%s is not the id of an event: an id is a whole number", short(s))
	}
	return id, nil
}

// event is the event that the path names.
func (v *visit) event(kind audit.Kind) (*db.Stored, error) {
	id, err := v.pathID()
	if err != nil {
		return nil, err
	}
	return v.server.Store.Get(v.Context(), kind, id)
}

// showEvent is the page of one event.
func (s *Server) showEvent(kind audit.Kind) func(*visit) (templ.Component, error) {
	return func(v *visit) (templ.Component, error) {
		st, err := v.event(kind)
		if err != nil {
			return nil, err
		}
		page, err := s.eventPage(v, st)
		if err != nil {
			return nil, err
		}
		return templates.Event(page), nil
	}
}

func (s *Server) eventPage(v *visit, st *db.Stored) (templates.EventPage, error) {
	local := st.Time().In(v.zone)
	look := viewOf(st.Kind)
	day := db.ByDay.Start(local)
	changes := diff.New(st.Get("changes"))
	page := templates.EventPage{
		ID:       cursorText(st.ID),
		Headline: teller{brief: true}.headline(st.Event),
		Byline:   joined(", ", local.Format("2 January 2006, 15:04:05")+" ("+offset(local)+")", st.Get("ip_address")),
		Badges:   v.badgesOf(st),
		Diff:     changesDiff(changes, st.Get("action")),
		Trace:    trace(st.Get("stack_trace")),
		Raw:      rawOf(st),
		JSONHref: eventPath(st.Kind, st.ID) + ".json",
	}
	page.Crumbs = []templates.Link{{Text: look.title(), Href: "/" + st.Kind.Path()},
		{Text: local.Format("2 January 2006"), Href: v.list(v.everything(st.Kind).During(day, db.ByDay.Next(day)))}}
	if text := st.Get("description"); text != "" {
		value := textValue(text)
		page.Lead = &value
	}
	if text := st.Get("reason"); text != "" {
		value := textValue(text)
		page.Reason = &value
	}
	page.Notes = v.notesOn(st)
	for _, fact := range look.facts {
		if f := fact(v, st); f != nil {
			page.Facts = append(page.Facts, *f)
		}
	}
	if d := unchangedDetail(changes); d != nil {
		page.Details = append(page.Details, *d)
	}
	for _, detail := range look.details {
		if d := detail(v, st); d != nil {
			page.Details = append(page.Details, *d)
		}
	}
	request, err := v.sameRequest(st)
	if err != nil {
		return page, err
	}
	if page.Around, err = v.around(st); err != nil {
		return page, err
	}
	if request != nil {
		page.Details = append(page.Details, *request)
	}
	session, err := v.sameSession(st)
	if err != nil {
		return page, err
	}
	if session != nil {
		page.Details = append(page.Details, *session)
	}
	if st.Kind == audit.KindSystemEvent {
		if page.Before, err = v.changedBefore(st); err != nil {
			return page, err
		}
		if page.Resolution, err = v.resolution(st, "", ""); err != nil {
			return page, err
		}
	}
	if err := v.showRedacted(&page, st); err != nil {
		return page, err
	}
	page.Evidence = v.evidenceOf(st)
	page.Holds = v.holdLinks(st)
	if page.Held, err = v.heldBy(st); err != nil {
		return page, err
	}
	if page.Held == nil {
		page.Redact = v.redactForm(st)
		page.Delete = v.deleteForm(st, "", "")
	}
	page.Layout = v.layout(cut(sentence(st.Event), titleLimit))
	page.Search = v.searchBox(st.Kind, "", false)
	return page, nil
}

// badgesOf are the shapes and words above an event.
func (v *visit) badgesOf(st *db.Stored) []templates.Badge {
	var badges []templates.Badge
	if len(st.Damaged) > 0 {
		badges = append(badges, damagedBadge)
	}
	if st.Kind == audit.KindDataExport {
		return badges // the headline says what it is
	}
	badges = append(badges, *badge(st.Event))
	if st.Kind != audit.KindSystemEvent {
		return badges
	}
	if st.Get("resolved") == "true" {
		return append(badges, templates.Badge{Text: "resolved", Tone: templates.Sure, Icon: templates.IconTick})
	}
	return append(badges, templates.Badge{Text: "open", Icon: templates.IconAgain})
}

// damagedBadge marks an event whose row holds something impossible.
var damagedBadge = templates.Badge{Text: "damaged", Tone: templates.Alarm, Icon: templates.IconBad}

// notesOn are the remarks on an event that a reader must not miss.
func (v *visit) notesOn(st *db.Stored) []templates.Note {
	var notes []templates.Note
	if len(st.Damaged) > 0 {
		notes = append(notes, templates.Note{Icon: templates.IconBad, Tone: templates.Alarm, Text: []templates.Span{
			plain("The row of this event is damaged: " + strings.Join(st.Damaged, ", ") + " held something that was never recorded, by another program or a failing disk. Shown is what can be read of it.")}})
	}
	if d := st.Late(); d >= lateFrom {
		notes = append(notes, templates.Note{Icon: templates.IconInfo, Text: []templates.Span{
			plain("It was recorded " + span(d) + " after it happened: until then nobody could have seen it here.")}})
	}
	if st.Kind == audit.KindDataExport && !completed(st.Event) {
		notes = append(notes, templates.Note{Icon: templates.IconWarning, Tone: templates.Alarm, Text: []templates.Span{
			plain("The export was broken off: who took it has only a part.")}})
	}
	if raw := st.Get("changes"); raw != "" && audit.ParseChanges(raw) == nil {
		notes = append(notes, templates.Note{Icon: templates.IconWarning, Text: []templates.Span{
			plain("The changes were recorded in a form that cannot be read as fields; they are in the raw JSON.")}})
	}
	return notes
}

// rawOf is the event in JSON, indented.
func rawOf(st *db.Stored) string {
	raw := indented(string(format.AppendStored(nil, st)))
	if len(raw) > rawLimit {
		return strings.ToValidUTF8(raw[:rawLimit], "") + "\n… the rest of " + size(int64(len(raw))) + " is in the JSON of the event"
	}
	return raw
}

// indented writes JSON for people, as it is where it cannot be read.
func indented(raw string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(raw), "", "  ") != nil {
		return raw
	}
	return out.String()
}

// allOf says how long a folded text is.
func allOf(text string) string {
	return "all " + plural(int64(utf8.RuneCountInString(text)), "character")
}

// sharedNames are what neighbouring events share, and the field of the query
// language that finds all of them.
var sharedNames = map[string]struct{ label, field, key string }{
	"user":    {"Same user", "username", "user"},
	"session": {"Same session", "session_key", "session"},
}

// around are the neighbours of an event. Those of its request stand by themselves.
func (v *visit) around(st *db.Stored) ([]templates.Around, error) {
	neighbours, err := v.server.Store.Neighbours(v.Context(), st)
	if err != nil {
		return nil, err
	}
	var all []templates.Around
	for _, n := range neighbours {
		if n.Earlier == nil && n.Later == nil {
			continue // this event alone
		}
		m := templates.Around{Note: countText(n.Count) + " " + noun(n.Count.Value, "event"),
			Earlier: v.near(st, n.Earlier, n.Shared), Later: v.near(st, n.Later, n.Shared)}
		if n.Shared == "object" {
			m.Label, m.Href = "Same object", objectPath(v, st.Event)
			m.Note += ", " + objectName(st.Event) // a name in another script would turn the number around
		} else {
			shared := sharedNames[n.Shared]
			value := st.Get(shared.field)
			if n.Shared == "user" {
				value = who(st.Event)
			}
			m.Label, m.Href = shared.label, v.listOf(st.Kind, shared.key, value)
			if n.Shared == "user" {
				m.Note += ", " + value
			}
		}
		all = append(all, m)
	}
	return all, nil
}

func noun(n int64, word string) string {
	_, noun, _ := strings.Cut(plural(n, word), " ")
	return noun
}

// near is the event before or after another.
func (v *visit) near(of, st *db.Stored, shared string) *templates.Near {
	if st == nil {
		return nil
	}
	at := st.Time().In(v.zone)
	when := at.Format(timeOfDay)
	if !db.ByDay.Start(at).Equal(db.ByDay.Start(of.Time().In(v.zone))) {
		when = v.day(at) + at.Format(" 15:04:05")
	}
	d := st.Time().Sub(of.Time())
	switch {
	case d > 0:
		when += ", " + span(d) + " after"
	case d < 0:
		when += ", " + span(-d) + " before"
	default:
		when += ", at the same moment"
	}
	if who(st.Event) == who(of.Event) && shared == "session" {
		shared = "user" // whose name need not be said again
	}
	return &templates.Near{Spans: teller{}.near(st, shared), Href: eventPath(st.Kind, st.ID), Note: when}
}

// requestLimit bounds the events of one request on a page.
const requestLimit = 50

// sameRequest are the events of all kinds that one request caused: what else
// changed with it, and what it broke.
func (v *visit) sameRequest(st *db.Stored) (*templates.Details, error) {
	id := st.Get("request_id")
	if id == "" {
		return nil, nil
	}
	all, err := v.server.Store.Request(v.Context(), id, requestLimit)
	if err != nil {
		return nil, err
	}
	d := &templates.Details{Title: "What this request did", Note: "oldest first"}
	for _, other := range all {
		at := other.Time().In(v.zone).Format(fullTime)
		if other.Kind == st.Kind && other.ID == st.ID {
			d.Rows = append(d.Rows, templates.Detail{Name: at, Value: templates.Value{Spans: []templates.Span{strong("this event")}}})
			continue
		}
		d.Rows = append(d.Rows, templates.Detail{Name: at, Value: templates.Value{
			Spans: linked(teller{}.headline(other.Event), eventPath(other.Kind, other.ID)), Note: kindBeside(st.Kind, other.Kind)}})
	}
	if len(d.Rows) < 2 {
		return nil, nil
	}
	return d, nil
}

// sameSession are links to the events of other kinds in the session of an event: what
// somebody did after signing in, and how whoever did something had.
func (v *visit) sameSession(st *db.Stored) (*templates.Details, error) {
	id := st.Get("session_key")
	if id == "" {
		return nil, nil
	}
	d := &templates.Details{Title: "Of the same session"}
	for _, kind := range audit.Kinds() {
		if kind == st.Kind {
			continue // those are beside it already
		}
		sel, err := v.server.Store.Select(v.Context(), v.by(kind, "session", id))
		if err != nil {
			return nil, err
		}
		count, err := sel.Count(v.Context())
		if err != nil {
			return nil, err
		}
		if count.Value > 0 {
			text := countText(count) + " " + noun(count.Value, "event")
			d.Rows = append(d.Rows, templates.Detail{Name: viewOf(kind).title(), Value: templates.Value{
				Spans: linked([]templates.Span{plain(text)}, v.listOf(kind, "session", id))}})
		}
	}
	if len(d.Rows) == 0 {
		return nil, nil
	}
	return d, nil
}

// kindBeside names the kind of an event beside one of another kind.
func kindBeside(this, other audit.Kind) string {
	if this == other {
		return ""
	}
	return other.Singular()
}

// linked makes one link of a sentence: its first piece that says something.
func linked(spans []templates.Span, href string) []templates.Span {
	for i := range spans {
		if strings.TrimSpace(spans[i].Text) != "" && spans[i].Class != templates.Masked {
			spans[i].Href = href
			break
		}
	}
	return spans
}

// Before a system event, the changes of this long are of interest, and so many.
const (
	beforeSpan = 15 * time.Minute
	beforeRows = 5
)

// changedBefore are the changes just before a system event: what may have
// caused it.
func (v *visit) changedBefore(st *db.Stored) (*templates.Table, error) {
	f := v.everything(audit.KindAuditLog)
	sel, err := v.server.Store.Select(v.Context(), f)
	if err != nil {
		return nil, err
	}
	rows, err := sel.List(v.Context(), db.Page{After: st.Time().UnixMicro()<<10 + 1, Limit: beforeRows})
	if err != nil {
		return nil, err
	}
	items := slices.DeleteFunc(rows.Items, func(other *db.Stored) bool { return st.Time().Sub(other.Time()) > beforeSpan })
	if len(items) == 0 {
		return nil, nil
	}
	t := v.table(f)
	days, err := t.days(items, nil)
	if err != nil {
		return nil, err
	}
	m := t.model("Audit logs of the "+span(beforeSpan)+" before, newest first", days)
	return &m, nil
}
