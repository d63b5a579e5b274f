package handlers

import (
	"slices"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// when is the date hierarchy of a page: where the filter stands in time, and how
// much there was in each step below it. Its links lead to that page under another
// query, whose address link makes.
func (v *visit) when(lines *timelines, f *query.Filter, what string, link func(q string) string) (*templates.When, error) {
	lo, hi, bounded := f.Bounds()
	from, to := time.UnixMicro(lo).In(v.zone), time.UnixMicro(hi).In(v.zone)
	m := &templates.When{Crumbs: v.crumbs(f, from, to, bounded, link)}
	if bounded && !from.Before(to) {
		return m, nil
	}
	var by db.Step
	if bounded {
		m.PreviousHref, m.NextHref = v.besides(f, from, to, link)
		if _, whole := enclosing(from, to); !whole {
			to = earlier(to, v.now.In(v.zone)) // a whole year, month or day is drawn whole
		}
		if by = bars(from, to); by == "" {
			return m, nil
		}
	} else {
		by = db.ByYear
		// Nearly every database needs the months, and they add up to the years.
		if _, err := lines.by(db.ByMonth); err != nil {
			return nil, err
		}
	}
	line, err := lines.by(by)
	if err != nil {
		return nil, err
	}
	// All of time: from the years on, finer as long as it makes a readable chart.
	for !bounded && len(line.Buckets) > 0 {
		from := line.Buckets[0].Start.In(v.zone)
		to := by.Next(line.Buckets[len(line.Buckets)-1].Start.In(v.zone))
		finer := bars(from, earlier(to, v.now.In(v.zone)))
		if finer == "" || slices.Index(steps, finer) <= slices.Index(steps, by) {
			break
		}
		if line, err = lines.by(finer); err != nil {
			return nil, err
		}
		by = finer
	}
	if n := len(line.Buckets); n > 0 && !bounded {
		from, to = line.Buckets[0].Start.In(v.zone), line.Buckets[n-1].Start
	}
	line = filled(line, by, from, to)
	m.Histogram = v.histogram(line, by, what, f, link)
	return m, nil
}

// timelines are those of one selection, each asked for once, and not at all
// where the steps of another add up to it.
type timelines struct {
	ask   func(step db.Step) (*db.Timeline, error)
	zone  *time.Location
	known map[db.Step]*db.Timeline
}

func (v *visit) timelines(sel *db.Selection) *timelines {
	return v.timelinesOf(func(step db.Step) (*db.Timeline, error) { return sel.Timeline(v.Context(), step) })
}

func (v *visit) timelinesOf(ask func(step db.Step) (*db.Timeline, error)) *timelines {
	return &timelines{ask: ask, zone: v.zone, known: map[db.Step]*db.Timeline{}}
}

func (l *timelines) by(step db.Step) (*db.Timeline, error) {
	if line := l.known[step]; line != nil {
		return line, nil
	}
	var line *db.Timeline
	for _, finer := range steps[slices.Index(steps, step):] {
		if fine := l.known[finer]; fine != nil {
			line = coarser(fine, step, l.zone)
			break
		}
	}
	if line == nil {
		var err error
		if line, err = l.ask(step); err != nil {
			return nil, err
		}
	}
	l.known[step] = line
	return line, nil
}

// coarser adds up the steps of a timeline.
func coarser(fine *db.Timeline, by db.Step, zone *time.Location) *db.Timeline {
	line := &db.Timeline{Exact: fine.Exact, LookedTo: fine.LookedTo}
	var end time.Time
	for _, b := range fine.Buckets {
		if len(line.Buckets) == 0 || !b.Start.Before(end) {
			start := by.Start(b.Start.In(zone))
			end = by.Next(start)
			line.Buckets = append(line.Buckets, db.Bucket{Start: start})
		}
		line.Buckets[len(line.Buckets)-1].Count += b.Count
	}
	return line
}

// maxBars is how many steps a drawing has room for.
const maxBars = 400

// filled is a timeline with all the steps of a range, also those in which
// nothing happened. Where they would be too many, as in a range that is open on
// one side and reaches to the beginning of time, it is only those between the
// first and the last event.
func filled(line *db.Timeline, by db.Step, from, to time.Time) *db.Timeline {
	if len(line.Buckets) == 0 {
		return line
	}
	counts := map[int64]int64{}
	for _, bucket := range line.Buckets {
		counts[bucket.Start.Unix()] = bucket.Count
	}
	first, last := line.Buckets[0].Start.In(from.Location()), line.Buckets[len(line.Buckets)-1].Start
	for _, at := range []time.Time{by.Start(from), first} {
		whole := &db.Timeline{Exact: line.Exact, LookedTo: line.LookedTo}
		for ; at.Before(to) || !at.After(last); at = by.Next(at) {
			if whole.Buckets = append(whole.Buckets, db.Bucket{Start: at, Count: counts[at.Unix()]}); len(whole.Buckets) > maxBars {
				break
			}
		}
		if len(whole.Buckets) <= maxBars {
			return whole
		}
	}
	return line
}

// daysCounted is how many events may match for their days to be counted for
// the dividers of a list alone.
const daysCounted = 500_000

// perDay is how many events there were on each day, as far as that is known
// and worth its time.
func (v *visit) perDay(lines *timelines, count db.Count) (map[int64]int64, error) {
	if !count.Exact || count.Value > daysCounted {
		return nil, nil
	}
	line, err := lines.by(db.ByDay)
	if err != nil || !line.Exact {
		return nil, err
	}
	days := make(map[int64]int64, len(line.Buckets))
	for _, bucket := range line.Buckets {
		days[bucket.Start.Unix()] = bucket.Count
	}
	return days, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// crumbs are the steps from all of time to the range of the filter.
func (v *visit) crumbs(f *query.Filter, from, to time.Time, bounded bool, link func(q string) string) []templates.Link {
	crumbs := []templates.Link{{Text: "All", Href: link(f.During(time.Time{}, time.Time{}).String()), Current: !bounded}}
	if !bounded {
		return crumbs
	}
	if !from.Before(to) {
		return append(crumbs, templates.Link{Text: "no time at all", Current: true})
	}
	levels, exact := enclosing(from, to)
	for _, by := range levels {
		begin := by.Start(from)
		crumbs = append(crumbs, templates.Link{Text: stepName(begin, by), Href: link(f.During(begin, by.Next(begin)).String())})
	}
	if !exact {
		crumbs = append(crumbs, templates.Link{Text: v.rangeName(from, to, len(levels))})
	}
	crumbs[len(crumbs)-1].Current = true
	return crumbs
}

// rangeName names a range that is no whole year, month, day or hour. The levels
// above it are named before it.
func (v *visit) rangeName(from, to time.Time, levels int) string {
	layout := "2 Jan 2006"
	switch {
	case levels >= 3:
		layout = "15:04"
	case levels >= 1:
		layout = "2 Jan"
	}
	if levels < 3 && (!db.ByDay.Start(from).Equal(from) || !db.ByDay.Start(to).Equal(to)) && to.Sub(from) < 3*24*time.Hour {
		layout += " 15:04"
	}
	switch {
	case from.Year() < 1971:
		return "before " + to.Format(layout)
	case to.After(v.now):
		return "since " + from.Format(layout)
	}
	return from.Format(layout) + " to " + to.Add(-time.Microsecond).Format(layout)
}

// besides are the addresses of the year, month, day or hour before and after
// the one that the filter stands at.
func (v *visit) besides(f *query.Filter, from, to time.Time, link func(q string) string) (previous, next string) {
	levels, exact := enclosing(from, to)
	if !exact || len(levels) == 0 {
		return "", ""
	}
	by := levels[len(levels)-1]
	before := by.Start(from.Add(-time.Microsecond))
	previous = link(f.During(before, from).String())
	if to.Before(v.now) {
		next = link(f.During(to, by.Next(to)).String())
	}
	return previous, next
}

// stepNouns are the levels as a chart says them.
var stepNouns = map[db.Step]string{db.ByYear: "year", db.ByMonth: "month", db.ByDay: "day", db.ByHour: "hour"}

// histogram draws a timeline of what matches a filter. A bar leads to what it
// counts: where the range begins or ends within a step, to that part of it.
func (v *visit) histogram(line *db.Timeline, by db.Step, what string, f *query.Filter, link func(q string) string) *templates.Histogram {
	if len(line.Buckets) == 0 {
		return nil
	}
	m := &templates.Histogram{Step: stepNouns[by]}
	most := int64(0)
	var tick time.Time
	for i, bucket := range line.Buckets {
		from := bucket.Start.In(v.zone)
		to := by.Next(from)
		bar := templates.Bar{
			Label:     joined(", ", stepFullName(from, by), partName(f, from, to)),
			Count:     bucket.Count,
			CountText: plural(bucket.Count, "event"),
			Current:   !v.now.Before(from) && v.now.Before(to),
		}
		if bucket.Count > 0 || !from.After(v.now) {
			bar.Href = link(f.WithinText(from, to))
		}
		if !line.Exact && to.Before(line.LookedTo) {
			bar.Unknown, bar.CountText = true, "not counted"
		}
		bar.Tick = tickName(from, tick, by, i, len(line.Buckets))
		if bar.Tick != "" {
			tick = from
		}
		most = max(most, bucket.Count)
		m.Bars = append(m.Bars, bar)
	}
	m.Max = number(most) + " " + a(by)
	m.Label = sentenceCase(what) + " " + a(by)
	if !line.Exact {
		m.Why = "the text is too frequent to look at everything"
		if !line.LookedTo.IsZero() {
			m.Why += "; counted back to " + v.day(line.LookedTo)
		}
	}
	return m
}

// partName says which part of a step a filter leaves, and "" where it is the whole.
func partName(f *query.Filter, from, to time.Time) string {
	begin, end := f.Within(from, to)
	layout := "15:04"
	if to.Sub(from) > 36*time.Hour {
		layout = "2 January 15:04"
	}
	var parts [2]string
	if begin.After(from) {
		parts[0] = "from " + begin.Format(layout)
	}
	if end.Before(to) {
		parts[1] = "until " + end.Format(layout)
	}
	return joined(" ", parts[0], parts[1])
}

// a is "a day", "an hour".
func a(by db.Step) string {
	if by == db.ByHour {
		return "an hour"
	}
	return "a " + stepNouns[by]
}

// tickName is what the axis says below a bar, and "" below most: about six
// names, each at a place where people expect one.
func tickName(t, last time.Time, by db.Step, i, n int) string {
	switch by {
	case db.ByYear:
		if n > 20 && t.Year()%5 != 0 {
			return ""
		}
		return t.Format("2006")
	case db.ByMonth:
		if n == 12 && t.AddDate(0, -i, 0).Month() == time.January {
			return t.Format("Jan") // the year stands above
		}
		if t.Month() == time.January || i == 0 {
			return t.Format("Jan 2006")
		}
		if n <= 12 || n <= 24 && (t.Month()-1)%3 == 0 {
			return t.Format("Jan")
		}
	case db.ByDay:
		if i == 0 || n > 40 && t.Day() == 1 {
			return t.Format("2 Jan")
		}
		if n <= 40 && i%7 == 0 {
			return t.Format("2 Jan")
		}
	default:
		if i == 0 || t.Hour() == 0 && n > 24 {
			return t.Format("2 Jan 15:04")
		}
		if n <= 24 && t.Hour()%6 == 0 && t.Sub(last) >= 3*time.Hour {
			return t.Format("15:04")
		}
	}
	return ""
}
