package db

import (
	"context"
	"fmt"

	"github.com/auditadmin/auditadmin/audit"
)

// SetFactor gives an account its second factor: the sealed secret of its codes,
// the time step of the code that proved that somebody has it, and the hashes of
// its recovery codes. It ends the account's sessions but for the one by acts in.
// The error wraps ErrConflict if the account has a second factor already.
func (s *Store) SetFactor(ctx context.Context, by Actor, id int64, secret string, counter int64, recovery [][]byte) error {
	return s.changeAccount(ctx, by, fmt.Sprintf("set up the second factor of account %d", id), id, func(tx *writeTx, a *Account) (*audit.Event, error) {
		if a.HasFactor() {
			return nil, fmt.Errorf("the second factor was %w", ErrConflict)
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET code_secret = ?, code_counter = ?, code_since = ? WHERE id = ?",
			secret, counter, audit.FormatTime(tx.now), id); err != nil {
			return nil, err
		}
		if err := tx.setRecovery(id, recovery); err != nil {
			return nil, err
		}
		if _, err := tx.endSessions(id, by.SessionID); err != nil {
			return nil, err
		}
		return by.deed("UPDATE", a.object(), changes{"second_factor": {false, true}, "recovery_codes": {0, len(recovery)}}), nil
	})
}

// RemoveFactor takes an account's second factor and recovery codes away, lifts
// its waits after wrong codes, and ends its sessions but for the one by acts in.
// An account without a second factor stays as it is.
func (s *Store) RemoveFactor(ctx context.Context, by Actor, id int64) error {
	return s.changeAccount(ctx, by, fmt.Sprintf("remove the second factor of account %d", id), id, func(tx *writeTx, a *Account) (*audit.Event, error) {
		if !a.HasFactor() {
			return nil, nil
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET code_secret = NULL, code_since = NULL WHERE id = ?", id); err != nil {
			return nil, err
		}
		if err := tx.setRecovery(id, nil); err != nil {
			return nil, err
		}
		if _, err := tx.endSessions(id, by.SessionID); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM throttle WHERE key = ?", CodeKey(id)); err != nil {
			return nil, err
		}
		return by.deed("UPDATE", a.object(), changes{"second_factor": {true, false}}), nil
	})
}

// CodeKey is the key of the throttle for codes of an account's second factor.
func CodeKey(id int64) string { return fmt.Sprintf("code:%d", id) }

// AcceptCode notes that a code of an account's time step was shown, and reports
// whether that is good: no code of that step or a later one was accepted before,
// and the second factor is still the one of that sealed secret. Of any number of
// callers at once it tells one so.
func (s *Store) AcceptCode(ctx context.Context, id int64, secret string, counter int64) (bool, error) {
	return once(ctx, s.writeDesk, fmt.Sprintf("accept a code of account %d", id),
		"UPDATE account SET code_counter = ? WHERE id = ? AND code_secret = ? AND code_counter < ?", counter, id, secret, counter)
}

// UseRecoveryCode uses up the recovery code of an account under its hash, and
// reports whether it was there to be used. Of any number of callers at once it
// tells one so. A database that cannot be written cannot keep that, so there a
// recovery code opens nothing.
func (s *Store) UseRecoveryCode(ctx context.Context, id int64, hash []byte) (bool, error) {
	return once(ctx, s.write, fmt.Sprintf("use a recovery code of account %d", id), `
		UPDATE recovery_code SET used_at = ? WHERE account_id = ? AND code_hash = ? AND used_at IS NULL
			AND EXISTS (SELECT 1 FROM account WHERE id = account_id AND code_secret IS NOT NULL)`,
		audit.FormatTime(s.now()), id, hash)
}

// once runs a statement that only one of many callers finds a row for, and
// reports whether this one did.
func once(ctx context.Context, write func(context.Context, string, func(*writeTx) error) error, op, statement string, args ...any) (bool, error) {
	var n int64
	err := write(ctx, op, func(tx *writeTx) error {
		result, err := tx.ExecContext(tx.ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n == 1, err
}

// SetRecoveryCodes replaces the recovery codes of an account. The error wraps
// ErrConflict if it has no second factor.
func (s *Store) SetRecoveryCodes(ctx context.Context, by Actor, id int64, recovery [][]byte) error {
	return s.changeAccount(ctx, by, fmt.Sprintf("replace the recovery codes of account %d", id), id, func(tx *writeTx, a *Account) (*audit.Event, error) {
		if !a.HasFactor() {
			return nil, fmt.Errorf("the second factor was %w", ErrConflict)
		}
		var left int
		if err := tx.GetContext(tx.ctx, &left, "SELECT count(*) FROM recovery_code WHERE account_id = ? AND used_at IS NULL", id); err != nil {
			return nil, err
		}
		if err := tx.setRecovery(id, recovery); err != nil {
			return nil, err
		}
		return by.deed("UPDATE", a.object(), changes{"recovery_codes": {left, len(recovery)}}), nil
	})
}

// RecoveryCodes returns how many recovery codes an account has left.
func (s *Store) RecoveryCodes(ctx context.Context, id int64) (int, error) {
	var left int
	err := s.primary().GetContext(ctx, &left, "SELECT count(*) FROM recovery_code WHERE account_id = ? AND used_at IS NULL", id)
	if err != nil {
		return 0, fmt.Errorf("count the recovery codes of account %d: %w", id, s.dialect.classify(err))
	}
	return left, nil
}

func (tx *writeTx) setRecovery(id int64, hashes [][]byte) error {
	if _, err := tx.ExecContext(tx.ctx, "DELETE FROM recovery_code WHERE account_id = ?", id); err != nil {
		return err
	}
	for _, hash := range hashes {
		if _, err := tx.ExecContext(tx.ctx, "INSERT INTO recovery_code (code_hash, account_id) VALUES (?, ?)", hash, id); err != nil {
			return err
		}
	}
	return nil
}
