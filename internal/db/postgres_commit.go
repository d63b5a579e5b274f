package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"
)

// head locks the row of the head. Rows carry their place in the ledger, so the
// lock comes first, and what takes long is done before.
func (d *postgresDialect) head(ctx context.Context, tx *sqlx.Tx) (h ledgerHead, err error) {
	kinds := audit.Kinds()
	newest := make([]int64, len(kinds))
	dest := []any{&h.seq, &h.recordedAt, &h.mark}
	for i := range newest {
		dest = append(dest, &newest[i])
	}
	began := time.Now()
	if err = tx.QueryRowxContext(ctx, pgHead).Scan(dest...); err != nil {
		return h, err
	}
	d.queue.waited(time.Since(began))
	h.newest = map[audit.Kind]int64{}
	for i, kind := range kinds {
		h.newest[kind] = newest[i]
	}
	return h, nil
}

func (d *postgresDialect) advance(tx *writeTx) error {
	args := []any{tx.seq, tx.seq}
	for _, kind := range audit.Kinds() {
		newest := int64(0)
		if tail := tx.kinds[kind]; tail != nil {
			newest = tail.last
		}
		args = append(args, newest)
	}
	_, err := tx.ExecContext(tx.ctx, pgAdvance, args...)
	if err == nil && d.cluster { // see pgClusterSnapshot
		_, err = tx.ExecContext(tx.ctx, "SELECT pg_advisory_xact_lock(?)", pgLockCommit)
	}
	return err
}

// pgQueue is how long this program waited for the lock of the head lately: a moving
// mean.
type pgQueue struct{ mean atomic.Int64 }

func (q *pgQueue) waited(d time.Duration) {
	mean := q.mean.Load()
	q.mean.Store(mean + (int64(d)-mean)/8)
}

// pgContended is how long one waits for the head only if others hold it again and again.
const pgContended = 2 * time.Millisecond

func (d *postgresDialect) contended() bool { return time.Duration(d.queue.mean.Load()) > pgContended }

func (d *postgresDialect) scattered() bool { return d.cluster }

func (*postgresDialect) derived(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, "SET LOCAL synchronous_commit = off")
	return err
}

// pgHead and pgAdvance read and write the head: its column newest_KIND for each.
var pgHead, pgAdvance = func() (head, advance string) {
	head, advance = "SELECT seq, recorded_at, CAST(pg_current_xact_id() AS text)", "UPDATE head SET seq = ?, recorded_at = (SELECT recorded_at FROM ledger WHERE seq = ?)"
	for _, kind := range audit.Kinds() {
		column := "newest_" + string(kind)
		head, advance = head+", "+column, advance+", "+column+" = greatest("+column+", ?)"
	}
	return head + " FROM head WHERE id = 1 FOR UPDATE", advance + " WHERE id = 1"
}()

// settle asks on a new connection. The lock of the head waits until the server is
// done with the old one. An entry of the ledger is known by its leaf, which is
// salted: equal leaves are one entry, also on a replica that took the server's
// place. What added no entry is known by its number.
func (d *postgresDialect) settle(ctx context.Context, db *sqlx.DB, before ledgerHead, tx *writeTx, err error) error {
	err = d.classify(err)
	if !errors.Is(err, ErrAway) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeDeadline)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		done, asked := d.tookPlace(ctx, db, before, tx)
		if asked == nil {
			if done {
				return nil
			}
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			// Not to be tried again by itself: it may have taken place.
			return fmt.Errorf("the answer to a commit was lost: %w: %v", ErrUnsure, err)
		}
	}
}

// tookPlace commits what it asks: where a commit has to be on a replica too, what is
// seen here is there as well when that returns, also if the server gave up waiting
// for the replica when the connection broke.
func (d *postgresDialect) tookPlace(ctx context.Context, db *sqlx.DB, before ledgerHead, lost *writeTx) (bool, error) {
	tx, end, err := begin(ctx, db)
	if err != nil {
		return false, err
	}
	defer end()
	if _, err := d.head(ctx, tx); err != nil {
		return false, err
	}
	var done bool
	if lost.seq == before.seq {
		var status sql.NullString
		var e *pgconn.PgError
		err = tx.GetContext(ctx, &status, "SELECT pg_xact_status(CAST(? AS xid8))", before.mark)
		if errors.As(err, &e) && e.Code == "22023" { // no transaction has had that number yet, on a server that took the other's place
			return false, nil
		}
		done = status.String == "committed"
	} else {
		var leaf []byte
		err = tx.GetContext(ctx, &leaf, "SELECT leaf FROM ledger WHERE seq = ?", lost.seq)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		hash, ok := parseRoot(leaf)
		done = ok && hash == evidence.Hash(lost.leaf)
	}
	if err != nil || !done {
		return false, err
	}
	return true, tx.Commit()
}

// copyLeast is from how many rows on they are copied.
const copyLeast = 6

func (*postgresDialect) gathers() bool { return true }

// copyIn leaves the events of a cluster to statements. What is copied there over a
// connection that read in the same transaction, Citus takes for read: it commits that
// by a COMMIT of its own, after the ledger's, and not in two phases, so that a machine
// that is lost in between loses events that were acknowledged (seen in Citus 13.2.2).
func (d *postgresDialect) copyIn(tx *writeTx, rows *rowBuffer) (bool, error) {
	if len(rows.args) < copyLeast*rows.width || d.cluster && slices.Contains(audit.Kinds(), audit.Kind(rows.table)) {
		return false, nil
	}
	source := &copySource{rows: rows, row: make([]any, 0, rows.width+1)}
	err := onPgx(tx.conn, func(c *pgx.Conn) error {
		n, err := c.CopyFrom(tx.ctx, pgx.Identifier{rows.table}, rows.columns, source)
		if all := int64(len(rows.args) / rows.width); err == nil && n != all { // or what was not stored would be acknowledged
			err = fmt.Errorf("the server says that it stored %d of %d rows of %s", n, all, rows.table)
		}
		return err
	})
	rows.args = rows.args[:0]
	return true, err
}

func (*postgresDialect) insert(tx *writeTx, statement string, args []any) error {
	_, err := tx.ExecContext(tx.ctx, statement, args...)
	return err
}

// copySource hands gathered rows to the driver.
type copySource struct {
	rows *rowBuffer
	at   int
	row  []any
}

// Next implements pgx.CopyFromSource.
func (s *copySource) Next() bool {
	if s.at == len(s.rows.args) {
		return false
	}
	s.row = s.row[:0]
	for _, v := range s.rows.args[s.at : s.at+s.rows.width] {
		s.row = append(s.row, pgValue(v))
	}
	if s.rows.constant != nil {
		s.row = append(s.row, s.rows.constant)
	}
	s.at += s.rows.width
	return true
}

// Values implements pgx.CopyFromSource.
func (s *copySource) Values() ([]any, error) { return s.row, nil }

// Err implements pgx.CopyFromSource.
func (s *copySource) Err() error { return nil }
