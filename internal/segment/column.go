package segment

import (
	"math/bits"
	"runtime"
	"strings"

	"github.com/auditadmin/auditadmin/internal/query"
)

// Unassigned is the global code of a word that has none yet, or none any more.
const Unassigned = ^uint32(0)

// Column is one field of all rows of a segment, as codes of its words. It holds
// as many bits a row as it needs words: none, one, eight or sixteen.
type Column struct {
	n     int
	words words
	flags []uint64
	bytes []uint8
	pairs []uint16

	global []uint32 // by code; nil while there are none
	base   uint32   // the first of the global codes that were given out for this segment
	own    []uint32 // the code of each of those

	held *mapping
}

// Words is how many distinct texts there are.
func (c *Column) Words() int { return c.words.len() }

// Word returns a text by its code.
func (c *Column) Word(code int) string {
	defer runtime.KeepAlive(c.held)
	return strings.Clone(c.words.at(code))
}

// EachWord calls fn with every code and its text, which is good until fn returns.
func (c *Column) EachWord(fn func(code int, word string)) {
	defer runtime.KeepAlive(c.held)
	for code := range c.words.len() {
		fn(code, c.words.at(code))
	}
}

// code returns the code of a row.
func (c *Column) code(row int) int {
	switch {
	case c.pairs != nil:
		return int(c.pairs[row])
	case c.bytes != nil:
		return int(c.bytes[row])
	case c.flags != nil:
		return int(c.flags[row/64] >> (row % 64) & 1)
	}
	return 0
}

// Text returns the text of a row.
func (c *Column) Text(row int) string { return c.Word(c.code(row)) }

// encode keeps the codes in as few bits as they need. The words are set, and which
// global codes they have.
func (c *Column) encode(n int, code func(row int) uint32) {
	if c.words.len() > MaxRows {
		code = c.fit(n, code)
	}
	c.n, c.flags, c.bytes, c.pairs = n, nil, nil, nil
	switch size := c.words.len(); {
	case size <= 1:
	case size == 2:
		c.flags = newBits(n)
		for row := range n {
			c.flags[row/64] |= uint64(code(row)) << (row % 64)
		}
	case size <= 1<<8:
		c.bytes = make([]uint8, n)
		for row := range n {
			c.bytes[row] = uint8(code(row))
		}
	default:
		c.pairs = make([]uint16, n)
		for row := range n {
			c.pairs[row] = uint16(code(row))
		}
	}
}

// fit drops as many words that no row has as there are too many for sixteen bits,
// and returns the codes of the rows among the others. There are enough: each of
// MaxRows rows has one word, and the rest is what they had before a change. Words
// whose global codes were given out here go last, since other segments may know
// them by those.
func (c *Column) fit(n int, code func(row int) uint32) func(row int) uint32 {
	used, owned, stay := make([]bool, c.words.len()), make([]bool, c.words.len()), make([]bool, c.words.len())
	for row := range n {
		used[code(row)] = true
	}
	for _, at := range c.own {
		if at != Unassigned {
			owned[at] = true
		}
	}
	excess := c.words.len() - MaxRows
	for _, last := range []bool{false, true} {
		for at := range stay {
			if owned[at] != last {
				continue
			}
			if stay[at] = used[at] || excess == 0; !stay[at] {
				excess--
			}
		}
	}
	codes := c.leave(stay)
	return func(row int) uint32 { return codes[code(row)] }
}

// leave takes away the words that do not stay, with their global codes, and
// returns the codes of the others by their old ones.
func (c *Column) leave(stay []bool) []uint32 {
	left := words{addresses: c.words.addresses}
	var global, own []uint32
	codes := make([]uint32, len(stay))
	for code, stays := range stay {
		codes[code] = Unassigned
		if stays {
			codes[code] = uint32(left.len())
			left.add(c.words.at(code))
			if c.global != nil {
				global = append(global, c.global[code])
			}
		}
	}
	for _, code := range c.own {
		if code != Unassigned {
			code = codes[code]
		}
		own = append(own, code)
	}
	c.words, c.global, c.own = left, global, own
	return codes
}

// Spans are the codes of a column that some values mean: what of a filter a
// segment has to be asked for once. They are good for that column alone.
type Spans []span

// Find returns the codes of the values, nil where the segment has none of them.
func (c *Column) Find(values []query.Value) Spans {
	defer runtime.KeepAlive(c.held)
	var spans Spans
	for _, v := range values {
		for _, s := range c.words.match(v) {
			if s.lo < s.hi {
				spans = append(spans, s)
			}
		}
	}
	return spans
}

// Globals calls fn with the global code of each word that the spans mean.
func (s Spans) Globals(c *Column, fn func(global uint32)) {
	for _, part := range s {
		for _, global := range c.global[part.lo:part.hi] {
			fn(global)
		}
	}
}

// Match marks the rows whose text is one of the values, deleted ones too.
func (c *Column) Match(values []query.Value) Set { return c.Mark(c.Find(values)) }

// Mark marks the rows whose code is in one of the spans, deleted ones too.
func (c *Column) Mark(spans Spans) Set {
	defer runtime.KeepAlive(c.held)
	return c.mark(spans)
}

// MarkIn is Mark for the marked rows alone.
func (c *Column) MarkIn(spans Spans, set Set) Set {
	switch {
	case len(spans) == 0 || set.Empty():
		return None(c.n)
	case set.rows == nil:
		return c.Mark(spans).And(set)
	}
	defer runtime.KeepAlive(c.held)
	rows := make([]uint16, 0, set.Count())
	if c.pairs != nil && len(spans) == 1 {
		lo, width := uint16(spans[0].lo), uint16(spans[0].hi-1-spans[0].lo)
		for _, row := range set.rows {
			if c.pairs[row]-lo <= width {
				rows = append(rows, row)
			}
		}
		return listed(c.n, rows)
	}
	for _, row := range set.rows {
		code := c.code(int(row))
		for _, s := range spans {
			if code >= s.lo && code < s.hi {
				rows = append(rows, row)
				break
			}
		}
	}
	return listed(c.n, rows)
}

// EmptyIn marks those of the marked rows that have no text.
func (c *Column) EmptyIn(set Set) Set { return c.MarkIn(c.Find([]query.Value{{}}), set) }

func (c *Column) mark(spans Spans) Set {
	size := c.words.len()
	if len(spans) == 0 {
		return None(c.n)
	}
	if len(spans) == 1 {
		s := spans[0]
		switch {
		case s.lo == 0 && s.hi == size:
			return All(c.n)
		case c.flags != nil:
			if ones := copyBits(c.n, c.flags); s.lo > 0 {
				return ones
			} else {
				return ones.Not()
			}
		case c.bytes != nil:
			return filled(c.n, func(b []uint64) { between(b, c.bytes, uint8(s.lo), uint8(s.hi-1), spanBytes) })
		default:
			return filled(c.n, func(b []uint64) { between(b, c.pairs, uint16(s.lo), uint16(s.hi-1), spanPairs) })
		}
	}
	if c.flags != nil || len(spans) > manySpans {
		return c.markEach(spans)
	}
	set := c.mark(spans[:1])
	for _, s := range spans[1:] {
		set = set.Or(c.mark(Spans{s}))
	}
	return set
}

// manySpans are found faster by one look at each code than by one look at all
// codes for each span.
const manySpans = 12

func (c *Column) markEach(spans Spans) Set {
	wanted := make([]uint8, c.words.len())
	for _, s := range spans {
		for code := s.lo; code < s.hi; code++ {
			wanted[code] = 1
		}
	}
	switch {
	case c.pairs != nil:
		return filled(c.n, func(b []uint64) {
			for row, code := range c.pairs {
				b[row/64] |= uint64(wanted[code]) << (row % 64)
			}
		})
	case c.bytes != nil:
		return filled(c.n, func(b []uint64) {
			for row, code := range c.bytes {
				b[row/64] |= uint64(wanted[code]) << (row % 64)
			}
		})
	case c.flags != nil && wanted[0] != wanted[1]:
		return c.mark(Spans{{int(wanted[1]), int(wanted[1]) + 1}})
	}
	return All(c.n) // both flags, or the only word
}

// between marks the codes from lo to hi, both included: as many of them as fast
// can, and the rest one by one.
func between[T uint8 | uint16](b []uint64, codes []T, lo, hi T, fast func(codes []T, lo, hi T, bits []uint64) int) {
	for row := fast(codes, lo, hi, b); row < len(codes); row += 64 {
		var w uint64
		for j, c := range codes[row:min(row+64, len(codes))] {
			var in uint64
			if c-lo <= hi-lo {
				in = 1
			}
			w |= in << j
		}
		b[row/64] = w
	}
}

// Codes appends the code of every marked row to codes.
func (c *Column) Codes(set Set, codes []uint16) []uint16 {
	defer runtime.KeepAlive(c.held)
	switch {
	case c.pairs == nil:
		set.Each(func(row int) { codes = append(codes, uint16(c.code(row))) })
	case set.rows != nil:
		for _, row := range set.rows {
			codes = append(codes, c.pairs[row])
		}
	case set.bits != nil:
		for i, w := range set.bits {
			for ; w != 0; w &= w - 1 {
				codes = append(codes, c.pairs[i*64+bits.TrailingZeros64(w)])
			}
		}
	case set.all():
		return append(codes, c.pairs...)
	}
	return codes
}

// Count adds to counts, by code, how many of the marked rows have each word. counts has
// Words places at least.
func (c *Column) Count(set Set, counts []uint32) {
	defer runtime.KeepAlive(c.held)
	switch {
	case set.Empty():
	case c.pairs != nil:
		countPairs(c.pairs, set, counts)
	case c.bytes != nil:
		countBytes(c.bytes, set, counts)
	case c.flags != nil:
		ones := ofBits(c.n, c.flags).And(set).Count()
		counts[1] += uint32(ones)
		counts[0] += uint32(set.Count() - ones)
	default:
		counts[0] += uint32(set.Count())
	}
}

// CountBeside adds to counts how many of the marked rows have each word beside
// each word of another column: at the code there, times Words, plus the code here. counts
// has a place for each.
func (c *Column) CountBeside(by *Column, set Set, counts []uint32) {
	defer runtime.KeepAlive(c.held)
	defer runtime.KeepAlive(by.held)
	width := c.words.len()
	switch {
	case set.all() && by.bytes != nil && c.pairs != nil:
		for row, code := range c.pairs {
			counts[int(by.bytes[row])*width+int(code)]++
		}
	case set.all() && by.bytes != nil && c.bytes != nil:
		for row, code := range c.bytes {
			counts[int(by.bytes[row])*width+int(code)]++
		}
	default:
		set.Each(func(row int) { counts[by.code(row)*width+c.code(row)]++ })
	}
}

// countBytes counts in four tables in turn: where one word is frequent, adding to
// the same place again and again would wait for the sum before.
func countBytes(codes []uint8, set Set, counts []uint32) {
	var tables [4][256]uint32
	full := func(part []uint8) {
		for len(part) >= 4 {
			tables[0][part[0]]++
			tables[1][part[1]]++
			tables[2][part[2]]++
			tables[3][part[3]]++
			part = part[4:]
		}
		for _, c := range part {
			tables[0][c]++
		}
	}
	if set.rows != nil { // so few that the tables would cost more
		for _, row := range set.rows {
			counts[codes[row]]++
		}
		return
	}
	if set.all() {
		full(codes)
	}
	for i, w := range set.bits {
		part := codes[i*64 : min(i*64+64, len(codes))]
		if w == ^uint64(0) {
			full(part)
			continue
		}
		for w != 0 {
			tables[0][part[bits.TrailingZeros64(w)]]++
			if w &= w - 1; w != 0 {
				tables[1][part[bits.TrailingZeros64(w)]]++
				w &= w - 1
			}
		}
	}
	for code := range counts {
		counts[code] += tables[0][code] + tables[1][code] + tables[2][code] + tables[3][code]
	}
}

func countPairs(codes []uint16, set Set, counts []uint32) {
	if set.all() {
		for _, c := range codes {
			counts[c]++
		}
		return
	}
	for _, row := range set.rows {
		counts[codes[row]]++
	}
	for i, w := range set.bits {
		part := codes[i*64 : min(i*64+64, len(codes))]
		if w == ^uint64(0) {
			for _, c := range part {
				counts[c]++
			}
			continue
		}
		for w != 0 {
			counts[part[bits.TrailingZeros64(w)]]++
			w &= w - 1
		}
	}
}

// Globals returns the global code of every word, nil while there are none. The
// caller must not change it, nor keep it longer than the column.
func (c *Column) Globals() []uint32 { return c.global }

// assigned returns the column with a global code for every word. Those that are
// new begin at base, in the order of the calls of assign.
func (c *Column) assigned(base uint32, assign func(text string) (code uint32)) Column {
	n := *c
	n.global, n.base, n.own = make([]uint32, c.words.len()), base, []uint32{}
	for code := range n.global {
		n.global[code] = assign(c.words.at(code))
		if n.global[code] == base+uint32(len(n.own)) {
			n.own = append(n.own, uint32(code))
		}
	}
	return n
}

// Own says which global codes were given out for this segment: from base, so
// many.
func (c *Column) Own() (base uint32, n int) { return c.base, len(c.own) }

// Owned returns the text of a global code that was given out for this segment;
// false if it has been erased.
func (c *Column) Owned(global uint32) (string, bool) {
	defer runtime.KeepAlive(c.held)
	code := c.own[global-c.base]
	if code == Unassigned {
		return "", false
	}
	return c.words.at(int(code)), true
}
