package segment

import (
	"cmp"
	"slices"
)

// Layout says which columns a segment has. Columns are called by their place in it, those
// of texts and those of numbers each from 0.
type Layout struct {
	Texts   []Text
	Numbers int // how many columns of numbers there are
}

// Text is one column of texts.
type Text struct {
	Name      string
	Addresses bool // its words are addresses, and stand in their order
}

// Builder gathers events and makes segments of them. It is for one goroutine.
type Builder struct {
	layout Layout
	rows   []builderRow
	codes  [][]uint32 // by column
	known  []map[string]uint32
	texts  [][]string
	nums   [][]int64
	absent [][]bool
	bytes  int64 // of all texts
}

type builderRow struct{ id, seq, micros int64 }

// NewBuilder returns an empty builder.
func NewBuilder(layout Layout) *Builder {
	b := &Builder{layout: layout, codes: make([][]uint32, len(layout.Texts)), known: make([]map[string]uint32, len(layout.Texts)),
		texts: make([][]string, len(layout.Texts)), nums: make([][]int64, layout.Numbers), absent: make([][]bool, layout.Numbers)}
	for i := range b.known {
		b.known[i] = map[string]uint32{}
	}
	return b
}

// Len is how many events were added since the last Build.
func (b *Builder) Len() int { return len(b.rows) }

// TextBytes is how many bytes the different texts of the columns take that were added
// since the last Build.
func (b *Builder) TextBytes() int64 { return b.bytes }

// Add begins an event: its id, its place in the ledger and its timestamp in microseconds
// since 1970. Then Text is called once for each column of texts and Number for each one
// of numbers. Events come in any order, at most MaxRows of them before each Build.
func (b *Builder) Add(id, seq, micros int64) {
	b.rows = append(b.rows, builderRow{id, seq, micros})
}

// Text sets the text of a column of the event added last. It keeps no reference
// to text.
func (b *Builder) Text(column int, text []byte) {
	known := b.known[column]
	code, ok := known[string(text)]
	if !ok {
		s := string(text)
		code = uint32(len(known))
		known[s] = code
		b.bytes += int64(len(s))
		b.texts[column] = append(b.texts[column], s)
	}
	b.codes[column] = append(b.codes[column], code)
}

// Number sets a number of the event added last; ok is whether it has one, and n is
// nothing where it has not.
func (b *Builder) Number(i int, n int64, ok bool) {
	b.nums[i] = append(b.nums[i], n)
	b.absent[i] = append(b.absent[i], !ok)
}

// Build returns a segment of what was added, and begins anew. It returns nil if
// nothing was added.
func (b *Builder) Build() *Segment {
	n := len(b.rows)
	if n == 0 {
		return nil
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(b.rows[x].id, b.rows[y].id) })
	s := &Segment{n: n, changed: true}
	s.ids = pack(n, func(i int) int64 { return b.rows[order[i]].id })
	s.seqs = pack(n, func(i int) int64 { return b.rows[order[i]].seq })
	s.sortBySeq()
	for row, i := range order {
		if r := b.rows[i]; r.micros != r.id>>idBits {
			s.ahead, s.micros = append(s.ahead, uint32(row)), append(s.micros, r.micros)
		}
	}
	for i, t := range b.layout.Texts {
		c := Column{}
		var codes []uint32
		c.words, codes = sorted(b.texts[i], t.Addresses)
		c.encode(n, func(row int) uint32 { return codes[b.codes[i][order[row]]] })
		s.columns = append(s.columns, c)
	}
	for i := range b.nums {
		s.nums = append(s.nums, pack(n, func(row int) int64 { return b.nums[i][order[row]] }))
		var absent []uint64
		for row, at := range order {
			if b.absent[i][at] {
				if absent == nil {
					absent = newBits(n)
				}
				absent[row/64] |= 1 << (row % 64)
			}
		}
		s.absent = append(s.absent, absent)
	}
	*b = *NewBuilder(b.layout)
	return s
}
