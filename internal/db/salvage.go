package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin/audit"
)

// Salvaged is what Salvage could keep of a damaged database.
type Salvaged struct {
	Entries int64 // of the ledger
	Events  int64 // whose evidence holds
	Lost    []Lost
	More    int64 // how many further ones were lost: Lost names 10,000 at most
}

// Lost is a row, or a run of rows of the ledger, that could not be kept.
type Lost struct {
	Table    string
	From, To int64  // ids, or places in the ledger
	Why      string // without a full stop
}

// String says it in one line.
func (l Lost) String() string {
	if l.From == l.To {
		return fmt.Sprintf("%s %d: %s", l.Table, l.From, l.Why)
	}
	return fmt.Sprintf("%s %d to %d: %s", l.Table, l.From, l.To, l.Why)
}

const (
	lostNamed    = 10_000
	salvageRange = 1024 // entries of the ledger that are read at once
	leastEntry   = 32   // bytes that an entry takes up at least: its leaf
)

// besides are the tables that are kept as far as they can be read, in an order
// in which each finds what it refers to. What is derived is made anew.
var besides = []string{"meta", "setting", "account", "recovery_code", "token", "tombstone", "redaction", "purge", "hold", "incarnation", "checkpoint"}

// Salvage reads what can be read of a damaged database into a new one, which must
// not be there yet: every event whose evidence holds, with its place in the
// ledger, and what belongs to it. Events that are not what was recorded, and those
// whose entry in the ledger is gone, are left out and named. The damaged file is
// only read: the work is done on a copy of it, which goes away at the end.
//
// progress, if not nil, is called with how many entries are done, of all.
func Salvage(ctx context.Context, damaged, fresh string, o Options, progress func(done, all int64)) (*Salvaged, error) {
	fail := func(err error) (*Salvaged, error) { return nil, fmt.Errorf("salvage %s: %w", damaged, err) }
	for _, path := range []string{damaged, fresh} {
		if d, err := dialectOf(path, o); err != nil || !d.embedded() {
			return fail(errors.New("it is for files; a database on a server comes back from what pg_basebackup or pg_dump made"))
		}
	}
	if _, err := os.Lstat(fresh); err == nil {
		return fail(fmt.Errorf("%s: %w: choose a name that is free", fresh, fs.ErrExist))
	}
	folder, err := os.MkdirTemp(filepath.Dir(fresh), ".salvage-*")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(folder)
	work := filepath.Join(folder, "damaged.db")
	size := int64(0)
	for _, suffix := range []string{"", "-wal"} {
		n, err := copyFile(damaged+suffix, work+suffix)
		if err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return fail(err)
		}
		size += n
	}
	from, err := Open(ctx, work, Options{ReadOnly: true, Now: o.Now})
	if err != nil {
		return fail(fmt.Errorf("not even its first page can be read: %w", err))
	}
	defer from.Close()
	part := filepath.Join(folder, "salvaged.db")
	to, err := Open(ctx, part, o)
	if err != nil {
		return fail(err)
	}
	s := &salvage{ctx: ctx, from: from, to: to, found: &Salvaged{}, most: size / leastEntry, progress: progress}
	err = s.all()
	if err == nil {
		_, err = to.dialect.scrub(ctx, to.rw) // so that the file is all there is
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fail(err)
	}
	f, err := os.Open(part)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if err := publish(f, fresh); err != nil {
		return fail(err)
	}
	return s.found, nil
}

// copyFile returns how many bytes it copied.
func copyFile(from, to string) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	return n, errors.Join(err, out.Close())
}

type salvage struct {
	ctx      context.Context
	from, to *Store
	found    *Salvaged
	head     int64
	most     int64 // entries that the file has room for
	progress func(done, all int64)
}

func (s *salvage) lost(table string, from, to int64, why error) {
	if len(s.found.Lost) == lostNamed {
		s.found.More++
		return
	}
	s.found.Lost = append(s.found.Lost, Lost{table, from, to, why.Error()})
}

func (s *salvage) all() error {
	if _, err := s.to.rw.ExecContext(s.ctx, "DELETE FROM meta"); err != nil { // its own, for those of the damaged one
		return err
	}
	for _, table := range besides {
		if err := s.table(table); err != nil {
			return err
		}
	}
	// Where the ledger ends is asked of everything that knows it: any one of them
	// may be what cannot be read, or not what it was. Nothing of the ledger is ever
	// taken away, so it is no longer than there is room for.
	for _, query := range []string{"SELECT max(seq) FROM ledger", "SELECT max(size) FROM checkpoint", "SELECT max(seq) FROM audit_log",
		"SELECT max(seq) FROM login_attempt", "SELECT max(seq) FROM data_export", "SELECT max(seq) FROM system_event"} {
		var n *int64
		if s.from.ro.GetContext(s.ctx, &n, query) == nil && n != nil && *n <= s.most {
			s.head = max(s.head, *n)
		}
	}
	for first := int64(1); first <= s.head; first += salvageRange {
		if err := s.entries(first, min(first+salvageRange-1, s.head)); err != nil {
			return err
		}
		if s.progress != nil {
			s.progress(min(first+salvageRange-1, s.head), s.head)
		}
	}
	return s.ctx.Err()
}

// table copies a small table as far as it can be read.
func (s *salvage) table(name string) error {
	rows, err := s.rows("SELECT * FROM " + name)
	if err != nil {
		s.lost(name, 0, 0, fmt.Errorf("not all of it can be read (%w)", err))
	}
	_, err = s.insert(name, rows, func(row row) bool {
		key, _ := row.values["key"].(string)
		return name != "meta" || !strings.HasPrefix(key, "search:") // derived
	})
	return err
}

// row is a row of any table.
type row struct {
	columns []string
	cells   []any
	values  map[string]any
}

// rows reads what a statement finds, up to the first place that cannot be read.
func (s *salvage) rows(statement string, args ...any) (all []row, err error) {
	rows, err := s.from.ro.QueryxContext(s.ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	for err == nil && rows.Next() {
		r := row{columns: columns, values: map[string]any{}}
		if r.cells, err = rows.SliceScan(); err == nil {
			for i, c := range columns {
				r.values[c] = r.cells[i]
			}
			all = append(all, r)
		}
	}
	return all, errors.Join(err, rows.Err())
}

// insert writes rows into a table of the new database, all at once.
// One that does not fit, since it was damaged, is lost.
func (s *salvage) insert(table string, rows []row, keep func(row) bool) (kept int64, err error) {
	err = s.to.write(s.ctx, "keep rows of "+table, func(tx *writeTx) error {
		kept = 0
		for _, r := range rows {
			if keep != nil && !keep(r) {
				continue
			}
			statement := "INSERT INTO " + table + " (" + strings.Join(r.columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(r.columns)-1) + ")"
			var refused sqlite3.Error
			_, err := tx.ExecContext(tx.ctx, statement, r.cells...)
			switch {
			case errors.As(err, &refused) && refused.Code == sqlite3.ErrConstraint || errors.As(err, &refused) && refused.Code == sqlite3.ErrMismatch:
				s.lost(table, r.key(), r.key(), fmt.Errorf("the row is none that could have been recorded (%w)", err))
			case err != nil:
				return err
			default:
				kept++
			}
		}
		return nil
	})
	return kept, err
}

// key is what names a row: its place in the ledger, or its id.
func (r row) key() int64 {
	for _, column := range []string{"seq", "id"} {
		if n, ok := r.values[column].(int64); ok {
			return n
		}
	}
	return 0
}

// entries keeps the entries of the ledger from first to last with their events. A
// run that cannot be read is halved, down to the entries that are the damage.
func (s *salvage) entries(first, last int64) error {
	rows, err := s.rows("SELECT * FROM ledger WHERE seq BETWEEN ? AND ? ORDER BY seq", first, last)
	if err != nil {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if first < last {
			middle := first + (last-first)/2
			if err := s.entries(first, middle); err != nil {
				return err
			}
			return s.entries(middle+1, last)
		}
		s.lost("ledger", first, last, fmt.Errorf("the entry cannot be read, and so the evidence of its event is gone (%w)", err))
		return nil
	}
	events := map[audit.Kind][]row{}
	for _, entry := range rows {
		if err := s.event(entry, events); err != nil {
			return err
		}
	}
	kept, err := s.insert("ledger", rows, nil)
	if err != nil {
		return err
	}
	s.found.Entries += kept
	for _, kind := range audit.Kinds() {
		kept, err := s.insert(string(kind), events[kind], nil)
		if err != nil {
			return err
		}
		s.found.Events += kept
	}
	return nil
}

// event adds the event that an entry created, if that is what was recorded.
func (s *salvage) event(entry row, events map[audit.Kind][]row) error {
	name, _ := entry.values["kind"].(string)
	kind, known := audit.ParseKind(name)
	id, _ := entry.values["id"].(int64)
	if entry.values["entry"] != "created" || !known {
		return nil
	}
	_, _, err := s.from.proofOf(s.ctx, kind, id)
	if errors.Is(err, ErrDeleted) {
		return nil // its tombstone, or its purge, is there
	}
	var rows []row
	if err == nil {
		rows, err = s.rows("SELECT * FROM "+name+" WHERE id = ?", id)
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err != nil {
		s.lost(name, id, id, err)
		return nil
	}
	for _, r := range rows { // the leaf is over the time in the event: that of the entry was not read as it was
		entry.cells[slices.Index(entry.columns, "recorded_at")] = r.values["recorded_at"]
	}
	events[kind] = append(events[kind], rows...)
	return nil
}
