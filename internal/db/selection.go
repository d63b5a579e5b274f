package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/auditadmin/auditadmin/audit"
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

// walkBudget is how many rows a page may look at for a frequent text before it
// is shown with what was found.
const walkBudget = 20_000

// pageBytes is about how much one page holds. A thousand events of a megabyte
// would take the memory of everybody.
const pageBytes = 16 << 20

// errPageFull ends the reading of a page that holds pageBytes already.
var errPageFull = errors.New("the page is full")

// List returns a page, newest first. A page that asks for events newer than
// Before has the ones next to it. Where events are so large that Limit of them
// would be more than about 16 MiB there are fewer, and the cursors say where it
// goes on.
func (sel *Selection) List(ctx context.Context, p Page) (*List, error) {
	var list *List
	err := errPageFull
	for limit := min(max(p.Limit, 1), 1000); errors.Is(err, errPageFull); limit = min(limit-1, len(list.Items)) {
		list = &List{}
		var places []rowPlace
		if places, err = sel.page(ctx, p, limit, list); err != nil {
			return nil, err
		}
		ids := make([]int64, len(places))
		for i, place := range places {
			ids[i] = place.id(sel.view)
		}
		size := 0
		err = sel.store.eachByID(ctx, sel.filter.Kind, ids, func(st *Stored) error {
			if size += st.size(); size > pageBytes && len(list.Items) > 0 {
				return errPageFull
			}
			list.Items = append(list.Items, st)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read a page of %s: %w", sel.filter.Kind.Plural(), sel.store.dialect.classify(err))
	}
	if list.Tombstones, err = sel.tombstones(ctx, p, list); err != nil {
		return nil, fmt.Errorf("read the tombstones of a page: %w", sel.store.dialect.classify(err))
	}
	return list, nil
}

// page finds the rows of a page, newest first, and its cursors.
func (sel *Selection) page(ctx context.Context, p Page, limit int, list *List) ([]rowPlace, error) {
	forward := p.Before != 0 // towards newer events
	walking := sel.walking()
	whole := len(walking) == 0
	if m := sel.matches[noKey]; m != nil && m.exact {
		whole = true
	}
	var sets []bitset
	if whole {
		m, err := sel.match(ctx, noKey)
		if err != nil {
			return nil, err
		}
		sets, walking = m.sets, nil
	} else {
		sets = sel.bases(noKey)
	}
	start := func() *merge {
		switch {
		case forward:
			return sel.oldest(sets, p.Before)
		case p.After != 0:
			return sel.newest(sets, p.After)
		}
		return sel.newest(sets, math.MaxInt64)
	}
	if walking != nil {
		learned, err := sel.learn(ctx, start())
		if err != nil {
			return nil, err
		}
		if learned {
			sets, walking = sel.bases(noKey), sel.walking()
		}
	}
	it := start()

	var found []rowPlace
	var last rowPlace
	looked, more := 0, true
	for len(found) <= limit && more && (walking == nil || looked < walkBudget) {
		var batch []rowPlace
		for len(batch) < max(2*limit, 256) {
			place, ok := it.next()
			if !ok {
				more = false
				break
			}
			batch = append(batch, place)
			if walking == nil && len(found)+len(batch) > limit {
				break
			}
		}
		if len(batch) == 0 {
			break
		}
		looked += len(batch)
		last = batch[len(batch)-1]
		kept := batch
		if walking != nil {
			var err error
			if kept, err = sel.pass(ctx, walking, batch); err != nil {
				return nil, err
			}
		}
		found = append(found, kept...)
	}
	further := len(found) > limit
	found = found[:min(len(found), limit)]
	if walking != nil && !further && more {
		list.Partial = true
		list.LookedTo = time.UnixMicro(sel.view.segments[last.segment].micros(last.row)).UTC()
	}
	sel.cursors(p, list, sets, found, further, last)
	if forward {
		slices.Reverse(found)
	}
	return found, nil
}

// cursors says whether there is more on either side of a page whose rows are
// still in the order they were found in.
func (sel *Selection) cursors(p Page, list *List, sets []bitset, found []rowPlace, further bool, last rowPlace) {
	forward := p.Before != 0
	var onward int64 // where the walk goes on
	switch {
	case further:
		onward = found[len(found)-1].id(sel.view)
	case list.Partial:
		onward = last.id(sel.view)
	}
	// On the side the page came from there is what it was asked to be beyond of,
	// and whatever was recorded there since.
	var back int64
	if p.After != 0 || p.Before != 0 {
		var it *merge
		from := p.After
		if len(found) > 0 {
			from = found[0].id(sel.view)
		}
		if forward {
			if len(found) == 0 {
				from = p.Before + 1
			}
			it = sel.newest(sets, from)
		} else {
			if len(found) == 0 {
				from = max(p.After-1, 1)
			}
			it = sel.oldest(sets, from)
		}
		if _, ok := it.next(); ok {
			back = from
		}
	}
	if forward {
		list.Previous, list.Next = onward, back
	} else {
		list.Next, list.Previous = onward, back
	}
}

// tombstones returns the deleted events whose places lie on a page, where the
// filter asks for nothing but times.
func (sel *Selection) tombstones(ctx context.Context, p Page, list *List) ([]Tombstone, error) {
	for _, t := range sel.filter.Terms {
		if t.Field.Class != query.ClassTime || t.Field.Key == "recorded" || t.Not {
			return nil, nil
		}
	}
	lo, hi := int64(0), int64(math.MaxInt64)
	if p.After != 0 {
		hi = p.After - 1
	}
	if p.Before != 0 {
		lo = p.Before + 1
	}
	if n := len(list.Items); n > 0 {
		if list.Next != 0 {
			lo = max(lo, list.Items[n-1].ID)
		}
		if list.Previous != 0 {
			hi = min(hi, list.Items[0].ID)
		}
	}
	from, to, bounded := sel.filter.Bounds()
	var all []Tombstone
	err := eachRow(ctx, sel.store.ro, "SELECT id, seq, timestamp, deleted_at, deleted_by, reason FROM tombstone"+
		" WHERE kind = ? AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1000", []any{sel.filter.Kind, lo, hi}, func(r scanner) error {
		t, err := scanTombstone(sel.filter.Kind, r)
		if m := t.Timestamp.UnixMicro(); err == nil && (!bounded || m >= from && m < to) {
			all = append(all, t)
		}
		return err
	})
	return all, err
}

func scanTombstone(kind audit.Kind, r scanner) (Tombstone, error) {
	t := Tombstone{Kind: kind}
	var timestamp, deletedAt string
	if err := r.Scan(&t.ID, &t.Seq, &timestamp, &deletedAt, &t.DeletedBy, &t.Reason); err != nil {
		return t, err
	}
	t.Timestamp, _ = audit.ParseTime(timestamp)
	t.DeletedAt, _ = audit.ParseTime(deletedAt)
	return t, nil
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
