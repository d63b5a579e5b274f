package handlers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// What was found in Django's admin and its sign-in over the years, each as a
// test of the same class of mistake here. The names are those of the CVEs.

// clean fails where a page holds an element, an attribute or an address that
// comes from a value.
func clean(t *testing.T, where, page string) {
	t.Helper()
	if !strings.Contains(page, canary) {
		t.Errorf("%s: the value is not on the page at all", where)
	}
	_, problems := inspected(t, page)
	for _, p := range problems {
		t.Errorf("%s: %s", where, p)
	}
}

// TestDjango_CVE_2008_2302: the admin's sign-in form wrote the address it had
// been asked for into the page as it was.
//
// ASVS:V3.7.2
func TestDjango_CVE_2008_2302(t *testing.T) {
	s := newSite(t)
	for _, payload := range payloads {
		next := "/audit-logs?q=" + payload
		page := s.get("", "/login?next="+url.QueryEscape(next)).Body.String()
		if authz.SafeNext(next) == next {
			clean(t, "GET /login", page)
		} else if strings.Contains(page, canary) {
			t.Errorf("GET /login repeats %q, where it would not go", next)
		}
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(url.Values{"username": {"vera"}, "password": {"x"}, "next": {next}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		_, problems := inspected(t, s.do("", r).Body.String())
		if len(problems) > 0 {
			t.Errorf("POST /login with %q: %v", payload, problems)
		}
	}
}

// TestDjango_CVE_2013_4249: a value that looks like an address became a link, so
// that a javascript: address ran where somebody followed it.
func TestDjango_CVE_2013_4249(t *testing.T) {
	s := newSite(t)
	for i, value := range []string{"javascript:" + canary + "(1)", "JaVaScRiPt:" + canary + "(1)", "\x01javascript:" + canary, "data:text/html," + canary, "vbscript:" + canary, "//" + canary + ".example", "https://" + canary + ".example/"} {
		encoded, _ := json.Marshal(value)
		id := s.add(audit.KindAuditLog, map[string]string{"timestamp": at(time.Duration(i+1) * time.Minute), "action": "UPDATE", "object_repr": value, "object_id": value, "content_type": "web.link", "username": value,
			"module": value, "user_agent": value, "changes": fmt.Sprintf(`{"url":{"old":null,"new":%s}}`, encoded), "metadata": fmt.Sprintf(`{"url":%s}`, encoded)})[0]
		for _, path := range []string{"/audit-logs", "/audit-logs/" + id, "/objects?type=web.link&id=" + url.QueryEscape(value), "/users?name=" + url.QueryEscape(value)} {
			clean(t, path, s.get("viewer", path).Body.String())
		}
	}
}

// TestDjango_CVE_2016_6186: the name of an object went unescaped into what is
// said after a change, and into a pop-up.
func TestDjango_CVE_2016_6186(t *testing.T) {
	s := newSite(t)
	for i, payload := range payloads {
		stamp := at(time.Duration(i+1) * time.Minute)
		id := s.add(audit.KindSystemEvent, map[string]string{"timestamp": stamp, "event_type": "ERROR", "title": payload})[0]
		done := s.post("responder", "/system-events/"+id+"/resolve", url.Values{"note": {payload}, "next": {"/system-events?q=" + payload}})
		if done.Code != http.StatusSeeOther {
			t.Fatalf("resolve: got %d, want 303", done.Code)
		}
		// The page that follows, with the message that it brings along.
		to := done.Header().Get("Location")
		u, err := url.Parse(to)
		if err != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || u.Host != "" {
			t.Fatalf("resolve leads to %q", to)
		}
		r := httptest.NewRequest(http.MethodGet, (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String(), nil)
		for _, c := range done.Result().Cookies() {
			r.AddCookie(c)
		}
		clean(t, to, s.do("responder", r).Body.String())
	}
}

// TestDjango_CVE_2019_12308: a widget showed a stored address as a link without
// looking at its scheme.
func TestDjango_CVE_2019_12308(t *testing.T) {
	s := newSite(t)
	for i, scheme := range []string{"javascript:", "data:text/html,", "vbscript:", "ftp://", "file:///", "mailto:", "tel:"} {
		value := scheme + canary
		stamp := at(time.Duration(i+1) * time.Minute)
		id := s.add(audit.KindDataExport, map[string]string{"timestamp": stamp, "export_type": "orders", "file_path": value, "filters_applied": fmt.Sprintf(`{"q":%q,"url":%q}`, value, value)})[0]
		clean(t, value, s.get("viewer", "/data-exports/"+id).Body.String())
	}
}

// TestDjango_CVE_2020_13596: the query string of a look-up field was put into a
// link without being encoded.
func TestDjango_CVE_2020_13596(t *testing.T) {
	s := newSite(t)
	s.shop()
	for _, payload := range payloads {
		q := url.QueryEscape("user:alice -reason:" + `"` + strings.NewReplacer(`"`, "", "\\", "").Replace(payload) + `"`)
		for _, path := range []string{"/audit-logs?q=" + q, "/audit-logs?q=" + q + "&limit=1", "/audit-logs?q=" + q + "&select=rows"} {
			page := s.get("superuser", path).Body.String()
			clean(t, path, page)
			// Every address on it that repeats the value can be read back.
			tree, _ := inspected(t, page)
			for n := range tree.Descendants() {
				for _, a := range n.Attr {
					if a.Key != "href" || !strings.Contains(a.Val, canary) {
						continue
					}
					if _, err := url.ParseRequestURI(a.Val); err != nil || strings.ContainsAny(a.Val, "<>\"' \t\n\x1b") {
						t.Errorf("%s: a link with a raw value: %q, %v", path, a.Val, err)
					}
				}
			}
		}
	}
}

// TestDjango_CVE_2013_0305: the history page was shown to accounts that may not
// see the object. Here it is whoever may read nothing: strangers, accounts that
// are disabled, tokens that take events in.
func TestDjango_CVE_2013_0305(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	for _, path := range []string{"/objects?type=shop.order&id=42", "/objects?type=shop.order&id=42&at=" + ids[audit.KindAuditLog], "/users?name=alice", "/audit-logs/" + ids[audit.KindAuditLog],
		"/audit-logs/" + ids[audit.KindAuditLog] + ".json", "/audit-logs.csv", "/audit-logs.ndjson", "/audit-logs/facets.json", "/audit-logs/timeline.json?by=day", "/suggest.json?kind=audit_log&q=user:&cursor=5"} {
		for _, as := range []string{"", "token:ingest"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				w := s.do(as, httptest.NewRequest(method, path, nil))
				for _, value := range []string{"Order 42", "alice", "refunded", "gift card"} {
					if w.Code < 300 || strings.Contains(w.Body.String(), value) && !strings.Contains(path, value) {
						t.Errorf("%s %s as %q: got %d with %q", method, path, as, w.Code, value)
					}
				}
			}
		}
	}
}

// TestDjango_CVE_2018_16984: who may only look saw the hashes of passwords.
//
// ASVS:V8.2.3 ASVS:V15.3.1
func TestDjango_CVE_2018_16984(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	all, err := s.store.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range s.routes() {
		if at.method != http.MethodGet {
			continue
		}
		for _, as := range []string{"viewer", "responder", "superuser", "token:read"} {
			body := s.get(as, at.path(ids)).Body.String()
			for _, a := range all {
				if strings.Contains(body, "$argon2id$") || strings.Contains(body, a.PasswordHash) || strings.Contains(body, "password_hash") || strings.Contains(body, "secret_hash") {
					t.Errorf("GET %s as %s shows a hash", at.pattern, as)
				}
			}
		}
	}
}

// TestDjango_CVE_2019_19118: who might only look at a parent could change what
// hangs on it. Whatever is sent along, an account changes what its role lets it.
//
// ASVS:V15.3.3
func TestDjango_CVE_2019_19118(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	before := map[string]string{}
	for _, kind := range audit.Kinds() {
		before[string(kind)] = s.get("viewer", "/"+kind.Path()+"/"+ids[kind]+".json").Body.String()
	}
	more := url.Values{"note": {"x"}, "reason": {"x"}, "role": {"superuser"}, "resolved": {"1"}, "resolved_by": {"vera"}, "username": {"eve"}, "action": {"VIEW"},
		"id": {ids[audit.KindSystemEvent]}, "is_superuser": {"true"}, "account_id": {"1"}, "current": {password}, "password": {"another sentence nobody guesses"}, "again": {"another sentence nobody guesses"}}
	for _, at := range s.routes() {
		if at.method == http.MethodPost && at.pattern != "/logout" && at.pattern != "/login" {
			s.post("viewer", at.path(ids), more)
		}
	}
	for _, kind := range audit.Kinds() {
		if got := s.get("superuser", "/"+kind.Path()+"/"+ids[kind]+".json").Body.String(); got != before[string(kind)] {
			t.Errorf("a viewer changed a %s:\n%s\nwas\n%s", kind, got, before[string(kind)])
		}
	}
	all, err := s.store.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if want := map[string]db.Role{"vera": db.RoleViewer, "rosa": db.RoleResponder, "sam": db.RoleSuperuser}[a.Name]; a.Role != want || a.Disabled {
			t.Errorf("%s: got role %s, disabled %v; want %s", a.Name, a.Role, a.Disabled, want)
		}
	}
	// Nor does a field of its own making reach a new account.
	w := s.post("superuser", "/accounts", url.Values{"name": {"eve"}, "role": {"viewer"}, "password": {password}, "id": {"1"}, "disabled": {"0"}, "password_hash": {"x"}, "is_superuser": {"1"}})
	expect(t, "create an account", w.Code, http.StatusSeeOther)
	eve, err := s.store.Account(t.Context(), "eve")
	if err != nil || eve.Role != db.RoleViewer || eve.PasswordHash == "x" || eve.ID == 1 {
		t.Errorf("got %+v, %v", eve, err)
	}
}

// TestDjango_CVE_2010_4534: a filter in the query string could name any column of
// any related table, such as the hash of a password, and say by what it found
// what was in there.
func TestDjango_CVE_2010_4534(t *testing.T) {
	s := newSite(t)
	s.shop()
	for _, q := range []string{"password:x", "password_hash:a*", "account:1", "session.id_hash:x", "user__password:x", "user.password:x", "secret_hash:x", "token:x", "meta:mask", "rowid:1", "seq:1", "ledger:x", "id_hash:x", "name_folded:sam"} {
		for _, path := range []string{"/audit-logs?q=", "/audit-logs.json?q=", "/audit-logs.csv?q=", "/audit-logs/facets.json?q=", "/audit-logs/timeline.json?by=day&q="} {
			// What is no key is refused, or is a text like any other, which no event has.
			if w := s.get("viewer", path+url.QueryEscape(q)); w.Code != http.StatusBadRequest && strings.Contains(w.Body.String(), "Order 42") {
				t.Errorf("GET %s%s: got %d with events, want 400 or nothing found", path, q, w.Code)
			}
		}
	}
	for _, parameter := range []string{"password_hash", "order_by", "sort", "user__password__startswith", "key", "columns"} {
		with := s.get("viewer", "/audit-logs.json?"+parameter+"=password_hash").Body.String()
		if plain := s.get("viewer", "/audit-logs.json").Body.String(); with != plain {
			t.Errorf("?%s= changes what a list shows", parameter)
		}
	}
	for _, key := range []string{"password_hash", "id_hash", "agent", "changes", "x'"} {
		expect(t, "facet "+key, s.get("viewer", "/audit-logs/facets.json?key="+url.QueryEscape(key)).Code, http.StatusBadRequest)
	}
}

// counting counts the keys that are derived from passwords on a site.
func (s *site) counting() *atomic.Int64 {
	s.Helper()
	var n atomic.Int64
	server, err := New(s.Context(), Config{Store: s.store, Version: "test", Log: s.server.Log, KDF: func(password, salt []byte, time, memory uint32, threads uint8, length uint32) []byte {
		n.Add(1)
		return quickKDF(password, salt, time, memory, threads, length)
	}})
	if err != nil {
		s.Fatal(err)
	}
	s.server = server
	return &n
}

// attempt signs in from an address of its own and says what was answered and how
// many keys were derived for it.
func (s *site) attempt(n *atomic.Int64, from int, name, pass string) (answer string, keys int64) {
	s.Helper()
	before := n.Load()
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(url.Values{"username": {name}, "password": {pass}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", from/250, from%250)
	w := s.do("", r)
	return fmt.Sprint(w.Code, " ", strings.NewReplacer(name, "NAME", w.Header().Get("X-Request-Id"), "ID").Replace(w.Body.String())), n.Load() - before
}

// TestDjango_CVE_2013_1443: a password of megabytes was hashed as a whole.
func TestDjango_CVE_2013_1443(t *testing.T) {
	s := newSite(t)
	n := s.counting()
	for i, size := range []int{1025, 4 << 10, 1 << 20, 8 << 20} {
		for j, name := range []string{"vera", "nobody"} {
			answer, keys := s.attempt(n, 10*i+j, name, strings.Repeat("x", size))
			if keys != 0 || strings.HasPrefix(answer, "2") || strings.HasPrefix(answer, "5") {
				t.Errorf("%d bytes for %s: got %.60s and %d keys, want a refusal and none", size, name, answer, keys)
			}
		}
	}
	for what, form := range map[string]url.Values{
		"/accounts":         {"name": {"big"}, "role": {"viewer"}, "password": {strings.Repeat("x y", 2000)}},
		"/account/password": {"current": {strings.Repeat("x", 5000)}, "password": {strings.Repeat("x y", 2000)}, "again": {strings.Repeat("x y", 2000)}},
	} {
		before := n.Load()
		if w := s.post("superuser", what, form); w.Code < 400 || w.Code >= 500 || n.Load() != before {
			t.Errorf("POST %s: got %d and %d keys, want a refusal and none", what, w.Code, n.Load()-before)
		}
	}
}

// TestDjango_CVE_2016_2513: an account whose hash was made with fewer rounds
// answered sooner than a name that nobody has.
func TestDjango_CVE_2016_2513(t *testing.T) {
	s := newSite(t)
	n := s.counting()
	if _, err := s.store.CreateAccount(t.Context(), db.CommandLine("tester"), "weak", db.RoleViewer, "$argon2id$v=19$m=4096,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"weak", "vera", "nobody"} {
		if _, keys := s.attempt(n, i, name, "a guess at the password"); keys != 1 {
			t.Errorf("%s: got %d keys, want 1", name, keys)
		}
	}
}

// TestDjango_CVE_2024_39329: an account without a usable password answered
// sooner, since nothing was hashed for it.
func TestDjango_CVE_2024_39329(t *testing.T) {
	s := newSite(t)
	n := s.counting()
	for _, hash := range []string{"", "!", "x", "$argon2id$"} {
		if _, err := s.store.CreateAccount(t.Context(), db.CommandLine("tester"), "without"+hash, db.RoleViewer, hash); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := s.attempt(n, 0, "nobody", "a guess at the password")
	for i, hash := range []string{"", "!", "x", "$argon2id$"} {
		got, keys := s.attempt(n, i+1, "without"+hash, "a guess at the password")
		if got != want || keys != 1 {
			t.Errorf("hash %q: got another answer (%v) or %d keys, want 1", hash, got != want, keys)
		}
	}
}

// TestDjango_CVE_2025_13473: one way of signing in did the work for a name that
// nobody has, and another did not. Here every way that takes a password is asked.
//
// ASVS:V6.3.4
func TestDjango_CVE_2025_13473(t *testing.T) {
	s := newSite(t)
	n := s.counting()
	for i, name := range []string{"vera", "VERA", "nobody", "", strings.Repeat("n", 5000), "vera\x00", "v\u00e9ra"} {
		for _, pass := range []string{"a guess at the password", "", "x"} {
			answer, keys := s.attempt(n, 100+10*i+len(pass), name, pass)
			if !strings.HasPrefix(answer, "4") || keys != 1 && !strings.HasPrefix(answer, "429") {
				t.Errorf("%.20q with %q: got %.40s and %d keys, want a refusal and 1", name, pass, answer, keys)
			}
		}
	}
	// Basic credentials are no way in, so they cost nothing and say nothing.
	for _, name := range []string{"vera", "nobody"} {
		r := httptestGet("/audit-logs.json")
		r.SetBasicAuth(name, password)
		before := n.Load()
		if w := s.do("", r); w.Code != http.StatusUnauthorized || n.Load() != before {
			t.Errorf("basic credentials of %s: got %d and %d keys, want 401 and none", name, w.Code, n.Load()-before)
		}
	}
}

// TestDjango_CVE_2025_48432: the path of a request went into the log as it was,
// so that a stranger could write lines of his own into it.
//
// ASVS:V16.4.1
func TestDjango_CVE_2025_48432(t *testing.T) {
	s := newSite(t)
	fault := requestID(s.server.recoverPanic(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a\nlevel=INFO msg=forged\x1b[2J") })))
	for _, path := range []string{"/%0Alevel=INFO%20msg=forged", "/%0D%0Alevel=INFO%20msg=forged", "/%1b%5b2J", "/%E2%80%AE", "/%C2%85x", "/%E2%80%A8level=INFO%20msg=forged", "/audit-logs%00"} {
		fault.ServeHTTP(httptest.NewRecorder(), httptestGet(path))
		s.get("viewer", path)
	}
	lines := strings.Split(strings.TrimSuffix(s.log.String(), "\n"), "\n")
	if len(lines) < 7 {
		t.Fatalf("got %d lines of log, want one a fault at least", len(lines))
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\r\x1b\x00\u0085\u2028\u202e") {
			t.Errorf("a line that is not the program's own: %q", line)
		}
	}
}
