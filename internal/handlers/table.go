package handlers

import (
	"strconv"
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
	selects bool // rows can be selected
}

func (v *visit) table(f *query.Filter) *table {
	return &table{visit: v, teller: teller{needles: needles(f)}, filter: f, columns: viewOf(f.Kind).columns}
}

// toggle is the address of the list with a value added to the filter, or taken
// away where it is in it already.
func (t *table) toggle(key, value string) string {
	return t.list(t.filter.Include(key, value))
}

// days makes the rows of a page, by civil day in the page's zone, newest first.
// A tombstone stands at the place of its event.
func (t *table) days(items []*db.Stored, stones []db.Tombstone) []templates.Day {
	var days []templates.Day
	var current time.Time
	add := func(at time.Time, row templates.Row) {
		day := start(at.In(t.zone), db.ByDay)
		if len(days) == 0 || !day.Equal(current) {
			current = day
			days = append(days, templates.Day{
				Label: dayName(day),
				Href:  t.list(t.filter.During(day, following(day, db.ByDay))),
				Note:  oddDay(day),
			})
		}
		last := &days[len(days)-1]
		last.Rows = append(last.Rows, row)
	}
	for _, st := range items {
		for len(stones) > 0 && stones[0].ID > st.ID {
			add(stones[0].Timestamp, t.stone(stones[0]))
			stones = stones[1:]
		}
		add(st.Time(), t.row(st))
	}
	for _, stone := range stones {
		add(stone.Timestamp, t.stone(stone))
	}
	return days
}

func (t *table) row(st *db.Stored) templates.Row {
	row := templates.Row{
		ID:    strconv.FormatInt(st.ID, 10),
		Href:  eventPath(st.Kind, st.ID),
		Time:  t.eventTime(st, timeOfDay),
		Cells: make([]templates.Cell, len(t.columns)),
	}
	for i, c := range t.columns {
		row.Cells[i] = c.cell(t, st)
	}
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

// model is the table as the page takes it.
func (t *table) model(caption string, days []templates.Day) templates.Table {
	m := templates.Table{Caption: caption, Days: days}
	for _, c := range t.columns {
		m.Columns = append(m.Columns, c.Column)
	}
	return m
}

// eventTime is when an event happened, with the mark of one recorded late.
func (v *visit) eventTime(st *db.Stored, layout string) templates.Time {
	at := v.clock(st.Time(), layout)
	if d := st.Late(); d >= 0 {
		at.Late = late(d)
	} else if d < -lateFrom {
		at.Late, at.Early = span(-d)+" early", true
	}
	return at
}
