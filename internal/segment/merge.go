package segment

import "runtime"

// Merge makes one segment of two of the same layout, in whose place it stands:
// b follows a, and in both the same columns have their global codes. Deleted
// rows stay. Together they have at most MaxRows rows.
func Merge(a, b *Segment) *Segment {
	defer runtime.KeepAlive(a.held)
	defer runtime.KeepAlive(b.held)
	m := &Segment{n: a.n + b.n, changed: true, gone: a.gone + b.gone}
	from := make([]int32, 0, m.n) // rows of a, and those of b as their complements
	for i, j := 0, 0; i < a.n || j < b.n; {
		if j == b.n || i < a.n && a.ids.get(i) < b.ids.get(j) {
			from = append(from, int32(i))
			i++
		} else {
			from = append(from, ^int32(j))
			j++
		}
	}
	of := func(row int, ofA, ofB func(row int) int64) int64 {
		if r := from[row]; r >= 0 {
			return ofA(int(r))
		}
		return ofB(int(^from[row]))
	}
	m.ids = pack(m.n, func(row int) int64 { return of(row, a.ids.get, b.ids.get) })
	m.seqs = pack(m.n, func(row int) int64 { return of(row, a.seqs.get, b.seqs.get) })
	m.sortBySeq()
	if a.ahead != nil || b.ahead != nil {
		for row, r := range from {
			micros := int64(0)
			if r >= 0 {
				micros = a.Micros(int(r))
			} else {
				micros = b.Micros(int(^r))
			}
			if micros != m.ids.get(row)>>idBits {
				m.ahead, m.micros = append(m.ahead, uint32(row)), append(m.micros, micros)
			}
		}
	}
	if m.gone > 0 {
		m.dead = mergeBits(from, a.dead, b.dead)
	}
	for i := range a.columns {
		m.columns = append(m.columns, mergeColumns(from, &a.columns[i], &b.columns[i]))
	}
	for i := range a.nums {
		m.nums = append(m.nums, pack(m.n, func(row int) int64 { return of(row, a.nums[i].get, b.nums[i].get) }))
		var absent []uint64
		if a.absent[i] != nil || b.absent[i] != nil {
			absent = mergeBits(from, a.absent[i], b.absent[i])
		}
		m.absent = append(m.absent, absent)
	}
	return m
}

func mergeBits(from []int32, a, b []uint64) []uint64 {
	bits := newBits(len(from))
	for row, r := range from {
		part := a
		if r < 0 {
			part, r = b, ^r
		}
		if part != nil {
			bits[row/64] |= part[r/64] >> (r % 64) & 1 << (row % 64)
		}
	}
	return bits
}

func mergeColumns(from []int32, a, b *Column) Column {
	var c Column
	var ofA, ofB []uint32
	c.words, ofA, ofB = mergeWords(&a.words, &b.words)
	code := func(row int) uint32 {
		if r := from[row]; r >= 0 {
			return ofA[a.code(int(r))]
		}
		return ofB[b.code(int(^from[row]))]
	}
	if a.global == nil || b.global == nil {
		c.encode(len(from), code)
		return c
	}
	c.global = make([]uint32, c.words.len())
	place := func(part *Column, of []uint32) {
		for code, global := range part.global {
			c.global[of[code]] = global
		}
		for _, code := range part.own {
			if code != Unassigned {
				code = of[code]
			}
			c.own = append(c.own, code)
		}
	}
	c.base = a.base
	if len(a.own) == 0 {
		c.base = b.base
	}
	place(a, ofA)
	place(b, ofB)
	c.encode(len(from), code)
	return c
}
