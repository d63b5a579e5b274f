package db

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// stray stores n audit logs of a month that the store believes it cannot make, as
// where its role may make no tables, and returns that month.
func stray(t *testing.T, s *Store, at string, n int) month {
	t.Helper()
	d := s.dialect.(*postgresDialect)
	first := event(t, "timestamp", at).Time()
	m := monthOf(first)
	d.months.mu.Lock()
	d.months.failed[audit.KindAuditLog][m] = true
	d.months.mu.Unlock()
	var events []*audit.Event
	for i := range n {
		events = append(events, event(t, "timestamp", audit.FormatTime(first.Add(time.Duration(i)*time.Second)), "event_id", fmt.Sprint("stray", i)))
	}
	mustAppend(t, s, events...)
	return m
}

// postgresDefault: what stands in the default partition is told, and its month is
// made when the next look finds it.
func postgresDefault(t *testing.T) {
	s := openTest(t)
	d := s.dialect.(*postgresDialect)
	stray(t, s, "2019-05-06T00:00:00Z", 3)
	stray(t, s, "2019-08-06T00:00:00Z", 2)
	stray(t, s, "2022-08-06T00:00:00Z", 1)
	unplaced := func() (u Unplaced) {
		t.Helper()
		h, err := s.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range h.Kinds {
			if k.Kind == audit.KindAuditLog {
				return k.Unplaced
			}
			if k.Unplaced.Events != 0 {
				t.Errorf("got %+v of %s, want none", k.Unplaced, k.Kind)
			}
		}
		return u
	}
	if got := unplaced(); got.Events != 6 || !got.Since.IsZero() {
		t.Errorf("got %+v, want 6 events that nobody has tried to place", got)
	}
	// A look that can make the first month alone.
	taken := sqlx.MustOpen("pgx", onPostgres.asOwner(d.config.Database))
	defer taken.Close()
	taken.MustExec("CREATE TABLE audit_log_2019_08 (a int)") // in the way
	if err := d.months.ahead(t.Context(), s.side, noon); err != nil {
		t.Fatal(err)
	}
	if got := unplaced(); got.Events != 3 || !got.Since.Equal(noon) {
		t.Errorf("got %+v, want 3 events since noon", got)
	}
	if err := d.months.ahead(t.Context(), s.side, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := unplaced(); got.Events != 3 || !got.Since.Equal(noon) {
		t.Errorf("got %+v, want 3 events since noon still", got)
	}
	taken.MustExec("DROP TABLE audit_log_2019_08")
	if err := d.months.ahead(t.Context(), s.side, noon.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := unplaced(); got != (Unplaced{}) {
		t.Errorf("got %+v, want none", got)
	}
	if n := countAll(t, s, audit.KindAuditLog, ""); n != 6 {
		t.Errorf("got %d events, want 6", n)
	}
	if v, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || !v.Holds() || v.Events != 6 {
		t.Errorf("got %+v, %v", v, err)
	}
}

// postgresReadersSeeOneState: whoever reads while rows are on their way from the
// default partition to their month sees all of them, in one statement and in a
// transaction, and the verification finds nothing wrong.
func postgresReadersSeeOneState(t *testing.T) {
	s := openTest(t)
	d := s.dialect.(*postgresDialect)
	ctx := t.Context()
	m := stray(t, s, "2019-05-06T00:00:00Z", 50)
	countAll(t, s, audit.KindAuditLog, "")
	// Whoever moves them waits half way, with the table locked.
	blocker := sqlx.MustOpen("pgx", onPostgres.asOwner(d.config.Database))
	defer blocker.Close()
	gate := blocker.MustBegin()
	gate.MustExec("LOCK TABLE audit_log_default IN ROW EXCLUSIVE MODE")
	moved := make(chan error, 1)
	go func() { moved <- makeMonth(context.WithoutCancel(ctx), s.side, audit.KindAuditLog, m) }()
	waiting := func(mode string, n int) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			var got int
			err := blocker.Get(&got, "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = $1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())", mode)
			if err != nil || time.Now().After(end) {
				t.Fatalf("got %d that wait for %s, want %d, %v", got, mode, n, err)
			}
			if got == n {
				return
			}
		}
	}
	waiting("AccessExclusiveLock", 1)
	bounded := "SELECT count(*) FROM audit_log WHERE id BETWEEN ? AND ?"
	readers := map[string]func() (int, error){
		"a statement": func() (n int, err error) {
			return n, s.ro.GetContext(ctx, &n, bounded, m.first(), (m + 1).first())
		},
		"a transaction": func() (n int, err error) {
			tx, end, err := begin(ctx, s.back)
			if err != nil {
				return 0, err
			}
			defer end()
			var one int
			if err := tx.GetContext(ctx, &one, "SELECT count(*) FROM ledger"); err != nil {
				return 0, err
			}
			return n, tx.GetContext(ctx, &n, bounded, m.first(), (m + 1).first())
		},
	}
	type answer struct {
		who string
		n   int
		err error
	}
	answers := make(chan answer, len(readers))
	for who, read := range readers {
		go func() {
			n, err := read()
			answers <- answer{who, n, err}
		}()
	}
	verdict := make(chan *Verdict, 1)
	go func() {
		v, err := s.Verify(ctx, VerifyOptions{Workers: 1})
		if err != nil {
			t.Error(err)
		}
		verdict <- v
	}()
	waiting("AccessShareLock", 3)
	if err := gate.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	for range readers {
		if a := <-answers; a.err != nil || a.n != 50 {
			t.Errorf("%s saw %d events, %v; want 50", a.who, a.n, a.err)
		}
	}
	if v := <-verdict; v != nil && (!v.Holds() || v.Events != 50) {
		t.Errorf("got %+v", v)
	}
	var table string
	if err := s.ro.Get(&table, "SELECT DISTINCT CAST(tableoid AS regclass)::text FROM audit_log"); err != nil || table != filepath.Base(m.partition(audit.KindAuditLog)) {
		t.Errorf("got the events in %s, %v", table, err)
	}
}

// postgresSessionsHearOfMonths: a session that reads which months there are while one
// is made misses it for good, which is PostgreSQL's way, until it is
// told again. The store does that by itself, at once and a while later.
func postgresSessionsHearOfMonths(t *testing.T) {
	s := openTest(t)
	d := s.dialect.(*postgresDialect)
	ctx := t.Context()
	m := monthOf(time.Date(2019, 5, 1, 0, 0, 0, 0, time.UTC))
	session := func() *sqlx.Conn {
		t.Helper()
		db := sqlx.MustOpen("pgx", onPostgres.asOwner(d.config.Database)+"&default_query_exec_mode=simple_protocol")
		t.Cleanup(func() { db.Close() })
		conn, err := db.Connx(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	number := func(c *sqlx.Conn, query string, args ...any) (n int) {
		t.Helper()
		if err := c.GetContext(ctx, &n, query, args...); err != nil {
			t.Fatal(err)
		}
		return n
	}
	do := func(c *sqlx.Conn, statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	reader, maker, watcher := session(), session(), session()
	// What the reader needs before it asks for the months is in its memory, the
	// months are not: it gets as far as to ask for the first one of those that it
	// finds, and waits there for the catalog, in which another one is made meanwhile.
	do(reader, "SELECT 1 FROM pg_inherits WHERE inhparent = 0", "SELECT count(*) FROM ONLY audit_log")
	const waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 1259 AND pid = $1" // 1259 is pg_class
	pid := number(reader, "SELECT pg_backend_pid()")
	number(watcher, waiting, pid)
	do(maker, "BEGIN", "LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE", "CREATE TABLE "+m.partition(audit.KindAuditLog)+" (LIKE audit_log INCLUDING ALL)",
		fmt.Sprintf("ALTER TABLE audit_log ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", m.partition(audit.KindAuditLog), m.first(), (m+1).first()))
	const count = "SELECT count(*) FROM audit_log"
	first := make(chan error, 1)
	go func() {
		var n int
		first <- reader.GetContext(ctx, &n, count)
	}()
	for end := time.Now().Add(10 * time.Second); number(watcher, waiting, pid) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the reader does not wait")
		}
	}
	do(maker, "COMMIT")
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	d.months.mu.Lock()
	d.months.known[audit.KindAuditLog][m] = true
	d.months.mu.Unlock()
	mustAppend(t, s, event(t, "timestamp", "2019-05-06T00:00:00Z", "event_id", "unheard of"))
	t.Logf("the reader sees %d events, and the one who made the month %d", number(reader, count), number(maker, count))
	if n := number(reader, count); n != 0 {
		t.Errorf("the reader sees %d events: this server tells it of months in time, and the test proves nothing", n)
	}
	d.months.mu.Lock()
	d.months.young[audit.KindAuditLog] = time.Now()
	d.months.mu.Unlock()
	d.months.tellAgain(ctx, s.side)
	if n := number(reader, count); n != 0 {
		t.Errorf("the reader sees %d events before the month has settled", n)
	}
	d.months.mu.Lock()
	d.months.young[audit.KindAuditLog] = time.Now().Add(-monthSettles)
	d.months.mu.Unlock()
	d.months.tellAgain(ctx, s.side)
	if n := number(reader, count); n != 1 {
		t.Errorf("the reader sees %d events after it was told again, want 1", n)
	}
	if len(d.months.young) != 0 {
		t.Errorf("%v would be told again for ever", d.months.young)
	}
}

// postgresNewest: what a write knows of the newest event is what the tables say, also
// after it was deleted and after late ones.
func postgresNewest(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	known := func() (newest int64) {
		t.Helper()
		err := s.write(ctx, "look", func(tx *writeTx) error {
			tail, err := tx.tail(audit.KindAuditLog)
			newest = tail.last
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return newest
	}
	idOf := func(name string) (id int64) {
		t.Helper()
		if err := s.ro.Get(&id, "SELECT id FROM audit_log WHERE event_id = ?", name); err != nil {
			t.Fatal(err)
		}
		return id
	}
	newest := event(t, "timestamp", "2026-09-01T20:00:00Z", "event_id", "newest") // after the trace of its own deletion
	mustAppend(t, s, newest, event(t, "timestamp", "2026-07-01T00:00:00Z", "event_id", "older"))
	if got, want := known(), idOf("newest"); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	top := idOf("newest")
	mustAppend(t, s, event(t, "timestamp", "2020-01-01T00:00:00Z", "event_id", "late"))
	if got := known(); got != top {
		t.Errorf("got %d after a late event, want %d", got, top)
	}
	if n := mustAppend(t, s, event(t, "timestamp", "2020-01-01T00:00:00Z", "event_id", "late"), event(t, "timestamp", "2026-07-01T00:00:00Z", "event_id", "older")); n.Duplicates != 2 {
		t.Errorf("got %+v, want two duplicates", n)
	}
	if _, err := s.Delete(ctx, ines, audit.KindAuditLog, []int64{top}, "x"); err != nil {
		t.Fatal(err)
	}
	if got := known(); got != top {
		t.Errorf("got %d after the deletion of the newest, want %d", got, top)
	}
	if n := mustAppend(t, s, newest); n.Duplicates != 1 {
		t.Errorf("got %+v of the deleted event again, want a duplicate", n)
	}
	mustAppend(t, s, event(t, "timestamp", "2026-09-01T20:00:00Z", "event_id", "another"))
	if id := idOf("another"); id == top {
		t.Errorf("the id %d was given to two events", id)
	}
	if v, err := s.Verify(ctx, VerifyOptions{}); err != nil || !v.Holds() {
		t.Errorf("got %+v, %v", v, err)
	}
}
