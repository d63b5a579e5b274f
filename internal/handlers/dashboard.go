package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// periods are the stretches of time the overview can show.
var periods = []int{7, 30, 90}

const defaultPeriod = 30

// sums are the numbers of the summary, in the contract's order: what each
// counts, and the query that lists what was counted.
var sums = []struct {
	label string
	kind  audit.Kind
	query string
	of    func(db.Summary) int64
	alarm bool // above zero it calls for somebody
}{
	{"Total actions", audit.KindAuditLog, "", func(s db.Summary) int64 { return s.TotalActions }, false},
	{"Creates", audit.KindAuditLog, "action:CREATE", func(s db.Summary) int64 { return s.Creates }, false},
	{"Updates", audit.KindAuditLog, "action:UPDATE", func(s db.Summary) int64 { return s.Updates }, false},
	{"Deletes", audit.KindAuditLog, "action:DELETE", func(s db.Summary) int64 { return s.Deletes }, false},
	{"Views", audit.KindAuditLog, "action:VIEW", func(s db.Summary) int64 { return s.Views }, false},
	{"Logins", audit.KindLoginAttempt, "status:SUCCESS", func(s db.Summary) int64 { return s.Logins }, false},
	{"Failed logins", audit.KindLoginAttempt, "status:FAILED", func(s db.Summary) int64 { return s.FailedLogins }, false},
	{"System errors", audit.KindSystemEvent, "event:ERROR", func(s db.Summary) int64 { return s.SystemErrors }, false},
	{"Unresolved events", audit.KindSystemEvent, "is:unresolved", func(s db.Summary) int64 { return s.UnresolvedEvents }, true},
}

// overview is what the parts of the overview have in common: its stretch of
// time, and whose deeds it is about.
type overview struct {
	*visit
	days int
	user string
}

// dashboard is the overview of the last days.
func (s *Server) dashboard(v *visit) (templ.Component, error) {
	o := overview{visit: v, days: defaultPeriod, user: strings.TrimSpace(v.params.Get("user"))}
	if text := v.params.Get("days"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 3650 {
			return nil, refuse(http.StatusBadRequest, "days=%s is not a number of days from 1 to 3650", short(text))
		}
		o.days = n
	}
	page, err := o.page()
	if err != nil {
		return nil, err
	}
	return templates.Dashboard(page), nil
}

func (o overview) page() (templates.DashboardPage, error) {
	today := o.now.In(o.zone)
	from := today.AddDate(0, 0, -o.days)
	page := templates.DashboardPage{
		Kicker:   "Overview of everybody",
		Headline: "The last " + plural(int64(o.days), "day") + ", " + from.Format("2 January") + " to " + today.Format("2 January 2006"),
		Period:   templates.Period{Action: "/", User: o.user, Keep: o.keep("days", "user")},
	}
	if o.user != "" {
		page.Kicker = "Overview of one user"
		page.Headline = o.user + ", " + strings.ToLower(page.Headline[:1]) + page.Headline[1:]
	}
	listed := false
	for _, n := range periods {
		page.Period.Days = append(page.Period.Days, templates.Choice{Value: strconv.Itoa(n), Label: plural(int64(n), "day"), Current: n == o.days})
		listed = listed || n == o.days
	}
	if !listed {
		page.Period.Days = append(page.Period.Days, templates.Choice{Value: strconv.Itoa(o.days), Label: plural(int64(o.days), "day"), Current: true})
	}
	for _, part := range []func(*templates.DashboardPage) error{o.sums, o.activity, o.attention, o.exports, o.failing, o.recorder} {
		if err := part(&page); err != nil {
			return page, err
		}
	}
	page.Layout = o.layout("Overview")
	page.Search = o.searchBox(audit.KindAuditLog, "", false)
	return page, nil
}

// query is a query of the overview: within its time, about its user.
func (o overview) query(q string) string {
	return joined(" ", q, o.ofUser(), "last:"+strconv.Itoa(o.days)+"d")
}

// ofUser is the term of the overview's user, "" where it is about everybody.
func (o overview) ofUser() string {
	if o.user == "" {
		return ""
	}
	return "user:" + query.Quote(o.user)
}

// about is one of two texts: about everybody, or about one user.
func (o overview) about(everybody, one string) string {
	if o.user == "" {
		return everybody
	}
	return one
}

// pick is what a query of the overview matches.
func (o overview) pick(kind audit.Kind, q string) (*query.Filter, *db.Selection, error) {
	f, err := o.parse(kind, o.query(q))
	if err != nil {
		return nil, nil, err
	}
	sel, err := o.server.Store.Select(o.Context(), f)
	return f, sel, err
}

func (o overview) sums(page *templates.DashboardPage) error {
	summary, err := o.server.Store.Summary(o.Context(), o.days, o.user)
	if err != nil {
		return err
	}
	twice, err := o.server.Store.Summary(o.Context(), 2*o.days, o.user)
	if err != nil {
		return err
	}
	for _, sum := range sums {
		n := sum.of(summary)
		m := templates.Sum{Label: sum.label, Text: number(n), Href: o.listQuery(sum.kind, o.query(sum.query)), Alarm: sum.alarm && n > 0}
		if m.Spark, err = o.spark(sum.kind, sum.query); err != nil {
			return err
		}
		days := plural(int64(o.days), "day")
		if !sum.alarm {
			if m.Change = change100(n, sum.of(twice)-n); m.Change != "" {
				page.SumsNote = "In per cent: against the " + days + " before."
			}
		} else if open, _, err := o.server.count(o.visit, sum.kind, joined(" ", sum.query, o.ofUser())); err != nil {
			return err
		} else if open > n { // what was unresolved before is not known: it is told beside what the menu counts
			m.Change = "of " + number(open) + " open"
			page.SumsNote = joined(" ", page.SumsNote, "Unresolved: of these "+days+"; open: whenever they happened.")
		}
		page.Sums = append(page.Sums, m)
	}
	return nil
}

// change100 is how much more or less n is than what was before, in per cent,
// and "" where too little was before for that to mean anything.
func change100(n, before int64) string {
	const few = 10
	if before < few {
		return ""
	}
	switch d := (n - before) * 100 / before; {
	case d > 0:
		return "+" + number(d) + " %"
	case d < 0:
		return "−" + number(-d) + " %"
	}
	return "±0 %"
}

// spark is how many events of a query there were in each step of the overview.
func (o overview) spark(kind audit.Kind, q string) ([]int64, error) {
	_, sel, err := o.pick(kind, q)
	if err != nil {
		return nil, err
	}
	from, to := o.span()
	by := bars(from, to)
	line, err := sel.Timeline(o.Context(), by)
	if err != nil {
		return nil, err
	}
	var counts []int64
	for _, bucket := range filled(line, by, from, to).Buckets {
		counts = append(counts, bucket.Count)
	}
	return counts, nil
}

// span is the stretch of time of the overview.
func (o overview) span() (from, to time.Time) {
	to = o.now.In(o.zone)
	return to.AddDate(0, 0, -o.days), to
}

func (o overview) activity(page *templates.DashboardPage) error {
	f, sel, err := o.pick(audit.KindAuditLog, "")
	if err != nil {
		return err
	}
	count, err := sel.Count(o.Context())
	if err != nil {
		return err
	}
	from, to := o.span()
	by := bars(from, to)
	line, err := sel.Timeline(o.Context(), by)
	if err != nil {
		return err
	}
	line = filled(line, by, from, to)
	page.Activity = templates.Activity{Title: o.about("What people did", "What this user did"), Count: o.count(count, "action"),
		Histogram: o.histogram(line, by, "actions", f, o.lists(f.Kind))}
	return nil
}

// What calls for a person: so many unresolved events at once, and so many
// failures from one address.
const (
	attentionRows  = 6
	attentionReach = 200 // unresolved events looked at for those rows
	burstFrom      = 10
)

func (o overview) attention(page *templates.DashboardPage) error {
	const urgent = "event:ERROR,SECURITY is:unresolved"
	_, sel, err := o.pick(audit.KindSystemEvent, urgent)
	if err != nil {
		return err
	}
	rows, err := sel.List(o.Context(), db.Page{Limit: attentionReach})
	if err != nil {
		return err
	}
	shown := 0
	groups := alike(rows.Items)
	for _, same := range groups[:min(attentionRows, len(groups))] {
		st := same[0]
		a := templates.Attention{Badge: *badge(st.Event), Spans: teller{}.what(nil, st.Event, true),
			Href: eventPath(st.Kind, st.ID), Note: joined(", ", st.Get("module"), who(st.Event)), Time: o.clock(st.Time(), "2 Jan 15:04")}
		if n := len(same); n > 1 {
			a.Times = "× " + number(int64(n))
			a.Href = o.listQuery(st.Kind, o.query("event:"+st.Get("event_type")+" is:unresolved title:"+query.Quote(st.Get("title"))))
			a.Note = joined(", ", st.Get("module"), "first on "+o.day(same[n-1].Time()))
		}
		page.Attention = append(page.Attention, a)
		shown += len(same)
	}
	count, err := sel.Count(o.Context())
	if err != nil {
		return err
	}
	if more := count.Value - int64(shown); more > 0 {
		page.More = &templates.Link{Text: number(more) + " more unresolved, errors and security", Href: o.listQuery(audit.KindSystemEvent, o.query(urgent))}
	}
	for _, look := range []func(*templates.DashboardPage) error{o.bursts, o.lateArrivals} {
		if err := look(page); err != nil {
			return err
		}
	}
	page.Quiet = "Nothing: no unresolved errors, no bursts of failed logins, nothing that came in late."
	return nil
}

// alike gathers the events that say the same, the newest of each first.
func alike(events []*db.Stored) [][]*db.Stored {
	type sameness struct{ kind, module, title string }
	places := map[sameness]int{}
	var groups [][]*db.Stored
	for _, st := range events {
		key := sameness{st.Get("event_type"), st.Get("module"), st.Get("title")}
		place, known := places[key]
		if !known {
			place = len(groups)
			places[key] = place
			groups = append(groups, nil)
		}
		groups[place] = append(groups[place], st)
	}
	return groups
}

// bursts are the addresses that failed to sign in most.
func (o overview) bursts(page *templates.DashboardPage) error {
	const failed = "status:FAILED,BLOCKED"
	f, sel, err := o.pick(audit.KindLoginAttempt, failed)
	if err != nil {
		return err
	}
	facet, err := sel.Facet(o.Context(), "ip", 3)
	if err != nil {
		return err
	}
	for _, value := range facet.Values {
		if value.Count < burstFrom || value.Value == "" {
			continue
		}
		from := f.Include("ip", value.Value)
		_, latest, err := o.glance(from)
		if err != nil {
			return err
		}
		a := templates.Attention{Badge: templates.Badge{Text: "FAILED", Tone: templates.Alarm, Icon: templates.IconBad}, Href: o.list(from),
			Spans: []templates.Span{strong(plural(value.Count, "failed login")), plain(" from " + value.Value)}}
		if latest != nil {
			a.Note, a.Time = "last as "+somebody(latest.Event), o.clock(latest.Time(), "2 Jan 15:04")
		}
		page.Attention = append(page.Attention, a)
	}
	return nil
}

// glance is how many events a filter matches, and the newest of them, nil if
// there is none.
func (v *visit) glance(f *query.Filter) (db.Count, *db.Stored, error) {
	sel, err := v.server.Store.Select(v.Context(), f)
	if err != nil {
		return db.Count{}, nil, err
	}
	count, err := sel.Count(v.Context())
	if err != nil {
		return count, nil, err
	}
	rows, err := sel.List(v.Context(), db.Page{Limit: 1})
	if err != nil || len(rows.Items) == 0 {
		return count, nil, err
	}
	return count, rows.Items[0], nil
}

// lateArrivals are the events that were recorded lately and had happened long
// before: an import, or somebody who writes the past.
func (o overview) lateArrivals(page *templates.DashboardPage) error {
	since := db.ByDay.Start(o.now.In(o.zone).AddDate(0, 0, -7))
	q := joined(" ", "recorded:"+since.Format(time.DateOnly), "before:"+since.AddDate(0, 0, -1).Format(time.DateOnly), o.ofUser())
	var what []string
	var newest *db.Stored
	a := templates.Attention{Badge: templates.Badge{Text: "LATE", Icon: templates.IconInfo}, Note: "an import, or a recorder that was cut off"}
	for _, kind := range audit.Kinds() {
		f, err := o.parse(kind, q)
		if err != nil {
			return err
		}
		count, last, err := o.glance(f)
		if err != nil {
			return err
		}
		if last == nil {
			continue
		}
		if what = append(what, countText(count)+" "+noun(count.Value, kind.Singular())); len(what) == 1 {
			a.Href = o.list(f)
		}
		if newest == nil || last.RecordedAt.After(newest.RecordedAt) {
			newest = last
		}
	}
	if newest == nil {
		return nil
	}
	a.Spans = []templates.Span{strong(strings.Join(what, ", ")), plain(" came in late in the last 7 days")}
	a.Time = o.clock(newest.RecordedAt, "2 Jan 15:04")
	page.Attention = append(page.Attention, a)
	return nil
}

// largeExport is how many rows an export has to have to be marked.
const largeExport = 1000

func (o overview) exports(page *templates.DashboardPage) error {
	_, sel, err := o.pick(audit.KindDataExport, "")
	if err != nil {
		return err
	}
	rows, err := sel.List(o.Context(), db.Page{Limit: 5})
	if err != nil {
		return err
	}
	page.Exports = templates.Side{Title: "Recent exports", None: o.about("Nobody exported anything.", "No export in these days."),
		More: &templates.Link{Text: "All exports", Href: o.listQuery(audit.KindDataExport, o.query(""))}}
	for _, st := range rows.Items {
		n, err := strconv.ParseInt(st.Get("record_count"), 10, 64)
		row := templates.SideRow{Name: templates.Link{Text: cut(st.Get("export_type"), quoteLimit), Href: eventPath(st.Kind, st.ID)},
			Note: joined(", ", who(st.Event), st.Time().In(o.zone).Format("2 Jan 15:04"))}
		if err == nil {
			row.Value, row.Strong = plural(n, "row"), n >= largeExport
		}
		page.Exports.Rows = append(page.Exports.Rows, row)
	}
	return nil
}

// failing are the names that failed to sign in most, and of one user the addresses.
func (o overview) failing(page *templates.DashboardPage) error {
	f, sel, err := o.pick(audit.KindLoginAttempt, "status:FAILED")
	if err != nil {
		return err
	}
	key := o.about("user", "ip")
	facet, err := sel.Facet(o.Context(), key, 5)
	if err != nil {
		return err
	}
	page.Failing = templates.Side{Title: o.about("Failed to sign in most", "Failed to sign in from"), None: o.about("Nobody failed to sign in.", "No failed sign-in in these days.")}
	for _, value := range facet.Values {
		name := value.Value
		if name == "" {
			name = o.about("no name", "no address")
		}
		page.Failing.Rows = append(page.Failing.Rows, templates.SideRow{Name: templates.Link{Text: cut(name, quoteLimit), Href: o.list(f.Include(key, value.Value))},
			Value: plural(value.Count, "failure")})
	}
	if facet.More > 0 {
		page.Failing.More = &templates.Link{Text: plural(int64(facet.More), o.about("more name", "more address")), Href: o.list(f)}
	}
	return nil
}

// recorder says how much there is, of everybody or of one user, and how fresh it is.
func (o overview) recorder(page *templates.DashboardPage) error {
	page.Recorder = templates.Side{Title: o.about("What is recorded", "What is recorded of this user")}
	total := int64(0)
	for _, look := range views {
		f, err := o.parse(look.kind, o.ofUser())
		if err != nil {
			return err
		}
		count, last, err := o.glance(f)
		if err != nil {
			return err
		}
		row := templates.SideRow{Name: templates.Link{Text: look.title(), Href: o.list(f)}, Value: countText(count), Note: "none yet"}
		if last != nil {
			row.Note = "newest " + ago(last.Time(), o.now)
		}
		total += count.Value
		page.Recorder.Rows = append(page.Recorder.Rows, row)
	}
	if o.user != "" {
		if total == 0 {
			page.Empty = []templates.Span{plain("Nothing was ever recorded of a user of that name or id.")}
		} else {
			page.Recorder.More = &templates.Link{Text: "Everything about this user", Href: userPath(o.visit, o.user)}
		}
		return nil
	}
	if n, _, err := o.server.count(o.visit, audit.KindSystemEvent, troubles); err != nil {
		return err
	} else if n > 0 {
		page.Recorder.Rows = append(page.Recorder.Rows, templates.SideRow{Strong: true, Value: plural(n, "trouble"), Note: "not resolved",
			Name: templates.Link{Text: "Recorders", Href: o.listQuery(audit.KindSystemEvent, o.query(troubles))}})
	}
	if total == 0 {
		page.Empty = []templates.Span{plain("Nothing was recorded yet. Bring in what you have with "), {Text: "auditadmin import", Class: templates.Code},
			plain(", or see it at work with "), {Text: "auditadmin demo", Class: templates.Code}, plain(".")}
	}
	return nil
}
