package db

import (
	"context"
	"fmt"
	"math"
	"runtime"
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
	learned    bool                // which rows can hold frequent needles
	marked     [][]marked          // by condition and segment
}

// marked is what a condition marked in a segment, once it was asked.
type marked struct {
	set   segment.Set
	known bool
}

// Select returns the events that a filter matches now.
func (s *Store) Select(ctx context.Context, f *query.Filter) (*Selection, error) {
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
	for range sel.conditions {
		sel.marked = append(sel.marked, make([]marked, len(v.segments)))
	}
	return sel, err
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
	sets     []segment.Set // by segment
	count    int64
	exact    bool
	lookedTo int64 // microseconds, where not exact
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

// mark returns the rows of a segment that one condition leaves.
func (sel *Selection) mark(condition, i int) segment.Set {
	m := &sel.marked[condition][i]
	if m.known {
		return m.set
	}
	c, p := &sel.conditions[condition], sel.view.segments[i]
	if c.cached != "" && p.file != "" {
		key := markKey{p.Segment, c.cached}
		marks := sel.store.columns.marks
		if m.set, m.known = marks.get(key); !m.known {
			m.set = c.mark(i, p)
			marks.put(key, m.set)
		}
	} else {
		m.set = c.mark(i, p)
	}
	m.known = true
	return m.set
}

// base returns the rows of a segment that the columns leave, without the terms
// of one key.
func (sel *Selection) base(i int, without string) segment.Set {
	set := sel.view.segments[i].Living()
	for at, c := range sel.conditions {
		if set.Empty() {
			return set
		}
		switch {
		case c.mark == nil && c.maybe != nil && !c.term.Not:
			set = set.And(c.maybe[i])
		case c.mark == nil, c.key == without:
		case c.term.Not:
			set = set.AndNot(sel.mark(at, i))
		default:
			set = set.And(sel.mark(at, i))
		}
	}
	return set
}

// bases returns base of every segment.
func (sel *Selection) bases(without string) []segment.Set {
	sets := make([]segment.Set, len(sel.view.segments))
	sel.parallel(len(sets), func(i int) { sets[i] = sel.base(i, without) })
	return sets
}

// parallel calls fn with the numbers below n, on every core where there are many.
func (sel *Selection) parallel(n int, fn func(i int)) {
	const few = 8
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

// keepPanic keeps what a goroutine panics with, which would otherwise end the
// process.
func keepPanic(to *atomic.Pointer[any]) {
	if p := recover(); p != nil {
		to.Store(&p)
	}
}

// match finds the rows that match all terms but those of one key. Where a
// frequent text is among the terms it looks at the newest rows only, as far as
// the budget goes, and says so.
func (sel *Selection) match(ctx context.Context, without string) (*matched, error) {
	if m := sel.matches[without]; m != nil {
		return m, nil
	}
	m := &matched{exact: true, sets: sel.bases(without)}
	if len(sel.walking()) > 0 {
		learned, err := sel.learn(ctx, sel.newest(m.sets, math.MaxInt64))
		if err != nil {
			return nil, err
		}
		if learned {
			m.sets = sel.bases(without)
		}
	}
	for _, set := range m.sets {
		m.count += int64(set.Count())
	}
	if walking := sel.walking(); len(walking) > 0 {
		if err := sel.narrow(ctx, m, walking); err != nil {
			return nil, err
		}
	}
	sel.matches[without] = m
	return m, nil
}

// narrow keeps of m the rows that the walking conditions let pass, looking at
// the newest ones only, as far as the budget goes.
func (sel *Selection) narrow(ctx context.Context, m *matched, walking []condition) error {
	budget := 0
	for _, c := range walking {
		budget = max(budget, c.needle.budget())
	}
	it := sel.newest(m.sets, math.MaxInt64)
	var places []rowPlace
	for len(places) < budget {
		p, ok := it.next()
		if !ok {
			break
		}
		places = append(places, p)
	}
	if m.exact = int64(len(places)) == m.count; !m.exact {
		last := places[len(places)-1]
		m.lookedTo = sel.view.segments[last.segment].Micros(last.row)
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
		m.sets[i] = segment.Of(p.Len(), rows[i]...)
	}
	return nil
}

// pass returns those of the rows that the walking conditions let pass. What a
// row said is remembered with the needle.
func (sel *Selection) pass(ctx context.Context, walking []condition, rows []rowPlace) ([]rowPlace, error) {
	for _, c := range walking {
		cannot := func(p rowPlace) bool { return c.maybe != nil && !c.maybe[p.segment].Has(p.row) }
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

// sampleRows is how many rows are looked at to learn whether a frequent text is
// frequent here too.
const sampleRows = 256

// learn finds out which rows can hold the needles of the walking conditions,
// unless they are so frequent that one in eight of the next rows has them. It
// reports whether it learned anything, and then the rows that the columns leave
// are fewer.
func (sel *Selection) learn(ctx context.Context, next *merge) (bool, error) {
	if sel.learned {
		return false, nil
	}
	var sample []rowPlace
	for len(sample) < sampleRows {
		p, ok := next.next()
		if !ok {
			return false, nil // there are so few that all of them can be looked at
		}
		sample = append(sample, p)
	}
	kept, err := sel.pass(ctx, sel.walking(), sample)
	if err != nil || len(kept)*8 >= len(sample) {
		return false, err
	}
	sel.learned = true
	for i, c := range sel.conditions {
		if c.mark == nil {
			if sel.conditions[i].maybe, err = sel.store.findMaybe(ctx, sel.filter.Kind, sel.view, c.needle); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// Each calls fn with every event of the selection, newest first, reading a few
// hundred at a time. An event deleted meanwhile is left out. However frequent a
// text is, Each looks at every row.
func (sel *Selection) Each(ctx context.Context, fn func(*Stored) error) error {
	err := sel.eachPlace(ctx, func(places []rowPlace) error {
		ids := make([]int64, len(places))
		for i, p := range places {
			ids[i] = p.id(sel.view)
		}
		return sel.store.eachByID(ctx, sel.filter.Kind, ids, fn)
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", sel.filter.Kind.Plural(), sel.store.dialect.classify(err))
	}
	return nil
}

func (sel *Selection) eachPlace(ctx context.Context, fn func([]rowPlace) error) error {
	const chunk = 512
	if len(sel.walking()) > 0 {
		if _, err := sel.learn(ctx, sel.newest(sel.bases(noKey), math.MaxInt64)); err != nil {
			return err
		}
	}
	walking := sel.walking()
	it := sel.newest(sel.bases(noKey), math.MaxInt64)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var places []rowPlace
		for len(places) < chunk {
			p, ok := it.next()
			if !ok {
				break
			}
			places = append(places, p)
		}
		if len(places) == 0 {
			return nil
		}
		if walking != nil {
			var err error
			if places, err = sel.pass(ctx, walking, places); err != nil {
				return err
			}
		}
		if err := fn(places); err != nil {
			return err
		}
	}
}
