package db

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// condition is a term made ready for the columns of one view.
type condition struct {
	term query.Term
	key  string // of the term's field

	// mark marks the rows of a segment that the term's values match, before its
	// Not. It is nil for a condition that only the row itself can answer.
	mark func(i int, p *piece) segment.Set

	// codes are set where columns of words answer: the same for some rows alone.
	codes *codes

	// cached names what mark answers, where a segment in a file always answers the
	// same; "" where it does not.
	cached string

	// needle is set where mark is nil: see search.go.
	needle *needle

	at      int    // its place among the conditions
	words   int    // about how many values the field has: with more, fewer rows pass
	meant   *meant // the words of one column that it means, where they are known
	located bool   // no other segment in a file has them than those that were asked
}

// compile makes each term ready. What it reads beside the columns, candidates
// of the text index and places in the ledger, it reads once, here.
func (s *Store) compile(ctx context.Context, k *kindColumns, v *view, terms []query.Term, readsRows bool) ([]condition, error) {
	all := make([]condition, len(terms))
	for i, t := range terms {
		c := condition{term: t, key: t.Field.Key, at: i}
		switch t.Field.Class {
		case query.ClassValue, query.ClassAddress:
			c.codes, c.cached = k.newCodes(t, v), termName(t)
			c.mark = c.codes.mark
			for _, field := range t.Field.Columns {
				c.words = max(c.words, k.names[k.index[field]].len())
			}
		case query.ClassState:
			c.mark, c.cached = k.markState(t), termName(t)
		case query.ClassNumber:
			c.mark, c.cached = k.markNumbers(t), termName(t)
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
				c.mark = markTimes(t)
			}
		case query.ClassText, query.ClassFree:
			if c.mark = k.markUnfilled(t); c.mark != nil {
				break
			}
			n := newNeedle(k.kind, t)
			if readsRows {
				c.needle = n
				break
			}
			sets, err := s.findText(ctx, k.kind, v, n)
			if err != nil {
				return nil, err
			}
			if sets == nil {
				c.needle = n
			} else {
				c.mark = func(i int, _ *piece) segment.Set { return sets[i] }
			}
		default:
			return nil, fmt.Errorf("the store cannot answer %q", t.String())
		}
		all[i] = c
	}
	return all, nil
}

// termName names what the values of a term mean, before its Not.
func termName(t query.Term) string {
	name := t.Field.Key
	for _, v := range t.Values {
		name += fmt.Sprintf("\x00%t%t%d,%d,%s", v.Prefix, v.Exact, v.Lo, v.Hi, v.Text)
	}
	return name
}

// codes are what a term on columns of words means in each segment of a view: an
// event matches whose value in any of the columns is one of the term's. An empty
// value asks for all of the columns to be empty. Each segment is for one goroutine
// at a time.
type codes struct {
	columns []int
	values  []query.Value // those that are not empty
	empty   bool          // whether there is an empty one
	found   []columnSpans // by segment
}

// columnSpans are the codes that a term means in the columns of a segment.
type columnSpans struct{ values, empty []segment.Spans }

func (k *kindColumns) newCodes(t query.Term, v *view) *codes {
	c := &codes{found: make([]columnSpans, len(v.segments))}
	for _, value := range t.Values {
		if value.Text == "" && !value.Prefix && !value.Net.IsValid() {
			c.empty = true
		} else {
			c.values = append(c.values, value)
		}
	}
	for _, field := range t.Field.Columns {
		c.columns = append(c.columns, k.index[field])
	}
	return c
}

// in returns the codes in a segment, which are looked up once.
func (c *codes) in(i int, p *piece) *columnSpans {
	s := &c.found[i]
	if s.values != nil {
		return s
	}
	s.values = make([]segment.Spans, len(c.columns))
	if c.empty {
		s.empty = make([]segment.Spans, len(c.columns))
	}
	for at, column := range c.columns {
		s.values[at] = p.Column(column).Find(c.values)
		if c.empty {
			s.empty[at] = p.Column(column).Find([]query.Value{{}})
		}
	}
	return s
}

// mark marks the rows of a segment that match.
func (c *codes) mark(i int, p *piece) segment.Set {
	return c.within(i, p, segment.All(p.Len()))
}

// within is mark for the marked rows alone.
func (c *codes) within(i int, p *piece, rows segment.Set) segment.Set {
	spans := c.in(i, p)
	set := segment.None(p.Len())
	for at, column := range c.columns {
		set = set.Or(p.Column(column).MarkIn(spans.values[at], rows))
	}
	if c.empty {
		none := rows
		for at, column := range c.columns {
			none = p.Column(column).MarkIn(spans.empty[at], none)
		}
		set = set.Or(none)
	}
	return set
}

// markUnfilled answers whether a text field is empty, where a term asks nothing
// else; otherwise it is nil.
func (k *kindColumns) markUnfilled(t query.Term) func(int, *piece) segment.Set {
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
	return markText(column, "0")
}

func markText(column int, texts ...string) func(int, *piece) segment.Set {
	var values []query.Value
	for _, text := range texts {
		values = append(values, query.Value{Text: text, Exact: true})
	}
	return func(_ int, p *piece) segment.Set { return p.Column(column).Match(values) }
}

// markState answers is:resolved and is:unresolved.
func (k *kindColumns) markState(t query.Term) func(int, *piece) segment.Set {
	var texts []string
	for _, v := range t.Values {
		texts = append(texts, map[string]string{"resolved": "1", "unresolved": "0"}[v.Folded])
	}
	return markText(k.resolved, texts...)
}

func (k *kindColumns) markNumbers(t query.Term) func(int, *piece) segment.Set {
	column := slices.Index(k.numbers, t.Field.Columns[0])
	absent := false
	var ranges [][2]int64
	for _, v := range t.Values {
		if v.Text == "" {
			absent = true
		} else {
			ranges = append(ranges, [2]int64{v.Lo, v.Hi})
		}
	}
	return func(_ int, p *piece) segment.Set { return p.MatchNumbers(column, ranges, absent) }
}

func markIDs(t query.Term) func(int, *piece) segment.Set {
	return func(_ int, p *piece) segment.Set {
		var rows []int
		for _, v := range t.Values {
			if row, ok := p.Find(v.Lo); ok {
				rows = append(rows, row)
			}
		}
		return segment.Of(p.Len(), rows...)
	}
}

// markTimes marks the rows whose timestamp lies in one of the term's ranges. The
// ids of some rows ran ahead of their timestamps; all others are a range.
func markTimes(t query.Term) func(int, *piece) segment.Set {
	return func(_ int, p *piece) segment.Set {
		set := segment.None(p.Len())
		for _, value := range t.Values {
			part := segment.Range(p.Len(), p.Search(firstID(value.Lo)), p.Search(firstID(value.Hi)))
			var in, out []int
			p.Ahead(func(row int, micros int64) {
				if micros >= value.Lo && micros < value.Hi {
					in = append(in, row)
				} else {
					out = append(out, row)
				}
			})
			part = part.Or(segment.Of(p.Len(), in...)).AndNot(segment.Of(p.Len(), out...))
			set = set.Or(part)
		}
		return set
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
func (s *Store) markRecorded(ctx context.Context, v *view, t query.Term) (func(int, *piece) segment.Set, error) {
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
	return func(_ int, p *piece) segment.Set {
		set := segment.None(p.Len())
		for _, sp := range spans {
			if sp.lo < sp.hi {
				set = set.Or(p.Recorded(sp.lo, sp.hi))
			}
		}
		return set
	}, nil
}
