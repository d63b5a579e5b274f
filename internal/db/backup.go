package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin/audit"
)

// Backup is what Store.Backup made.
type Backup struct {
	Path    string
	Size    int64    // bytes
	Entries int64    // of the ledger: what was recorded later is not in it
	Verdict *Verdict // of the copy's evidence
}

// backupPages is how many pages are copied at a time: some milliseconds' worth.
const backupPages = 2048

// Backup copies the database to a new file while others write: everything up to
// one moment, and nothing of what came after. It returns when the copy was read
// again and checked, and is safe on the disk under its name; before that there is
// only a file beside it that ends in .part, and on an error there is nothing. A
// file that is there already is not touched: the error wraps fs.ErrExist.
//
// progress, if not nil, is called with the parts of the work that are done, of
// all. The evidence of the copy may not hold, where that of the database itself
// does not: the verdict says so, and the copy stays.
func (s *Store) Backup(ctx context.Context, by Actor, path string, progress func(what string, done, all int64)) (*Backup, error) {
	fail := func(err error) (*Backup, error) { return nil, fmt.Errorf("back up to %s: %w", path, err) }
	if _, err := os.Lstat(path); err == nil {
		return fail(fmt.Errorf("%w: choose a name that is free", fs.ErrExist))
	}
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part") // for its owner alone
	if err != nil {
		return fail(err)
	}
	part := f.Name()
	defer os.Remove(part)
	defer f.Close()
	b := &Backup{Path: path}
	if s.dialect.embedded() {
		err = sqliteCopy(ctx, s.path, part, func(done, all int64) { progress("copying", done, all) })
		if err == nil {
			err = s.markCopy(ctx, part)
		}
	} else {
		err = s.copyToFile(ctx, part, progress)
	}
	if err != nil {
		return fail(s.dialect.classify(err))
	}
	if err := s.inspect(ctx, part, b, func(done, all int64) { progress("verifying", done, all) }); err != nil {
		return fail(err)
	}
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	b.Size = info.Size()
	if err := publish(f, path); err != nil {
		return fail(err)
	}
	return b, s.noteBackup(ctx, by, b)
}

// copyToFile makes a file of a database on a server, one that needs no other beside
// it. What is derived is made when it is first opened.
func (s *Store) copyToFile(ctx context.Context, part string, progress func(what string, done, all int64)) error {
	to, err := Open(ctx, part, Options{Schema: s.schema, Now: s.now, copying: wholeRows})
	if err != nil {
		return err
	}
	c := &copier{ctx: ctx, from: s, to: to, rowsAtOnce: wholeRows, progress: progress}
	copied, err := c.rows(false)
	if err == nil && !copied.Exact() {
		err = fmt.Errorf("the copy differs in %d places, the first being %v; look with 'auditadmin verify'", int64(len(copied.Differences))+copied.More, copied.Differences[0])
	}
	if err == nil {
		err = c.finish("", "", "the backup")
	}
	if err == nil {
		_, err = to.rw.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	abs, err := filepath.Abs(part)
	if err != nil {
		return err
	}
	file := sqliteConnect(abs, url.Values{}, nil, "PRAGMA foreign_keys", "0")
	defer file.Close()
	var mode string
	if err := file.GetContext(ctx, &mode, "PRAGMA journal_mode = DELETE"); err != nil || mode != "delete" {
		return errors.Join(fmt.Errorf("the copy stays in journal mode %s", mode), err)
	}
	return nil
}

// markCopy makes a copy say that it is one. Whoever serves it goes on under
// another name then: see BeginEvidence.
func (s *Store) markCopy(ctx context.Context, part string) error {
	abs, err := filepath.Abs(part)
	if err != nil {
		return err
	}
	copied := sqliteConnect(abs, url.Values{}, nil, "PRAGMA foreign_keys", "0")
	defer copied.Close()
	_, err = copied.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('copy', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		"the backup of "+audit.FormatTime(s.now()))
	return err
}

// inspect opens a copy as any database is opened, and looks at all of it.
func (s *Store) inspect(ctx context.Context, part string, b *Backup, progress func(done, all int64)) error {
	copied, err := Open(ctx, part, Options{ReadOnly: true, Now: s.now})
	if err != nil {
		return err
	}
	defer copied.Close()
	var sound string
	if err := copied.ro.GetContext(ctx, &sound, "PRAGMA integrity_check(1)"); err != nil {
		return copied.dialect.classify(err)
	}
	if sound != "ok" {
		return fmt.Errorf("the copy is damaged, and so is the database: %s; 'auditadmin salvage' keeps what can be read of it", sound)
	}
	if b.Entries, _, err = copied.head(ctx); err != nil {
		return copied.dialect.classify(err)
	}
	b.Verdict, err = copied.Verify(ctx, VerifyOptions{Progress: progress})
	return err
}

// backupMetadata is what the audit log of a backup says of it.
type backupMetadata struct {
	File          string `json:"file"`
	Bytes         int64  `json:"bytes"`
	Entries       int64  `json:"entries"`
	EvidenceHolds bool   `json:"evidence_holds"`
}

// noteBackup records that a backup was made.
func (s *Store) noteBackup(ctx context.Context, by Actor, b *Backup) error {
	return s.write(ctx, "record the backup", func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			metaBackup, fmt.Sprintf("%s %d", audit.FormatTime(tx.now), b.Size))
		if err != nil {
			return err
		}
		e := by.deed("BACKUP", object{Self + ".database", "", "the database to " + filepath.Base(b.Path)}, nil)
		metadata, err := json.Marshal(backupMetadata{filepath.Base(b.Path), b.Size, b.Entries, b.Verdict.Holds()})
		if err != nil {
			return err
		}
		e.Set("metadata", string(metadata))
		return tx.record(e)
	})
}

// sqliteCopy copies a database, as it is at one moment, into an empty file. The
// source is read in one transaction from the first page to the last, so that
// what others write meanwhile neither shows nor makes it begin anew.
func sqliteCopy(ctx context.Context, from, to string, progress func(done, all int64)) error {
	abs, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	settings := url.Values{"mode": {"ro"}, "_busy_timeout": {"2000"}}
	source := sqliteConnect(abs, settings, nil, "PRAGMA foreign_keys", "0")
	defer source.Close()
	if abs, err = filepath.Abs(to); err != nil {
		return err
	}
	target := sqliteConnect(abs, url.Values{}, []string{"PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF"}, "PRAGMA foreign_keys", "0")
	defer target.Close()
	src, err := source.Conn(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := target.Conn(ctx)
	if err != nil {
		return err
	}
	defer dst.Close()
	if _, err := src.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	var tables int
	if err := src.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	if err := onDriver(dst, func(d *sqlite3.SQLiteConn) error {
		return onDriver(src, func(s *sqlite3.SQLiteConn) error { return copyPages(ctx, d, s, progress) })
	}); err != nil {
		return err
	}
	// One file that needs no other beside it, wherever it is put.
	var mode string
	if err := dst.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("the copy stays in journal mode %s", mode)
	}
	return nil
}

func copyPages(ctx context.Context, to, from *sqlite3.SQLiteConn, progress func(done, all int64)) error {
	b, err := to.Backup("main", from, "main")
	if err != nil {
		return err
	}
	for {
		done, err := b.Step(backupPages)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
		progress(int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
		if done {
			return b.Close()
		}
	}
}

// onDriver hands over the connection of the driver underneath.
func onDriver(c *sql.Conn, do func(*sqlite3.SQLiteConn) error) error {
	return c.Raw(func(driver any) error {
		conn, ok := driver.(*sqlite3.SQLiteConn)
		if !ok {
			return fmt.Errorf("a connection of %T", driver)
		}
		return do(conn)
	})
}
