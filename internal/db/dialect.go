package db

import (
	"context"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// dialectOf returns the dialect of the engine that a path or address names.
func dialectOf(path string, o Options) (dialect, error) {
	if isPostgres(path) {
		return newPostgresDialect(path, o)
	}
	return sqliteDialect{}, nil
}

func isPostgres(path string) bool {
	return strings.HasPrefix(path, "postgres://") || strings.HasPrefix(path, "postgresql://")
}

// dialect is all that differs from one engine to another. Everything outside
// its implementations is SQL that every engine takes, with ? for parameters.
type dialect interface {
	// embedded reports whether the database is a file that this program itself
	// writes, so that the space on its disk is this program's to look after.
	embedded() bool

	// place returns what pages and messages call the database, without a secret,
	// and what the names of the files beside it begin with.
	place(path string, o Options) (name, beside string, err error)

	// open opens the database at path, creating or upgrading it where o allows,
	// as one connection that writes and a pool that cannot. Read-only, the
	// writer is nil.
	open(ctx context.Context, path string, o Options) (writer, readers *sqlx.DB, err error)

	// readers opens another pool that cannot write, of a database that is open.
	readers(ctx context.Context, path string, o Options) (*sqlx.DB, error)

	// near opens a pool that cannot write, for what the readers may not read, such as
	// who may sign in; nil where they may.
	near(ctx context.Context, path string, o Options) (*sqlx.DB, error)

	// replica reports whether the server is one that follows another, and lag how long
	// ago the last change was made that has arrived there; 0 where none is on its way.
	replica(ctx context.Context, db *sqlx.DB) (bool, error)
	lag(ctx context.Context, db *sqlx.DB) (time.Duration, error)

	// superuser gives a transaction the right to do what superusers do, up to its end.
	superuser(ctx context.Context, tx *sqlx.Tx) error

	// watch returns a check that what was opened at path is still what is there:
	// its error wraps ErrMoved.
	watch(path string) (inPlace func() error, err error)

	// version names the engine and its version.
	version(ctx context.Context, db *sqlx.DB) (string, error)

	// partPages is how many pages of the database a part of the text index may fill.
	partPages() int

	// warnings says what of the server's settings may lose what was acknowledged.
	warnings() []string

	// storage measures what the database takes up, itself first and then the files
	// beside it, and the file system it is on; 0 where that is not known.
	storage(ctx context.Context, db *sqlx.DB, beside string) (files []FileHealth, free, size int64, err error)

	// classify wraps the sentinel of this package that an engine's error means,
	// and returns any other error as it is.
	classify(err error) error

	// among returns a condition that holds where a column of ids is one of ids,
	// and its arguments. One argument for all of them is cheaper than one each; those
	// of an engine that parts its tables by id are their bounds as well.
	among(column string, ids []int64) (condition string, args []any)

	// bounds returns a condition, to go with narrower ones, that holds for the ids from
	// lo to hi, where a table has parts that it spares; it begins with AND. Where a
	// table has none it is empty: it would be taken for the way in.
	bounds(column string, lo, hi int64) (condition string, args []any)

	// inOne is a statement for rows of a kind, called e, that fulfil a condition, for
	// engines that hand over one value sooner than many. It selects how many they are,
	// joinedMost at most, how many of them are long, and all of them as one text, newest
	// first: the columns that are named, of which the first are e.id and e.seq, with a
	// partBreak behind each and NULL as nothing; of a long one the id alone with two of
	// them.
	inOne(kind audit.Kind, names []string, condition string) (statement string, ok bool)

	// list returns a table of numbers, with their places from 0 on in column key and
	// themselves in column value, and its argument.
	list(numbers []int64) (table string, argument any)

	// partsAtOnce is about how many parts of the text index are rather read in one
	// statement than one after another, of which the later ones may not be needed.
	partsAtOnce() int

	// joined is the expression for two columns of bytes one behind the other.
	joined(a, b string) string

	// sound is a condition that holds where columns that are named, with commas
	// between them, hold text and others hold bytes or NULL. Either may be "".
	sound(texts, blobs string) string

	// rowReaders and ledgerReader are the statements of the verification.
	rowReaders() map[audit.Kind]*rowReader
	ledgerReader() *ledgerReader

	// head is the first statement of every write transaction. It returns where the
	// ledger ends, which nobody else changes until the transaction is over.
	head(ctx context.Context, tx *sqlx.Tx) (ledgerHead, error)

	// advance is the last one of a transaction that added entries.
	advance(tx *writeTx) error

	// derived lets a transaction be acknowledged before it is on the disk: it makes
	// only what can be made again, and what comes after it is never there without it.
	derived(ctx context.Context, tx *sqlx.Tx) error

	// contended reports whether others wait to write as well, so that whoever takes long
	// keeps them waiting.
	contended() bool

	// scattered reports whether what one transaction committed may be seen in the ledger
	// a while before it is in the tables of events, on machines of their own.
	scattered() bool

	// settle finds out whether a transaction whose commit failed with err took place
	// all the same, because the answer alone was lost: then it returns nil, and
	// otherwise the error, which may be tried again if it wraps ErrAway.
	settle(ctx context.Context, db *sqlx.DB, before ledgerHead, tx *writeTx, err error) error

	// losses is a number that is another one after a connection was lost, when it may
	// be another machine that answers.
	losses() int64

	// makeRoom makes the parts of tables that events will stand in, on a connection
	// of side. Where it cannot, they stand somewhere all the same.
	makeRoom(ctx context.Context, side *sqlx.DB, events []*audit.Event)

	// makeRoomFor is makeRoom for events that have their ids already.
	makeRoomFor(ctx context.Context, side *sqlx.DB, kind audit.Kind, ids []int64)

	// inOrder makes the statements of a transaction read by their key what they want
	// in its order, though the engine may not know yet how large a table is.
	inOrder(ctx context.Context, tx *sqlx.Tx) error

	// survey lets the engine look at what is in tables that were just filled.
	survey(ctx context.Context, side *sqlx.DB, tables []*wholeTable)

	// gathers reports whether rows of an append are gathered for copyIn, which stores
	// them at once, or reports false for so few that a statement is as good.
	gathers() bool
	copyIn(tx *writeTx, rows *rowBuffer) (bool, error)

	// insert runs a statement that inserts rows. Its arguments are nil, int64, float64,
	// bool, string or []byte.
	insert(tx *writeTx, statement string, args []any) error

	// scrub takes what was deleted out of what the engine keeps beside its data,
	// and reports whether all of it is gone.
	scrub(ctx context.Context, writer *sqlx.DB) (bool, error)

	// side opens one more connection that writes, for writeBack and makeRoom, of a
	// database that is open for writing.
	side(ctx context.Context, path string, o Options) (*sqlx.DB, error)

	// parts returns the parts of a kind's table that can be dropped, in the order of
	// their ids; nil for an engine whose tables are whole.
	parts(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind) ([]tablePart, error)

	// apart begins a transaction on a connection of its own, which may take its time
	// to prepare that a part is dropped, or returns nil where another one does so just
	// now. lockPart then locks the head and, against everybody, the part and what it
	// is a part of: it waits for readers only while nobody waits for long, and its
	// error wraps ErrBusy where they do not end. placePurges gives the rows of purge
	// that were written under the numbers -1, -2 and so on the ones after an entry,
	// and dropPart drops the part.
	apart(ctx context.Context) (*apart, error)
	lockPart(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, part tablePart) (ledgerHead, error)
	placePurges(tx *writeTx, after int64) error
	dropPart(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, part tablePart) error

	// unplaced returns what of each kind stands in no part of its table; nil for an
	// engine whose tables are whole.
	unplaced(ctx context.Context, q sqlx.QueryerContext) (map[audit.Kind]Unplaced, error)

	// writeBack does beside whoever reads and writes what the writer would stop for
	// otherwise: writes the log back into the database where much of it is not there
	// yet, or makes the next parts of tables. It is called after commits.
	writeBack(ctx context.Context, side *sqlx.DB) error

	// growth returns by how many bytes what is stored at path grows when scrub
	// writes the log back, and pauseLog keeps the engine from doing so by itself,
	// or lets it again.
	growth(ctx context.Context, writer *sqlx.DB, path string) (int64, error)
	pauseLog(ctx context.Context, writer *sqlx.DB, pause bool) error
}

// ledgerHead is where the ledger ends.
type ledgerHead struct {
	seq        int64
	recordedAt string               // of the entry seq; "" where there is none
	mark       string               // what the engine calls the transaction that asked; "" for nothing
	newest     map[audit.Kind]int64 // the highest id there ever was of each kind, or more; nil where each has to be looked for
}

// tablePart is a part of a table: the events with from <= id < to.
type tablePart struct {
	name     string
	from, to int64
}

// apart is a transaction on a connection of its own.
type apart struct {
	db   *sqlx.DB
	tx   *sqlx.Tx
	conn *sqlx.Conn
	end  func(broken bool)
}

func (a *apart) close() {
	a.end(false)
	a.db.Close()
}
