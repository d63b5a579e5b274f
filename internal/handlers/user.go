package handlers

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// userRows is how many events of each kind stand on the page of a user.
const userRows = 8

// person collects what the kinds know of one user.
type person struct {
	*visit
	name        string
	first, last time.Time
	total       int64
	period      *query.Filter // what the page is narrowed down to: terms about the time
	lines       []*timelines  // of each kind that there is something of
	addresses   map[string]map[audit.Kind]int64
}

// showUser is everything about one user, across the four kinds. Its query narrows it
// down to a time.
func (s *Server) showUser(v *visit) (templ.Component, error) {
	name := v.params.Get("name")
	if name == "" {
		return nil, refuse(http.StatusBadRequest, "name= is missing: whose page is it to be?")
	}
	p := &person{visit: v, name: name, addresses: map[string]map[audit.Kind]int64{}}
	var err error
	if p.period, err = p.filter(audit.KindAuditLog); err != nil {
		return nil, err
	}
	for _, term := range p.period.Terms {
		if term.Field.Class != query.ClassTime {
			return nil, refuse(http.StatusBadRequest, "the page of a user is narrowed down by time alone, as with on:2026-03: %s says something else", term)
		}
	}
	narrowed := len(p.period.Terms) > 0
	page := templates.UserPage{Headline: name}
	for i := range views {
		section, err := p.section(&views[i])
		if err != nil {
			return nil, err
		}
		if len(section.Table.Days) > 0 {
			page.Sections = append(page.Sections, section)
		}
		page.Sums = append(page.Sums, templates.Sum{Label: views[i].title(), Text: section.Count.Text, Href: section.Href})
	}
	known := p.total > 0
	if !known && narrowed {
		if known, err = p.known(); err != nil {
			return nil, err
		}
	}
	switch {
	case !known:
		page.Lead, page.Sums = "Nothing was ever recorded of a user of that name or id.", nil
		if page.Meant, err = p.meantName(); err != nil {
			return nil, err
		}
	case p.total == 0:
		page.Lead = "Nothing was recorded of this user in this time."
	default:
		const day = "2 January 2006"
		first, last := p.first.In(v.zone).Format(day), p.last.In(v.zone).Format(day)
		page.Lead = plural(p.total, "event") + " from " + first + " to " + last + ", the last " + ago(p.last, v.now) + "."
		if first == last {
			page.Lead = plural(p.total, "event") + " on " + first + ", the last " + ago(p.last, v.now) + "."
		}
	}
	if known {
		page.When, err = p.when(p.timelinesOf(p.joint), p.period, "events of all kinds", func(q string) string { return p.same("q", q) })
		if err != nil {
			return nil, err
		}
	}
	page.Facts = p.facts()
	page.Layout = v.layout("User " + cut(name, nameLimit))
	page.Search = v.searchBox(audit.KindAuditLog, "", false)
	return templates.User(page), nil
}

// of is the filter of what there is of one kind in the time of the page. The terms
// about the time are the same for every kind.
func (p *person) of(kind audit.Kind) *query.Filter {
	f := p.by(kind, "user", p.name)
	f.Terms = append(f.Terms, p.period.Terms...)
	return f
}

// section is what there is of one kind.
func (p *person) section(look *view) (templates.UserSection, error) {
	kind := look.kind
	f := p.of(kind)
	section := templates.UserSection{Title: look.title(), Href: p.list(f), None: "None."}
	ctx := p.Context()
	sel, err := p.server.Store.Select(ctx, f)
	if err != nil {
		return section, err
	}
	count, err := sel.Count(ctx)
	if err != nil {
		return section, err
	}
	section.Count = p.count(count, "event")
	if count.Value == 0 {
		return section, nil
	}
	p.total += count.Value
	rows, err := sel.List(ctx, db.Page{Limit: userRows})
	if err != nil {
		return section, err
	}
	oldest := rows
	if rows.Next != 0 {
		if oldest, err = sel.List(ctx, db.Page{Before: 1, Limit: 1}); err != nil {
			return section, err
		}
	}
	for _, st := range append(rows.Items, oldest.Items...) {
		if at := st.Time(); p.first.IsZero() || at.Before(p.first) {
			p.first = at
		}
		if at := st.Time(); at.After(p.last) {
			p.last = at
		}
	}
	t, lines := p.table(f), p.timelines(sel)
	if t.perDay, err = p.perDay(lines, count); err != nil {
		return section, err
	}
	p.lines = append(p.lines, lines)
	facet, err := sel.Facet(ctx, "ip", moreFacetValues)
	if err != nil {
		return section, err
	}
	for _, value := range facet.Values {
		if value.Value != "" {
			if p.addresses[value.Value] == nil {
				p.addresses[value.Value] = map[audit.Kind]int64{}
			}
			p.addresses[value.Value][kind] += value.Count
		}
	}
	t.columns = slices.DeleteFunc(slices.Clone(t.columns), func(c column) bool { return c.Role == templates.RoleWho })
	days, err := t.days(rows.Items, nil)
	if err != nil {
		return section, err
	}
	section.Table = t.model(look.title()+" of this user, newest first", days)
	return section, nil
}

// known says whether anything was recorded of the user, whenever it was.
func (p *person) known() (bool, error) {
	for _, kind := range audit.Kinds() {
		if _, newest, err := p.glance(p.by(kind, "user", p.name)); err != nil || newest != nil {
			return newest != nil, err
		}
	}
	return false, nil
}

// meantName offers the names most like one that nobody has.
func (p *person) meantName() ([]templates.Span, error) {
	names := map[string]bool{}
	for _, kind := range audit.Kinds() {
		sel, err := p.server.Store.Select(p.Context(), p.everything(kind))
		if err != nil {
			return nil, err
		}
		facet, err := sel.Facet(p.Context(), "user", meantAmong)
		if err != nil {
			return nil, err
		}
		for _, value := range facet.Values {
			names[value.Value] = true
		}
	}
	var links []templates.Link
	for _, name := range query.Similar(p.name, slices.Sorted(maps.Keys(names)), meantShown) {
		links = append(links, templates.Link{Text: cut(name, nameLimit), Href: userPath(p.visit, name)})
	}
	if len(links) == 0 {
		return nil, nil
	}
	return didYouMean(links), nil
}

// joint is the timeline of all kinds together.
func (p *person) joint(step db.Step) (*db.Timeline, error) {
	counts := map[int64]int64{}
	joint := &db.Timeline{Exact: true}
	for _, lines := range p.lines {
		line, err := lines.by(step)
		if err != nil {
			return nil, err
		}
		joint.Exact = joint.Exact && line.Exact
		if line.LookedTo.After(joint.LookedTo) {
			joint.LookedTo = line.LookedTo
		}
		for _, bucket := range line.Buckets {
			counts[bucket.Start.Unix()] += bucket.Count
		}
	}
	for _, start := range slices.Sorted(maps.Keys(counts)) {
		joint.Buckets = append(joint.Buckets, db.Bucket{Start: time.Unix(start, 0).In(p.zone), Count: counts[start]})
	}
	return joint, nil
}

// userAddresses is how many addresses stand beside the page of a user.
const userAddresses = 10

func (p *person) facts() []templates.Fact {
	if p.total == 0 {
		return nil
	}
	first, last := p.clock(p.first, dayAndTime), p.clock(p.last, dayAndTime)
	labels := [2]string{"First seen", "Last seen"}
	if len(p.period.Terms) > 0 {
		labels = [2]string{"First in this time", "Last in this time"}
	}
	facts := []templates.Fact{
		{Label: labels[0], Lines: []templates.FactLine{{Time: &first}}},
		{Label: labels[1], Lines: []templates.FactLine{{Time: &last}}},
	}
	if where := p.where(); where != nil {
		facts = append(facts, *where)
	}
	return facts
}

// where are the addresses of a user, the most used first. Each leads to the events
// that were counted, of each kind that has some.
func (p *person) where() *templates.Fact {
	type used struct {
		address string
		count   int64
	}
	var all []used
	distinct := map[audit.Kind]int{}
	for a, counts := range p.addresses {
		u := used{address: a}
		for kind, n := range counts {
			u.count += n
			distinct[kind]++
		}
		all = append(all, u)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b used) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.address, b.address)) })
	where := templates.Fact{Label: "Addresses"}
	for i, a := range all {
		if i == userAddresses {
			most := slices.MaxFunc(audit.Kinds(), func(a, b audit.Kind) int { return cmp.Compare(distinct[a], distinct[b]) })
			where.Lines = append(where.Lines, templates.FactLine{Spans: []templates.Span{{Text: "and " + number(int64(len(all)-i)) + " more",
				Href: p.listQuery(most, p.of(most).String(), "more", "ip") + "#facet-ip"}}})
			break
		}
		where.Lines = append(where.Lines, templates.FactLine{Spans: p.used(a.address), Mono: true})
	}
	return &where
}

// used says how often an address was used: it leads to the kind with the most
// events of it, and what there is of another kind leads there.
func (p *person) used(address string) []templates.Span {
	kinds, counts := audit.Kinds(), p.addresses[address]
	slices.SortStableFunc(kinds, func(a, b audit.Kind) int { return cmp.Compare(counts[b], counts[a]) })
	var spans []templates.Span
	for _, kind := range kinds {
		n := counts[kind]
		if n == 0 {
			break
		}
		text, href := plural(n, kind.Singular()), p.list(p.of(kind).Include("ip", address))
		if spans == nil {
			spans = []templates.Span{{Text: address, Href: href}, quiet(" " + text)}
		} else {
			spans = append(spans, quiet(", "), templates.Span{Text: text, Class: templates.Quiet, Href: href})
		}
	}
	return spans
}
