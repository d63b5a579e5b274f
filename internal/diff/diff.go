// Package diff says what an audit log changed: it turns the JSON of its changes
// into rows of before and after, marks what differs within texts, lists and
// nested objects, sums changes up for a sentence, and rebuilds the state of an
// object from its history.
//
// It is pure and its results are plain data, without markup. Whatever it is
// given, it never fails and never does more than a bounded amount of work:
// what cannot be compared in detail is shown as replaced.
package diff

import "github.com/auditadmin/auditadmin/audit"

// Bounds of one table.
const (
	maxFields   = 1000     // changed fields that get a row
	maxElements = 2000     // rows of nested elements, in all fields together
	maxSame     = 200      // unchanged elements or fields that are listed
	maxShown    = 64 << 10 // bytes of one value that are kept
	maxTable    = 1 << 20  // bytes of all values together
	maxCompared = 64 << 10 // bytes of a text that are compared word by word
	maxWords    = 256 << 10
)

// Table is what an audit log changed: changed fields only, in the order in
// which they were given.
type Table struct {
	Rows []Row
	// More is how many further fields changed that have no row.
	More int
	// Unchanged are fields that were given with the same value twice.
	Unchanged Same
}

// Shape says how a row is best shown.
type Shape string

// The shapes of rows.
const (
	Scalar Shape = "value"  // one value replaced by another
	Text   Shape = "text"   // marks say which words of a text differ
	Number Shape = "number" // two numbers; Delta is their difference
	List   Shape = "list"   // marks say which elements of a list of scalars differ
	JSON   Shape = "JSON"   // Elements says which parts of the value differ
	Secret Shape = "secret" // at least one side is a mask
)

// Row is one field that changed, or one element of a nested value.
type Row struct {
	Name          string // of the field; of an element its path: .refund.amount, .cards[1]
	Shape         Shape
	Before, After Value
	Delta         string // of a Number, with its sign: "+25.00"; "" where it would say nothing
	Places        int    // how many places differ, in a Text or a List
	OnlySpace     bool   // of a Text: nothing but white space differs, and the marks show it as · → ↵
	OtherType     bool   // both sides have a value, of different types: "5" became 5
	Secrets       Secrets

	// Elements are the elements of JSON that differ, each no JSON itself. More
	// is how many more do, and Unchanged those that do not.
	Elements  []Row
	More      int
	Unchanged Same
}

// Differ is how many elements of a JSON row differ, and Total how many there are.
func (r *Row) Differ() int { return len(r.Elements) + r.More }

// Total is how many elements a JSON row has, before and after together.
func (r *Row) Total() int { return r.Differ() + r.Unchanged.Count }

// Same lists what did not change.
type Same struct {
	Leaves []Leaf // the first of them
	Count  int    // of all
}

// Leaf is an element or a field and its value as JSON, shortened where it is long.
type Leaf struct{ Path, JSON string }

// Secrets says what is known of the two masks of a Secret row.
type Secrets string

// What can be known of two masks.
const (
	SecretsUnknown Secrets = ""      // one side is no mask, or has no fingerprint
	SecretsSame    Secrets = "same"  // the fingerprints are equal: the same secret
	SecretsOther   Secrets = "other" // the fingerprints differ: another secret
)

// State tells the ways apart in which a value can be nothing.
type State string

// The states of a value.
const (
	Missing State = "missing" // not there
	Null    State = "null"    // JSON null
	Empty   State = "empty"   // an empty text
	Given   State = "given"
)

// Value is one side of a row.
type Value struct {
	State State
	Type  string // string, number, boolean, object, array or mask; "" unless Given
	// Segments is what is shown at once: the whole value, or with Full set an
	// excerpt around what changed. A value that was replaced as a whole has no
	// marks.
	Segments []Segment
	// Full is the whole value where Segments is an excerpt of it, and nil
	// otherwise.
	Full []Segment
	// Length is how many characters the whole value has. Cut says that Full, or
	// Segments without it, holds only the beginning of them.
	Length int
	Cut    bool
	// Fingerprint is that of a mask, if it has one.
	Fingerprint string
}

// Mark says what became of a piece of text.
type Mark string

// The marks of segments.
const (
	Kept    Mark = "same"
	Removed Mark = "removed"
	Added   Mark = "added"
	Gap     Mark = "gap" // something was left out here; the text is "…"
)

// Segment is a piece of a value.
type Segment struct {
	Text string
	Kind Mark
}

// New compares the two sides of every field of the changes of an audit log. A
// text that holds no changes gives an empty table.
func New(changes string) *Table {
	c := &comparer{elements: maxElements, shown: maxTable, words: maxWords}
	t := &Table{}
	for _, change := range audit.ParseChanges(changes) {
		a, b := parse(change.Old), parse(change.New)
		switch {
		case equal(a, b) && !bothMissing(a, b):
			t.Unchanged.add(change.Field, b)
		case len(t.Rows) == maxFields:
			t.More++
		default:
			t.Rows = append(t.Rows, c.field(change.Field, a, b))
		}
	}
	return t
}

// Show returns a value as a Row would, without anything to compare it with.
func Show(raw string) Value {
	c := &comparer{shown: maxTable}
	return c.whole(parse(raw), false)
}

func (s *Same) add(path string, n *node) {
	if len(s.Leaves) < maxSame {
		s.Leaves = append(s.Leaves, Leaf{path, shorten(n.json(), 120)})
	}
	s.Count++
}

func bothMissing(a, b *node) bool { return a == nil && b == nil }
