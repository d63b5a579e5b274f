package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jmoiron/sqlx"
)

// Pages may be read from a copy of the database that follows it, a replica, a
// little behind. What signing in keeps, what is proven, and what takes something
// away are read where it is written.

// primary is where that is: who may sign in, holds and settings.
func (s *Store) primary() *sqlx.DB {
	if s.near != nil {
		return s.near
	}
	return s.ro
}

// worker is the same for what works beside the pages and writes what it makes.
func (s *Store) worker() *sqlx.DB {
	if s.near != nil {
		return s.near
	}
	return s.back
}

// replicaWait is how long a copy may take to show what is there already.
const replicaWait = 5 * time.Second

// openReplica makes the readers those of the database at path, which has to be a
// copy of the one that is open.
func (s *Store) openReplica(ctx context.Context, path string, o Options) error {
	d, err := dialectOf(path, o)
	if err != nil {
		return err
	}
	if d.embedded() || s.dialect.embedded() {
		return fmt.Errorf("read from %s: only a database on a server has a replica: name both as postgres://…", path)
	}
	name, _, err := d.place(path, o)
	if err != nil {
		return err
	}
	o.ReadOnly = true
	var replica *sqlx.DB
	for start := time.Now(); ; {
		_, replica, err = d.open(ctx, path, o)
		if !errors.Is(err, fs.ErrNotExist) || time.Since(start) > replicaWait {
			break
		}
		select { // its schema may have been made just now
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	if s.near == nil {
		s.near = s.ro
	} else {
		s.ro.Close()
	}
	s.ro, s.readDialect, s.readPath = replica, d, name
	return s.sameLedger(ctx)
}

// sameLedger returns an error unless what is read is a copy of what is written:
// every leaf has a salt of its own, so no other database has an equal one.
func (s *Store) sameLedger(ctx context.Context) error {
	head, _, err := s.head(ctx)
	if err != nil || head == 0 {
		return s.readDialect.classify(err)
	}
	there, err := s.ledgerMark(ctx, head)
	if err != nil {
		return s.readDialect.classify(err)
	}
	here, err := markOf(ctx, s.near, head)
	if err == nil && here != there {
		err = fmt.Errorf("%s is no copy of %s: entry %d of its ledger is another one; name a replica of the same database", s.readPath, s.path, head)
	}
	return s.dialect.classify(err)
}

// Lag is how far what is read trails what is written.
type Lag struct {
	Behind  time.Duration // since the last change that has arrived was made; 0 where nothing is on its way
	Entries int64         // of the ledger that have not arrived; -1 where nobody can be asked
}

// lagFresh is how long a look at the lag is good for.
const lagFresh = time.Second

// lagWatch keeps the last look.
type lagWatch struct {
	turn turn
	at   time.Time
	last Lag
	err  error
}

// Replica reports whether what is read is a copy that follows another database.
func (s *Store) Replica() bool { return s.readPath != "" }

// Lag returns how far what is read trails what is written, as of a second ago at
// most; zero where it is the same.
func (s *Store) Lag(ctx context.Context) (Lag, error) {
	if !s.Replica() {
		return Lag{}, nil
	}
	w := &s.lag
	if err := w.turn.take(ctx); err != nil {
		return Lag{}, fmt.Errorf("look how far %s is behind: %w", s.readPath, s.readDialect.classify(err))
	}
	defer w.turn.leave()
	if !w.at.IsZero() && time.Since(w.at) < lagFresh {
		return w.last, w.err
	}
	last, err := s.lookAtLag(ctx)
	if ctx.Err() == nil { // else it is no look
		w.last, w.err, w.at = last, err, time.Now()
	}
	return last, err
}

func (s *Store) lookAtLag(ctx context.Context) (Lag, error) {
	behind, err := s.readDialect.lag(ctx, s.ro)
	if err != nil {
		return Lag{}, fmt.Errorf("look how far %s is behind: %w", s.readPath, s.readDialect.classify(err))
	}
	l := Lag{Behind: behind, Entries: -1}
	if s.rw == nil {
		return l, nil
	}
	const head = "SELECT seq FROM head WHERE id = 1"
	var here, there int64
	if err := s.ro.GetContext(ctx, &there, head); err != nil { // first: what is written meanwhile is not behind
		return Lag{}, s.readDialect.classify(err)
	}
	if s.near.GetContext(ctx, &here, head) == nil {
		l.Entries = max(0, here-there)
	}
	return l, nil
}

// caughtUp waits until all that is recorded now is in what is read, so that what
// is looked up there holds for what is about to be taken away: a replica follows, and a
// machine of a cluster may not show yet what it has. The error wraps ErrBusy.
func (s *Store) caughtUp(ctx context.Context) error {
	if s.rw == nil || s.readPath == "" && !s.dialect.scattered() {
		return nil
	}
	var head int64
	if err := s.primary().GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return s.dialect.classify(err)
	}
	for start := time.Now(); ; {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		if s.columns.head.Load() >= head {
			return nil
		}
		if time.Since(start) > replicaWait {
			if s.readPath == "" {
				return fmt.Errorf("look up what is held: %w: %w", errUnsettled, ErrBusy)
			}
			return fmt.Errorf("%s is too far behind to look up what is held: %w", s.readPath, ErrBusy)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
