package handlers

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// inside is what an answer never says: paths of the machine, SQL, stacks, names
// of packages and of tables.
var inside = regexp.MustCompile(`(?i)goroutine|\.go:\d|/home/|/tmp/|/root/|/var/|audit\.db|select .* from|insert into|no such (table|column)|sqlite|syntax error near|panic|runtime error|github\.com/|internal/|0x[0-9a-f]{6}|database/sql|sqlx|context deadline`)

// TestT22_FaultsSayNothing takes tables away under a running server and asks for
// everything: each of many faults of ours is answered by a 500 or 503 with an id,
// which says nothing of its cause; the log holds the cause under that id, and
// what needs nothing of the tables goes on.
//
// ASVS:V16.5.1 ASVS:V16.5.2 ASVS:V16.5.3 ASVS:V16.3.4 ASVS:V13.4.2
func TestT22_FaultsSayNothing(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	own, err := sql.Open("sqlite3", "file:"+s.store.Path()+"?_busy_timeout=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	faults := 0
	for _, broken := range [][]string{{"audit_log", "login_attempt", "data_export", "system_event"}, {"account"}, {"session", "token"}} {
		for _, table := range broken {
			// The name is a fixed one of this list.
			if _, err := own.Exec("ALTER TABLE " + table + " RENAME TO gone_" + table); err != nil {
				t.Fatal(err)
			}
		}
		for _, at := range s.routes() {
			for _, as := range []string{"superuser", "token:read", "token:ingest"} {
				w := func() (w *httptest.ResponseRecorder) {
					defer func() {
						if r := recover(); r != nil && r != http.ErrAbortHandler { // an export that broke off
							t.Errorf("%s %s: panic %v", at.method, at.pattern, r)
						}
					}()
					if at.pattern == "/logout" || strings.HasSuffix(at.pattern, "end-sessions") {
						return httptest.NewRecorder()
					}
					if at.method == http.MethodPost {
						body := "reason=x&note=x&name=new&role=viewer&scope=read&expires=30d&password=" + url.QueryEscape(password) + "&id=" + ids[audit.KindAuditLog]
						if at.pattern == "/api/v1/events" {
							body = `{"kind":"audit_log","action":"VIEW"}`
						}
						r := httptest.NewRequest(at.method, at.path(ids), strings.NewReader(body))
						r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
						return s.do(as, r)
					}
					return s.get(as, at.path(ids))
				}()
				if w == nil {
					continue
				}
				if w.Code >= 500 {
					faults++
					id := w.Header().Get("X-Request-Id")
					if html := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); id == "" || html && w.Code == 500 && !strings.Contains(w.Body.String(), id) {
						t.Errorf("%s %s as %s: a %d that does not name its id", at.method, at.pattern, as, w.Code)
					}
				}
				if found := inside.FindString(strings.ReplaceAll(w.Body.String(), s.server.version, "")); found != "" && w.Code >= 400 {
					t.Errorf("%s %s as %s: a %d says %q", at.method, at.pattern, as, w.Code, found)
				}
			}
		}
		// Nobody is let in for want of a table to ask.
		if w := s.get("", "/audit-logs.json"); w.Code == http.StatusOK {
			t.Error("a stranger reads while tables are gone")
		}
		expect(t, "liveness", s.get("", "/healthz").Code, http.StatusOK)
		expect(t, "sign-in page", s.get("", "/login").Code, http.StatusOK)
	}
	t.Logf("%d faults", faults)
	if faults < 20 {
		t.Errorf("got %d faults, want at least 20", faults)
	}
	if !strings.Contains(s.log.String(), "no such table") || !strings.Contains(s.log.String(), "request_id=") {
		t.Error("the log does not hold the cause under the request's id")
	}
}

// TestT22_NothingBeside asks for what servers show by mistake.
//
// ASVS:V13.4.1 ASVS:V13.4.3 ASVS:V13.4.4 ASVS:V15.2.3 ASVS:V5.3.1 ASVS:V5.3.2 ASVS:V13.2.5
func TestT22_NothingBeside(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/.git/config", "/.git/HEAD", "/.svn/entries", "/.env", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/server-status", "/swagger", "/openapi.json", "/static/", "/static", "/static/..",
		"/static/../audit.db", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fetc%2fpasswd", "/static//etc/passwd", "/audit.db", "/audit.db-wal", "/go.mod", "/schema.sql", "/backup.zip", "/admin", "/phpinfo.php", "/test", "/examples/"} {
		for _, as := range []string{"", "superuser"} {
			if w := s.get(as, path); w.Code == http.StatusOK || strings.Contains(w.Body.String(), "<pre>\n<a href") || strings.Contains(w.Body.String(), "root:") {
				t.Errorf("GET %s as %q: got %d", path, as, w.Code)
			}
		}
	}
	for _, method := range []string{"TRACE", "TRACK", "CONNECT", "PUT", "PATCH", "DELETE", "PROPFIND", "BREW"} {
		for _, path := range []string{"/", "/login", "/audit-logs", "/api/v1/events", "/static/x", "/healthz"} {
			r := httptest.NewRequest(method, path, strings.NewReader("secret"))
			r.Header.Set("X-Secret", canary)
			if w := s.do("superuser", r); w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), canary) {
				t.Errorf("%s %s: got %d, want 405", method, path, w.Code)
			}
		}
	}
}

// TestT19_NoWayToWipeTracks has a superuser take away everything in every way
// there is: each event that goes leaves its tombstone and its trace, no trace
// goes, and SQL is refused by the database itself.
//
// ASVS:V16.4.2 ASVS:V2.3.2
func TestT19_NoWayToWipeTracks(t *testing.T) {
	s := newSite(t)
	s.shop()
	list := func() map[string]bool { // every event there is, by its address
		all := map[string]bool{}
		for _, kind := range audit.Kinds() {
			var page listed
			s.data("superuser", "/"+kind.Path()+".json?limit=1000", &page)
			for _, item := range page.Items {
				all["/"+kind.Path()+"/"+item["id"].(string)] = true
			}
		}
		return all
	}
	before := list()
	ways := 0
	for path := range before {
		kindPath, id, _ := strings.Cut(path[1:], "/")
		switch ways++; ways % 3 {
		case 0:
			s.post("superuser", path+"/delete", url.Values{"reason": {"wipe"}})
		case 1:
			s.post("superuser", "/"+kindPath+"/delete", url.Values{"reason": {"wipe"}, "id": {id}})
		case 2:
			s.post("superuser", "/"+kindPath+"/delete", url.Values{"reason": {"wipe"}, "id": {id, id}})
		}
	}
	deleted := 0
	for path := range before {
		w := s.get("superuser", path+".json")
		switch {
		case w.Code == http.StatusGone && strings.Contains(w.Body.String(), `"deleted_by":"sam"`) && strings.Contains(w.Body.String(), `"reason":"wipe"`):
			deleted++
		case w.Code != http.StatusOK:
			t.Errorf("GET %s: got %d, want its tombstone or itself", path, w.Code)
		}
	}
	if deleted < 10 {
		t.Fatalf("%d events were deleted, want at least 10", deleted)
	}
	// Each deletion left a trace, and a second round deletes none of them.
	traces := s.total(audit.KindAuditLog, "module:auditadmin action:DELETE user:sam")
	if traces < 1 {
		t.Fatal("the deletions left no trace")
	}
	for range 2 {
		for path := range list() {
			s.post("superuser", path+"/delete", url.Values{"reason": {"wipe the traces"}})
			kindPath, id, _ := strings.Cut(path[1:], "/")
			s.post("superuser", "/"+kindPath+"/delete", url.Values{"reason": {"wipe the traces"}, "id": {id}})
		}
	}
	if now := s.total(audit.KindAuditLog, "module:auditadmin action:DELETE user:sam"); now < traces {
		t.Errorf("got %d traces of deletions, had %d", now, traces)
	}
	// The database refuses what a tool would do.
	own, err := sql.Open("sqlite3", "file:"+s.store.Path()+"?_busy_timeout=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for _, statement := range []string{"DELETE FROM audit_log", "DELETE FROM login_attempt", "DELETE FROM data_export", "DELETE FROM system_event", "DELETE FROM tombstone", "DELETE FROM ledger",
		"UPDATE audit_log SET username = 'eve'", "UPDATE login_attempt SET status = 'SUCCESS'", "UPDATE tombstone SET reason = 'x'", "UPDATE ledger SET actor = 'x'", "UPDATE system_event SET title = 'x'",
		"INSERT OR REPLACE INTO tombstone SELECT kind, id, seq, timestamp, event_id_hash, deleted_at, 'eve', reason FROM tombstone LIMIT 1"} {
		if done, err := own.Exec(statement); err == nil {
			if n, _ := done.RowsAffected(); n > 0 {
				t.Errorf("%s: changed %d rows, want a refusal", statement, n)
			}
		}
	}
}

// TestT16_ExpensiveQuestions asks the hardest questions there are, from fifty
// clients at once, while others sign in: every question is answered, refused or
// stopped, the sign-in page always comes, and nothing is left running.
//
// ASVS:V4.3.1 ASVS:V15.2.2 ASVS:V2.4.1
func TestT16_ExpensiveQuestions(t *testing.T) {
	s := newSite(t)
	events := 3_000
	if long {
		events = 100_000
	}
	var all []*audit.Event
	for i := range events {
		e := audit.NewEvent(audit.KindAuditLog)
		e.SetTime(noon.Add(-time.Duration(i) * time.Minute))
		e.Set("action", "UPDATE")
		e.Set("username", "alice")
		e.Set("reason", strings.Repeat("aaaa bbbb ", 20))
		if err := e.Normalize(noon); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	for len(all) > 0 {
		n := min(1000, len(all))
		if _, err := s.store.Append(t.Context(), all[:n]); err != nil {
			t.Fatal(err)
		}
		all = all[n:]
	}
	if err := s.store.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	many := func(term string, n int) string { return strings.TrimSpace(strings.Repeat(term+" ", n)) }
	questions := []string{"aaa", "aa", "a", "-aaa", "reason:aaa -reason:zzz", many("aaa", 50), many("aa", 50), many("-reason:a", 40), "user:" + strings.TrimSuffix(strings.Repeat("a*,", 1000), ","),
		many(`"aaaa bbbb"`, 100), strings.Repeat("%", 500), strings.Repeat("_", 500), strings.Repeat(`"`, 501), strings.Repeat("(", 1000), "after:1970 before:2200 aaa", strings.Repeat("x", 60_000), many("old:a new:a field:a", 30)}
	server := httptest.NewServer(s.server)
	defer server.Close()
	var clients sync.WaitGroup
	counts := make(chan string, 10_000)
	for i := range 50 {
		clients.Go(func() {
			q := url.QueryEscape(questions[i%len(questions)])
			for _, path := range []string{"/audit-logs.json?limit=1000&q=", "/audit-logs/facets.json?q=", "/audit-logs/timeline.json?by=hour&q=", "/audit-logs?q="} {
				r, err := http.NewRequest(http.MethodGet, server.URL+path+q, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.AddCookie(s.cookie["viewer"])
				w, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Errorf("%.40s: %v", questions[i%len(questions)], err)
					continue
				}
				w.Body.Close()
				counts <- fmt.Sprint(w.StatusCode)
				if w.StatusCode >= 500 && w.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("%s %.40s: got %d", path, questions[i%len(questions)], w.StatusCode)
				}
				if w, err := http.Get(server.URL + "/login"); err != nil || w.StatusCode != http.StatusOK {
					t.Errorf("the sign-in page beside it: %v", err)
				} else {
					w.Body.Close()
				}
			}
		})
	}
	clients.Wait()
	close(counts)
	got := map[string]int{}
	for c := range counts {
		got[c]++
	}
	if got["200"] == 0 || got["400"]+got["431"] == 0 {
		t.Errorf("got %v, want answers and refusals", got)
	}
}

// TestT16_AStoppedQuestionStops asks after the time for an answer is over: each
// question ends with a 503 that says so, and the next one is answered.
func TestT16_AStoppedQuestionStops(t *testing.T) {
	s := newSite(t)
	s.shop()
	for _, path := range []string{"/audit-logs?q=alice", "/audit-logs.json?q=order", "/audit-logs/facets.json?q=order", "/users?name=alice", "/"} {
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		w := s.do("viewer", httptestGet(path).WithContext(ctx))
		cancel()
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("GET %s after its time: got %d, want 503", path, w.Code)
		}
		s.page("viewer", path)
	}
}
