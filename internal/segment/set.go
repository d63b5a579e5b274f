package segment

import (
	"math/bits"
	"slices"
	"sync"
)

// Set marks rows of a segment. The zero value marks none. A Set never changes;
// what is made of two of them is a new one, or one of the two.
//
// Most filters leave a handful of rows in each segment, so a set that marks few
// of them lists them, and only one that marks many has a bit for each row.
type Set struct {
	n     int
	count int
	rows  []uint16 // the marked rows, rising, where they are few
	bits  []uint64 // otherwise a bit a row; nil too where none or all are marked
}

// sparse is how many marked rows of n are few: a list of them takes less than a
// quarter of the memory of the bits.
func sparse(n int) int { return n / 64 }

// None marks none of n rows, All every one of them.
func None(n int) Set { return Set{n: n} }

// All marks every one of n rows.
func All(n int) Set { return Set{n: n, count: n} }

// Of marks the given rows out of n.
func Of(n int, rows ...int) Set {
	if len(rows) == 0 {
		return None(n)
	}
	if len(rows) <= sparse(n) && slices.IsSorted(rows) {
		list := make([]uint16, 0, len(rows))
		for i, r := range rows {
			if i == 0 || r != rows[i-1] {
				list = append(list, uint16(r))
			}
		}
		return listed(n, list)
	}
	b := newBits(n)
	for _, r := range rows {
		b[r/64] |= 1 << (r % 64)
	}
	return ofBits(n, b)
}

// listed marks rows that rise. The list is the set's own from then on.
func listed(n int, rows []uint16) Set {
	switch len(rows) {
	case 0:
		return None(n)
	case n:
		return All(n)
	}
	return Set{n: n, count: len(rows), rows: rows}
}

// ofBits marks what has its bit. The bits are the set's own from then on.
func ofBits(n int, b []uint64) Set { return withBits(n, b, func() []uint64 { return b }) }

// copyBits is ofBits for bits that are the caller's.
func copyBits(n int, b []uint64) Set {
	return withBits(n, b, func() []uint64 { return slices.Clone(b) })
}

func withBits(n int, b []uint64, own func() []uint64) Set {
	count := 0
	for _, w := range b {
		count += bits.OnesCount64(w)
	}
	switch {
	case count == 0 || count == n:
		return Set{n: n, count: count}
	case count <= sparse(n):
		rows := make([]uint16, 0, count)
		for i, w := range b {
			for ; w != 0; w &= w - 1 {
				rows = append(rows, uint16(i*64+bits.TrailingZeros64(w)))
			}
		}
		return Set{n: n, count: count, rows: rows}
	}
	return Set{n: n, count: count, bits: own()}
}

// Range marks the rows from lo to hi, hi not included.
func Range(n, lo, hi int) Set {
	lo, hi = max(lo, 0), min(hi, n)
	switch {
	case lo >= hi:
		return None(n)
	case lo == 0 && hi == n:
		return All(n)
	case hi-lo <= sparse(n):
		rows := make([]uint16, hi-lo)
		for i := range rows {
			rows[i] = uint16(lo + i)
		}
		return listed(n, rows)
	}
	b, count := newBits(n), hi-lo
	for ; lo < hi && lo%64 != 0; lo++ {
		b[lo/64] |= 1 << (lo % 64)
	}
	for ; lo+64 <= hi; lo += 64 {
		b[lo/64] = ^uint64(0)
	}
	for ; lo < hi; lo++ {
		b[lo/64] |= 1 << (lo % 64)
	}
	return Set{n: n, count: count, bits: b}
}

func newBits(n int) []uint64 { return make([]uint64, (n+63)/64) }

// bitScratch keeps bits for what becomes a list as a rule.
var bitScratch = sync.Pool{New: func() any { b := newBits(MaxRows); return &b }}

// filled returns the set of the rows that fill gives their bits. All bits are zero
// when it begins.
func filled(n int, fill func(b []uint64)) Set {
	scratch := bitScratch.Get().(*[]uint64)
	defer bitScratch.Put(scratch)
	b := (*scratch)[:(n+63)/64]
	clear(b)
	fill(b)
	return copyBits(n, b)
}

// last is the mask of the bits in use of the last word.
func last(n int) uint64 {
	if n%64 == 0 {
		return ^uint64(0)
	}
	return 1<<(n%64) - 1
}

// Len is the number of rows, marked or not.
func (s Set) Len() int { return s.n }

// Empty reports whether no row is marked.
func (s Set) Empty() bool { return s.count == 0 }

// all reports whether every row is.
func (s Set) all() bool { return s.count == s.n && s.n > 0 }

// Has reports whether a row is marked.
func (s Set) Has(row int) bool {
	switch {
	case s.rows != nil:
		_, ok := slices.BinarySearch(s.rows, uint16(row))
		return ok
	case s.bits != nil:
		return s.bits[row/64]&(1<<(row%64)) != 0
	}
	return s.all()
}

// And marks what both mark.
func (s Set) And(o Set) Set {
	switch {
	case s.all() || o.Empty():
		return o
	case o.all() || s.Empty():
		return s
	case s.rows != nil:
		return s.keep(o, true)
	case o.rows != nil:
		return o.keep(s, true)
	}
	return filled(s.n, func(b []uint64) {
		for i := range b {
			b[i] = s.bits[i] & o.bits[i]
		}
	})
}

// keep returns the listed rows that another set marks, or does not.
func (s Set) keep(o Set, marked bool) Set {
	rows := make([]uint16, 0, len(s.rows))
	switch {
	case o.bits != nil:
		for _, row := range s.rows {
			if o.bits[row/64]>>(row%64)&1 == 1 == marked {
				rows = append(rows, row)
			}
		}
	default: // both rise
		i := 0
		for _, row := range s.rows {
			for i < len(o.rows) && o.rows[i] < row {
				i++
			}
			if (i < len(o.rows) && o.rows[i] == row) == marked {
				rows = append(rows, row)
			}
		}
	}
	return listed(s.n, rows)
}

// AndNot marks what s marks and o does not.
func (s Set) AndNot(o Set) Set {
	switch {
	case o.Empty() || s.Empty():
		return s
	case o.all():
		return None(s.n)
	case s.all():
		return o.Not()
	case s.rows != nil:
		return s.keep(o, false)
	case o.rows != nil:
		b := slices.Clone(s.bits)
		for _, row := range o.rows {
			b[row/64] &^= 1 << (row % 64)
		}
		return ofBits(s.n, b)
	}
	return filled(s.n, func(b []uint64) {
		for i := range b {
			b[i] = s.bits[i] &^ o.bits[i]
		}
	})
}

// Or marks what either marks.
func (s Set) Or(o Set) Set {
	switch {
	case s.all() || o.Empty():
		return s
	case o.all() || s.Empty():
		return o
	}
	return filled(s.n, func(b []uint64) {
		for _, part := range [...]Set{s, o} {
			for _, row := range part.rows {
				b[row/64] |= 1 << (row % 64)
			}
			for i, w := range part.bits {
				b[i] |= w
			}
		}
	})
}

// Not marks what s does not.
func (s Set) Not() Set {
	switch {
	case s.all():
		return None(s.n)
	case s.Empty():
		return All(s.n)
	}
	b := newBits(s.n)
	for i := range b {
		b[i] = ^uint64(0)
	}
	b[len(b)-1] = last(s.n)
	for _, row := range s.rows {
		b[row/64] &^= 1 << (row % 64)
	}
	for i, w := range s.bits {
		b[i] &^= w
	}
	return ofBits(s.n, b)
}

// Count is how many rows are marked.
func (s Set) Count() int { return s.count }

// from returns the place of the first listed row that is not below row.
func (s Set) from(row int) int {
	at, _ := slices.BinarySearchFunc(s.rows, row, func(r uint16, row int) int { return int(r) - row })
	return at
}

// CountIn is how many of the rows from lo to hi, hi not included, are marked.
func (s Set) CountIn(lo, hi int) int {
	lo, hi = max(lo, 0), min(hi, s.n)
	switch {
	case lo >= hi || s.Empty():
		return 0
	case s.all():
		return hi - lo
	case s.rows != nil:
		return s.from(hi) - s.from(lo)
	}
	first, end := lo/64, (hi-1)/64
	head, tail := ^uint64(0)<<(lo%64), last(hi)
	if first == end {
		return bits.OnesCount64(s.bits[first] & head & tail)
	}
	n := bits.OnesCount64(s.bits[first]&head) + bits.OnesCount64(s.bits[end]&tail)
	for _, w := range s.bits[first+1 : end] {
		n += bits.OnesCount64(w)
	}
	return n
}

// Next returns the first marked row that is not below row, or -1.
func (s Set) Next(row int) int {
	row = max(row, 0)
	switch {
	case row >= s.n || s.Empty():
		return -1
	case s.all():
		return row
	case s.rows != nil:
		if at := s.from(row); at < len(s.rows) {
			return int(s.rows[at])
		}
		return -1
	}
	w := s.bits[row/64] & (^uint64(0) << (row % 64))
	for i := row / 64; ; w = s.bits[i] {
		if w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
		if i++; i == len(s.bits) {
			return -1
		}
	}
}

// Previous returns the last marked row that is not above row, or -1.
func (s Set) Previous(row int) int {
	row = min(row, s.n-1)
	switch {
	case row < 0 || s.Empty():
		return -1
	case s.all():
		return row
	case s.rows != nil:
		if at := s.from(row + 1); at > 0 {
			return int(s.rows[at-1])
		}
		return -1
	}
	w := s.bits[row/64] & (^uint64(0) >> (63 - row%64))
	for i := row / 64; ; w = s.bits[i] {
		if w != 0 {
			return i*64 + 63 - bits.LeadingZeros64(w)
		}
		if i--; i < 0 {
			return -1
		}
	}
}

// Each calls fn with every marked row, in rising order.
func (s Set) Each(fn func(row int)) {
	switch {
	case s.rows != nil:
		for _, row := range s.rows {
			fn(int(row))
		}
	case s.bits != nil:
		for i, w := range s.bits {
			for ; w != 0; w &= w - 1 {
				fn(i*64 + bits.TrailingZeros64(w))
			}
		}
	default:
		for row := range s.count {
			fn(row)
		}
	}
}

// Bytes is how much memory the set takes.
func (s Set) Bytes() int { return 2*len(s.rows) + 8*len(s.bits) }
