package db

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// Count returns how many events the selection has. Where a frequent text keeps
// it from being exact it is the number found among the newest, and says how far
// it looked.
func (sel *Selection) Count(ctx context.Context) (Count, error) {
	m, err := sel.match(ctx, noKey)
	if err != nil {
		return Count{}, err
	}
	return Count{Value: sel.total(ctx, m), Exact: m.exact, LookedTo: m.looked()}, nil
}

// looked is how far back it looked for what matches, where that was not to the end.
func (m *matched) looked() time.Time {
	if m.exact {
		return time.Time{}
	}
	return time.UnixMicro(m.lookedTo).UTC()
}

// Facets counts the values of every field of the kind that is counted beside a
// list, the top ones of each. A facet leaves out the filter's terms on its own
// field, so that it shows what could be chosen instead.
func (sel *Selection) Facets(ctx context.Context, top int) ([]Facet, error) {
	return sel.facets(ctx, counted(sel.filter.Kind), top, false)
}

// counted are the fields that are counted beside a list.
func counted(kind audit.Kind) []query.Field {
	return slices.DeleteFunc(slices.Clone(query.Fields(kind)), func(f query.Field) bool { return !f.Facet })
}

// FacetsAtHand does the same but for the fields that have very many values,
// sessions and requests for instance, where very many events match, and in the
// first seconds after a start: their counts would take longer than all else on a
// page. They are marked as uncounted.
func (sel *Selection) FacetsAtHand(ctx context.Context, top int) ([]Facet, error) {
	return sel.facets(ctx, counted(sel.filter.Kind), top, true)
}

// A field of more than manyWords values is not at hand where more than manyRows
// events match, but not all; the more values there are, the fewer events: to count
// them is a look at one place in all of memory for each.
const (
	manyWords = 20_000
	manyRows  = 200_000
)

// Facet counts the values of one field. The error wraps ErrNotFound for a key
// that is not counted.
func (sel *Selection) Facet(ctx context.Context, key string, top int) (Facet, error) {
	f, ok := query.Lookup(sel.filter.Kind, key)
	if !ok || !f.Facet {
		return Facet{}, ErrNotFound
	}
	all, err := sel.facets(ctx, []query.Field{f}, top, false)
	if err != nil {
		return Facet{}, err
	}
	return all[0], nil
}

func (sel *Selection) facets(ctx context.Context, fields []query.Field, top int, atHand bool) ([]Facet, error) {
	all := make([]Facet, len(fields))
	sets := make([]*matched, len(fields))
	for i, f := range fields {
		without := noKey
		for _, c := range sel.conditions {
			if c.key == f.Key {
				without = f.Key
			}
		}
		m, err := sel.match(ctx, without)
		if err != nil {
			return nil, err
		}
		sets[i] = m
		all[i] = Facet{Key: f.Key, Exact: m.exact, LookedTo: m.looked()}
	}
	var wg sync.WaitGroup
	var panicked atomic.Pointer[any]
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	order := make([]int, len(fields)) // columns with many words take longest, and come first
	for i := range order {
		order[i] = i
	}
	words := func(i int) int { return sel.kind.names[sel.kind.index[fields[i].Columns[0]]].len() }
	slices.SortStableFunc(order, func(a, b int) int { return words(b) - words(a) })
	for _, i := range order {
		f := fields[i]
		if atHand && words(i) > manyWords {
			n := sel.total(ctx, sets[i])
			many := n > int64(manyRows/(1+words(i)/manyRows)) && n < int64(sel.view.count)
			if all[i].Uncounted = many || !sel.kind.names[sel.kind.index[f.Columns[0]]].ready(); all[i].Uncounted {
				continue
			}
		}
		free <- struct{}{}
		wg.Go(func() {
			defer keepPanic(&panicked)
			defer func() { <-free }()
			all[i].Values, all[i].More = sel.count(ctx, sets[i], f).most(top)
		})
	}
	wg.Wait()
	if p := panicked.Load(); p != nil {
		panic(*p)
	}
	return all, nil
}

// Timeline counts the selection's events by steps of civil time in the filter's
// zone, oldest first, leaving out steps without any.
func (sel *Selection) Timeline(ctx context.Context, by Step) (*Timeline, error) {
	m, err := sel.match(ctx, noKey)
	if err != nil {
		return nil, err
	}
	sel.fill(ctx, m)
	parts := make([][]Bucket, len(m.sets))
	sel.parallel(len(m.sets), fewSegments, func(i int) { parts[i] = sel.buckets(i, m.sets[i], by) })
	counts := map[int64]int64{}
	for _, part := range parts {
		for _, b := range part {
			counts[b.Start.UnixMicro()] += b.Count
		}
	}
	t := &Timeline{Exact: m.exact, LookedTo: m.looked()}
	for micros, n := range counts {
		if n > 0 {
			t.Buckets = append(t.Buckets, Bucket{time.UnixMicro(micros).In(sel.zone()), n})
		}
	}
	slices.SortFunc(t.Buckets, func(a, b Bucket) int { return a.Start.Compare(b.Start) })
	return t, nil
}

// buckets counts the marked rows of a segment by steps. Rows stand in the order
// of time, so a step is a run of them.
func (sel *Selection) buckets(i int, set segment.Set, by Step) []Bucket {
	p := sel.view.segments[i]
	step := func(micros int64) (start, end time.Time) {
		start = by.Start(time.UnixMicro(micros).In(sel.zone()))
		return start, by.Next(start)
	}
	var all []Bucket
	for row := set.Next(0); row >= 0; {
		start, end := step(p.ID(row) >> idBits)
		next := p.Len()
		if after := firstID(end.UnixMicro()); p.MaxID() >= after {
			next = p.Search(after)
		}
		all = append(all, Bucket{start, int64(set.CountIn(row, next))})
		row = set.Next(next)
	}
	p.Ahead(func(row int, micros int64) {
		if !set.Has(row) {
			return
		}
		byID, _ := step(p.ID(row) >> idBits)
		if real, _ := step(micros); !real.Equal(byID) {
			all = append(all, Bucket{byID, -1}, Bucket{real, 1})
		}
	})
	return all
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
		part, err := sel.store.selectIn(ctx, f, sel.view, sel.readsRows)
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
	field, ok := query.Lookup(kind, key)
	if !ok || !field.Facet {
		return nil, ErrNotFound
	}
	f := &query.Filter{Kind: kind}
	folded := query.Fold(prefix)
	begins := field.Class == query.ClassValue && prefix != ""
	if begins {
		f.Terms = []query.Term{{Field: field, Values: []query.Value{{Text: prefix, Folded: folded, Prefix: true}}}}
	}
	sel, err := s.Select(ctx, f)
	if err != nil {
		return nil, err
	}
	m, err := sel.match(ctx, noKey)
	if err != nil {
		return nil, err
	}
	// A user found by the id may be counted by a name that begins otherwise.
	top := 4*limit + 16
	if prefix != "" && !begins {
		top = allValues
	}
	values, _ := sel.count(ctx, m, field).most(top)
	var all []FacetValue
	for _, v := range values {
		if v.Value != "" && strings.HasPrefix(query.Fold(v.Value), folded) {
			all = append(all, v)
			if len(all) == limit {
				break
			}
		}
	}
	return all, nil
}
