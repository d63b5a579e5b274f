package handlers

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
)

// TestEveryRouteHasARule fails for an address that nobody decided about.
func TestEveryRouteHasARule(t *testing.T) {
	s := newSite(t)
	policy := authz.NewPolicy(authz.Rules())
	count := 0
	err := chi.Walk(s.server.router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		count++
		if _, known := policy.Rule(method, route); !known {
			t.Errorf("%s %s has no rule", method, route)
		}
		return nil
	})
	if err != nil || count < 50 {
		t.Fatalf("walked %d routes, %v", count, err)
	}
}

func TestEveryPageByRole(t *testing.T) {
	s := newSite(t)
	for _, path := range pages(s.shop()) {
		for _, as := range []string{"viewer", "responder", "superuser"} {
			w := s.get(as, path)
			if w.Code != http.StatusOK {
				t.Errorf("GET %s as %s: got %d, want 200", path, as, w.Code)
			}
			if got, want := w.Header().Get("Content-Type"), "text/html; charset=utf-8"; got != want {
				t.Errorf("GET %s: got type %q, want %q", path, got, want)
			}
		}
		if w := s.get("", path); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login?next=") {
			t.Errorf("GET %s as a stranger: got %d to %q, want 303 to /login", path, w.Code, w.Header().Get("Location"))
		}
	}
}

// TestHead asks for the head of pages: the same answer without its body.
func TestHead(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	for _, path := range []string{"/audit-logs", "/audit-logs/" + ids[audit.KindAuditLog], "/audit-logs.json", "/healthz"} {
		w := s.do("viewer", httptest.NewRequest(http.MethodHead, path, nil))
		if w.Code != http.StatusOK {
			t.Errorf("HEAD %s: got %d, want 200", path, w.Code)
		}
	}
}

// TestReadingChangesNothing asks for every page and twin and looks whether
// anything was recorded.
func TestReadingChangesNothing(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	before := s.head()
	for _, path := range pages(ids) {
		s.page("superuser", path)
	}
	for _, path := range []string{"/audit-logs.json", "/audit-logs/facets.json", "/audit-logs/timeline.json?by=day", "/suggest.json?kind=audit_log&q=user:&cursor=5"} {
		s.page("superuser", path)
	}
	if after := s.head(); after != before {
		t.Errorf("reading made %d entries in the ledger, want none", after-before)
	}
}

// head is how many entries the ledger has.
func (s *site) head() int64 {
	s.Helper()
	_, upTo, err := s.server.count(s.server.stranger(httptest.NewRequest(http.MethodGet, "/", nil)), audit.KindAuditLog, "")
	if err != nil {
		s.Fatal(err)
	}
	return upTo
}

// ASVS:V2.2.3 ASVS:V1.4.2
func TestUnknownAddresses(t *testing.T) {
	s := newSite(t)
	s.shop()
	for _, test := range []struct {
		path string
		want int
	}{
		{"/nowhere", 404}, {"/audit-logs/abc", 404}, {"/audit-logs/12", 404}, {"/audit-logs/-1", 404}, {"/audit-logs/007", 404},
		{"/audit-logs/99999999999999999999999", 404}, {"/audit-logs/abc.json", 404}, {"/audit-logs/12.json", 404},
		{"/objects", 400}, {"/objects?type=a&id=b", 404}, {"/objects?type=shop.order&id=42&at=12", 404}, {"/objects?type=shop.order&id=42&at=x", 400},
		{"/users", 400}, {"/?days=x", 400}, {"/?days=0", 400}, {"/query-help?kind=x", 400}, {"/suggest.json?kind=x", 400},
		{"/audit-logs?after=x", 400}, {"/audit-logs?before=1.5", 400}, {"/audit-logs?after=1&before=2", 400}, {"/audit-logs?limit=x", 400},
		{"/audit-logs?tz=Mars/Olympus", 400}, {"/audit-logs?tz=Local", 400}, {"/audit-logs?tz=../../etc/passwd", 400}, {"/audit-logs?on=yesterday", 400},
		{"/audit-logs?select=all", 404}, {"/audit-logs/timeline.json", 400}, {"/audit-logs/timeline.json?by=minute", 400}, {"/audit-logs/facets.json?key=agent", 400},
		{"/system-events?select=all&q=title:nothing", 400},
	} {
		w := s.get("superuser", test.path)
		if w.Code != test.want {
			t.Errorf("GET %s: got %d, want %d: %.200s", test.path, w.Code, test.want, w.Body)
		}
		for _, secret := range []string{"SELECT", "goroutine", ".go:", "sqlite3"} {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("GET %s: the answer holds %q", test.path, secret)
			}
		}
	}
	w := s.do("viewer", httptest.NewRequest(http.MethodPut, "/audit-logs", nil))
	if w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), "GET") {
		t.Errorf("PUT: got %d and Allow %q, want 405 and GET", w.Code, w.Header().Get("Allow"))
	}
}

func TestHealth(t *testing.T) {
	s := newSite(t)
	s.shop()
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if got := s.get("", path).Body.String(); got != want {
			t.Errorf("GET %s: got %q, want %q", path, got, want)
		}
	}
	s.page("viewer", "/audit-logs")
	body := s.page("token:read", "/metrics")
	for _, want := range []string{"auditadmin_events{kind=\"system_event\"} 3", "auditadmin_system_events_unresolved 3",
		`auditadmin_http_request_duration_seconds_count{method="GET",route="/audit-logs",code="200"} 1`, `auditadmin_info{version="test"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics have no line %q", want)
		}
	}
	if w := s.get("", "/metrics"); w.Code != http.StatusUnauthorized {
		t.Errorf("metrics for a stranger elsewhere: got %d, want 401", w.Code)
	}
	local := httptest.NewRequest(http.MethodGet, "http://localhost:8080/metrics", nil)
	local.RemoteAddr = "127.0.0.1:1234"
	if w := s.do("", local); w.Code != http.StatusOK {
		t.Errorf("metrics on the machine itself: got %d, want 200", w.Code)
	}
	s.store.Close()
	if w := s.get("", "/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("readyz without a database: got %d, want 503", w.Code)
	}
}

// TestPanic breaks a handler: the answer says no more than an id, and the fault
// is recorded.
//
// ASVS:V16.3.4 ASVS:V16.5.1 ASVS:V16.5.4
func TestPanic(t *testing.T) {
	s := newSite(t)
	fault := s.server.recoverPanic(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret cause") }))
	w := httptest.NewRecorder()
	requestID(fault).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/audit-logs", nil))
	id := w.Header().Get("X-Request-Id")
	if w.Code != http.StatusInternalServerError || id == "" || !strings.Contains(w.Body.String(), id) {
		t.Errorf("got %d with id %q, want a 500 page that names its id", w.Code, id)
	}
	for _, secret := range []string{"secret cause", "goroutine", ".go:"} {
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("the page says %q", secret)
		}
	}
	var list listed
	s.data("viewer", "/system-events.json?q=request:"+id, &list)
	if len(list.Items) != 1 || list.Items[0]["event_type"] != "ERROR" || !strings.Contains(list.Items[0]["stack_trace"].(string), "goroutine") {
		t.Errorf("recorded %v, want one ERROR with its stack", list.Items)
	}
}

// TestSlowPage lets a page take six seconds, by the clock: it is recorded once.
func TestSlowPage(t *testing.T) {
	s := newSite(t)
	slow := s.server.watch(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.pass(6 * time.Second) }))
	slow.ServeHTTP(httptest.NewRecorder(), httptestGet("/audit-logs?q=everything"))
	slow.ServeHTTP(httptest.NewRecorder(), httptestGet("/audit-logs.csv"))
	var list listed
	s.data("viewer", "/system-events.json?q=event:PERFORMANCE", &list)
	if len(list.Items) != 1 || list.Items[0]["metadata"].(map[string]any)["milliseconds"] != 6000.0 {
		t.Errorf("recorded %v, want one slow page of 6000 ms", list.Items)
	}
}
