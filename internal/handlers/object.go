package handlers

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/diff"
	"github.com/auditadmin/auditadmin/web/templates"
)

// The bounds of an object's page: some objects have many thousands of events.
const (
	storySteps = 50  // on a page
	stateValue = 60  // characters of a value beside the story
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
	// all is the whole story, newest first, where it is short enough to be held, and
	// nil otherwise. The page is about its beginning, its end and its middle alike.
	all []*db.Stored
	// redacted are the fields that were redacted, of the events that were looked at.
	redacted map[int64][]string
	// oldest is the id that the story begins at, as far as is known: that of its
	// creation, and 0 where that is not among its events.
	oldest int64
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
		return page, o.nothing()
	}
	if err := o.hold(rows, count); err != nil {
		return page, err
	}
	newest, err := o.events(db.Page{Limit: 1})
	if err != nil {
		return page, err
	}
	oldest, err := o.events(db.Page{Before: 1, Limit: 1})
	if err != nil {
		return page, err
	}
	first, last := oldest.Items[0], newest.Items[0]
	if repr := last.Get("object_repr"); repr != "" {
		page.Headline = repr
	}
	if first.Get("action") == "CREATE" {
		o.oldest = first.ID
	}
	taken, err := o.taken(math.MaxInt64)
	if err != nil {
		return page, err
	}
	page.Lead = o.lead(count, first, last, taken)
	f := o.by(audit.KindAuditLog, "type", o.contentType).Include("object", o.objectID)
	page.ListHref = o.list(f)
	page.Export = o.export(f, count)
	current := last.ID
	if at != 0 {
		current = at
	}
	if page.Days, err = o.days(rows.Items, current, taken); err != nil {
		return page, err
	}
	if page.State, err = o.state(at, taken); err != nil {
		return page, err
	}
	if rows.Previous != 0 {
		page.Pager.NewerHref = o.same("before", cursorText(rows.Previous), "after", "")
	}
	if rows.Next != 0 {
		page.Pager.OlderHref = o.same("after", cursorText(rows.Next), "before", "")
	} else if len(rows.Items) > 0 {
		page.End = o.end(taken)
	}
	if n := len(rows.Items); n > 0 {
		page.Pager.Covers = o.covers(rows.Items[0].Time(), rows.Items[n-1].Time())
	}
	if page.Held, err = o.heldBy(last); err != nil {
		return page, err
	}
	if page.Held != nil {
		page.Held.Text = append([]templates.Span{plain("The newest event is held. ")}, page.Held.Text...)
	}
	page.Layout = o.layout("History of " + cut(page.Headline, nameLimit))
	page.Search = o.searchBox(audit.KindAuditLog, "", false)
	return page, nil
}

// hold keeps the whole story if it is short: then it is read once.
func (o *story) hold(rows *db.List, count db.Count) error {
	if !count.Exact || count.Value > storyReach {
		return nil
	}
	if rows.Next != 0 || rows.Previous != 0 {
		var err error
		if rows, err = o.sel.List(o.Context(), db.Page{Limit: storyReach}); err != nil {
			return err
		}
	}
	if int64(len(rows.Items)) == count.Value { // and not fewer, because they are large
		o.all = rows.Items
	}
	return nil
}

// events are some of the story, newest first. Of a story that is held, Next is
// the only cursor.
func (o *story) events(place db.Page) (*db.List, error) {
	if o.all == nil {
		return o.sel.List(o.Context(), place)
	}
	if place.Before != 0 {
		newer := o.all[:o.newer(place.Before)]
		return &db.List{Items: newer[max(len(newer)-place.Limit, 0):]}, nil
	}
	older := o.all
	if place.After != 0 {
		older = older[o.newer(place.After-1):]
	}
	list := &db.List{Items: older[:min(len(older), place.Limit)]}
	if n := len(list.Items); n > 0 && n < len(older) {
		list.Next = list.Items[n-1].ID
	}
	return list, nil
}

// newer is how many events of a story that is held are newer than an id.
func (o *story) newer(id int64) int {
	n := slices.IndexFunc(o.all, func(st *db.Stored) bool { return st.ID <= id })
	if n < 0 {
		return len(o.all)
	}
	return n
}

// lead is the story in one sentence.
func (o *story) lead(count db.Count, first, last *db.Stored, taken db.Taken) string {
	var b strings.Builder
	switch {
	case o.oldest != 0:
		b.WriteString("Created on " + o.day(first.Time()) + " by " + somebody(first.Event) + ". ")
	case taken.Any():
		b.WriteString("First seen on " + o.day(first.Time()) + "; its creation is not among the events that are left. ")
	default:
		b.WriteString("First seen on " + o.day(first.Time()) + "; its creation was not recorded. ")
	}
	b.WriteString(countText(count) + " " + noun(count.Value, "event") + ", the last " + ago(last.Time(), o.now) + ".")
	if last.Get("action") == "DELETE" {
		b.WriteString(" It is gone: " + somebody(last.Event) + " deleted it on " + o.day(last.Time()) + ".")
	}
	return b.String()
}

// days are the steps of a page, each with what is missing before it.
func (o *story) days(items []*db.Stored, current int64, taken db.Taken) ([]templates.StoryDay, error) {
	if len(items) == 0 {
		return nil, nil
	}
	// What the fields were before the oldest step of the page.
	older, err := o.events(db.Page{After: items[len(items)-1].ID, Limit: storyReach})
	if err != nil {
		return nil, err
	}
	gaps := map[int64]string{}
	known := append(slices.Clone(items), older.Items...) // newest first
	slices.Reverse(known)
	if err := o.look(known); err != nil {
		return nil, err
	}
	missing := map[int][]diff.MissingWrite{}
	for _, m := range missingWrites(diff.StateAt(stepsOf(known))) {
		missing[m.Step] = append(missing[m.Step], m)
	}
	for step, lost := range missing {
		if lost = slices.DeleteFunc(lost, func(m diff.MissingWrite) bool { return o.mayBeRedacted(m, known) }); len(lost) == 0 {
			continue
		}
		between := db.Taken{}
		if taken.Any() {
			if between, err = o.server.Store.TakenBetween(o.Context(), audit.KindAuditLog, known[lost[0].Last].ID, known[step].ID, namesObject...); err != nil {
				return nil, err
			}
		}
		gaps[known[step].ID] = o.gap(lost, known, between)
	}
	belated := mostlyLate(items) > 0
	var days []templates.StoryDay
	var day time.Time
	for _, st := range items {
		if d := db.ByDay.Start(st.Time().In(o.zone)); len(days) == 0 || !d.Equal(day) {
			day = d
			days = append(days, templates.StoryDay{Label: d.Format("Mon 2 Jan 2006"), Note: oddDay(d)})
		}
		last := &days[len(days)-1]
		step := o.step(st, current, gaps[st.ID])
		if belated {
			step.Time.Late = ""
		}
		last.Steps = append(last.Steps, step)
	}
	return days, nil
}

func (o *story) step(st *db.Stored, current int64, gap string) templates.StoryStep {
	v := verbOf(st.Get("action"), st.Get("content_type"))
	step := templates.StoryStep{ID: cursorText(st.ID), Icon: v.icon, Tone: v.tone, Time: o.eventTime(st, timeOfDay),
		Who: templates.Link{Text: somebody(st.Event)}, Reason: cut(st.Get("reason"), valueLimit), Current: st.ID == current, Gap: gap}
	if name := who(st.Event); name != "" {
		step.Who.Href = userPath(o.visit, name)
	}
	step.Spans = linked(teller{}.what([]templates.Span{plain(" ")}, st.Event, false), eventPath(st.Kind, st.ID))
	if len(o.redacted[st.ID]) > 0 {
		step.Mark = redactedBadge(o.redacted[st.ID])
	}
	if st.Get("changes") != "" && !step.Current {
		step.AsOf = &templates.Link{Text: "state after it", Href: o.same("at", cursorText(st.ID)) + "#e" + cursorText(st.ID)}
	}
	return step
}

// stepsOf are events as the history of an object takes them.
func stepsOf(events []*db.Stored) []diff.Step {
	steps := make([]diff.Step, len(events))
	for i, st := range events {
		steps[i] = diff.Step{Action: st.Get("action"), Changes: st.Get("changes")}
	}
	return steps
}

// missingWrites are the missing writes of a history that are worth an alarm. A
// recorder that leaves out empty fields when an object is created, and names
// them when they are filled, missed nothing.
func missingWrites(s diff.ObjectState) []diff.MissingWrite {
	return slices.DeleteFunc(slices.Clone(s.MissingWrites), func(m diff.MissingWrite) bool {
		return m.Recorded.State != diff.Given && m.Found.State != diff.Given
	})
}

// gap says what is missing before a step.
func (o *story) gap(lost []diff.MissingWrite, known []*db.Stored, taken db.Taken) string {
	l := lost[0]
	how := "Something changed it past the recorder"
	if taken.Any() {
		how = "An event that was taken away since may have said so, or something changed it past the recorder"
	}
	text := fmt.Sprintf("%s was already %s, but the last recorded value is %s. %s, after %s.",
		cut(l.Field, quoteLimit), valueText(l.Found), valueText(l.Recorded), how, known[l.Last].Time().In(o.zone).Format(dayAndTime))
	if more := len(lost) - 1; more > 0 {
		text += " The same holds for " + plural(int64(more), "more field") + "."
	}
	return text
}

// valueText is a value within a sentence.
func valueText(v diff.Value) string {
	switch {
	case v.Type == "mask":
		return "a secret with another mark"
	case v.State == diff.Empty:
		return "empty"
	case v.State != diff.Given:
		return "nothing"
	}
	var b strings.Builder
	for _, s := range v.Segments {
		b.WriteString(s.Text)
	}
	return "“" + cut(b.String(), quoteLimit) + "”"
}

// state is the object as it was just after an event, or now.
func (o *story) state(at int64, taken db.Taken) (*templates.State, error) {
	place := db.Page{Limit: storyReach}
	if at != 0 {
		place.After = at + 1
	}
	rows, err := o.events(place)
	if err != nil {
		return nil, err
	}
	if at != 0 && (len(rows.Items) == 0 || rows.Items[0].ID != at) {
		return nil, refuse(http.StatusNotFound, "at=%d is no event of this object", at)
	}
	events := slices.Clone(rows.Items)
	slices.Reverse(events)
	if err := o.look(events); err != nil {
		return nil, err
	}
	state := diff.StateAt(stepsOf(events))
	redacted := o.changesRedacted(events)
	if len(state.Fields) == 0 && at == 0 && redacted == 0 {
		return nil, nil
	}
	if at != 0 && taken.Any() { // of what was taken away only what was before it matters
		if taken, err = o.taken(at); err != nil {
			return nil, err
		}
	}
	m := &templates.State{AsOf: "now", Gone: state.Deleted, Incomplete: o.incomplete(redacted, taken)}
	if at != 0 {
		m.AsOf = rows.Items[0].Time().In(o.zone).Format("2 January 2006, 15:04:05")
		m.Latest = &templates.Link{Text: "the latest", Href: o.same("at", "")}
		later, err := o.events(db.Page{Before: at, Limit: 1})
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
	missed := map[string]bool{}
	for _, w := range missingWrites(state) {
		missed[w.Field] = !o.mayBeRedacted(w, events)
	}
	for _, f := range state.Fields {
		set := events[f.Step]
		row := templates.StateRow{Field: f.Field, Fresh: f.Step == len(events)-1,
			Since: templates.Link{Text: joined(", ", who(set.Event), o.since(set.Time())), Href: eventPath(set.Kind, set.ID)}}
		if value, nothing := diffValue(f.Value, false); value != nil {
			row.Value = shorter(*value)
		} else {
			row.Value = templates.Value{Spans: []templates.Span{quiet(nothing)}}
		}
		if missed[f.Field] {
			row.Uncertain = "a write of it is missing"
		}
		m.Rows = append(m.Rows, row)
	}
	switch {
	case state.Begun:
		m.Note = "Rebuilt from the recorded changes since its creation."
	case rows.Next != 0:
		m.Note = "Rebuilt from the newest " + number(int64(len(rows.Items))) + " events; fields that changed only before them are not shown."
	default:
		m.Note = "Rebuilt from the recorded changes; fields that never changed are not known."
	}
	return m, nil
}

// shorter folds a value that would be too long beside the story.
func shorter(v templates.Value) templates.Value {
	var b strings.Builder
	for _, s := range v.Spans {
		b.WriteString(s.Text)
	}
	text := b.String()
	if len(text) <= stateValue || len(v.Full) > 0 {
		return v
	}
	v.Full, v.Size = v.Spans, allOf(text)
	v.Spans = []templates.Span{plain(cut(text, stateValue))}
	return v
}

// since is when a field was set, as short as it can be said.
func (o *story) since(t time.Time) string {
	t = t.In(o.zone)
	if db.ByDay.Start(t).Equal(db.ByDay.Start(o.now.In(o.zone))) {
		return t.Format("15:04")
	}
	if t.Year() == o.now.In(o.zone).Year() {
		return t.Format("2 Jan")
	}
	return t.Format("2 Jan 2006")
}
