package db

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/auditadmin/auditadmin/internal/segment"
)

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
	if without != noKey && budget == frequentBudget {
		budget /= 2 // one field's values, beside a page: the newest tell enough
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
			if sel.readsRows || !c.term.Not && !sel.marked[c.at][p.segment].known {
				return false // its rows were too few to ask
			}
			return !sel.mark(ctx, c.at, p.segment).Has(p.row)
		}
		h := sel.store.texts.get(c.needle.key)
		if err := h.turn.take(ctx); err != nil {
			return nil, fmt.Errorf("search text: %w", sel.store.readDialect.classify(err))
		}
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
			h.turn.leave()
			return nil, fmt.Errorf("search text: %w", sel.store.readDialect.classify(err))
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
		h.turn.leave()
		rows = kept
	}
	return rows, nil
}
