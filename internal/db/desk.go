package db

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

// A database that cannot be written has nowhere to keep who is signed in. People
// have to read it all the same: their sessions, and the count of wrong passwords,
// then live in a database in memory, the desk, which begins as a copy of what the
// file holds and ends with the program.

// deskTables are what the desk holds: what signing in reads and changes.
var deskTables = []string{"account", "recovery_code", "session", "challenge", "throttle"}

// deskDialect is that of the desk, whatever engine keeps the database.
var deskDialect dialect = sqliteDialect{}

// openDesk makes the desk of a database that is opened for reading.
func openDesk(ctx context.Context, schema string, file *sqlx.DB) (*sqlx.DB, error) {
	desk := sqliteConnect("/desk", url.Values{"mode": {"memory"}, "_txlock": {"immediate"}, "_foreign_keys": {"1"}}, nil, "PRAGMA foreign_keys", "1")
	desk.SetMaxOpenConns(1) // its connection is the database
	desk.SetConnMaxLifetime(0)
	err := func() error {
		if _, err := desk.ExecContext(ctx, schema); err != nil {
			return err
		}
		for _, table := range deskTables {
			if err := copyTable(ctx, desk, file, table); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		desk.Close()
		return nil, fmt.Errorf("copy accounts and sessions into memory: %w", err)
	}
	return desk, nil
}

// copyTable copies every row of a table of ours into another database.
func copyTable(ctx context.Context, to, from *sqlx.DB, table string) error {
	return copyRows(ctx, to, from, table, "")
}

// copyAccount copies one account.
func copyAccount(ctx context.Context, to *writeTx, from *sqlx.DB, id int64) error {
	return copyRows(ctx, to, from, "account", " WHERE id = ?", id)
}

func copyRows(ctx context.Context, to sqlx.ExecerContext, from *sqlx.DB, table, chosen string, args ...any) error {
	rows, err := from.QueryxContext(ctx, "SELECT * FROM "+table+chosen, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	insert := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")"
	for rows.Next() {
		values, err := rows.SliceScan()
		if err != nil {
			return err
		}
		if _, err := to.ExecContext(ctx, insert, values...); err != nil {
			return err
		}
	}
	return rows.Err()
}

// deskEvery is how often the desk of a replica looks at what others change.
const deskEvery = 2 * time.Second

// deskLoop keeps the desk of a replica to what was decided elsewhere: there,
// accounts are changed and sessions are ended.
func (s *Store) deskLoop() {
	copied, err := sessionsOf(s.closing, s.desk) // before anybody opened one here
	if err != nil {
		copied = nil
	}
	tick := time.NewTicker(deskEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.refreshDesk(s.closing, copied) // what cannot be read now is read with the next tick
		case <-s.closing.Done():
			return
		}
	}
}

// deskAccount is what of an account the desk goes by.
type deskAccount struct {
	ID       int64   `db:"id"`
	Role     Role    `db:"role"`
	Password string  `db:"password_hash"`
	Disabled bool    `db:"disabled"`
	Secret   *string `db:"code_secret"`
	Counter  int64   `db:"code_counter"`
}

// refreshDesk brings the desk to what the database says now. Where a password or a
// second factor is another one, nobody stays signed in; of the sessions that were
// copied, those that are ended there end here.
func (s *Store) refreshDesk(ctx context.Context, copied map[string]bool) error {
	const columns = "SELECT id, role, password_hash, disabled, code_secret, code_counter FROM account"
	var there, here []deskAccount
	if err := s.primary().SelectContext(ctx, &there, columns); err != nil {
		return s.dialect.classify(err)
	}
	open, err := sessionsOf(ctx, s.primary())
	if err != nil {
		return s.dialect.classify(err)
	}
	return s.writeTo(ctx, s.desk, "look at accounts and sessions again", func(tx *writeTx) error {
		here = nil
		if err := tx.SelectContext(tx.ctx, &here, columns); err != nil {
			return err
		}
		known := map[int64]deskAccount{}
		for _, a := range here {
			known[a.ID] = a
		}
		for _, a := range there {
			before, ok := known[a.ID]
			if !ok {
				if err := copyAccount(tx.ctx, tx, s.primary(), a.ID); err != nil {
					return err
				}
				continue
			}
			if !same(before.Password, a.Password) || !same(text(before.Secret), text(a.Secret)) {
				if _, err := tx.endSessions(a.ID, ""); err != nil {
					return err
				}
			}
			// A code that was accepted here is good nowhere here again.
			if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET role = ?, password_hash = ?, disabled = ?, code_secret = ?, code_counter = ? WHERE id = ?",
				a.Role, a.Password, a.Disabled, a.Secret, max(a.Counter, before.Counter), a.ID); err != nil {
				return err
			}
		}
		for id := range copied {
			if open[id] {
				continue
			}
			if _, err := tx.ExecContext(tx.ctx, "DELETE FROM session WHERE id_hash = ?", []byte(id)); err != nil {
				return err
			}
			delete(copied, id)
		}
		return nil
	})
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// sessionsOf returns the hashes of the ids of all sessions.
func sessionsOf(ctx context.Context, db *sqlx.DB) (map[string]bool, error) {
	var hashes [][]byte
	if err := db.SelectContext(ctx, &hashes, "SELECT id_hash FROM session"); err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, h := range hashes {
		all[string(h)] = true
	}
	return all, nil
}
