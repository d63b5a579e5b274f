package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// throttleKept is how long failed sign-ins under a name are remembered after
// the last one, so that guesses at names nobody has do not stay for ever.
const throttleKept = 30 * 24 * time.Hour

// AccountKey is the key of the throttle for sign-ins under a name, whether or
// not there is an account of that name.
func AccountKey(name string) string { return "account:" + query.Fold(strings.TrimSpace(name)) }

// Throttle returns the failed sign-ins under a key: zero if there are none.
func (s *Store) Throttle(ctx context.Context, key string) (Throttle, error) {
	var row throttleRow
	err := s.reader().GetContext(ctx, &row, "SELECT failures, until, seen_at FROM throttle WHERE key = ?", key)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Throttle{}, fmt.Errorf("read the throttle: %w", s.dialect.classify(err))
	}
	return row.throttle(), nil
}

// ChargeThrottle replaces the state under a key by what next makes of it, in
// one transaction, so that no number of guesses at the same time gets more
// tries than one after the other. Where next returns false nothing is changed.
// It returns the state that stands afterwards, and what next returned.
func (s *Store) ChargeThrottle(ctx context.Context, key string, next func(Throttle) (Throttle, bool)) (Throttle, bool, error) {
	var state Throttle
	var ok bool
	err := s.writeDesk(ctx, "charge the throttle", func(tx *writeTx) error {
		var row throttleRow
		err := tx.GetContext(tx.ctx, &row, "SELECT failures, until, seen_at FROM throttle WHERE key = ?", key)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		state = row.throttle()
		var charged Throttle
		if charged, ok = next(state); !ok {
			return nil
		}
		state = charged
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM throttle WHERE seen_at < ?",
			audit.FormatTime(state.SeenAt.Add(-throttleKept))); err != nil {
			return err
		}
		_, err = tx.ExecContext(tx.ctx, `
			INSERT INTO throttle (key, failures, until, seen_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, until = excluded.until, seen_at = excluded.seen_at`,
			key, state.Failures, audit.FormatTime(state.Until), audit.FormatTime(state.SeenAt))
		return err
	})
	return state, ok, err
}

// ClearThrottle forgets the failed sign-ins under a key.
func (s *Store) ClearThrottle(ctx context.Context, key string) error {
	return s.writeDesk(ctx, "clear the throttle", func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx, "DELETE FROM throttle WHERE key = ?", key)
		return err
	})
}

type throttleRow struct {
	Failures int    `db:"failures"`
	Until    string `db:"until"`
	SeenAt   string `db:"seen_at"`
}

func (r throttleRow) throttle() Throttle {
	return Throttle{Failures: r.Failures, Until: readTime(r.Until), SeenAt: readTime(r.SeenAt)}
}
