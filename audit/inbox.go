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
	inboxMark   = "UPDATE auditadmin_inbox SET problem = $1 WHERE id = $2"
)

// inboxBatch is how many events one step of a drain moves.
const inboxBatch = 500

// RecordTx records events if and only if the transaction tx is committed: it
// writes them to the inbox of the application's own database, from where
// [Recorder.Drain] or DrainEvery moves them to the sink. What is said of Record
// holds otherwise. The database is SQLite or PostgreSQL and has the inbox.
func (r *Recorder) RecordTx(ctx context.Context, tx Execer, events ...*Event) error {
	r.using.RLock()
	defer r.using.RUnlock()
	if r.closed {
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
// What a trigger wrote is normalized, masked and skipped as by Record. What is no
// event, or what the sink refuses for good, stays in the inbox with the reason in
// its column problem, is counted as Rejected, and a system event says so.
func (r *Recorder) Drain(ctx context.Context, db *sql.DB) (int, error) {
	total := 0
	for {
		n, more, err := r.drainSome(own(ctx), db)
		total += n
		if err != nil {
			return total, fmt.Errorf("drain %s: %w", InboxTable, err)
		}
		if !more {
			return total, nil
		}
	}
}

// entry is a row of an inbox.
type entry struct {
	id        int64
	event     *Event // nil where it is skipped
	problem   string
	createdAt string
	line      string
}

// drainSome moves one batch, and reports whether there may be another.
func (r *Recorder) drainSome(ctx context.Context, db *sql.DB) (moved int, more bool, err error) {
	all, err := readInbox(ctx, db)
	if err != nil || len(all) == 0 {
		return 0, false, err
	}
	var ready []*entry
	for _, in := range all {
		if in.event, err = r.openEntry(ctx, in); err != nil {
			in.problem = err.Error()
		} else if in.event != nil {
			ready = append(ready, in)
		}
	}
	if err := r.appendEntries(ctx, ready); err != nil {
		return 0, false, err
	}
	var done []any
	rejected := 0
	for _, in := range all {
		if in.problem == "" {
			done = append(done, in.id)
			if in.event != nil {
				moved++
			}
			continue
		}
		if _, err := db.ExecContext(ctx, inboxMark, in.problem, in.id); err != nil {
			return 0, false, fmt.Errorf("mark the entry %d: %w", in.id, err)
		}
		rejected++
		r.counts.rejected.Add(1)
		r.logger.ErrorContext(ctx, "an entry of the inbox is no event", "id", in.id, "problem", in.problem)
	}
	if err := deleteEntries(ctx, db, done); err != nil {
		return 0, false, err
	}
	r.counts.drained.Add(int64(moved))
	if rejected > 0 {
		r.reportRejected(ctx, all, rejected)
	}
	return moved, len(all) == inboxBatch, nil
}

func readInbox(ctx context.Context, db *sql.DB) ([]*entry, error) {
	rows, err := db.QueryContext(ctx, inboxRead, inboxBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*entry
	for rows.Next() {
		in := &entry{}
		if err := rows.Scan(&in.id, &in.line, &in.createdAt); err != nil {
			return nil, err
		}
		all = append(all, in)
	}
	return all, rows.Err()
}

// openEntry makes the event of an entry ready to be stored, and returns nil
// where it is one of those that are skipped.
func (r *Recorder) openEntry(ctx context.Context, in *entry) (*Event, error) {
	line := in.line
	var prepared, timed bool // RecordTx writes when it was recorded, and has prepared it
	members(line, func(key, _ string) bool {
		prepared = prepared || key == memberRecordedAt
		timed = timed || key == "timestamp"
		return true
	})
	if object := strings.TrimLeft(line, jsonSpace); !timed && strings.HasPrefix(object, "{") {
		comma := ","
		if strings.HasPrefix(strings.TrimLeft(object[1:], jsonSpace), "}") {
			comma = ""
		}
		line = `{"timestamp":` + string(appendString(nil, in.createdAt)) + comma + object[1:]
	}
	e, err := DecodeEvent([]byte(line), DecodeOptions{Import: true})
	if err != nil {
		return nil, err
	}
	if e.EventID == "" {
		e.EventID = fmt.Sprintf("inbox-%d-%08x", in.id, crc32.Checksum([]byte(in.line), castagnoli))
	}
	if prepared {
		return e, e.Normalize(r.now())
	}
	ready, err := r.prepare(ctx, []*Event{e})
	if err != nil || len(ready) == 0 {
		return nil, err
	}
	return e, nil
}

// appendEntries gives events to the sink, and notes which of them it will never
// take.
func (r *Recorder) appendEntries(ctx context.Context, all []*entry) error {
	if len(all) == 0 {
		return nil
	}
	events := make([]*Event, len(all))
	for i, in := range all {
		events[i] = in.event
	}
	attempt, cancel := context.WithTimeout(ctx, r.timeout)
	stored, err := r.sink.Append(attempt, events)
	cancel()
	switch {
	case err == nil:
		r.counts.store(stored)
		return nil
	case !errors.Is(err, ErrRejected):
		return err
	case len(all) == 1:
		all[0].problem = err.Error()
		return nil
	}
	half := len(all) / 2
	if err := r.appendEntries(ctx, all[:half]); err != nil {
		return err
	}
	return r.appendEntries(ctx, all[half:])
}

// deleteEntries deletes by id and not by range: in PostgreSQL an entry of a
// smaller id may be committed after one of a larger.
func deleteEntries(ctx context.Context, db *sql.DB, ids []any) error {
	if len(ids) == 0 {
		return nil
	}
	var in strings.Builder
	for i := range ids {
		if i > 0 {
			in.WriteString(", ")
		}
		in.WriteString("$" + strconv.Itoa(i+1))
	}
	_, err := db.ExecContext(ctx, "DELETE FROM "+InboxTable+" WHERE id IN ("+in.String()+")", ids...)
	return err
}

func (r *Recorder) reportRejected(ctx context.Context, all []*entry, n int) {
	problems := map[string]string{}
	for _, in := range all {
		if in.problem != "" && len(problems) < 10 {
			problems[strconv.FormatInt(in.id, 10)] = in.problem
		}
	}
	e := r.ownEvent(SystemEvent{Timestamp: r.now(), EventType: "ERROR", Module: "audit",
		Title:       fmt.Sprintf("%d entries of the inbox could not be recorded", n),
		Description: "They stay in the table " + InboxTable + " of the application's database; its column problem says why.",
		Metadata:    map[string]any{"rejected": n, "problems": problems}})
	if err := r.store(ctx, []*Event{e}); err != nil {
		r.logger.ErrorContext(ctx, "entries of the inbox were rejected, which was not recorded", "entries", n, "error", err)
	}
}

// drainLoop drains an inbox again and again, and once more at the end.
func (r *Recorder) drainLoop(in inbox) {
	tick := time.NewTicker(in.every)
	defer tick.Stop()
	failing := false
	drain := func(ctx context.Context) {
		_, err := r.Drain(ctx, in.db)
		if err != nil && ctx.Err() == nil {
			r.counts.noteError(err, r.now())
			if !failing {
				r.logger.WarnContext(own(ctx), "the inbox cannot be drained", "error", err)
			}
		}
		failing = err != nil
	}
	for {
		select {
		case <-tick.C:
			drain(r.closing)
		case <-r.closing.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.closing), r.timeout)
			drain(ctx)
			cancel()
			return
		}
	}
}
