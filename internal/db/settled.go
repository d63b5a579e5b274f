package db

import (
	"context"
	"errors"
	"sync"
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

// unsettled remembers since when something is missing, in nanoseconds since 1970. Each
// stretch of the ledger that a reader waits at has a time of its own: what is whole
// elsewhere says nothing of it, and would put off for ever that it is given up.
type unsettled struct {
	mu    sync.Mutex
	since map[gap]int64
}

// gap is where a reader goes on who waits: he asks again from there.
type gap struct {
	kind  audit.Kind
	after int64
}

// mostUnsettled bounds what is remembered: of what was given up nobody asks again.
const mostUnsettled = 64

// whole forgets a stretch that is not waited for any more.
func (u *unsettled) whole(at gap) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.since, at)
}

// waited is how long something has been missing.
func (u *unsettled) waited(at gap, now int64) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, known := u.since[at]
	if !known {
		if u.since == nil || len(u.since) >= mostUnsettled {
			u.since = map[gap]int64{}
		}
		since, u.since[at] = now, now
	}
	return time.Duration(now - since)
}

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
	at := gap{kind, after}
	if n >= recorded {
		s.unseen.whole(at)
		return nil
	}
	if s.unseen.waited(at, s.now().UnixNano()) > settling {
		return nil
	}
	return errUnsettled
}
