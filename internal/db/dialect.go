package db

import (
	"context"

	"github.com/jmoiron/sqlx"
)

// dialect is all that differs from one engine to another. Everything outside
// its implementations is SQL that every engine takes, with ? for parameters.
type dialect interface {
	// open opens the database at path, creating or upgrading it where o allows,
	// as one connection that writes and a pool that cannot. Read-only, the
	// writer is nil.
	open(ctx context.Context, path string, o Options) (writer, readers *sqlx.DB, err error)

	// readers opens another pool that cannot write, of a database that is open.
	readers(ctx context.Context, path string, o Options) (*sqlx.DB, error)

	// watch returns a check that what was opened at path is still what is there:
	// its error wraps ErrMoved.
	watch(path string) (inPlace func() error, err error)

	// version names the engine and its version.
	version(ctx context.Context, db *sqlx.DB) (string, error)

	// classify wraps the sentinel of this package that an engine's error means,
	// and returns any other error as it is.
	classify(err error) error

	// among returns a condition that holds where a column of ids is one of ids,
	// and its argument. One argument for all of them is cheaper than one each.
	among(column string, ids []int64) (condition string, argument any)

	// inOne is an expression for columns as one text with partBreak between them and
	// NULL as nothing, for engines that hand over one value sooner than many.
	inOne(columns []string) (expression string, ok bool)

	// scrub takes what was deleted out of what the engine keeps beside its data,
	// and reports whether all of it is gone.
	scrub(ctx context.Context, writer *sqlx.DB) (bool, error)

	// side opens one more connection that writes, for writeBack, of a database that
	// is open for writing.
	side(ctx context.Context, path string, o Options) (*sqlx.DB, error)

	// writeBack writes the log back into the database where much of it is not there
	// yet, beside whoever reads and writes: of what the writer would stop for, next to
	// nothing is left then.
	writeBack(ctx context.Context, side *sqlx.DB) error

	// growth returns by how many bytes what is stored at path grows when scrub
	// writes the log back, and pauseLog keeps the engine from doing so by itself,
	// or lets it again.
	growth(ctx context.Context, writer *sqlx.DB, path string) (int64, error)
	pauseLog(ctx context.Context, writer *sqlx.DB, pause bool) error
}
