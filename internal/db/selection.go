package db

import (
	"cmp"
	"context"
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
	readsRows  bool                // texts are looked for in the events alone, and not in the text index, which nothing vouches for

	mu     sync.Mutex
	failed error // what went wrong where rows were looked for
}

// marked is what a condition marked in a segment, once it was asked.
type marked struct {
	set   segment.Set
	known bool
}

// Select returns the events that a filter matches now: everything is in it that was
// recorded before the call. The filter belongs to the selection from then on, and nothing
// has to be closed.
func (s *Store) Select(ctx context.Context, f *query.Filter) (*Selection, error) {
	s.asked.now()
	v, err := s.view(ctx, f.Kind)
	if err != nil {
		return nil, err
	}
	return s.selectIn(ctx, f, v, false)
}

// selectIn is Select in a view. readsRows leaves the text index out.
func (s *Store) selectIn(ctx context.Context, f *query.Filter, v *view, readsRows bool) (*Selection, error) {
	sel := &Selection{store: s, filter: f, kind: s.columns.kinds[f.Kind], view: v, readsRows: readsRows,
		matches: map[string]*matched{}}
	var err error
	sel.conditions, err = s.compile(ctx, sel.kind, v, f.Terms, readsRows)
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
		if !set.Empty() && c.mark == nil && !c.term.Not && !sel.readsRows && (sel.marked[at][i].known || set.Count() > rowsToRead) {
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
