package db

import (
	"slices"
	"sync"

	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// totals is how often each word of a column occurs in all of a view's segments
// that lie in files: what a facet without a filter shows, and what one with a
// wide filter is counted down from. It follows the segments as they are sealed,
// merged and erased from, a few of them at a time.
type totals struct {
	names *names

	mu       sync.RWMutex      // held for reading by whoever uses counts
	counts   []uint32          // by number
	others   map[string]uint32 // words without a number: they were decided after their segment was sealed
	segments []*segment.Segment

	best   sync.Mutex
	chosen map[int][]FacetValue // the top ones, by how many
	words  int                  // that occur
}

// totalsOf returns the totals of a view, which the caller releases; nil where
// another page has them for another view just now.
func (n *names) totalsOf(v *view) *totals {
	want := v.filed()
	t := &n.totals
	t.mu.RLock()
	if slices.Equal(t.segments, want) {
		return t
	}
	t.mu.RUnlock()
	t.mu.Lock()
	if !slices.Equal(t.segments, want) {
		t.follow(n, want)
	}
	t.mu.Unlock()
	t.mu.RLock()
	if slices.Equal(t.segments, want) {
		return t
	}
	t.mu.RUnlock()
	return nil
}

func (t *totals) release() { t.mu.RUnlock() }

// sum is how often the words of some numbers occur together. The caller has not
// released t.
func (t *totals) sum(numbers []uint32) (n int64) {
	for _, number := range numbers {
		if int(number) < len(t.counts) {
			n += int64(t.counts[number])
		}
	}
	return n
}

// means reports whether values mean a word that has no number.
func (t *totals) means(values []query.Value) bool {
	for word := range t.others {
		if slices.ContainsFunc(values, func(v query.Value) bool { return means(v, word) }) {
			return true
		}
	}
	return false
}

// follow takes away the segments that are no longer there and adds the new ones.
func (t *totals) follow(n *names, want []*segment.Segment) {
	t.names, t.chosen = n, nil
	size := n.len()
	if len(t.counts) < size {
		t.counts = append(t.counts, make([]uint32, size-len(t.counts))...)
	}
	if t.others == nil {
		t.others = map[string]uint32{}
	}
	for word, times := range t.others { // which may have got one since
		if number, ok := n.number(word); ok && int(number) < len(t.counts) {
			t.counts[number] += times
			delete(t.others, word)
		}
	}
	follow(t.segments, want, t.add)
	t.segments = want
}

// follow calls add for the segments that are new, and with less for those that are
// no longer there.
func follow(old, want []*segment.Segment, add func(s *segment.Segment, less bool)) {
	gone := map[*segment.Segment]bool{}
	for _, s := range old {
		gone[s] = true
	}
	for _, s := range want {
		if !gone[s] {
			add(s, false)
		}
		delete(gone, s)
	}
	for s := range gone {
		add(s, true)
	}
}

func (t *totals) add(s *segment.Segment, less bool) {
	c := s.Column(t.names.column)
	scratch := zeros(c.Words())
	defer countScratch.Put(scratch)
	c.Count(s.Living(), *scratch)
	for code, number := range c.Globals() {
		times := (*scratch)[code]
		if less {
			times = -times
		}
		if number == segment.Unassigned && times != 0 {
			if known, ok := t.names.number(c.Word(code)); ok {
				number = known
			}
		}
		if int(number) < len(t.counts) {
			t.counts[number] += times
		} else if times != 0 {
			word := c.Word(code)
			if t.others[word] += times; t.others[word] == 0 {
				delete(t.others, word)
			}
		}
	}
}

// most returns the top words, and how many occur. The caller has not released t.
func (t *totals) most(top int) ([]FacetValue, int) {
	t.best.Lock()
	defer t.best.Unlock()
	if t.chosen == nil {
		t.chosen = map[int][]FacetValue{}
	}
	if best, ok := t.chosen[top]; ok {
		return best, t.words
	}
	best, words := mostOf(t.names.text, t.counts, nil, top)
	if top != allValues {
		t.chosen[top] = best
	}
	t.words = words
	return best, words
}
