package handlers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// noon is when the tests happen.
var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// site is a whole server over a database of its own, with one account of each
// role that is signed in.
type site struct {
	testing.TB
	*clock
	server *Server
	store  *db.Store
	cookie map[string]*http.Cookie // by role; a stranger has none
	tokens map[string]string       // by scope
	log    logged
}

// clock is the time of a site, which the work beside its database reads too.
type clock struct{ past atomic.Int64 } // nanoseconds since noon

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.past.Load())) }
func (c *clock) pass(d time.Duration) { c.past.Add(int64(d)) }

// logged is what the server logs.
type logged struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

const password = "a sentence nobody guesses at all"

// quickKDF makes tests fast; argon2id itself is tested where it is used.
func quickKDF(password, salt []byte, _, _ uint32, _ uint8, n uint32) []byte {
	sum := sha256.Sum256(append(append([]byte{}, salt...), password...))
	return sum[:n]
}

func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteAt(t, filepath.Join(t.TempDir(), "audit.db"), db.Options{})
}

// newSiteAt is newSite over a database that is named, and opened as o says.
func newSiteAt(t testing.TB, path string, o db.Options) *site {
	t.Helper()
	s := &site{TB: t, clock: &clock{}, cookie: map[string]*http.Cookie{}, tokens: map[string]string{}}
	ctx := context.Background()
	o.Schema, o.Now = auditadmin.Schema, s.now
	store, err := db.Open(ctx, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s.store = store
	s.server, err = New(ctx, Config{Store: store, Version: "test", KDF: quickKDF, Log: slog.New(slog.NewTextHandler(&s.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	by := db.CommandLine("tester")
	for name, role := range map[string]db.Role{"vera": db.RoleViewer, "rosa": db.RoleResponder, "sam": db.RoleSuperuser} {
		hash, err := s.server.gate.Passwords().New(ctx, name, password)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.CreateAccount(ctx, by, name, role, hash); err != nil {
			t.Fatal(err)
		}
		w := s.post("", "/login", url.Values{"username": {name}, "password": {password}})
		if w.Code != http.StatusSeeOther {
			t.Fatalf("sign in as %s: got %d, want 303: %s", name, w.Code, w.Body)
		}
		for _, c := range w.Result().Cookies() {
			if c.Name == "auditadmin" {
				s.cookie[string(role)] = c
			}
		}
	}
	for _, scope := range authz.Scopes() {
		secret, hash := authz.NewToken()
		if _, err := store.CreateToken(ctx, by, "robot-"+scope, scope, hash, time.Time{}); err != nil {
			t.Fatal(err)
		}
		s.tokens[scope] = secret
	}
	return s
}

// do sends a request as somebody: "", a role, or "token:SCOPE".
func (s *site) do(as string, r *http.Request) *httptest.ResponseRecorder {
	if c := s.cookie[as]; c != nil {
		r.AddCookie(c)
	}
	if scope, ok := strings.CutPrefix(as, "token:"); ok {
		r.Header.Set("Authorization", "Bearer "+s.tokens[scope])
	}
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	return w
}

func (s *site) get(as, path string) *httptest.ResponseRecorder {
	return s.do(as, httptest.NewRequest(http.MethodGet, path, nil))
}

func (s *site) post(as, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://example.com")
	return s.do(as, r)
}

// page is the body of a page that has to be there.
func (s *site) page(as, path string) string {
	s.Helper()
	w := s.get(as, path)
	if w.Code != http.StatusOK {
		s.Fatalf("GET %s as %q: got %d, want 200: %s", path, as, w.Code, w.Body)
	}
	return w.Body.String()
}

// data is a JSON answer that has to be there.
func (s *site) data(as, path string, into any) {
	s.Helper()
	w := s.get(as, path)
	if w.Code != http.StatusOK {
		s.Fatalf("GET %s as %q: got %d, want 200: %s", path, as, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		s.Fatalf("GET %s: %v: %s", path, err, w.Body)
	}
}

// add stores events given as pairs of fields and values, and returns the ids.
func (s *site) add(kind audit.Kind, events ...map[string]string) []string {
	s.Helper()
	s.load(kind, events)
	var ids []string
	for _, e := range events {
		ids = append(ids, s.find(kind, e["timestamp"]))
	}
	return ids
}

// load stores events given as pairs of fields and values.
func (s *site) load(kind audit.Kind, events []map[string]string) {
	s.Helper()
	var all []*audit.Event
	for _, fields := range events {
		e := audit.NewEvent(kind)
		for name, value := range fields {
			e.Set(name, value)
		}
		if err := e.Normalize(s.now()); err != nil {
			s.Fatal(err)
		}
		all = append(all, e)
	}
	done, err := s.store.Append(context.Background(), all)
	if err != nil {
		s.Fatal(err)
	}
	if done.Accepted != len(all) {
		s.Fatalf("stored %d of %d events", done.Accepted, len(all))
	}
	if err := s.store.Index(context.Background()); err != nil {
		s.Fatal(err)
	}
}

// find is the id of the newest event of an instant, which a replica may have a moment
// after it was recorded.
func (s *site) find(kind audit.Kind, timestamp string) string {
	s.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var list listed
		s.data("viewer", "/"+kind.Path()+".json?limit=1&q="+url.QueryEscape("on:"+timestamp), &list)
		if len(list.Items) > 0 {
			return list.Items[0]["id"].(string)
		}
		if !s.store.Replica() || time.Now().After(deadline) {
			s.Fatalf("no %s at %s", kind.Singular(), timestamp)
		}
	}
}

// listed is a list as a program reads it.
type listed struct {
	Items    []map[string]any `json:"items"`
	Count    countJSON        `json:"count"`
	Next     string           `json:"next"`
	Previous string           `json:"previous"`
}

// at is an instant so long before the tests happen.
func at(before time.Duration) string { return audit.FormatTime(noon.Add(-before)) }

// shop fills a site with a small story of all four kinds, and returns the ids
// of one event of each.
func (s *site) shop() map[audit.Kind]string {
	s.Helper()
	ids := map[audit.Kind]string{}
	order := func(before time.Duration, who, action, changes string) map[string]string {
		return map[string]string{"timestamp": at(before), "username": who, "user_id": "7", "action": action, "content_type": "shop.order", "object_id": "42",
			"object_repr": "Order 42", "changes": changes, "ip_address": "203.0.113.9", "module": "shop", "session_key": "s-1", "request_id": "r-" + action,
			"user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.7; rv:136.0) Gecko/20100101 Firefox/136.0"}
	}
	logs := s.add(audit.KindAuditLog,
		order(72*time.Hour, "lea", "CREATE", `{"status":{"old":null,"new":"new"},"total":{"old":null,"new":"10.00"}}`),
		order(48*time.Hour, "alice", "UPDATE", `{"status":{"old":"new","new":"paid"}}`),
		order(24*time.Hour, "alice", "UPDATE", `{"status":{"old":"paid","new":"refunded"},"note":{"old":"","new":"gift card"},"total":{"old":"12.50","new":"0.00"}}`),
		order(2*time.Hour, "bob", "VIEW", ""))
	ids[audit.KindAuditLog] = logs[2]
	ids[audit.KindLoginAttempt] = s.add(audit.KindLoginAttempt,
		map[string]string{"timestamp": at(3 * time.Hour), "username": "alice", "status": "FAILED", "failure_reason": "wrong password", "ip_address": "198.51.100.7", "country": "FR", "city": "Paris"},
		map[string]string{"timestamp": at(2 * time.Hour), "username": "alice", "status": "SUCCESS", "ip_address": "203.0.113.9", "session_key": "s-1"})[0]
	ids[audit.KindDataExport] = s.add(audit.KindDataExport,
		map[string]string{"timestamp": at(time.Hour), "username": "bob", "export_type": "orders", "file_format": "csv", "record_count": "12043", "file_size": "1200000",
			"filters_applied": `{"q":"last:30d"}`, "metadata": `{"completed":true}`})[0]
	ids[audit.KindSystemEvent] = s.add(audit.KindSystemEvent,
		map[string]string{"timestamp": at(50 * time.Minute), "event_type": "ERROR", "title": "deadlock detected", "module": "checkout", "function_name": "reserve",
			"line_number": "218", "stack_trace": "Traceback (most recent call last):\n  File \"/app/checkout.py\", line 218, in reserve\n    lock()\nDeadlock: detected", "request_id": "r-UPDATE"},
		map[string]string{"timestamp": at(40 * time.Minute), "event_type": "WARNING", "title": "queue is long", "module": "mail"},
		map[string]string{"timestamp": at(30 * time.Minute), "event_type": "INFO", "title": "deployed", "module": "ops"})[0]
	return ids
}

// pages is the address of every page there is, over the shop.
func pages(ids map[audit.Kind]string) []string {
	all := []string{"/", "/?days=7&user=alice", "/objects?type=shop.order&id=42", "/objects?type=shop.order&id=42&at=" + ids[audit.KindAuditLog],
		"/users?name=alice", "/users?name=nobody", "/account/password"}
	for _, kind := range audit.Kinds() {
		path := "/" + kind.Path()
		all = append(all, path, path+"?q=last:7d", path+"?q=alice", path+"?q=user:nobody+last:1h", path+"?after=1", path+"?tz=Europe/Paris&limit=25",
			path+"?select=rows", path+"?more=user", path+"/"+ids[kind], "/query-help?kind="+string(kind))
	}
	return all
}

func httptestGet(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }
