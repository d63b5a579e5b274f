package format

import (
	"bytes"
	"encoding/json"
	"strings"
)

// object builds a JSON object with its members in the order in which they come.
// The zero value is empty.
type object struct {
	text []byte
}

// raw adds a member whose value is JSON already. An empty value is left out.
func (o *object) raw(key, value string) {
	if value == "" {
		return
	}
	if o.text == nil {
		o.text = append(o.text, '{')
	} else {
		o.text = append(o.text, ',')
	}
	o.text = append(o.text, quote(key)...)
	o.text = append(o.text, ':')
	o.text = append(o.text, value...)
}

// str adds a text. An empty one is left out.
func (o *object) str(key, value string) {
	if value != "" {
		o.raw(key, quote(value))
	}
}

// String returns the object, and "" if it has no members.
func (o *object) String() string {
	if o.text == nil {
		return ""
	}
	return string(o.text) + "}"
}

// quote returns a text as a JSON string. What is not UTF-8 becomes U+FFFD.
func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// member is one member of a JSON object, its value as it was written.
type member struct{ key, value string }

// members returns the members of a JSON object in their order, and whether text
// is an object at all.
func members(text string) ([]member, bool) {
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	var all []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		all = append(all, member{key.(string), string(value)})
	}
	_, err := d.Token()
	return all, err == nil
}

// elements returns the elements of a JSON array as they were written, and
// whether text is an array at all.
func elements(text string) ([]string, bool) {
	var all []json.RawMessage
	if !strings.HasPrefix(strings.TrimSpace(text), "[") || json.Unmarshal([]byte(text), &all) != nil {
		return nil, false
	}
	texts := make([]string, len(all))
	for i, raw := range all {
		texts[i] = string(raw)
	}
	return texts, true
}

// plain returns a JSON string without its quotes, "" for null, and any other
// value as it was written.
func plain(raw string) string {
	var s string
	switch {
	case raw == "null":
		return ""
	case strings.HasPrefix(raw, `"`) && json.Unmarshal([]byte(raw), &s) == nil:
		return s
	}
	return raw
}

// find returns the value of a member, as it was written, or "".
func find(all []member, key string) string {
	for _, m := range all {
		if m.key == key {
			return m.value
		}
	}
	return ""
}
