package db

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// ErrUnfinished is wrapped by the error of Open for a copy that Copy has not
// finished.
var ErrUnfinished = errors.New("it is an unfinished copy")

// Copied is what Copy made.
type Copied struct {
	Path     string // of the copy, or its address without the password
	Beside   string // see Store.Beside
	Entries  int64  // the ledger's last entry that is in it, with all that was decided up to there
	Behind   int64  // how many entries the source had more when the copy was finished: they are not in it
	Recorded bool   // that the source could be written, and has an audit log of the copy
	Tables   []CopiedTable
	Root     evidence.Hash // of the tree over the source's ledger up to Entries
	Copy     evidence.Hash // the same of the copy
	// Differences are the rows that are not the same, at most 100 of them, and More
	// how many there are beyond. Where there are any the copy stays unfinished.
	Differences []Difference
	More        int64
	Verdict     *Verdict // of the copy's evidence, which is the source's; nil where there are differences
	Unindexed   error    // why the text index of the copy is not made yet: whoever serves it does that
}

// CopiedTable is one table on both sides. The checksums are SHA-256 over all
// columns of all rows in the order of their keys.
type CopiedTable struct {
	Name              string
	Rows, CopyRows    int64
	Checksum, CopySum evidence.Hash
}

// Difference is a row that is not the same on both sides.
type Difference struct {
	Table, Key string
	Why        string // without a full stop
}

// String says it in one line.
func (d Difference) String() string { return d.Table + " " + d.Key + ": " + d.Why }

// Exact reports whether the copy is in every row what its source was.
func (c *Copied) Exact() bool { return len(c.Differences) == 0 && c.Root == c.Copy }

// Copy copies the database of from to the place to, a file or the address of a
// database on a server, whichever from is. There has to be nothing yet, or an
// unfinished copy of the same database, which is gone on with: after a kill at
// any moment what was copied stays copied. A finished copy into which nobody has
// written takes what its source has recorded since. Anything else is refused with
// an error that wraps ErrExists, and left as it is.
//
// The source may be in use. What is copied is its state up to one entry of the
// ledger, which the result names. Left out are sessions, half sign-ins and the
// throttle, which belong to the place where people signed in, and what is
// derived, which the copy makes anew.
//
// Nothing but Copy opens an unfinished copy: see ErrUnfinished. At the end every row
// of both sides was compared and the evidence of the copy verified; whoever
// serves it goes on under another name, as with a backup. The keys beside the
// source are not copied.
//
// progress, if not nil, is called with the parts of the work that are done, of
// all, one call at a time.
func Copy(ctx context.Context, from *Store, to string, o Options, by Actor, progress func(what string, done, all int64)) (*Copied, error) {
	fail := func(err error) (*Copied, error) {
		return nil, fmt.Errorf("copy %s to %s: %w", from.path, placeOf(to, o), err)
	}
	told := func(string, int64, int64) {}
	if progress != nil {
		var one sync.Mutex
		told = func(what string, done, all int64) {
			one.Lock()
			defer one.Unlock()
			progress(what, done, all)
		}
	}
	if o.Now == nil {
		o.Now = from.now
	}
	if same, err := from.isAt(to, o); err != nil || same {
		if err == nil {
			err = errors.New("they are the same database: name another place")
		}
		return fail(err)
	}
	if o.copying == 0 {
		o.copying = wholeRows
	}
	target, err := Open(ctx, to, o)
	if err != nil {
		return fail(err)
	}
	c := &copier{ctx: ctx, from: from, to: target, rowsAtOnce: o.copying, progress: told}
	copied, err := c.copy(by)
	if err == nil && copied.Exact() {
		if copied.Behind, err = c.behind(); err == nil {
			err = c.finish(metaCopied, c.text, "the copy of "+from.path)
		}
		if err == nil {
			copied.Unindexed = c.derive()
		}
	}
	if err == nil {
		_, err = target.dialect.scrub(context.WithoutCancel(ctx), target.rw)
	}
	if err = errors.Join(err, target.Close()); err != nil {
		return fail(err)
	}
	return copied, nil
}

// placeOf is what messages call the database at path.
func placeOf(path string, o Options) string {
	if d, err := dialectOf(path, o); err == nil {
		if name, _, err := d.place(path, o); err == nil {
			return name
		}
	}
	return "the other database" // its address may hold a password
}

// Beside returns what the names of the files beside the database at path begin
// with, as Store.Beside does of one that is open.
func Beside(path string, o Options) (string, error) {
	d, err := dialectOf(path, o)
	if err != nil {
		return "", err
	}
	_, beside, err := d.place(path, o)
	return beside, err
}

// isAt reports whether the store is of the database at path.
func (s *Store) isAt(path string, o Options) (bool, error) {
	d, err := dialectOf(path, o)
	if err != nil {
		return false, err
	}
	name, _, err := d.place(path, o)
	if err != nil || !d.embedded() || !s.dialect.embedded() {
		return name == s.path, err
	}
	a, errA := os.Stat(name)
	b, errB := os.Stat(s.path)
	return errA == nil && errB == nil && os.SameFile(a, b), nil
}

// What meta says of a copy: metaCopying while it is unfinished, and metaCopied
// afterwards, which lets it take what its source records later. Both hold a
// copyMark. metaCopy makes whoever serves it go on under another name: see
// BeginEvidence.
const (
	metaCopying = "copying"
	metaCopied  = "copied"
	metaCopy    = "copy"
)

// copyMark is how far a copy has come. It is written in the transaction of what
// it counts.
type copyMark struct {
	Of    string `json:"of"`             // what the source is called
	Head  int64  `json:"head"`           // where the source's ledger ended when the copy was begun
	Table string `json:"table"`          // which is being copied; "" when all are
	Kind  string `json:"kind,omitempty"` // of the last row that was copied, where its key begins with one
	After int64  `json:"after"`          // the id or seq of that row
	UpTo  int64  `json:"up_to"`          // when all are copied: the last entry that the copy knows
	Rows  int64  `json:"rows"`           // copied so far
}

func (m copyMark) text() string {
	b, err := json.Marshal(m)
	if err != nil {
		panic("db: the mark of a copy: " + err.Error())
	}
	return string(b)
}

// unfinishedCopy returns what an unfinished copy is a copy of, and "" for any other
// database. Whoever cannot read that finds out by what he reads next.
func unfinishedCopy(ctx context.Context, q sqlx.QueryerContext) (of string) {
	var text string
	var mark copyMark
	if sqlx.GetContext(ctx, q, &text, "SELECT value FROM meta WHERE key = ?", metaCopying) != nil {
		return ""
	}
	if json.Unmarshal([]byte(text), &mark) != nil || mark.Of == "" {
		return "another database"
	}
	return mark.Of
}

// copier copies one database into another.
//
// It goes in three steps. First the tables of events, of what stays of events, and
// the ledger up to where it ended at the beginning are copied in the order of
// their keys, page by page, each page as it is at its own moment. Whatever changes
// behind it is an entry of the ledger that comes after: the second step goes over
// those entries, in slices, and does to the copy what they say was done (replay.go).
// The last of these slices, in one moment of the source, also takes what no entry
// tells of, accounts and the like, of which there are few. In the same moment all
// rows of both sides are compared (compare.go).
//
// Nothing goes past the guards of the copy's tables: rows are added, and what the
// second step changes it changes as it was changed in the source, the entry of
// the ledger first.
type copier struct {
	ctx        context.Context
	from, to   *Store
	rowsAtOnce int
	mark       copyMark
	text       string // of the mark, as it stands in the copy
	head       int64  // the last entry of the copy's ledger
	progress   func(what string, done, all int64)
}

// copy copies all rows and verifies the copy.
func (c *copier) copy(by Actor) (*Copied, error) {
	going, err := c.look()
	if err != nil {
		return nil, err
	}
	recorded, err := c.record(by)
	if err != nil {
		return nil, err
	}
	copied, err := c.rows(going)
	if copied != nil {
		copied.Path, copied.Beside, copied.Recorded = c.to.path, c.to.beside, recorded
	}
	if err != nil || !copied.Exact() {
		return copied, err
	}
	public, err := c.from.PublicKeys()
	if err != nil {
		return nil, err
	}
	progress := func(done, all int64) { c.progress("verifying", done, all) }
	copied.Verdict, err = c.to.Verify(c.ctx, VerifyOptions{PublicKeys: public, Progress: progress})
	return copied, err
}

// rows begins a copy, or goes on with one, and brings its rows to what they are in
// the source, at the moment of the source that all of them are compared with.
func (c *copier) rows(going bool) (*Copied, error) {
	if !going {
		if err := c.begin(); err != nil {
			return nil, err
		}
	}
	copied := &Copied{}
	if err := c.tables(); err != nil {
		return nil, err
	}
	return copied, c.catchUp(copied)
}

// record leaves an audit log of the copy in the source, which is the first thing
// that the copy has of it. A source that cannot be written is copied all the same.
func (c *copier) record(by Actor) (bool, error) {
	if c.from.rw == nil {
		return false, nil
	}
	e := by.deed("COPY", object{Self + ".database", "", "the database to " + c.to.path}, nil)
	if err := c.from.Record(c.ctx, by, e); err != nil {
		return false, fmt.Errorf("record the copy: %w", err)
	}
	return true, nil
}

// look finds out whether the target is an unfinished copy of the source, which is
// gone on with, or has nothing in it. Anything else is an error.
func (c *copier) look() (going bool, err error) {
	marks := map[string]string{}
	err = eachRow(c.ctx, c.to.worker(), "SELECT key, value FROM meta WHERE key IN ('mask_key', ?, ?)", []any{metaCopying, metaCopied}, func(row scanner) error {
		var key, value string
		err := row.Scan(&key, &value)
		marks[key] = value
		return err
	})
	if err != nil {
		return false, c.to.dialect.classify(err)
	}
	text, finished := marks[metaCopying], false
	if text == "" {
		text, finished = marks[metaCopied], marks[metaCopied] != ""
	}
	if text == "" {
		what, err := c.holds(c.to.worker())
		if err == nil && what != "" {
			err = fmt.Errorf("%w: %s; name one that is new or empty", ErrExists, what)
		}
		return false, err
	}
	if err := json.Unmarshal([]byte(text), &c.mark); err != nil {
		return false, fmt.Errorf("read how far the copy has come: %w; %s and begin anew", err, c.removal())
	}
	var key string
	if err := c.from.worker().GetContext(c.ctx, &key, "SELECT value FROM meta WHERE key = 'mask_key'"); err != nil {
		return false, c.from.dialect.classify(err)
	}
	if key != marks["mask_key"] {
		return false, fmt.Errorf("%w: it is a copy of another database, %s; name one that is new or empty", ErrExists, c.mark.Of)
	}
	if err := c.sameStory(finished); err != nil {
		return false, err
	}
	c.text = text
	if finished {
		// From here on it is unfinished again, and nobody serves it.
		err = c.write("go on with the copy", c.mark, func(tx *writeTx) error {
			return c.rename(tx, metaCopied, metaCopying)
		})
	}
	return true, err
}

// sameStory checks that the last entry of the copy is one of the source: leaves are
// salted, so an equal one is the same entry.
func (c *copier) sameStory(finished bool) error {
	var leaf, same []byte
	err := c.to.worker().QueryRowxContext(c.ctx, "SELECT seq, leaf FROM ledger ORDER BY seq DESC LIMIT 1").Scan(&c.head, &leaf)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return c.to.dialect.classify(err)
	}
	err = c.from.worker().GetContext(c.ctx, &same, "SELECT leaf FROM ledger WHERE seq = ?", c.head)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return c.from.dialect.classify(err)
	}
	if err == nil && bytes.Equal(leaf, same) {
		return nil
	}
	if finished {
		return fmt.Errorf("%w: it was a copy of %s once and has gone on by itself since; name one that is new or empty", ErrExists, c.mark.Of)
	}
	return fmt.Errorf("%w: entry %d of the unfinished copy is not that of the source, which went back to an earlier state; %s and begin anew", ErrExists, c.head, c.removal())
}

// removal says how the copy is taken away.
func (c *copier) removal() string {
	if c.to.dialect.embedded() {
		return "delete " + c.to.path + " with its -wal and -shm"
	}
	return "drop the database or schema of the copy, make it again"
}

// begin makes the first mark of a copy, in a database in which there is nothing.
func (c *copier) begin() error {
	c.mark = copyMark{Of: c.from.path, Table: bulk[0].name, After: math.MinInt64}
	var key string
	if err := c.from.worker().QueryRowxContext(c.ctx, "SELECT value, (SELECT coalesce(max(seq), 0) FROM ledger) FROM meta WHERE key = 'mask_key'").Scan(&key, &c.mark.Head); err != nil {
		return fmt.Errorf("read %s: %w", c.from.path, c.from.dialect.classify(err))
	}
	text := c.mark.text()
	err := c.to.write(c.ctx, "begin the copy", func(tx *writeTx) error {
		what, err := c.holds(tx)
		if err != nil {
			return err
		}
		if what != "" {
			return fmt.Errorf("%w: %s", ErrExists, what)
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE meta SET value = ? WHERE key = 'mask_key'", key); err != nil {
			return err
		}
		_, err = tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?)", metaCopying, text)
		return err
	})
	c.text = text
	return err
}

// holds says what there is in a database that should be empty.
func (c *copier) holds(q sqlx.QueryerContext) (string, error) {
	for _, t := range wholeTables {
		if t.name == "meta" {
			continue
		}
		some, err := t.read(c.ctx, q, t.query, t.from("", math.MinInt64, math.MaxInt64, 1), true)
		if err != nil {
			return "", c.to.dialect.classify(err)
		}
		if len(some) > 0 {
			return "it has rows of " + t.name, nil
		}
	}
	return "", nil
}

// write runs fn in a transaction of the copy and moves its mark on, both or
// neither.
func (c *copier) write(op string, next copyMark, fn func(tx *writeTx) error) error {
	text := next.text()
	head := c.head
	err := c.to.write(c.ctx, op, func(tx *writeTx) error {
		if tx.seq != c.head {
			return errElsewhere
		}
		if err := fn(tx); err != nil {
			return err
		}
		head = tx.seq
		result, err := tx.ExecContext(tx.ctx, "UPDATE meta SET value = ? WHERE key = ? AND value = ?", text, metaCopying, c.text)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errElsewhere, err)
		}
		return nil
	})
	if err == nil {
		c.mark, c.text, c.head = next, text, head
	}
	return err
}

// errElsewhere says that the copy is not what this copier left.
var errElsewhere = fmt.Errorf("another program writes into the copy: %w; let one of them go on", ErrConflict)

func (c *copier) rename(tx *writeTx, from, to string) error {
	_, err := tx.ExecContext(tx.ctx, "UPDATE meta SET key = ? WHERE key = ?", to, from)
	return err
}

// finish makes the copy a database like any other. kept, if not "", is the mark
// that it keeps under the name key.
func (c *copier) finish(key, kept, reason string) error {
	reason += " of " + audit.FormatTime(c.to.now())
	return c.to.write(c.ctx, "finish the copy", func(tx *writeTx) error {
		result, err := tx.ExecContext(tx.ctx, "DELETE FROM meta WHERE key = ? AND value = ?", metaCopying, c.text)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 || tx.seq != c.head {
			return errors.Join(errElsewhere, err)
		}
		if kept != "" {
			if _, err := tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?)", key, kept); err != nil {
				return err
			}
		}
		if _, err = tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", metaCopy, reason); err != nil {
			return err
		}
		// What the head says of the newest events is of the rows that were put in
		// here, behind the back of the append.
		tx.newest = nil
		for _, kind := range audit.Kinds() {
			if _, err := tx.tail(kind); err != nil {
				return err
			}
		}
		return tx.dialect.advance(tx)
	})
}

// derive makes what a database derives from its events, so that the first pages are
// as fast as any.
func (c *copier) derive() error {
	c.progress("indexing", 0, 1)
	err := errors.Join(c.to.Index(c.ctx), c.to.growTree(c.ctx))
	c.progress("indexing", 1, 1)
	return err
}

// behind is how many entries the source has more by now.
func (c *copier) behind() (n int64, err error) {
	err = c.from.worker().GetContext(c.ctx, &n, "SELECT coalesce(max(seq), 0) FROM ledger")
	return n - c.mark.UpTo, c.from.dialect.classify(err)
}

// tables is the first step.
func (c *copier) tables() error {
	if c.mark.Table == "" {
		return nil
	}
	at := 0
	for at < len(bulk) && bulk[at].name != c.mark.Table {
		at++
	}
	if at == len(bulk) {
		return fmt.Errorf("the copy was begun by another version, which copied a table %q: use that one, or %s and begin anew", c.mark.Table, c.removal())
	}
	for ; at < len(bulk); at++ {
		t := bulk[at]
		if c.mark.Table != t.name {
			c.mark.Table, c.mark.Kind, c.mark.After = t.name, "", math.MinInt64
		}
		if err := c.table(t); err != nil {
			return err
		}
	}
	c.to.dialect.survey(c.ctx, c.to.side, bulk)
	c.mark.Table, c.mark.Kind, c.mark.After, c.mark.UpTo = "", "", 0, c.mark.Head
	return nil
}

// table copies what is left of a table, page by page: while one is written the
// next one is read.
func (c *copier) table(t *wholeTable) error {
	upTo := int64(math.MaxInt64)
	if t.name == "ledger" {
		upTo = c.mark.Head
	}
	ctx, cancel := context.WithCancel(c.ctx)
	pages := t.pages(ctx, c.from.moments(ctx), c.rowsAtOnce, c.mark.Kind, c.mark.After, upTo)
	defer func() {
		cancel()
		for range pages { // until nobody reads any more
		}
	}()
	for p := range pages {
		if p.err != nil {
			return fmt.Errorf("read %s of %s: %w", t.name, c.from.path, c.from.dialect.classify(p.err))
		}
		if err := c.fits(t, p); err != nil {
			return err
		}
		if t.kind != "" {
			c.to.dialect.makeRoomFor(c.ctx, c.to.side, t.kind, p.numbers(t))
		}
		next := c.mark
		next.Kind, next.After = t.keyOf(p.row(t, p.rows-1))
		next.Rows += int64(p.rows)
		err := c.write("copy rows of "+t.name, next, func(tx *writeTx) error {
			if t.name == "ledger" {
				tx.stand(t, p.row(t, p.rows-1))
			}
			return tx.insert(t, p.args)
		})
		if err != nil {
			return err
		}
		c.progress("copying", min(c.mark.Rows, 2*c.mark.Head), 2*c.mark.Head) // an entry for each event, and few that are none
	}
	return c.ctx.Err()
}

// stand says that the ledger ends with an entry.
func (tx *writeTx) stand(t *wholeTable, entry []any) {
	tx.seq, _ = entry[t.at("seq")].(int64)
	leaf, _ := entry[t.at("leaf")].([]byte)
	tx.leaf, _ = parseRoot(leaf)
}

// insert adds rows to a table: as many as args hold.
func (tx *writeTx) insert(t *wholeTable, args []any) error {
	rows := &rowBuffer{statements: &t.inserts, width: len(t.columns), table: t.name, columns: t.columns, args: args}
	if done, err := tx.dialect.copyIn(tx, rows); done || err != nil {
		return err
	}
	return rows.write(tx, true)
}

// fits refuses a value that the copy's engine could only hold as another one. It
// was put into the source past this program, or its file is damaged.
func (c *copier) fits(t *wholeTable, p rowPage) error {
	if c.to.dialect.embedded() {
		return nil
	}
	for i, v := range p.args {
		if text, is := v.(string); is && stored(text) != text {
			row := i / len(t.columns)
			return fmt.Errorf("%s %s: its %s is no text that the copy could hold; run 'auditadmin verify' on the source, and copy what 'auditadmin salvage' keeps of it: %w",
				t.name, t.nameOf(p.row(t, row)), t.columns[i%len(t.columns)], ErrDamaged)
		}
	}
	return nil
}
