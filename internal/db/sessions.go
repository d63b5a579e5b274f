package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// SignIn is what opens a session.
type SignIn struct {
	IDHash    []byte   // of the session's id
	Replaces  []byte   // the hash of the id of the session in whose place it comes, or nil
	Challenge []byte   // the hash of the id of the half a sign-in it completes, or nil
	Session   *Session // its times and where it came from; the role becomes the account's
	// Account is as it was when what was shown was found right.
	Account *Account
	Method  string // what was shown: "password", "password and code", "issuer", …
	Max     int    // how many sessions the account keeps, the newest ones
}

// CreateSession opens a session. It lifts the account's waits after failed
// sign-ins, forgets sessions that ran out, and records a successful login attempt
// of by, who has the name that was typed.
//
// The error wraps ErrConflict if the account was disabled, or its password or
// second factor changed, since it was read, or if the half a sign-in is gone.
func (s *Store) CreateSession(ctx context.Context, by Actor, in SignIn) error {
	a, se := in.Account, in.Session
	return s.writeDesk(ctx, fmt.Sprintf("open a session of %q", a.Name), func(tx *writeTx) error {
		if err := tx.unchanged(a); err != nil {
			return err
		}
		if in.Challenge != nil {
			err := found(tx.ExecContext(tx.ctx, "DELETE FROM challenge WHERE id_hash = ? AND account_id = ?", in.Challenge, a.ID))
			if errors.Is(err, ErrNotFound) {
				return fmt.Errorf("the first half of it was %w", ErrConflict)
			}
			if err != nil {
				return err
			}
		}
		created := audit.FormatTime(se.CreatedAt)
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM session WHERE expires_at <= ? OR id_hash = ?", created, in.Replaces); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, `
			DELETE FROM session WHERE account_id = ? AND public_id NOT IN (
				SELECT public_id FROM session WHERE account_id = ? ORDER BY created_at DESC, public_id LIMIT ?)`,
			a.ID, a.ID, in.Max-1); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, `
			INSERT INTO session (id_hash, public_id, account_id, created_at, seen_at, expires_at, ip_address, user_agent, role, confirmed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			in.IDHash, se.PublicID, a.ID, created, audit.FormatTime(se.SeenAt), audit.FormatTime(se.ExpiresAt),
			se.Address, se.UserAgent, a.Role, writeTime(se.ConfirmedAt)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET last_login_at = ? WHERE id = ?", created, a.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM throttle WHERE key IN (?, ?)", AccountKey(a.Name), CodeKey(a.ID)); err != nil {
			return err
		}
		e := audit.NewEvent(audit.KindLoginAttempt)
		e.Set("status", "SUCCESS")
		e.Set("metadata", fmt.Sprintf(`{"method":%q}`, in.Method))
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
	err := s.reader().GetContext(ctx, &row, `
		SELECT `+sessionColumns+", "+accountColumns+`
		FROM session JOIN account ON account.id = session.account_id WHERE session.id_hash = ?`, idHash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, fmt.Errorf("session: %w", ErrNotFound)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("session: %w", s.dialect.classify(err))
	}
	return row.session(), row.account(), nil
}

// TouchSession notes when a session was last seen and when it now runs out. One that is
// not there is no error.
func (s *Store) TouchSession(ctx context.Context, idHash []byte, seen, expires time.Time) error {
	return s.writeDesk(ctx, "touch a session", func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx, "UPDATE session SET seen_at = ?, expires_at = ? WHERE id_hash = ?",
			audit.FormatTime(seen), audit.FormatTime(expires), idHash)
		return err
	})
}

// RenewSession gives a session another id, so that the old one opens nothing
// any more, and notes the role its account has now and, where confirmed is not
// zero, that its owner showed then who he is. The error wraps ErrNotFound if there
// is no such session.
func (s *Store) RenewSession(ctx context.Context, oldHash, newHash []byte, confirmed time.Time) error {
	return s.writeDesk(ctx, "renew a session", func(tx *writeTx) error {
		return found(tx.ExecContext(tx.ctx, `
			UPDATE session SET id_hash = ?, confirmed_at = coalesce(?, confirmed_at),
				role = (SELECT role FROM account WHERE id = session.account_id)
			WHERE id_hash = ?`, newHash, writeTime(confirmed), oldHash))
	})
}

// DeleteSession ends the session under the hash of its id, and records that by
// signed out of it. The error wraps ErrNotFound if there is no such session.
func (s *Store) DeleteSession(ctx context.Context, by Actor, idHash []byte) error {
	return s.writeDesk(ctx, "sign out", func(tx *writeTx) error {
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
	err := s.reader().SelectContext(ctx, &rows, `
		SELECT `+sessionColumns+`
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
// ErrNotFound if it is not open, or not one of the account of that id; 0 is any
// account.
func (s *Store) EndSession(ctx context.Context, by Actor, publicID string, accountID int64) error {
	return s.writeDesk(ctx, fmt.Sprintf("end session %q", publicID), func(tx *writeTx) error {
		var name string
		err := tx.GetContext(tx.ctx, &name,
			`SELECT a.name FROM session s JOIN account a ON a.id = s.account_id
			WHERE s.public_id = ? AND CAST(? AS BIGINT) IN (0, a.id)`, publicID, accountID)
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

// endSessions deletes the sessions of an account but for one, and the halves of
// its sign-ins.
func (tx *writeTx) endSessions(accountID int64, butPublicID string) (int, error) {
	if _, err := tx.ExecContext(tx.ctx, "DELETE FROM challenge WHERE account_id = ?", accountID); err != nil {
		return 0, err
	}
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

	Role      Role           `db:"session_role"`
	Confirmed sql.NullString `db:"confirmed_at"`
}

const sessionColumns = "public_id, account_id, session.created_at AS session_created_at, seen_at, expires_at, ip_address, user_agent, session.role AS session_role, confirmed_at"

func (r sessionRow) session() *Session {
	return &Session{PublicID: r.PublicID, AccountID: r.AccountID, CreatedAt: readTime(r.CreatedAt),
		SeenAt: readTime(r.SeenAt), ExpiresAt: readTime(r.ExpiresAt), Address: r.Address, UserAgent: r.UserAgent,
		Role: r.Role, ConfirmedAt: readTime(r.Confirmed.String)}
}
