package handlers

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// change is one changed field, with its values as a sentence says them.
type change struct {
	field    string
	old, new plainValue
}

// plainValue is a JSON value as a text.
type plainValue struct {
	text    string // of a string its text, of anything else its JSON
	missing bool   // null, or not there
	masked  bool   // a secret; text is its mark, or ""
	nested  bool   // a list or an object
}

// short reports whether both values fit into a sentence.
func (c change) short() bool {
	return c.old.short() && c.new.short()
}

func (v plainValue) short() bool {
	return !v.nested && len(v.text) <= 2*quoteLimit && !strings.ContainsAny(v.text, "\n\r")
}

// changesOf appends the changes of an audit log in the order in which they stand.
// What does not have the shape of changes gives none: the page of the event
// shows it as it is.
func changesOf(changed []change, raw string) []change {
	if raw == "" {
		return changed
	}
	for _, c := range audit.ParseChanges(raw) {
		old, value := plainOf(c.Old), plainOf(c.New)
		if c.HasOld && c.HasNew && c.Old == c.New && (!old.masked || old.text != "") {
			continue // given, and not changed; of two bare masks nobody knows
		}
		changed = append(changed, change{field: c.Field, old: old, new: value})
	}
	return changed
}

// plainOf reads one JSON value.
func plainOf(raw string) plainValue {
	raw = strings.TrimSpace(raw)
	switch {
	case raw == "" || raw == "null":
		return plainValue{missing: true}
	case raw[0] == '{' || raw[0] == '[':
		return plainValue{text: raw, nested: true}
	case raw[0] != '"':
		return plainValue{text: raw}
	}
	s, ok := stringOf(raw)
	if !ok {
		return plainValue{text: raw}
	}
	if audit.IsMask(s) {
		return plainValue{text: audit.MaskFingerprint(s), masked: true}
	}
	return plainValue{text: s}
}

// stringOf reads a JSON string. Nearly all stand for what is between their quotes.
func stringOf(raw string) (s string, ok bool) {
	if n := len(raw) - 1; n > 0 && raw[n] == '"' && literal(raw[1:n]) {
		return raw[1:n], true
	}
	var decoded string
	err := json.Unmarshal([]byte(raw), &decoded)
	return decoded, err == nil
}

// literal reports whether the inside of a JSON string stands for itself.
func literal(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// member is one name and its raw JSON value.
type member struct{ name, raw string }

// membersOf reads the top level of a JSON object, such as an event's metadata,
// in its order; anything else has no members.
func membersOf(text string) []member {
	d := json.NewDecoder(strings.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	var members []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil
		}
		key, _ := name.(string)
		members = append(members, member{name: key, raw: string(raw)})
	}
	return members
}

// completed reports whether an export ended well, as far as it says so.
func completed(e *audit.Event) bool {
	metadata := e.Get("metadata")
	if !strings.Contains(metadata, "false") {
		return true // as nearly every export
	}
	for _, m := range membersOf(metadata) {
		if m.name == "completed" {
			return m.raw != "false"
		}
	}
	return true
}
