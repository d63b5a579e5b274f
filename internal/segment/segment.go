// Package segment keeps the fields of many events that are filtered and counted
// by columns, so compactly that ten million of them are looked through in a few
// milliseconds. A segment holds up to 65,536 events in the order of their ids
// and never changes: what grows or changes it makes a new one. It can be written
// to a file, and opened from there without being read.
//
// A segment is derived from the rows of the database and can be made again from
// them at any time.
package segment

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"sort"
)

// MaxRows is how many events a segment holds at most: their codes fit into
// sixteen bits.
const MaxRows = 1 << 16

// MaxTextBytes is how many bytes the words of a segment's columns should have at most,
// all together: where one column ends is counted in 32 bits, and whoever merges
// segments holds them in memory.
const MaxTextBytes = 256 << 20

// idBits is how many bits of an id count the events of one microsecond.
const idBits = 10

// Segment is a run of events of one kind. A row is the place of an event in it, from 0, in
// the order of their ids. It is safe for concurrent use.
type Segment struct {
	n        int
	ids      packed
	seqs     packed
	bySeq    []uint16 // rows by rising seq; nil where that is their order
	columns  []Column
	nums     []packed
	absent   [][]uint64 // of each number: the rows without one; nil if there are none
	ahead    []uint32   // the rows whose ids ran ahead of their timestamps
	micros   []int64    // the timestamps of those
	dead     []uint64   // deleted rows; nil while there are none
	gone     int        // how many are deleted
	minSeq   int64
	maxSeq   int64
	held     *mapping
	changed  bool // since it was read from its file, or never written
	fileSize int64
}

// Len is the number of rows, deleted ones included.
func (s *Segment) Len() int { return s.n }

// TextBytes is how many bytes the words of all columns take.
func (s *Segment) TextBytes() (n int64) {
	for i := range s.columns {
		n += int64(len(s.columns[i].words.bytes))
	}
	return n
}

// Count is the number of rows that are not deleted.
func (s *Segment) Count() int { return s.n - s.gone }

// MinID is the id of the first row, of which there must be one.
func (s *Segment) MinID() int64 { return s.ID(0) }

// MaxID is the id of the last row, of which there must be one.
func (s *Segment) MaxID() int64 { return s.ID(s.n - 1) }

// MinSeq is the first place in the ledger that a row has, of which there must be one.
func (s *Segment) MinSeq() int64 { return s.minSeq }

// MaxSeq is the last place in the ledger that a row has, of which there must be one.
func (s *Segment) MaxSeq() int64 { return s.maxSeq }

// ID returns the id of a row; ids rise with rows.
func (s *Segment) ID(row int) int64 {
	defer runtime.KeepAlive(s.held)
	return s.ids.get(row)
}

// Seq returns the place of a row in the ledger.
func (s *Segment) Seq(row int) int64 {
	defer runtime.KeepAlive(s.held)
	return s.seqs.get(row)
}

// Search returns the first row whose id is not below id.
func (s *Segment) Search(id int64) int {
	defer runtime.KeepAlive(s.held)
	return s.ids.search(id)
}

// Find returns the row of an id, deleted or not.
func (s *Segment) Find(id int64) (row int, ok bool) {
	row = s.Search(id)
	return row, row < s.n && s.ID(row) == id
}

// Micros is the exact timestamp of a row, in microseconds since 1970.
func (s *Segment) Micros(row int) int64 {
	if s.ahead != nil {
		defer runtime.KeepAlive(s.held)
		if i, ok := slices.BinarySearch(s.ahead, uint32(row)); ok {
			return s.micros[i]
		}
	}
	return s.ID(row) >> idBits
}

// Ahead calls fn with every row whose id ran ahead of its timestamp.
func (s *Segment) Ahead(fn func(row int, micros int64)) {
	defer runtime.KeepAlive(s.held)
	for i, row := range s.ahead {
		fn(int(row), s.micros[i])
	}
}

// rowAt returns the row at a place of the order of recording.
func (s *Segment) rowAt(place int) int {
	if s.bySeq == nil {
		return place
	}
	return int(s.bySeq[place])
}

// searchSeq returns the first place, in the order of recording, whose seq is not
// below seq.
func (s *Segment) searchSeq(seq int64) int {
	if seq <= s.minSeq {
		return 0
	}
	if seq > s.maxSeq {
		return s.n
	}
	if s.bySeq == nil {
		return s.seqs.search(seq)
	}
	return sort.Search(s.n, func(i int) bool { return s.seqs.get(int(s.bySeq[i])) >= seq })
}

// RowOf returns the row recorded as seq, deleted or not.
func (s *Segment) RowOf(seq int64) (row int, ok bool) {
	if seq < s.minSeq || seq > s.maxSeq {
		return 0, false
	}
	defer runtime.KeepAlive(s.held)
	at := s.searchSeq(seq)
	if at == s.n {
		return 0, false
	}
	row = s.rowAt(at)
	return row, s.seqs.get(row) == seq
}

// Recorded marks the rows recorded from seq lo to hi, hi not included.
func (s *Segment) Recorded(lo, hi int64) Set {
	defer runtime.KeepAlive(s.held)
	from, to := s.searchSeq(lo), s.searchSeq(hi)
	if s.bySeq == nil || from == 0 && to == s.n {
		return Range(s.n, from, to)
	}
	return Of(s.n, s.rowsBySeq(from, to)...)
}

func (s *Segment) rowsBySeq(from, to int) []int {
	rows := make([]int, 0, max(to-from, 0))
	for at := from; at < to; at++ {
		rows = append(rows, s.rowAt(at))
	}
	return rows
}

// RecordedCount is how many rows were recorded at seq or later.
func (s *Segment) RecordedCount(seq int64) int {
	defer runtime.KeepAlive(s.held)
	return s.n - s.searchSeq(seq)
}

// BySeq marks the rows of the seqs given, which rise. Those of other segments
// are passed over.
func (s *Segment) BySeq(seqs []int64) Set {
	from, _ := slices.BinarySearch(seqs, s.minSeq)
	to, _ := slices.BinarySearch(seqs, s.maxSeq+1)
	if seqs = seqs[from:to]; len(seqs) == 0 {
		return None(s.n)
	}
	defer runtime.KeepAlive(s.held)
	return filled(s.n, func(b []uint64) { s.markSeqs(seqs, b) })
}

func (s *Segment) markSeqs(seqs []int64, b []uint64) {
	if s.bySeq == nil {
		s.seqs.common(seqs, func(row int) { b[row/64] |= 1 << (row % 64) })
		return
	}
	if len(seqs) > s.n/16 { // both rise: go through them side by side
		for at, i := 0, 0; at < s.n && i < len(seqs); at++ {
			row := s.rowAt(at)
			seq := s.seqs.get(row)
			for i < len(seqs) && seqs[i] < seq {
				i++
			}
			if i < len(seqs) && seqs[i] == seq {
				b[row/64] |= 1 << (row % 64)
			}
		}
		return
	}
	for _, seq := range seqs {
		if row, ok := s.RowOf(seq); ok {
			b[row/64] |= 1 << (row % 64)
		}
	}
}

// Living marks the rows that are not deleted.
func (s *Segment) Living() Set {
	if s.gone == 0 {
		return All(s.n)
	}
	if s.gone == s.n {
		return None(s.n)
	}
	defer runtime.KeepAlive(s.held)
	return ofBits(s.n, s.dead).Not()
}

// Alive reports whether a row is not deleted.
func (s *Segment) Alive(row int) bool {
	defer runtime.KeepAlive(s.held)
	return s.dead == nil || s.dead[row/64]&(1<<(row%64)) == 0
}

// Column returns a column of texts by its place in the layout. It is good as long as the
// segment.
func (s *Segment) Column(i int) *Column { return &s.columns[i] }

// MatchNumbers marks the rows whose number in column i of numbers lies in one of the
// ranges, both ends included, and where absent is asked for those without one. Deleted
// rows are marked too.
func (s *Segment) MatchNumbers(i int, ranges [][2]int64, absent bool) Set {
	defer runtime.KeepAlive(s.held)
	none := None(s.n)
	if s.absent[i] != nil {
		none = copyBits(s.n, s.absent[i])
	}
	set := filled(s.n, func(b []uint64) {
		for row := range s.n {
			v := s.nums[i].get(row)
			for _, r := range ranges {
				if v >= r[0] && v <= r[1] {
					b[row/64] |= 1 << (row % 64)
				}
			}
		}
	}).AndNot(none)
	if absent {
		set = set.Or(none)
	}
	return set
}

// Assign returns the segment with a global code for every word of every column.
// Of each column, base says which code a new word gets, and assign the code of a
// word, giving it the next one if it is new. Words that have theirs keep it.
func (s *Segment) Assign(base func(column int) uint32, assign func(column int, text string) uint32) *Segment {
	defer runtime.KeepAlive(s.held)
	n := *s
	n.columns = slices.Clone(s.columns)
	n.changed = true
	for i := range n.columns {
		if n.columns[i].global == nil {
			n.columns[i] = s.columns[i].assigned(base(i), func(text string) uint32 { return assign(i, text) })
		}
	}
	return &n
}

// Changed reports whether the segment differs from its file, or has none.
func (s *Segment) Changed() bool { return s.changed }

// Mapped is how many bytes of the segment lie in a file, 0 for one that is in memory.
func (s *Segment) Mapped() int64 { return s.fileSize }

// Change is what happened to one event after it was recorded.
type Change struct {
	Row     int
	Deleted bool
	Column  int    // otherwise: the column that says something else now
	Text    string // what it says
	Erase   bool   // what it said is to be gone from the file too; for the caller
}

// With returns the segment with changes; of several to one place of a row the last one
// holds. Both share what did not change.
func (s *Segment) With(changes []Change) *Segment {
	defer runtime.KeepAlive(s.held)
	n := *s
	n.changed = true
	n.columns = slices.Clone(s.columns)
	texts := map[int]map[int]string{}
	for _, ch := range changes {
		if !ch.Deleted {
			if texts[ch.Column] == nil {
				texts[ch.Column] = map[int]string{}
			}
			texts[ch.Column][ch.Row] = ch.Text
			continue
		}
		if n.gone == s.gone { // the first one
			n.dead = newBits(n.n)
			copy(n.dead, s.dead)
		}
		if bit := uint64(1) << (ch.Row % 64); n.dead[ch.Row/64]&bit == 0 {
			n.dead[ch.Row/64] |= bit
			n.gone++
		}
	}
	for i, rows := range texts {
		n.columns[i] = s.columns[i].with(rows)
	}
	return &n
}

// with returns the column with other texts in some rows.
func (c *Column) with(texts map[int]string) Column {
	var added words
	added.addresses = c.words.addresses
	seen := map[string]uint32{}
	var fresh []string
	for _, t := range texts {
		if _, ok := seen[t]; !ok {
			seen[t] = uint32(len(fresh))
			fresh = append(fresh, t)
		}
	}
	var places []uint32
	added, places = sorted(fresh, c.words.addresses)
	all, ofOld, ofNew := mergeWords(&c.words, &added)
	n := Column{words: all, base: c.base, held: c.held}
	if c.global != nil && all.len() == c.words.len() {
		n.global, n.own = c.global, c.own
	} else if c.global != nil {
		n.global = make([]uint32, all.len())
		for i := range n.global {
			n.global[i] = Unassigned
		}
		for old, code := range ofOld {
			n.global[code] = c.global[old]
		}
		n.own = make([]uint32, len(c.own))
		for i, old := range c.own {
			if n.own[i] = Unassigned; old != Unassigned {
				n.own[i] = ofOld[old]
			}
		}
	}
	n.encode(c.n, func(row int) uint32 {
		if t, ok := texts[row]; ok {
			return ofNew[places[seen[t]]]
		}
		return ofOld[c.code(row)]
	})
	return n
}

// Without returns the segment without its deleted rows, and without the words
// that no row has any more; keep says of each of those whether it has to stay,
// since other segments know it by the global code given out here. It may have no
// rows left.
func (s *Segment) Without(keep func(column int, text string) bool) *Segment {
	defer runtime.KeepAlive(s.held)
	rows := make([]int, 0, s.Count())
	s.Living().Each(func(row int) { rows = append(rows, row) })
	return s.pick(rows, keep)
}

func (s *Segment) pick(rows []int, keep func(column int, text string) bool) *Segment {
	n := &Segment{n: len(rows), changed: true, minSeq: math.MaxInt64}
	n.ids = pack(n.n, func(i int) int64 { return s.ids.get(rows[i]) })
	n.seqs = pack(n.n, func(i int) int64 { return s.seqs.get(rows[i]) })
	n.sortBySeq()
	for i, row := range rows {
		if m := s.Micros(row); m != s.ids.get(row)>>idBits {
			n.ahead, n.micros = append(n.ahead, uint32(i)), append(n.micros, m)
		}
	}
	for i := range s.columns {
		n.columns = append(n.columns, s.columns[i].pick(rows, func(text string) bool { return keep(i, text) }))
	}
	for i := range s.nums {
		n.nums = append(n.nums, pack(n.n, func(at int) int64 { return s.nums[i].get(rows[at]) }))
		var absent []uint64
		if s.absent[i] != nil {
			absent = newBits(n.n)
			for at, row := range rows {
				absent[at/64] |= s.absent[i][row/64] >> (row % 64) & 1 << (at % 64)
			}
		}
		n.absent = append(n.absent, absent)
	}
	return n
}

func (c *Column) pick(rows []int, keep func(text string) bool) Column {
	used := make([]bool, c.words.len())
	for _, row := range rows {
		used[c.code(row)] = true
	}
	for _, code := range c.own {
		if code != Unassigned && !used[code] {
			used[code] = keep(c.words.at(int(code)))
		}
	}
	n := Column{words: c.words, global: c.global, base: c.base, own: c.own}
	codes := n.leave(used)
	n.encode(len(rows), func(row int) uint32 { return codes[c.code(rows[row])] })
	return n
}

// sortBySeq sets what is known of the order of recording.
func (s *Segment) sortBySeq() {
	rising := true
	s.minSeq, s.maxSeq = math.MaxInt64, 0
	previous := int64(0)
	for row := range s.n {
		seq := s.seqs.get(row)
		rising = rising && seq > previous
		previous = seq
		s.minSeq, s.maxSeq = min(s.minSeq, seq), max(s.maxSeq, seq)
	}
	s.bySeq = nil
	if rising {
		return
	}
	s.bySeq = make([]uint16, s.n)
	for row := range s.bySeq {
		s.bySeq[row] = uint16(row)
	}
	slices.SortFunc(s.bySeq, func(a, b uint16) int { return cmp.Compare(s.seqs.get(int(a)), s.seqs.get(int(b))) })
}
