package audit

import (
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep the arrays and objects of one JSON field may nest.
const maxDepth = 32

// nulSymbol stands for U+0000, which not every database can hold.
const nulSymbol = '\u2400'

// syntaxError says what is wrong with a JSON text, and at which byte.
type syntaxError struct {
	pos     int
	problem string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.problem, e.pos+1) }

// scanner checks JSON more strictly than encoding/json does: valid UTF-8, whole
// surrogate pairs, no repeated keys, bounded depth. Two parsers that read a text
// it passed cannot read different things.
type scanner struct {
	text  string
	pos   int
	depth int
	nul   bool     // an escaped U+0000 was seen
	keys  []string // decoded keys of the objects that are open
}

// few is up to how many keys of an object are compared one by one; beyond it a
// map is cheaper. An event has fewer.
const few = maxMembers

func (s *scanner) fail(pos int, format string, args ...any) error {
	return &syntaxError{pos, fmt.Sprintf(format, args...)}
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value passes over one value, without the space around it.
func (s *scanner) value() error {
	if s.pos >= len(s.text) {
		return s.fail(s.pos, "the JSON ends too early")
	}
	switch c := s.text[s.pos]; {
	case c == '"':
		_, err := s.str()
		return err
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fail(s.pos, "no JSON value begins with %q", s.rune())
}

// object passes over an object and calls member, where it is not nil, with each
// decoded key and raw value.
func (s *scanner) object(member func(key, raw string) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	first := len(s.keys)
	var many map[string]struct{}
	defer func() { s.keys = s.keys[:first] }()
	s.space()
	if s.next('}') {
		s.depth--
		return nil
	}
	for {
		start := s.pos
		if !s.at('"') {
			return s.fail(s.pos, "a key in double quotes is missing")
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if many != nil {
			if _, ok := many[key]; ok {
				return s.fail(start, "the key %q is repeated", shorten(key))
			}
			many[key] = struct{}{}
		} else {
			for _, k := range s.keys[first:] {
				if k == key {
					return s.fail(start, "the key %q is repeated", shorten(key))
				}
			}
			if s.keys == nil {
				s.keys = make([]string, 0, 8)
			}
			s.keys = append(s.keys, key)
			if len(s.keys)-first > few {
				many = make(map[string]struct{}, 4*few)
				for _, k := range s.keys[first:] {
					many[k] = struct{}{}
				}
			}
		}
		s.space()
		if !s.next(':') {
			return s.fail(s.pos, "a colon is missing")
		}
		s.space()
		from := s.pos
		if err := s.value(); err != nil {
			return err
		}
		if member != nil {
			if err := member(key, s.text[from:s.pos]); err != nil {
				return err
			}
		}
		s.space()
		if s.next('}') {
			s.depth--
			return nil
		}
		if !s.next(',') {
			return s.fail(s.pos, "a comma or } is missing")
		}
		s.space()
	}
}

func (s *scanner) array() error {
	if err := s.enter(); err != nil {
		return err
	}
	s.space()
	if s.next(']') {
		s.depth--
		return nil
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		s.space()
		if s.next(']') {
			s.depth--
			return nil
		}
		if !s.next(',') {
			return s.fail(s.pos, "a comma or ] is missing")
		}
		s.space()
	}
}

func (s *scanner) enter() error {
	s.depth++
	if s.depth > maxDepth {
		return s.fail(s.pos, "more than %d levels are nested", maxDepth)
	}
	s.pos++
	return nil
}

// str passes over a string and returns what it stands for, with U+2400 for each
// U+0000. It allocates only where the string has escapes.
func (s *scanner) str() (string, error) {
	start := s.pos + 1
	ascii, escaped := true, false
	i := start
	for {
		if i >= len(s.text) {
			return "", s.fail(start-1, "a string is not closed")
		}
		if i+8 <= len(s.text) {
			n := plainBytes(s.text[i : i+8])
			if i += n; n == 8 {
				continue
			}
		}
		c := s.text[i]
		if c == '"' {
			break
		}
		switch {
		case c < ' ':
			return "", s.fail(i, "the control character %U has to be escaped", rune(c))
		case c == '\\':
			escaped = true
			n, err := s.escape(i)
			if err != nil {
				return "", err
			}
			i += n
		case c < utf8.RuneSelf:
			i++
		default:
			ascii = false
			for i < len(s.text) && s.text[i] >= utf8.RuneSelf {
				i++
			}
		}
	}
	raw := s.text[start:i]
	s.pos = i + 1
	if !ascii && !utf8.ValidString(raw) {
		return "", s.fail(start+invalidUTF8(raw), "invalid UTF-8")
	}
	if !escaped {
		return raw, nil
	}
	return unescape(raw), nil
}

// plainBytes returns how many of eight bytes, from the first on, are ASCII that
// stands for itself in a string: no quote, no backslash, no control character.
func plainBytes(b string) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
	quotes, backslashes := x^'"'*ones, x^'\\'*ones
	// Of each byte the highest bit: from 0x80 on it is set, and to take away n sets
	// it in one below n. What a byte borrows comes from those behind it.
	others := (x | (x - ' '*ones) | (quotes - ones) | (backslashes - ones)) & highs
	return bits.TrailingZeros64(others) / 8
}

// escape checks the escape at i and returns its length.
func (s *scanner) escape(i int) (int, error) {
	if i+1 >= len(s.text) {
		return 0, s.fail(i, "a string is not closed")
	}
	switch s.text[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
		r, ok := hex4(s.text, i)
		switch {
		case !ok:
			return 0, s.fail(i, `\u needs four hexadecimal digits`)
		case r == 0:
			s.nul = true
		case 0xDC00 <= r && r < 0xE000:
			return 0, s.fail(i, "half a surrogate pair")
		case 0xD800 <= r && r < 0xDC00:
			low, ok := hex4(s.text, i+6)
			if !ok || low < 0xDC00 || low >= 0xE000 {
				return 0, s.fail(i, "half a surrogate pair")
			}
			return 12, nil
		}
		return 6, nil
	}
	return 0, s.fail(i, "an unknown escape in a string")
}

func (s *scanner) number() error {
	start := s.pos
	s.next('-')
	switch {
	case s.next('0'):
	case s.digits() > 0:
	default:
		return s.fail(start, "a number without digits")
	}
	if s.next('.') && s.digits() == 0 {
		return s.fail(start, "a number without digits after its point")
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail(start, "a number without digits in its exponent")
		}
	}
	if s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		return s.fail(start, "a number with a leading zero")
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

func (s *scanner) word(w string) error {
	if !strings.HasPrefix(s.text[s.pos:], w) {
		return s.fail(s.pos, "a bare word that is not true, false or null")
	}
	s.pos += len(w)
	return nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.text) && s.text[s.pos] == c }

func (s *scanner) next(c byte) bool {
	if s.at(c) {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) rune() rune {
	r, _ := utf8.DecodeRuneInString(s.text[s.pos:])
	return r
}

// checkJSON checks that text is one JSON value, and reports whether it holds an
// escaped U+0000.
func checkJSON(text string) (nul bool, err error) {
	s := scanner{text: text}
	s.space()
	if err := s.value(); err != nil {
		return false, err
	}
	s.space()
	if s.pos < len(text) {
		return false, s.fail(s.pos, "something follows the JSON value")
	}
	return s.nul, nil
}

// members calls fn with the decoded key and the raw value of each member of an
// object, in order, until fn returns false. It reports whether text is a valid
// object.
func members(text string, fn func(key, raw string) bool) bool {
	s := scanner{text: text}
	s.space()
	if !s.at('{') {
		return false
	}
	on := true
	err := s.object(func(key, raw string) error {
		on = on && fn(key, raw)
		return nil
	})
	s.space()
	return err == nil && s.pos == len(text)
}

// unescape decodes the inside of a string that scanner.str has passed.
func unescape(raw string) string {
	var b strings.Builder
	b.Grow(len(raw))
	for {
		i := strings.IndexByte(raw, '\\')
		if i < 0 {
			b.WriteString(raw)
			return b.String()
		}
		b.WriteString(raw[:i])
		n := 2
		switch c := raw[i+1]; c {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			n = 6
			r, _ := hex4(raw, i)
			if r == 0 {
				r = nulSymbol
			}
			if 0xD800 <= r && r < 0xDC00 {
				n = 12
				low, _ := hex4(raw, i+6)
				r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
		raw = raw[i+n:]
	}
}

// hex4 reads the four digits of the \uXXXX at i.
func hex4(s string, i int) (rune, bool) {
	if i+6 > len(s) || s[i] != '\\' || s[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[i+2 : i+6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// invalidUTF8 returns the place of the first byte that is not UTF-8.
func invalidUTF8(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(s)
}

// shorten cuts a text for use within a message.
func shorten(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
