package gormaudit

import "strings"

// token is a piece of a statement of SQL.
type token struct {
	kind       tokenKind
	text       string // a word in capitals; a name without its quotes; else as it stands
	start, end int    // in the statement
	depth      int    // of the parentheses around it
}

type tokenKind int

const (
	word tokenKind = iota // a keyword or a name without quotes
	name                  // a name in quotes
	text                  // a text or bytes
	number
	parameter // ?, ?1, $1, :name, @name
	sign      // anything else, one byte
)

// tokens takes a statement apart. It never fails: what is not closed goes on to
// the end.
func tokens(s, dialect string) []token {
	var all []token
	depth := 0
	for i := 0; i < len(s); {
		start := i
		t := token{kind: sign, start: i, depth: depth}
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
			continue
		case strings.HasPrefix(s[i:], "--"):
			i = after(s, i, "\n")
			continue
		case strings.HasPrefix(s[i:], "/*"):
			i = after(s, i+2, "*/")
			continue
		case c == '\'':
			escapes := dialect == "postgres" && i > 0 && (s[i-1] == 'e' || s[i-1] == 'E')
			i = closing(s, i, '\'', escapes)
			t.kind, t.text = text, s[start:i]
		case c == '"' || c == '`':
			i = closing(s, i, c, false)
			t.kind, t.text = name, unquote(s[start:i], c)
		case c == '[' && dialect == "sqlite":
			i = after(s, i, "]")
			t.kind, t.text = name, strings.Trim(s[start:i], "[]")
		case c == '$' && dialect == "postgres" && dollarTag(s[i:]) != "":
			tag := dollarTag(s[i:])
			i = after(s, i+len(tag), tag)
			t.kind, t.text = text, s[start:i]
		case c == '?' || (c == '$' || c == ':' || c == '@') && i+1 < len(s) && inWord(s[i+1]) && (i == 0 || s[i-1] != ':'):
			for i++; i < len(s) && inWord(s[i]); i++ {
			}
			t.kind, t.text = parameter, s[start:i]
		case '0' <= c && c <= '9':
			for ; i < len(s) && (inWord(s[i]) || s[i] == '.'); i++ {
			}
			t.kind, t.text = number, s[start:i]
		case inWord(c):
			for ; i < len(s) && inWord(s[i]); i++ {
			}
			t.text = strings.ToUpper(s[start:i])
			t.kind = word
		default:
			i++
			t.text = s[start:i]
			switch c {
			case '(':
				depth++
			case ')':
				depth--
				t.depth = depth
			}
		}
		t.end = i
		all = append(all, t)
	}
	return all
}

// after returns the place after the next end, from i on.
func after(s string, i int, end string) int {
	if i > len(s) {
		return len(s)
	}
	if n := strings.Index(s[i:], end); n >= 0 {
		return i + n + len(end)
	}
	return len(s)
}

// closing returns the place after the quote that closes the one at i. A doubled
// quote closes nothing, and neither does one after a backslash where those
// escape.
func closing(s string, i int, quote byte, escapes bool) int {
	for i++; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

func unquote(s string, quote byte) string {
	q := string(quote)
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(s, q), q), q+q, q)
}

// dollarTag returns the $tag$ with which s begins, if it does.
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		if s[i] == '$' {
			return s[:i+1]
		}
		if !inWord(s[i]) || i == 1 && '0' <= s[i] && s[i] <= '9' {
			return ""
		}
	}
	return ""
}

// inWord reports whether a byte belongs to a word. Everything beyond ASCII does.
func inWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}

// maxStatement is how many bytes of a statement are recorded.
const maxStatement = 500

// redacted is a statement with a ? in place of each value that stands in it.
func redacted(statement, dialect string) string {
	var b strings.Builder
	end := 0
	for _, t := range tokens(statement, dialect) {
		if b.Len() > maxStatement {
			return strings.ToValidUTF8(b.String()[:maxStatement], "") + "…"
		}
		if t.start > end && end > 0 {
			b.WriteByte(' ') // for whatever stood there, a comment too
		}
		end = t.end
		if t.kind == text || t.kind == number {
			b.WriteByte('?')
		} else {
			b.WriteString(statement[t.start:t.end])
		}
	}
	return strings.ToValidUTF8(b.String(), "")
}
