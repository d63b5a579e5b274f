package db

import (
	"slices"
	"sync"

	"github.com/auditadmin/auditadmin/internal/segment"
)

// cross is how often each word of one column stands beside each word of another
// one that has few, in all of a view's segments that lie in files. It is what
// facets show under a filter such as action:UPDATE, which most events may pass:
// a few rows of a table instead of a look at all of them. It follows the
// segments as totals do.
type cross struct {
	by, of *names

	mu       sync.RWMutex // held for reading by whoever uses counts
	width    int          // places for words of of
	counts   []uint32     // at the number in by, times width, plus the number in of
	partial  bool         // some word has no number: it was decided after its segment was sealed
	segments []*segment.Segment
}

const (
	// fewWords is how many words a column may have whose words are counted beside
	// those of others.
	fewWords = 256
	// crossPlaces is how many places a cross may have: four mebibytes.
	crossPlaces = 1 << 20
)

// crossed returns how the words of one column stand beside those of a column of
// few words, for a view. The caller releases it. It is nil where that is not
// known, or would take too much memory.
func (k *kindColumns) crossed(by, of int, v *view) *cross {
	byNames, ofNames := k.names[by], k.names[of]
	if by == of || byNames.len() > fewWords || byNames.len()*ofNames.len() > crossPlaces {
		return nil
	}
	k.crossing.Lock()
	x := k.crosses[[2]int{by, of}]
	if x == nil {
		x = &cross{by: byNames, of: ofNames}
		k.crosses[[2]int{by, of}] = x
	}
	k.crossing.Unlock()
	want := v.filed()
	x.mu.RLock()
	if !slices.Equal(x.segments, want) {
		x.mu.RUnlock()
		x.mu.Lock()
		if !slices.Equal(x.segments, want) {
			x.follow(want)
		}
		x.mu.Unlock()
		x.mu.RLock()
	}
	if x.partial || !slices.Equal(x.segments, want) { // another page has it for another view just now
		x.mu.RUnlock()
		return nil
	}
	return x
}

func (x *cross) release() { x.mu.RUnlock() }

// filed are the segments of a view that lie in files.
func (v *view) filed() []*segment.Segment {
	var all []*segment.Segment
	for _, p := range v.segments {
		if p.file != "" {
			all = append(all, p.Segment)
		}
	}
	return all
}

// follow takes away the segments that are no longer there and adds the new ones.
func (x *cross) follow(want []*segment.Segment) {
	by, of := x.by.len(), x.of.len()
	if of > x.width {
		wider := of + of/8 + 16
		counts := make([]uint32, 0, by*wider)
		for row := range slices.Chunk(x.counts, max(x.width, 1)) {
			counts = append(append(counts, row...), make([]uint32, wider-len(row))...)
		}
		x.counts, x.width = counts, wider
	}
	if missing := by*x.width - len(x.counts); missing > 0 {
		x.counts = append(x.counts, make([]uint32, missing)...)
	}
	if x.partial { // what had no number may have one now: begin anew
		clear(x.counts)
		x.segments, x.partial = nil, false
	}
	follow(x.segments, want, x.add)
	x.segments = want
}

func (x *cross) add(s *segment.Segment, less bool) {
	by, of := s.Column(x.by.column), s.Column(x.of.column)
	scratch := zeros(by.Words() * of.Words())
	defer countScratch.Put(scratch)
	counts := *scratch
	of.CountBeside(by, s.Living(), counts)
	numbers := of.Globals()
	for code, number := range by.Globals() {
		row := counts[code*len(numbers):][:len(numbers)]
		for i, times := range row {
			switch {
			case times == 0:
			case int(number)*x.width >= len(x.counts) || int(numbers[i]) >= x.width:
				x.partial = true
			case less:
				x.counts[int(number)*x.width+int(numbers[i])] -= times
			default:
				x.counts[int(number)*x.width+int(numbers[i])] += times
			}
		}
	}
}

// countBeside counts the words of a column beside those that a condition means, in
// what lies in files. It returns nil where that is not known.
func (sel *Selection) countBeside(m *meant, column int) []uint32 {
	x := sel.kind.crossed(m.column, column, sel.view)
	if x == nil {
		return sel.countAcross(m, column)
	}
	defer x.release()
	n := sel.kind.names[column]
	size := min(n.len(), x.width)
	counts := n.array(size)
	if m.not {
		totals := n.totalsOf(sel.view)
		if totals == nil {
			n.arrays.Put(&counts)
			return nil
		}
		defer totals.release()
		if len(totals.others) > 0 || len(totals.counts) > size {
			n.arrays.Put(&counts)
			return nil
		}
		copy(counts, totals.counts)
	}
	for _, number := range m.numbers {
		if int(number+1)*x.width > len(x.counts) {
			continue
		}
		row := x.counts[int(number)*x.width:][:size]
		if m.not {
			for i, times := range row {
				counts[i] -= times
			}
			continue
		}
		for i, times := range row {
			counts[i] += times
		}
	}
	return counts
}

// countAcross is countBeside for a column that has few words itself.
func (sel *Selection) countAcross(m *meant, column int) []uint32 {
	if m.not {
		return nil
	}
	x := sel.kind.crossed(column, m.column, sel.view)
	if x == nil {
		return nil
	}
	defer x.release()
	n := sel.kind.names[column]
	counts := n.array(min(n.len(), len(x.counts)/max(x.width, 1)))
	for word := range counts {
		row := x.counts[word*x.width:][:x.width]
		for _, number := range m.numbers {
			if int(number) < len(row) {
				counts[word] += row[number]
			}
		}
	}
	return counts
}
