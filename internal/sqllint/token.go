package sqllint

import (
	"fmt"
	"strings"
)

// kind is what a token is.
type kind int

const (
	word     kind = iota // a name or keyword; unquoted, in small letters
	quoted               // a name in quotes
	literal              // a number, or a text of any form of quotes
	param                // $1 or ?
	operator             // and punctuation
	group                // what stands between ( and ), [ and ], CASE and END
)

// node is a token, or a group with what is in it.
type node struct {
	kind kind
	text string // of a group, how it begins: "(", "[" or "case"
	in   []node
}

// is reports whether the node is one of these keywords or operators.
func (n node) is(texts ...string) bool {
	if n.kind != word && n.kind != operator {
		return false
	}
	for _, text := range texts {
		if n.text == text {
			return true
		}
	}
	return false
}

// name reports whether the node may be a name.
func (n node) name() bool { return n.kind == word || n.kind == quoted }

// parens reports whether the node is what stands between ( and ).
func (n node) parens() bool { return n.kind == group && n.text == "(" }

// query reports whether the node is a query in parentheses.
func (n node) query() bool {
	return n.parens() && len(n.in) > 0 && (n.in[0].is("select", "with", "values", "table", "insert", "update", "delete") || n.in[0].query())
}

// maxDepth bounds how deep a statement nests; PostgreSQL gives up there as well.
const maxDepth = 500

// read cuts a text into its statements, each as a tree of groups, without comments.
func read(text string) ([][]node, error) {
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	var statements [][]node
	open := []node{{}} // the groups that are not closed yet, outermost first
	closes := map[string]string{")": "(", "]": "[", "end": "case"}
	for _, t := range tokens {
		last := len(open) - 1
		switch {
		case t.is("(", "[", "case"):
			if last == maxDepth {
				return nil, fmt.Errorf("it nests deeper than %d", maxDepth)
			}
			open = append(open, node{kind: group, text: t.text})
		case t.is(")", "]") || t.is("end") && open[last].text == "case":
			if last == 0 || open[last].text != closes[t.text] {
				return nil, fmt.Errorf("%q closes nothing", t.text)
			}
			open[last-1].in = append(open[last-1].in, open[last])
			open = open[:last]
		case t.is(";") && last == 0:
			statements = append(statements, open[0].in)
			open[0].in = nil
		default:
			open[last].in = append(open[last].in, t)
		}
	}
	if len(open) > 1 {
		return nil, fmt.Errorf("%q is not closed", open[len(open)-1].text)
	}
	return append(statements, open[0].in), nil
}

// scan cuts a text into tokens, as PostgreSQL does with
// standard_conforming_strings on.
func scan(text string) ([]node, error) {
	var all []node
	for i := 0; i < len(text); {
		rest, c := text[i:], text[i]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			i++
		case strings.HasPrefix(rest, "--"):
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				i += n + 1
			} else {
				i = len(text)
			}
		case strings.HasPrefix(rest, "/*"):
			n := comment(rest)
			if n < 0 {
				return nil, fmt.Errorf("a comment is not closed")
			}
			i += n
		case c == '\'':
			n := quote(rest, '\'', false)
			if n < 0 {
				return nil, fmt.Errorf("a text is not closed")
			}
			all = append(all, node{kind: literal, text: rest[:n]})
			i += n
		case c == '"':
			n := quote(rest, '"', false)
			if n < 0 {
				return nil, fmt.Errorf("a name in quotes is not closed")
			}
			all = append(all, node{kind: quoted, text: strings.ReplaceAll(rest[1:n-1], `""`, `"`)})
			i += n
		case c == '$':
			t, n := dollar(rest)
			if n < 0 {
				return nil, fmt.Errorf("a text in $ is not closed")
			}
			all = append(all, t)
			i += n
		case c == '?':
			all = append(all, node{kind: param, text: "?"})
			i++
		case letter(c):
			n := 1
			for n < len(rest) && (letter(rest[n]) || digit(rest[n]) || rest[n] == '$') {
				n++
			}
			prefix := strings.ToLower(rest[:n])
			if n < len(rest) && rest[n] == '\'' && (prefix == "e" || prefix == "b" || prefix == "x" || prefix == "n") {
				q := quote(rest[n:], '\'', prefix == "e")
				if q < 0 {
					return nil, fmt.Errorf("a text is not closed")
				}
				all = append(all, node{kind: literal, text: rest[:n+q]})
				i += n + q
				break
			}
			all = append(all, node{kind: word, text: prefix})
			i += n
		case digit(c) || c == '.' && len(rest) > 1 && digit(rest[1]):
			n := 1
			for n < len(rest) && (digit(rest[n]) || letter(rest[n]) || rest[n] == '.') {
				n++
			}
			all = append(all, node{kind: literal, text: rest[:n]})
			i += n
		case strings.IndexByte("()[],;.", c) >= 0:
			all = append(all, node{kind: operator, text: string(c)})
			i++
		case strings.HasPrefix(rest, "::"):
			all = append(all, node{kind: operator, text: "::"})
			i += 2
		default:
			n := operatorLength(rest)
			all = append(all, node{kind: operator, text: rest[:n]})
			i += n
		}
	}
	return all, nil
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
func digit(c byte) bool { return c >= '0' && c <= '9' }

// quote is the length of what stands in quotes at the beginning of a text, or -1
// where it is not closed. A quote is written twice inside, or behind a backslash
// where those escape.
func quote(text string, mark byte, backslash bool) int {
	for i := 1; i < len(text); i++ {
		switch {
		case backslash && text[i] == '\\':
			i++
		case text[i] != mark:
		case i+1 < len(text) && text[i+1] == mark:
			i++
		default:
			return i + 1
		}
	}
	return -1
}

// comment is the length of a comment at the beginning of a text; comments nest.
func comment(text string) int {
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch text[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// dollar reads a parameter or a text in dollar quotes.
func dollar(text string) (node, int) {
	n := 1
	for n < len(text) && digit(text[n]) {
		n++
	}
	if n > 1 {
		return node{kind: param, text: text[:n]}, n
	}
	for n < len(text) && (letter(text[n]) || n > 1 && digit(text[n])) {
		n++
	}
	if n == len(text) || text[n] != '$' {
		return node{kind: operator, text: "$"}, 1
	}
	mark := text[:n+1]
	end := strings.Index(text[n+1:], mark)
	if end < 0 {
		return node{}, -1
	}
	n += 1 + end + len(mark)
	return node{kind: literal, text: text[:n]}, n
}

// operatorLength is how long the operator at the beginning of a text is. A + or -
// at the end of one belongs to what comes next, unless the operator has one of the
// rarer characters.
func operatorLength(text string) int {
	const chars, rare = "+-*/<>=~!@#%^&|`", "~!@#%^&|`"
	n := 0
	for n < len(text) && strings.IndexByte(chars, text[n]) >= 0 && !strings.HasPrefix(text[n:], "--") && !strings.HasPrefix(text[n:], "/*") {
		n++
	}
	if n == 0 {
		return 1 // a character that PostgreSQL does not know either
	}
	for n > 1 && (text[n-1] == '+' || text[n-1] == '-') && !strings.ContainsAny(text[:n], rare) {
		n--
	}
	return n
}
