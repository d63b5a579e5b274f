// Package sqltrack tracks changes by triggers in an application's own database,
// so that every writer is caught: the application, its jobs, bulk updates, raw
// SQL, and whoever opens the database with a shell.
//
//	report, err := sqltrack.Apply(ctx, db, sqltrack.Options{Dialect: "sqlite", Skip: []string{"session"}})
//
// A trigger writes one event a changed row into the table auditadmin_inbox,
// within the writer's transaction: what is rolled back leaves nothing. From there
// [audit.Recorder.Drain] moves it on, masked, with the source "trigger".
//
// Who acts is passed through the transaction: see [Tx], [Enter] and [Leave].
//
// Apply again after each change of the schema; it changes only what has to
// change. docs/tracking.md says what triggers see and what they cost.
package sqltrack

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// The dialects.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Options say what to track.
type Options struct {
	Dialect string   // SQLite or Postgres
	Tables  []string // the tables to track; none is all of them
	Skip    []string // tables not to track; a * at the end stands for anything
	Prefix  string   // before the table's name in content_type: "shop." makes "shop.orders"
}

// Table says what becomes of one table.
type Table struct {
	Name   string
	State  string // one of Tracked, Added, Changed, Removed and Skipped
	Reason string // why a table is skipped
}

// The states of a table.
const (
	Tracked = "tracked" // as it was before
	Added   = "added"
	Changed = "changed" // its columns, or how it is tracked
	Removed = "removed" // tracked no longer
	Skipped = "skipped"
)

// Plan is what has to be done to track what the options say: statements in their
// order, and what they mean for each table. No statement is needed where
// everything is tracked already.
type Plan struct {
	Tables     []Table
	Statements []string
}

// MakePlan reads the schema of a SQLite database and plans what Apply would do, or
// Remove. For PostgreSQL there is [Script].
func MakePlan(ctx context.Context, db audit.Queryer, o Options, remove bool) (*Plan, error) {
	if o.Dialect != SQLite {
		return nil, fmt.Errorf("plan triggers: a plan is for %s; the Script for %s looks at the schema by itself", SQLite, Postgres)
	}
	p, err := planSQLite(ctx, db, o, remove)
	if err != nil {
		return nil, fmt.Errorf("plan triggers: %w", err)
	}
	return p, nil
}

// Apply creates the inbox and the triggers that are missing, replaces those that
// no longer fit their table, and drops those of tables that are skipped now, all
// in one transaction. Where Tables are named, it leaves all others as they are.
func Apply(ctx context.Context, db *sql.DB, o Options) (*Plan, error) {
	p, err := change(ctx, db, o, false)
	if err != nil {
		return nil, fmt.Errorf("track changes by triggers: %w", err)
	}
	return p, nil
}

// Remove drops the triggers, of the tables that the options name or of all. The
// inbox stays, because events may wait in it.
func Remove(ctx context.Context, db *sql.DB, o Options) (*Plan, error) {
	p, err := change(ctx, db, o, true)
	if err != nil {
		return nil, fmt.Errorf("remove the triggers: %w", err)
	}
	return p, nil
}

func change(ctx context.Context, db *sql.DB, o Options, remove bool) (*Plan, error) {
	switch o.Dialect {
	case SQLite:
		return changeSQLite(ctx, db, o, remove)
	case Postgres:
		return changePostgres(ctx, db, o, remove)
	}
	return nil, fmt.Errorf("there is no dialect %q; there is %s and %s", o.Dialect, SQLite, Postgres)
}

// changeSQLite plans and acts under the lock of a writer, so that no one changes
// the schema in between.
func changeSQLite(ctx context.Context, db *sql.DB, o Options, remove bool) (p *Plan, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	defer func() {
		if err != nil {
			_, failed := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, failed)
		}
	}()
	if p, err = planSQLite(ctx, conn, o, remove); err != nil {
		return nil, err
	}
	for _, s := range p.Statements {
		if _, err = conn.ExecContext(ctx, s); err != nil {
			return nil, fmt.Errorf("%s: %w", firstLine(s), err)
		}
	}
	if _, err = conn.ExecContext(ctx, "COMMIT"); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return p, nil
}

// skips reports whether the options leave a table out, and why.
func (o Options) skips(table string) (reason string) {
	if audit.Bookkeeping(table) {
		return "bookkeeping"
	}
	for _, s := range o.Skip {
		begin, open := strings.CutSuffix(s, "*")
		if strings.EqualFold(s, table) || open && len(table) >= len(begin) && strings.EqualFold(table[:len(begin)], begin) {
			return "as the options say"
		}
	}
	return ""
}

// names reports whether the options speak of a table at all.
func (o Options) names(table string) bool {
	return len(o.Tables) == 0 || slices.ContainsFunc(o.Tables, func(s string) bool { return strings.EqualFold(s, table) })
}

// firstLine is the beginning of a statement, for an error.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// identifier quotes a name for SQL, whatever is in it.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a text for SQL. PostgreSQL reads backslashes as themselves, as
// long as standard_conforming_strings is on, which it is unless somebody
// changed it.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
