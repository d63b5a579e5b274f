package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// grain is how exactly a time was written.
type grain int

const (
	byYear grain = iota
	byMonth
	byDay
	byHour
	byMinute
	bySecond
	byInstant // with a zone of its own
)

// civilForms are how civil times are written, by grain; 0 stands for a digit.
var civilForms = [...]string{"0000", "0000-00", "0000-00-00", "0000-00-00T00", "0000-00-00T00:00", "0000-00-00T00:00:00"}

// civilStarts are where the number of each grain begins in its form.
var civilStarts = [...]int{0, 5, 8, 11, 14, 17}

// grainOf returns how exactly a time is written, judged by its form alone.
func grainOf(text string) grain {
	for g, form := range civilForms {
		if hasForm(text, form) {
			return grain(g)
		}
	}
	return byInstant
}

func hasForm(text, form string) bool {
	if len(text) != len(form) {
		return false
	}
	for i := range len(form) {
		digit := '0' <= text[i] && text[i] <= '9'
		if form[i] == '0' && !digit || form[i] != '0' && text[i]&^0x20 != form[i]&^0x20 {
			return false
		}
	}
	return true
}

// badValue says what is wrong with a value, and which one may be meant.
type badValue struct{ message, suggestion string }

// readTime reads a year, month, day, hour, minute or second in a zone, or an RFC
// 3339 instant, and returns where it starts and where the next one starts, in
// microseconds since 1970.
func readTime(text string, now time.Time, zone *time.Location) (lo, hi int64, bad *badValue) {
	g := grainOf(text)
	if g == byInstant {
		return readInstant(text, now, zone)
	}
	// What is not written is the start of what is: 2026 is 1 January, midnight.
	n := [6]int{1: 1, 2: 1}
	for i := range int(g) + 1 {
		n[i], _ = strconv.Atoi(text[civilStarts[i]:len(civilForms[i])])
	}
	if n[1] < 1 || n[1] > 12 {
		return 0, 0, &badValue{fmt.Sprintf("%q is not a time: months are 01 to 12", text), ""}
	}
	if days := time.Date(n[0], time.Month(n[1])+1, 0, 0, 0, 0, 0, time.UTC).Day(); n[2] < 1 || n[2] > days {
		return 0, 0, &badValue{fmt.Sprintf("%q is not a time: %s %d has days 01 to %d", text, time.Month(n[1]), n[0], days), ""}
	}
	if n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return 0, 0, &badValue{fmt.Sprintf("%q is not a time: a day ends at 23:59:59", text), ""}
	}
	lo = civilStart(zone, n).UnixMicro()
	n[g]++
	return lo, civilStart(zone, n).UnixMicro(), nil
}

// readInstant reads an RFC 3339 instant. It lasts as long as its last digit:
// 12:00:00Z is a second, 12:00:00.5Z is a tenth of one.
func readInstant(text string, now time.Time, zone *time.Location) (lo, hi int64, bad *badValue) {
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil {
		return 0, 0, &badValue{
			fmt.Sprintf("%q is not a time: write a year (2026), a month (2026-03), a day (2026-03-01), an hour (2026-03-01T14) or an instant (2026-03-01T14:05:09Z)", text),
			nearestTime(text, now.In(zone)),
		}
	}
	lasts := time.Second
	if point := strings.IndexByte(text, '.'); point >= 0 {
		for _, c := range text[point+1:] {
			if c < '0' || c > '9' {
				break
			}
			lasts /= 10
		}
	}
	// Timestamps are whole microseconds, so a finer start is the next one.
	if rest := t.Nanosecond() % 1000; rest > 0 {
		t = t.Add(time.Duration(1000-rest) * time.Nanosecond)
	}
	return t.UnixMicro(), t.UnixMicro() + max(1, lasts.Microseconds()), nil
}

// nearestTime guesses what was meant by a word that is no time.
func nearestTime(text string, now time.Time) string {
	switch strings.ToLower(text) {
	case "now":
		return now.UTC().Format(time.RFC3339)
	case "today":
		return now.Format("2006-01-02")
	case "yesterday":
		return now.AddDate(0, 0, -1).Format("2006-01-02")
	}
	for _, f := range foreignTimes {
		if t, err := time.Parse(f.layout, text); err == nil {
			return t.Format(f.ours)
		}
	}
	return ""
}

// foreignTimes are ways to write a time that are not ours, and ours.
var foreignTimes = []struct{ layout, ours string }{
	{"2006-1-2", "2006-01-02"},
	{"2006/1/2", "2006-01-02"},
	{"2006.1.2", "2006-01-02"},
	{"20060102", "2006-01-02"},
	{"2 January 2006", "2006-01-02"},
	{"2 Jan 2006", "2006-01-02"},
	{"January 2006", "2006-01"},
	{"Jan 2006", "2006-01"},
	{"2006-1", "2006-01"},
	{"2006/1", "2006-01"},
	{"2006-01-02 15", "2006-01-02T15"},
	{"2006-01-02 15:04", "2006-01-02T15:04"},
	{"2006-01-02 15:04:05", "2006-01-02T15:04:05"},
}

// civilStart returns the first instant at which the clocks of a zone show a
// civil time or, where they leave it out, a later one. Numbers beyond their
// range count on: the 32nd of January is the 1st of February.
func civilStart(zone *time.Location, n [6]int) time.Time {
	wall := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	earlier, later := offsetAt(wall.Add(-30*time.Hour), zone), offsetAt(wall.Add(30*time.Hour), zone)
	// Of the clocks before and after a change, the greater offset comes first.
	for _, offset := range []time.Duration{max(earlier, later), min(earlier, later)} {
		if t := wall.Add(-offset); offsetAt(t, zone) == offset {
			return t.In(zone)
		}
	}
	// The clocks jump over it: it starts where they do.
	start, _ := wall.Add(-earlier).In(zone).ZoneBounds()
	return start
}

func offsetAt(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// spans are the units of `last:`.
var spans = []struct {
	unit  byte
	lasts time.Duration
	name  string
}{
	{'m', time.Minute, "minute"},
	{'h', time.Hour, "hour"},
	{'d', 24 * time.Hour, "day"},
	{'w', 7 * 24 * time.Hour, "week"},
}

// maxSpan is the longest length of time, in days: 200 years, which is before
// anything that can be stored.
const maxSpan = 73_050

// readSpan reads the length of time of `last:` and returns its number and unit.
func readSpan(text string) (n int64, unit int, bad *badValue) {
	wrong := &badValue{fmt.Sprintf("%q is not a length of time: write a number and m, h, d or w, such as 24h, 7d or 30d", text), nearestSpan(text)}
	if text == "" {
		return 0, 0, wrong
	}
	for i, s := range spans {
		if text[len(text)-1]|0x20 != s.unit {
			continue
		}
		n, ok := digits(text[:len(text)-1])
		if !ok || n < 1 {
			return 0, 0, wrong
		}
		if n > int64(maxSpan*24*time.Hour/s.lasts) {
			return 0, 0, &badValue{fmt.Sprintf("%q is longer than 200 years", text), ""}
		}
		return n, i, nil
	}
	return 0, 0, wrong
}

// nearestSpan keeps the number of a span and repairs its unit: 7days, 1y, 3.
func nearestSpan(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	n, ok := digits(text[:end])
	if !ok || n < 1 || n > 300 {
		return ""
	}
	unit := strings.ToLower(text[end:])
	switch {
	case unit == "" || strings.HasPrefix(unit, "d"):
		return fmt.Sprintf("%dd", n)
	case strings.HasPrefix(unit, "mo"):
		return fmt.Sprintf("%dd", 30*n)
	case strings.HasPrefix(unit, "y"):
		return fmt.Sprintf("%dd", 365*n)
	case strings.HasPrefix(unit, "h"), strings.HasPrefix(unit, "w"):
		return fmt.Sprintf("%d%c", n, unit[0])
	case strings.HasPrefix(unit, "min"):
		return fmt.Sprintf("%dm", n)
	}
	return ""
}

// digits reads a number of up to 18 ASCII digits, so that it never overflows.
func digits(s string) (int64, bool) {
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
