package query

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// Completion is what may be typed at a place in a query: keys, or values of a
// key. Where neither fits, as in a phrase, it is empty.
type Completion struct {
	// Start and End are the byte offsets of what the choice replaces: of a key
	// with its colon, or of one value with its quotes and star.
	Start, End int

	// Keys are the fields whose keys fit what was typed, in the order of the
	// documentation. What is inserted is the key and a colon.
	Keys []Field

	// Key is the key whose value is being typed, and Prefix what there is of it,
	// without quotes. Values are those that the language knows by itself; all
	// others are the caller's to offer, each as Quote writes it.
	Key    string
	Prefix string
	Values []string
}

// Complete says what may be typed at a byte offset of a query, right or wrong as
// the query may be.
func Complete(kind audit.Kind, q string, cursor int) Completion {
	cursor = min(max(cursor, 0), len(q))
	for cursor > 0 && cursor < len(q) && !utf8.RuneStart(q[cursor]) {
		cursor--
	}
	l := lexer{q: q}
	for {
		t, ok := l.next()
		switch {
		case !ok || cursor <= t.start:
			return completeKey(kind, q, cursor, cursor, cursor)
		case cursor > t.end:
			continue
		case cursor < t.keyStart:
			return Completion{Start: cursor, End: cursor}
		case t.key != "" && cursor <= t.keyEnd:
			return completeKey(kind, q, t.keyStart, cursor, t.keyEnd+1)
		case t.key != "":
			return completeValue(kind, q, t, cursor)
		case !t.parts[0].quoted:
			return completeKey(kind, q, t.keyStart, cursor, t.end)
		}
		return Completion{Start: cursor, End: cursor}
	}
}

// completeKey offers the keys that begin like what was typed or, where there is
// none, those that are also called so.
func completeKey(kind audit.Kind, q string, start, cursor, end int) Completion {
	c := Completion{Start: start, End: end}
	typed := strings.ToLower(q[start:cursor])
	for _, f := range Fields(kind) {
		if strings.HasPrefix(f.Key, typed) {
			c.Keys = append(c.Keys, f)
		}
	}
	if len(c.Keys) > 0 || len(typed) < 2 {
		return c
	}
	for _, f := range Fields(kind) {
		for other, key := range otherNames {
			if key == f.Key && strings.HasPrefix(other, typed) {
				c.Keys = append(c.Keys, f)
				break
			}
		}
	}
	return c
}

func completeValue(kind audit.Kind, q string, t token, cursor int) Completion {
	field, ok := Lookup(kind, t.key)
	i := slices.IndexFunc(t.parts, func(p part) bool { return p.start <= cursor && cursor <= p.end })
	if !ok || i < 0 {
		return Completion{Start: cursor, End: cursor}
	}
	p := t.parts[i]
	c := Completion{Start: p.start, End: p.end, Key: t.key, Prefix: q[p.start:cursor]}
	if typed, quoted := strings.CutPrefix(c.Prefix, `"`); quoted {
		c.Prefix = strings.ReplaceAll(strings.TrimSuffix(typed, `"`), `""`, `"`)
		if t.err != nil {
			c.End = cursor // the quote is still open, and what follows is not of it
		}
	}
	known := choicesOf(kind, field)
	if field.Key == "last" {
		known = []string{"1h", "24h", "7d", "30d", "90d", "365d"}
	}
	for _, v := range known {
		if strings.HasPrefix(Fold(v), Fold(c.Prefix)) {
			c.Values = append(c.Values, v)
		}
	}
	return c
}
