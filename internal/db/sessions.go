package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// CreateSession opens a session of an account under the hash of its id, in the
// place of the session under the hash replaces, if that is not nil, and keeps at
// most max sessions of the account, the newest ones. It lifts the account's
// waits after failed sign-ins, forgets sessions that ran out, and records a
// successful login attempt of by, who has the name that was typed.
//
// The account is as it was when its password was found right: the error wraps
// ErrConflict if it was disabled or its password changed since.
func (s *Store) CreateSession(ctx context.Context, by Actor, idHash, replaces []byte, se *Session, a *Account, max int) error {
	return s.write(ctx, fmt.Sprintf("open a session of %q", a.Name), func(tx *writeTx) error {
		var same int
		err := tx.GetContext(tx.ctx, &same,
			"SELECT count(*) FROM account WHERE id = ? AND disabled = 0 AND password_hash = ?", a.ID, a.PasswordHash)
		if err != nil {
			return err
		}
		if same == 0 {
			return fmt.Errorf("the account was %w", ErrConflict)
		}
		created := audit.FormatTime(se.CreatedAt)
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM session WHERE expires_at <= ? OR id_hash = ?", created, replaces); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, `
			DELETE FROM session WHERE account_id = ? AND public_id NOT IN (
				SELECT public_id FROM session WHERE account_id = ? ORDER BY created_at DESC, public_id LIMIT ?)`,
			a.ID, a.ID, max-1); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, `
			INSERT INTO session (id_hash, public_id, account_id, created_at, seen_at, expires_at, ip_address, user_agent)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			idHash, se.PublicID, a.ID, created, audit.FormatTime(se.SeenAt), audit.FormatTime(se.ExpiresAt),
			se.Address, se.UserAgent); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET last_login_at = ? WHERE id = ?", created, a.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM throttle WHERE key = ?", AccountKey(a.Name)); err != nil {
			return err
		}
		e := audit.NewEvent(audit.KindLoginAttempt)
		e.Set("status", "SUCCESS")
		e.Set("session_key", se.PublicID)
		by.sign(e)
		return tx.record(e)
	})
}

// Session returns the session under the hash of its id and its account, both
// as they stand now, or an error that wraps ErrNotFound. Whether the session
// has run out or the account is disabled is for the caller to judge.
func (s *Store) Session(ctx context.Context, idHash []byte) (*Session, *Account, error) {
	var row struct {
		sessionRow
		accountRow
	}
	err := s.ro.GetContext(ctx, &row, `
		SELECT s.public_id, s.account_id, s.created_at AS session_created_at, s.seen_at, s.expires_at, s.ip_address, s.user_agent,
			a.id, a.name, a.role, a.password_hash, a.disabled, a.created_at, a.last_login_at
		FROM session s JOIN account a ON a.id = s.account_id WHERE s.id_hash = ?`, idHash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, fmt.Errorf("session: %w", ErrNotFound)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("session: %w", s.dialect.classify(err))
	}
	return row.session(), row.account(), nil
}

// TouchSession notes when a session was last seen and when it now runs out.
func (s *Store) TouchSession(ctx context.Context, idHash []byte, seen, expires time.Time) error {
	return s.write(ctx, "touch a session", func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx, "UPDATE session SET seen_at = ?, expires_at = ? WHERE id_hash = ?",
			audit.FormatTime(seen), audit.FormatTime(expires), idHash)
		return err
	})
}

// RenewSession gives a session another id, so that the old one opens nothing
// any more. The error wraps ErrNotFound if there is no such session.
func (s *Store) RenewSession(ctx context.Context, oldHash, newHash []byte) error {
	return s.write(ctx, "renew a session", func(tx *writeTx) error {
		return found(tx.ExecContext(tx.ctx, "UPDATE session SET id_hash = ? WHERE id_hash = ?", newHash, oldHash))
	})
}

// DeleteSession ends the session under the hash of its id, and records that by
// signed out of it. The error wraps ErrNotFound if there is no such session.
func (s *Store) DeleteSession(ctx context.Context, by Actor, idHash []byte) error {
	return s.write(ctx, "sign out", func(tx *writeTx) error {
		if err := found(tx.ExecContext(tx.ctx, "DELETE FROM session WHERE id_hash = ?", idHash)); err != nil {
			return err
		}
		e := audit.NewEvent(audit.KindAuditLog)
		e.Set("action", "LOGOUT")
		by.sign(e)
		return tx.record(e)
	})
}

// Sessions returns all open sessions, the last seen first.
func (s *Store) Sessions(ctx context.Context) ([]*Session, error) {
	var rows []sessionRow
	err := s.ro.SelectContext(ctx, &rows, `
		SELECT public_id, account_id, created_at AS session_created_at, seen_at, expires_at, ip_address, user_agent
		FROM session WHERE expires_at > ? ORDER BY seen_at DESC, public_id`, audit.FormatTime(s.now()))
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", s.dialect.classify(err))
	}
	all := make([]*Session, len(rows))
	for i, r := range rows {
		all[i] = r.session()
	}
	return all, nil
}

// EndSession ends the session that pages name by publicID. The error wraps
// ErrNotFound if it is not open.
func (s *Store) EndSession(ctx context.Context, by Actor, publicID string) error {
	return s.write(ctx, fmt.Sprintf("end session %q", publicID), func(tx *writeTx) error {
		var name string
		err := tx.GetContext(tx.ctx, &name,
			"SELECT a.name FROM session s JOIN account a ON a.id = s.account_id WHERE s.public_id = ?", publicID)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM session WHERE public_id = ?", publicID); err != nil {
			return err
		}
		return tx.record(by.deed("DELETE", object{"auditadmin.session", publicID, "session of " + name}, nil))
	})
}

// EndSessions ends the sessions of an account, but for the one by acts in, and
// returns how many there were. One event says so, if there were any.
func (s *Store) EndSessions(ctx context.Context, by Actor, accountID int64) (int, error) {
	ended := 0
	err := s.changeAccount(ctx, by, fmt.Sprintf("end the sessions of account %d", accountID), accountID, func(tx *writeTx, a *Account) (*audit.Event, error) {
		n, err := tx.endSessions(accountID, by.SessionID)
		if err != nil || n == 0 {
			ended = 0
			return nil, err
		}
		ended = n
		return by.deed("UPDATE", a.object(), changes{"open_sessions": {n, 0}}), nil
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}

// endSessions deletes the sessions of an account but for one.
func (tx *writeTx) endSessions(accountID int64, butPublicID string) (int, error) {
	result, err := tx.ExecContext(tx.ctx, "DELETE FROM session WHERE account_id = ? AND public_id <> ?", accountID, butPublicID)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// found returns ErrNotFound for a statement that met no row.
func found(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

type sessionRow struct {
	PublicID  string `db:"public_id"`
	AccountID int64  `db:"account_id"`
	CreatedAt string `db:"session_created_at"`
	SeenAt    string `db:"seen_at"`
	ExpiresAt string `db:"expires_at"`
	Address   string `db:"ip_address"`
	UserAgent string `db:"user_agent"`
}

func (r sessionRow) session() *Session {
	return &Session{PublicID: r.PublicID, AccountID: r.AccountID, CreatedAt: readTime(r.CreatedAt),
		SeenAt: readTime(r.SeenAt), ExpiresAt: readTime(r.ExpiresAt), Address: r.Address, UserAgent: r.UserAgent}
}
