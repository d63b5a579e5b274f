package db

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// TestStatementsAreNumbered holds how the question marks of a statement become
// numbers.
func TestStatementsAreNumbered(t *testing.T) {
	for given, want := range map[string]string{
		"SELECT 1":                        "SELECT 1",
		"a = ? AND b IN (?, ?)":           "a = $1 AND b IN ($2, $3)",
		"'?' = ? AND \"?\" = ?":           "'?' = $1 AND \"?\" = $2",
		"'it''s ?' || ?":                  "'it''s ?' || $1",
		"-- why?\nSELECT ?":               "-- why?\nSELECT $1",
		"/* who? */ SELECT ? -- what?":    "/* who? */ SELECT $1 -- what?",
		"an open '?":                      "an open '?",
		"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?": "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11",
	} {
		if got := pgNumbered(given); got != want {
			t.Errorf("%s: got %s, want %s", given, got, want)
		}
	}
}

// postgresAgrees fills both engines with the same and asks both the same.
func postgresAgrees(t *testing.T) {
	file, err := Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"), Options{Schema: auditadmin.Schema, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	server := openTest(t)
	both := []*Store{file, server}
	for _, s := range both {
		mixture(t, s, 1500, 7)
		decisions(t, s)
		odd := "a\x00b\xff" // what no engine's text holds, from somebody's keyboard
		newest := mustList(t, mustSelect(t, s, audit.KindSystemEvent, "is:unresolved"), Page{Limit: 2}).Items
		if _, err := s.Resolve(t.Context(), ines, []int64{newest[0].ID}, odd); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Delete(t.Context(), ines, audit.KindSystemEvent, []int64{newest[1].ID}, odd); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || !v.Holds() {
			t.Errorf("got %+v, %v", v, err)
		}
		mixture(t, s, 700, 8)
	}
	queries := []string{"", "alice", "user:alice", "-user:alice", "user:bob,alice long", `"aus köln"`, "x", "long", "source:orders", "ip:203.0.113.0/26", `user:""`, "module:orders -long",
		"request:alice session:bob", "recorded:2026-09", "on:2026-09-01", "after:2026-09-01T11:00:00.000500Z", "agent:long", "reason:alice", "zzz"}
	for round, index := range []bool{false, true} { // before and after the text index
		for _, kind := range audit.Kinds() {
			for _, q := range queries {
				var answers [2]map[string]any
				for i, s := range both {
					answers[i] = answerOf(t, s, kind, q)
				}
				if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
					t.Errorf("round %d, %s %q (-file +server):\n%s", round, kind, q, diff)
				}
			}
		}
		for _, s := range both {
			if index {
				break
			}
			if err := errors.Join(s.Index(t.Context()), s.growTree(t.Context())); err != nil {
				t.Fatal(err)
			}
			s.texts.forget()
		}
	}
	// And row by row, all there is of each event.
	for _, kind := range audit.Kinds() {
		var rows [2][]string
		for i, s := range both {
			for _, st := range everything(t, s, kind) {
				rows[i] = append(rows[i], fmt.Sprint(st.ID, st.Seq, st.RecordedAt, st.Source, st.EventID, st.Values()))
				story, err := s.Decisions(t.Context(), kind, st.ID)
				if err != nil {
					t.Fatal(err)
				}
				rows[i] = append(rows[i], fmt.Sprint(story))
			}
		}
		slices.Sort(rows[0])
		slices.Sort(rows[1])
		if diff := cmp.Diff(rows[0], rows[1]); diff != "" {
			t.Errorf("%s (-file +server):\n%s", kind, diff)
		}
	}
}

// answerOf is all that a page shows of a query.
func answerOf(t *testing.T, s *Store, kind audit.Kind, q string) map[string]any {
	t.Helper()
	answer := map[string]any{}
	ctx := t.Context()
	f, err := queryOf(kind, q)
	if err != nil {
		return map[string]any{"error": err.Error()} // the kind has no such key
	}
	sel, err := s.Select(ctx, f)
	if err != nil {
		t.Fatalf("%s %q: %v", kind, q, err)
	}
	if answer["count"], err = sel.Count(ctx); err != nil {
		t.Fatal(err)
	}
	if answer["facets"], err = sel.Facets(ctx, 20); err != nil {
		t.Fatal(err)
	}
	if answer["timeline"], err = sel.Timeline(ctx, ByHour); err != nil {
		t.Fatal(err)
	}
	page := Page{Limit: 40}
	for n := range 3 {
		list := mustList(t, sel, page)
		var items []string
		for _, st := range list.Items {
			items = append(items, fmt.Sprint(st.ID, st.Seq, st.Values()))
		}
		answer[fmt.Sprint("page ", n)] = []any{items, list.Tombstones, list.Next, list.Previous, list.Partial, list.LookedTo}
		if page.After = list.Next; list.Next == 0 {
			break
		}
	}
	return answer
}

// postgresRefuses leaves alone what is not ours, and tells no password.
func postgresRefuses(t *testing.T) {
	ctx := t.Context()
	name := func(database string) string {
		u, err := url.Parse(onPostgres.url(database))
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), "geheim")
		return u.String()
	}
	newer, foreign, empty := name("newer"), name("somebodys"), name("empty")
	for _, database := range []string{"newer", "somebodys", "empty"} {
		if _, err := onPostgres.admin.Exec("CREATE DATABASE " + database); err != nil {
			t.Fatal(err)
		}
	}
	if err := openAt(t, newer).Close(); err != nil {
		t.Fatal(err)
	}
	for address, statement := range map[string]string{newer: "UPDATE meta SET value = '99' WHERE key = 'schema'", foreign: "CREATE TABLE orders (id bigint)"} {
		d, err := newPostgresDialect(address, Options{})
		if err != nil {
			t.Fatal(err)
		}
		db := d.pool(1, "", pgPatience, nil)
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	for _, c := range []struct {
		address string
		o       Options
		want    error
		says    string
	}{
		{newer, Options{}, ErrNewer, "schema version 99"},
		{newer, Options{ReadOnly: true}, ErrNewer, "schema version 99"},
		{foreign, Options{}, ErrForeign, "search_path"},
		{empty, Options{MustExist: true}, fs.ErrNotExist, "auditadmin serve"},
		{empty, Options{ReadOnly: true}, fs.ErrNotExist, "auditadmin serve"},
		{name("never_made"), Options{}, fs.ErrNotExist, "createdb never_made"},
		{"postgres://audit:geheim@127.0.0.1:1/audit", Options{}, ErrAway, "cannot be reached"},
		{"postgres://audit:geheim@127.0.0.1:nowhere/audit", Options{}, nil, "address of the database"},
	} {
		c.o.StateDir, c.o.Now = stateDir(t), func() time.Time { return noon }
		s, err := Open(ctx, c.address, c.o)
		if err == nil {
			s.Close()
			t.Errorf("%s was opened", c.address)
			continue
		}
		if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %v that says %q", err, c.want, c.says)
		}
		if strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	s := openAt(t, empty)
	if strings.Contains(s.Path()+s.Beside(), "geheim") {
		t.Errorf("%s, %s tell the password", s.Path(), s.Beside())
	}
	if warnings := strings.Join(s.Warnings(), "; "); !strings.Contains(warnings, "fsync = off") { // as the server of the tests runs
		t.Errorf("got the warnings %q, want one of fsync", warnings)
	}
}

// TestAwaySaysWhy: what a server says of itself, or does not say, is a sentence for
// people that tells nothing of the inside.
func TestAwaySaysWhy(t *testing.T) {
	d, err := newPostgresDialect("postgres://audit:geheim@db.example/audit", Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.pulse.heard.Store(int64(time.Hour)) // and so just now
	code := func(code string) error {
		return fmt.Errorf("append: %w", &pgconn.PgError{Code: code, Message: "geheim"})
	}
	_, refused := net.DialTimeout("tcp", "127.0.0.1:1", time.Second)
	for _, c := range []struct {
		err  error
		want error
		says string
	}{
		{code("57P01"), ErrAway, "shutting down"},
		{code("57P03"), ErrAway, "starting"},
		{code("08006"), ErrAway, "connection to it was lost"},
		{code("53300"), ErrAway, "no connection left"},
		{code("28P01"), ErrAway, "does not let this program in"},
		{code("55P03"), ErrBusy, ""},
		{code("57014"), ErrBusy, ""},
		{code("40P01"), ErrBusy, ""},
		{code("25006"), ErrReadOnly, ""},
		{code("53100"), ErrFull, ""},
		{&pgconn.PgError{Code: "XX000", Message: "failure on connection marked as essential: 10.0.0.7:5432"}, ErrAway, "machines of its cluster"},
		{&pgconn.PgError{Code: "XX000", Message: "server closed the connection unexpectedly"}, ErrAway, "machines of its cluster"},
		{refused, ErrAway, "lost"},
		{&fs.PathError{Op: "write", Path: "archive.gz", Err: syscall.ENOSPC}, syscall.ENOSPC, ""},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), ErrAway, "lost"},
		{io.ErrUnexpectedEOF, ErrAway, "lost"},
		{driver.ErrBadConn, ErrAway, "lost"},
		{pgconn.ErrReadOnlyConnection, ErrAway, "none of its machines takes writes"},
		{context.DeadlineExceeded, context.DeadlineExceeded, ""},
		{context.Canceled, context.Canceled, ""},
	} {
		got := d.classify(c.err)
		if !errors.Is(got, c.want) || !errors.Is(got, c.err) {
			t.Errorf("%v: got %v, want one that wraps it and %v", c.err, got, c.want)
		}
		var away *AwayError
		if c.says != "" && (!errors.As(got, &away) || !strings.Contains(away.Why, c.says) || strings.Contains(away.Why, "geheim")) {
			t.Errorf("%v: got %v, want one that says %q and no more", c.err, got, c.says)
		}
	}
	d.pulse.heard.Store(-int64(time.Hour))
	if got := d.classify(fmt.Errorf("list: %w", context.DeadlineExceeded)); !errors.Is(got, ErrAway) {
		t.Errorf("a question that took too long while nothing was heard: got %v, want %v", got, ErrAway)
	}
}

// TestLinesDoNotWaitForEver: a connection on which nothing is heard ends, when its
// patience does or when the driver says.
func TestLinesDoNotWaitForEver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // which answers nobody
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := newPgPulse()
	for _, c := range []struct{ patience, deadline time.Duration }{{20 * time.Millisecond, 0}, {20 * time.Millisecond, 200 * time.Millisecond}, {time.Hour, 20 * time.Millisecond}} {
		line, err := p.dial(new(net.Dialer).DialContext, c.patience)(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		want := c.patience
		if c.deadline > 0 {
			want = c.deadline
			if err := line.SetDeadline(time.Now().Add(c.deadline)); err != nil {
				t.Fatal(err)
			}
		}
		before, began := p.lost.Load(), time.Now()
		if _, err := line.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) < want {
			t.Errorf("patience %s, deadline %s: got %v after %s, want the end after %s", c.patience, c.deadline, err, time.Since(began), want)
		}
		if told := p.lost.Load() != before; told != (c.deadline == 0) {
			t.Errorf("patience %s, deadline %s: the others were told: %v", c.patience, c.deadline, told)
		}
		line.Close()
	}
	if len(p.lines) != 0 {
		t.Errorf("%d lines are kept that were closed", len(p.lines))
	}
}

// postgresIsMadeOnce opens one empty database from many sides at once.
func postgresIsMadeOnce(t *testing.T) {
	if _, err := onPostgres.admin.Exec("CREATE DATABASE together"); err != nil {
		t.Fatal(err)
	}
	var keys sync.Map
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), onPostgres.url("together"), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Trace: trace()})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			key, err := s.MaskKey(t.Context())
			if err != nil {
				t.Error(err)
			}
			keys.Store(string(key), true)
		})
	}
	wg.Wait()
	n := 0
	keys.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("got %d mask keys of one database, want one", n)
	}
}

// postgresPrunes asks the server which months it looks at: to read a page, to look
// for twins, to take up what is new, to verify a range and to purge one. Of many
// months, each of them needs two.
func postgresPrunes(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	s, err := Open(t.Context(), address(t, filepath.Join(t.TempDir(), "audit.db")), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: func() time.Time { return noon },
		Trace: func(statement string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, statement)
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var events []*audit.Event
	for month := range 20 {
		for day := range 5 {
			events = append(events, event(t, "timestamp", audit.FormatTime(time.Date(2025, time.Month(1+month), 10+day, 0, 0, 0, 0, time.UTC)), "event_id", fmt.Sprint(month, "-", day)))
		}
	}
	mustAppend(t, s, events...)
	list := mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 8})
	var ids, starts []int64
	for _, st := range list.Items {
		ids = append(ids, st.ID)
		starts = append(starts, st.Time().UnixMicro()<<idBits)
	}
	if len(ids) != 8 {
		t.Fatalf("got %d ids, want 8", len(ids))
	}
	mustAppend(t, s, events[:2]...) // twins
	if v, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || !v.Holds() {
		t.Fatalf("got %+v, %v", v, err)
	}
	if _, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "x", DryRun: true}); err != nil {
		t.Fatal(err)
	}
	lo, hi, span := ids[7], ids[0], int64(1<<idBits-1)
	for _, c := range []struct {
		what, begins, holds string
		args                []any
	}{
		{"a page", "SELECT e.id, e.seq, e.recorded_at", "ANY($1)", []any{ids, lo, hi}},
		{"twins", "SELECT j.key, e.id", "", []any{starts, span, lo, hi}},
		{"the refresh", "SELECT e.id, e.seq, e.timestamp", "JOIN audit_log", []any{int64(92), int64(100), "audit_log", lo, hi}},
		{"a range to verify", "SELECT count(*), max(id)", "FROM audit_log", []any{lo, hi}},
		{"a range to purge", "SELECT e.id, e.seq, e.timestamp, e.recorded_at", "FROM audit_log", []any{lo - 1, hi + 1, 100}},
	} {
		mu.Lock()
		i := slices.IndexFunc(seen, func(s string) bool { return strings.HasPrefix(s, c.begins) && strings.Contains(s, c.holds) })
		statement := ""
		if i >= 0 {
			statement = seen[i]
		}
		mu.Unlock()
		if statement == "" {
			t.Errorf("there is no statement of %s", c.what)
			continue
		}
		var plan []string
		if err := s.ro.SelectContext(t.Context(), &plan, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "+statement, c.args...); err != nil {
			t.Errorf("%s: %v: %s", c.what, err, statement)
			continue
		}
		touched := map[string]bool{}
		for _, line := range plan {
			if part := regexp.MustCompile(`on (audit_log_\w+)`).FindStringSubmatch(line); part != nil && !strings.Contains(line, "never executed") {
				touched[part[1]] = true
			}
		}
		if len(touched) != 2 || !touched["audit_log_2026_08"] || !touched["audit_log_2026_07"] {
			t.Errorf("%s of two months touches %v:\n%s", c.what, touched, strings.Join(plan, "\n"))
		}
	}
}

// postgresMonths: what stood in the default partition is moved when its month is
// made.
func postgresMonths(t *testing.T) {
	s := openTest(t)
	d := s.dialect.(*postgresDialect)
	at := "2019-05-06T00:00:00Z"
	d.months.mu.Lock()
	d.months.failed[audit.KindAuditLog][monthOf(event(t, "timestamp", at).Time())] = true // as where the role may make no tables
	d.months.mu.Unlock()
	mustAppend(t, s, event(t, "timestamp", at, "event_id", "a"))
	where := func() (table string) {
		t.Helper()
		if err := s.ro.Get(&table, "SELECT CAST(tableoid AS regclass)::text FROM audit_log WHERE event_id = 'a'"); err != nil {
			t.Fatal(err)
		}
		return table
	}
	if got := where(); got != "audit_log_default" {
		t.Fatalf("got the event in %s, want it in the default partition", got)
	}
	d.months.mu.Lock()
	clear(d.months.failed[audit.KindAuditLog])
	d.months.mu.Unlock()
	mustAppend(t, s, event(t, "timestamp", at, "event_id", "b"))
	if got := where(); got != "audit_log_2019_05" {
		t.Errorf("got the event in %s, want it in its month", got)
	}
	if got := mustAppend(t, s, event(t, "timestamp", at, "event_id", "a")); got != (Appended{Duplicates: 1}) {
		t.Errorf("got %+v of the event again, want a duplicate", got)
	}
	if n := countAll(t, s, audit.KindAuditLog, "on:2019-05"); n != 2 {
		t.Errorf("got %d events of the month, want 2", n)
	}
	if v, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || !v.Holds() || v.Events != 2 {
		t.Errorf("got %+v, %v", v, err)
	}
	for _, m := range []month{monthOf(noon), monthOf(noon) + monthsAhead} {
		var there bool
		if err := s.ro.Get(&there, "SELECT to_regclass(?) IS NOT NULL", m.partition(audit.KindSystemEvent)); err != nil || !there {
			t.Errorf("%s is not made ahead, %v", m.partition(audit.KindSystemEvent), err)
		}
	}
}

// wire is a TCP connection between the store and the server that can be cut at a
// commit: before it arrives, or before the answer does.
type wire struct {
	to   string
	cut  atomic.Int32 // how many commits more are cut
	late bool         // after the server has it
	cuts atomic.Int32
}

func (w *wire) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.to)
		if err != nil {
			client.Close()
			continue
		}
		var deaf atomic.Bool // towards the client
		go func() {
			defer client.Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := server.Read(buf)
				if err != nil || deaf.Load() {
					return
				}
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
		go func() {
			defer server.Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := client.Read(buf)
				if err != nil {
					return
				}
				if bytes.Contains(bytes.ToLower(buf[:n]), []byte("commit\x00")) && w.cut.Add(-1) >= 0 {
					w.cuts.Add(1)
					deaf.Store(true)
					if w.late {
						_, _ = server.Write(buf[:n])
						time.Sleep(20 * time.Millisecond)
					}
					client.Close()
					return
				}
				if _, err := server.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// overWire opens a fresh database over a wire that can be cut at a commit.
func overWire(t *testing.T, late bool) (*Store, *wire) {
	t.Helper()
	direct, err := url.Parse(address(t, filepath.Join(t.TempDir(), "audit.db")))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &wire{to: direct.Host, late: late}
	go w.serve(l)
	direct.Host = l.Addr().String()
	s, err := Open(t.Context(), direct.String(), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: func() time.Time { return noon }, Trace: trace()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, w
}

// postgresLostCommit cuts the connection at commits. What was acknowledged is there
// once, what took place is acknowledged, and nobody is told a lie.
func postgresLostCommit(t *testing.T) {
	for _, late := range []bool{true, false} {
		t.Run(fmt.Sprint("late=", late), func(t *testing.T) {
			s, w := overWire(t, late)
			for i := range 20 {
				w.cut.Store(1)
				// Without a name: stored a second time it would be there twice.
				got, err := s.Append(t.Context(), []*audit.Event{event(t, "object_id", fmt.Sprint(i))})
				if err != nil || got.Accepted != 1 {
					t.Fatalf("event %d: got %+v, %v", i, got, err)
				}
			}
			w.cut.Store(0)
			if w.cuts.Load() < 20 {
				t.Errorf("%d commits were cut, want 20: the test shows nothing", w.cuts.Load())
			}
			if n := countAll(t, s, audit.KindAuditLog, ""); n != 20 {
				t.Errorf("got %d events, want 20", n)
			}
			// A write that adds no entry to the ledger is known by its number.
			w.cut.Store(1)
			token, err := s.CreateToken(t.Context(), ines, "ci", "ingest", []byte("hash"), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			w.cut.Store(1)
			if err := s.TouchToken(t.Context(), token.ID); err != nil {
				t.Error(err)
			}
			w.cut.Store(0)
			if v, err := s.Verify(context.WithoutCancel(t.Context()), VerifyOptions{}); err != nil || !v.Holds() {
				t.Errorf("got %+v, %v", v, err)
			}
		})
	}
}

func queryOf(kind audit.Kind, q string) (*query.Filter, error) {
	return query.Parse(kind, q, query.Options{Now: noon})
}
