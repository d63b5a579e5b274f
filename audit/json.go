package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeOptions says where a line comes from.
type DecodeOptions struct {
	// Import reads a file that export may have written: id, seq and recorded_at
	// are ignored, source is kept, and the timestamp is required. Without it, as
	// for what programs send, those four are refused because the server gives
	// them, and a missing timestamp is left to Event.FillTime.
	Import bool
}

// Recorded is what the database knows of an event beyond the event itself.
type Recorded struct {
	ID         int64
	Seq        int64
	RecordedAt time.Time
	// Checked is set by whoever knows that the event's JSON is JSON, which is then
	// not looked at again.
	Checked bool
}

// The members that are no fields of a kind.
const (
	memberKind       = "kind"
	memberEventID    = "event_id"
	memberID         = "id"
	memberSeq        = "seq"
	memberRecordedAt = "recorded_at"
	memberSource     = "source"
)

// member is one key of a line with its raw value.
type member struct{ key, raw string }

// maxMembers is more than any kind has: fields, kind and the five others.
const maxMembers = 32

// DecodeEvent reads one event from one line of NDJSON. It owns nothing of line
// afterwards. The event is not normalized yet.
//
// It is strict, so that no other parser can read something else in the same
// line: keys in their exact case, none unknown, none repeated at any level,
// nothing after the object, valid UTF-8 without half surrogate pairs, at most 32
// levels within a field. Text has to be a string, an integer may also be given
// as a string, null is as good as absent. Every starred field has to be there.
// A JSON field keeps the bytes it was given as. An error is a *FieldError.
func DecodeEvent(line []byte, o DecodeOptions) (*Event, error) {
	// One copy of the line: every value without escapes is a part of it.
	s := scanner{text: string(line), depth: -1} // the object around the fields does not count
	var array [maxMembers]member
	all := array[:0]
	s.space()
	if !s.at('{') {
		return nil, &FieldError{Problem: "an event has to be one JSON object a line, beginning with {"}
	}
	var kind Kind
	err := s.object(func(key, raw string) error {
		if key == memberKind {
			kind = Kind(text(raw))
			return nil
		}
		if len(all) == maxMembers {
			return &FieldError{Problem: fmt.Sprintf("an event has at most %d fields", maxMembers)}
		}
		all = append(all, member{key, raw})
		return nil
	})
	if err == nil {
		if s.space(); s.pos < len(s.text) {
			err = s.fail(s.pos, "something follows the event on its line")
		}
	}
	var wrong *FieldError
	if errors.As(err, &wrong) {
		return nil, wrong
	}
	if err != nil {
		return nil, &FieldError{Problem: "not valid JSON: " + err.Error()}
	}
	if !kind.Valid() {
		return nil, unknownKind(kind)
	}
	return decodeMembers(kind, all, !s.nul, o)
}

// decodeMembers makes an event of the members of a line that is valid JSON; plain
// says that it has no escaped U+0000.
func decodeMembers(kind Kind, all []member, plain bool, o DecodeOptions) (*Event, error) {
	e := NewEvent(kind)
	fields := kind.Fields()
	var seen uint64
	guess := 0 // the usual order is that of the contract
	for _, m := range all {
		if m.raw == "null" {
			if !known(kind, m.key, o) {
				return nil, unknownField(kind, m.key, o)
			}
			continue
		}
		i := guess
		if i >= len(fields) || fields[i].Name != m.key {
			i = kind.Index(m.key)
		}
		if i < 0 {
			if err := e.decodeMeta(m, o); err != nil {
				return nil, err
			}
			continue
		}
		guess = i + 1
		seen |= 1 << i
		problem := decodeValue(&e.values[i], fields[i].Type, m.raw)
		if problem != "" {
			return nil, e.wrong(m.key, "%s", problem)
		}
		if plain && fields[i].Type == JSON {
			e.setValid(i)
		}
	}
	for i, f := range fields {
		if !f.Required || seen&(1<<i) != 0 && (e.values[i] != "" || f.EmptyAllowed) {
			continue
		}
		switch {
		case f.Name != "timestamp" || o.Import:
			return nil, e.wrong(f.Name, "is missing")
		case e.EventID != "":
			return nil, e.wrong(f.Name, "is missing: an event_id is unique only together with a timestamp")
		}
	}
	return e, nil
}

// decodeValue sets v from raw JSON that is valid and not null.
func decodeValue(v *string, t Type, raw string) (problem string) {
	quoted := raw[0] == '"'
	switch t {
	case JSON:
		*v = raw
		return ""
	case Boolean:
		if raw != "true" && raw != "false" {
			return "must be true or false, without quotes"
		}
		*v = raw
		return ""
	case Integer:
		if !quoted {
			if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') || strings.ContainsAny(raw, ".eE") {
				return "must be a whole number; got " + shorten(raw)
			}
			*v = raw
			return ""
		}
	}
	if !quoted {
		if raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9' {
			return fmt.Sprintf(`must be a string: write "%s" in quotes`, shorten(raw))
		}
		return "must be a string; got " + shorten(raw)
	}
	*v = text(raw)
	return ""
}

// decodeMeta reads a member that is no field of the kind.
func (e *Event) decodeMeta(m member, o DecodeOptions) error {
	switch {
	case m.key == memberEventID:
		if m.raw[0] != '"' {
			return e.wrong(m.key, "must be a string; got %s", shorten(m.raw))
		}
		e.EventID = text(m.raw)
	case !known(e.Kind, m.key, o):
		return unknownField(e.Kind, m.key, o)
	case m.key == memberSource:
		if m.raw[0] != '"' {
			return e.wrong(m.key, "must be a string; got %s", shorten(m.raw))
		}
		e.Source = text(m.raw)
	}
	return nil
}

// known reports whether a line may have the key.
func known(kind Kind, key string, o DecodeOptions) bool {
	switch key {
	case memberKind, memberEventID:
		return true
	case memberID, memberSeq, memberRecordedAt, memberSource:
		return o.Import
	}
	return kind.Index(key) >= 0
}

// text is what a raw JSON string stands for, and "" for any other value.
func text(raw string) string {
	if raw[0] != '"' {
		return ""
	}
	raw = raw[1 : len(raw)-1]
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	return unescape(raw)
}

func unknownKind(kind Kind) error {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	if kind == "" {
		return &FieldError{Field: memberKind, Problem: "is missing: it must be " + orList(names)}
	}
	return &FieldError{Field: memberKind, Problem: fmt.Sprintf("must be %s; got %q", orList(names), shorten(string(kind)))}
}

func unknownField(kind Kind, key string, o DecodeOptions) error {
	problem := "is not known"
	switch key {
	case memberID, memberSeq, memberRecordedAt, memberSource:
		problem = "is given by the server and cannot be sent"
	default:
		names := []string{memberKind, memberEventID}
		for _, f := range kind.Fields() {
			names = append(names, f.Name)
		}
		if near := nearest(key, names); near != "" {
			problem += fmt.Sprintf(`: did you mean "%s"?`, near)
		}
	}
	return &FieldError{Kind: kind, Field: shorten(key), Problem: problem}
}

// nearest returns the name that key was probably meant to be, or "".
func nearest(key string, names []string) string {
	if len(key) > 64 {
		return ""
	}
	bare := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
	}
	best, bestDistance := "", 3
	for _, name := range names {
		d := distance(bare(key), bare(name))
		if d < bestDistance && d < len(name)/2 {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// AppendJSON appends an event as one JSON object without a line break: kind,
// what is known of its recording where r is not nil (id as a string, seq,
// recorded_at, source), event_id, then the fields in the order of the contract.
// What is empty is left out, save a required field that may be empty. JSON
// fields are written as they are; one that is damaged is written as a string.
//
// DecodeEvent reads a normalized event back unchanged, the Source only where r
// was given and DecodeOptions.Import is set.
func AppendJSON(dst []byte, e *Event, r *Recorded) []byte {
	dst = append(dst, `{"kind":"`...)
	dst = append(dst, e.Kind...)
	dst = append(dst, '"')
	if r != nil {
		dst = append(dst, `,"id":"`...)
		dst = strconv.AppendInt(dst, r.ID, 10)
		dst = append(dst, `","seq":`...)
		dst = strconv.AppendInt(dst, r.Seq, 10)
		dst = append(dst, `,"recorded_at":"`...)
		dst = AppendTime(dst, r.RecordedAt)
		dst = append(dst, '"')
		dst = appendMember(dst, memberSource, e.Source)
	}
	dst = appendMember(dst, memberEventID, e.EventID)
	for i, f := range e.Kind.Fields() {
		v := e.values[i]
		switch {
		case v == "" && !f.EmptyAllowed:
		case f.Type == JSON:
			dst = append(dst, ',', '"')
			dst = append(dst, f.Name...)
			dst = append(dst, '"', ':')
			dst = appendRaw(dst, v, r != nil && r.Checked)
		case f.Type == Integer && isInteger(v), f.Type == Boolean && (v == "true" || v == "false"):
			dst = append(dst, ',', '"')
			dst = append(dst, f.Name...)
			dst = append(dst, '"', ':')
			dst = append(dst, v...)
		default:
			dst = append(dst, ',', '"')
			dst = append(dst, f.Name...)
			dst = append(dst, '"', ':')
			dst = appendString(dst, v)
		}
	}
	return append(dst, '}')
}

func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendString(dst, value)
}

// appendRaw appends JSON as it is, as far as it is JSON on one line.
func appendRaw(dst []byte, raw string, checked bool) []byte {
	if !checked {
		if _, err := checkJSON(raw); err != nil {
			return appendString(dst, raw)
		}
	}
	if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		raw = lineBreaks.Replace(raw)
	}
	return append(dst, raw...)
}

func isInteger(v string) bool {
	n, err := strconv.ParseInt(v, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == v
}

// plainPrefix is how many bytes at the beginning of a text, counted in eights, a JSON
// string holds as they are. Nearly every text is all of them, and eight are looked
// at in the time of one.
func plainPrefix(s string) (n int) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(s)-n >= 8; n += 8 {
		e := s[n : n+8]
		w := uint64(e[0]) | uint64(e[1])<<8 | uint64(e[2])<<16 | uint64(e[3])<<24 | uint64(e[4])<<32 | uint64(e[5])<<40 | uint64(e[6])<<48 | uint64(e[7])<<56
		quote, backslash, rubout := w^ones*'"', w^ones*'\\', w^ones*0x7f
		if (w|(w-ones*' ')|(quote-ones)|(backslash-ones)|(rubout-ones))&highs != 0 {
			break // a byte less than ' ', equal to one of the three or not ASCII: the lowest one borrows from none
		}
	}
	return n
}

// appendString appends a JSON string. Control characters and the two line
// separators of JavaScript are escaped, the rest of Unicode is not, and what is
// no UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := plainPrefix(s); i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f && c < utf8.RuneSelf {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
			if !(r == utf8.RuneError && n == 1) && r != '\u2028' && r != '\u2029' {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case utf8.RuneError:
			dst = utf8.AppendRune(dst, utf8.RuneError)
		default:
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		}
		i += n
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
