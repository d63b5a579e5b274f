package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
)

// oldDatabase makes a database as version 1 left it: a few events of each kind,
// one deleted, one resolved, with their ledger.
func oldDatabase(t *testing.T) string {
	t.Helper()
	schema, err := os.ReadFile("testdata/schema-1.sql")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile("testdata/rows-1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "audit.db")
	db := sqlx.MustOpen("sqlite3", path+"?_journal_mode=WAL")
	defer db.Close()
	db.MustExec(string(schema))
	db.MustExec(string(rows))
	return path
}

func openSchema(t *testing.T, s *Store) []schemaObject {
	t.Helper()
	all, err := schemaObjects(t.Context(), s.ro)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].SQL = strings.Join(strings.Fields(all[i].SQL), " ")
	}
	return all
}

// checkUpgraded checks that an upgraded file is what a fresh one is, and that
// nothing of what it held is gone.
func checkUpgraded(t *testing.T, path string) {
	t.Helper()
	s, fresh := openAt(t, path), openTest(t)
	byName := func(all []schemaObject) map[string]schemaObject {
		m := map[string]schemaObject{}
		for _, o := range all {
			m[o.Name] = o
		}
		return m
	}
	if diff := cmp.Diff(byName(openSchema(t, fresh)), byName(openSchema(t, s))); diff != "" {
		t.Errorf("the schema of an upgraded file is not that of a fresh one (-fresh +upgraded):\n%s", diff)
	}
	var check string
	if err := s.ro.Get(&check, "PRAGMA integrity_check"); err != nil || check != "ok" {
		t.Errorf("integrity check: %s, %v", check, err)
	}
	if version, mark, err := sqliteVersion(t.Context(), s.ro); err != nil || version != sqliteSchema || mark != "" {
		t.Errorf("got version %d, mark %q, %v; want %d and no mark", version, mark, err, sqliteSchema)
	}
	for kind, want := range map[audit.Kind]int64{audit.KindAuditLog: 5, audit.KindLoginAttempt: 2, audit.KindDataExport: 1, audit.KindSystemEvent: 2} {
		if got := countAll(t, s, kind, ""); got != want {
			t.Errorf("got %d %s, want %d", got, kind.Plural(), want)
		}
	}
	if got := countAll(t, s, audit.KindAuditLog, "invoice"); got != 1 {
		t.Errorf("a search finds %d events after the upgrade, want 1", got)
	}
	checkLeaves(t, s)
	if _, err := s.rw.Exec("UPDATE ledger SET note = 'x'"); err == nil {
		t.Error("after the upgrade the ledger can be edited")
	}
	if got := mustAppend(t, s, event(t, "event_id", "after-the-upgrade")); got.Accepted != 1 {
		t.Errorf("got %+v of an append after the upgrade, want it accepted", got)
	}
	s.Close()
}

// checkLeaves checks that what the old entries vouch for is what stands there.
func checkLeaves(t *testing.T, s *Store) {
	t.Helper()
	var bare int
	if err := s.ro.Get(&bare, "SELECT count(*) FROM ledger WHERE length(leaf) <> 32 OR entry <> 'created' AND length(subject) <> 32"); err != nil || bare != 0 {
		t.Errorf("%d entries of the ledger have no leaf or no subject, %v", bare, err)
	}
	for _, kind := range audit.Kinds() {
		err := eachRow(t.Context(), s.ro, "SELECT "+tables[kind].columns+", e.seed, l.leaf, l.recorded_at FROM "+string(kind)+" e JOIN ledger l ON l.seq = e.seq", nil, func(r scanner) error {
			var seed, leaf []byte
			var recordedAt string
			st, err := tables[kind].scan(scanFunc(func(dest ...any) error { return r.Scan(append(dest, &seed, &leaf, &recordedAt)...) }))
			if err != nil {
				return err
			}
			parsed, _, ok := tables[kind].form.ParseSeed(seed)
			committed := tables[kind].commit(parsed, st.Event)
			if want := committed.Leaf(st.ID, st.Seq, recordedAt); !ok || string(leaf) != string(want[:]) {
				t.Errorf("%s %d: the leaf is not that of the event", kind, st.ID)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var states int
	if err := s.ro.Get(&states, "SELECT count(*) FROM ledger WHERE kind = 'data_export' AND entry = 'downloaded' AND subject = ?",
		func() []byte { h := stateSubject(audit.KindDataExport, "3"); return h[:] }()); err != nil || states != 1 {
		t.Errorf("%d entries vouch for the count an export came with, %v; want 1", states, err)
	}
}

type scanFunc func(dest ...any) error

func (f scanFunc) Scan(dest ...any) error { return f(dest...) }

func TestUpgrade(t *testing.T) {
	checkUpgraded(t, oldDatabase(t))
}

// TestUpgradeTogether starts several programs at once on an old file.
func TestUpgradeTogether(t *testing.T) {
	path := oldDatabase(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), path, Options{Schema: auditadmin.Schema})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
	checkUpgraded(t, path)
}

// TestUpgradeNeedsWriting leaves an old file as it is where it may only be read.
func TestUpgradeNeedsWriting(t *testing.T) {
	path := oldDatabase(t)
	if _, err := Open(t.Context(), path, Options{Schema: auditadmin.Schema, ReadOnly: true}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v, want an error that wraps ErrReadOnly", err)
	}
	checkUpgraded(t, path)
}

// TestUpgradeKilled cuts an upgrade off at each statement in turn, the commits
// included, and lets the next program finish it.
func TestUpgradeKilled(t *testing.T) {
	clock := func() time.Time { return noon }
	var want string
	path := oldDatabase(t)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		path := filepath.Join(t.TempDir(), "audit.db")
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		left := n
		pool := sqlx.NewDb(sql.OpenDB(cutConnector{path, &left}), "sqlite3")
		pool.SetMaxOpenConns(1)
		var done bool
		var err error
		for !done && err == nil {
			done, err = sqliteUpgradeOnce(t.Context(), pool, auditadmin.Schema, clock)
		}
		pool.Close()
		if err != nil && !errors.Is(err, errCut) {
			t.Fatalf("cut at statement %d: %v", n, err)
		}
		if err := sqliteUpgrade(t.Context(), path, auditadmin.Schema, clock); err != nil {
			t.Fatalf("after a cut at statement %d: %v", n, err)
		}
		db := sqlx.MustOpen("sqlite3", path)
		var state string
		if err := db.Get(&state, "SELECT (SELECT group_concat(type || name || sql) FROM (SELECT * FROM sqlite_master ORDER BY name))"+
			" || (SELECT group_concat(seq || entry || kind || id || length(leaf) || ifnull(length(subject), '')) FROM ledger)"+
			" || (SELECT count(seed) FROM audit_log) || (SELECT group_concat(key) FROM meta)"); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if want == "" {
			want = state
		} else if state != want {
			t.Errorf("after a cut at statement %d and another start the file is\n%s\nwant\n%s", n, state, want)
		}
		if err == nil {
			if n < 50 {
				t.Errorf("an upgrade ran %d statements, which cannot be all of them", n)
			}
			checkUpgraded(t, path)
			return
		}
	}
}

var errCut = errors.New("the program was killed")

// cutConnector opens connections that fail for good after so many statements.
type cutConnector struct {
	path string
	left *int
}

func (c cutConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func (c cutConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.path + "?_journal_mode=WAL&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	inner := conn.(*sqlite3.SQLiteConn)
	if _, err := inner.Exec("PRAGMA writable_schema = ON", nil); err != nil {
		return nil, err
	}
	return cutConn{inner, c.left}, nil
}

type cutConn struct {
	*sqlite3.SQLiteConn
	left *int
}

func (c cutConn) cut() error {
	if *c.left--; *c.left <= 0 {
		return errCut
	}
	return nil
}

func (c cutConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.cut(); err != nil {
		return nil, err
	}
	return c.SQLiteConn.ExecContext(ctx, query, args)
}

func (c cutConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.cut(); err != nil {
		return nil, err
	}
	return c.SQLiteConn.QueryContext(ctx, query, args)
}

func (c cutConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.cut(); err != nil {
		return nil, err
	}
	tx, err := c.SQLiteConn.BeginTx(ctx, o)
	return cutTx{tx, c}, err
}

type cutTx struct {
	driver.Tx
	conn cutConn
}

func (tx cutTx) Commit() error {
	if err := tx.conn.cut(); err != nil {
		return errors.Join(err, tx.Tx.Rollback())
	}
	return tx.Tx.Commit()
}
