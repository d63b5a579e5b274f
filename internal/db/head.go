package db

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
)

// pageHead is what a page knows of the ledger's head.
type pageHead struct{ head atomic.Int64 } // 0 where nobody has asked yet

type pageHeadKey struct{}

// AtOneMoment returns a context for whoever selects several times and writes
// nothing in between, as a page does: the ledger is asked once how far it goes.
// What all the selections show has everything that was recorded before the first of
// them, and may have more.
func AtOneMoment(ctx context.Context) context.Context {
	return context.WithValue(ctx, pageHeadKey{}, &pageHead{})
}

// headNow is how far the ledger goes, or went at the moment of the context.
func (s *Store) headNow(ctx context.Context) (int64, error) {
	m, _ := ctx.Value(pageHeadKey{}).(*pageHead)
	if m != nil {
		if head := m.head.Load(); head > 0 {
			return head, nil
		}
	}
	var head sql.NullInt64
	if err := s.ro.GetContext(ctx, &head, "SELECT max(seq) FROM ledger"); err != nil {
		return 0, fmt.Errorf("read the ledger's head: %w", s.readDialect.classify(err))
	}
	if m != nil {
		m.head.Store(head.Int64)
	}
	return head.Int64, nil
}
