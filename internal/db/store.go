// Package db is everything that speaks SQL: opening and upgrading a database,
// the one append through which every event is stored, the selections that
// pages, exports and commands read, decisions about events, and the accounts,
// sessions and tokens of the admin itself.
package db

import (
	"context"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// Options are what a store is opened with.
type Options struct {
	// Schema is the text of schema.sql, from which a fresh database is created.
	Schema string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// MustExist refuses to create a database that is not there.
	MustExist bool
	// ReadOnly opens an existing database for reading alone.
	ReadOnly bool
}

// Store is an open audit database. It is safe for concurrent use, also beside
// other processes that have the same database open.
type Store struct {
	path     string
	rw       *sqlx.DB // one connection: SQLite has one writer; nil when read-only
	ro       *sqlx.DB // a pool that cannot write
	now      func() time.Time
	appends  chan *appendRequest
	done     chan struct{}
	workers  sync.WaitGroup
	columns  *columns // the filter columns of every event, in memory
	indexing sync.Mutex
}

// writeTx is a write transaction with its one instant.
type writeTx struct {
	*sqlx.Tx
	ctx   context.Context
	store *Store
	now   time.Time
}

// record stores events that the program itself makes, in the transaction of
// what they report, so that there is no deed without its trace.
func (tx *writeTx) record(events ...*audit.Event) error {
	_, err := tx.append(events)
	return err
}
