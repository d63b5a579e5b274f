package db

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// A lot is derived from the rows. One that something else wrote into, or that a disk
// altered, is made of them once more, and whoever looks after the program is told.

// anew makes what takes the place of a damaged lot. done is what is done in the
// transaction that ends it, beside what has to be looked at; it may be nil.
func (s *Store) anew(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, l lot, why error, done func(tx *writeTx) error) (*newLot, error) {
	fail := func(err error) error {
		return fmt.Errorf("%w, and cannot be made anew: %w; copy the database with 'auditadmin copy', which makes the index anew", why, err)
	}
	var head int64
	if err := tx.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return nil, fail(err)
	}
	if err := s.dialect.inOrder(ctx, tx); err != nil {
		return nil, fail(err)
	}
	n := &newLot{kind: kind, old: []lot{l}, mends: fmt.Errorf("%w; it was made anew from the %s; look for a failing disk, or another program that writes to the database", why, kind.Plural())}
	var rows []textRow // without their texts, which may be large
	var builder trigram.Builder
	const stretch = textStretch * lotRows // as in textsAfter
	for from, last := l.First-1, min(l.Last, head); from < last; from += stretch {
		err := s.eachText(ctx, tx, kind, "l.seq > ? AND l.seq <= ? ORDER BY l.seq", func(seq, id int64, text []byte) error {
			if !builder.Add(text) {
				return errors.New("there are more rows than a lot has")
			}
			n.seqs, rows = append(n.seqs, seq), append(rows, textRow{seq: seq, id: id})
			return nil
		}, from, min(from+stretch, last))
		if err != nil {
			return nil, fail(err)
		}
	}
	if err := s.settled(ctx, tx, kind, l.First-1, l.Last, int64(len(rows))); errors.Is(err, errUnsettled) {
		return nil, fmt.Errorf("%w, and cannot be made anew yet: %w", why, err)
	} else if err != nil {
		return nil, fail(err)
	}
	n.parts = builder.Build(s.dialect.partPages())
	n.last = func(tx *writeTx) error {
		if err := tx.stillSay(kind, head, rows); err != nil || done == nil {
			return err
		}
		return done(tx)
	}
	return n, nil
}

// mended keeps what was damaged and made anew, until somebody is told.
type mended struct {
	mu  sync.Mutex
	all []error
}

// mendedKept bounds how much that is.
const mendedKept = 100

func (m *mended) note(what error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if what != nil && len(m.all) < mendedKept {
		m.all = append(m.all, what)
	}
}

// take returns what nobody was told yet.
func (m *mended) take() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.all
	m.all = nil
	return all
}
