package query

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is one term as it was written. Where it is wrong, err says so, and what
// could be read is there all the same: people are helped while they type.
type token struct {
	start, end int // byte offsets in the query
	not        bool
	key        string // in lower case; "" for free text
	keyStart   int
	keyEnd     int    // where the colon stands
	parts      []part // the alternatives; one for free text
	err        *SyntaxError
}

// part is one alternative of a token.
type part struct {
	start, end int
	text       string // without quotes and without the star
	quoted     bool
	star       bool // a star stood at the end, outside of quotes
}

// lexer cuts a query into tokens.
type lexer struct {
	q   string
	pos int
}

// next returns the next token, and false at the end of the query.
func (l *lexer) next() (token, bool) {
	for l.pos < len(l.q) {
		n := spaceAt(l.q, l.pos)
		if n == 0 {
			break
		}
		l.pos += n
	}
	if l.pos >= len(l.q) {
		return token{}, false
	}
	t := token{start: l.pos}
	if l.q[l.pos] == '-' && l.pos+1 < len(l.q) && spaceAt(l.q, l.pos+1) == 0 {
		t.not = true
		l.pos++
	}
	t.keyStart = l.pos
	if n := keyLength(l.word()); n > 0 {
		t.keyEnd = l.pos + n
		t.key = strings.ToLower(l.q[l.pos:t.keyEnd])
		l.pos = t.keyEnd + 1
		l.alternatives(&t)
	} else {
		l.free(&t)
	}
	if t.err != nil {
		// The rest of the word belongs to the mistake.
		l.pos = max(l.pos, t.err.Position)
		l.pos += len(l.word())
	}
	t.end = l.pos
	return t, true
}

// word returns the query from here to the next space.
func (l *lexer) word() string {
	rest := l.q[l.pos:]
	if i := strings.IndexFunc(rest, unicode.IsSpace); i >= 0 {
		return rest[:i]
	}
	return rest
}

// free reads one word or phrase. A comma is nothing special in it: people look
// for 1,000 too.
func (l *lexer) free(t *token) {
	p := part{start: l.pos}
	if l.q[l.pos] == '"' {
		l.quoted(t, &p)
		if t.err == nil && len(l.word()) > 0 {
			t.err = l.wrong(l.pos, len(l.word()), "a space is missing after the quote", "")
		}
	} else {
		p.text = l.word()
		l.pos += len(p.text)
		if i := strings.IndexByte(p.text, '"'); i >= 0 {
			t.err = l.quoteInside(p.start+i, p.text)
		}
		// A text is found anywhere, so a star after it changes nothing.
		if len(p.text) > 1 && strings.HasSuffix(p.text, "*") {
			p.text, p.star = p.text[:len(p.text)-1], true
		}
	}
	p.end = l.pos
	t.parts = append(t.parts, p)
}

// alternatives reads the values after a key.
func (l *lexer) alternatives(t *token) {
	for {
		p := part{start: l.pos}
		switch {
		case l.pos < len(l.q) && l.q[l.pos] == '"':
			l.quoted(t, &p)
		default:
			text := l.word()
			if i := strings.IndexAny(text, `,"`); i >= 0 {
				if text[i] == '"' {
					t.err = l.quoteInside(l.pos+i, text)
				}
				text = text[:i]
			}
			l.pos += len(text)
			if text == "" && t.err == nil {
				what := "a value is missing after " + t.key + ":"
				if len(t.parts) > 0 {
					what = "a value is missing after the comma"
				} else if l.pos < len(l.q) && l.q[l.pos] == ',' {
					what = "a value is missing before the comma"
				}
				t.err = l.wrong(l.pos, 0, what, "")
			}
			if strings.HasSuffix(text, "*") {
				text, p.star = text[:len(text)-1], true
			}
			p.text = text
		}
		p.end = l.pos
		t.parts = append(t.parts, p)
		if t.err != nil || l.pos >= len(l.q) || spaceAt(l.q, l.pos) > 0 {
			return
		}
		if l.q[l.pos] != ',' {
			t.err = l.wrong(l.pos, len(l.word()), "a comma or a space is missing after the quote", "")
			return
		}
		l.pos++
	}
}

// quoted reads a value in quotes and the star after them. Within quotes, two
// quotes are one, and nothing else is special.
func (l *lexer) quoted(t *token, p *part) {
	open := l.pos
	p.quoted = true
	l.pos++
	var b strings.Builder
	for {
		i := strings.IndexByte(l.q[l.pos:], '"')
		if i < 0 {
			b.WriteString(l.q[l.pos:])
			p.text = b.String()
			l.pos = len(l.q)
			t.err = l.wrong(open, 1, "this quote is not closed", "")
			return
		}
		b.WriteString(l.q[l.pos : l.pos+i])
		l.pos += i + 1
		if l.pos >= len(l.q) || l.q[l.pos] != '"' {
			break
		}
		b.WriteByte('"')
		l.pos++
	}
	p.text = b.String()
	if l.pos < len(l.q) && l.q[l.pos] == '*' {
		p.star = true
		l.pos++
	}
}

// quoteInside is the error for a quote in the middle of a word.
func (l *lexer) quoteInside(at int, word string) *SyntaxError {
	return l.wrong(at, 1, "a quote stands inside a word; put the whole of it in quotes and write the one inside twice", inQuotes(word))
}

func (l *lexer) wrong(at, length int, message, suggestion string) *SyntaxError {
	return &SyntaxError{Query: l.q, Position: at, Length: length, Message: message, Suggestion: suggestion}
}

// keyLength returns how many bytes of a word are its key, or 0 if it has none:
// letters and `-` before one `:` that is not followed by `/` or `:`.
func keyLength(word string) int {
	n := strings.IndexFunc(word, func(r rune) bool { return r != '-' && !unicode.IsLetter(r) })
	if n <= 0 || word[n] != ':' {
		return 0
	}
	if n+1 < len(word) && (word[n+1] == ':' || word[n+1] == '/') {
		// ip:::1 can only be meant as what it looks like.
		first, _, _ := strings.Cut(word[n+1:], ",")
		if !strings.EqualFold(word[:n], ipEntry.Key) || !isAddress(first) {
			return 0
		}
	}
	// dead:beef::1 is an address. No key is made of the letters a to f alone.
	if strings.Trim(word[:n], "abcdefABCDEF") == "" && isAddress(word) {
		return 0
	}
	return n
}

func isAddress(word string) bool {
	if _, err := netip.ParseAddr(word); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(word)
	return err == nil
}

// spaceAt returns the length of the space at a place, or 0 if there is none.
func spaceAt(s string, i int) int {
	if c := s[i]; c < utf8.RuneSelf {
		if c == ' ' || '\t' <= c && c <= '\r' {
			return 1
		}
		return 0
	}
	if r, n := utf8.DecodeRuneInString(s[i:]); unicode.IsSpace(r) {
		return n
	}
	return 0
}

// Quote returns a value as it has to be written in a query, after a key or
// alone: in quotes where it would otherwise be read as something else.
func Quote(value string) string {
	if needsQuotes(value, true) || needsQuotes(value, false) {
		return inQuotes(value)
	}
	return value
}

func inQuotes(value string) string {
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}

// needsQuotes reports whether a value would be read as something else without
// them: after a key, or as free text.
func needsQuotes(value string, free bool) bool {
	if value == "" || strings.ContainsRune(value, '"') || strings.ContainsFunc(value, unicode.IsSpace) {
		return true
	}
	if !free {
		return strings.ContainsAny(value, ",*") || value[0] == ':' || value[0] == '/'
	}
	if value == "-" || value == "*" {
		return false
	}
	return value[0] == '-' || strings.HasSuffix(value, "*") || keyLength(value) > 0
}
