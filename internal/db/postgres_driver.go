package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// pgConnector opens connections that take the SQL of this package, which is one
// text for every engine: parameters are question marks there and numbers here, a
// truth is 0 or 1, and a text holds no U+0000.
type pgConnector struct {
	driver.Connector
	trace func(statement string) // nil for nobody
	texts *pgTexts
	begin string // what begins a transaction, where that is more than BEGIN
	pulse *pgPulse
	reads bool // its connections only read
}

// Connect implements driver.Connector.
func (c pgConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(*stdlib.Conn)
	if !ok {
		conn.Close()
		return nil, errors.New("the driver of PostgreSQL is another one than this was made for")
	}
	return &pgConn{Conn: inner, trace: c.trace, texts: c.texts, begin: c.begin, pulse: c.pulse, reads: c.reads, made: c.pulse.now()}, nil
}

// pgConn is one connection.
type pgConn struct {
	*stdlib.Conn
	trace func(string)
	texts *pgTexts
	begin string
	pulse *pgPulse
	reads bool
	made  time.Duration // when, as the pulse counts
	began bool          // a transaction that is not over
}

// The interfaces that database/sql looks for.
var (
	_ driver.QueryerContext    = (*pgConn)(nil)
	_ driver.ExecerContext     = (*pgConn)(nil)
	_ driver.ConnBeginTx       = (*pgConn)(nil)
	_ driver.NamedValueChecker = (*pgConn)(nil)
	_ driver.SessionResetter   = (*pgConn)(nil)
)

// QueryContext implements driver.QueryerContext.
func (c *pgConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, c.statement(query), args)
	return rows, c.again(ctx, err)
}

// ExecContext implements driver.ExecerContext.
func (c *pgConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.ExecContext(ctx, c.statement(query), args)
	return result, c.again(ctx, err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *pgConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.PrepareContext(ctx, c.statement(query))
}

// beginTx begins a transaction in the way of the pool.
func (c *pgConn) beginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if c.begin == "" {
		return c.Conn.BeginTx(ctx, o)
	}
	tx := pgSnapshotTx{ctx: ctx, conn: c}
	if err := tx.run(c.statement(c.begin)); err != nil {
		_ = tx.Rollback() // it may have begun
		return nil, err
	}
	return tx, nil
}

// pgSnapshotTx is a transaction that began with several statements in one message.
type pgSnapshotTx struct {
	ctx  context.Context
	conn *pgConn
}

func (tx pgSnapshotTx) run(statements string) error {
	c := tx.conn.Conn.Conn().PgConn()
	if c.IsClosed() {
		return driver.ErrBadConn
	}
	_, err := c.Exec(tx.ctx, statements).ReadAll()
	return err
}

// Commit implements driver.Tx.
func (tx pgSnapshotTx) Commit() error { return tx.run("COMMIT") }

// Rollback implements driver.Tx.
func (tx pgSnapshotTx) Rollback() error { return tx.run("ROLLBACK") }

func (c *pgConn) statement(query string) string {
	text := c.texts.of(query)
	if c.trace != nil {
		c.trace(text)
	}
	return text
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c *pgConn) CheckNamedValue(v *driver.NamedValue) error {
	if _, list := v.Value.([]int64); list {
		return nil
	}
	value, err := driver.DefaultParameterConverter.ConvertValue(v.Value)
	v.Value = pgValue(value)
	return err
}

// pgValue is a value as the tables hold it. What is stored here was cleaned before
// its leaf was made; a text that only looks for something may hold anything, and
// then finds nothing.
func pgValue(value any) any {
	switch v := value.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case string:
		return stored(v)
	}
	return value
}

// pgTexts keeps statements as PostgreSQL gets them. There are some hundreds.
type pgTexts struct{ known sync.Map }

func (t *pgTexts) of(query string) string {
	if text, ok := t.known.Load(query); ok {
		return text.(string)
	}
	text := pgNumbered(query)
	t.known.Store(query, text)
	return text
}

// pgNumbered writes $1, $2 and so on for the question marks of a statement that
// stand outside of quotes and comments.
func pgNumbered(query string) string {
	if strings.IndexByte(query, '?') < 0 {
		return query
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(query); {
		end := i + 1
		switch c := query[i]; {
		case c == '?':
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			i = end
			continue
		case c == '\'' || c == '"':
			end = after(query, i+1, query[i:i+1]) // a doubled quote begins the next one
		case strings.HasPrefix(query[i:], "--"):
			end = after(query, i, "\n")
		case strings.HasPrefix(query[i:], "/*"):
			end = after(query, i+2, "*/")
		}
		b.WriteString(query[i:end])
		i = end
	}
	return b.String()
}

// after is the place behind the next mark from a place on, or the end.
func after(s string, from int, mark string) int {
	if at := strings.Index(s[from:], mark); at >= 0 {
		return from + at + len(mark)
	}
	return len(s)
}
