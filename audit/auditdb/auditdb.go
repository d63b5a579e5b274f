// Package auditdb opens an auditadmin database as the sink of a recorder, so
// that an application and the admin share one file without a server between
// them. It is the one public door to the database; the format behind it is
// SQLite, and the build needs cgo and -tags sqlite_fts5.
//
//	db, err := auditdb.Open(ctx, "audit.db")
//	…
//	defer db.Close()
//	recorder, err := audit.New(db, audit.SpoolDir("audit.spool"))
package auditdb

import (
	"context"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// DB is an open audit database: an [audit.Sink] and an [audit.Summarizer]. It is
// safe for concurrent use, also beside a server or other processes that have the
// same database open.
type DB struct{ store *db.Store }

var (
	_ audit.Sink       = (*DB)(nil)
	_ audit.Summarizer = (*DB)(nil)
)

// Open opens the database at path, and creates it where there is none. It
// refuses a file that is no database of auditadmin, or that a newer version
// made. The caller closes it, after the recorders that use it.
func Open(ctx context.Context, path string) (*DB, error) {
	store, err := db.Open(ctx, path, db.Options{Schema: auditadmin.Schema})
	if err != nil {
		return nil, err
	}
	return &DB{store}, nil
}

// Close waits for what is being written and closes the database.
func (d *DB) Close() error { return d.store.Close() }

// Append stores events, as [audit.Sink] says: durably, in one transaction that
// callers at the same time share, and each event once.
func (d *DB) Append(ctx context.Context, events []*audit.Event) (audit.Appended, error) {
	return d.store.Append(ctx, events)
}

// Summary counts the last days, as [audit.Summarizer] says.
func (d *DB) Summary(ctx context.Context, user string, days int) (audit.Summary, error) {
	s, err := d.store.Summary(ctx, days, user)
	return audit.Summary(s), err
}

// MaskKey returns the database's own key for the fingerprints of masked values:
// everything that masks with it, the admin and the importer too, shows equal
// secrets as equal.
func (d *DB) MaskKey(ctx context.Context) ([]byte, error) { return d.store.MaskKey(ctx) }
