package audit

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what is taken in, in bytes. Normalize and DecodeEvent apply
// MaxEventID alone; the others belong to whoever reads from outside, because
// what a file may hold is not what a network client may send.
const (
	MaxEventID    = 256       // of an event_id
	MaxEvent      = 1 << 20   // of one event sent over the network
	MaxField      = 256 << 10 // of one field of an event sent over the network
	MaxImportLine = 16 << 20  // of one line, or one row, of an imported file

	maxWord = 64 // of an action
)

// An event has to have happened within these years, and not later than aDay
// after the clock of whoever takes it in.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2201, 1, 1, 0, 0, 0, 0, time.UTC) // exclusive
)

const aDay = 24 * time.Hour

// FieldError says what is wrong with one field of an event.
type FieldError struct {
	Kind    Kind   // empty where it is not known
	Field   string // empty where the event as a whole is wrong
	Problem string // goes on after the field's name: "is missing"
}

// Error returns one sentence without a period.
func (e *FieldError) Error() string {
	switch {
	case e.Field == "":
		return e.Problem
	case e.Kind == "":
		return fmt.Sprintf("the field %q %s", e.Field, e.Problem)
	}
	article := "a"
	if e.Kind == KindAuditLog {
		article = "an"
	}
	return fmt.Sprintf("the field %q of %s %s %s", e.Field, article, e.Kind, e.Problem)
}

// FillTime sets the timestamp to now where the event has none.
func (e *Event) FillTime(now time.Time) {
	if e.Get("timestamp") == "" {
		e.SetTime(now)
	}
}

// LargestField returns the field with the longest text, and its length in
// bytes, for callers that set a limit.
func (e *Event) LargestField() (name string, size int) {
	for i, f := range e.Kind.Fields() {
		if n := len(e.values[i]); n > size {
			name, size = f.Name, n
		}
	}
	return name, size
}

// Normalize checks an event and brings every field into the one form in which
// it is stored. now is the clock of whoever takes the event in. An error is a
// *FieldError; the event may then be half changed and is to be dropped.
//
//   - Required fields are there; FillTime comes before where a missing timestamp
//     is to be filled.
//   - Instants are in UTC with six decimals; the timestamp lies within 1970 to
//     2200 and not more than 24 hours after now.
//   - Words and choices are in upper case, integers canonical, booleans "true"
//     or "false".
//   - Addresses are canonical: an IPv4 address inside IPv6 is written as IPv4, a
//     zone is taken off. What is no plain address moves to metadata.address as
//     it was given, so that nothing is lost and every ip_address can be compared.
//   - JSON is valid and otherwise kept byte for byte, save that a line break
//     between its tokens becomes a space: an event is one line of NDJSON. A JSON
//     null is an absent field.
//   - U+0000 becomes U+2400 everywhere. Invalid UTF-8 is an error.
//   - A system event that says when or by whom it was resolved is resolved,
//     unless it says that it is not.
//
// Normalizing twice changes nothing more.
func (e *Event) Normalize(now time.Time) error {
	if err := e.normalizeNames(); err != nil {
		return err
	}
	fields := e.Kind.Fields()
	for i := range fields {
		f, v := &fields[i], &e.values[i]
		if *v == "" {
			if f.Required && !f.EmptyAllowed {
				return e.wrong(f.Name, "is missing")
			}
			continue
		}
		var problem string
		switch f.Type {
		case Text:
			problem = normalizeText(v)
		case Word:
			problem = normalizeWord(v)
		case Choice:
			problem = normalizeChoice(v, f.Choices)
		case JSON:
			if !e.isValid(*v) {
				problem = normalizeJSON(v)
			} else {
				normalizeValidJSON(v)
			}
			if problem == "" {
				e.setValid(i)
			}
			if problem == "" && f.Name == "changes" && *v != "" && !isObject(*v) {
				problem = `must be a JSON object such as {"status":{"old":"new","new":"paid"}}`
			}
		case Integer:
			problem = normalizeInteger(v)
		case Time:
			problem = normalizeTime(v, f.Name, now)
		case Boolean:
			problem = normalizeBoolean(v)
		}
		if problem != "" {
			return e.wrong(f.Name, "%s", problem)
		}
	}
	// Addresses come last: they may move to the metadata, which is checked by now.
	for i := range fields {
		if fields[i].Type == Address && e.values[i] != "" {
			if err := e.normalizeAddress(&e.values[i], fields[i].Name); err != nil {
				return err
			}
		}
	}
	if e.Kind == KindSystemEvent && e.Get("resolved") == "" && e.Get("resolved_at")+e.Get("resolved_by") != "" {
		e.Set("resolved", "true")
	}
	return nil
}

func (e *Event) wrong(field, format string, args ...any) error {
	return &FieldError{Kind: e.Kind, Field: field, Problem: fmt.Sprintf(format, args...)}
}

// normalizeNames looks at what an event has besides the fields of its kind.
func (e *Event) normalizeNames() error {
	if problem := normalizeText(&e.EventID); problem != "" {
		return e.wrong("event_id", "%s", problem)
	}
	if len(e.EventID) > MaxEventID {
		return e.wrong("event_id", "has %d bytes, and may have %d", len(e.EventID), MaxEventID)
	}
	if problem := normalizeText(&e.Source); problem != "" {
		return e.wrong("source", "%s", problem)
	}
	return nil
}

func normalizeText(v *string) (problem string) {
	if !utf8.ValidString(*v) {
		return fmt.Sprintf("is not valid UTF-8 at byte %d", invalidUTF8(*v)+1)
	}
	if strings.IndexByte(*v, 0) >= 0 {
		*v = strings.ReplaceAll(*v, "\x00", string(nulSymbol))
	}
	return ""
}

func normalizeWord(v *string) (problem string) {
	word := upperASCII(*v)
	ok := len(word) <= maxWord
	for i := 0; i < len(word) && ok; i++ {
		c := word[i]
		ok = 'A' <= c && c <= 'Z' || i > 0 && ('0' <= c && c <= '9' || c == '_')
	}
	if !ok {
		return fmt.Sprintf("must be one word of A-Z, 0-9 and _ that begins with a letter and has at most %d of them, such as UPDATE; got %q", maxWord, shorten(*v))
	}
	*v = word
	return ""
}

func normalizeChoice(v *string, choices []string) (problem string) {
	word := upperASCII(*v)
	for _, c := range choices {
		if c == word {
			*v = c // not word: the event need not keep the text it was cut from
			return ""
		}
	}
	return fmt.Sprintf("must be %s; got %q", orList(choices), shorten(*v))
}

func normalizeInteger(v *string) (problem string) {
	n, err := strconv.ParseInt(*v, 10, 64)
	if err != nil {
		return fmt.Sprintf("must be a whole number of at most 64 bits; got %q", shorten(*v))
	}
	*v = strconv.FormatInt(n, 10)
	return ""
}

func normalizeBoolean(v *string) (problem string) {
	switch {
	case *v == "1" || strings.EqualFold(*v, "true"):
		*v = "true"
	case *v == "0" || strings.EqualFold(*v, "false"):
		*v = "false"
	default:
		return fmt.Sprintf("must be true or false; got %q", shorten(*v))
	}
	return ""
}

func normalizeTime(v *string, field string, now time.Time) (problem string) {
	t, err := ParseTime(*v)
	if err != nil {
		return fmt.Sprintf("must be an RFC 3339 time with a zone such as 2026-03-01T12:00:00.123456Z; got %q", shorten(*v))
	}
	switch {
	case t.Before(earliest):
		return fmt.Sprintf("lies before 1970: %s", shorten(*v))
	case !t.Before(latest):
		return fmt.Sprintf("lies after 2200: %s", shorten(*v))
	case field == "timestamp" && t.After(now.Add(aDay)):
		return fmt.Sprintf("lies more than 24 hours after the clock, which says %s: %s", FormatTime(now), shorten(*v))
	}
	*v = FormatTime(t)
	return ""
}

func normalizeJSON(v *string) (problem string) {
	nul, err := checkJSON(*v)
	if err != nil {
		return "is not valid JSON: " + err.Error()
	}
	if nul {
		*v = replaceEscapedNUL(*v)
	}
	normalizeValidJSON(v)
	return ""
}

func normalizeValidJSON(v *string) {
	if strings.IndexByte(*v, '\n') >= 0 || strings.IndexByte(*v, '\r') >= 0 { // only between tokens: within strings they are escaped
		*v = lineBreaks.Replace(*v)
	}
	if strings.Trim(*v, jsonSpace) == "null" {
		*v = ""
	}
}

const jsonSpace = " \t\r\n"

var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")

// replaceEscapedNUL writes \u2400 for each \u0000 in valid JSON.
func replaceEscapedNUL(text string) string {
	b := []byte(text)
	for i := 0; i+1 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if string(b[i:min(i+6, len(b))]) == `\u0000` {
			copy(b[i:], `\u2400`)
		}
		i++ // what follows the backslash is not the start of an escape
	}
	return string(b)
}

func (e *Event) normalizeAddress(v *string, field string) error {
	given := *v
	if problem := normalizeText(&given); problem != "" {
		return e.wrong(field, "%s", problem)
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(given))
	if err == nil && addr.Zone() == "" {
		*v = addr.Unmap().String()
		return nil
	}
	*v = ""
	if err == nil { // a zone means something on one machine only, and stands in the way of comparing
		*v = addr.WithZone("").Unmap().String()
	}
	meta := e.Kind.Index("metadata")
	e.values[meta] = addMember(e.values[meta], "address", given)
	if _, err := checkJSON(e.values[meta]); err != nil {
		return e.wrong("metadata", "has no room for an address that is not one: %s", err)
	}
	return nil
}

// addMember adds a text to the object in valid JSON, keeping the rest byte for
// byte. Where the key is taken by something else, the next free one of key_2,
// key_3, … is used; what is no object becomes the member "value" of a new one.
func addMember(object, key, text string) string {
	quoted := string(appendString(nil, text))
	if object == "" {
		return `{"` + key + `":` + quoted + `}`
	}
	taken := map[string]string{}
	if !members(object, func(k, raw string) bool { taken[k] = raw; return true }) {
		return `{"value":` + object + `,"` + key + `":` + quoted + `}`
	}
	name := key
	for n := 2; ; n++ {
		raw, ok := taken[name]
		if !ok {
			break
		}
		if raw == quoted {
			return object
		}
		name = key + "_" + strconv.Itoa(n)
	}
	end := strings.LastIndexByte(object, '}')
	comma := ","
	if len(taken) == 0 {
		comma = ""
	}
	return object[:end] + comma + `"` + name + `":` + quoted + object[end:]
}

func isObject(json string) bool {
	json = strings.TrimLeft(json, jsonSpace)
	return json != "" && json[0] == '{'
}

// upperASCII is the upper case of a-z alone: the rest of Unicode has letters
// whose upper case is ASCII (ı, ſ) and would pass for what they are not.
func upperASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'a' <= s[i] && s[i] <= 'z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'a' <= b[i] && b[i] <= 'z' {
					b[i] -= 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// orList writes "A, B or C".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
