package segment

import "math/bits"

// Set marks rows of a segment. The zero value marks none. A Set never changes;
// what is made of two of them is a new one, or one of the two.
type Set struct {
	n    int
	all  bool
	bits []uint64 // nil where none or all rows are marked
}

// None marks none of n rows, All every one of them.
func None(n int) Set { return Set{n: n} }

// All marks every one of n rows.
func All(n int) Set { return Set{n: n, all: n > 0} }

// Of marks the given rows out of n.
func Of(n int, rows ...int) Set {
	if len(rows) == 0 {
		return None(n)
	}
	b := newBits(n)
	for _, r := range rows {
		b[r/64] |= 1 << (r % 64)
	}
	return Set{n: n, bits: b}
}

// Range marks the rows from lo to hi, hi not included.
func Range(n, lo, hi int) Set {
	lo, hi = max(lo, 0), min(hi, n)
	switch {
	case lo >= hi:
		return None(n)
	case lo == 0 && hi == n:
		return All(n)
	}
	b := newBits(n)
	for ; lo < hi && lo%64 != 0; lo++ {
		b[lo/64] |= 1 << (lo % 64)
	}
	for ; lo+64 <= hi; lo += 64 {
		b[lo/64] = ^uint64(0)
	}
	for ; lo < hi; lo++ {
		b[lo/64] |= 1 << (lo % 64)
	}
	return Set{n: n, bits: b}
}

func newBits(n int) []uint64 { return make([]uint64, (n+63)/64) }

// last is the mask of the bits in use of the last word.
func last(n int) uint64 {
	if n%64 == 0 {
		return ^uint64(0)
	}
	return 1<<(n%64) - 1
}

// Len is the number of rows, marked or not.
func (s Set) Len() int { return s.n }

// Empty reports whether it is known without counting that no row is marked.
func (s Set) Empty() bool { return !s.all && s.bits == nil }

// Has reports whether a row is marked.
func (s Set) Has(row int) bool {
	return s.all || s.bits != nil && s.bits[row/64]&(1<<(row%64)) != 0
}

// And marks what both mark.
func (s Set) And(o Set) Set {
	switch {
	case s.all || o.Empty():
		return o
	case o.all || s.Empty():
		return s
	}
	b := make([]uint64, len(s.bits))
	var any uint64
	for i := range b {
		b[i] = s.bits[i] & o.bits[i]
		any |= b[i]
	}
	if any == 0 {
		return None(s.n)
	}
	return Set{n: s.n, bits: b}
}

// AndNot marks what s marks and o does not.
func (s Set) AndNot(o Set) Set {
	switch {
	case o.Empty() || s.Empty():
		return s
	case o.all:
		return None(s.n)
	case s.all:
		return o.Not()
	}
	b := make([]uint64, len(s.bits))
	var any uint64
	for i := range b {
		b[i] = s.bits[i] &^ o.bits[i]
		any |= b[i]
	}
	if any == 0 {
		return None(s.n)
	}
	return Set{n: s.n, bits: b}
}

// Or marks what either marks.
func (s Set) Or(o Set) Set {
	switch {
	case s.all || o.Empty():
		return s
	case o.all || s.Empty():
		return o
	}
	b := make([]uint64, len(s.bits))
	for i := range b {
		b[i] = s.bits[i] | o.bits[i]
	}
	return Set{n: s.n, bits: b}
}

// Not marks what s does not.
func (s Set) Not() Set {
	switch {
	case s.all:
		return None(s.n)
	case s.bits == nil:
		return All(s.n)
	}
	b := make([]uint64, len(s.bits))
	for i := range b {
		b[i] = ^s.bits[i]
	}
	b[len(b)-1] &= last(s.n)
	return Set{n: s.n, bits: b}
}

// Count is how many rows are marked.
func (s Set) Count() int {
	if s.all {
		return s.n
	}
	n := 0
	for _, w := range s.bits {
		n += bits.OnesCount64(w)
	}
	return n
}

// CountIn is how many of the rows from lo to hi, hi not included, are marked.
func (s Set) CountIn(lo, hi int) int {
	lo, hi = max(lo, 0), min(hi, s.n)
	switch {
	case lo >= hi || s.Empty():
		return 0
	case s.all:
		return hi - lo
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
	if row >= s.n || s.Empty() {
		return -1
	}
	if s.all {
		return row
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
	if row < 0 || s.Empty() {
		return -1
	}
	if s.all {
		return row
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
	if s.all {
		for row := range s.n {
			fn(row)
		}
		return
	}
	for i, w := range s.bits {
		for w != 0 {
			fn(i*64 + bits.TrailingZeros64(w))
			w &= w - 1
		}
	}
}

// Bytes is how much memory the set takes.
func (s Set) Bytes() int { return 8 * len(s.bits) }
