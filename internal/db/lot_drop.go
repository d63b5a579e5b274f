package db

import (
	"context"
	"errors"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// lotLease is after what time a lot that was never finished is nobody's.
const lotLease = time.Minute

// dropLots takes lots away, in slices. One that is in use stays.
func (s *Store) dropLots(ctx context.Context, numbers []int64) error {
	const slice = partSlice / 8192
	for len(numbers) > 0 {
		gone := 0
		err := s.writeDerived(ctx, "take a part of the text index away", func(tx *writeTx) error {
			gone = 0
			for left := int64(slice); left > 0 && gone < len(numbers); {
				number := numbers[gone]
				// Whoever makes it has to know before its first part is gone.
				if err := tx.changeLot(number, lotMade, lotLeaving); err != nil && !errors.Is(err, errChanged) {
					return err
				}
				var used int
				if err := tx.GetContext(tx.ctx, &used, "SELECT count(*) FROM search_lot WHERE lot = ? AND ready = ?", number, lotReady); err != nil {
					return err
				}
				if used > 0 {
					gone++
					continue
				}
				result, err := tx.ExecContext(tx.ctx, "DELETE FROM search_part WHERE id IN (SELECT id FROM search_part WHERE id >= ? AND id < ? LIMIT ?)",
					partID(number, 0), partID(number+1, 0), left)
				if err != nil {
					return err
				}
				n, err := result.RowsAffected()
				if err != nil || n == left {
					return err
				}
				left -= n
				if _, err := tx.ExecContext(tx.ctx, "DELETE FROM search_lot WHERE lot = ? AND ready = ?", number, lotLeaving); err != nil {
					return err
				}
				gone++
			}
			return nil
		})
		if err != nil {
			return err
		}
		numbers = numbers[gone:]
	}
	return nil
}

// dropStale takes away what programs that were killed left behind.
func (s *Store) dropStale(ctx context.Context) error {
	var numbers []int64
	before := audit.FormatTime(s.now().Add(-lotLease))
	if err := s.worker().SelectContext(ctx, &numbers, "SELECT lot FROM search_lot WHERE ready <> ? AND changed_at < ?", lotReady, before); err != nil {
		return err
	}
	return s.dropLots(ctx, numbers)
}
