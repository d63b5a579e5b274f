package audit

import (
	"fmt"
	"slices"
	"time"
)

// Event is one recorded fact in the form that every kind shares: one text for
// each field of its kind, where an empty text means that the field is absent.
//
// An Event is what parsers make, what Normalize checks, and what is stored. It
// is not safe for concurrent use while it is being changed.
type Event struct {
	Kind Kind
	// EventID is the name that the recorder gave the event, if any. The same
	// kind, EventID and timestamp is the same event.
	EventID string
	// Source is which token, importer or process the event came through.
	Source string

	values []string // in the order of Kind.Fields
	// Texts that are known to be valid JSON without an escaped U+0000, so that
	// nobody looks through them once more. Whoever changes a value need not know.
	valid [maxJSON]string
}

// maxJSON is how many fields with JSON a kind has at most.
const maxJSON = 2

// NewEvent returns an event of a kind without any field. It panics if the kind
// is not one of the four.
func NewEvent(kind Kind) *Event {
	return &Event{Kind: kind, values: make([]string, len(kind.Fields()))}
}

// NewEventWithValues returns an event of a kind that owns the given values, one
// for each of the kind's fields in their order. It panics if their number is
// another.
func NewEventWithValues(kind Kind, values []string) *Event {
	if len(values) != len(kind.Fields()) {
		panic(fmt.Sprintf("audit: %d values for a %s of %d fields", len(values), kind, len(kind.Fields())))
	}
	return &Event{Kind: kind, values: values}
}

// Get returns the text of a field, and "" for a field that is absent or that
// the kind does not have.
func (e *Event) Get(field string) string {
	if i := e.Kind.Index(field); i >= 0 {
		return e.values[i]
	}
	return ""
}

// Set changes the text of a field. It panics if the kind has no such field,
// which is a mistake in the program and never in its input.
func (e *Event) Set(field, value string) {
	i := e.Kind.Index(field)
	if i < 0 {
		panic(fmt.Sprintf("audit: a %s has no field %q", e.Kind, field))
	}
	e.values[i] = value
}

// Has reports whether the kind of the event has the field at all.
func (e *Event) Has(field string) bool { return e.Kind.Index(field) >= 0 }

// Values returns the texts of all fields in the order of Kind.Fields. The slice
// belongs to the event.
func (e *Event) Values() []string { return e.values }

// isValid reports whether a text is one of those that are known to be valid JSON.
// It costs nothing where the text is the very same.
func (e *Event) isValid(text string) bool { return slices.Contains(e.valid[:], text) && text != "" }

// setValid says that the text of field i is valid JSON without an escaped U+0000.
func (e *Event) setValid(i int) {
	n := 0
	for _, f := range e.Kind.Fields()[:i] {
		if f.Type == JSON {
			n++
		}
	}
	e.valid[n] = e.values[i]
}

// Time returns the timestamp, in UTC, and the zero time if it is absent or
// malformed.
func (e *Event) Time() time.Time {
	t, err := ParseTime(e.Get("timestamp"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// SetTime sets the timestamp, cut to microseconds.
func (e *Event) SetTime(t time.Time) { e.Set("timestamp", FormatTime(t)) }
