package db

import (
	"context"
	"fmt"
	"net/url"
	"strings"

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
	rows, err := from.QueryxContext(ctx, "SELECT * FROM "+table)
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
