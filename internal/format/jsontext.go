package format

import (
	"bytes"
	"encoding/json"
	"strings"
)

// jsonObject builds a JSON object with its members in the order in which they come.
// The zero value is empty.
type jsonObject struct {
	text []byte
}

// raw adds a member whose value is JSON already. An empty value is left out.
func (o *jsonObject) raw(key, value string) {
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
func (o *jsonObject) str(key, value string) {
	if value != "" {
		o.raw(key, quote(value))
	}
}

// String returns the object, and "" if it has no members.
func (o *jsonObject) String() string {
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
	text = strings.Trim(text, space)
	if !isJSON(text, '{') {
		return nil, false
	}
	var all []member
	for at := next(text, 1); text[at] != '}'; {
		end := valueEnd(text, at)
		key := plain(text[at:end])
		at = next(text, end)
		end = valueEnd(text, at)
		all = append(all, member{key, text[at:end]})
		at = next(text, end)
	}
	return all, true
}

// elements returns the elements of a JSON array as they were written, and
// whether text is an array at all.
func elements(text string) ([]string, bool) {
	text = strings.Trim(text, space)
	if !isJSON(text, '[') {
		return nil, false
	}
	var all []string
	for at := next(text, 1); text[at] != ']'; {
		end := valueEnd(text, at)
		all = append(all, text[at:end])
		at = next(text, end)
	}
	return all, true
}

// isJSON reports whether text is valid JSON that begins with open.
func isJSON(text string, open byte) bool {
	return text != "" && text[0] == open && json.Valid([]byte(text))
}

const space = " \t\r\n"

// next returns where, in valid JSON, the next value or closing bracket begins
// at i or behind it.
func next(text string, i int) int {
	for strings.IndexByte(space+",:", text[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd returns the end of the value that begins at i in valid JSON.
func valueEnd(text string, i int) int {
	deep := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if deep == 0 {
				return i + 1
			}
		case '{', '[':
			deep++
		case '}', ']':
			if deep--; deep == 0 {
				return i + 1
			}
			if deep < 0 { // the end of what a number stands in
				return i
			}
		case ',', ' ', '\t', '\r', '\n', ':':
			if deep == 0 {
				return i
			}
		}
	}
	return i
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
