package db

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// meant is which words of one column a condition means, where they are few: a user,
// an action, a request. How often they occur, and beside which others, is known
// then without a look at the rows.
type meant struct {
	column  int
	numbers []uint32 // of the words, among those in files
	values  []query.Value
	not     bool
	filed   int64 // how many events in files have one of the words
}

// manyMeant is how many words are not few any more.
const manyMeant = 256

// meant returns the words that a condition means; nil where it means something else, or
// the table of its column's words is not there yet.
func (sel *Selection) meant(c *condition) *meant {
	if c.term.Field.Class != query.ClassValue {
		return nil
	}
	m := &meant{column: -1, values: c.term.Values, not: c.term.Not}
	for _, field := range c.term.Field.Columns {
		column := sel.kind.index[field]
		numbers, ok := sel.kind.names[column].meaning(c.term.Values)
		if !ok {
			return nil
		}
		totals := sel.kind.names[column].totalsOf(sel.view)
		if totals == nil {
			return nil
		}
		filed := totals.sum(numbers)
		others := totals.means(c.term.Values)
		totals.release()
		if others || filed > 0 && m.filed > 0 {
			return nil // a user's name and an id of the same text: some events have both
		}
		if m.column < 0 || filed > 0 {
			m.column, m.numbers, m.filed = column, numbers, filed
		}
	}
	if len(c.term.Field.Columns) > 1 && slices.ContainsFunc(m.values, func(v query.Value) bool { return v.Text == "" }) {
		return nil // asks for all of the columns to be empty
	}
	return m
}

// meantAfter is meant for a condition that was looked up in every segment, addresses
// for instance.
func (sel *Selection) meantAfter(c *condition) *meant {
	if c.codes == nil || c.codes.empty || c.term.Not || len(c.codes.columns) != 1 {
		return nil
	}
	m := &meant{column: c.codes.columns[0], values: c.codes.values}
	seen := map[uint32]bool{}
	for i, p := range sel.view.segments {
		if p.file == "" {
			continue
		}
		c.codes.in(i, p).values[0].Globals(p.Column(m.column), func(number uint32) { seen[number] = true })
		if seen[segment.Unassigned] || len(seen) > manyMeant {
			return nil
		}
	}
	m.numbers = slices.Collect(maps.Keys(seen))
	return m
}

// countMeant returns how many events of the view pass a condition whose words are known.
func (sel *Selection) countMeant(ctx context.Context, at int) int64 {
	m := sel.conditions[at].meant
	n := m.filed
	for i, p := range sel.view.segments {
		if p.file == "" {
			n += int64(sel.mark(ctx, at, i).And(p.Living()).Count())
		}
	}
	if m.not {
		n = int64(sel.view.count) - n
	}
	return n
}

// nearby is in how many segments a rare word is looked for one after another: the
// events of a request or of a session lie together. Rare is what rareRows have at most.
const (
	nearby   = 6
	rareRows = 4096
)

// locate finds the rows in files that have a word of which there are few, by beginning
// where it occurred first; and then knows that no other segment has them.
func (sel *Selection) locate(ctx context.Context, at int) {
	c, segments := &sel.conditions[at], sel.view.segments
	left := c.meant.filed
	if left > rareRows {
		return
	}
	first := slices.IndexFunc(segments, func(p *piece) bool { return p.file != "" && c.meant.beginsIn(p) })
	if left > 0 && first < 0 {
		return
	}
	look := func(i int) int64 {
		if segments[i].file == "" {
			return 0
		}
		return int64(sel.mark(ctx, at, i).And(segments[i].Living()).Count())
	}
	next := max(first, 0)
	for ; left > 0 && next < min(first+nearby, len(segments)); next++ {
		left -= look(next)
	}
	c.located = left == 0
}

// beginsIn reports whether a piece is the first of those in files to have the words.
func (m *meant) beginsIn(p *piece) bool {
	base, n := p.Column(m.column).Own()
	return len(m.numbers) > 0 && slices.Min(m.numbers)-base < uint32(n)
}

// means reports whether a value of a filter means a word, as segments match it.
func means(v query.Value, word string) bool {
	switch {
	case v.Exact:
		return word == v.Text
	case v.Text == "" && !v.Prefix:
		return word == ""
	case v.Prefix:
		return word != "" && strings.HasPrefix(query.Fold(word), v.Folded)
	}
	return query.Fold(word) == v.Folded
}
