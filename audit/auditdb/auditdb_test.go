package auditdb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
)

var ctx = context.Background()

// openAudit opens a fresh audit database.
func openAudit(t *testing.T) *auditdb.DB {
	t.Helper()
	db, err := auditdb.Open(ctx, filepath.Join(t.TempDir(), "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newRecorder(t *testing.T, sink audit.Sink, options ...audit.Option) *audit.Recorder {
	t.Helper()
	r, err := audit.New(sink, append([]audit.Option{audit.Strict(), audit.Source("test")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(ctx) })
	return r
}

// openShop opens the database of an application, with an inbox.
func openShop(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "shop.db")+"?_journal_mode=WAL&_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	execute(t, db, audit.InboxSchema("sqlite"))
	execute(t, db, `CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT NOT NULL, total NUMERIC, name TEXT, password TEXT)`)
	execute(t, db, `CREATE TABLE lines (order_id INTEGER, line INTEGER, quantity INTEGER, PRIMARY KEY (order_id, line))`)
	return db
}

func execute(t *testing.T, db audit.Execer, query string, args ...any) sql.Result {
	t.Helper()
	result, err := db.ExecContext(ctx, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return result
}

func count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func anOrder(n int) *audit.Event {
	e, err := (&audit.AuditLog{Action: "UPDATE", ContentType: "shop.order", ObjectID: fmt.Sprint(n)}).Event()
	if err != nil {
		panic(err)
	}
	return e
}

// faulty passes on to a sink, and remembers and spoils what it is told to.
type faulty struct {
	audit.Sink
	mu     sync.Mutex
	events []*audit.Event
	after  func() error // called behind a successful append
}

func (f *faulty) Append(ctx context.Context, events []*audit.Event) (audit.Appended, error) {
	a, err := f.Sink.Append(ctx, events)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.events = append(f.events, events...)
		if f.after != nil {
			err = f.after()
		}
	}
	return a, err
}

func TestRecorderStoresInTheDatabase(t *testing.T) {
	db := openAudit(t)
	r, err := audit.New(db, audit.SpoolDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	alice := audit.WithUser(ctx, audit.User{ID: "7", Name: "alice"})
	for _, err := range []error{
		r.LogAuditEvent(alice, audit.AuditLog{Action: "CREATE", ContentType: "shop.order", ObjectID: "1"}),
		r.LogAuditEvent(alice, audit.AuditLog{Action: "DELETE", ContentType: "shop.order", ObjectID: "1"}),
		r.LogViewAccess(alice, "shop.order", "2", "Order 2"),
		r.LogViewAccess(ctx, "shop.order", "2", "Order 2"),
		r.LogSystemEvent(alice, audit.SystemEvent{EventType: "ERROR", Title: "cannot charge"}),
		r.LogDataExport(alice, audit.DataExport{ExportType: "Orders"}),
		r.LoginSucceeded(ctx, "alice"), r.LoginFailed(ctx, "alice", "wrong password"), r.LoginBlocked(ctx, "alice", "too many attempts"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := audit.Summary{TotalActions: 3, Creates: 1, Deletes: 1, Views: 1, Logins: 1, FailedLogins: 1, SystemErrors: 1, UnresolvedEvents: 1}
	if got, err := r.Summary(ctx, "alice", 7); err != nil || got != want {
		t.Errorf("of alice: got %+v, %v, want %+v", got, err, want)
	}
	want.TotalActions, want.Views = 4, 2
	if got, err := r.Summary(ctx, "", 7); err != nil || got != want {
		t.Errorf("of everybody: got %+v, %v, want %+v", got, err, want)
	}
	if s := r.Stats(); s.Recorded != 9 || s.Stored != 9 || s.Spooled != 0 {
		t.Errorf("got %+v, want 9 recorded and stored", s)
	}
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestSpoolTakesOverWhileTheDatabaseIsClosed(t *testing.T) {
	path, dir := filepath.Join(t.TempDir(), "audit.db"), t.TempDir()
	db, err := auditdb.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.New(db, audit.SpoolDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := r.Record(ctx, anOrder(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(ctx); err == nil || !strings.Contains(err.Error(), "20 events wait") {
		t.Errorf("got %v, want it to say that 20 events wait", err)
	}
	if db, err = auditdb.Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if r, err = audit.New(db, audit.SpoolDir(dir)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Summary(ctx, "", 7); err != nil || got.Updates != 20 || got.UnresolvedEvents != 1 {
		t.Errorf("got %+v, %v, want 20 updates and one thing to look at", got, err)
	}
}

func TestOpenRefusesAForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	if err := os.WriteFile(path, []byte("no database at all, but long enough to look at"), 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := auditdb.Open(ctx, path); err == nil {
		_ = db.Close()
		t.Error("it opened a file that is no database")
	}
}

func TestInboxFollowsTheTransaction(t *testing.T) {
	shop := openShop(t)
	sink := &faulty{Sink: openAudit(t)}
	r := newRecorder(t, sink)
	for i, commit := range []bool{true, false, true} {
		tx, err := shop.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.RecordTx(audit.WithUser(ctx, audit.User{Name: "alice"}), tx, anOrder(i), anOrder(i+10)); err != nil {
			t.Fatal(err)
		}
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.Drain(ctx, shop); n != 4 || err != nil {
		t.Fatalf("got %d, %v, want 4", n, err)
	}
	var got []string
	for _, e := range sink.events {
		got = append(got, e.Get("object_id")+e.Get("username")+e.Source)
	}
	if strings.Join(got, " ") != "0alicetest 10alicetest 2alicetest 12alicetest" {
		t.Errorf("got %v, want what was committed, in order", got)
	}
	if n := count(t, shop, "SELECT count(*) FROM auditadmin_inbox"); n != 0 {
		t.Errorf("got %d entries left, want none", n)
	}
	if s := r.Stats(); s.Inbox != 6 || s.Drained != 4 || s.Stored != 4 {
		t.Errorf("got %+v, want 6 written, 4 drained and stored", s)
	}
}

// TestDrainedExactlyOnce breaks a drain off behind the append, where a crash
// hurts most.
func TestDrainedExactlyOnce(t *testing.T) {
	shop := openShop(t)
	db := openAudit(t)
	sink := &faulty{Sink: db}
	r := newRecorder(t, sink)
	if err := r.RecordTx(ctx, shop, anOrder(1), anOrder(2)); err != nil {
		t.Fatal(err)
	}
	execute(t, shop, `INSERT INTO auditadmin_inbox (event) VALUES ('{"kind":"audit_log","action":"delete","object_id":"3"}')`) // by a trigger, without event_id and timestamp
	for round, after := range []func(cancel func()) error{
		func(func()) error { return errors.New("the answer was lost") },
		func(cancel func()) error { cancel(); return nil }, // the deletion fails
	} {
		ctx, cancel := context.WithCancel(ctx)
		sink.after = func() error { return after(cancel) }
		if _, err := r.Drain(ctx, shop); err == nil {
			t.Fatalf("round %d: got no error", round)
		}
		cancel()
	}
	sink.after = nil
	if n, err := r.Drain(ctx, shop); n != 3 || err != nil {
		t.Fatalf("got %d, %v, want 3", n, err)
	}
	if got, err := db.Summary(ctx, "", 7); err != nil || got.TotalActions != 3 || got.Updates != 2 || got.Deletes != 1 {
		t.Errorf("got %+v, %v, want each event once", got, err)
	}
	if s := r.Stats(); s.Conflicts != 0 {
		t.Errorf("got %d conflicts, want none", s.Conflicts)
	}
}

func TestInboxKeepsWhatIsNoEvent(t *testing.T) {
	shop := openShop(t)
	sink := &faulty{Sink: openAudit(t)}
	r := newRecorder(t, sink, audit.SkipTypes("cache"))
	for _, line := range []string{
		`{"kind":"audit_log","action":"CREATE","object_id":"1","metadata":{"password":"hunter2"}}`,
		`not JSON`, `{}`, `{"kind":"audit_log"}`,
		`{"kind":"audit_log","action":"CREATE","nonsense":1}`,
		`{"kind":"audit_log","action":"CREATE","timestamp":"yesterday"}`,
		`{"kind":"audit_log","action":"CREATE","content_type":"cache"}`,
		`{"kind":"audit_log","action":"CREATE","object_id":"2","timestamp":"2026-03-01T12:00:00Z"}`,
	} {
		execute(t, shop, "INSERT INTO auditadmin_inbox (event) VALUES ($1)", line)
	}
	if n, err := r.Drain(ctx, shop); n != 2 || err != nil {
		t.Errorf("got %d, %v, want 2", n, err)
	}
	if n := count(t, shop, "SELECT count(*) FROM auditadmin_inbox WHERE problem <> ''"); n != 5 {
		t.Errorf("got %d entries with a problem, want 5", n)
	}
	if n := count(t, shop, "SELECT count(*) FROM auditadmin_inbox"); n != 5 {
		t.Errorf("got %d entries, want no others", n)
	}
	s := r.Stats()
	if s.Rejected != 5 || s.Skipped != 1 || s.Masked != 1 {
		t.Errorf("got %d rejected, %d skipped, %d masked, want 5, 1, 1", s.Rejected, s.Skipped, s.Masked)
	}
	last := sink.events[len(sink.events)-1]
	if last.Kind != audit.KindSystemEvent || last.Get("title") != "5 entries of the inbox could not be recorded" {
		t.Errorf("the last event is %s", audit.AppendJSON(nil, last, nil))
	}
	if strings.Contains(string(audit.AppendJSON(nil, sink.events[0], nil)), "hunter2") {
		t.Error("a trigger's secret was stored")
	}
	if n, err := r.Drain(ctx, shop); n != 0 || err != nil {
		t.Errorf("the second time: got %d, %v, want nothing", n, err)
	}
}

func TestSeveralDrains(t *testing.T) {
	shop := openShop(t)
	db := openAudit(t)
	const n = 1200
	var events []*audit.Event
	for i := range n {
		events = append(events, anOrder(i))
	}
	first := newRecorder(t, db)
	tx, err := shop.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.RecordTx(ctx, tx, events...); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := newRecorder(t, db).Drain(ctx, shop); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, err := db.Summary(ctx, "", 7); err != nil || got.TotalActions != n {
		t.Errorf("got %+v, %v, want %d events", got, err, n)
	}
}

func TestDrainInTheBackground(t *testing.T) {
	shop := openShop(t)
	db := openAudit(t)
	drained := make(chan struct{}, 1)
	sink := &faulty{Sink: db, after: func() error { drained <- struct{}{}; return nil }}
	r := newRecorder(t, sink, audit.DrainEvery(shop, time.Millisecond))
	if err := r.RecordTx(ctx, shop, anOrder(1)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-drained:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was drained")
	}
	late := newRecorder(t, db, audit.DrainEvery(shop, time.Hour))
	if err := late.RecordTx(ctx, shop, anOrder(2)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := late.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Summary(ctx, "", 7); err != nil || got.TotalActions != 2 {
		t.Errorf("got %+v, %v, want both, the second by Close", got, err)
	}
}

func TestRecordTxWithoutInboxSaysWhatToDo(t *testing.T) {
	shop := openShop(t)
	execute(t, shop, "DROP TABLE auditadmin_inbox")
	if err := newRecorder(t, openAudit(t)).RecordTx(ctx, shop, anOrder(1)); err == nil || !strings.Contains(err.Error(), "InboxSchema") {
		t.Errorf("got %v, want an error that names InboxSchema", err)
	}
}
