package db

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// settling is how long a reader of a cluster waits at most for events that the ledger
// says are there, and the machine that has them does not show: one that was lost
// while it committed hears what became of that within a minute of its return. What is
// not there by then is nobody's delay, and the verification says what it is.
const settling = 5 * time.Minute

// errUnsettled says that not all that is committed can be seen yet.
var errUnsettled = errors.New("not every machine shows what is recorded")

// unsettled remembers since when, in nanoseconds since 1970; 0 where all is seen.
type unsettled struct{ since atomic.Int64 }

// settled returns errUnsettled where the ledger has more events of a kind, after one
// entry and up to another, than the n that were read in the same transaction, and
// nothing took away what is missing. Only a cluster can be asked at such a moment.
func (s *Store) settled(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, after, upTo, n int64) error {
	if !s.dialect.scattered() {
		return nil
	}
	var recorded int64
	err := tx.GetContext(ctx, &recorded, `
		SELECT count(*) FROM ledger l WHERE l.seq > ? AND l.seq <= ? AND l.kind = ? AND l.entry = 'created'
			AND NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.kind = l.kind AND t.id = l.id AND t.seq = l.seq)
			AND NOT EXISTS (SELECT 1 FROM purge p WHERE p.kind = l.kind AND p.to_id >= l.id AND p.from_id <= l.id AND p.seq > l.seq)`, after, upTo, kind)
	if err != nil {
		return err
	}
	now := s.now().UnixNano()
	if n >= recorded {
		s.unseen.since.Store(0)
		return nil
	}
	s.unseen.since.CompareAndSwap(0, now)
	if now-s.unseen.since.Load() > int64(settling) {
		return nil
	}
	return errUnsettled
}
