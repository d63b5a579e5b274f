package db

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
)

//go:embed citus.sql
var readinessSQL string

// Rows runs a query: a *sql.DB, *sql.Tx or *sql.Conn, and those of sqlx.
type Rows interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Readiness returns what keeps the tables of events of a PostgreSQL database from
// being distributed by id on Citus: one line for each fault, in the order of the
// tables' names, each like "audit_log: trigger guard". It is nil where there is
// nothing, and needs no Citus. The tables are those that the search path finds.
func Readiness(ctx context.Context, db Rows) ([]string, error) {
	rows, err := db.QueryContext(ctx, readinessSQL)
	if err != nil {
		return nil, fmt.Errorf("look whether the tables can be distributed: %w", err)
	}
	defer rows.Close()
	var faults []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, fmt.Errorf("look whether the tables can be distributed: %w", err)
		}
		faults = append(faults, line)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look whether the tables can be distributed: %w", err)
	}
	return faults, nil
}
