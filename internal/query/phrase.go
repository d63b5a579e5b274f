package query

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// allStarts reports whether each value of the term is a start.
func (t Term) allStarts() bool {
	return !slices.ContainsFunc(t.Values, func(v Value) bool { return !v.Prefix })
}

func hasEmpty(t Term) bool { return slices.ContainsFunc(t.Values, Value.Empty) }

// phrase says one term that no other way of saying it fits.
func (f *Filter) phrase(t Term) string {
	e, ok := lookup(f.Kind, t.Field.Key)
	if !ok {
		e = freeEntry(f.Kind)
	}
	if t.Field.Class == ClassTime {
		return f.when(t, e)
	}
	form, conjunction := e.is, "or"
	if t.Not {
		form = e.not
		if strings.HasPrefix(form, "outside") || strings.HasPrefix(form, "except") {
			conjunction = "and"
		}
	}
	if t.Field.Class == ClassText && t.allStarts() {
		form = strings.NewReplacer("contains", "begins with", "contain", "begin with", "like", "beginning with").Replace(form)
	}
	// What is empty has words of its own.
	if hasEmpty(t) {
		empty := e.absent
		if t.Not {
			empty = e.present
		}
		named := t
		named.Values = slices.DeleteFunc(slices.Clone(t.Values), Value.Empty)
		switch {
		case len(named.Values) == 0:
			return empty
		case t.Not:
			return strings.Replace(form, "%s", f.values(named, conjunction), 1) + " and " + empty
		}
		return strings.Replace(form, "%s", f.values(named, conjunction), 1) + " or " + empty
	}
	return strings.Replace(form, "%s", f.values(t, conjunction), 1)
}

// values lists the values of a term, or says how many there are.
func (f *Filter) values(t Term, conjunction string) string {
	e, ok := lookup(f.Kind, t.Field.Key)
	if n := len(t.Values); ok && n > maxNamed && e.many != "" {
		return strconv.Itoa(n) + " " + e.many
	}
	var names []string
	for _, v := range t.Values {
		switch {
		case t.Field.Class == ClassFree, t.Field.Class == ClassText:
			names = append(names, quotation(t, v))
		case t.Field.Class == ClassNumber:
			names = append(names, amount(t.Field, v))
		case nouns[v.Folded].many != "" && (t.Field.Key == "action" || t.Field.Key == "event") && !v.Prefix:
			names = append(names, nouns[v.Folded].many)
		default:
			names = append(names, show(v))
		}
	}
	return list(fewer(names), conjunction)
}

// quotation writes a text in the quotes of a sentence. Where all values are
// starts, the phrase says so.
func quotation(t Term, v Value) string {
	if v.Prefix && t.allStarts() {
		v.Prefix = false
	}
	return "“" + show(v) + "”"
}

// maxShown is how many characters of a value a sentence shows.
const maxShown = 60

// show writes a value in a sentence: on one line, not too long, and without
// characters that are not seen but change what is.
func show(v Value) string {
	text := strings.Join(strings.Fields(v.Text), " ")
	if text == "" {
		text = v.Text // spaces alone
	}
	text = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) {
			return '�'
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > maxShown {
		text = string([]rune(text)[:maxShown-1]) + "…"
	}
	if v.Prefix {
		text += "*"
	}
	return text
}

// maxNamed is how many values a phrase names; more are counted.
const maxNamed = 4

func fewer(names []string) []string {
	if n := len(names); n > maxNamed {
		return append(names[:maxNamed-1], strconv.Itoa(n-maxNamed+1)+" more")
	}
	return names
}

// when says a term about time: "in the last 30 days", "since 1 March 2026".
func (f *Filter) when(t Term, e entry) string {
	form := e.is
	if t.Not {
		form = e.not
	}
	if len(t.Values) > maxNamed {
		return strings.Replace(form, "%s", "any of "+strconv.Itoa(len(t.Values))+" "+e.many, 1)
	}
	names := make([]string, len(t.Values))
	for i, v := range t.Values {
		switch t.Field.Key {
		case "on":
			names[i] = f.period(v)
		case "last":
			names[i] = lastSpan(v.Text)
		case "before":
			names[i] = f.moment(time.UnixMicro(v.Hi))
		default:
			names[i] = f.moment(time.UnixMicro(v.Lo))
		}
	}
	return strings.Replace(form, "%s", list(names, "or"), 1)
}

// period says a value of `on:` with its preposition: "in March 2026".
func (f *Filter) period(v Value) string {
	start, end := time.UnixMicro(v.Lo).In(f.zone()), time.UnixMicro(v.Hi).In(f.zone())
	switch text := v.Text; grainOf(text) {
	// What the clocks show is what was written, even where they left it out.
	case byYear:
		return "in " + text
	case byMonth:
		month, _ := time.Parse("2006-01", text)
		return "in " + month.Format("January 2006")
	case byDay:
		day, _ := time.Parse("2006-01-02", text)
		return "on " + day.Format("2 January 2006")
	case byHour:
		return "on " + start.Format("2 January 2006") + " from " + clock(start) + " to " + clockEnd(end)
	}
	return "on " + f.moment(start)
}

// moment says an instant in the filter's zone, no more exactly than it is.
func (f *Filter) moment(t time.Time) string {
	t = t.In(f.zone())
	day := t.Format("2 January 2006")
	if c := clock(t); c != "00:00" {
		return day + " at " + c
	}
	return day
}

func clock(t time.Time) string {
	form := "15:04"
	switch {
	case t.Nanosecond() != 0:
		form = "15:04:05.999999"
	case t.Second() != 0:
		form = "15:04:05"
	}
	return t.Format(form)
}

// clockEnd says where a part of a day ends, which at its last is 24:00.
func clockEnd(t time.Time) string {
	if c := clock(t); c != "00:00" {
		return c
	}
	return "24:00"
}

// lastSpan says a value of `last:` as what lies back: "the last 30 days".
func lastSpan(text string) string {
	n, unit, bad := readSpan(text)
	switch {
	case bad != nil:
		return text
	case n == 1:
		return "the last " + spans[unit].name
	}
	return "the last " + plural(n, spans[unit].name)
}

// amount says a number: "more than 1,000 rows", "at least 1 MB".
func amount(field Field, v Value) string {
	size := field.Key == "size"
	say := func(text string) string {
		if size {
			return bytes(text)
		}
		n, _ := digits(strings.TrimPrefix(text, "-"))
		if strings.HasPrefix(text, "-") {
			return "-" + plural(n, "row")
		}
		return plural(n, "row")
	}
	if from, to, ok := strings.Cut(v.Text, ".."); ok {
		switch {
		case from == "":
			return "at most " + say(to)
		case to == "":
			return "at least " + say(from)
		case size:
			return say(from) + " to " + say(to)
		}
		n, _ := digits(from)
		return group(n) + " to " + say(to)
	}
	op, number := comparison(v.Text)
	switch op {
	case ">":
		return "more than " + say(number)
	case ">=":
		return "at least " + say(number)
	case "<=":
		return "at most " + say(number)
	case "<":
		if size {
			return "less than " + say(number)
		}
		return "fewer than " + say(number)
	}
	return say(number)
}

// bytes says a size with a space before its unit: "1.5 MB".
func bytes(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && r != '-' && (r < '0' || r > '9') })
	if end < 0 {
		n, _ := digits(text)
		return plural(n, "byte")
	}
	name := strings.ToUpper(text[end:])
	if name == "B" {
		n, _ := digits(text[:end])
		return plural(n, "byte")
	}
	return text[:end] + " " + strings.Replace(name, "IB", "iB", 1)
}

// plural writes a number with its noun: 1 row, 1,000 rows.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return group(n) + " " + noun + "s"
}

// group writes a number that is not negative with commas: 1,234,567.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
