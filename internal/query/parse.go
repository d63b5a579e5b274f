package query

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// The limits of a query. They are far beyond what a person writes, and keep what
// a program sends from costing more than it should.
const (
	MaxLength = 4096 // bytes of a query
	MaxTerms  = 50   // terms of a query
	MaxValues = 200  // values of one term
)

// Parse reads a query for one kind of event. Its error is a *SyntaxError that
// points at the first word that is wrong. Relative and civil times are read with
// o, so that every use of the filter means the same instants.
func Parse(kind audit.Kind, q string, o Options) (*Filter, error) {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if err := checkText(q); err != nil {
		return nil, err
	}
	f := &Filter{Kind: kind, Now: o.Now, Zone: o.Zone}
	r := reader{kind, o}
	l := lexer{q: q}
	for {
		t, ok := l.next()
		if !ok {
			return f, nil
		}
		if len(f.Terms) == MaxTerms {
			return nil, l.wrong(t.start, len(q)-t.start, fmt.Sprintf("a query has at most %d terms", MaxTerms), "")
		}
		term, err := r.term(&l, t)
		if err != nil {
			return nil, err
		}
		f.Terms = append(f.Terms, term)
	}
}

// term makes a term of a token. The key is judged before its values, so that
// both are right where the error points to a value.
func (r reader) term(l *lexer, t token) (Term, error) {
	term := Term{Not: t.not, Pos: t.start, End: t.end, Values: make([]Value, 0, len(t.parts))}
	if t.key == "" {
		term.Field = freeEntry(r.kind).Field
	} else {
		field, ok := Lookup(r.kind, t.key)
		if !ok {
			bad := unknownKey(r.kind, t.key)
			return term, l.wrong(t.keyStart, t.keyEnd-t.keyStart, bad.message, bad.suggestion)
		}
		term.Field = field
	}
	if t.err != nil {
		return term, t.err
	}
	if len(t.parts) > MaxValues {
		p := t.parts[MaxValues]
		return term, l.wrong(p.start, t.end-p.start, fmt.Sprintf("a term has at most %d values", MaxValues), "")
	}
	for i, p := range t.parts {
		v, bad := r.value(term.Field, p)
		if bad == nil && i > 0 && term.Field.Class == ClassNumber {
			bad = groupedDigits(t.parts[i-1], p)
		}
		if bad != nil {
			return term, l.wrong(p.start, p.end-p.start, bad.message, bad.suggestion)
		}
		term.Values = append(term.Values, v)
	}
	return term, nil
}

// groupedDigits catches >1,000: a comma means or, which nobody meant here.
func groupedDigits(before, p part) *badValue {
	op, amount := comparison(before.text)
	if _, ok := digits(amount); op == "" || !ok || len(amount) > 3 || len(p.text) != 3 {
		return nil
	}
	if _, ok := digits(p.text); !ok {
		return nil
	}
	return &badValue{"a comma means or; write the number without it", before.text + p.text}
}

// checkText refuses what cannot be a query at all.
func checkText(q string) error {
	wrong := &SyntaxError{Query: q}
	switch {
	case len(q) > MaxLength:
		wrong.Position = MaxLength
		for !utf8.RuneStart(q[wrong.Position]) {
			wrong.Position--
		}
		wrong.Message = fmt.Sprintf("a query has at most %d bytes, and this one has %d", MaxLength, len(q))
	case !utf8.ValidString(q):
		for i, r := range q {
			if _, n := utf8.DecodeRuneInString(q[i:]); r == utf8.RuneError && n == 1 {
				wrong.Position = i
				break
			}
		}
		wrong.Message = "the query is not valid UTF-8"
	default:
		return nil
	}
	wrong.Length = len(q) - wrong.Position
	return wrong
}

// message writes the error as one line for a terminal.
func (e *SyntaxError) message() string {
	text := fmt.Sprintf("query, character %d: %s", utf8.RuneCountInString(e.Query[:e.Position])+1, e.Message)
	if e.Suggestion != "" {
		text += fmt.Sprintf("; did you mean %s?", e.Suggestion)
	}
	return text
}

// String returns the query in canonical form: one space between terms, keys in
// lower case, addresses and networks as they are written best. Parsing it with
// the same options gives the same filter.
func (f *Filter) String() string {
	var room [256]byte
	return string(f.appendTo(room[:0]))
}

func (f *Filter) appendTo(b []byte) []byte {
	for i := range f.Terms {
		if i > 0 {
			b = append(b, ' ')
		}
		b = f.Terms[i].appendTo(b)
	}
	return b
}

// String returns the term as it is written in a query.
func (t Term) String() string {
	var room [256]byte
	return string(t.appendTo(room[:0]))
}

func (t *Term) appendTo(b []byte) []byte {
	if t.Not {
		b = append(b, '-')
	}
	if t.Field.Key != "" {
		b = append(b, t.Field.Key...)
		b = append(b, ':')
	}
	for i := range t.Values {
		v := &t.Values[i]
		if i > 0 {
			b = append(b, ',')
		}
		if v.Quoted || needsQuotes(v.Text, t.Field.Class == ClassFree) {
			b = append(b, inQuotes(v.Text)...)
		} else {
			b = append(b, v.Text...)
		}
		if v.Prefix {
			b = append(b, '*')
		}
	}
	return b
}
