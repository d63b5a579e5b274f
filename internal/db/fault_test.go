package db

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// TestLockedByAnother holds the write lock as another program would: reading
// goes on, writing says so in time, and loses nothing.
func TestLockedByAnother(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "event_id", "before"))
	other, err := sqlx.Open("sqlite3", s.Path()+"?_txlock=exclusive")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if err := s.write(ctx, "test", func(*writeTx) error { return nil }); !errors.Is(err, ErrBusy) {
		t.Errorf("write while locked: %v, want ErrBusy", err)
	}
	if got := countAll(t, s, audit.KindAuditLog, ""); got != 1 {
		t.Errorf("%d events while locked, want 1", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := mustAppend(t, s, event(t, "event_id", "after")); got.Accepted != 1 {
		t.Errorf("after the lock: %+v, want 1 accepted", got)
	}
}

func TestReadOnly(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t))
	ro, err := Open(t.Context(), s.Path(), Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if got := countAll(t, ro, audit.KindAuditLog, ""); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
	if _, err := ro.Append(t.Context(), nil); err != nil {
		t.Errorf("appending nothing: %v", err)
	}
	if _, err := ro.Append(t.Context(), []*audit.Event{event(t)}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("append: %v, want ErrReadOnly", err)
	}
	if _, err := ro.Delete(t.Context(), Actor{}, audit.KindAuditLog, []int64{1}, "x"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("delete: %v, want ErrReadOnly", err)
	}
}

// ASVS:V13.3.2
func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t))
	files, err := filepath.Glob(s.Path() + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the database: %v", err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o, want 600", filepath.Base(name), got)
		}
	}
}

// TestStrangeText stores what people should never write and finds it again.
func TestStrangeText(t *testing.T) {
	s := openTest(t)
	strange := []string{
		`"); DROP TABLE audit_log; --`, `a" OR "b`, `100%_match*`, "line\nbreak\ttab", "NUL \x00 inside", "\u202egnp.exe", "e\u0301t\u00e9 E\u0301T\u00c9",
		"ﬁligree ẞ ǅ İ ı", strings.Repeat("long ", 200_000), "🦊🦊🦊", `{"json": "in text"}`, "\\u0000 \\n", "NEAR(a b) ^c: AND OR NOT",
	}
	for _, text := range strange {
		mustAppend(t, s, event(t, "reason", text, "object_repr", text[:min(len(text), 100)]))
	}
	for range 2 { // from the rows first, then from the index
		for _, text := range strange {
			needle := strings.ReplaceAll(text[:min(len(text), 60)], "\x00", "\u2400")
			for _, q := range []string{query.Quote(needle), "reason:" + query.Quote(needle), "repr:" + query.Quote(strings.ToUpper(needle))} {
				if strings.Contains(q, "repr:") && strings.ContainsAny(needle, "ﬁẞǅİı") {
					continue // upper case of these is more than a change of case
				}
				if got := countAll(t, s, audit.KindAuditLog, q); got != 1 {
					t.Errorf("%.80q finds %d events, want 1", q, got)
				}
			}
		}
		if err := s.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.texts.forget()
	}
}

// TestOpenWhileAnotherMakesIt opens one new database from many sides at once:
// between its first byte and its last table it is nobody else's.
func TestOpenWhileAnotherMakesIt(t *testing.T) {
	for range 10 {
		path := filepath.Join(t.TempDir(), "audit.db")
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				s, err := Open(t.Context(), address(t, path), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Trace: trace()})
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if _, err := s.MaskKey(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// TestOpenWithoutATable opens a database whose maker was killed between the
// first byte and the first table.
func TestOpenWithoutATable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	bare, err := sqlx.Open("sqlite3", path+"?_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	bare.MustExec("PRAGMA user_version = 0")
	bare.Close()
	if got := mustAppend(t, openAt(t, path), event(t)); got.Accepted != 1 {
		t.Errorf("append: %+v, want 1 accepted", got)
	}
}

// TestAFailedWriteOpensAnotherConnection lets a transaction end as one does whose
// sync failed: the next one has a new connection with all of its settings, and
// that the disk failed is recorded, once.
//
// ASVS:V16.5.2
func TestAFailedWriteOpensAnotherConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	s, err := Open(t.Context(), path, Options{Schema: auditadmin.Schema, Served: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	connection := func() (c any) {
		conn, err := s.rw.Connx(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.Raw(func(inner any) error { c = inner; return nil }); err != nil {
			t.Fatal(err)
		}
		return c
	}
	mustAppend(t, s, event(t, "event_id", "before"))
	before := connection()
	for _, fault := range []error{errors.New("any other"), sqlite3.Error{Code: sqlite3.ErrConstraint}} {
		if err := s.write(t.Context(), "test", func(*writeTx) error { return fault }); !errors.Is(err, fault) {
			t.Fatalf("got %v, want %v", err, fault)
		}
	}
	if connection() != before {
		t.Error("the connection is another one after an error that has nothing to do with the disk")
	}
	for range 3 {
		failed := sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrFsync}
		err := s.write(t.Context(), "test", func(tx *writeTx) error {
			if err := tx.record(event(t, "event_id", "lost")); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, ErrDisk) {
			t.Fatalf("got %v, want ErrDisk", err)
		}
		after := connection()
		if after == before {
			t.Fatal("the connection is the one whose sync failed")
		}
		before = after
	}
	var synchronous, log int
	if err := errors.Join(s.rw.Get(&synchronous, "PRAGMA synchronous"), s.rw.Get(&log, "PRAGMA wal_autocheckpoint")); err != nil || synchronous != 2 || strconv.Itoa(log) != sqliteCheckpoint {
		t.Errorf("the new connection has synchronous %d and checkpoints at %d pages, %v", synchronous, log, err)
	}
	if got := mustAppend(t, s, event(t, "event_id", "lost"), event(t, "event_id", "before")); got.Accepted != 1 || got.Duplicates != 1 {
		t.Errorf("got %+v, want what failed to be stored now, and what was there before to be there", got)
	}
	waitUntil(t, "the failure is recorded", func() bool { return countAll(t, s, audit.KindSystemEvent, `title:"The disk failed"`) > 0 })
	if n := countAll(t, s, audit.KindSystemEvent, `title:"The disk failed"`); n != 1 {
		t.Errorf("it is recorded %d times, want once", n)
	}
	// A connection that is opened anew makes no file where there is none.
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := retire(t.Context(), s.rw); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), []*audit.Event{event(t)}); err == nil {
		t.Error("an event is acknowledged without a file")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new file was made in place of the one that was moved")
	}
}
