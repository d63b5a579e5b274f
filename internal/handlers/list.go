package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// facetValues is how many values of a field stand beside a list before "more".
const facetValues = 8

// moreFacetValues is how many there are once a reader asked for more.
const moreFacetValues = 200

// list is the page of a kind's list.
func (s *Server) list(kind audit.Kind) func(*visit) (templ.Component, error) {
	return func(v *visit) (templ.Component, error) {
		if v.params.Get("select") == "all" {
			return s.confirmSelection(v, kind)
		}
		place, err := pageOf(v.params)
		if err != nil {
			return nil, err
		}
		f, err := v.filter(kind)
		if err != nil {
			return nil, err
		}
		sel, err := s.Store.Select(v.Context(), f)
		if err != nil {
			return nil, err
		}
		page, err := s.listPage(v, sel, f, place)
		if err != nil {
			return nil, err
		}
		return templates.List(page), nil
	}
}

// listPage asks for everything a list shows, and maps it.
func (s *Server) listPage(v *visit, sel *db.Selection, f *query.Filter, place db.Page) (templates.ListPage, error) {
	var page templates.ListPage
	ctx := v.Context()
	rows, err := sel.List(ctx, place)
	if err != nil {
		return page, err
	}
	count, err := sel.Count(ctx)
	if err != nil {
		return page, err
	}
	look := viewOf(f.Kind)
	t := v.table(f)
	lines := v.timelines(sel)
	page = templates.ListPage{
		Kicker:   look.title(),
		Headline: f.Sentence(),
		Query:    f.String(),
		Chips:    v.chips(f),
		Notes:    notes(f, rows, v),
		Export:   v.export(f, count),
	}
	if len(rows.Items) == 0 && len(rows.Tombstones) == 0 && count.Value == 0 {
		if page.Empty, err = v.empty(sel, f); err != nil {
			return page, err
		}
		page.Headline = f.EmptySentence()
		page.Export = nil // a file of nothing
	} else {
		s.selectMode(v, f, &page, t, count)
		if t.perDay, err = v.perDay(lines, count); err != nil {
			return page, err
		}
		days, err := t.days(rows.Items, rows.Tombstones)
		if err != nil {
			return page, err
		}
		page.Table = t.model(look.title()+", newest first", days)
		page.Pager = v.pager(f, rows)
		if t.belated > 0 {
			page.Notes = append(page.Notes, "Most of this page came in late, as from an import: up to "+span(t.belated)+" after it happened.")
		}
		if len(rows.Items) == 0 && len(rows.Tombstones) == 0 {
			page.Notes = append(page.Notes, pastTheEnd(rows, place))
		}
	}
	if page.When, err = v.when(lines, f, f.Kind.Plural(), v.lists(f.Kind)); err != nil {
		return page, err
	}
	page.When.Count = v.count(count, "event")
	if page.Empty == nil || len(f.Terms) > 0 {
		if page.Facets, err = v.facets(sel, f); err != nil {
			return page, err
		}
	}
	page.Layout = v.layout(look.title() + ": " + f.Sentence())
	page.Search = v.searchBox(f.Kind, f.String(), false)
	return page, nil
}

// pastTheEnd says why a page without rows is not an empty list.
func pastTheEnd(rows *db.List, place db.Page) string {
	switch {
	case rows.Partial:
		return "Nothing was found as far as this page looked; the older ones are one page further."
	case place.Before != 0:
		return "There is nothing newer than this: the newest page is one click away."
	}
	return "This is past the end of the list: there is nothing older."
}

// chips are the terms of the filter.
func (v *visit) chips(f *query.Filter) templates.Chips {
	var chips templates.Chips
	for i, term := range f.Terms {
		key, value := term.Label()
		chips.Items = append(chips.Items, templates.Chip{Key: key, Value: value, Not: term.Not, RemoveHref: v.list(f.Without(i))})
	}
	if len(f.Terms) > 1 {
		chips.ClearHref = v.listQuery(f.Kind, "")
	}
	return chips
}

// shortWord is how many letters a word needs for the text index.
const shortWord = 3

// notes are what a reader has to know of how the page was searched.
func notes(f *query.Filter, rows *db.List, v *visit) []string {
	var notes []string
	for i, term := range f.Terms {
		if says, _, _, _ := habit(f, i); says != "" {
			notes = append(notes, says)
			continue
		}
		if term.Field.Class != query.ClassFree && term.Field.Class != query.ClassText {
			continue
		}
		for _, value := range term.Values {
			if n := len([]rune(value.Folded)); n > 0 && n < shortWord {
				notes = append(notes, "“"+value.Text+"” is shorter than three letters, so it was looked up in the newest 20,000 events that the other terms leave.")
			}
		}
	}
	if rows.Partial {
		notes = append(notes, "The text is too frequent to search everything at once: this page looked back to "+
			rows.LookedTo.In(v.zone).Format(dayAndTime)+".")
	}
	return notes
}

// export offers what matches as files. All of it, not only this page.
func (v *visit) export(f *query.Filter, count db.Count) *templates.Export {
	file := func(twin string) string {
		return address("/"+f.Kind.Path()+twin, "q", f.String(), "tz", v.zoneForTwin())
	}
	rows := countText(count) + " rows"
	if count.Exact {
		rows = plural(count.Value, "row")
	}
	m := &templates.Export{
		Links: []templates.Link{
			{Text: "CSV", Hint: "for a spreadsheet, formulas defused", Href: file(".csv")},
			{Text: "NDJSON", Hint: "imports back unchanged", Href: file(".ndjson")},
			{Text: "JSON", Hint: "this page only", Href: address("/"+f.Kind.Path()+".json", "q", f.String(), "tz", v.zoneForTwin(),
				"limit", v.params.Get("limit"), "after", v.params.Get("after"), "before", v.params.Get("before"))},
		},
		Note: "A file holds all that match, " + rows + ", not only this page. The export is recorded under your name.",
	}
	if v.may(http.MethodGet, "/"+f.Kind.Path()+"/evidence.zip") {
		m.Links = append(m.Links, templates.Link{Text: "Evidence", Hint: "a zip with proofs, for an auditor", Href: file("/evidence.zip")})
	}
	return m
}

// zoneForTwin is the page's zone where a twin has to be told: a twin reads
// dates in UTC, and the file has to hold what the page counts.
func (v *visit) zoneForTwin() string {
	if v.zone == time.UTC {
		return ""
	}
	return v.zone.String()
}

// countText is a count, with a plus where there are more.
func countText(c db.Count) string {
	if c.Exact {
		return number(c.Value)
	}
	return number(c.Value) + "+"
}

// count is a count as a page says it.
func (v *visit) count(c db.Count, noun string) templates.Count {
	m := templates.Count{Text: countText(c), Noun: noun + "s"}
	if c.Exact && c.Value == 1 {
		m.Noun = noun
	}
	if !c.Exact && !c.LookedTo.IsZero() {
		m.Note = "counted back to " + v.day(c.LookedTo)
	}
	return m
}

// day names a day, with its year where that is another than this one.
func (v *visit) day(t time.Time) string {
	t = t.In(v.zone)
	if t.Year() == v.now.In(v.zone).Year() {
		return t.Format("2 January")
	}
	return t.Format("2 January 2006")
}

// pager leads to the neighbouring pages.
func (v *visit) pager(f *query.Filter, rows *db.List) templates.Pager {
	q := f.String()
	var p templates.Pager
	selecting := v.params.Get("select")
	if rows.Previous != 0 {
		p.NewerHref = v.listQuery(f.Kind, q, "before", strconv.FormatInt(rows.Previous, 10), "select", selecting)
	} else if v.params.Get("after") != "" && len(rows.Items) == 0 {
		p.NewerHref = v.listQuery(f.Kind, q, "select", selecting)
	}
	if rows.Next != 0 {
		p.OlderHref = v.listQuery(f.Kind, q, "after", strconv.FormatInt(rows.Next, 10), "select", selecting)
	}
	if n := len(rows.Items); n > 0 {
		p.Covers = v.covers(rows.Items[0].Time(), rows.Items[n-1].Time())
	}
	value := ""
	if n := len(rows.Items); n > 0 {
		value = rows.Items[n-1].Time().In(v.zone).Format(time.DateOnly)
	}
	p.GoTo = &templates.GoTo{Action: "/" + f.Kind.Path(), Keep: v.keep("at"), Value: value, Max: v.now.In(v.zone).Format(time.DateOnly)}
	for _, n := range []int{25, 50, 100, 250} {
		limit, err := strconv.Atoi(v.params.Get("limit"))
		p.Sizes = append(p.Sizes, templates.Link{Text: strconv.Itoa(n), Href: v.same("limit", strconv.Itoa(n)),
			Current: limit == n || err != nil && n == defaultLimit})
	}
	return p
}

// covers says which stretch of time a page shows.
func (v *visit) covers(newest, oldest time.Time) string {
	newest, oldest = newest.In(v.zone), oldest.In(v.zone)
	switch {
	case newest.Equal(oldest):
		return v.day(newest) + newest.Format(" 15:04")
	case db.ByDay.Start(newest).Equal(db.ByDay.Start(oldest)):
		return v.day(newest) + newest.Format(" 15:04") + " back to " + oldest.Format("15:04")
	}
	return v.day(newest) + newest.Format(" 15:04") + " back to " + v.day(oldest) + oldest.Format(" 15:04")
}

// facets are the values beside the list.
func (v *visit) facets(sel *db.Selection, f *query.Filter) (templates.Facets, error) {
	counted, err := sel.FacetsAtHand(v.Context(), facetValues)
	if err != nil {
		return templates.Facets{}, err
	}
	var m templates.Facets
	more := v.params.Get("more")
	for _, facet := range counted {
		if facet.Key == more && (facet.More > 0 || facet.Uncounted) {
			if facet, err = sel.Facet(v.Context(), facet.Key, moreFacetValues); err != nil {
				return m, err
			}
		}
		group := v.facet(f, facet)
		if n := len(group.Values); n == 0 && !facet.Uncounted || n == 1 && group.Values[0].Blank && !group.Values[0].Included {
			continue // a field that nothing here has
		}
		m.Groups = append(m.Groups, group)
	}
	return m, nil
}

func (v *visit) facet(f *query.Filter, facet db.Facet) templates.Facet {
	field, _ := query.Lookup(f.Kind, facet.Key)
	group := templates.Facet{Key: facet.Key, Label: field.Label}
	if !facet.Exact {
		group.Note = "of the newest that match"
	}
	named := map[string]bool{}
	add := func(value string, count int64, known bool) {
		m := templates.FacetValue{
			Label:       cut(value, nameLimit),
			Blank:       value == "",
			Count:       count,
			IncludeHref: v.listQuery(f.Kind, f.IncludeText(facet.Key, value)),
			ExcludeHref: v.listQuery(f.Kind, f.ExcludeText(facet.Key, value)),
			Included:    f.Has(facet.Key, value, false),
			Excluded:    f.Has(facet.Key, value, true),
		}
		if known {
			m.CountText = number(count)
		}
		if value == "" {
			m.Label = "empty"
		}
		named[query.Fold(value)] = true
		group.Values = append(group.Values, m)
	}
	for _, value := range facet.Values {
		add(value.Value, value.Count, true)
	}
	// What the filter names stays in sight, so that it can be taken back here.
	for _, term := range f.Terms {
		for _, value := range term.Values {
			if term.Field.Key == facet.Key && !value.Prefix && field.Class == query.ClassValue && !named[value.Folded] {
				add(value.Text, 0, false)
			}
		}
	}
	if facet.Uncounted {
		group.More = &templates.Link{Text: "count them", Href: v.same("more", facet.Key) + "#facet-" + facet.Key}
	}
	if facet.More > 0 {
		group.More = &templates.Link{Text: number(int64(facet.More)) + " more"}
		if len(facet.Values) <= facetValues {
			group.More.Href = v.same("more", facet.Key) + "#facet-" + facet.Key
		}
	}
	return group
}

// empty says why nothing was found.
func (v *visit) empty(sel *db.Selection, f *query.Filter) (*templates.Empty, error) {
	if len(f.Terms) == 0 {
		token := templates.Span{Text: "token that a superuser makes"}
		if v.may(http.MethodGet, "/accounts") {
			token = templates.Span{Text: "token that you make", Href: "/accounts#tokens"}
		}
		return &templates.Empty{Nothing: []templates.Span{
			plain("Nothing was recorded yet. Events come in by "), {Text: "auditadmin import", Class: templates.Code},
			plain(", by "), {Text: "POST /api/v1/events", Class: templates.Code}, plain(" with a "), token,
			plain(", or from an application that records itself."),
		}}, nil
	}
	sieve, err := sel.Sieve(v.Context())
	if err != nil {
		return nil, err
	}
	m := v.sieve(f, sieve)
	if sieve.Total > 0 {
		m.Meant, err = v.meant(sel, f)
	}
	if after, before := f.Inverted(); after != nil {
		ends := "ends before"
		if lo, hi, _ := f.Bounds(); lo == hi {
			ends = "ends where"
		}
		code := func(t *query.Term) templates.Span { return templates.Span{Text: t.String(), Class: templates.Code} }
		m.Lead, m.Link = []templates.Span{plain("The range " + ends + " it begins: "), code(after), plain(" is not earlier than "), code(before), plain(", so no time lies in it.")}, nil
	}
	return m, err
}

// sieve maps the steps of a filter that found nothing. The culprit is the first
// term after which nothing is left.
func (v *visit) sieve(f *query.Filter, sieve *db.Sieve) *templates.Empty {
	m := &templates.Empty{Steps: []templates.SieveStep{{Text: "Everything recorded", Left: sieve.Total, LeftText: number(sieve.Total)}}}
	if sieve.Total == 0 {
		m.Lead = []templates.Span{plain("No " + f.Kind.Singular() + " was recorded yet, so no filter can find one.")}
		return m
	}
	before := sieve.Total
	found := false
	for _, step := range sieve.Steps {
		if step.Term < 0 || step.Term >= len(f.Terms) {
			continue
		}
		term := f.Terms[step.Term]
		row := templates.SieveStep{Text: f.Phrase(step.Term), Term: term.String(), Left: step.Left.Value, LeftText: countText(step.Left)}
		if step.Without.Value > 0 {
			row.DropHref = v.list(f.Without(step.Term))
			row.DropText = plural(step.Without.Value, "event") + " without it"
		}
		if !found && step.Left.Value == 0 && step.Left.Exact {
			found, row.Culprit = true, true
			m.Lead = []templates.Span{plain("The filter "), {Text: term.String(), Class: templates.Code}, plain(" takes away the last " + plural(before, "event") + ".")}
		}
		before = step.Left.Value
		m.Steps = append(m.Steps, row)
	}
	best := -1
	for i, step := range sieve.Steps {
		if step.Without.Value > 0 && (best < 0 || step.Without.Value < sieve.Steps[best].Without.Value) {
			best = i
		}
	}
	if best >= 0 {
		step := sieve.Steps[best]
		m.Link = &templates.Link{Text: "Show " + plural(step.Without.Value, "event") + " without " + f.Terms[step.Term].String(), Href: v.list(f.Without(step.Term))}
	} else {
		m.Link = &templates.Link{Text: "Show everything", Href: v.listQuery(f.Kind, "")}
	}
	return m
}

// jump answers the date form of a list with the page that ends at that day, in
// the whole list and not filtered by it; anything else goes on to the list.
func (s *Server) jump(kind audit.Kind, list http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		on := r.URL.Query().Get("on")
		if on == "" {
			list(w, r)
			return
		}
		s.answer(func(w http.ResponseWriter, v *visit) error {
			day, err := time.ParseInLocation(time.DateOnly, on, v.zone)
			if err != nil {
				return refuse(http.StatusBadRequest, "on=%s is not a date such as 2026-03-28", short(on))
			}
			after := max(db.ByDay.Next(day).UnixMicro()<<10, 1)
			http.Redirect(w, v.Request, v.listQuery(kind, v.params.Get("q"), "after", strconv.FormatInt(after, 10), "select", v.params.Get("select")), http.StatusSeeOther)
			return nil
		})(w, r)
	}
}

// may reports whether the reader may use a route, for what a page offers. The
// router asks the same table again when it is used.
func (v *visit) may(method, pattern string) bool {
	rule, known := v.server.policy.Rule(method, pattern)
	return known && v.who.May(rule)
}
