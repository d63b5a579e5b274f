package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// writeDeadline bounds how long a write waits for another program's lock where
// its context has no deadline of its own.
const writeDeadline = 5 * time.Second

// writeTx is a write transaction with its one instant, which is never before
// that of the ledger's last entry: recorded_at grows with seq even when the
// clock steps back.
type writeTx struct {
	*sqlx.Tx
	conn    *sqlx.Conn      // that it runs on
	ctx     context.Context // without cancellation: a commit is not left half done
	store   *Store
	dialect dialect // of the database it writes, which is the store's but for the desk
	now     time.Time
	seq     int64                // the ledger's head, as this transaction leaves it
	leaf    evidence.Hash        // of the entry seq, where this transaction wrote it
	newest  map[audit.Kind]int64 // of the head
	kinds   map[audit.Kind]*kindTail
	rows    map[audit.Kind][]newRow // of the events that this transaction recorded
	before  int64                   // the ledger's head, as this transaction found it
	losses  int64                   // of connections, before it
	adds    bool                    // it adds events, and changes nothing else
}

// record stores events that the program itself makes, in the transaction of
// what they report, so that there is no deed without its trace.
func (tx *writeTx) record(events ...*audit.Event) error {
	for _, e := range events {
		if e.Get("timestamp") == "" {
			e.SetTime(tx.now)
		}
		if e.Source == "" {
			e.Source = Self
		}
		if err := e.Normalize(tx.now); err != nil {
			return fmt.Errorf("record own %s: %w", e.Kind, err)
		}
	}
	_, err := tx.append(events)
	return err
}

// write runs fn in a transaction on the one writing connection and commits. It
// tries again while another program holds the lock, until the deadline; then
// the error wraps ErrBusy. fn may run more than once and must have no effect
// outside its transaction.
//
// It is for what people do: on a full disk the ballast makes room for that. What
// can wait goes through writeLater.
func (s *Store) write(ctx context.Context, op string, fn func(tx *writeTx) error) error {
	if s.rw == nil {
		return fmt.Errorf("%s: %w", op, s.Hindrance().Err)
	}
	err := s.writeTo(ctx, s.rw, op, fn)
	if s.guard.hindered(err, s.now()) {
		err = s.writeTo(ctx, s.rw, op, fn)
	}
	return err
}

// writeAsSuperuser is write for what superusers do: all but adding to what is
// recorded, and signing in.
func (s *Store) writeAsSuperuser(ctx context.Context, op string, fn func(tx *writeTx) error) error {
	return s.write(ctx, op, func(tx *writeTx) error {
		if err := tx.dialect.superuser(tx.ctx, tx.Tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// writeLater is write for what can be done later as well: events, which whoever
// sends them sends again, and everything derived. While there is a hindrance it
// fails at once with its error.
func (s *Store) writeLater(ctx context.Context, op string, fn func(tx *writeTx) error) error {
	if s.rw == nil {
		return fmt.Errorf("%s: %w", op, s.Hindrance().Err)
	}
	if h := s.Hindrance(); h != nil {
		return fmt.Errorf("%s: %w", op, h.Err)
	}
	err := s.writeTo(ctx, s.rw, op, fn)
	s.guard.hindered(err, s.now())
	return err
}

// writeDerived is write for what can be made again from the rows at any time.
func (s *Store) writeDerived(ctx context.Context, op string, fn func(tx *writeTx) error) error {
	return s.write(ctx, op, func(tx *writeTx) error {
		if err := tx.dialect.derived(tx.ctx, tx.Tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// writeDesk is write for what signing in keeps, which a database that cannot be
// written keeps in memory.
func (s *Store) writeDesk(ctx context.Context, op string, fn func(tx *writeTx) error) error {
	if s.rw == nil && s.desk != nil {
		return s.writeTo(ctx, s.desk, op, fn)
	}
	return s.write(ctx, op, fn)
}

func (s *Store) writeTo(ctx context.Context, db *sqlx.DB, op string, fn func(tx *writeTx) error) error {
	deadline := s.deadline(ctx)
	var busy error // why the last try failed, where it was the lock
	began := time.Now()
	for {
		err := s.writeOnce(ctx, db, fn)
		if err == nil {
			return nil
		}
		if busy != nil && ctx.Err() != nil {
			return busy
		}
		err = fmt.Errorf("%s: %w", op, s.dialect.classify(err))
		wait := min(max(time.Since(began)/8, time.Millisecond), 100*time.Millisecond)
		if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrAway) || time.Now().Add(wait).After(deadline) {
			return err
		}
		busy = err
		select {
		case <-ctx.Done():
			return busy
		case <-time.After(wait):
		}
	}
}

func (s *Store) deadline(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now().Add(writeDeadline)
}

func (s *Store) writeOnce(ctx context.Context, db *sqlx.DB, fn func(tx *writeTx) error) (err error) {
	inner, conn, end, err := beginWrite(ctx, db)
	if err != nil {
		return err
	}
	defer func() { end(s.broken(err)) }()
	d := s.dialect
	if db == s.desk {
		d = deskDialect
	}
	losses := d.losses()
	head, err := d.head(context.WithoutCancel(ctx), inner)
	if err != nil {
		return err
	}
	tx := &writeTx{Tx: inner, conn: conn, ctx: context.WithoutCancel(ctx), store: s, dialect: d, kinds: map[audit.Kind]*kindTail{}, losses: losses}
	return s.finishWrite(db, tx, head, end, fn)
}

// broken reports whether the connection of a transaction that failed with err is
// not to be used again. What a connection holds whose write or sync failed is not
// what the disk has: it goes, and the next write opens another one. So does one to
// a server that was the primary: the address may name several.
func (s *Store) broken(err error) bool {
	err = s.dialect.classify(err)
	return errors.Is(err, ErrDisk) || errors.Is(err, ErrReadOnly) && !s.dialect.embedded()
}

// finishWrite runs fn in a transaction on a connection of db that has locked the
// head, and commits it. end ends it otherwise.
func (s *Store) finishWrite(db *sqlx.DB, tx *writeTx, head ledgerHead, end func(broken bool), fn func(tx *writeTx) error) (err error) {
	tx.seq, tx.before, tx.newest = head.seq, head.seq, head.newest
	if db == s.rw && s.dialect.embedded() { // servers know by themselves
		s.contention.begins(head.seq)
		defer func() {
			if err == nil {
				s.contention.ends(tx.seq)
			}
		}()
	}
	tx.now = s.now().UTC().Truncate(time.Microsecond)
	if t, err := audit.ParseTime(head.recordedAt); err == nil && t.After(tx.now) {
		tx.now = t
	}
	if err := fn(tx); err != nil {
		return err
	}
	if err := s.inPlace(); err != nil {
		return err
	}
	if tx.seq != head.seq {
		if err := tx.dialect.advance(tx); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		end(s.broken(err)) // settle may want the only connection there is
		if err := tx.dialect.settle(tx.ctx, db, head, tx, err); err != nil {
			return err
		}
	}
	if tx.seq != head.seq {
		if db == s.rw && s.dialect.embedded() { // a server may turn out to have another history
			s.recent.extend(head.seq, tx.seq, tx.rows)
		}
		s.wakeIndexer()
	}
	select {
	case s.grown <- struct{}{}:
	default:
	}
	return nil
}

// writeBackPause is how often the log is looked at.
const writeBackPause = 20 * time.Millisecond

// writeBackLoop writes the log back beside the writer, who would have to stop for
// that, and everybody behind him. What keeps it from that is the writer's to
// find out.
func (s *Store) writeBackLoop() {
	for {
		select {
		case <-s.grown:
		case <-s.closing.Done():
			return
		}
		if s.Hindrance() == nil {
			err := s.dialect.writeBack(s.closing, s.side)
			if errors.Is(s.dialect.classify(err), ErrDisk) {
				_ = retire(s.closing, s.side)
			}
		}
		select {
		case <-time.After(writeBackPause):
		case <-s.closing.Done():
			return
		}
	}
}

// begin begins a transaction and returns what ends it, without effect if it was
// committed. Waiting for a connection ends with the context; what was begun does
// not, since database/sql would roll it back behind our back, and the connection
// would be in use for some time after we are done with it.
func begin(ctx context.Context, db *sqlx.DB) (tx *sqlx.Tx, end func(), err error) {
	tx, _, endWrite, err := beginWrite(ctx, db)
	if err != nil {
		return nil, nil, err
	}
	return tx, func() { endWrite(false) }, nil
}

// staleMost is how many connections may turn out to be lost when they are to be used.
const staleMost = 2

// beginWrite is begin that also returns the connection, which may have to be
// closed at the end.
func beginWrite(ctx context.Context, db *sqlx.DB) (tx *sqlx.Tx, conn *sqlx.Conn, end func(broken bool), err error) {
	for stale := 0; ; stale++ {
		conn, err = db.Connx(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		if tx, err = conn.BeginTxx(context.WithoutCancel(ctx), nil); err == nil {
			break
		}
		conn.Close()
		if !errors.Is(err, driver.ErrBadConn) || stale == staleMost {
			return nil, nil, nil, err
		}
	}
	return tx, conn, func(broken bool) {
		tx.Rollback()
		if broken {
			_ = conn.Raw(isBroken) // which closes it
		}
		conn.Close()
	}, nil
}

// isBroken tells database/sql never to use a connection again.
func isBroken(any) error { return driver.ErrBadConn }

// retire closes a connection of a pool; the next use opens another one.
func retire(ctx context.Context, db *sqlx.DB) error {
	conn, err := db.Connx(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Raw(isBroken); !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return nil
}

// decide adds an entry of the ledger that somebody decided. subject is that of
// the row it vouches for (subject.go), as that row will be when tx is committed.
func (tx *writeTx) decide(entry evidence.Entry, kind audit.Kind, id int64, actor, note string, subject evidence.Hash) error {
	tx.seq++
	d := evidence.Decision{Entry: entry, Kind: string(kind), ID: id, Seq: tx.seq, RecordedAt: audit.FormatTime(tx.now), Actor: actor, Note: note, Subject: subject}
	leaf := d.Leaf()
	tx.leaf = leaf
	var kept any
	if entry.Subject() != evidence.NoSubject {
		kept = subject[:]
	}
	_, err := tx.ExecContext(tx.ctx,
		"INSERT INTO ledger (seq, entry, kind, id, recorded_at, actor, note, leaf, subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		d.Seq, d.Entry, d.Kind, d.ID, d.RecordedAt, d.Actor, d.Note, leaf[:], kept)
	return err
}
