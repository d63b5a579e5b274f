package handlers

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// onReplica is the address of the same database on another server.
func onReplica(t testing.TB, at string, replica *pgtest.Server) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = replica.Address()
	return u.String()
}

// TestReplica serves pages from a replica beside the primary: who signs in is
// signed in at once however far it is behind, pages say how far, and nothing is
// taken away on the word of what it does not have yet.
func TestReplica(t *testing.T) {
	server := pgtest.New(t)
	at := server.Database(t, "")
	replica := server.Replica(t)
	s := newSiteAt(t, at, db.Options{StateDir: t.TempDir(), ReadFrom: onReplica(t, at, replica)})
	ids := s.shop()
	replica.CatchUp(t, server.LSN(t))
	for _, path := range append(pages(ids), "/health", "/accounts", "/holds") {
		page := s.page("superuser", path)
		if !strings.Contains(page, "Read from a replica, ") {
			t.Errorf("GET %s does not say where it is read", path)
		}
		if !strings.Contains(page, "fsync = off") { // as the servers of the tests run
			t.Errorf("GET %s warns of nothing", path)
		}
	}
	if page := s.get("", "/login").Body.String(); strings.Contains(page, "fsync") || strings.Contains(page, "replica") {
		t.Error("a stranger is told how the server is run")
	}

	replica.Exec(t, "SELECT pg_wal_replay_pause()")
	s.signUp("nora", db.RoleSuperuser) // and in
	s.add(audit.KindAuditLog, map[string]string{"timestamp": audit.FormatTime(s.now()), "action": "UPDATE", "username": "late"})
	time.Sleep(1100 * time.Millisecond) // a look at the lag is good for a second
	page := s.page("nora", "/audit-logs?q=user:late")
	if !regexp.MustCompile(`Read from a replica, [\d.]+ s and \d+ entries behind`).MatchString(page) {
		t.Error("the page does not say how far it is behind")
	}
	var health struct {
		Lag     float64 `json:"replica_lag_seconds"`
		Entries int64   `json:"replica_lag_entries"`
	}
	s.data("superuser", "/health.json", &health)
	if health.Lag <= 0 || health.Entries <= 0 {
		t.Errorf("got a lag of %+v", health)
	}
	gone := "/audit-logs/" + ids[audit.KindAuditLog] + "/delete"
	expect(t, "delete what holds may cover that have not arrived", s.post("superuser", gone, url.Values{"reason": {"x"}}).Code, http.StatusServiceUnavailable)

	replica.Exec(t, "SELECT pg_wal_replay_resume()")
	replica.CatchUp(t, server.LSN(t))
	time.Sleep(1100 * time.Millisecond)
	if page := s.page("nora", "/audit-logs?q=user:late"); !strings.Contains(page, "Read from a replica, up to date") || !strings.Contains(page, "late") {
		t.Error("it does not say that it is up to date")
	}
	expect(t, "delete", s.post("superuser", gone, url.Values{"reason": {"x"}}).Code, http.StatusSeeOther)

	replica.Stop(t)
	start := time.Now()
	w := s.get("superuser", "/audit-logs")
	expect(t, "a replica that is away", w.Code, http.StatusServiceUnavailable)
	if !strings.Contains(w.Body.String(), "The database is away") || time.Since(start) > 10*time.Second {
		t.Errorf("after %v it says %s", time.Since(start), w.Body)
	}
	expect(t, "readyz", s.get("", "/readyz").Code, http.StatusServiceUnavailable)
	r := httptest.NewRequest(http.MethodPost, "/api/v1/events", strings.NewReader(`{"kind":"audit_log","action":"VIEW"}`))
	r.Header.Set("Content-Type", "application/x-ndjson")
	expect(t, "ingest, which needs no replica", s.do("token:ingest", r).Code, http.StatusOK)
	replica.Start(t)
	for start := time.Now(); s.get("superuser", "/audit-logs").Code != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatal("it does not go on with the replica")
		}
	}
}

// TestReplicaAlone serves a replica and nothing else: people sign in and read, and
// every route that changes something says why it does not.
func TestReplicaAlone(t *testing.T) {
	server := pgtest.New(t)
	at := server.Database(t, "")
	replica := server.Replica(t)
	made := newSiteAt(t, at, db.Options{StateDir: t.TempDir()})
	ids := made.shop()
	replica.CatchUp(t, server.LSN(t))

	store, err := db.Open(t.Context(), onReplica(t, at, replica), db.Options{Schema: auditadmin.Schema, StateDir: t.TempDir(), Now: made.now, ReadOnly: true, Served: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := &site{TB: t, store: store, clock: made.clock, cookie: map[string]*http.Cookie{}, tokens: made.tokens}
	s.server, err = New(t.Context(), Config{Store: store, Version: "test", KDF: quickKDF, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.signIn("viewer", "vera")
	s.signIn("superuser", "sam")
	const says = "This is a copy for reading"
	for _, path := range append(pages(ids), "/health", "/accounts", "/holds") {
		if page := s.page("superuser", path); !strings.Contains(page, says) || !strings.Contains(page, "Read from a replica") {
			t.Errorf("GET %s does not say what it is", path)
		}
	}
	expect(t, "readyz", s.get("", "/readyz").Code, http.StatusOK)
	signing := regexp.MustCompile(`^/(login|logout|ask|zone|theme|account/sessions|account/end-sessions)`)
	tried := 0
	for _, r := range s.routes() {
		if r.method != http.MethodPost || signing.MatchString(r.pattern) || r.pattern == "/api/v1/events" {
			continue
		}
		path := strings.ReplaceAll(r.path(ids), "{id}", "1")
		form := url.Values{"reason": {"because"}, "note": {"seen"}, "id": {ids[audit.KindAuditLog]}, "field": {"username"}, "kind": {"audit_log"}, "query": {"user:alice"},
			"name": {"nora"}, "role": {"viewer"}, "password": {password}, "current": {password}, "again": {password}, "new": {"another long password"}, "repeat": {"another long password"}, "scope": {"read"}, "days_audit_log": {"90"}}
		if strings.HasPrefix(r.pattern, "/system-events") {
			form.Set("id", ids[audit.KindSystemEvent])
		}
		w := s.post("superuser", path, form)
		tried++
		switch {
		case r.pattern == "/account/second-factor/remove" && w.Code == http.StatusSeeOther: // there is none
		case w.Code == http.StatusServiceUnavailable && strings.Contains(w.Body.String(), ">"+says+"</h1>"):
		case w.Code >= 400 && w.Code < 500 && w.Code != http.StatusForbidden && strings.Contains(w.Body.String(), says): // its form is not complete, or there is no such thing: the banner says the rest
		default:
			t.Errorf("POST %s: got %d: %.200s", path, w.Code, w.Body)
		}
	}
	if tried < 20 {
		t.Errorf("%d routes were tried: the test shows nothing", tried)
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader([]byte(`{"kind":"audit_log","action":"VIEW"}`)))
	r.Header.Set("Content-Type", "application/x-ndjson")
	w := s.do("token:ingest", r)
	expect(t, "ingest", w.Code, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") != "5" {
		t.Errorf("ingest: Retry-After %q, want 5", w.Header().Get("Retry-After"))
	}

	// What is decided elsewhere holds here.
	vera, err := made.store.Account(t.Context(), "vera")
	if err != nil {
		t.Fatal(err)
	}
	if err := made.store.SetDisabled(t.Context(), db.CommandLine("tester"), vera.ID, true); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); s.get("viewer", "/").Code == http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatal("a disabled account reads on")
		}
	}
	expect(t, "the other one", s.get("superuser", "/").Code, http.StatusOK)
}

// TestHindrancesOnPostgreSQL: while the server cannot record, senders are told when
// to come again, pages say why, and it goes on by itself.
func TestHindrancesOnPostgreSQL(t *testing.T) {
	server := pgtest.New(t)
	proxy := pgtest.NewProxy(t, server)
	at := server.Database(t, "")
	s := newSiteAt(t, proxy.URL(t, at), db.Options{StateDir: t.TempDir(), Served: true})
	admin := pgtest.Open(t, at)
	execute := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := admin.Exec(statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	send := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/events", strings.NewReader(`{"kind":"audit_log","action":"VIEW"}`))
		r.Header.Set("Content-Type", "application/x-ndjson")
		return s.do("token:ingest", r)
	}
	for _, c := range []struct {
		name, says string
		begin, end func()
		pages      bool // can be read meanwhile
	}{
		// A full disk as the server would report it.
		{"full", "The disk is full", func() {
			execute("CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$",
				"CREATE TRIGGER no_room BEFORE UPDATE ON head EXECUTE FUNCTION no_room()", "CREATE TRIGGER no_room BEFORE INSERT ON meta EXECUTE FUNCTION no_room()")
		}, func() {
			execute("DROP TRIGGER no_room ON head", "DROP TRIGGER no_room ON meta", "DROP FUNCTION no_room()")
		}, true},
		{"read-only", "The database cannot be written",
			func() { server.Set(t, "default_transaction_read_only", "on") },
			func() { setWritable(t, at) }, true},
		{"away", "The database is away", func() { proxy.Refuse(t, true); proxy.Cut() }, func() { proxy.Refuse(t, false) }, false},
		{"away with the answer to a commit", "The database is away", func() {
			var recorded atomic.Bool // or it may be that of the text index
			lost := proxy.LoseAnswer(func(statement string) bool {
				recorded.Store(recorded.Load() || strings.Contains(statement, "UPDATE head"))
				return recorded.Load() && pgtest.Commit(statement)
			})
			go func() { <-lost; proxy.Refuse(t, true); proxy.Cut() }()
		}, func() { proxy.Refuse(t, false) }, false},
	} {
		expect(t, c.name+": before", send().Code, http.StatusOK)
		c.begin()
		for i := range 2 {
			w := send()
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: event %d got %d, Retry-After %q: %s", c.name, i, w.Code, w.Header().Get("Retry-After"), w.Body)
			}
		}
		if c.pages {
			if page := s.page("viewer", "/audit-logs"); !strings.Contains(page, c.says) {
				t.Errorf("%s: no banner", c.name)
			}
		} else if w := s.get("viewer", "/audit-logs"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: the page got %d: %.300s", c.name, w.Code, w.Body)
		}
		expect(t, c.name+": readyz", s.get("", "/readyz").Code, http.StatusServiceUnavailable)
		c.end()
		for start := time.Now(); s.store.Hindrance() != nil; time.Sleep(20 * time.Millisecond) {
			if time.Since(start) > 15*time.Second {
				t.Fatalf("%s: it does not go on: %v", c.name, s.store.Hindrance().Err)
			}
		}
		expect(t, c.name+": after", send().Code, http.StatusOK)
		var w *httptest.ResponseRecorder
		for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			if w = s.get("viewer", "/audit-logs"); w.Code == http.StatusOK || time.Since(start) > 5*time.Second {
				break
			}
		}
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: afterwards the page got %d, or the banner stays", c.name, w.Code)
		}
		expect(t, c.name+": readyz after", s.get("", "/readyz").Code, http.StatusOK)
	}
	if page := s.page("viewer", "/system-events"); !strings.Contains(page, "The disk is full: nothing could be recorded") {
		t.Error("nothing says that the disk was full")
	}
}

// setWritable ends default_transaction_read_only, which a session of its own may.
func setWritable(t *testing.T, at string) {
	t.Helper()
	own := pgtest.Open(t, at+"&default_transaction_read_only=off")
	for _, statement := range []string{"ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"} {
		if _, err := own.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}
