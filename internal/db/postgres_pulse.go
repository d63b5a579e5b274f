package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// asksForWrites reports whether an address of several machines asks for the one that
// takes writes.
func asksForWrites(address string) bool {
	asked := os.Getenv("PGTARGETSESSIONATTRS")
	if u, err := url.Parse(address); err == nil && u.Query().Has("target_session_attrs") {
		asked = u.Query().Get("target_session_attrs")
	}
	return asked == "read-write"
}

// pgPulse is what the connections to a server know together. When one of them is
// lost, the others are hardly better: they were made to the same machine, which may
// have stopped or given its place to another one, or over the same network, which may
// say nothing of that. So those made before are not used again.
type pgPulse struct {
	began time.Time
	heard atomic.Int64 // when anything was heard of the server
	lost  atomic.Int64 // when a connection was lost

	mu    sync.Mutex
	lines map[*pgLine]struct{} // that are open
}

func newPgPulse() *pgPulse { return &pgPulse{began: time.Now(), lines: map[*pgLine]struct{}{}} }

// now is a time that only goes forward.
func (p *pgPulse) now() time.Duration { return time.Since(p.began) }

// pgSilent is how long nothing is heard of a server that is well: somebody asks for
// the head of the ledger twice a second.
const pgSilent = 3 * time.Second

// silent reports whether the server has said nothing to anybody for some time.
func (p *pgPulse) silent() bool { return p.now()-time.Duration(p.heard.Load()) > pgSilent }

// lose notes that a connection was lost.
func (p *pgPulse) lose() { p.lost.Store(int64(p.now())) }

func (d *postgresDialect) losses() int64 { return d.pulse.lost.Load() }

// fell notes that a connection was lost because nothing was heard on it. Whoever has
// waited on another one for some time would wait in vain.
func (p *pgPulse) fell() {
	p.lose()
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.lines {
		l.wake()
	}
}

// dial opens connections that do not wait for ever.
func (p *pgPulse) dial(dial pgconn.DialFunc, patience time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l := &pgLine{Conn: conn, pulse: p, patience: patience}
		p.mu.Lock()
		p.lines[l] = struct{}{}
		p.mu.Unlock()
		return l, nil
	}
}

// pgLine is one connection over the network. A network that swallows what it is
// given is otherwise noticed after a quarter of an hour, and a server that hangs
// never. Each read and write fails that takes longer than patience, unless the driver
// has set a deadline of its own.
type pgLine struct {
	net.Conn
	pulse    *pgPulse
	patience time.Duration

	mu     sync.Mutex
	theirs bool          // the deadline is the driver's
	since  time.Duration // when the read began that waits just now; 0 for none
	dead   bool          // nothing is waited for any more
}

func (l *pgLine) deadline(t time.Time, set func(time.Time) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.theirs = !t.IsZero(); l.dead {
		return nil
	}
	return set(t)
}

// wake ends a read that has waited for longer than a ping may take.
func (l *pgLine) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since > 0 && l.pulse.now()-l.since > pgPing {
		l.dead = true
		_ = l.Conn.SetDeadline(time.Unix(1, 0)) // it is of no use, whatever this says
	}
}

// Close implements net.Conn.
func (l *pgLine) Close() error {
	l.pulse.mu.Lock()
	delete(l.pulse.lines, l)
	l.pulse.mu.Unlock()
	return l.Conn.Close()
}

// SetDeadline implements net.Conn.
func (l *pgLine) SetDeadline(t time.Time) error { return l.deadline(t, l.Conn.SetDeadline) }

// SetReadDeadline implements net.Conn.
func (l *pgLine) SetReadDeadline(t time.Time) error { return l.deadline(t, l.Conn.SetReadDeadline) }

// SetWriteDeadline implements net.Conn.
func (l *pgLine) SetWriteDeadline(t time.Time) error { return l.deadline(t, l.Conn.SetWriteDeadline) }

// wait bounds a read or write that is about to begin.
func (l *pgLine) wait(set func(time.Time) error, since time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = since
	if l.theirs || l.dead {
		return nil
	}
	return set(time.Now().Add(l.patience))
}

// Read implements net.Conn.
func (l *pgLine) Read(b []byte) (int, error) {
	if err := l.wait(l.Conn.SetReadDeadline, l.pulse.now()); err != nil {
		return 0, err
	}
	n, err := l.Conn.Read(b)
	l.mu.Lock()
	l.since = 0
	ours := !l.theirs && !l.dead
	l.mu.Unlock()
	if n > 0 {
		l.pulse.heard.Store(int64(l.pulse.now()))
	}
	if ours && errors.Is(err, os.ErrDeadlineExceeded) {
		l.pulse.fell()
	}
	return n, err
}

// Write implements net.Conn.
func (l *pgLine) Write(b []byte) (int, error) {
	if err := l.wait(l.Conn.SetWriteDeadline, 0); err != nil {
		return 0, err
	}
	return l.Conn.Write(b)
}

// pgPing is how long a connection that was not used for a second is asked whether it
// is still there.
const pgPing = 2 * time.Second

// ResetSession implements driver.SessionResetter: it turns away a connection that is
// lost, and those that may be.
func (c *pgConn) ResetSession(ctx context.Context) error {
	if int64(c.made) < c.pulse.lost.Load() {
		return driver.ErrBadConn
	}
	ping, cancel := context.WithTimeout(ctx, pgPing)
	defer cancel()
	err := c.Conn.ResetSession(ping)
	if err != nil && ctx.Err() == nil {
		if c.pulse.lose(); ping.Err() != nil {
			c.pulse.fell()
		}
	}
	return err
}

// BeginTx implements driver.ConnBeginTx. Where the connection is lost, nothing was
// begun.
func (c *pgConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.beginTx(ctx, o)
	if err != nil {
		if c.gone(ctx, err) {
			return nil, driver.ErrBadConn
		}
		return nil, err
	}
	c.began = true
	return &pgTx{tx, c}, nil
}

// pgTx is a transaction.
type pgTx struct {
	driver.Tx
	conn *pgConn
}

// Commit implements driver.Tx. Where the connection is lost, nobody knows whether it
// took place. Where the server warns, it did, but is not where it has to be: the server
// gave up waiting for a replica because somebody ended the statement.
func (t *pgTx) Commit() error {
	said := t.conn.Conn.Conn().PgConn().CustomData()
	delete(said, pgWarning)
	err := t.Tx.Commit()
	t.conn.began = false
	t.conn.gone(context.Background(), err)
	if warning, warned := said[pgWarning].(string); warned && err == nil {
		return &AwayError{Why: "it did not wait for its replica", Cause: errors.New(warning)}
	}
	return err
}

// pgWarning is where a connection keeps what it was last warned of.
const pgWarning = "warning"

func keepWarning(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		c.CustomData()[pgWarning] = n.Message
	}
}

// Rollback implements driver.Tx.
func (t *pgTx) Rollback() error {
	err := t.Tx.Rollback()
	t.conn.began = false
	t.conn.gone(context.Background(), err)
	return err
}

// gone reports whether a call failed because the connection is lost, and not because
// who asked has left, and lets the others know.
func (c *pgConn) gone(ctx context.Context, err error) bool {
	if err == nil || !c.Conn.Conn().IsClosed() || errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	if c.pulse.lose(); errors.Is(ctx.Err(), context.DeadlineExceeded) && c.pulse.silent() {
		c.pulse.fell()
	}
	return true
}

// again returns what makes database/sql ask once more, on another connection: where
// one was lost that only reads and stands in no transaction. Any other error it
// returns as it is.
func (c *pgConn) again(ctx context.Context, err error) error {
	if c.gone(ctx, err) && c.reads && !c.began && ctx.Err() == nil {
		return driver.ErrBadConn
	}
	return err
}
