package query

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// ValueTerm makes a term that a program wants: one of values or, with not, none
// of them. With exact, text has to be the very same; such a term cannot be
// written in the language, which never minds the case. It panics where the kind
// has no such key, or the field no such value: a mistake in the program, and
// never in its input. A key of "" is free text.
func ValueTerm(kind audit.Kind, key string, exact, not bool, values ...string) Term {
	t, bad := valueTerm(kind, key, exact, not, values)
	if bad != nil {
		panic("query: " + bad.message)
	}
	return t
}

// StoredTerm is the term of one value that stands in a row, where another
// program may have put anything: it reports false for one that no query for the
// field can have.
func StoredTerm(kind audit.Kind, key, value string) (Term, bool) {
	t, bad := valueTerm(kind, key, false, false, []string{value})
	return t, bad == nil
}

func valueTerm(kind audit.Kind, key string, exact, not bool, values []string) (Term, *badValue) {
	field, ok := fieldOf(kind, key)
	if !ok {
		panic(fmt.Sprintf("query: %s have no key %q", kind.Plural(), key))
	}
	t := Term{Field: field, Not: not, Values: make([]Value, len(values))}
	r := reader{kind, Options{Zone: time.UTC}}
	for i, text := range values {
		v, bad := r.value(field, part{text: text, quoted: true})
		if bad != nil {
			return Term{}, bad
		}
		v.Quoted = needsQuotes(v.Text, field.Class == ClassFree)
		v.Exact = exact
		t.Values[i] = v
	}
	return t, nil
}

func fieldOf(kind audit.Kind, key string) (Field, bool) {
	if key == "" {
		return freeEntry(kind).Field, true
	}
	return Lookup(kind, key)
}

// valueOf reads a value as a reader clicks it: whole, and nothing special in it.
func (f *Filter) valueOf(key, text string) (Field, Value, bool) {
	field, ok := fieldOf(f.Kind, key)
	if !ok {
		return field, Value{}, false
	}
	r := reader{f.Kind, Options{Now: f.Now, Zone: f.zone()}}
	v, bad := r.value(field, part{text: text, quoted: true})
	v.Quoted = needsQuotes(v.Text, field.Class == ClassFree)
	return field, v, bad == nil
}

// zone returns the zone of the filter, which of a zero Filter is UTC.
func (f *Filter) zone() *time.Location {
	if f.Zone == nil {
		return time.UTC
	}
	return f.Zone
}

// with returns the filter with other terms.
func (f *Filter) with(terms []Term) *Filter {
	g := *f
	g.Terms = terms
	return &g
}

// Without returns the filter without its term i. It panics if there is none.
func (f *Filter) Without(i int) *Filter {
	return f.with(slices.Delete(slices.Clone(f.Terms), i, i+1))
}

// Put returns the filter with a term in place of its terms from i up to j.
func (f *Filter) Put(i, j int, t Term) *Filter {
	t.Pos, t.End = 0, 0
	return f.with(slices.Concat(f.Terms[:i], []Term{t}, f.Terms[j:]))
}

// Replace returns the filter with the given terms in place of all positive terms
// of a key; where one of the given is negative, of the negative ones too. They
// stand where the first one stood, or at the end. Without terms, it drops.
func (f *Filter) Replace(key string, terms ...Term) *Filter {
	both := slices.ContainsFunc(terms, func(t Term) bool { return t.Not })
	return f.replace(func(t Term) bool { return t.Field.Key == key && (both || !t.Not) }, terms)
}

func (f *Filter) replace(drop func(Term) bool, terms []Term) *Filter {
	at := slices.IndexFunc(f.Terms, drop)
	if at < 0 {
		return f.with(slices.Concat(f.Terms, terms))
	}
	rest := slices.DeleteFunc(slices.Clone(f.Terms), drop)
	return f.with(slices.Concat(rest[:at], terms, rest[at:]))
}

// Has reports whether a value is named by a positive term of a key or, with not,
// by a negative one. Case does not matter. A start of it does not name it, nor
// does a network that holds it.
func (f *Filter) Has(key, value string, not bool) bool {
	if !f.hasKey(key) {
		return false // as nearly always, and then the value need not be read
	}
	_, v, ok := f.valueOf(key, value)
	return ok && f.has(key, v, not)
}

func (f *Filter) has(key string, v Value, not bool) bool {
	for i := range f.Terms {
		if t := &f.Terms[i]; t.Field.Key == key && t.Not == not && slices.ContainsFunc(t.Values, v.same) {
			return true
		}
	}
	return false
}

// hasKey reports whether there is any term of a key.
func (f *Filter) hasKey(key string) bool {
	for i := range f.Terms {
		if f.Terms[i].Field.Key == key {
			return true
		}
	}
	return false
}

// same reports whether two values of a field match the same events.
func (v Value) same(w Value) bool {
	return v.Folded == w.Folded && v.Prefix == w.Prefix
}

// covers reports whether v matches every event that w does.
func (v Value) covers(w Value) bool {
	switch {
	case v.same(w):
		return true
	case v.Net.IsValid() && w.Net.IsValid():
		return v.Net.Bits() <= w.Net.Bits() && v.Net.Contains(w.Net.Addr())
	}
	return v.Prefix && strings.HasPrefix(w.Folded, v.Folded)
}

// Include returns the filter after a reader asked for a value of a key: it joins
// the values of the positive term, in place of a start or network that holds
// it, and nothing excludes it any more. Where it was asked for already, it is
// let go again. A key or value that the kind cannot have changes nothing.
func (f *Filter) Include(key, value string) *Filter { return f.toggle(key, value, false) }

// Exclude returns the filter after a reader excluded a value of a key: it joins
// the values of the negative term and leaves those of the positive one. Where it
// was excluded already, it is let go again. A key or value that the kind cannot
// have changes nothing.
func (f *Filter) Exclude(key, value string) *Filter { return f.toggle(key, value, true) }

// IncludeText returns the query of Include, and ExcludeText that of Exclude. A page
// has hundreds of them as links; most are the query and one term more, for which
// no filter is made.
func (f *Filter) IncludeText(key, value string) string { return f.toggleText(key, value, false) }

// ExcludeText: see IncludeText.
func (f *Filter) ExcludeText(key, value string) string { return f.toggleText(key, value, true) }

func (f *Filter) toggleText(key, value string, not bool) string {
	if f.hasKey(key) {
		return f.toggle(key, value, not).String()
	}
	var room [256]byte
	b := f.appendTo(room[:0])
	if field, v, ok := f.valueOf(key, value); ok {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		values := [1]Value{v}
		b = (&Term{Field: field, Not: not, Values: values[:]}).appendTo(b)
	}
	return string(b)
}

func (f *Filter) toggle(key, value string, not bool) *Filter {
	field, v, ok := f.valueOf(key, value)
	if !ok {
		return f
	}
	had := f.has(key, v, not)
	terms := make([]Term, 0, len(f.Terms)+1)
	placed := had // where to let go, nothing is placed
	for _, t := range f.Terms {
		if t.Field.Key != key {
			terms = append(terms, t)
			continue
		}
		values := slices.DeleteFunc(slices.Clone(t.Values), func(w Value) bool {
			// A start that was excluded stays in the way of what is included now, and
			// one that was included has been narrowed. One that was included may stand
			// beside what is excluded.
			return w.same(v) || !not && !had && w.covers(v)
		})
		if t.Not == not && !placed {
			values = append(values, v)
			placed = true
		}
		if len(values) > 0 {
			t.Values, t.Pos, t.End = values, 0, 0
			terms = append(terms, t)
		}
	}
	if !placed {
		terms = append(terms, Term{Field: field, Not: not, Values: []Value{v}})
	}
	return f.with(terms)
}

// HasText reports whether the filter looks for text: free, or within a field.
func (f *Filter) HasText() bool {
	return slices.ContainsFunc(f.Terms, func(t Term) bool {
		return t.Field.Class == ClassFree || t.Field.Class == ClassText
	})
}

// isWhen reports whether the term is about when events happened, which
// recorded: is not.
func (t Term) isWhen() bool {
	return t.Field.Class == ClassTime && t.Field.Columns[0] == "timestamp"
}

// Bounds returns the range of time, in microseconds since 1970 and hi exclusive,
// outside of which the filter matches nothing: what all positive terms about the
// timestamp allow, each from its earliest value to its latest. There may be
// holes in it, and lo may lie beyond hi. ok is false where there is no such term.
func (f *Filter) Bounds() (lo, hi int64, ok bool) {
	lo, hi = math.MinInt64, math.MaxInt64
	for _, t := range f.Terms {
		if t.Not || !t.isWhen() || len(t.Values) == 0 {
			continue
		}
		first, last := t.Values[0].Lo, t.Values[0].Hi
		for _, v := range t.Values[1:] {
			first, last = min(first, v.Lo), max(last, v.Hi)
		}
		lo, hi, ok = max(lo, first), min(hi, last), true
	}
	return lo, hi, ok
}

// Inverted returns the after: and the before: of a filter whose range of time ends
// before it begins, or where it begins, so that it matches nothing. Both are nil
// for any other filter, also one whose times exclude each other in another way.
func (f *Filter) Inverted() (after, before *Term) {
	if lo, hi, ok := f.Bounds(); !ok || lo < hi {
		return nil, nil
	}
	for i := range f.Terms {
		t := &f.Terms[i]
		switch {
		case t.Not || !t.isWhen():
		case t.Field.Key == "after" && after == nil:
			after = t
		case t.Field.Key == "before" && before == nil:
			before = t
		default:
			return nil, nil
		}
	}
	if after == nil || before == nil {
		return nil, nil
	}
	return after, before
}

// During returns the filter for the time from start up to end, instead of
// whatever it said about the timestamp: `on:` where that is a year, month, day
// or hour in the filter's zone, and otherwise `after:` and `before:`. A zero end
// leaves it open; a zero start leaves no term about the timestamp at all.
func (f *Filter) During(start, end time.Time) *Filter {
	var terms []Term
	if !start.IsZero() {
		terms = f.during(start, end)
	}
	return f.replace(Term.isWhen, terms)
}

// DuringText returns the query of During; see IncludeText.
func (f *Filter) DuringText(start, end time.Time) string {
	if start.IsZero() || slices.ContainsFunc(f.Terms, Term.isWhen) {
		return f.During(start, end).String()
	}
	var room [256]byte
	b := f.appendTo(room[:0])
	for _, t := range f.during(start, end) {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = t.appendTo(b)
	}
	return string(b)
}

// Within returns what lies within the filter's range of time of a stretch from start
// up to end: the part of the stretch that the bounds leave.
func (f *Filter) Within(start, end time.Time) (time.Time, time.Time) {
	lo, hi, bounded := f.Bounds()
	if !bounded {
		return start, end
	}
	from, to := start, end
	if from.UnixMicro() < lo {
		from = time.UnixMicro(lo).In(start.Location())
	}
	if to.UnixMicro() > hi {
		to = time.UnixMicro(hi).In(end.Location())
	}
	if !from.Before(to) {
		return start, end
	}
	return from, to
}

// WithinText returns the query for what the filter matches from start up to end, of
// which a chart shows how much it is: what it says about the timestamp stays, but
// for the bounds that the stretch lies within.
func (f *Filter) WithinText(start, end time.Time) string {
	if !slices.ContainsFunc(f.Terms, Term.isWhen) {
		return f.DuringText(start, end)
	}
	from, to := f.Within(start, end)
	bound := func(t Term) bool { return t.isWhen() && !t.Not && len(t.Values) == 1 }
	return f.replace(bound, f.during(from, to)).String()
}

// atLeast is shorter than any year, month, day and hour, whatever clocks do.
var atLeast = [...]time.Duration{300 * 24 * time.Hour, 20 * 24 * time.Hour, 12 * time.Hour, 0}

func (f *Filter) during(start, end time.Time) []Term {
	zone := f.zone()
	if !end.IsZero() {
		for grain, layout := range civilLayouts[:byMinute] {
			if end.Sub(start) < atLeast[grain] {
				continue
			}
			text := start.In(zone).Format(layout)
			lo, hi, bad := readTime(text, f.Now, zone)
			if bad == nil && lo == start.UnixMicro() && hi == end.UnixMicro() {
				field, _ := fieldOf(f.Kind, "on")
				return []Term{{Field: field, Values: []Value{{Text: text, Folded: Fold(text), Lo: lo, Hi: hi}}}}
			}
		}
	}
	terms := []Term{f.timeTerm("after", f.timeText(start))}
	if !end.IsZero() {
		terms = append(terms, f.timeTerm("before", f.timeText(end)))
	}
	return terms
}

// civilLayouts are the forms of civil times for package time, by grain.
var civilLayouts = [...]string{"2006", "2006-01", "2006-01-02", "2006-01-02T15", "2006-01-02T15:04", "2006-01-02T15:04:05"}

// timeText writes an instant as shortly as it can be read back in the zone; the
// second time in a night that the clocks show 02:30, with its zone.
func (f *Filter) timeText(t time.Time) string {
	for _, layout := range civilLayouts[byDay:] {
		text := t.In(f.zone()).Format(layout)
		if lo, _, bad := readTime(text, f.Now, f.zone()); bad == nil && lo == t.UnixMicro() {
			return text
		}
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

func (f *Filter) timeTerm(key, text string) Term {
	field, v, _ := f.valueOf(key, text)
	return Term{Field: field, Values: []Value{v}}
}

// Label returns the term as a chip shows it: its key and its values. Not is the
// page's to show.
func (t Term) Label() (key, value string) {
	values := make([]string, len(t.Values))
	for i, v := range t.Values {
		values[i] = t.chip(v)
	}
	key = t.Field.Key
	if t.Field.Class == ClassFree {
		key = "text"
	}
	return key, strings.Join(values, ", ")
}

func (t Term) chip(v Value) string {
	switch {
	case v.Empty():
		return "(empty)"
	case t.Field.Class == ClassFree, t.Field.Class == ClassText && !v.Prefix:
		return "“" + v.Text + "”"
	case t.Field.Key == "last":
		if n, unit, bad := readSpan(v.Text); bad == nil {
			return plural(n, spans[unit].name)
		}
	}
	if v.Prefix {
		return v.Text + "*"
	}
	return v.Text
}
