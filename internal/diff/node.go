package diff

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// maxDepth is how deep values are taken apart; what lies deeper is one value.
const maxDepth = 32

// node is a JSON value in the order in which it was written. A nil node is a
// value that is not there.
type node struct {
	kind byte   // one of n t f 0 " [ { for null, true, false, a number, a string, …
	raw  string // as it was written
	text string // of a string, decoded
	keys []string
	kids []*node
}

// parse reads a JSON value; "" gives nil, and what is no JSON a string that
// holds it as it is.
func parse(raw string) *node {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return nil
	}
	if !json.Valid([]byte(raw)) {
		return &node{kind: '"', raw: raw, text: raw}
	}
	p := parser{text: raw}
	return p.value(0)
}

// parser reads JSON that is known to be valid.
type parser struct {
	text string
	pos  int
}

func (p *parser) value(depth int) *node {
	p.space()
	start := p.pos
	n := &node{}
	switch c := p.text[p.pos]; c {
	case '{', '[':
		if depth == maxDepth {
			p.skip()
			n.kind, n.text = '"', p.text[start:p.pos]
			break
		}
		n.kind = c
		p.pos++
		for p.space(); p.text[p.pos] != c+2; p.space() { // ] and } come two after [ and {
			if c == '{' {
				n.keys = append(n.keys, p.str())
				p.space()
				p.pos++ // the colon
			}
			n.kids = append(n.kids, p.value(depth+1))
			if p.space(); p.text[p.pos] == ',' {
				p.pos++
			}
		}
		p.pos++
	case '"':
		n.kind, n.text = c, p.str()
	case 't', 'n':
		n.kind = c
		p.pos += len("true")
	case 'f':
		n.kind = c
		p.pos += len("false")
	default:
		n.kind = '0'
		for p.pos < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[p.pos]) >= 0 {
			p.pos++
		}
	}
	n.raw = p.text[start:p.pos]
	return n
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// quoted passes over a string and returns it with its quotes.
func (p *parser) quoted() string {
	start := p.pos
	for p.pos++; p.text[p.pos] != '"'; p.pos++ {
		if p.text[p.pos] == '\\' {
			p.pos++
		}
	}
	p.pos++
	return p.text[start:p.pos]
}

func (p *parser) str() string {
	raw := p.quoted()
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return raw
	}
	return s
}

// skip passes over an object or an array without taking it apart.
func (p *parser) skip() {
	for depth := 0; ; {
		switch p.text[p.pos] {
		case '"':
			p.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		p.pos++
		if depth == 0 {
			return
		}
	}
}

func (n *node) nested() bool { return n != nil && (n.kind == '{' || n.kind == '[') }

func (n *node) isString() bool { return n != nil && n.kind == '"' }

func (n *node) isMask() bool { return n.isString() && audit.IsMask(n.text) }

// nothing reports whether there is no value: null is none either.
func (n *node) nothing() bool { return n == nil || n.kind == 'n' }

// get returns the member of an object with that key.
func (n *node) get(key string) *node {
	for i, k := range n.keys {
		if k == key {
			return n.kids[i]
		}
	}
	return nil
}

// typeName is the name of the type as people know it.
func (n *node) typeName() string {
	switch {
	case n.nothing():
		return ""
	case n.isMask():
		return "mask"
	}
	switch n.kind {
	case '"':
		return "string"
	case '0':
		return "number"
	case '{':
		return "object"
	case '[':
		return "array"
	}
	return "boolean"
}

// json writes a value on one line, with a space where people expect one, and
// its numbers and texts as they were given.
func (n *node) json() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *node) write(b *strings.Builder) {
	switch {
	case n == nil:
	case !n.nested():
		b.WriteString(n.raw)
	default:
		b.WriteByte(n.kind)
		for i, kid := range n.kids {
			if i > 0 {
				b.WriteString(", ")
			}
			if n.kind == '{' {
				b.WriteString(quote(n.keys[i]))
				b.WriteString(": ")
			}
			kid.write(b)
		}
		b.WriteByte(n.kind + 2)
	}
}

// inner returns the object or array that a string holds as JSON, and the node
// itself for anything else.
func (n *node) inner() *node {
	if !n.isString() {
		return n
	}
	t := strings.TrimSpace(n.text)
	if t == "" || t[0] != '{' && t[0] != '[' || !json.Valid([]byte(t)) {
		return n
	}
	return parse(t)
}

// equal reports whether two values are the same. The order of keys makes no
// difference, the spelling of a number does: it is how exact it was. Two masks
// without a fingerprint may hide anything and are never equal.
func equal(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case '"':
		return a.text == b.text && (a.text != audit.Mask)
	case '0':
		return a.raw == b.raw
	case '[', '{':
		if len(a.kids) != len(b.kids) {
			return false
		}
		if a.raw == b.raw && !strings.Contains(a.raw, audit.Mask) {
			return true
		}
	default:
		return true
	}
	if a.kind == '[' {
		for i := range a.kids {
			if !equal(a.kids[i], b.kids[i]) {
				return false
			}
		}
		return true
	}
	find := finder(b)
	for i, key := range a.keys {
		if other := find(key, i); other == nil || !equal(a.kids[i], other) {
			return false
		}
	}
	return true
}

// finder returns a function that finds the member of a key, which is usually
// where it was in the other object.
func finder(n *node) func(key string, guess int) *node {
	var index map[string]*node
	return func(key string, guess int) *node {
		if guess < len(n.keys) && n.keys[guess] == key {
			return n.kids[guess]
		}
		if len(n.keys) <= 8 {
			return n.get(key)
		}
		if index == nil {
			index = make(map[string]*node, len(n.keys))
			for i, k := range n.keys {
				index[k] = n.kids[i]
			}
		}
		return index[key]
	}
}

// step returns the path of a member.
func step(path, key string) string {
	for i, r := range key {
		letter := r == '_' || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= 0x80
		if !letter && (i == 0 || r < '0' || r > '9') {
			return path + "[" + quote(key) + "]"
		}
	}
	if key == "" {
		return path + `[""]`
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// quote writes a text as JSON.
func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be written
	return strings.TrimSuffix(b.String(), "\n")
}

// shorten cuts a text to at most that many characters and an ellipsis.
func shorten(s string, most int) string {
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
