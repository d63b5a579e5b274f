package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// Mask is what stands in the place of a secret. A fingerprint may follow it:
// twelve hexadecimal digits by which equal secrets can be told from different
// ones, and nothing else, without the key.
const Mask = "***"

const fingerprintLength = 12

var maskForm = regexp.MustCompile(`^\*\*\*([0-9a-f]{12})?$`)

// IsMask reports whether a whole text is a mask, with or without a fingerprint.
func IsMask(s string) bool {
	return (len(s) == len(Mask) || len(s) == len(Mask)+fingerprintLength) && maskForm.MatchString(s)
}

// MaskFingerprint returns the fingerprint of a mask, and "" where s is no mask
// or has none.
func MaskFingerprint(s string) string {
	if !IsMask(s) {
		return ""
	}
	return s[len(Mask):]
}

// A Masker replaces secrets in events by masks. It finds them by the name of a
// field within JSON, and by the shape of a value anywhere. It may be used by
// several goroutines at once.
type Masker struct {
	key   []byte
	names names
}

// A MaskOption changes what a Masker looks for.
type MaskOption func(*Masker)

// MaskFields adds names of fields whose values are secrets. Case, separators and
// camelCase make no difference.
func MaskFields(fields ...string) MaskOption {
	return func(m *Masker) {
		for _, f := range fields {
			m.names.secret = append(m.names.secret, strings.Join(splitName(f), ""))
		}
	}
}

// KeepFields names fields that look like secrets by their name and are none.
// Values in the shape of a secret are masked there too.
func KeepFields(fields ...string) MaskOption {
	return func(m *Masker) {
		for _, f := range fields {
			m.names.open = append(m.names.open, strings.Join(splitName(f), ""))
		}
	}
}

// NewMasker returns a masker whose fingerprints are made with key, which should
// be 32 random bytes that never leave the machine. Without a key there are no
// fingerprints.
func NewMasker(key []byte, options ...MaskOption) *Masker {
	m := &Masker{key: slices.Clone(key)}
	for _, o := range options {
		o(m)
	}
	return m
}

// Mask replaces the secrets in an event and returns how many it found: in JSON
// fields by name and shape, in text by shape, where only the secret part of the
// text is replaced. The rest of a JSON field stays byte for byte. What is masked
// already stays as it is; an empty text, null, true and false are no secrets.
//
// The event's own identifiers are not masked by their names: session_key and
// request_id are what pages follow.
func (m *Masker) Mask(e *Event) (masked int) {
	for i, f := range e.Kind.Fields() {
		v := &e.values[i]
		switch {
		case *v == "":
		case f.Type == JSON:
			w := walk{m: m, scanner: scanner{text: *v}}
			*v = w.run(e.isValid(*v))
			masked += w.masked
		case f.Type == Text:
			text, n := m.text(*v, f.Name)
			if n > 0 {
				*v = text
				masked += n
			}
		}
	}
	return masked
}

// Text replaces the values in a text that have the shape of a secret, and
// returns how many there were.
func (m *Masker) Text(s string) (masked string, n int) { return m.text(s, anyField) }

// mask is the mask for one secret.
func (m *Masker) mask(secret string) string {
	if len(m.key) == 0 {
		return Mask
	}
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(secret))
	return Mask + hex.EncodeToString(h.Sum(nil))[:fingerprintLength]
}

// whole masks a text that is a secret as a whole.
func (m *Masker) whole(s string, c certainty) (string, int) {
	if strings.Trim(s, "*•● ") == "" || IsMask(s) || !c.holds(s) {
		return s, 0
	}
	return m.mask(s), 1
}

// walk goes once through a JSON text and copies it with masks in it.
type walk struct {
	scanner
	m       *Masker
	out     []byte
	copied  int // up to where text is in out
	masked  int
	strings int // strings that hold JSON, around this one
}

// maxStrings is how many strings within strings are looked into for JSON.
const maxStrings = 2

// run returns the text with masks, or the text itself where nothing is to be
// masked or it is no valid JSON: that is shown as text, so shapes are masked.
// valid says that it is known to be valid.
func (w *walk) run(valid bool) string {
	if !valid {
		if _, err := checkJSON(w.text); err != nil {
			var text string
			text, w.masked = w.m.text(w.text, anyField)
			return text
		}
	}
	w.space()
	w.visit("", open)
	if w.masked == 0 {
		return w.text
	}
	return string(append(w.out, w.text[w.copied:]...))
}

// visit passes over the value of a key, and replaces the secrets in it.
func (w *walk) visit(key string, c certainty) {
	start := w.pos
	switch {
	case w.at('"'):
		s, _ := w.str()
		text, n := w.visitString(key, s, c)
		if n > 0 {
			w.replace(start, text, n)
		}
	case w.at('{'):
		w.visitObject(c)
	case w.at('['):
		w.visitArray(key, c)
	default:
		_ = w.value() // true, false, null or a number, known to be valid
		raw := w.text[start:w.pos]
		number := raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9'
		if number && (c == certain || c == open && isCard(raw) && !isIdentifier(key)) {
			w.replace(start, w.m.mask(raw), 1)
		}
	}
}

func (w *walk) visitString(key, s string, c certainty) (string, int) {
	if c != open {
		if text, n := w.m.whole(s, c); n > 0 || c == certain {
			return text, n
		}
	}
	if inner := strings.TrimLeft(s, jsonSpace); inner != "" && (inner[0] == '{' || inner[0] == '[') && w.strings < maxStrings {
		if _, err := checkJSON(s); err == nil {
			in := walk{m: w.m, scanner: scanner{text: s}, strings: w.strings + 1}
			return in.run(true), in.masked
		}
	}
	return w.m.text(s, key)
}

func (w *walk) visitArray(key string, c certainty) {
	w.pos++
	w.space()
	for !w.next(']') {
		w.visit(key, c)
		w.space()
		w.next(',')
		w.space()
	}
}

// visitObject also knows the pairs of lists of headers, settings and variables,
// as in {"name": "password", "value": "x"}, in either order.
func (w *walk) visitObject(c certainty) {
	before := *w
	if pair, late := w.visitMembers(c, c); late {
		*w = before
		w.visitMembers(c, pair)
	}
}

// visitMembers visits the members of an object; pair is how certain it is that
// the member called "value" is a secret. It returns how certain that is by what
// the member called "name" says, and whether that came too late.
func (w *walk) visitMembers(c, pair certainty) (certainty, bool) {
	lowest := certain // that any "value" was visited with
	w.pos++
	w.space()
	for !w.next('}') {
		key, _ := w.str()
		w.space()
		w.next(':')
		w.space()
		here := w.m.names.certainty(key)
		if c > here && (here > open || !isAbout(key)) {
			here = c
		}
		switch {
		case isPairValue(key):
			here = max(here, pair)
			lowest = min(lowest, here)
		case isPairName(key) && w.at('"'):
			start := w.pos
			name, _ := w.str()
			w.pos = start
			if found := w.m.names.certainty(name); found > open {
				pair = max(pair, found)
				here = open // the name of a secret is none
			}
		}
		w.visit(key, here)
		w.space()
		w.next(',')
		w.space()
	}
	return pair, pair > lowest
}

func (w *walk) replace(start int, text string, n int) {
	w.out = append(w.out, w.text[w.copied:start]...)
	w.out = appendString(w.out, text)
	w.copied = w.pos
	w.masked += n
}

func isPairName(key string) bool {
	switch strings.ToLower(key) {
	case "name", "key", "header", "field", "field_name", "variable", "setting", "option", "attribute":
		return true
	}
	return false
}

func isPairValue(key string) bool {
	switch strings.ToLower(key) {
	case "value", "values", "val", "old", "new", "old_value", "new_value", "oldvalue", "newvalue", "before", "after", "from", "to", "default":
		return true
	}
	return false
}
