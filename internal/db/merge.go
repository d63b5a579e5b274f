package db

// newest walks over marked rows from the newest on, starting below an id;
// oldest from the oldest on, starting above one.
func (sel *Selection) newest(sets []bitset, below int64) *merge {
	m := &merge{view: sel.view, sets: sets, step: -1, places: make([]int, len(sets))}
	for i, s := range sel.view.segments {
		m.places[i] = s.search(below)
	}
	return m.start()
}

func (sel *Selection) oldest(sets []bitset, above int64) *merge {
	m := &merge{view: sel.view, sets: sets, step: 1, places: make([]int, len(sets))}
	for i, s := range sel.view.segments {
		m.places[i] = s.search(above+1) - 1
	}
	return m.start()
}

// merge walks over the marked rows of all segments in the order of their ids.
type merge struct {
	view   *view
	sets   []bitset
	step   int
	places []int // where each segment stands, in its order of ids
	rows   []int // the row there, or -1 at the end
}

func (m *merge) start() *merge {
	m.rows = make([]int, len(m.sets))
	for i := range m.sets {
		m.advance(i)
	}
	return m
}

func (m *merge) advance(i int) {
	s, set := m.view.segments[i], m.sets[i]
	for place := m.places[i] + m.step; place >= 0 && place < s.len(); place += m.step {
		if row := s.at(place); set.has(row) {
			m.places[i], m.rows[i] = place, row
			return
		}
	}
	m.rows[i] = -1
}

func (m *merge) next() (rowPlace, bool) {
	best := -1
	var bestID int64
	for i, row := range m.rows {
		if row < 0 {
			continue
		}
		if id := m.view.segments[i].ids[row]; best < 0 || (id > bestID) == (m.step < 0) {
			best, bestID = i, id
		}
	}
	if best < 0 {
		return rowPlace{}, false
	}
	p := rowPlace{best, m.rows[best]}
	m.advance(best)
	return p, true
}
