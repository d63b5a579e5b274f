package handlers

import (
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

// steps are the levels of the date hierarchy from coarse to fine.
var steps = []db.Step{db.ByYear, db.ByMonth, db.ByDay, db.ByHour}

// enclosing returns the levels whose one year, month, day or hour holds all of
// lo to hi, coarse first, and whether the last of them is exactly that range.
func enclosing(lo, hi time.Time) (levels []db.Step, exact bool) {
	last := hi.Add(-time.Microsecond)
	for _, by := range steps {
		if !by.Start(lo).Equal(by.Start(last)) {
			break
		}
		levels = append(levels, by)
		if by.Start(lo).Equal(lo) && by.Next(lo).Equal(hi) {
			return levels, true
		}
	}
	return levels, false
}

// bars returns the level at which a range of time makes a readable chart: the
// one below a whole year, month or day, and otherwise the finest that stays
// under about 125 bars. It is "" for an hour and what is shorter.
func bars(lo, hi time.Time) db.Step {
	levels, exact := enclosing(lo, hi)
	if exact && len(levels) > 0 {
		if len(levels) == len(steps) {
			return ""
		}
		return steps[len(levels)]
	}
	const day = 24 * time.Hour
	switch length := hi.Sub(lo); {
	case length <= time.Hour:
		return ""
	case length <= 3*day:
		return db.ByHour
	case length <= 125*day:
		return db.ByDay
	case length <= 8*366*day:
		return db.ByMonth
	default:
		return db.ByYear
	}
}

// dayName is a day as a divider between rows names it.
func dayName(t time.Time) string { return t.Format("Monday 2 January 2006") }

// oddDay says what is unusual about the length of a day, and "" for the usual
// one of 24 hours.
func oddDay(t time.Time) string {
	from := db.ByDay.Start(t)
	switch length := db.ByDay.Next(from).Sub(from); {
	case length < 24*time.Hour:
		return plural(int64(length/time.Hour), "hour") + ", clocks went forward"
	case length > 24*time.Hour:
		return plural(int64(length/time.Hour), "hour") + ", clocks went back"
	}
	return ""
}

// stepName is one year, month, day or hour as a crumb or the label of a bar
// names it, where what it lies in is named before it.
func stepName(t time.Time, by db.Step) string {
	switch by {
	case db.ByYear:
		return t.Format("2006")
	case db.ByMonth:
		return t.Format("January")
	case db.ByDay:
		return t.Format("Mon 2")
	default:
		return t.Format("15:04")
	}
}

// stepFullName is the same for who sees it alone.
func stepFullName(t time.Time, by db.Step) string {
	switch by {
	case db.ByYear:
		return t.Format("2006")
	case db.ByMonth:
		return t.Format("January 2006")
	case db.ByDay:
		return t.Format("Mon 2 January 2006")
	default:
		return t.Format("Mon 2 January 2006, 15:04")
	}
}
