package db

import (
	"context"
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

// columnTally is how often each word of one column occurs, by its number. Those that
// names has not given out are counted by themselves.
type columnTally struct {
	names   *unnumbered
	counts  []uint32 // by number
	touched []uint32 // the numbers that occur, where those are few; else nil
	totals  *totals  // whose counts these are, if they are shared
	beside  *sums    // what is beside shared counts, or instead of any
	others  []uint32 // by number, from the first that names has not given out
	named   bool     // rows without a word are counted by another column
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
		if c.timesOf("") == 0 {
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
	t := &columnTally{names: n.unnumbered()}
	if words := sel.words(ctx, m); words != nil {
		if t.counts = sel.countBeside(words, column); t.counts != nil {
			t.counts = t.counts[:min(len(t.counts), int(t.names.from))] // none of what was given out since is in the view
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
	size := int(t.names.from)
	if m.exact && filed > 0 && marked*2 > living {
		t.totals = n.totalsOf(sel.view)
	}
	if t.totals != nil && len(t.totals.counts) > size { // more were given out since
		t.totals.release()
		t.totals = nil
	}
	rest := marked == living // only what is in memory is left to count
	switch {
	case t.totals != nil && rest:
		t.counts, t.beside = t.totals.counts, newSums(n, size)
	case t.totals != nil:
		t.counts = n.array(size)
		copy(t.counts, t.totals.counts)
	case marked == 0:
		t.beside = newSums(n, size)
	default:
		t.counts = n.array(size)
		if marked < int64(size)/4 {
			t.touched = []uint32{}
		}
	}
	if t.totals != nil {
		for word, times := range t.totals.others {
			t.add(t.names.number(word), times)
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
	numbers, known := c.Globals(), uint32(0)
	if numbers == nil {
		numbers, known = t.names.numbersOf(p.Segment), segment.Unassigned
	} else {
		known = t.names.from // others were decided after it was sealed, or given out since
	}
	sign := uint32(1)
	if less {
		sign = -sign
	}
	if rows < c.Words()/4 { // fewer rows than words: no table of those
		scratch := codeScratch.Get().(*[]uint16)
		defer codeScratch.Put(scratch)
		*scratch = c.Codes(set, (*scratch)[:0])
		for _, code := range *scratch {
			number := numbers[code]
			if number >= known {
				number = t.names.number(c.Word(int(code)))
			}
			t.add(number, sign)
		}
		return
	}
	scratch := zeros(c.Words())
	defer countScratch.Put(scratch)
	c.Count(set, *scratch)
	plain := t.touched == nil && t.beside == nil
	for code, times := range *scratch {
		number := numbers[code]
		switch {
		case plain && int(number) < len(t.counts) && number < known:
			t.counts[number] += sign * times
		case times > 0:
			if number >= known {
				number = t.names.number(c.Word(code))
			}
			t.add(number, sign*times)
		}
	}
}

// add adds to the word of a number.
func (t *columnTally) add(number, times uint32) {
	switch {
	case number >= t.names.from:
		i := int(number - t.names.from)
		if i >= len(t.others) {
			t.others = append(t.others, make([]uint32, i+1-len(t.others))...)
		}
		t.others[i] += times
		return
	case t.beside != nil:
		t.beside.add(number, times)
		return
	case int(number) >= len(t.counts):
		t.counts = append(t.counts, make([]uint32, int(t.names.from)-len(t.counts))...)
	}
	if t.touched != nil && t.counts[number] == 0 {
		t.touched = append(t.touched, number)
	}
	t.counts[number] += times
}

// release gives the arrays back. The tally is of no use then.
func (t *tally) release() {
	for _, c := range t.columns {
		if c.beside != nil {
			c.beside.release(c.names.names)
		}
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
			c.names.names.arrays.Put(&c.counts)
		}
	}
}

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
		if c.named && c.timesOf("") > 0 {
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

// most returns the top words of a column and one more, since the empty one may
// be somebody else's, and how many words occur.
func (t *columnTally) most(top int) (best []FacetValue, distinct int) {
	if top != allValues {
		top++
	}
	if t.beside == nil {
		best, distinct = mostOf(t.names.text, t.counts, t.touched, top)
	} else {
		best, distinct = t.mostBeside(top)
	}
	others, n := mostOf(func(i uint32) (string, bool) { return t.names.text(t.names.from + i) }, t.others, nil, top)
	return append(best, others...), distinct + n
}

// mostBeside is most for what is beside the totals. What is more only ever adds: a word
// without it that was not among the top ones before is not among them now.
func (t *columnTally) mostBeside(top int) (best []FacetValue, distinct int) {
	fresh := 0 // words that occur nowhere else
	more := t.beside.list(func(number, times uint32) uint32 {
		if int(number) < len(t.counts) && t.counts[number] > 0 {
			return t.counts[number] + times
		}
		fresh++
		return times
	})
	best, _ = mostOfThese(t.names.text, more, top)
	if t.totals == nil {
		return best, fresh
	}
	have := map[string]bool{}
	for _, v := range best {
		have[v.Value] = true
	}
	base, distinct := t.totals.most(top)
	for _, v := range base {
		if !have[v.Value] {
			best = append(best, v)
		}
	}
	return best, distinct + fresh
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
		move := func(number, times uint32) (moved bool) {
			if times > 0 {
				text, ok := c.names.text(number)
				moved = ok && first.takes(text, times)
			}
			return moved
		}
		if c.touched != nil {
			c.touched = slices.DeleteFunc(c.touched, func(number uint32) bool {
				if move(number, c.counts[number]) {
					c.counts[number] = 0
				}
				return c.counts[number] == 0
			})
		} else {
			for number, times := range c.counts {
				if move(uint32(number), times) {
					c.counts[number] = 0
				}
			}
		}
		if c.beside != nil {
			for _, w := range c.beside.list(nil) {
				if move(w.number, w.times) {
					c.beside.add(w.number, -w.times)
				}
			}
		}
		for i, times := range c.others {
			if move(c.names.from+uint32(i), times) {
				c.others[i] = 0
			}
		}
	}
}

// times is how often the word of a number occurs.
func (t *columnTally) times(number uint32) (times uint32) {
	switch i := int(number) - int(t.names.from); {
	case i >= 0:
		if i < len(t.others) {
			times = t.others[i]
		}
		return times
	case int(number) < len(t.counts):
		times = t.counts[number]
	}
	if t.beside != nil {
		times += t.beside.of(number)
	}
	return times
}

// timesOf is how often a word occurs.
func (t *columnTally) timesOf(word string) uint32 {
	number, ok := t.names.lookup(word)
	if !ok {
		return 0
	}
	return t.times(number)
}

// takes adds to a word that occurs already, and reports whether it does.
func (t *columnTally) takes(word string, times uint32) bool {
	number, ok := t.names.lookup(word)
	if word == "" || !ok || t.times(number) == 0 {
		return false
	}
	t.add(number, times)
	return true
}
