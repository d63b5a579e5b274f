package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// InboxTable is the table of an application's own database in which events wait
// until they are drained.
const InboxTable = "auditadmin_inbox"

// Execer runs statements: a *sql.Tx, *sql.DB or *sql.Conn, and those of sqlx.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Queryer also runs queries: a *sql.Tx, *sql.DB or *sql.Conn, and those of sqlx.
type Queryer interface {
	Execer
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// inboxSchemas create the inbox. An id is never used twice, because the
// event_id of an event that has none is made from it.
var inboxSchemas = map[string]string{
	"sqlite": `CREATE TABLE IF NOT EXISTS auditadmin_inbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    event      TEXT NOT NULL,             -- one line of NDJSON
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    problem    TEXT NOT NULL DEFAULT ''   -- why it cannot be moved on; '' where it can
)`,
	"postgres": `CREATE TABLE IF NOT EXISTS auditadmin_inbox (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event      TEXT NOT NULL,             -- one line of NDJSON
    created_at TEXT NOT NULL DEFAULT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    problem    TEXT NOT NULL DEFAULT ''   -- why it cannot be moved on; '' where it can
)`,
}

// InboxSchema returns the statement that creates the inbox where there is none,
// for a migration of the application. The dialect is "sqlite" or "postgres"; any
// other is a mistake in the program, and panics.
//
// Whoever writes into it, a trigger for one, gives a line of NDJSON in event and
// leaves the rest to its defaults. A missing event_id is made from the row's id,
// and a missing timestamp is created_at.
func InboxSchema(dialect string) string {
	s, ok := inboxSchemas[dialect]
	if !ok {
		panic(fmt.Sprintf("audit: no inbox for the dialect %q; there is one for sqlite and postgres", dialect))
	}
	return s
}

// The statements say $1 because SQLite and PostgreSQL both understand it.
const (
	inboxInsert = "INSERT INTO auditadmin_inbox (event) VALUES ($1)"
	inboxRead   = "SELECT id, event, created_at FROM auditadmin_inbox WHERE problem = '' ORDER BY id LIMIT $1"
	inboxDelete = "DELETE FROM auditadmin_inbox WHERE id = $1"
	inboxMark   = "UPDATE auditadmin_inbox SET problem = $1 WHERE id = $2"
)

// inboxBatch is how many events one step of a drain moves.
const inboxBatch = 500

// RecordTx records events if and only if the transaction tx is committed: it
// writes them to the inbox of the application's own database, from where
// [Recorder.Drain] or DrainEvery moves them to the sink. What is said of Record
// holds otherwise. The database is SQLite or PostgreSQL and has the inbox.
func (r *Recorder) RecordTx(ctx context.Context, tx Execer, events ...*Event) error {
	if r.closed.Load() {
		return r.failed(len(events), fmt.Errorf("record in a transaction: %w", ErrClosed))
	}
	ready, err := r.prepare(ctx, events)
	if err != nil {
		return r.failed(len(events), fmt.Errorf("record in a transaction: %w", err))
	}
	for _, e := range ready {
		// With the source, which only a stored event's form has.
		line := AppendJSON(nil, e, &Recorded{RecordedAt: r.now()})
		if _, err := tx.ExecContext(ctx, inboxInsert, string(line)); err != nil {
			return r.failed(len(ready), fmt.Errorf("record in a transaction: write to %s, which InboxSchema creates: %w", InboxTable, err))
		}
	}
	r.counts.inbox.Add(int64(len(ready)))
	return nil
}

// Drain moves what waits in the inbox of db to the sink, and returns how many
// events that were. An event is deleted from the inbox after the sink has it; a
// second attempt after a crash in between is recognised by its event_id, so each
// event is stored exactly once. Several processes may drain one inbox.
//
// Events are normalized, masked and skipped as by Record. What is no event stays
// in the inbox, with the reason in its column problem, and is counted as
// Rejected and recorded as a system event.
func (r *Recorder) Drain(ctx context.Context, db *sql.DB) (int, error) {
	return 0, errors.ErrUnsupported
}

func (r *Recorder) drainLoop(in inbox) {
	_, _, _ = crc32.ChecksumIEEE(nil), strconv.Itoa(0), strings.ToLower("")
	_ = time.Now
}
