package diff

import (
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// comparer compares within the bounds of one table.
type comparer struct {
	elements int // rows of nested elements that are left
	shown    int // bytes of values that are left
	words    int // bytes of text that may still be compared word by word
}

// field compares the two sides of a field, which differ.
func (c *comparer) field(name string, a, b *node) Row {
	x, y := a, b
	if x.isString() && y.isString() || x.nested() != y.nested() {
		// Some recorders give JSON as a string. It counts as JSON where both
		// sides are.
		if p, q := a.inner(), b.inner(); p.nested() && q.nested() {
			x, y = p, q
		}
	}
	if x.nested() && y.nested() && x.kind == y.kind {
		if list(x) && list(y) {
			return c.list(name, x, y)
		}
		row := Row{Name: name, Shape: JSON, OtherType: a.kind != b.kind}
		c.walk(&row, "", x, y)
		if row.Differ() > 0 {
			return row
		}
		// Only their spelling differs: one was a string, or the space is another.
	}
	return c.leaf(name, a, b, false)
}

// walk adds the differing elements of two objects or two arrays to a row.
func (c *comparer) walk(row *Row, path string, a, b *node) {
	if a.kind == '[' {
		c.walkArray(row, path, a, b)
		return
	}
	inA, inB := finder(a), finder(b)
	for i, key := range a.keys {
		c.element(row, step(path, key), a.kids[i], inB(key, i))
	}
	for i, key := range b.keys {
		if inA(key, i) == nil {
			c.element(row, step(path, key), nil, b.kids[i])
		}
	}
}

// walkArray pairs the elements of two arrays: equal ones first, then between
// those the ones that seem to be the same thing.
func (c *comparer) walkArray(row *Row, path string, a, b *node) {
	i, j := 0, 0
	for _, p := range append(align(a.kids, b.kids), pair{len(a.kids), len(b.kids)}) {
		c.gap(row, path, a.kids[i:p.a], b.kids[j:p.b], i, j)
		if p.a < len(a.kids) {
			c.element(row, index(path, p.b), a.kids[p.a], b.kids[p.b])
		}
		i, j = p.a+1, p.b+1
	}
}

// gap compares what stands between two equal elements; i and j are the places
// of its first elements.
func (c *comparer) gap(row *Row, path string, a, b []*node, i, j int) {
	partner := make([]int, len(a)) // place in b, or -1
	taken := make([]bool, len(b))
	byIdentity := map[string]int{}
	for n, kid := range b {
		if id := identity(kid); id != "" {
			byIdentity[id] = n
		}
	}
	for n, kid := range a {
		partner[n] = -1
		if m, ok := byIdentity[identity(kid)]; ok && !taken[m] {
			partner[n], taken[m] = m, true
		}
	}
	next := 0
	for n, kid := range a {
		if partner[n] >= 0 || identity(kid) != "" && len(byIdentity) > 0 {
			continue
		}
		for next < len(b) && (taken[next] || identity(b[next]) != identity(kid)) {
			next++
		}
		if next < len(b) {
			partner[n], taken[next] = next, true
		}
	}
	for n, kid := range a {
		if m := partner[n]; m >= 0 {
			c.element(row, index(path, j+m), kid, b[m])
		} else {
			c.element(row, index(path, i+n), kid, nil)
		}
	}
	for m, kid := range b {
		if !taken[m] {
			c.element(row, index(path, j+m), nil, kid)
		}
	}
}

// identity is what names an element of a list among the others, or "".
func identity(n *node) string {
	if n == nil || n.kind != '{' {
		return ""
	}
	for _, key := range []string{"id", "pk", "uuid", "key", "code", "name", "slug", "sku"} {
		if v := n.get(key); v != nil && !v.nested() && v.kind != 'n' {
			return key + "=" + v.raw
		}
	}
	return ""
}

// element compares one element of a nested value.
func (c *comparer) element(row *Row, path string, a, b *node) {
	switch {
	case a != nil && b != nil && equal(a, b):
		row.Unchanged.leaves(path, b)
	case a.nested() && b.nested() && a.kind == b.kind && !(list(a) && list(b)):
		c.walk(row, path, a, b)
	case c.elements == 0:
		row.More++
	default:
		c.elements--
		if a.nested() && b.nested() && a.kind == b.kind {
			row.Elements = append(row.Elements, c.list(path, a, b))
		} else {
			row.Elements = append(row.Elements, c.leaf(path, a, b, true))
		}
	}
}

// leaves adds every scalar within a value.
func (s *Same) leaves(path string, n *node) {
	if !n.nested() || len(n.kids) == 0 {
		s.add(path, n)
		return
	}
	for i, kid := range n.kids {
		switch {
		case len(s.Leaves) == maxSame && !kid.nested():
			s.Count++
		case n.kind == '{':
			s.leaves(step(path, n.keys[i]), kid)
		default:
			s.leaves(index(path, i), kid)
		}
	}
}

// leaf compares two values that are not taken apart.
func (c *comparer) leaf(name string, a, b *node, quoted bool) Row {
	row := Row{Name: name, Shape: Scalar}
	row.OtherType = !a.nothing() && !b.nothing() && a.typeName() != b.typeName()
	switch {
	case a.isMask() || b.isMask():
		row.Shape, row.OtherType = Secret, false
		row.Secrets = compareMasks(a, b)
	case a.isString() && b.isString() && c.texts(&row, a.text, b.text):
		return row
	default:
		if delta := difference(name, a, b); delta != "" {
			row.Shape, row.Delta = Number, delta
		}
	}
	row.Before, row.After = c.whole(a, quoted), c.whole(b, quoted)
	return row
}

func compareMasks(a, b *node) Secrets {
	if !a.isMask() || !b.isMask() {
		return SecretsUnknown
	}
	before, after := audit.MaskFingerprint(a.text), audit.MaskFingerprint(b.text)
	switch {
	case before == "" || after == "":
		return SecretsUnknown
	case before == after:
		return SecretsSame
	}
	return SecretsOther
}

// list reports whether a value is an array of nothing but scalars.
func list(n *node) bool {
	if n.kind != '[' {
		return false
	}
	for _, kid := range n.kids {
		if kid.nested() {
			return false
		}
	}
	return true
}

// list compares two lists of scalars, which become one row with marks.
func (c *comparer) list(name string, a, b *node) Row {
	row := Row{Name: name + "[]", Shape: List}
	if name != "" && name[0] != '.' && name[0] != '[' {
		row.Name = name // a field is no path
	}
	same := align(a.kids, b.kids)
	inA, inB := make([]bool, len(a.kids)), make([]bool, len(b.kids))
	for i, p := range same {
		inA[p.a], inB[p.b] = true, true
		if i == 0 && (p.a > 0 || p.b > 0) || i > 0 && (p.a > same[i-1].a+1 || p.b > same[i-1].b+1) {
			row.Places++
		}
	}
	last := pair{-1, -1}
	if len(same) > 0 {
		last = same[len(same)-1]
	}
	if last.a < len(a.kids)-1 || last.b < len(b.kids)-1 {
		row.Places++
	}
	row.Before = c.marked(listSegments(a, inA, Removed), "array")
	row.After = c.marked(listSegments(b, inB, Added), "array")
	return row
}

func listSegments(n *node, same []bool, mark Mark) []Segment {
	var s segments
	s.add("[", Kept)
	for i, kid := range n.kids {
		if i > 0 {
			s.add(", ", Kept)
		}
		if same[i] {
			s.add(kid.raw, Kept)
		} else {
			s.add(kid.raw, mark)
		}
	}
	s.add("]", Kept)
	return s
}

// whole shows a value that was not compared in detail.
func (c *comparer) whole(n *node, quoted bool) Value {
	switch {
	case n == nil:
		return Value{State: Missing}
	case n.kind == 'n':
		return Value{State: Null}
	case n.isString() && n.text == "":
		return Value{State: Empty}
	}
	text := n.raw
	switch {
	case n.isString() && strings.TrimSpace(n.text) == "":
		text = visible(n.text)
	case n.isString() && !quoted:
		text = n.text
	case n.nested():
		text = n.json()
	}
	v := c.marked([]Segment{{text, Kept}}, n.typeName())
	if n.isMask() {
		v.Fingerprint = audit.MaskFingerprint(n.text)
	}
	return v
}

// marked makes a value of its segments, folds it where it is long and cuts it
// where it is too long.
func (c *comparer) marked(all []Segment, typeName string) Value {
	v := Value{State: Given, Type: typeName}
	for _, s := range all {
		v.Length += utf8.RuneCountInString(s.Text)
	}
	all, v.Cut = clip(all, min(maxShown, c.shown))
	for _, s := range all {
		c.shown -= len(s.Text)
	}
	if v.Length <= foldLength {
		v.Segments = all
		return v
	}
	v.Segments, v.Full = excerpt(all), all
	return v
}
