package db

import (
	"cmp"
	"container/heap"
	"slices"
)

// newest walks over marked rows from the newest on, starting below an id;
// oldest from the oldest on, starting above one.
func (sel *Selection) newest(sets *rowSets, below int64) *merge {
	return newMerge(sel.view, sets, below, true)
}

func (sel *Selection) oldest(sets *rowSets, above int64) *merge {
	return newMerge(sel.view, sets, above, false)
}

// merge walks over the marked rows of all segments in the order of their ids. It
// looks into a segment only when its turn may have come.
type merge struct {
	view    *view
	sets    *rowSets
	from    int64
	down    bool       // towards older rows
	waiting []readyRow // where segments begin that were not looked into yet, the one whose turn comes last in front
	ready   []readyRow
	opened  int   // segments looked into
	bounded bool  // stops where the text index was asked about many segments
	stopped int64 // where it did: the id that it has come to; 0 if it did not
}

// aheadSegments is how many segments are looked into at once, where the first ones
// did not have enough.
const aheadSegments = 8

// askSegments is about how many segments the text index is asked about for one
// page, where few of their rows can hold a frequent text and pass the filter too.
const askSegments = 16

// readyRow is the next row of a segment.
type readyRow struct {
	id int64
	rowPlace
}

func newMerge(v *view, sets *rowSets, from int64, down bool) *merge {
	m := &merge{view: v, sets: sets, from: from, down: down}
	for i, p := range v.segments {
		switch {
		case p.Len() == 0:
		case down && p.MinID() < from:
			m.waiting = append(m.waiting, readyRow{p.MaxID(), rowPlace{i, p.Len() - 1}})
		case !down && p.MaxID() > from:
			m.waiting = append(m.waiting, readyRow{p.MinID(), rowPlace{i, 0}})
		}
	}
	slices.SortFunc(m.waiting, func(a, b readyRow) int {
		if down {
			a, b = b, a
		}
		return cmp.Compare(b.id, a.id)
	})
	return m
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (m *merge) Len() int { return len(m.ready) }
func (m *merge) Less(i, j int) bool {
	return m.ready[i].id != m.ready[j].id && (m.ready[i].id > m.ready[j].id) == m.down
}
func (m *merge) Swap(i, j int) { m.ready[i], m.ready[j] = m.ready[j], m.ready[i] }
func (m *merge) Push(x any)    { m.ready = append(m.ready, x.(readyRow)) }
func (m *merge) Pop() any {
	last := m.ready[len(m.ready)-1]
	m.ready = m.ready[:len(m.ready)-1]
	return last
}

// first finds where a segment begins.
func (m *merge) first(i int) {
	p := m.view.segments[i]
	row := 0
	if m.down {
		row = m.sets.at(i).Previous(p.Search(m.from) - 1)
	} else {
		row = m.sets.at(i).Next(p.Search(m.from + 1))
	}
	if row >= 0 {
		heap.Push(m, readyRow{p.ID(row), rowPlace{i, row}})
	}
}

func (m *merge) next() (rowPlace, bool) {
	for n := len(m.waiting); n > 0; n = len(m.waiting) {
		begin := m.waiting[n-1]
		if len(m.ready) > 0 && (m.down && begin.id < m.ready[0].id || !m.down && begin.id > m.ready[0].id) {
			break
		}
		if m.bounded && len(m.ready) == 0 && m.sets.asked.Load() >= askSegments {
			if m.stopped = min(begin.id+1, m.from); !m.down {
				m.stopped = max(begin.id-1, m.from)
			}
			return rowPlace{}, false
		}
		if m.opened++; m.opened > 2 && m.opened%aheadSegments == 0 {
			var some []int
			for _, w := range m.waiting[max(0, n-aheadSegments):] {
				some = append(some, w.segment)
			}
			m.sets.fetch(some)
		}
		m.waiting = m.waiting[:n-1]
		m.first(begin.segment)
	}
	if len(m.ready) == 0 {
		return rowPlace{}, false
	}
	place := m.ready[0].rowPlace
	row := 0
	if m.down {
		row = m.sets.at(place.segment).Previous(place.row - 1)
	} else {
		row = m.sets.at(place.segment).Next(place.row + 1)
	}
	if row < 0 {
		heap.Pop(m)
	} else {
		m.ready[0] = readyRow{m.view.segments[place.segment].ID(row), rowPlace{place.segment, row}}
		heap.Fix(m, 0)
	}
	return place, true
}
