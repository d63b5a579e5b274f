package sqltrack

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/auditadmin/auditadmin/audit"
)

// Tx runs fn in a transaction of db, in which triggers record the user and the
// request of ctx. It commits where fn returns nil, and rolls back otherwise.
func Tx(ctx context.Context, db *sql.DB, dialect string, fn func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer tx.Rollback() // does nothing after the commit
	if err := Enter(ctx, tx, dialect); err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	if err := Leave(ctx, tx, dialect); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Enter makes the user and the request of ctx known to the triggers, for what tx
// does from now on. Call [Leave] before the commit: on SQLite, what tx left
// behind would be said of the writers after it. A rollback needs no Leave, and
// neither does PostgreSQL, where it ends with the transaction by itself.
func Enter(ctx context.Context, tx audit.Execer, dialect string) error {
	fields, err := json.Marshal(contextFields(ctx))
	if err == nil {
		statement := "INSERT INTO auditadmin_context (id, fields) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET fields = excluded.fields"
		if dialect == Postgres {
			statement = "SELECT set_config('auditadmin.context', $1, true)"
		}
		_, err = tx.ExecContext(ctx, statement, string(fields))
	}
	if err != nil {
		return fmt.Errorf("say who acts in the transaction: %w", err)
	}
	return nil
}

// Leave ends what Enter began.
func Leave(ctx context.Context, tx audit.Execer, dialect string) error {
	statement := "DELETE FROM auditadmin_context"
	if dialect == Postgres {
		statement = "SELECT set_config('auditadmin.context', '', true)"
	}
	if _, err := tx.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("say that somebody else may act now: %w", err)
	}
	return nil
}

// contextFields are the fields of an audit log that ctx knows.
func contextFields(ctx context.Context) map[string]string {
	fields := map[string]string{}
	put := func(field, value string) {
		if value != "" {
			fields[field] = value
		}
	}
	u := audit.UserFrom(ctx)
	put("user_id", u.ID)
	put("username", u.Name)
	if q := audit.RequestFrom(ctx); q != nil {
		put("request_id", q.ID)
		put("session_key", q.Session())
		put("user_agent", q.UserAgent)
		if q.Address.IsValid() {
			put("ip_address", q.Address.String())
		}
	}
	return fields
}

// changePostgres runs the script, which looks at the schema by itself, in one
// transaction.
func changePostgres(ctx context.Context, db *sql.DB, o Options, remove bool) (*Plan, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // does nothing after the commit
	p := &Plan{Statements: postgresScript(o, remove)}
	for _, s := range p.Statements {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return nil, fmt.Errorf("%s: %w", firstLine(s), err)
		}
	}
	rows, err := tx.QueryContext(ctx, postgresReport)
	if err != nil {
		return nil, fmt.Errorf("read what was done: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t Table
		if err := rows.Scan(&t.Name, &t.State, &t.Reason); err != nil {
			return nil, fmt.Errorf("read what was done: %w", err)
		}
		p.Tables = append(p.Tables, t)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read what was done: %w", err)
	}
	for _, want := range o.Tables {
		if !p.has(want) {
			return nil, fmt.Errorf("there is no table %s in the current schema", want)
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return p, nil
}
