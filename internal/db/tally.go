package db

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// tally is how often each value of a field occurs.
type tally struct {
	field   query.Field
	columns []columnTally
}

// columnTally is how often each word of one column occurs: by its number where
// it lies in a file, and otherwise by itself.
type columnTally struct {
	names   *names
	counts  []uint32 // by number; nil where none of the rows lies in a file
	touched []uint32 // the numbers that occur, where those are few; else nil
	others  map[string]uint32
}

// allValues asks a facet for every value it has.
const allValues = math.MaxInt

// stateNames says the codes of resolved as is: does.
var stateNames = map[string]string{"0": "unresolved", "1": "resolved"}

// count counts the values of a field. Where a field has two columns, a user's
// name and id, the first one that is not empty counts.
func (sel *Selection) count(m *matched, f query.Field) *tally {
	t := &tally{field: f}
	sets, rows := m.sets, m.count
	for i, field := range f.Columns {
		column := sel.kind.index[field]
		if i == len(f.Columns)-1 {
			t.columns = append(t.columns, sel.countColumn(column, sets, rows))
			break
		}
		named, unnamed := make([]segment.Set, len(sets)), make([]segment.Set, len(sets))
		left := int64(0)
		for s, set := range sets {
			if set.Empty() {
				continue
			}
			empty := sel.view.segments[s].Column(column).Empty()
			named[s], unnamed[s] = set.AndNot(empty), set.And(empty)
			left += int64(unnamed[s].Count())
		}
		t.columns = append(t.columns, sel.countColumn(column, named, rows-left))
		sets, rows = unnamed, left
	}
	return t
}

// countScratch keeps arrays for counting: those of a column with many words are
// large, and a page needs several.
var countScratch = sync.Pool{New: func() any { return new([]uint32) }}

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

func (sel *Selection) countColumn(column int, sets []segment.Set, rows int64) columnTally {
	n := sel.kind.names[column]
	t := columnTally{names: n, others: map[string]uint32{}}
	n.mu.RLock()
	size := int(n.size)
	n.mu.RUnlock()
	if rows == 0 {
		return t
	}
	few := rows < int64(size)/4
	t.counts = n.array(size)
	for i, p := range sel.view.segments {
		if sets[i].Empty() {
			continue
		}
		c := p.Column(column)
		scratch := zeros(c.Words())
		counts := *scratch
		c.Count(sets[i], counts)
		numbers := c.Globals()
		if numbers == nil {
			numbers = n.numbersOf(p.Segment)
		}
		for code, times := range counts {
			if times == 0 {
				continue
			}
			number := numbers[code]
			if number == segment.Unassigned { // decided after it was sealed, or new
				if known, ok := n.number(c.Word(code)); ok {
					number = known
				}
			}
			if int(number) < size {
				if few && t.counts[number] == 0 {
					t.touched = append(t.touched, number)
				}
				t.counts[number] += times
			} else {
				t.others[c.Word(code)] += times
			}
		}
		countScratch.Put(scratch)
	}
	if few && t.touched == nil {
		t.touched = []uint32{}
	}
	return t
}

// release gives the arrays back. The tally is of no use then.
func (t *tally) release() {
	for i := range t.columns {
		c := &t.columns[i]
		if c.touched != nil {
			for _, number := range c.touched {
				c.counts[number] = 0
			}
		} else {
			clear(c.counts)
		}
		c.names.arrays.Put(&c.counts)
	}
}

// each yields every number that occurs, and how often.
func (t *columnTally) each() iter.Seq2[uint32, uint32] {
	return func(yield func(uint32, uint32) bool) {
		if t.touched != nil {
			for _, number := range t.touched {
				if times := t.counts[number]; times > 0 && !yield(number, times) {
					return
				}
			}
			return
		}
		for number, times := range t.counts {
			if times > 0 && !yield(uint32(number), times) {
				return
			}
		}
	}
}

// tiesInOrder is among how many equally frequent values the first in the order
// of the alphabet are chosen. Among more, those that were recorded first are.
const tiesInOrder = 10_000

// most returns the top values, most frequent first, and how many others there
// are.
func (t *tally) most(top int) (best []FacetValue, more int) {
	defer t.release()
	t.fold()
	// How often a value has to occur to be among them.
	least, distinct := t.least(top)
	found := map[string]int64{}
	ties := 0
	for i := range t.columns {
		c := &t.columns[i]
		take := func(word func() (string, bool), times uint32) {
			if times < least || times == least && ties >= tiesInOrder && top != allValues {
				return
			}
			if text, ok := word(); ok {
				if times == least {
					ties++
				}
				found[text] += int64(times)
			}
		}
		for number, times := range c.each() {
			take(func() (string, bool) { return c.names.text(number) }, times)
		}
		for text, times := range c.others {
			take(func() (string, bool) { return text, true }, times)
		}
	}
	for text, n := range found {
		if t.field.Class == query.ClassState {
			text = stateNames[text]
		}
		best = append(best, FacetValue{text, n})
	}
	slices.SortFunc(best, func(a, b FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	best = best[:min(len(best), top)]
	return best, distinct - len(best)
}

// least returns how often the last of the top values occurs, and how many values
// there are at all.
func (t *tally) least(top int) (least uint32, distinct int) {
	var highest []uint32 // rising, at most top
	see := func(times uint32) {
		distinct++
		if top == allValues || top == 0 || len(highest) == top && times <= highest[0] {
			return
		}
		at, _ := slices.BinarySearch(highest, times)
		highest = slices.Insert(highest, at, times)
		if len(highest) > top {
			highest = highest[1:]
		}
	}
	for i := range t.columns {
		for _, times := range t.columns[i].each() {
			see(times)
		}
		for _, times := range t.columns[i].others {
			see(times)
		}
	}
	if top == 0 {
		return math.MaxUint32, distinct
	}
	if len(highest) < top || top == allValues {
		return 1, distinct
	}
	return highest[0], distinct
}

// fold moves the counts of the further columns whose word the first one has too
// over to it, so that no value is named twice.
func (t *tally) fold() {
	if len(t.columns) < 2 {
		return
	}
	first := &t.columns[0]
	for i := 1; i < len(t.columns); i++ {
		c := &t.columns[i]
		var words []string
		var numbers []uint32
		for number := range c.each() {
			if text, ok := c.names.text(number); ok {
				words, numbers = append(words, text), append(numbers, number)
			}
		}
		for at, word := range words {
			if first.takes(word, c.counts[numbers[at]]) {
				c.counts[numbers[at]] = 0
			}
		}
		for word, times := range c.others {
			if first.takes(word, times) {
				delete(c.others, word)
			}
		}
	}
}

// takes adds to a word that occurs already, and reports whether it does.
func (t *columnTally) takes(word string, times uint32) bool {
	if _, ok := t.others[word]; ok {
		t.others[word] += times
		return true
	}
	if number, ok := t.names.number(word); ok && int(number) < len(t.counts) && t.counts[number] > 0 {
		t.counts[number] += times
		return true
	}
	return false
}
