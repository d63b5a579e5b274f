package db

import (
	"context"
	"fmt"
	"math"

	"github.com/auditadmin/auditadmin/internal/query"
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
	marked     map[[2]int]bitset   // of a condition and a segment
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
		matches: map[string]*matched{}, marked: map[[2]int]bitset{}}
	var err error
	sel.conditions, err = s.compile(ctx, sel.kind, v, f.Terms)
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
	sets     []bitset // by segment
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
func (sel *Selection) mark(condition, segment int) bitset {
	at := [2]int{condition, segment}
	b, ok := sel.marked[at]
	if !ok {
		b = sel.conditions[condition].mark(segment, sel.view.segments[segment])
		sel.marked[at] = b
	}
	return b
}

// base returns the rows of a segment that the columns leave, without the terms
// of one key.
func (sel *Selection) base(segment int, without string) bitset {
	b := sel.view.segments[segment].living()
	for i, c := range sel.conditions {
		switch {
		case c.mark == nil && c.maybe != nil && !c.term.Not:
			b.and(c.maybe[segment])
		case c.mark == nil, c.key == without:
		case c.term.Not:
			b.andNot(sel.mark(i, segment))
		default:
			b.and(sel.mark(i, segment))
		}
	}
	return b
}

// bases returns base of every segment.
func (sel *Selection) bases(without string) []bitset {
	sets := make([]bitset, len(sel.view.segments))
	for i := range sets {
		sets[i] = sel.base(i, without)
	}
	return sets
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
		m.count += int64(set.count())
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
	var rows []rowPlace
	for len(rows) < budget {
		p, ok := it.next()
		if !ok {
			break
		}
		rows = append(rows, p)
	}
	if m.exact = int64(len(rows)) == m.count; !m.exact {
		last := rows[len(rows)-1]
		m.lookedTo = sel.view.segments[last.segment].micros(last.row)
	}
	kept, err := sel.pass(ctx, walking, rows)
	if err != nil {
		return err
	}
	m.count = int64(len(kept))
	for i, s := range sel.view.segments {
		m.sets[i] = newBitset(s.len())
	}
	for _, p := range kept {
		m.sets[p.segment].set(p.row)
	}
	return nil
}

// pass returns those of the rows that the walking conditions let pass. What a
// row said is remembered with the needle.
func (sel *Selection) pass(ctx context.Context, walking []condition, rows []rowPlace) ([]rowPlace, error) {
	for _, c := range walking {
		cannot := func(p rowPlace) bool { return c.maybe != nil && !c.maybe[p.segment].has(p.row) }
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
