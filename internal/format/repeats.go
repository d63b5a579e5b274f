package format

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/mattn/go-sqlite3" // the temporary table

	"github.com/auditadmin/auditadmin/internal/db"
)

// content names what an event says: its time in microseconds and a digest of
// the rest. The time stands first so that sorted input is counted in order.
type content struct {
	micros int64
	digest db.Content
}

// repeats counts how often each content came, in bounded memory: the newest
// contents are held in a map, and older ones in a table in a temporary file.
type repeats struct {
	most   int // contents in the map
	recent map[content]int64
	old    *sql.DB // nil until the map was full once
	dir    string
	// Contents outside of these times are not in the table, which spares sorted
	// input from ever looking there.
	oldest, newest int64
}

func newRepeats(most int) *repeats {
	return &repeats{most: most, recent: map[content]int64{}}
}

// next returns 1 for the first time a content comes, 2 for the second.
func (r *repeats) next(ctx context.Context, c content) (int64, error) {
	n, ok := r.recent[c]
	if !ok && r.old != nil && r.oldest <= c.micros && c.micros <= r.newest {
		err := r.old.QueryRowContext(ctx, `SELECT n FROM seen WHERE micros = ? AND digest = ?`, c.micros, c.digest[:]).Scan(&n)
		if err != nil && err != sql.ErrNoRows {
			return 0, fmt.Errorf("count repeated lines: %w", err)
		}
	}
	if !ok && len(r.recent) >= r.most {
		if err := r.spill(ctx); err != nil {
			return 0, fmt.Errorf("count repeated lines in a temporary file: %w", err)
		}
	}
	r.recent[c] = n + 1
	return n + 1, nil
}

// spillRows is how many contents one statement moves.
const spillRows = 50

// spill moves the map into the table.
func (r *repeats) spill(ctx context.Context) error {
	if r.old == nil {
		if err := r.create(ctx); err != nil {
			return err
		}
	}
	tx, err := r.old.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// In the order of the table, whose pages are then written one after the other.
	all := slices.SortedFunc(maps.Keys(r.recent), func(a, b content) int {
		return cmp.Or(cmp.Compare(a.micros, b.micros), bytes.Compare(a.digest[:], b.digest[:]))
	})
	args := make([]any, 0, 3*spillRows)
	for some := range slices.Chunk(all, spillRows) {
		args = args[:0]
		for i := range some {
			args = append(args, some[i].micros, some[i].digest[:], r.recent[some[i]])
		}
		put := `INSERT INTO seen VALUES (?, ?, ?)` + strings.Repeat(`, (?, ?, ?)`, len(some)-1) + ` ON CONFLICT DO UPDATE SET n = excluded.n`
		if _, err := tx.ExecContext(ctx, put, args...); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		r.oldest, r.newest = min(r.oldest, all[0].micros), max(r.newest, all[len(all)-1].micros)
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	clear(r.recent)
	return nil
}

func (r *repeats) create(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "auditadmin-import-")
	if err != nil {
		return err
	}
	r.dir = dir
	// Nothing in it outlives the import, so it needs no journal and no sync.
	r.old, err = sql.Open("sqlite3", fileURI(filepath.Join(dir, "seen.sqlite3"), "_journal_mode=OFF&_synchronous=OFF&_stmt_cache_size=4"))
	if err != nil {
		return err
	}
	r.old.SetMaxOpenConns(1)
	r.oldest, r.newest = 1<<63-1, -1<<63
	_, err = r.old.ExecContext(ctx, `CREATE TABLE seen (micros INTEGER, digest BLOB, n INTEGER, PRIMARY KEY (micros, digest)) WITHOUT ROWID`)
	return err
}

// reset forgets everything, for the next file.
func (r *repeats) reset() error {
	clear(r.recent)
	return r.close()
}

// close removes the temporary file. The counts are lost.
func (r *repeats) close() error {
	var err error
	if r.old != nil {
		err = r.old.Close()
		r.old = nil
	}
	if r.dir != "" {
		os.RemoveAll(r.dir)
		r.dir = ""
	}
	return err
}
