package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// Challenge is half a sign-in: what was shown is right, and a code of the second
// factor is still to come.
type Challenge struct {
	Account   *Account // as it stands now
	Method    string   // what was shown so far: "password" or "issuer"
	ExpiresAt time.Time
}

// CreateChallenge stores half a sign-in under the hash of its id. The account is
// as it was when its password was found right: the error wraps ErrConflict if it
// was disabled or its password changed since.
func (s *Store) CreateChallenge(ctx context.Context, by Actor, idHash []byte, a *Account, method string, expires time.Time) error {
	return s.writeDesk(ctx, fmt.Sprintf("ask %q for a code", a.Name), func(tx *writeTx) error {
		if err := tx.unchanged(a); err != nil {
			return err
		}
		_, err := tx.ExecContext(tx.ctx, `
			INSERT INTO challenge (id_hash, account_id, method, expires_at, ip_address, user_agent) VALUES (?, ?, ?, ?, ?, ?)`,
			idHash, a.ID, method, audit.FormatTime(expires), by.Address, by.UserAgent)
		return err
	})
}

// Challenge returns half a sign-in by the hash of its id, or an error that wraps
// ErrNotFound. Whether its time is over or the account is disabled is for the
// caller to judge.
func (s *Store) Challenge(ctx context.Context, idHash []byte) (*Challenge, error) {
	var row struct {
		accountRow
		Method    string `db:"method"`
		ExpiresAt string `db:"expires_at"`
	}
	err := s.reader().GetContext(ctx, &row, `
		SELECT c.method, c.expires_at, `+accountColumns+`
		FROM challenge c JOIN account ON account.id = c.account_id WHERE c.id_hash = ?`, idHash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("half a sign-in: %w", ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("half a sign-in: %w", s.dialect.classify(err))
	}
	return &Challenge{Account: row.account(), Method: row.Method, ExpiresAt: readTime(row.ExpiresAt)}, nil
}

// LapseChallenges forgets the halves of sign-ins whose time is over by now, and
// records each as a failed login attempt: somebody knew the password, and no
// right code came after it.
func (s *Store) LapseChallenges(ctx context.Context, now time.Time) error {
	const over = "FROM challenge WHERE expires_at <= ?"
	limit := audit.FormatTime(now)
	var there int
	if err := s.reader().GetContext(ctx, &there, "SELECT count(*) "+over, limit); err != nil {
		return fmt.Errorf("look for halves of sign-ins: %w", s.dialect.classify(err))
	}
	if there == 0 {
		return nil // the usual case does not take the lock
	}
	return s.writeDesk(ctx, "forget halves of sign-ins", func(tx *writeTx) error {
		var rows []struct {
			Name      string `db:"name"`
			Address   string `db:"ip_address"`
			UserAgent string `db:"user_agent"`
		}
		if err := tx.SelectContext(tx.ctx, &rows, `
			SELECT a.name, c.ip_address, c.user_agent FROM challenge c JOIN account a ON a.id = c.account_id
			WHERE c.expires_at <= ? ORDER BY c.expires_at`, limit); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE "+over, limit); err != nil {
			return err
		}
		for _, row := range rows {
			e := audit.NewEvent(audit.KindLoginAttempt)
			e.Set("status", "FAILED")
			e.Set("failure_reason", "no code of the second factor followed")
			Actor{Name: row.Name, Address: row.Address, UserAgent: row.UserAgent}.sign(e)
			if err := tx.record(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// unchanged returns an error that wraps ErrConflict if an account was disabled,
// or its password or second factor changed, since a was read.
func (tx *writeTx) unchanged(a *Account) error {
	var same int
	err := tx.GetContext(tx.ctx, &same, `
		SELECT count(*) FROM account WHERE id = ? AND disabled = 0 AND password_hash = ? AND coalesce(code_secret, '') = ?`,
		a.ID, a.PasswordHash, a.CodeSecret)
	if err == nil && same == 0 {
		return fmt.Errorf("the account was %w", ErrConflict)
	}
	return err
}
