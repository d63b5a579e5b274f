//go:build linux

package torture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
)

// verdict is what an examination of a database found.
type verdict struct {
	lost, phantom, doubled int
	wrong                  []string // whatever else must not be
	present                int      // events of the journal's that are there
}

func (v *verdict) complain(format string, args ...any) {
	if len(v.wrong) < 20 {
		v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
	}
}

// add counts a verdict into a line of the table.
func (f *finding) add(v verdict) {
	f.Lost += v.lost
	f.Phantom += v.phantom
	f.Doubled += v.doubled
	f.Wrong += len(v.wrong)
}

// examine opens a database that nobody else has open with the real store and
// holds it against what the senders know.
func examine(ctx context.Context, path string, j *journal) (v verdict) {
	raw, err := sql.Open("sqlite3", "file:"+path+"?mode=ro&_query_only=1&_busy_timeout=5000")
	if err != nil {
		v.complain("open: %v", err)
		return v
	}
	defer raw.Close()
	v = examineWith(ctx, path, "", raw, j)
	err = each(ctx, raw, "PRAGMA integrity_check(5)", nil, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		if text != "ok" {
			v.complain("integrity_check: %s", text)
		}
		return err
	})
	if err != nil {
		v.complain("integrity_check: %v", err)
	}
	return v
}

// examineWith is examine for every engine. raw reads the same database past the
// store, with statements that every engine takes.
func examineWith(ctx context.Context, path, state string, raw *sql.DB, j *journal) (v verdict) {
	store, err := db.Open(ctx, path, db.Options{Schema: auditadmin.Schema, StateDir: state})
	if err != nil {
		v.complain("open: %v", err)
		v.lost = len(j.acked)
		return v
	}
	defer func() {
		if err := store.Close(); err != nil {
			v.complain("close: %v", err)
		}
	}()
	examineEvents(ctx, raw, j, &v)
	examineLedger(ctx, raw, &v)
	examineEvidence(ctx, store, &v)
	examineStore(ctx, store, raw, &v)
	return v
}

// examineEvents compares the rows with the journal, one by one.
func examineEvents(ctx context.Context, raw *sql.DB, j *journal, v *verdict) {
	there := map[int]bool{}
	for _, kind := range audit.Kinds() {
		resolved := "0"
		if kind == audit.KindSystemEvent {
			resolved = "resolved"
		}
		err := each(ctx, raw, "SELECT coalesce(event_id, ''), timestamp, username, request_id, "+resolved+" FROM "+string(kind)+" WHERE source = '"+source+"'",
			nil, func(rows *sql.Rows) error {
				var id, timestamp, username, mark string
				var isResolved bool
				if err := rows.Scan(&id, &timestamp, &username, &mark, &isResolved); err != nil {
					return err
				}
				n, err := strconv.Atoi(strings.TrimPrefix(id, "t-"))
				switch {
				case j.strangers && (err != nil || !j.sent[n]):
					return nil
				case err != nil || !j.sent[n] || kind != kindOf(n):
					v.phantom++
				case there[n]:
					v.doubled++
				case timestamp != audit.FormatTime(timeOf(n)) || username != userOf(n) || mark != markOf(n):
					v.complain("event %d is not what was sent", n)
				case j.deleted[n]:
					v.complain("event %d was deleted, acknowledged, and is there", n)
				case j.resolved[n] && !isResolved:
					v.complain("event %d was resolved, acknowledged, and is open", n)
				}
				there[n] = true
				return nil
			})
		if err != nil {
			v.complain("read %s: %v", kind.Plural(), err)
		}
	}
	for n := range j.acked {
		if !there[n] && !j.doomed[n] {
			v.lost++
		}
	}
	v.present = len(there)
}

// examineLedger looks whether the ledger is dense and has one entry for each event
// there is or was.
func examineLedger(ctx context.Context, raw *sql.DB, v *verdict) {
	var n, first, last, created, rows, gone int64
	err := errors.Join(
		raw.QueryRowContext(ctx, "SELECT count(*), coalesce(min(seq), 1), coalesce(max(seq), 0), count(CASE WHEN entry = 'created' THEN 1 END) FROM ledger").Scan(&n, &first, &last, &created),
		raw.QueryRowContext(ctx, "SELECT count(*) FROM tombstone").Scan(&gone))
	if err != nil {
		v.complain("read the ledger: %v", err)
	}
	if first != 1 || last != n {
		v.complain("the ledger has %d entries from %d to %d, want it dense from 1", n, first, last)
	}
	for _, kind := range audit.Kinds() {
		var all, entered int64
		if err := raw.QueryRowContext(ctx, "SELECT count(*), count(l.seq) FROM "+string(kind)+" e LEFT JOIN ledger l ON l.seq = e.seq AND l.id = e.id AND l.kind = '"+string(kind)+"' AND l.entry = 'created'").Scan(&all, &entered); err != nil {
			v.complain("compare %s with the ledger: %v", kind.Plural(), err)
		}
		if all != entered {
			v.complain("%d of %d %s have no entry in the ledger", all-entered, all, kind.Plural())
		}
		rows += all
	}
	if created != rows+gone {
		v.complain("the ledger has %d events, and there are %d and %d tombstones", created, rows, gone)
	}
}

// examineEvidence verifies all there is.
func examineEvidence(ctx context.Context, store *db.Store, v *verdict) {
	evidence, err := store.Verify(ctx, db.VerifyOptions{Workers: 1, Limit: 3})
	if err != nil {
		v.complain("verify: %v", err)
		return
	}
	for _, p := range evidence.Problems {
		v.complain("verify: %s", p)
	}
}

// examineStore asks the store what pages would: counts come from what it derives
// from the rows, so they show whether that is right. And it goes on recording.
func examineStore(ctx context.Context, store *db.Store, raw *sql.DB, v *verdict) {
	for _, kind := range audit.Kinds() {
		for q, where := range map[string]string{"": "TRUE", "user:user3": "username = 'user3'"} {
			f, err := query.Parse(kind, q, query.Options{Now: firstEvent})
			if err != nil {
				v.complain("%s: %v", q, err)
				continue
			}
			var rows int64
			if err := raw.QueryRowContext(ctx, "SELECT count(*) FROM "+string(kind)+" WHERE "+where).Scan(&rows); err != nil {
				v.complain("count %s: %v", kind.Plural(), err)
				continue
			}
			var counted db.Count
			sel, err := store.Select(ctx, f)
			if err == nil {
				counted, err = sel.Count(ctx)
			}
			if err != nil || counted.Value != rows {
				v.complain("the store counts %d %s %s, %v, want %d", counted.Value, kind.Plural(), q, err, rows)
			}
		}
	}
	e := audit.NewEvent(audit.KindAuditLog)
	e.SetTime(firstEvent.AddDate(0, 1, 0))
	e.Set("action", "UPDATE")
	if err := e.Normalize(firstEvent.AddDate(0, 2, 0)); err != nil {
		v.complain("%v", err)
	}
	if a, err := store.Append(ctx, []*audit.Event{e}); err != nil || a.Accepted != 1 {
		v.complain("append afterwards: %+v, %v, want 1 accepted", a, err)
	}
}

func each(ctx context.Context, raw *sql.DB, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := raw.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
