package diff

import (
	"fmt"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// Lengths of what a sentence holds.
const (
	briefFields = 3  // names of fields
	briefValue  = 30 // characters of a value
)

// Brief is what a list says about the changes of one event.
type Brief struct {
	Count  int      // fields that changed
	Fields []string // the names of the first three of them
	// Before and After are the values of the first field, shortened; "" for
	// what is nothing, nested or secret.
	Before, After string
	Nested        bool // the first field holds JSON
	Secret        bool // the first field holds a mask
}

// Summary counts what changed, and looks closely at the first field alone.
func Summary(changes string) Brief {
	var b Brief
	for _, c := range audit.ParseChanges(changes) {
		if c.HasOld && c.HasNew && c.Old == c.New && !strings.Contains(c.Old, `"`+audit.Mask+`"`) {
			continue
		}
		b.Count++
		if len(b.Fields) < briefFields {
			b.Fields = append(b.Fields, c.Field)
		}
		if b.Count == 1 {
			before, after := parse(c.Old), parse(c.New)
			b.Nested = before.nested() || after.nested()
			b.Secret = before.isMask() || after.isMask()
			if !b.Nested && !b.Secret {
				b.Before, b.After = brief(before), brief(after)
			}
		}
	}
	return b
}

// brief writes a scalar on one line.
func brief(n *node) string {
	if n.nothing() {
		return ""
	}
	text := n.raw
	if n.isString() {
		text = strings.Join(strings.Fields(shorten(n.text, 4*briefValue)), " ")
	}
	return shorten(text, briefValue)
}

// Sentence says the changes after the name of who made them, for an action:
// "changed status paid → refunded and 2 more", "created it with 5 fields". It is
// "" where nothing changed.
func (b Brief) Sentence(action string) string {
	if b.Count == 0 {
		return ""
	}
	fields := fmt.Sprintf("%d fields", b.Count)
	if b.Count == 1 {
		fields = "1 field"
	}
	switch action {
	case "CREATE":
		return "created it with " + fields
	case "DELETE":
		return "deleted it, with " + fields
	}
	var s string
	switch name := b.Fields[0]; {
	case b.Before != "" && b.After != "":
		s = "changed " + name + " " + b.Before + " → " + b.After
	case b.After != "":
		s = "set " + name + " to " + b.After
	case b.Before != "":
		s = "cleared " + name + ", which was " + b.Before
	default:
		s = "changed " + name
	}
	if b.Count > 1 {
		s += fmt.Sprintf(" and %d more", b.Count-1)
	}
	return s
}
