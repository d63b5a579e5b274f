package diff

import (
	"github.com/auditadmin/auditadmin/audit"
)

// Step is one event in the history of an object.
type Step struct {
	Action  string
	Changes string
}

// ObjectState is an object as its history tells it.
type ObjectState struct {
	// Fields are in the order in which they first occurred.
	Fields []FieldState
	// Deleted says that the last step deleted the object; the fields are what
	// they were then.
	Deleted bool
	// Begun says that the history knows the creation of the object, so that a
	// field it does not name had no value.
	Begun bool
	// MissingWrites are places where somebody changed the object and nothing
	// was recorded, oldest first.
	MissingWrites []MissingWrite
}

// FieldState is the value of one field, and the step that gave it.
type FieldState struct {
	Field string
	Value Value
	Step  int // index of the step that set the value
	raw   *node
}

// MissingWrite says that a step found another value than the last recorded one.
type MissingWrite struct {
	Field    string
	Step     int   // index of the step that found it
	Last     int   // index of the step that recorded the field last, or of the creation that did not name it
	Recorded Value // by that step
	Found    Value // the value before the step that found it
}

// StateAt folds the history of one object, oldest step first, into its state
// after the last step. The state as of an earlier event is that of the steps up
// to it. An object that is created again begins anew.
func StateAt(steps []Step) ObjectState {
	f := folder{fields: map[string]int{}, begun: -1}
	for i, s := range steps {
		f.step(i, s)
	}
	for i := range f.state.Fields {
		f.state.Fields[i].Value = Show(rawOf(f.state.Fields[i].raw))
	}
	return f.state
}

// folder keeps where the fields of a state are.
type folder struct {
	state  ObjectState
	fields map[string]int
	begun  int // index of the creation, or -1
}

func (f *folder) step(i int, s Step) {
	switch s.Action {
	case "VIEW", "EXPORT":
		return // they change nothing, whatever they say about it
	case "CREATE":
		f.state.Fields, f.state.Begun = nil, true
		f.fields = map[string]int{}
		f.begun = i
	}
	f.state.Deleted = s.Action == "DELETE"
	for _, c := range audit.ParseChanges(s.Changes) {
		old, value := parse(c.Old), parse(c.New)
		at, known := f.fields[c.Field]
		if c.HasOld && s.Action != "CREATE" {
			f.compare(i, c.Field, at, known, old)
		}
		if s.Action == "DELETE" && value.nothing() {
			value = old // a deletion lists what the fields were
			if known && equal(f.state.Fields[at].raw, old) {
				continue // and whoever set it before did so
			}
		}
		if !known {
			at = len(f.state.Fields)
			f.fields[c.Field] = at
			f.state.Fields = append(f.state.Fields, FieldState{Field: c.Field})
		}
		f.state.Fields[at].raw, f.state.Fields[at].Step = value, i
	}
}

// compare looks for a write that was not recorded.
func (f *folder) compare(i int, field string, at int, known bool, old *node) {
	var recorded *node
	last := f.begun
	switch {
	case known:
		recorded, last = f.state.Fields[at].raw, f.state.Fields[at].Step
	case f.begun < 0:
		return // what it was before the history began nobody knows
	}
	if recorded.nothing() && old.nothing() || equal(recorded, old) {
		return
	}
	if recorded.isMask() || old.isMask() {
		// Only two different fingerprints prove that the secret is another one.
		if compareMasks(recorded, old) != SecretsOther {
			return
		}
	}
	f.state.MissingWrites = append(f.state.MissingWrites, MissingWrite{
		Field: field, Step: i, Last: last, Recorded: Show(rawOf(recorded)), Found: Show(rawOf(old)),
	})
}

func rawOf(n *node) string {
	if n == nil {
		return ""
	}
	return n.raw
}
