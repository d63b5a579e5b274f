package db

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// Count returns how many events the selection has. Where a frequent text keeps
// it from being exact it is the number found among the newest, and says how far
// it looked.
func (sel *Selection) Count(ctx context.Context) (Count, error) {
	m, err := sel.match(ctx, noKey)
	if err != nil {
		return Count{}, err
	}
	return m.result(), nil
}

func (m *matched) result() Count {
	c := Count{Value: m.count, Exact: m.exact}
	if !m.exact {
		c.LookedTo = time.UnixMicro(m.lookedTo).UTC()
	}
	return c
}

// Facets counts the values of every field of the kind that is counted beside a
// list, the top ones of each. A facet leaves out the filter's terms on its own
// field, so that it shows what could be chosen instead.
func (sel *Selection) Facets(ctx context.Context, top int) ([]Facet, error) {
	var all []Facet
	for _, f := range query.Fields(sel.filter.Kind) {
		if !f.Facet {
			continue
		}
		facet, err := sel.facet(ctx, f, top)
		if err != nil {
			return nil, err
		}
		all = append(all, facet)
	}
	return all, nil
}

// Facet counts the values of one field. The error wraps ErrNotFound for a key
// that is not counted.
func (sel *Selection) Facet(ctx context.Context, key string, top int) (Facet, error) {
	f, ok := query.Lookup(sel.filter.Kind, key)
	if !ok || !f.Facet {
		return Facet{}, ErrNotFound
	}
	return sel.facet(ctx, f, top)
}

func (sel *Selection) facet(ctx context.Context, f query.Field, top int) (Facet, error) {
	without := noKey
	for _, c := range sel.conditions {
		if c.key == f.Key {
			without = f.Key
		}
	}
	m, err := sel.match(ctx, without)
	if err != nil {
		return Facet{}, err
	}
	facet := Facet{Key: f.Key, Exact: m.exact, LookedTo: m.result().LookedTo}
	facet.Values, facet.More = mostFrequent(sel.countValues(m, f), top)
	return facet, nil
}

// mostFrequent returns the top values, most frequent first, and how many others
// there are. Of a hundred thousand values only a few are wanted, so it keeps
// those in order and passes over the rest.
func mostFrequent(values iter.Seq[FacetValue], top int) (best []FacetValue, more int) {
	order := func(a, b FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	}
	if top >= allValues {
		best = slices.SortedFunc(values, order)
		return best, 0
	}
	for v := range values {
		more++
		if len(best) == top && (top == 0 || order(v, best[top-1]) > 0) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, v, order)
		best = slices.Insert(best, at, v)
		best = best[:min(len(best), top)]
	}
	return best, more - len(best)
}

// allValues asks a facet for every value it has.
const allValues = math.MaxInt

// stateNames says the codes of resolved as is: does.
var stateNames = map[string]string{"0": "unresolved", "1": "resolved"}

// countValues counts the values of a field, in no order. Where a field has two
// columns, a user's name and id, the first one that is not empty counts.
func (sel *Selection) countValues(m *matched, f query.Field) iter.Seq[FacetValue] {
	columns := make([]int, len(f.Columns))
	counts := make([][]int64, len(f.Columns))
	for i, field := range f.Columns {
		columns[i] = sel.kind.index[field]
		counts[i] = make([]int64, sel.kind.dicts[columns[i]].size())
	}
	for i, s := range sel.view.segments {
		if codes := s.codes[columns[0]]; len(columns) == 1 {
			m.sets[i].each(func(row int) { counts[0][codes[row]]++ })
			continue
		}
		m.sets[i].each(func(row int) {
			for c, column := range columns {
				if code := s.codes[column][row]; code != 0 || c == len(columns)-1 {
					counts[c][code]++
					return
				}
			}
		})
	}
	texts := make([][]string, len(columns))
	for i, column := range columns {
		texts[i] = sel.kind.dicts[column].all()
	}
	if len(columns) > 1 {
		sel.foldInto(columns[0], counts, texts)
	}
	return func(yield func(FacetValue) bool) {
		for i := range counts {
			for code, n := range counts[i] {
				if n == 0 {
					continue
				}
				text := texts[i][code]
				if f.Class == query.ClassState {
					text = stateNames[text]
				}
				if !yield(FacetValue{text, n}) {
					return
				}
			}
		}
	}
}

// foldInto moves the counts of the further columns whose text the first one has
// too over to it, so that no value is named twice.
func (sel *Selection) foldInto(first int, counts [][]int64, texts [][]string) {
	for i := 1; i < len(counts); i++ {
		for code, n := range counts[i] {
			if n == 0 {
				continue
			}
			if same, ok := sel.kind.dicts[first].lookup(texts[i][code]); ok && int(same) < len(counts[0]) {
				counts[0][same] += n
				counts[i][code] = 0
			}
		}
	}
}

// Timeline counts the selection's events by steps of civil time in the filter's
// zone, oldest first, leaving out steps without any.
func (sel *Selection) Timeline(ctx context.Context, by Step) (*Timeline, error) {
	m, err := sel.match(ctx, noKey)
	if err != nil {
		return nil, err
	}
	counts := map[int64]int64{}
	for i, s := range sel.view.segments {
		set := m.sets[i]
		var start, end int64
		n := int64(0)
		for place := range s.len() {
			row := s.at(place)
			if !set.has(row) {
				continue
			}
			if micros := s.micros(row); micros < start || micros >= end || n == 0 {
				if n > 0 {
					counts[start] += n
				}
				n = 0
				from := by.Start(time.UnixMicro(micros).In(sel.zone()))
				start, end = from.UnixMicro(), by.Next(from).UnixMicro()
			}
			n++
		}
		if n > 0 {
			counts[start] += n
		}
	}
	t := &Timeline{Exact: m.exact}
	if !m.exact {
		t.LookedTo = time.UnixMicro(m.lookedTo).UTC()
	}
	for micros, n := range counts {
		t.Buckets = append(t.Buckets, Bucket{time.UnixMicro(micros).In(sel.zone()), n})
	}
	slices.SortFunc(t.Buckets, func(a, b Bucket) int { return a.Start.Compare(b.Start) })
	return t, nil
}

func (sel *Selection) zone() *time.Location {
	if sel.filter.Zone == nil {
		return time.UTC
	}
	return sel.filter.Zone
}

// Start returns the beginning of the step that t lies in, in t's zone. An hour
// begins at the full hour on the clock; where clocks go back, the hour that
// comes twice is two steps.
func (by Step) Start(t time.Time) time.Time {
	y, m, d := t.Date()
	switch by {
	case ByYear:
		m, d = time.January, 1
	case ByMonth:
		d = 1
	case ByHour:
		return t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	}
	return midnight(y, m, d, t.Location())
}

// Next returns the beginning of the step after the one that begins at start.
func (by Step) Next(start time.Time) time.Time {
	y, m, d := start.Date()
	switch by {
	case ByYear:
		return midnight(y+1, time.January, 1, start.Location())
	case ByMonth:
		return midnight(y, m+1, 1, start.Location())
	case ByHour:
		return start.Add(time.Hour)
	}
	return midnight(y, m, d+1, start.Location())
}

// midnight returns the first instant of a day, which is later than 00:00 where
// clocks go forward at midnight.
func midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	noon := time.Date(y, m, d, 12, 0, 0, 0, zone)
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	for t.Day() != noon.Day() {
		t = t.Add(15 * time.Minute)
	}
	return t
}

// Fill returns the steps from the first to the last event with those in between
// that have none, as a drawing wants them; at most limit, the newest ones.
func (t *Timeline) Fill(by Step, limit int) []Bucket {
	if len(t.Buckets) == 0 {
		return nil
	}
	var all []Bucket
	i := 0
	for at := t.Buckets[0].Start; i < len(t.Buckets); at = by.Next(at) {
		if !at.Before(t.Buckets[i].Start) {
			at = t.Buckets[i].Start
			all = append(all, t.Buckets[i])
			i++
		} else {
			all = append(all, Bucket{Start: at})
		}
		if len(all) > limit {
			all = all[1:]
		}
	}
	return all
}

// Sieve says what each term of the filter leaves, one after another, and what
// would be found without it: why a list is empty.
func (sel *Selection) Sieve(ctx context.Context) (*Sieve, error) {
	sieve := &Sieve{Total: int64(sel.view.count)}
	count := func(f *query.Filter) (Count, error) {
		part, err := sel.store.selectIn(ctx, f, sel.view)
		if err != nil {
			return Count{}, err
		}
		return part.Count(ctx)
	}
	for i := range sel.filter.Terms {
		first := *sel.filter
		first.Terms = sel.filter.Terms[:i+1]
		left, err := count(&first)
		if err != nil {
			return nil, err
		}
		without, err := count(sel.filter.Without(i))
		if err != nil {
			return nil, err
		}
		sieve.Steps = append(sieve.Steps, SieveStep{Term: i, Left: left, Without: without})
	}
	return sieve, nil
}

// Values returns values of a field that begin with prefix, without regard to
// case, the most frequent first: what may be typed next. The error wraps
// ErrNotFound for a key that is not counted.
func (s *Store) Values(ctx context.Context, kind audit.Kind, key, prefix string, limit int) ([]FacetValue, error) {
	sel, err := s.Select(ctx, &query.Filter{Kind: kind})
	if err != nil {
		return nil, err
	}
	facet, err := sel.Facet(ctx, key, allValues)
	if err != nil {
		return nil, err
	}
	prefix = query.Fold(prefix)
	var all []FacetValue
	for _, v := range facet.Values {
		if folded := query.Fold(v.Value); v.Value != "" && len(folded) >= len(prefix) && folded[:len(prefix)] == prefix {
			all = append(all, v)
			if len(all) == limit {
				break
			}
		}
	}
	return all, nil
}
