package db

import (
	"context"
	"errors"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// mergeLimits are the sizes by which lots grow: as soon as neighbours that are
// each smaller than a limit have so many rows together, they become one. The
// last limit is that of lots that stay as they are.
var mergeLimits = []int{64, 512, lotRows, trigram.MaxRows * 3 / 4}

// toMerge returns neighbours that are to become one, or nil.
func toMerge(all []lot) []lot {
	for _, limit := range mergeLimits {
		from, rows := 0, 0
		for i, l := range all {
			if l.Rows >= limit || rows+l.Rows > trigram.MaxRows {
				from, rows = i, 0
			}
			if l.Rows >= limit {
				from = i + 1
				continue
			}
			if rows += l.Rows; rows >= limit && i > from {
				return all[from : i+1]
			}
		}
	}
	return nil
}

// mergeLots makes large lots of small ones, until there is nothing to merge. What is
// damaged is made anew before; where that fails it stays as it is, and is an error once
// the others are merged.
func (s *Store) mergeLots(ctx context.Context, kind audit.Kind) error {
	for {
		n, damaged, err := s.merged(ctx, kind)
		if err != nil || n == nil {
			return errors.Join(err, damaged)
		}
		if err := s.putLot(ctx, n); errors.Is(err, errChanged) {
			return nil // somebody else is at it
		} else if err != nil {
			return err
		}
	}
}

// merged makes one lot of neighbours, or one anew that is damaged, or none where there
// is nothing to merge. damaged says of lots that it passed over why they are none to
// merge.
func (s *Store) merged(ctx context.Context, kind audit.Kind) (_ *newLot, damaged, err error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return nil, nil, err
	}
	defer end()
	all, err := lots(ctx, tx, kind, 0)
	if err != nil {
		return nil, nil, err
	}
	for {
		n := &newLot{kind: kind, old: toMerge(all)}
		if n.old == nil {
			return nil, damaged, nil
		}
		bad, err := n.readOld(ctx, tx, s.dialect.partPages())
		if err == nil {
			return n, damaged, nil
		}
		if !errors.Is(err, errLotDamaged) {
			return nil, damaged, err
		}
		if n, err = s.anew(ctx, tx, kind, *bad, err, nil); err == nil {
			return n, damaged, nil
		}
		damaged = errors.Join(damaged, err)
		bad.Rows = trigram.MaxRows // as large as a lot that is merged with no other
	}
}

// readOld reads the old lots into the new one, whose parts fill at most so many pages.
// Where it cannot it says which one.
func (n *newLot) readOld(ctx context.Context, q sqlx.QueryerContext, pages int) (bad *lot, err error) {
	var wholes []trigram.Lot
	for i := range n.old {
		seqs, whole, err := readLot(ctx, q, n.old[i])
		if err != nil {
			return &n.old[i], err
		}
		n.seqs, wholes = append(n.seqs, seqs...), append(wholes, whole)
	}
	n.parts = trigram.Merge(pages, wholes...)
	return nil, nil
}
