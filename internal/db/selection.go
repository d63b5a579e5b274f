package db

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// Selection is the events that a filter matches in one state of the data. All
// it answers, its list, count, facets and timeline, speaks of that same state.
// It is for one goroutine.
type Selection struct {
	store      *Store
	filter     *query.Filter
	kind       *kindColumns
	view       *view
	conditions []condition
	matches    map[string]*matched // by the key whose terms are left out; noKey is none
	marked     [][]marked          // by condition and segment
	order      []int               // of the conditions: those that leave few rows first
	filling    sync.Mutex          // held by who looks at columns, while facets are counted

	mu     sync.Mutex
	failed error // what went wrong where rows were looked for
}

// marked is what a condition marked in a segment, once it was asked.
type marked struct {
	set   segment.Set
	known bool
}

// Select returns the events that a filter matches now.
func (s *Store) Select(ctx context.Context, f *query.Filter) (*Selection, error) {
	s.asked.now()
	v, err := s.view(ctx, f.Kind)
	if err != nil {
		return nil, err
	}
	return s.selectIn(ctx, f, v)
}

func (s *Store) selectIn(ctx context.Context, f *query.Filter, v *view) (*Selection, error) {
	sel := &Selection{store: s, filter: f, kind: s.columns.kinds[f.Kind], view: v,
		matches: map[string]*matched{}}
	var err error
	sel.conditions, err = s.compile(ctx, sel.kind, v, f.Terms)
	for i := range sel.conditions {
		sel.marked = append(sel.marked, make([]marked, len(v.segments)))
		sel.order = append(sel.order, i)
	}
	if err != nil {
		return nil, err
	}
	for i := range sel.conditions {
		c := &sel.conditions[i]
		if c.meant = sel.meant(c); c.meant != nil {
			sel.locate(ctx, i)
		}
	}
	slices.SortStableFunc(sel.order, func(a, b int) int { return cmp.Compare(sel.passing(a), sel.passing(b)) })
	return sel, nil
}

// passing is about how many events a condition lets pass.
func (sel *Selection) passing(at int) int64 {
	c, all := &sel.conditions[at], int64(sel.view.count)
	switch {
	case c.term.Not:
		return all
	case c.meant != nil:
		return c.meant.filed
	}
	return all / int64(1+c.words)
}

// UpTo returns the place in the ledger up to which the selection has seen the
// events: what was recorded later is not in it.
func (sel *Selection) UpTo() int64 { return sel.view.head }

// Filter returns the filter of the selection.
func (sel *Selection) Filter() *query.Filter { return sel.filter }

// noKey leaves no terms out. It is no key of the language.
const noKey = "\x00"

// matched is the rows that match, as far as that was found out.
type matched struct {
	without  string        // the key whose terms are left out
	active   []int         // the other conditions
	known    bool          // whether the rows are
	sets     []segment.Set // by segment
	counts   []int         // of each how many it marks
	count    int64
	exact    bool
	lookedTo int64  // microseconds, where not exact
	meant    *meant // what the only condition means, where that is known
}

// walking returns the conditions that only the rows themselves can answer.
func (sel *Selection) walking() []condition {
	var all []condition
	for _, c := range sel.conditions {
		if c.mark == nil {
			all = append(all, c)
		}
	}
	return all
}

// mark returns the rows of a segment that one condition leaves; of a frequent
// text, those that can hold it.
func (sel *Selection) mark(ctx context.Context, condition, i int) segment.Set {
	m := &sel.marked[condition][i]
	if m.known {
		return m.set
	}
	c, p := &sel.conditions[condition], sel.view.segments[i]
	name, marks := c.cached, sel.store.columns.marks
	if c.needle != nil {
		name = "maybe " + c.needle.key
	}
	key := markKey{p.Segment, name}
	if name != "" && p.file != "" && !c.located {
		m.set, m.known = marks.get(key)
	}
	if !m.known && c.located && p.file != "" {
		m.set, m.known = segment.None(p.Len()), true
	}
	if !m.known {
		lasts := true
		if c.mark != nil {
			m.set = c.mark(i, p)
		} else {
			m.set, lasts = sel.canHold(ctx, c.needle, p)
		}
		if name != "" && p.file != "" && lasts {
			marks.put(key, m.set)
		}
		m.known = true
	}
	return m.set
}

// canHold asks the text index which rows of a segment can hold a needle, and
// reports whether that will always be so.
func (sel *Selection) canHold(ctx context.Context, n *needle, p *piece) (set segment.Set, lasts bool) {
	set, lasts, err := sel.store.canHold(ctx, sel.filter.Kind, p, n)
	if err != nil {
		sel.mu.Lock()
		defer sel.mu.Unlock()
		if sel.failed == nil {
			sel.failed = err
		}
	}
	return set, lasts
}

// base returns the rows of a segment that the columns leave, without the terms
// of one key.
func (sel *Selection) base(ctx context.Context, i int, without string, asked *atomic.Int32) segment.Set {
	p := sel.view.segments[i]
	set := p.Living()
	for _, at := range sel.order {
		c := &sel.conditions[at]
		switch {
		case set.Empty():
			return set
		case c.mark == nil || c.key == without:
			continue
		}
		var marks segment.Set
		if few := set.Count() <= fewRowsIn(p); few && c.codes != nil && !c.located && !sel.marked[at][i].known {
			marks = c.codes.within(i, p, set)
		} else {
			marks = sel.mark(ctx, at, i)
		}
		if c.term.Not {
			set = set.AndNot(marks)
		} else {
			set = set.And(marks)
		}
	}
	for at, c := range sel.conditions { // which costs most
		if !set.Empty() && c.mark == nil && !c.term.Not && (sel.marked[at][i].known || set.Count() > rowsToRead) {
			if !sel.marked[at][i].known {
				asked.Add(1)
			}
			set = set.And(sel.mark(ctx, at, i))
		}
	}
	return set
}

// fewRowsIn a segment are asked one by one what further conditions say of them.
func fewRowsIn(p *piece) int { return p.Len() / 64 }

// rowsToRead of a segment are looked at sooner than the text index is asked which
// of them can hold a text.
const rowsToRead = 64

// rowSets are the rows of each segment that the columns leave, found when they
// are asked for.
type rowSets struct {
	at    func(i int) segment.Set
	known []bool
	sets  []segment.Set
	fetch func(some []int) // looks at several segments at once
	asked atomic.Int32     // about how many segments the text index was asked
}

// these are sets that are known already.
func these(sets []segment.Set) *rowSets {
	return &rowSets{at: func(i int) segment.Set { return sets[i] }, fetch: func([]int) {}}
}

// bases returns base of every segment.
func (sel *Selection) bases(ctx context.Context, without string) *rowSets {
	n := len(sel.view.segments)
	r := &rowSets{known: make([]bool, n), sets: make([]segment.Set, n)}
	r.at = func(i int) segment.Set {
		if !r.known[i] {
			r.sets[i], r.known[i] = sel.base(ctx, i, without, &r.asked), true
		}
		return r.sets[i]
	}
	r.fetch = func(some []int) { sel.parallel(len(some), 1, func(at int) { r.at(some[at]) }) }
	return r
}

// parallel calls fn with the numbers below n, on every core where each gets a
// few.
func (sel *Selection) parallel(n, few int, fn func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n/few)
	if workers < 2 {
		for i := range n {
			fn(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var panicked atomic.Pointer[any] // of a worker: the caller's own to recover from
	for range workers {
		wg.Go(func() {
			defer keepPanic(&panicked)
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
	if p := panicked.Load(); p != nil {
		panic(*p)
	}
}

// together calls fn with the numbers below n, all at the same time, and returns
// the first error.
func together(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	var panicked atomic.Pointer[any]
	for i := range n {
		wg.Go(func() {
			defer keepPanic(&panicked)
			errs[i] = fn(i)
		})
	}
	wg.Wait()
	if p := panicked.Load(); p != nil {
		panic(*p)
	}
	return cmp.Or(errs...)
}

// keepPanic keeps what a goroutine panics with, which would otherwise end the
// process.
func keepPanic(to *atomic.Pointer[any]) {
	if p := recover(); p != nil {
		to.Store(&p)
	}
}

// match returns the rows that match all terms but those of one key, found when they
// are asked for. Where a frequent text is among the terms it looks at the newest
// rows only, as far as the budget goes, and says so.
func (sel *Selection) match(ctx context.Context, without string) (*matched, error) {
	if m := sel.matches[without]; m != nil {
		return m, nil
	}
	m := &matched{without: without, exact: true, sets: make([]segment.Set, len(sel.view.segments)), counts: make([]int, len(sel.view.segments))}
	for i, c := range sel.conditions {
		if c.key != without {
			m.active = append(m.active, i)
		}
	}
	if len(sel.walking()) > 0 {
		if err := sel.narrow(ctx, m, without); err != nil {
			return nil, err
		}
		m.known = true
	} else if len(m.active) == 1 {
		m.meant = sel.conditions[m.active[0]].meant
	}
	sel.matches[without] = m
	return m, nil
}

// fill finds the rows of m. Several facets may ask for them at the same time.
func (sel *Selection) fill(ctx context.Context, m *matched) {
	sel.filling.Lock()
	defer sel.filling.Unlock()
	sel.fillLocked(ctx, m)
}

func (sel *Selection) fillLocked(ctx context.Context, m *matched) {
	if m.known {
		return
	}
	sel.parallel(len(m.sets), fewSegments, func(i int) {
		m.sets[i] = sel.base(ctx, i, m.without, new(atomic.Int32))
		m.counts[i] = m.sets[i].Count()
	})
	m.count = 0
	for _, n := range m.counts {
		m.count += int64(n)
	}
	if len(m.active) == 1 && m.meant == nil {
		m.meant = sel.meantAfter(&sel.conditions[m.active[0]])
	}
	m.known = true
}

// words returns what the only condition of m means, where that is known. Then the
// rows may not be.
func (sel *Selection) words(ctx context.Context, m *matched) *meant {
	sel.filling.Lock()
	defer sel.filling.Unlock()
	if m.meant == nil {
		sel.fillLocked(ctx, m)
	}
	return m.meant
}

// fresh finds those rows of m that are in memory alone, by segment.
func (sel *Selection) fresh(ctx context.Context, m *matched) []segment.Set {
	sel.filling.Lock()
	defer sel.filling.Unlock()
	sets := make([]segment.Set, len(m.sets))
	for i, p := range sel.view.segments {
		if p.file == "" {
			sets[i] = sel.base(ctx, i, m.without, new(atomic.Int32))
		}
	}
	return sets
}

// total is how many rows m has.
func (sel *Selection) total(ctx context.Context, m *matched) int64 {
	sel.filling.Lock()
	defer sel.filling.Unlock()
	switch {
	case m.known:
	case len(m.active) == 0:
		return int64(sel.view.count)
	case m.meant != nil:
		return sel.countMeant(ctx, m.active[0])
	default:
		sel.fillLocked(ctx, m)
	}
	return m.count
}

// fewSegments are worth a core of their own.
const fewSegments = 8

// narrow finds for m the rows that the walking conditions let pass, looking at
// the newest ones only, as far as the budget goes.
func (sel *Selection) narrow(ctx context.Context, m *matched, without string) error {
	walking, budget := sel.walking(), 0
	for _, c := range walking {
		budget = max(budget, c.needle.budget())
	}
	it := sel.newest(sel.bases(ctx, without), math.MaxInt64)
	it.bounded = true
	var places []rowPlace
	for {
		p, ok := it.next()
		if !ok {
			if it.stopped != 0 {
				m.exact, m.lookedTo = false, it.stopped>>idBits
			}
			break
		}
		if len(places) == budget {
			last := places[budget-1]
			m.exact, m.lookedTo = false, sel.view.segments[last.segment].Micros(last.row)
			break
		}
		places = append(places, p)
	}
	kept, err := sel.pass(ctx, walking, places)
	if err != nil {
		return err
	}
	m.count = int64(len(kept))
	rows := make([][]int, len(m.sets))
	for _, p := range kept {
		rows[p.segment] = append(rows[p.segment], p.row)
	}
	for i, p := range sel.view.segments {
		m.sets[i], m.counts[i] = segment.Of(p.Len(), rows[i]...), len(rows[i])
	}
	return nil
}

// pass returns those of the rows that the walking conditions let pass. What a
// row said is remembered with the needle.
func (sel *Selection) pass(ctx context.Context, walking []condition, rows []rowPlace) ([]rowPlace, error) {
	if sel.failed != nil {
		return nil, sel.failed
	}
	for _, c := range walking {
		cannot := func(p rowPlace) bool {
			if !c.term.Not && !sel.marked[c.at][p.segment].known {
				return false // its rows were too few to ask
			}
			return !sel.mark(ctx, c.at, p.segment).Has(p.row)
		}
		h := sel.store.texts.get(c.needle.key)
		h.mu.Lock()
		if len(h.checked) > 8*shortBudget {
			clear(h.checked) // before it is asked, or what it knew would count as no
		}
		var ask []rowPlace
		for _, p := range rows {
			if _, ok := h.checked[p.seq(sel.view)]; !ok && !cannot(p) {
				ask = append(ask, p)
			}
		}
		found, err := sel.store.check(ctx, sel.view, c.needle, ask)
		if err != nil {
			h.mu.Unlock()
			return nil, fmt.Errorf("search text: %w", sel.store.dialect.classify(err))
		}
		now := make(map[rowPlace]bool, len(ask))
		for i, p := range ask {
			now[p] = found[i]
			h.checked[p.seq(sel.view)] = found[i]
		}
		kept := make([]rowPlace, 0, len(rows))
		for _, p := range rows {
			has, fresh := now[p]
			if !fresh {
				has = h.checked[p.seq(sel.view)]
			}
			if has != c.term.Not {
				kept = append(kept, p)
			}
		}
		h.mu.Unlock()
		rows = kept
	}
	return rows, nil
}
