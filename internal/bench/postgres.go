package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // "pgx", for the bare reads
)

// onServer reports whether the database is one of a PostgreSQL server.
func (b *bench) onServer() bool { return strings.HasPrefix(b.file, "postgres") }

// bare opens the database for reads that know nothing of the store.
func (b *bench) bare() (*sql.DB, error) {
	if b.onServer() {
		return sql.Open("pgx", b.file)
	}
	return sql.Open("sqlite3", "file:"+b.file+"?mode=ro&_query_only=1&_mutex=no&_stmt_cache_size=64")
}

// bareRows is the statement that reads so many rows by their ids, newest first.
func (b *bench) bareRows(ids int) string {
	marks := make([]string, ids)
	for i := range marks {
		if marks[i] = "?"; b.onServer() {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
	}
	return "SELECT * FROM audit_log WHERE id IN (" + strings.Join(marks, ",") + ") ORDER BY id DESC"
}

// filled reports whether a server's database has events.
func (b *bench) filled(ctx context.Context) (bool, error) {
	raw, err := b.bare()
	if err != nil {
		return false, err
	}
	defer raw.Close()
	var there bool
	if err := raw.QueryRowContext(ctx, "SELECT to_regclass('audit_log') IS NOT NULL").Scan(&there); err != nil || !there {
		return false, err
	}
	err = raw.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM audit_log)").Scan(&there)
	return there, err
}

// plain copies rows of the audit log into a table without anything else, by COPY:
// what the server itself takes to store such rows.
func (b *bench) plain(ctx context.Context) error {
	const rows = 200_000
	conn, err := pgx.Connect(ctx, b.file)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	found, err := conn.Query(ctx, "SELECT * FROM audit_log ORDER BY id DESC LIMIT $1", rows)
	if err != nil {
		return err
	}
	var names []string
	for _, f := range found.FieldDescriptions() {
		names = append(names, f.Name)
	}
	values, err := pgx.CollectRows(found, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, "CREATE TABLE plain_rows AS SELECT * FROM audit_log LIMIT 0"); err != nil {
		return err
	}
	start := time.Now()
	n, err := tx.CopyFrom(ctx, pgx.Identifier{"plain_rows"}, names, pgx.CopyFromRows(values))
	if err != nil {
		return err
	}
	took := time.Since(start)
	b.run.add(figure{Name: "the same rows by plain COPY", Unit: "rows/s", Value: float64(n) / took.Seconds()})
	return nil // and the table goes with the transaction
}
