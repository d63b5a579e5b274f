package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// ErrScope is wrapped by the refusal of a scope that is neither ingest nor read.
var ErrScope = errors.New("no such scope")

// CreateToken stores a key for programs under the hash of its secret. A zero
// expires means that it never does. Names of tokens need not differ. The error
// wraps ErrName or ErrScope.
func (s *Store) CreateToken(ctx context.Context, by Actor, name, scope string, secretHash []byte, expires time.Time) (*Token, error) {
	op := fmt.Sprintf("create token %q", name)
	name, err := CheckName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if scope != "ingest" && scope != "read" {
		return nil, fmt.Errorf("%s: %w %q: a scope is ingest or read", op, ErrScope, scope)
	}
	var t *Token
	err = s.writeAsSuperuser(ctx, op, func(tx *writeTx) error {
		t = &Token{Name: name, Scope: scope, CreatedAt: tx.now, CreatedBy: by.Name, ExpiresAt: expires}
		err := tx.GetContext(tx.ctx, &t.ID, `
			INSERT INTO token (id, name, scope, secret_hash, created_at, created_by, expires_at)
			SELECT coalesce(max(id), 0) + 1, ?, ?, ?, ?, ?, ? FROM token RETURNING id`,
			name, scope, secretHash, audit.FormatTime(tx.now), by.Name, writeTime(expires))
		if err != nil {
			return err
		}
		c := changes{"scope": {nil, scope}}
		if !expires.IsZero() {
			c["expires_at"] = change{nil, audit.FormatTime(expires)}
		}
		return tx.record(by.deed("CREATE", t.object(), c))
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

const tokenColumns = "id, name, scope, created_at, created_by, expires_at, revoked_at, used_at"

// Token returns the token under the hash of its secret, or an error that wraps
// ErrNotFound. Whether it has expired or was revoked is for the caller to judge.
func (s *Store) Token(ctx context.Context, secretHash []byte) (*Token, error) {
	var row tokenRow
	err := s.primary().GetContext(ctx, &row, "SELECT "+tokenColumns+" FROM token WHERE secret_hash = ?", secretHash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("token: %w", ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("token: %w", s.dialect.classify(err))
	}
	return row.token(), nil
}

// Tokens returns all tokens in the order of their making, those that open
// nothing any more among them.
func (s *Store) Tokens(ctx context.Context) ([]*Token, error) {
	var rows []tokenRow
	err := s.primary().SelectContext(ctx, &rows, "SELECT "+tokenColumns+" FROM token ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", s.dialect.classify(err))
	}
	all := make([]*Token, len(rows))
	for i, r := range rows {
		all[i] = r.token()
	}
	return all, nil
}

// RevokeToken makes a token open nothing from now on. A token that is revoked
// already stays as it is. The error wraps ErrNotFound.
func (s *Store) RevokeToken(ctx context.Context, by Actor, id int64) error {
	return s.writeAsSuperuser(ctx, fmt.Sprintf("revoke token %d", id), func(tx *writeTx) error {
		var row tokenRow
		err := tx.GetContext(tx.ctx, &row, "SELECT "+tokenColumns+" FROM token WHERE id = ?", id)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil || row.RevokedAt.Valid {
			return err
		}
		now := audit.FormatTime(tx.now)
		if _, err := tx.ExecContext(tx.ctx, "UPDATE token SET revoked_at = ? WHERE id = ?", now, id); err != nil {
			return err
		}
		return tx.record(by.deed("DELETE", row.token().object(), changes{"revoked_at": {nil, now}}))
	})
}

// TouchToken notes that a token was used now. One that is not there is no error.
func (s *Store) TouchToken(ctx context.Context, id int64) error {
	return s.write(ctx, fmt.Sprintf("touch token %d", id), func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx, "UPDATE token SET used_at = ? WHERE id = ?", audit.FormatTime(s.now()), id)
		return err
	})
}

func (t *Token) object() object {
	return object{"auditadmin.token", strconv.FormatInt(t.ID, 10), t.Name}
}

type tokenRow struct {
	ID        int64          `db:"id"`
	Name      string         `db:"name"`
	Scope     string         `db:"scope"`
	CreatedAt string         `db:"created_at"`
	CreatedBy string         `db:"created_by"`
	ExpiresAt sql.NullString `db:"expires_at"`
	RevokedAt sql.NullString `db:"revoked_at"`
	UsedAt    sql.NullString `db:"used_at"`
}

func (r tokenRow) token() *Token {
	return &Token{ID: r.ID, Name: r.Name, Scope: r.Scope, CreatedAt: readTime(r.CreatedAt), CreatedBy: r.CreatedBy,
		ExpiresAt: readTime(r.ExpiresAt.String), RevokedAt: readTime(r.RevokedAt.String), UsedAt: readTime(r.UsedAt.String)}
}

// writeTime is the stored form of an instant that may be absent.
func writeTime(t time.Time) sql.NullString {
	return sql.NullString{String: audit.FormatTime(t), Valid: !t.IsZero()}
}
