package handlers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// The bounds of an object's page: some objects have many thousands of events.
const (
	storySteps = 50  // on a page
	storyReach = 500 // how many events back states are rebuilt and gaps looked for
)

// showObject is the story of one object, newest first, beside its state as of
// any of its events. It lives in the events alone, so it survives the object.
func (s *Server) showObject(v *visit) (templ.Component, error) {
	contentType, objectID := v.params.Get("type"), v.params.Get("id")
	if contentType == "" || objectID == "" {
		return nil, refuse(http.StatusBadRequest, "an object is named by type= and id=, such as /objects?type=shop.order&id=42")
	}
	place, err := pageOf(v.params)
	if err != nil {
		return nil, err
	}
	if v.params.Get("limit") == "" {
		place.Limit = storySteps
	}
	at, err := cursor(v.params, "at")
	if err != nil {
		return nil, err
	}
	f := db.Object(contentType, objectID)
	f.Now, f.Zone = v.now, v.zone
	sel, err := s.Store.Select(v.Context(), f)
	if err != nil {
		return nil, err
	}
	o := &story{visit: v, sel: sel, contentType: contentType, objectID: objectID}
	page, err := o.page(place, at)
	if err != nil {
		return nil, err
	}
	return templates.Object(page), nil
}

// story is the events of one object.
type story struct {
	*visit
	sel                   *db.Selection
	contentType, objectID string
}

func (o *story) page(place db.Page, at int64) (templates.ObjectPage, error) {
	page := templates.ObjectPage{Kicker: o.contentType + " " + o.objectID, Headline: o.contentType + " " + o.objectID}
	ctx := o.Context()
	rows, err := o.sel.List(ctx, place)
	if err != nil {
		return page, err
	}
	count, err := o.sel.Count(ctx)
	if err != nil {
		return page, err
	}
	if count.Value == 0 {
		return page, refuse(http.StatusNotFound, "nothing was ever recorded of %s %s", o.contentType, short(o.objectID))
	}
	newest, err := o.sel.List(ctx, db.Page{Limit: 1})
	if err != nil {
		return page, err
	}
	oldest, err := o.sel.List(ctx, db.Page{Before: 1, Limit: 1})
	if err != nil {
		return page, err
	}
	first, last := oldest.Items[0], newest.Items[0]
	if repr := last.Get("object_repr"); repr != "" {
		page.Headline = repr
	}
	page.Lead = o.lead(count, first, last)
	f := o.by(audit.KindAuditLog, "type", o.contentType).Include("object", o.objectID)
	page.ListHref = o.list(f)
	page.Export = o.export(f, count)
	current := last.ID
	if at != 0 {
		current = at
	}
	if page.Days, err = o.days(rows.Items, current); err != nil {
		return page, err
	}
	if page.State, err = o.state(at); err != nil {
		return page, err
	}
	if rows.Previous != 0 {
		page.Pager.NewerHref = o.same("before", cursorText(rows.Previous), "after", "")
	}
	if rows.Next != 0 {
		page.Pager.OlderHref = o.same("after", cursorText(rows.Next), "before", "")
	} else if len(rows.Items) > 0 {
		page.End = "That is the whole story: nothing older was recorded."
		if first.Get("action") == "CREATE" {
			page.End = "That is the whole story: it begins with its creation."
		}
	}
	if n := len(rows.Items); n > 0 {
		page.Pager.Covers = o.covers(rows.Items[0].Time(), rows.Items[n-1].Time())
	}
	page.Layout = o.layout("History of " + cut(page.Headline, nameLimit))
	page.Search = o.searchBox(audit.KindAuditLog, "", false)
	return page, nil
}

// lead is the story in one sentence.
func (o *story) lead(count db.Count, first, last *db.Stored) string {
	var b strings.Builder
	if first.Get("action") == "CREATE" {
		b.WriteString("Created on " + o.day(first.Time()) + " by " + somebody(first.Event) + ". ")
	} else {
		b.WriteString("Known since " + o.day(first.Time()) + ", and not how it came to be. ")
	}
	b.WriteString(countText(count) + " " + noun(count.Value, "event") + ", the last " + ago(last.Time(), o.now) + ".")
	if last.Get("action") == "DELETE" {
		b.WriteString(" It is gone: " + somebody(last.Event) + " deleted it on " + o.day(last.Time()) + ".")
	}
	return b.String()
}

// days are the steps of a page, each with what is missing before it.
func (o *story) days(items []*db.Stored, current int64) ([]templates.StoryDay, error) {
	if len(items) == 0 {
		return nil, nil
	}
	// What the fields were before the oldest step of the page.
	older, err := o.sel.List(o.Context(), db.Page{After: items[len(items)-1].ID, Limit: storyReach})
	if err != nil {
		return nil, err
	}
	values := newState()
	for _, st := range slices.Backward(older.Items) {
		values.apply(st)
	}
	gaps := map[int64]string{}
	for _, st := range slices.Backward(items) {
		if lost := values.apply(st); len(lost) > 0 {
			gaps[st.ID] = o.gap(lost)
		}
	}
	var days []templates.StoryDay
	var day time.Time
	for _, st := range items {
		if d := start(st.Time().In(o.zone), db.ByDay); len(days) == 0 || !d.Equal(day) {
			day = d
			days = append(days, templates.StoryDay{Label: dayName(d), Note: oddDay(d)})
		}
		last := &days[len(days)-1]
		last.Steps = append(last.Steps, o.step(st, current, gaps[st.ID]))
	}
	return days, nil
}

func (o *story) step(st *db.Stored, current int64, gap string) templates.StoryStep {
	v := verbOf(st.Get("action"))
	step := templates.StoryStep{Icon: v.icon, Tone: v.tone, Time: o.eventTime(st, timeOfDay),
		Who: templates.Link{Text: somebody(st.Event)}, Reason: cut(st.Get("reason"), valueLimit), Current: st.ID == current, Gap: gap}
	if name := who(st.Event); name != "" {
		step.Who.Href = userPath(o.visit, name)
	}
	step.Spans = append([]templates.Span{plain(" ")}, linked(teller{}.what(st.Event, false), eventPath(st.Kind, st.ID))...)
	if st.Get("changes") != "" && !step.Current {
		step.AsOf = &templates.Link{Text: "state after it", Href: o.same("at", cursorText(st.ID))}
	}
	return step
}

// loss is a field whose recorded value before a change is not the last one that
// was recorded: somebody changed it past the recorder.
type loss struct {
	field     string
	was, last plainValue
	since     time.Time
}

// gap says what is missing before a step.
func (o *story) gap(lost []loss) string {
	l := lost[0]
	text := fmt.Sprintf("%s was already %s, but the last recorded value is %s. Something changed it past the recorder, after %s.",
		cut(l.field, quoteLimit), valueText(l.was), valueText(l.last), l.since.In(o.zone).Format(dayAndTime))
	if more := len(lost) - 1; more > 0 {
		text += " The same holds for " + plural(int64(more), "more field") + "."
	}
	return text
}

// valueText is a value within a sentence.
func valueText(v plainValue) string {
	switch {
	case v.masked:
		return "a secret with another mark"
	case v.missing:
		return "nothing"
	case v.text == "":
		return "empty"
	}
	return "“" + cut(v.text, quoteLimit) + "”"
}

// state is what the fields of an object were, rebuilt from its changes.
type state struct {
	order  []string
	fields map[string]*fieldState
	gone   bool
	begun  bool // its creation is part of it
}

type fieldState struct {
	raw    string
	value  plainValue
	set    *db.Stored
	missed bool // the value before its last change had not been recorded
}

func newState() *state { return &state{fields: map[string]*fieldState{}} }

// apply takes the changes of the next event into the state, and returns the
// fields whose value before it was another than the last recorded one.
func (s *state) apply(st *db.Stored) []loss {
	var lost []loss
	action := st.Get("action")
	if action == "CREATE" {
		// What was before belongs to an object of the same id that is no more.
		*s = *newState()
		s.begun = true
	}
	s.gone = action == "DELETE"
	for _, c := range audit.ParseChanges(st.Get("changes")) {
		before := s.fields[c.Field]
		missed := false
		if before != nil && c.HasOld && !sameJSON(before.raw, c.Old) {
			missed = true
			lost = append(lost, loss{field: c.Field, was: plainOf(c.Old), last: before.value, since: before.set.Time()})
		}
		if before == nil {
			before = &fieldState{}
			s.fields[c.Field] = before
			s.order = append(s.order, c.Field)
		}
		if s.gone && (!c.HasNew || c.New == "null") {
			// A deletion lists what the fields were; that is their last state.
			before.raw, before.value = c.Old, plainOf(c.Old)
		} else {
			before.raw, before.value = c.New, plainOf(c.New)
		}
		before.set, before.missed = st, missed
	}
	return lost
}

// sameJSON reports whether two raw JSON values say the same as far as their
// spelling goes; what is missing is null.
func sameJSON(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if a == "" {
		a = "null"
	}
	if b == "" {
		b = "null"
	}
	return a == b || compact(a) == compact(b)
}

// state is the object as it was just after an event, or now.
func (o *story) state(at int64) (*templates.State, error) {
	place := db.Page{Limit: storyReach}
	if at != 0 {
		place.After = at + 1
	}
	rows, err := o.sel.List(o.Context(), place)
	if err != nil {
		return nil, err
	}
	if at != 0 && (len(rows.Items) == 0 || rows.Items[0].ID != at) {
		return nil, refuse(http.StatusNotFound, "at=%d is no event of this object", at)
	}
	values := newState()
	for _, st := range slices.Backward(rows.Items) {
		values.apply(st)
	}
	if len(values.order) == 0 && at == 0 {
		return nil, nil
	}
	m := &templates.State{AsOf: "now", Gone: values.gone}
	if at != 0 {
		m.AsOf = rows.Items[0].Time().In(o.zone).Format("2 January 2006, 15:04:05")
		m.Latest = &templates.Link{Text: "the latest", Href: o.same("at", "")}
		later, err := o.sel.List(o.Context(), db.Page{Before: at, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(later.Items) > 0 {
			m.Following = &templates.Link{Text: "after the next event", Href: o.same("at", cursorText(later.Items[0].ID))}
		}
	}
	if len(rows.Items) > 1 {
		m.Previous = &templates.Link{Text: "before the last event", Href: o.same("at", cursorText(rows.Items[1].ID))}
	}
	for _, field := range values.order {
		f := values.fields[field]
		row := templates.StateRow{Field: field, Value: jsonValue(f.raw), Fresh: f.set.ID == rows.Items[0].ID,
			Since: templates.Link{Text: joined(", ", who(f.set.Event), o.since(f.set.Time())), Href: eventPath(f.set.Kind, f.set.ID)}}
		if f.missed {
			row.Uncertain = "a write before it is missing"
		}
		m.Rows = append(m.Rows, row)
	}
	switch {
	case values.begun:
		m.Note = "Rebuilt from the recorded changes since its creation."
	case rows.Next != 0:
		m.Note = "Rebuilt from the newest " + number(int64(len(rows.Items))) + " events; fields that changed only before them are not shown."
	default:
		m.Note = "Rebuilt from the recorded changes; fields that never changed are not known."
	}
	return m, nil
}

// since is when a field was set, as short as it can be said.
func (o *story) since(t time.Time) string {
	t = t.In(o.zone)
	if start(t, db.ByDay).Equal(start(o.now.In(o.zone), db.ByDay)) {
		return t.Format("15:04")
	}
	return o.day(t)
}
