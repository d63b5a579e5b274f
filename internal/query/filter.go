// Package query is the filter language of the search box, the URL, the command
// line, exports and their records: a closed table of fields, a parser with
// errors that point at the word, and a Filter that knows how to print itself,
// to say itself as a sentence, and to be widened or narrowed by one term.
//
// It is pure: no SQL, no clock, no zone of its own.
package query

import (
	"net/netip"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// Class says how the values of a field's terms are read and matched.
type Class int

// The classes of fields.
const (
	ClassValue   Class = iota // the whole value of an event's field, without regard to case; `*` at the end means "starts with"
	ClassAddress              // an address or a network
	ClassNumber               // a number, a comparison (>1000, >=1MB), or a range
	ClassText                 // a substring within one field; with `*` at the end, its start
	ClassTime                 // a range of the timestamp, or of the time of recording
	ClassState                // a state of the event: is:unresolved
	ClassID                   // the event's own id
	ClassFree                 // free text: a substring of any searchable field; its Key is ""
)

// Field is one key of the language for one kind of event.
type Field struct {
	Key     string   // as typed before the colon; "" for free text
	Label   string   // as a column heading or a facet's title: "User"
	Class   Class    // how its values are read and matched
	Columns []string // the event's fields it looks at
	Facet   bool     // whether its values are counted beside the list
	Doc     string   // one line for the help page and docs/query.md
	Example string   // a whole term: `user:alice`
}

// Filter is a parsed query for one kind. The zero Terms match every event.
// A Filter is never changed after it was made; Include, Without and the like
// return new ones.
type Filter struct {
	Kind  audit.Kind
	Terms []Term // all of them must hold

	// Now and Zone are what relative and civil times were read with.
	Now  time.Time
	Zone *time.Location
}

// Term is one condition: any of its values, or with Not none of them.
type Term struct {
	Field  Field
	Not    bool
	Values []Value

	// Pos and End are the byte offsets of the term in the query it was parsed
	// from; both are 0 for a term made by the program.
	Pos, End int
}

// Value is one alternative of a term.
type Value struct {
	Text   string // as written, without quotes and the trailing *; of an address, its canonical form
	Folded string // Fold(Text)
	Prefix bool   // "starts with"; of ClassValue and ClassText alone
	Exact  bool   // the very bytes of Text; only the program makes these
	Quoted bool   // is written in quotes

	Net netip.Prefix // ClassAddress; the whole address for a single one, invalid for key:""

	// Lo and Hi bound a number (both inclusive; of key:"" no number is within), a
	// time in microseconds since 1970 (Hi exclusive; where clocks left a time out,
	// none is within), or hold an id (Lo). An open end is math.MinInt64 or
	// math.MaxInt64.
	Lo, Hi int64
}

// Options are what a query is parsed with.
type Options struct {
	Now  time.Time
	Zone *time.Location // nil means UTC
}

// SyntaxError says what is wrong with a query, and where.
type SyntaxError struct {
	Query      string
	Position   int    // byte offset of the wrong word in Query
	Length     int    // its length in bytes
	Message    string // a sentence for people, without a period
	Suggestion string // the nearest valid word, or ""
}

// Error returns the message with its position, counted in characters from 1.
func (e *SyntaxError) Error() string { return e.message() }
