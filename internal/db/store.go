// Package db is everything that speaks SQL: opening and upgrading a database,
// the one append through which every event is stored, the selections that
// pages, exports and commands read, decisions about events, and the accounts,
// sessions and tokens of the admin itself.
//
// Of every method, unless it says otherwise:
//
//   - What it changes is durable when it returns nil, all of it or, on an error, none.
//   - A time that it returns is in UTC, to the microsecond; one that is not known is zero.
//   - A list without anything in it may be nil, and is no error.
//   - An id is the time when something happened, in microseconds since 1970, shifted left
//     by ten bits, and a number of its own below those; a seq is a place in the ledger,
//     from 1.
//   - An error on which a caller may branch wraps one of the sentinels. Any may wrap ErrBusy,
//     ErrAway, ErrDisk, ErrDamaged or ErrMoved, and that of a change also ErrUnsure,
//     ErrFull, ErrReadOnly and ErrRights.
package db

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
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
	// Served is set for a store that people look at while it is open: it keeps a
	// ballast on the disk (see ballast.go), makes beforehand what pages can do
	// without, and where it is opened for reading alone people can sign in all the
	// same (see desk.go).
	Served bool
	// StateDir is the folder for what a server keeps beside a database that is no
	// file: its columns and its keys. "" is auditadmin in $XDG_STATE_HOME, or in
	// ~/.local/state. It is made for its owner alone where it is not there.
	StateDir string
	// ReadFrom is the address of a replica of the database: what pages read is read
	// there. "" is the database itself.
	ReadFrom string
	// Trace, where it is not nil, is given every statement as an engine that is
	// reached over a connection gets it. It is called by several goroutines.
	Trace func(statement string)
	// Invented is for events that nobody has to rely on, which can be made again
	// when the power goes: nothing waits for the disk, and each is recorded
	// InventedDelay after it happened, not when it was invented. They come in the
	// order of their time, and Now is never before it.
	Invented bool

	// copying is how many rows a copy reads at a time: Copy alone sets it, for its
	// target. An unfinished copy is opened then, and nothing works beside it.
	copying int
}

// InventedDelay is how long after it happened an invented event was recorded.
const InventedDelay = 40 * time.Millisecond

// Store is an open audit database. It is safe for concurrent use, also beside
// other processes that have the same database open.
type Store struct {
	path     string // or the address, without its password
	beside   string // what the names of files beside the database begin with
	dialect  dialect
	schema   string       // see Options
	rw       *sqlx.DB     // one connection: there is one writer; nil when read-only
	ro       *sqlx.DB     // a pool that cannot write, for what somebody waits for
	near     *sqlx.DB     // the same of the database that is written, where ro reads a copy or may not read all; else nil
	inPlace  func() error // that the database is still where it was opened
	now      func() time.Time
	invented bool
	guard    *guard
	damage   damage
	back     *sqlx.DB // another one, for what works beside the pages
	side     *sqlx.DB // writes the log back; nil when read-only
	desk     *sqlx.DB // nil but where the database is served and cannot be written
	served   bool     // people look at it
	columns  *columns
	sealed   *sealed
	recent   *recent
	unseen   unsettled
	mended   mended

	readDialect dialect // of what is read
	readPath    string  // of a replica that is read; "" for none
	lag         lagWatch
	texts       *textCache
	lots        lotCache
	recorded    recordedPlaces
	tails       tailMemory
	contention  contention

	unsigned atomic.Pointer[error]    // why this server signs no checkpoints, nil where it does
	verified atomic.Pointer[Verified] // how far the evidence was verified
	asked    attention                // of those who look at pages

	checks  chan struct{} // holds one for each search that reads many rows just now
	appends chan *appendRequest
	stale   chan struct{} // wakes the indexer; holds at most one wake-up
	grown   chan struct{} // wakes who writes the log back
	purging atomic.Int32  // how many purges run just now
	removal removal

	superseded chan struct{} // closed when the ledger is another one than was read
	supersede  func()        // closes it

	closing context.Context
	close   context.CancelFunc
	workers sync.WaitGroup
}

// Open opens the database at path, creates it where there is none, and starts
// what works beside it. It returns an error that wraps ErrForeign or ErrNewer
// for a file that is not ours to use, ErrReadOnly where it cannot be written,
// and fs.ErrNotExist. The caller owns the store and closes it.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	d, err := dialectOf(path, o)
	if err != nil {
		return nil, err
	}
	name, beside, err := d.place(path, o)
	if err != nil {
		return nil, err
	}
	s := &Store{path: name, beside: beside, dialect: d, readDialect: d, schema: o.Schema, now: o.Now, invented: o.Invented,
		appends: make(chan *appendRequest), stale: make(chan struct{}, 1), grown: make(chan struct{}, 1), checks: make(chan struct{}, heavyChecks),
		columns: newColumns(), sealed: newSealed(beside), recent: newRecent(), texts: newTextCache(), lag: lagWatch{turn: newTurn()}}
	s.superseded = make(chan struct{})
	s.supersede = sync.OnceFunc(func() { close(s.superseded) })
	s.closing, s.close = context.WithCancel(context.Background())
	if s.rw, s.ro, err = s.dialect.open(ctx, path, o); err != nil {
		return nil, err
	}
	s.guard = newGuard()
	if err := s.openReaders(ctx, path, o); err != nil {
		s.close()
		return nil, errors.Join(err, s.closePools())
	}
	if of := unfinishedCopy(ctx, s.primary()); of != "" && o.copying == 0 {
		s.close()
		return nil, errors.Join(fmt.Errorf("open %s: %w of %s; run 'auditadmin copy' with the same --from and --to again, which goes on with it", name, ErrUnfinished, of), s.closePools())
	}
	if s.rw != nil {
		if s.side, err = s.dialect.side(ctx, path, o); err != nil {
			s.close()
			return nil, errors.Join(fmt.Errorf("open %s for writing its log back: %w", name, s.dialect.classify(err)), s.closePools())
		}
	}
	if s.rw != nil && o.copying == 0 {
		s.workers.Go(s.appendLoop)
		s.workers.Go(s.writeBackLoop)
		if s.guard.watches {
			s.workers.Go(s.guardLoop)
		}
		s.workers.Go(s.indexLoop)
		s.workers.Go(s.sealLoop)
		s.wakeIndexer()
	} else if s.desk != nil && s.Replica() {
		s.workers.Go(s.deskLoop)
	}
	return s, nil
}

// openReaders opens all that reads, beside what the dialect opened first.
func (s *Store) openReaders(ctx context.Context, path string, o Options) (err error) {
	if s.inPlace, err = s.dialect.watch(path); err != nil {
		return err
	}
	if s.near, err = s.dialect.near(ctx, path, o); err != nil {
		return fmt.Errorf("open %s for reading: %w", s.path, s.dialect.classify(err))
	}
	back := path
	switch {
	case s.rw == nil:
		why := ErrReadOnly
		if replica, err := s.dialect.replica(ctx, s.ro); err != nil {
			return fmt.Errorf("open %s for reading: %w", s.path, s.dialect.classify(err))
		} else if replica {
			why, s.readPath = ErrReplica, s.path
		}
		s.guard.found = &Hindrance{Err: fmt.Errorf("%w: it was opened for reading", why), Since: s.now()}
	case o.ReadFrom != "":
		if err := s.openReplica(ctx, o.ReadFrom, o); err != nil {
			return err
		}
		back = o.ReadFrom
	}
	s.served = o.Served
	if s.guard.watches = s.served && s.rw != nil; s.guard.watches && s.dialect.embedded() {
		s.guard.path = path + "-ballast"
	}
	if s.served && s.rw == nil {
		if s.desk, err = openDesk(ctx, o.Schema, s.primary()); err != nil {
			return err
		}
	}
	if s.back, err = s.readDialect.readers(ctx, back, o); err != nil {
		return fmt.Errorf("open %s for reading: %w", s.path, s.readDialect.classify(err))
	}
	return nil
}

// Close ends what works beside the database, waits for what is being written, writes to
// files what the next start would have to make again, and closes the database. An error
// is about the files and connections: nothing that was acknowledged is lost by it.
func (s *Store) Close() error {
	s.close()
	s.workers.Wait()
	err := s.closeSealed()
	if s.rw != nil {
		err = errors.Join(err, s.guard.removeBallast())
	}
	return errors.Join(err, s.closePools())
}

// closePools closes every connection there is.
func (s *Store) closePools() (err error) {
	for _, pool := range []*sqlx.DB{s.ro, s.near, s.back, s.side, s.rw, s.desk} {
		if pool != nil {
			err = errors.Join(err, pool.Close())
		}
	}
	return err
}

// reader is where what signing in keeps is read.
func (s *Store) reader() *sqlx.DB {
	if s.desk != nil {
		return s.desk
	}
	return s.primary()
}

// Path returns the path the store was opened with, or the address of its server
// without a password.
func (s *Store) Path() string { return s.path }

// Beside returns what the names of the files begin with that belong to the
// database and lie beside it: its path, or of a database on a server a path in the
// state folder of this machine.
func (s *Store) Beside() string { return s.beside }

// Warnings says, in sentences without a full stop, what about the database's
// server may lose what was acknowledged; nil where nothing does.
func (s *Store) Warnings() []string { return s.dialect.warnings() }

// Now returns the store's clock.
func (s *Store) Now() time.Time { return s.now() }

// Ping reports whether the database answers and is still at its place; if it is
// not, the error wraps ErrMoved.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.inPlace(); err != nil {
		return fmt.Errorf("ping the database: %w", err)
	}
	var one int
	if err := s.ro.GetContext(ctx, &one, "SELECT 1 FROM meta LIMIT 1"); err != nil {
		return fmt.Errorf("ping the database: %w", s.readDialect.classify(err))
	}
	if s.near != nil {
		if err := s.near.GetContext(ctx, &one, "SELECT 1 FROM meta LIMIT 1"); err != nil {
			return fmt.Errorf("ping the database: %w", s.dialect.classify(err))
		}
	}
	return nil
}

// Engine names the database engine and its version, as a page shows them.
func (s *Store) Engine(ctx context.Context) (string, error) { return s.dialect.version(ctx, s.ro) }

// MaskKey returns this database's own key, which never changes, for the fingerprints
// of masked values. It never leaves the database in any other form.
func (s *Store) MaskKey(ctx context.Context) ([]byte, error) {
	var text string
	if err := s.primary().GetContext(ctx, &text, "SELECT value FROM meta WHERE key = 'mask_key'"); err != nil {
		return nil, fmt.Errorf("read the mask key: %w", s.dialect.classify(err))
	}
	return hex.DecodeString(text)
}
