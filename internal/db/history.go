package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// What the columns hold follows from the ledger up to their head. Where the
// database's server is replaced by another machine that did not have all of it, the
// ledger goes on from an earlier entry with other ones, and what the columns hold is
// not so any more. So they know the leaf of their head, which is salted and unlike any
// other.

// past is the entry of the ledger up to which something was read.
type past struct {
	seq  int64
	leaf []byte
}

// Superseded is closed when the server's place was taken by one whose ledger is not
// that which this store has read: what it keeps in memory is wrong then, so it answers
// with an error that wraps ErrAway until it is closed and opened again.
func (s *Store) Superseded() <-chan struct{} { return s.superseded }

// sameHistory is an error where the ledger is another one than was read. It asks only
// after a connection was lost.
func (s *Store) sameHistory(ctx context.Context) error {
	losses := s.readDialect.losses()
	if p := s.columns.past.Load(); losses != s.columns.losses.Load() && p != nil {
		if err := s.follows(ctx, s.ro, p); err != nil {
			return err
		}
	}
	s.columns.losses.Store(losses)
	return s.isSuperseded()
}

// follows is an error where the ledger does not have the entry that was read.
func (s *Store) follows(ctx context.Context, q sqlx.QueryerContext, p *past) error {
	var leaf []byte
	err := sqlx.GetContext(ctx, q, &leaf, "SELECT leaf FROM ledger WHERE seq = ?", p.seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look whether the ledger is the same: %w", s.readDialect.classify(err))
	}
	if err != nil || !bytes.Equal(leaf, p.leaf) {
		s.supersede()
	}
	return s.isSuperseded()
}

// pastAt returns the entry up to which the columns are to be read, after a look whether
// the ledger still has the one up to which they were. It has no leaf on an engine that
// is nobody's but this machine's.
func (s *Store) pastAt(ctx context.Context, q sqlx.QueryerContext, seq int64) (*past, error) {
	next := &past{seq: seq}
	if s.dialect.embedded() {
		return next, nil
	}
	if before := s.columns.past.Load(); before != nil {
		if err := s.follows(ctx, q, before); err != nil {
			return nil, err
		}
	}
	return next, sqlx.GetContext(ctx, q, &next.leaf, "SELECT leaf FROM ledger WHERE seq = ?", seq)
}

func (s *Store) isSuperseded() error {
	select {
	case <-s.superseded:
		return &AwayError{Why: "another machine took its place, of which everything has to be read anew", Cause: errors.New("the ledger is another one")}
	default:
		return nil
	}
}
