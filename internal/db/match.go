package db

import (
	"context"
	"fmt"
	"math"
	"sort"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// condition is a term made ready for the columns of one view.
type condition struct {
	term query.Term
	key  string // of the term's field

	// mark marks the rows of a segment that the term's values match, before its
	// Not. It is nil for a condition that only the row itself can answer.
	mark func(seg int, s *segment) bitset

	// needle is set where mark is nil: see search.go. Where they are known, only
	// the rows of maybe, by segment, can hold it.
	needle *needle
	maybe  []bitset
}

// compile makes each term ready. What it reads beside the columns, candidates
// of the text index and places in the ledger, it reads once, here.
func (s *Store) compile(ctx context.Context, k *kindColumns, v *view, terms []query.Term) ([]condition, error) {
	all := make([]condition, len(terms))
	for i, t := range terms {
		c := condition{term: t, key: t.Field.Key}
		switch t.Field.Class {
		case query.ClassValue, query.ClassAddress:
			c.mark = k.markCodes(t)
		case query.ClassState:
			c.mark = k.markState(t)
		case query.ClassNumber:
			c.mark = k.markNumbers(t)
		case query.ClassID:
			c.mark = markIDs(t)
		case query.ClassTime:
			if t.Field.Key == "recorded" {
				mark, err := s.markRecorded(ctx, v, t)
				if err != nil {
					return nil, err
				}
				c.mark = mark
			} else {
				c.mark = markTimes(v, t)
			}
		case query.ClassText, query.ClassFree:
			if c.mark = k.markUnfilled(t); c.mark != nil {
				break
			}
			n := newNeedle(k.kind, t)
			sets, err := s.findText(ctx, k.kind, v, n)
			if err != nil {
				return nil, err
			}
			if sets == nil {
				c.needle = n
			} else {
				c.mark = func(seg int, s *segment) bitset { return sets[seg] }
			}
		default:
			return nil, fmt.Errorf("the store cannot answer %q", t.String())
		}
		all[i] = c
	}
	return all, nil
}

// markCodes marks the rows whose value in any of the field's columns is one of
// the term's. An empty value asks for all of the columns to be empty.
func (k *kindColumns) markCodes(t query.Term) func(int, *segment) bitset {
	type lookup struct {
		column int
		single int64  // the one code, or -1
		codes  bitset // otherwise
	}
	var filled []query.Value
	empty := false
	for _, v := range t.Values {
		if v.Text == "" && !v.Prefix && !v.Net.IsValid() {
			empty = true
		} else {
			filled = append(filled, v)
		}
	}
	var lookups []lookup
	var columns []int
	for _, field := range t.Field.Columns {
		column := k.index[field]
		columns = append(columns, column)
		codes := map[uint32]bool{}
		k.dicts[column].matching(filled, codes)
		if len(codes) == 0 {
			continue
		}
		l := lookup{column: column, single: -1, codes: newBitset(k.dicts[column].size())}
		for c := range codes {
			if len(codes) == 1 {
				l.single = int64(c)
			}
			if int(c)/64 < len(l.codes) {
				l.codes.set(int(c))
			}
		}
		lookups = append(lookups, l)
	}
	return func(_ int, s *segment) bitset {
		b := newBitset(s.len())
		for _, l := range lookups {
			codes := s.codes[l.column]
			if l.single >= 0 {
				want := uint32(l.single)
				for i, c := range codes {
					if c == want {
						b.set(i)
					}
				}
				continue
			}
			limit := uint32(len(l.codes) * 64)
			for i, c := range codes {
				if c < limit && l.codes.has(int(c)) {
					b.set(i)
				}
			}
		}
		if empty {
			none := fullBitset(s.len())
			for _, column := range columns {
				for i, c := range s.codes[column] {
					if c != 0 {
						none.clear(i)
					}
				}
			}
			b.or(none)
		}
		return b
	}
}

// markUnfilled answers whether a text field is empty, where a term asks nothing
// else; otherwise it is nil.
func (k *kindColumns) markUnfilled(t query.Term) func(int, *segment) bitset {
	for _, v := range t.Values {
		if v.Text != "" {
			return nil
		}
	}
	if len(t.Field.Columns) != 1 {
		return nil
	}
	column, ok := k.index[filled+t.Field.Columns[0]]
	if !ok {
		return nil
	}
	empty := k.dicts[column].code("0")
	return func(_ int, s *segment) bitset {
		b := newBitset(s.len())
		for i, c := range s.codes[column] {
			if c == empty {
				b.set(i)
			}
		}
		return b
	}
}

// markState answers is:resolved and is:unresolved.
func (k *kindColumns) markState(t query.Term) func(int, *segment) bitset {
	want := bitset(newBitset(64))
	for _, v := range t.Values {
		text := map[string]string{"resolved": "1", "unresolved": "0"}[v.Folded]
		want.set(int(k.dicts[k.resolved].code(text)))
	}
	return func(_ int, s *segment) bitset {
		b := newBitset(s.len())
		for i, c := range s.codes[k.resolved] {
			if c < 64 && want.has(int(c)) {
				b.set(i)
			}
		}
		return b
	}
}

func (k *kindColumns) markNumbers(t query.Term) func(int, *segment) bitset {
	column := 0
	for i, name := range k.numbers {
		if name == t.Field.Columns[0] {
			column = i
		}
	}
	return func(_ int, s *segment) bitset {
		b := newBitset(s.len())
		for i, n := range s.nums[column] {
			for _, v := range t.Values {
				if v.Text == "" && n == math.MinInt64 || v.Text != "" && n != math.MinInt64 && n >= v.Lo && n <= v.Hi {
					b.set(i)
				}
			}
		}
		return b
	}
}

func markIDs(t query.Term) func(int, *segment) bitset {
	return func(_ int, s *segment) bitset {
		b := newBitset(s.len())
		for _, v := range t.Values {
			if row, ok := s.find(v.Lo); ok {
				b.set(row)
			}
		}
		return b
	}
}

// markTimes marks the rows whose timestamp lies in one of the term's ranges.
// Ids run ahead of timestamps by at most the view's spread, so only rows within
// the spread of an edge need their exact timestamp.
func markTimes(v *view, t query.Term) func(int, *segment) bitset {
	return func(_ int, s *segment) bitset {
		b := newBitset(s.len())
		for _, value := range t.Values {
			lo, hi := s.search(firstID(value.Lo)), s.len()
			if value.Hi < math.MaxInt64>>idBits-v.spread {
				hi = s.search(firstID(value.Hi + v.spread))
			}
			if s.order == nil && s.over == nil {
				b.setRange(lo, hi)
				continue
			}
			for place := lo; place < hi; place++ {
				row := s.at(place)
				if m := s.micros(row); m >= value.Lo && m < value.Hi {
					b.set(row)
				}
			}
		}
		return b
	}
}

// firstID is the lowest id that an event of that microsecond can have.
func firstID(micros int64) int64 {
	switch {
	case micros <= 0:
		return 0
	case micros > math.MaxInt64>>idBits:
		return math.MaxInt64
	}
	return micros << idBits
}

// markRecorded turns a time of recording into a place of the ledger, whose
// recorded_at never falls.
func (s *Store) markRecorded(ctx context.Context, v *view, t query.Term) (func(int, *segment) bitset, error) {
	type span struct{ lo, hi int64 }
	var spans []span
	for _, value := range t.Values {
		lo, err := s.recordedFrom(ctx, v.head, value.Lo)
		if err != nil {
			return nil, err
		}
		hi, err := s.recordedFrom(ctx, v.head, value.Hi)
		if err != nil {
			return nil, err
		}
		spans = append(spans, span{lo, hi})
	}
	return func(_ int, s *segment) bitset {
		b := newBitset(s.len())
		for _, sp := range spans {
			lo, _ := s.rowOf(sp.lo)
			hi, _ := s.rowOf(sp.hi)
			b.setRange(lo, hi)
		}
		return b
	}, nil
}

// recordedFrom returns the first seq up to head that was recorded at micros or
// later, and head+1 if there is none.
func (s *Store) recordedFrom(ctx context.Context, head, micros int64) (int64, error) {
	switch {
	case micros == math.MaxInt64:
		return head + 1, nil
	case micros == math.MinInt64:
		return 1, nil
	}
	var failed error
	n := sort.Search(int(head), func(i int) bool {
		if failed != nil {
			return true
		}
		var at string
		if err := s.ro.GetContext(ctx, &at, "SELECT recorded_at FROM ledger WHERE seq = ?", i+1); err != nil {
			failed = fmt.Errorf("read the ledger at %d: %w", i+1, s.dialect.classify(err))
			return true
		}
		t, err := audit.ParseTime(at)
		return err != nil || t.UnixMicro() >= micros
	})
	return int64(n) + 1, failed
}
