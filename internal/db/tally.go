package db

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// tally is how often each value of a field occurs.
type tally struct {
	field   query.Field
	columns []*columnTally
}

// columnTally is how often each word of one column occurs: by its number where
// it has one, and otherwise by itself.
type columnTally struct {
	names   *names
	counts  []uint32          // by number
	touched []uint32          // the numbers that occur, where those are few; else nil
	totals  *totals           // whose counts these are, if they are shared; then what is more is in delta
	delta   map[uint32]uint32 // by number, beside shared counts
	others  map[string]uint32
	named   bool // rows without a word are counted by another column
}

// allValues asks a facet for every value it has.
const allValues = math.MaxInt

// stateNames says the codes of resolved as is: does.
var stateNames = map[string]string{"0": "unresolved", "1": "resolved"}

// count counts the values of a field. Where a field has two columns, a user's
// name and id, the first one that is not empty counts. The caller takes the most
// frequent ones, which releases the tally.
func (sel *Selection) count(ctx context.Context, m *matched, f query.Field) *tally {
	t := &tally{field: f}
	for i, field := range f.Columns {
		column := sel.kind.index[field]
		c := sel.countColumn(ctx, column, m)
		t.columns = append(t.columns, c)
		if i == len(f.Columns)-1 {
			break
		}
		c.named = true
		if c.times("") == 0 {
			break // each row has a word
		}
		sel.fill(ctx, m)
		unnamed := &matched{exact: m.exact, known: true, sets: make([]segment.Set, len(m.sets)), counts: make([]int, len(m.sets))}
		for s, set := range m.sets {
			unnamed.sets[s] = sel.unnamed(s, column, set)
			unnamed.counts[s] = unnamed.sets[s].Count()
		}
		m = unnamed
	}
	return t
}

// unnamed returns those of a segment's marked rows that have no word in a column.
func (sel *Selection) unnamed(i, column int, set segment.Set) segment.Set {
	p, marks := sel.view.segments[i], sel.store.columns.marks
	if p.file == "" || set.Count() <= fewRowsIn(p) {
		return p.Column(column).EmptyIn(set)
	}
	key := markKey{p.Segment, "unnamed " + strconv.Itoa(column)}
	empty, known := marks.get(key)
	if !known {
		empty = p.Column(column).EmptyIn(segment.All(p.Len()))
		marks.put(key, empty)
	}
	return set.And(empty)
}

// countScratch keeps arrays for counting.
var countScratch = sync.Pool{New: func() any { return new([]uint32) }}

// codeScratch keeps arrays for the codes of marked rows.
var codeScratch = sync.Pool{New: func() any { return new([]uint16) }}

// zeros returns n zeros.
func zeros(n int) *[]uint32 {
	s := countScratch.Get().(*[]uint32)
	if cap(*s) < n {
		*s = make([]uint32, n, n+n/8+64)
		return s
	}
	*s = (*s)[:n]
	clear(*s)
	return s
}

// countColumn counts the words of the marked rows. Where most rows are marked it
// counts the others and takes those from all, which are known; where the tables of
// pairs know, it only adds what is not in files.
func (sel *Selection) countColumn(ctx context.Context, column int, m *matched) *columnTally {
	n := sel.kind.names[column]
	t := &columnTally{names: n, others: map[string]uint32{}}
	if words := sel.words(ctx, m); words != nil {
		if t.counts = sel.countBeside(words, column); t.counts != nil {
			for i, set := range sel.fresh(ctx, m) {
				if !set.Empty() {
					t.addPiece(sel.view.segments[i], column, set, set.Count(), false)
				}
			}
			return t
		}
	}
	sel.fill(ctx, m)
	var marked, living, filed int64
	for i, p := range sel.view.segments {
		if p.file == "" {
			continue
		}
		marked += int64(m.counts[i])
		living += int64(p.Count())
		filed++
	}
	size := n.len()
	if m.exact && filed > 0 && marked*2 > living {
		t.totals = n.totalsOf(sel.view)
	}
	if t.totals != nil {
		maps.Copy(t.others, t.totals.others)
	}
	rest := marked == living // only what is in memory is left to count
	switch {
	case t.totals != nil && rest:
		t.counts, t.delta = t.totals.counts, map[uint32]uint32{}
	case t.totals != nil:
		t.counts = n.array(len(t.totals.counts))
		copy(t.counts, t.totals.counts)
	case marked == 0:
	default:
		t.counts = n.array(size)
		if marked < int64(size)/4 {
			t.touched = []uint32{}
		}
	}
	for i, p := range sel.view.segments {
		if m.counts[i] == 0 && t.totals == nil || p.file != "" && t.totals != nil && rest {
			continue
		}
		set, rows, less := m.sets[i], m.counts[i], t.totals != nil && p.file != ""
		if less {
			set, rows = p.Living().AndNot(set), p.Count()-rows
		}
		if rows > 0 {
			t.addPiece(p, column, set, rows, less)
		}
	}
	if t.totals != nil && !rest {
		t.totals.release()
		t.totals = nil
	}
	return t
}

// addPiece adds the words of the marked rows of a piece, of which there are so
// many, or takes them away.
func (t *columnTally) addPiece(p *piece, column int, set segment.Set, rows int, less bool) {
	c := p.Column(column)
	numbers := c.Globals()
	if numbers == nil {
		numbers = t.names.numbersOf(p.Segment)
	}
	if rows < c.Words()/4 { // fewer rows than words: no table of those
		times := uint32(1)
		if less {
			times = -times
		}
		scratch := codeScratch.Get().(*[]uint16)
		defer codeScratch.Put(scratch)
		*scratch = c.Codes(set, (*scratch)[:0])
		for _, code := range *scratch {
			if number := numbers[code]; !t.add(number, times) {
				t.more(c, int(code), number, times)
			}
		}
		return
	}
	scratch := zeros(c.Words())
	defer countScratch.Put(scratch)
	counts := *scratch
	c.Count(set, counts)
	switch {
	case less:
		for code, times := range counts {
			if number := numbers[code]; int(number) < len(t.counts) {
				t.counts[number] -= times
			} else if times > 0 {
				t.more(c, code, number, -times)
			}
		}
	case t.touched == nil && t.delta == nil:
		for code, times := range counts {
			if number := numbers[code]; int(number) < len(t.counts) {
				t.counts[number] += times
			} else if times > 0 {
				t.more(c, code, number, times)
			}
		}
	default:
		for code, times := range counts {
			if times > 0 {
				t.more(c, code, numbers[code], times)
			}
		}
	}
}

// more adds to one word.
func (t *columnTally) more(c *segment.Column, code int, number, times uint32) {
	if number == segment.Unassigned { // decided after it was sealed, or new
		if known, ok := t.names.number(c.Word(code)); ok {
			number = known
		}
	}
	if !t.add(number, times) {
		word := c.Word(code)
		if t.others[word] += times; t.others[word] == 0 {
			delete(t.others, word)
		}
	}
}

// add adds to the word of a number, and reports whether there is a place for it.
func (t *columnTally) add(number, times uint32) bool {
	switch {
	case int(number) >= len(t.counts):
		return false
	case t.delta != nil:
		t.delta[number] += times
		return true
	case t.touched != nil && t.counts[number] == 0:
		t.touched = append(t.touched, number)
	}
	t.counts[number] += times
	return true
}

// release gives the arrays back. The tally is of no use then.
func (t *tally) release() {
	for _, c := range t.columns {
		switch {
		case c.totals != nil:
			c.totals.release()
			continue
		case c.touched != nil:
			for _, number := range c.touched {
				c.counts[number] = 0
			}
		default:
			clear(c.counts)
		}
		if c.counts != nil {
			c.names.arrays.Put(&c.counts)
		}
	}
}

// tiesInOrder is among how many equally frequent values the first in the order
// of the alphabet are chosen. Among more, those that were recorded first are.
const tiesInOrder = 1_000

// most returns the top values, most frequent first, and how many others there
// are.
func (t *tally) most(top int) (best []FacetValue, more int) {
	defer t.release()
	t.fold()
	found := map[string]int64{}
	distinct := 0
	for _, c := range t.columns {
		values, n := c.most(top)
		distinct += n
		if c.named && c.times("") > 0 {
			distinct--
		}
		for _, v := range values {
			if v.Value != "" || !c.named {
				found[v.Value] += v.Count
			}
		}
	}
	for text, n := range found {
		if t.field.Class == query.ClassState {
			text = stateNames[text]
		}
		best = append(best, FacetValue{text, n})
	}
	sortValues(best)
	best = best[:min(len(best), top)]
	return best, distinct - len(best)
}

func sortValues(values []FacetValue) {
	slices.SortFunc(values, func(a, b FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
}

// most returns the top words of a column and one more, since the empty one may
// be somebody else's, and how many words occur.
func (t *columnTally) most(top int) (best []FacetValue, distinct int) {
	if top != allValues {
		top++
	}
	if t.totals != nil {
		// What is more only ever adds: a word without it that was not among the top
		// ones before is not among them now.
		base, n := t.totals.most(top)
		distinct = n
		have := map[string]bool{}
		for number, times := range t.delta {
			if times == 0 {
				continue
			}
			if t.counts[number] == 0 {
				distinct++
			}
			if text, ok := t.names.text(number); ok {
				have[text] = true
				best = append(best, FacetValue{text, int64(t.counts[number]) + int64(times)})
			}
		}
		for _, v := range base {
			if !have[v.Value] {
				best = append(best, v)
			}
		}
	} else {
		best, distinct = mostOf(t.names, t.counts, t.touched, top)
	}
	for text, times := range t.others {
		best = append(best, FacetValue{text, int64(times)})
	}
	return best, distinct + len(t.others)
}

// mostOf returns the words of the top counts, in no order, and how many are not
// zero. If touched is not nil, only those can be.
func mostOf(n *names, counts, touched []uint32, top int) (best []FacetValue, distinct int) {
	// How often a word has to occur to be among them: small counts are counted
	// themselves, in two tables so that one sum does not wait for the other; of
	// large ones there are few.
	var small, second [256]int
	var large []uint32
	if touched != nil {
		for _, number := range touched {
			if times := counts[number]; times < uint32(len(small)) {
				small[times]++
			} else {
				large = append(large, times)
			}
		}
	} else {
		half := len(counts) / 2
		for i, times := range counts[:half] {
			other := counts[half+i]
			if times|other < uint32(len(small)) {
				small[times]++
				second[other]++
				continue
			}
			for _, times := range [...]uint32{times, other} {
				if times < uint32(len(small)) {
					small[times]++
				} else {
					large = append(large, times)
				}
			}
		}
		for _, times := range counts[2*half:] {
			if times < uint32(len(small)) {
				small[times]++
			} else {
				large = append(large, times)
			}
		}
	}
	for i, n := range second {
		small[i] += n
	}
	distinct = len(large)
	for _, n := range small[1:] {
		distinct += n
	}
	least := uint32(1)
	if top < distinct {
		slices.SortFunc(large, func(a, b uint32) int { return cmp.Compare(b, a) })
		if top <= len(large) {
			least = large[max(top-1, 0)]
		} else {
			left := top - len(large)
			for least = uint32(len(small) - 1); least > 1 && small[least] < left; least-- {
				left -= small[least]
			}
		}
	}
	ties, more := 0, least
	take := func(number uint32, times uint32) {
		if times == least && top < distinct {
			if ties++; ties == tiesInOrder {
				more = least + 1 // enough of those
			}
		}
		if text, ok := n.text(number); ok {
			best = append(best, FacetValue{text, int64(times)})
		}
	}
	if touched != nil {
		for _, number := range touched {
			if times := counts[number]; times >= more {
				take(number, times)
			}
		}
	} else {
		for number, times := range counts {
			if times >= more {
				take(uint32(number), times)
			}
		}
	}
	if top < len(best) {
		sortValues(best)
		best = best[:top]
	}
	return best, distinct
}

// fold moves the counts of the further columns whose word the first one has too
// over to it, so that no value is named twice.
func (t *tally) fold() {
	if len(t.columns) < 2 {
		return
	}
	first := t.columns[0]
	for _, c := range t.columns[1:] {
		if c.totals != nil { // every row is without a word in the first column
			continue
		}
		move := func(number uint32) {
			if times := c.counts[number]; times > 0 {
				if text, ok := c.names.text(number); ok && first.takes(text, times) {
					c.counts[number] = 0
				}
			}
		}
		if c.touched != nil {
			for _, number := range c.touched {
				move(number)
			}
			c.touched = slices.DeleteFunc(c.touched, func(number uint32) bool { return c.counts[number] == 0 })
		} else {
			for number := range c.counts {
				move(uint32(number))
			}
		}
		for word, times := range c.others {
			if first.takes(word, times) {
				delete(c.others, word)
			}
		}
	}
}

// times is how often a word occurs.
func (t *columnTally) times(word string) uint32 {
	if number, ok := t.names.number(word); ok && int(number) < len(t.counts) {
		return t.counts[number] + t.delta[number]
	}
	return t.others[word]
}

// takes adds to a word that occurs already, and reports whether it does.
func (t *columnTally) takes(word string, times uint32) bool {
	if word == "" {
		return false
	}
	if _, ok := t.others[word]; ok {
		t.others[word] += times
		return true
	}
	number, ok := t.names.number(word)
	return ok && int(number) < len(t.counts) && t.counts[number]+t.delta[number] > 0 && t.add(number, times)
}
