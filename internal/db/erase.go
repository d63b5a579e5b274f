package db

import (
	"context"
	"slices"

	"github.com/auditadmin/auditadmin/internal/segment"
)

// eraseColumns takes what was deleted out of the files of all kinds. What keeps
// it from that is over sooner or later, and then the sealer does.
func (s *Store) eraseColumns(ctx context.Context) {
	if s.refresh(ctx) == nil {
		_ = s.seal(ctx, false)
	}
}

// erase takes out of a kind's files the events that were deleted and the words
// that no event has any more, and reports whether there were any.
func (s *Store) erase(ctx context.Context, k *kindColumns) (bool, error) {
	v := k.view.Load()
	if !slices.ContainsFunc(v.segments, func(p *piece) bool { return p.file != "" && p.erase }) {
		return false, nil
	}
	used := k.usedNumbers(v)
	keep := func(column int, word string) bool {
		n := k.names[column]
		n.mu.RLock()
		defer n.mu.RUnlock()
		number, ok := n.find(word, nil)
		return ok && used[column].Has(int(number))
	}
	for done := int64(-1); ctx.Err() == nil; {
		v := k.view.Load()
		at := slices.IndexFunc(v.segments, func(p *piece) bool { return p.hi > done && p.file != "" && (p.erase || k.holdsUnused(p, used)) })
		if at < 0 {
			return true, nil
		}
		done = v.segments[at].hi
		if _, err := s.sealPieces(ctx, k, func(v *view) (from, to int) { return v.pieceUpTo(done) }, keep); err != nil {
			return true, err
		}
	}
	return true, ctx.Err()
}

// pieceUpTo finds the piece in a file that ends there. A later view may have other
// pieces in its place: what was decided makes new ones.
func (v *view) pieceUpTo(hi int64) (from, to int) {
	at := slices.IndexFunc(v.segments, func(p *piece) bool { return p.hi == hi && p.file != "" })
	if at < 0 {
		return 0, 0
	}
	return at, at + 1
}

// usedNumbers marks, for each column, the numbers of the words that an event
// has.
func (k *kindColumns) usedNumbers(v *view) []segment.Set {
	used := make([]segment.Set, len(k.names))
	for column, n := range k.names {
		n.build()
		size := int(n.size) + 1
		var all []int
		seen := make([]bool, size)
		for _, p := range v.segments {
			c := p.Column(column)
			counts := make([]uint32, c.Words())
			c.Count(p.Living(), counts)
			numbers := c.Globals()
			if numbers == nil {
				numbers = n.numbers(c)
			}
			for code, times := range counts {
				if g := numbers[code]; times > 0 && g != segment.Unassigned && !seen[g] {
					seen[g] = true
					all = append(all, int(g))
				}
			}
		}
		used[column] = segment.Of(size, all...)
	}
	return used
}

// holdsUnused reports whether a piece keeps a word for others of which none has
// it any more.
func (k *kindColumns) holdsUnused(p *piece, used []segment.Set) bool {
	for column := range k.names {
		c := p.Column(column)
		base, n := c.Own()
		for g := base; g < base+uint32(n); g++ {
			if _, there := c.Owned(g); there && !used[column].Has(int(g)) {
				return true
			}
		}
	}
	return false
}
