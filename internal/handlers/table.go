package handlers

import (
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// table makes the rows of a table of events under a filter.
type table struct {
	*visit
	teller
	filter  *query.Filter
	columns []column
	hrefs   map[[2]string]string // where toggle and user lead, by key and value: rows repeat them
	spans   []templates.Span     // empty: room for those of the next cells
	selects bool                 // resolved rows cannot be selected
	// perDay says how many events match on the day that begins at a second, for
	// the days it knows.
	perDay map[int64]int64
	// belated is set where nearly all rows are late, as after an import: then a
	// mark in each of them would say nothing.
	belated time.Duration
	hunts   []hunt // what text the filter looks for
	looked  int    // how much text was looked through for it in what the rows do not show
	// redacted are the fields that were redacted, by the id of an event.
	redacted map[int64][]string
}

func (v *visit) table(f *query.Filter) *table {
	return &table{visit: v, teller: teller{needles: needles(f)}, hunts: hunts(f), filter: f, columns: viewOf(f.Kind).columns, hrefs: map[[2]string]string{}}
}

// toggle is the address of the list with a value added to the filter, or taken
// away where it is in it already.
func (t *table) toggle(key, value string) string {
	return t.once(key, value, func() string { return t.listQuery(t.filter.Kind, t.filter.IncludeText(key, value)) })
}

// user is the address of the page of a user.
func (t *table) user(name string) string {
	return t.once("", name, func() string { return userPath(t.visit, name) })
}

// once is an address that is made once for all rows.
func (t *table) once(key, value string, href func() string) string {
	known, ok := t.hrefs[[2]string{key, value}]
	if !ok {
		known = href()
		t.hrefs[[2]string{key, value}] = known
	}
	return known
}

// room is where the spans of a cell are appended to; keep gives the cell what was,
// so that many rows share one piece of memory.
func (t *table) room() []templates.Span {
	if cap(t.spans) < 16 {
		t.spans = make([]templates.Span, 0, 256)
	}
	return t.spans
}

func (t *table) keep(spans []templates.Span) []templates.Span {
	t.spans = spans[len(spans):]
	return spans[:len(spans):len(spans)]
}

// said is a text in a cell.
func (t *table) said(s string) []templates.Span {
	return t.keep(t.text(t.room(), s, templates.Plain, nameLimit))
}

// days makes the rows of a page, by civil day in the page's zone, newest first.
// A tombstone stands at the place of its event.
func (t *table) days(items []*db.Stored, stones []db.Tombstone) ([]templates.Day, error) {
	var err error
	if t.redacted, err = t.redactedOf(t.filter.Kind, items); err != nil {
		return nil, err
	}
	t.belated = mostlyLate(items)
	var days []templates.Day
	var from, to time.Time // of the last of them
	rows := make([]templates.Row, 0, len(items)+len(stones))
	cells := make([]templates.Cell, len(items)*len(t.columns))
	add := func(at time.Time, row templates.Row) {
		if len(days) == 0 || at.Before(from) || !at.Before(to) {
			from = db.ByDay.Start(at.In(t.zone))
			to = db.ByDay.Next(from)
			days = append(days, templates.Day{Label: dayName(from), Href: t.listQuery(t.filter.Kind, t.filter.WithinText(from, to)), Note: t.dayNote(from)})
		}
		last := &days[len(days)-1]
		rows = append(rows, row)
		last.Rows = rows[len(rows)-len(last.Rows)-1:]
	}
	for _, st := range items {
		for len(stones) > 0 && stones[0].ID > st.ID {
			add(stones[0].Timestamp, t.stone(stones[0]))
			stones = stones[1:]
		}
		at := st.Time()
		add(at, t.row(st, at, cells[:len(t.columns)]))
		cells = cells[len(t.columns):]
	}
	for _, stone := range stones {
		add(stone.Timestamp, t.stone(stone))
	}
	return days, nil
}

// dayNote says how much there was on a day, and what is unusual about it.
func (t *table) dayNote(day time.Time) string {
	n, known := t.perDay[day.Unix()]
	if !known {
		return oddDay(day)
	}
	text := plural(n, "event")
	if day.Equal(db.ByDay.Start(t.now.In(t.zone))) {
		text += " so far"
	}
	return joined("; ", text, oddDay(day))
}

// mostlyLate returns how late the latest of some events was recorded, if at
// least five of six of them were late, and otherwise zero.
func mostlyLate(items []*db.Stored) time.Duration {
	count, most := 0, time.Duration(0)
	for _, st := range items {
		if d := st.Late(); d >= lateFrom {
			count++
			most = max(most, d)
		}
	}
	if len(items) < 6 || count*6 < len(items)*5 {
		return 0
	}
	return most
}

// row makes the row of an event that happened at an instant, in cells that are
// given for it.
func (t *table) row(st *db.Stored, at time.Time, cells []templates.Cell) templates.Row {
	href := eventPath(st.Kind, st.ID)
	row := templates.Row{
		ID:    href[strings.LastIndexByte(href, '/')+1:],
		Href:  href,
		Time:  templates.Time{Text: at.In(t.zone).Format(timeOfDay), UTC: at.Format(utcTime)},
		Cells: cells,
	}
	if len(st.Damaged) > 0 {
		row.Mark = &damagedBadge
	} else if len(t.redacted[st.ID]) > 0 {
		row.Mark = &rowRedacted
	}
	if t.belated == 0 {
		row.Time.Late, row.Time.Early = lateness(st.RecordedAt.Sub(at))
	}
	for i := range t.columns {
		cells[i] = t.columns[i].cell(t, st)
	}
	row.Found = t.found(st.Event, cells)
	if t.selects && st.Get("resolved") == "true" {
		row.Locked = "resolved already"
	}
	return row
}

func (t *table) stone(stone db.Tombstone) templates.Row {
	return templates.Row{
		ID:    strconv.FormatInt(stone.ID, 10),
		Href:  eventPath(stone.Kind, stone.ID),
		Time:  t.clock(stone.Timestamp, timeOfDay),
		Stone: &templates.Stone{Text: stone.DeletedBy + " deleted an event here", Reason: stone.Reason},
	}
}

// model is the table as the page takes it, without the columns that no row of
// it has a value in.
func (t *table) model(caption string, days []templates.Day) templates.Table {
	m := templates.Table{Caption: caption, Days: days}
	filled := make([]bool, len(t.columns))
	for _, day := range days {
		for _, row := range day.Rows {
			for i, cell := range row.Cells {
				filled[i] = filled[i] || cell.Badge != nil || len(cell.Spans) > 0 || cell.Hint != ""
			}
		}
	}
	for i, c := range t.columns {
		if filled[i] {
			m.Columns = append(m.Columns, c.Column)
		}
	}
	for _, day := range days {
		for i := range day.Rows {
			day.Rows[i].Cells = kept(day.Rows[i].Cells, filled)
		}
	}
	return m
}

// kept are the cells whose column stays, in the place of all cells.
func kept(cells []templates.Cell, stays []bool) []templates.Cell {
	some := cells[:0]
	for i, cell := range cells {
		if stays[i] {
			some = append(some, cell)
		}
	}
	return some
}

// eventTime is when an event happened, with the mark of one recorded late.
func (v *visit) eventTime(st *db.Stored, layout string) templates.Time {
	at := v.clock(st.Time(), layout)
	at.Late, at.Early = lateness(st.Late())
	return at
}

// lateness is the mark of an event that was recorded so long after it happened.
func lateness(d time.Duration) (mark string, early bool) {
	if d < -lateFrom {
		return span(-d) + " early", true
	}
	return late(d), false
}
