package handlers

import (
	"bytes"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// route is one address that the router serves.
type route struct{ method, pattern string }

// routes walks the router itself, so that none is forgotten.
func (s *site) routes() []route {
	s.Helper()
	var all []route
	err := chi.Walk(s.server.router, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		all = append(all, route{method, pattern})
		return nil
	})
	if err != nil || len(all) < 50 {
		s.Fatalf("walked %d routes, %v", len(all), err)
	}
	return all
}

// path is the route with the id of an event of its kind.
func (r route) path(ids map[audit.Kind]string) string {
	kind, _ := kindOf(r.pattern)
	return strings.NewReplacer("{id}", ids[kind], "*", "style.css").Replace(r.pattern)
}

// derived are the tables that the database fills beside everybody, from what is
// in the others: the index of texts, the tree over the ledger and the signed
// statements of its size.
var derived = regexp.MustCompile(`^(search_\w+|tile|checkpoint)$`)

// ownMark are the rows of meta that such work leaves: how far it has come, and that
// the disk takes writes.
var ownMark = regexp.MustCompile(`^(search:|written\|)`)

// rows is every row that somebody can change, as any tool reads them.
func (s *site) rows() map[string]int {
	s.Helper()
	own, err := sql.Open("sqlite3", "file:"+s.store.Path()+"?mode=ro")
	if err != nil {
		s.Fatal(err)
	}
	defer own.Close()
	var tables []string
	for _, line := range texts(s, own, "SELECT name FROM sqlite_schema WHERE type = 'table'") {
		if table := strings.TrimSuffix(line, "|"); !derived.MatchString(table) {
			tables = append(tables, table)
		}
	}
	all := map[string]int{}
	for _, table := range tables {
		for _, line := range texts(s, own, "SELECT * FROM "+table) {
			if table != "meta" || !ownMark.MatchString(line) {
				all[table+"|"+line]++
			}
		}
	}
	return all
}

// differences are the rows of which there are not as many after as before.
func differences(before, after map[string]int) (rows []string) {
	for row, n := range after {
		if before[row] != n {
			rows = append(rows, fmt.Sprintf("%d times and now %d: %s", before[row], n, row))
		}
	}
	for row, n := range before {
		if after[row] == 0 {
			rows = append(rows, fmt.Sprintf("%d times and now gone: %s", n, row))
		}
	}
	return rows
}

// texts is every row of a query, its values joined.
func texts(t testing.TB, own *sql.DB, query string) (lines []string) {
	t.Helper()
	rows, err := own.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var line strings.Builder
		for _, v := range values {
			line.WriteString(v.String + "|")
		}
		lines = append(lines, line.String())
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestT2_HeadersOnEveryAnswer asks every route in ways that give every status
// there is, over http and https: the headers that tell a browser what it may do
// are on all of them, and every body says what it is.
//
// ASVS:V3.2.1 ASVS:V3.4.1 ASVS:V3.4.2 ASVS:V3.4.3 ASVS:V3.4.4 ASVS:V3.4.5 ASVS:V3.4.6 ASVS:V4.1.1 ASVS:V14.3.2 ASVS:V14.2.2
func TestT2_HeadersOnEveryAnswer(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	want := map[string]string{
		"Content-Security-Policy":      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
		"Access-Control-Allow-Origin":  "",
		"Server":                       "",
		"X-Powered-By":                 "",
	}
	statuses := map[int]int{}
	look := func(what string, secure bool, w *httptest.ResponseRecorder) {
		statuses[w.Code]++
		for name, value := range want {
			if name == "Cache-Control" && strings.Contains(what, "/static/") {
				continue // files that never change and hold nothing of anybody
			}
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s (%d): %s: got %q, want %q", what, w.Code, name, got, value)
			}
		}
		if got := w.Header().Get("Strict-Transport-Security"); (got == "max-age=31536000; includeSubDomains") != secure {
			t.Errorf("%s (%d): Strict-Transport-Security: got %q, secure is %v", what, w.Code, got, secure)
		}
		kind := w.Header().Get("Content-Type")
		if w.Body.Len() > 0 && kind == "" || strings.HasPrefix(kind, "text/") && !strings.Contains(kind, "charset=utf-8") {
			t.Errorf("%s (%d): Content-Type: got %q", what, w.Code, kind)
		}
		if strings.HasPrefix(kind, "text/csv") && !strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: a table that a browser would show: %q", what, w.Header().Get("Content-Disposition"))
		}
	}
	send := func(secure bool, as, method, path, body string, headers ...string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		if secure {
			r.TLS = &tls.ConnectionState{}
			if c := s.cookie[as]; c != nil { // the name that an https site has for it
				r.AddCookie(&http.Cookie{Name: "__Host-auditadmin", Value: c.Value})
			}
		}
		look(method+" "+path+" as "+as, secure, s.do(as, r))
	}
	for _, secure := range []bool{false, true} {
		for _, at := range s.routes() {
			for _, as := range []string{"", "viewer", "superuser", "token:read", "token:ingest"} {
				if at.pattern == "/logout" {
					continue // asked below: it would end the sessions
				}
				send(secure, as, at.method, at.path(ids), "")
			}
			send(secure, "superuser", at.method, at.path(ids), "", "Sec-Fetch-Site", "cross-site")
			send(secure, "superuser", "PUT", at.path(ids), "")
		}
		for _, path := range []string{"/nowhere", "/audit-logs/12", "/audit-logs?q=" + url.QueryEscape(`"`), "/audit-logs?%zz", "/.git/config", "/debug/pprof/"} {
			send(secure, "superuser", "GET", path, "")
		}
		send(secure, "superuser", "POST", "/system-events/"+ids[audit.KindSystemEvent]+"/resolve", "note="+strings.Repeat("n", 2*formLimit))
		for range 7 {
			send(secure, "", "POST", "/login", "username=nobody&password=x")
		}
		send(secure, "", "POST", "/logout", "")
	}
	s.server.ingest.rate, s.server.ingest.burst = 0, 0
	send(false, "token:ingest", "POST", "/api/v1/events", "")
	fault := s.server.gate.Headers(requestID(s.server.recoverPanic(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") }))))
	w := httptest.NewRecorder()
	fault.ServeHTTP(w, httptestGet("/audit-logs"))
	look("a panic", false, w)
	s.store.Close()
	send(false, "viewer", "GET", "/audit-logs", "")
	for _, status := range []int{200, 303, 400, 401, 403, 404, 405, 413, 422, 429, 500, 503} {
		if statuses[status] == 0 {
			t.Errorf("no answer of status %d was looked at; got %v", status, statuses)
		}
	}
}

// TestT3_EveryForm sends every form as a page of another site would make a
// browser send it: nothing is carried out, and no row of the database changes.
//
// ASVS:V3.5.1 ASVS:V3.5.2
func TestT3_EveryForm(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	before := s.rows()
	for _, at := range s.routes() {
		if at.method == http.MethodGet {
			continue
		}
		for name, headers := range map[string][2]string{ // Origin, Sec-Fetch-Site
			"cross-site": {"http://evil.example", "cross-site"}, "same-site": {"http://shop.example.com", "same-site"}, "null": {"null", ""}, "null, cross-site": {"null", "cross-site"},
			"other port": {"http://example.com:8081", ""}, "https for http": {"https://example.com", ""}, "an old browser": {"http://evil.example", ""},
		} {
			r := httptest.NewRequest(at.method, at.path(ids), strings.NewReader("reason=x&note=x&name=eve&role=superuser&password="+url.QueryEscape(password)))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", headers[0])
			if headers[1] != "" {
				r.Header.Set("Sec-Fetch-Site", headers[1])
			}
			if w := s.do("superuser", r); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "was not carried out") {
				t.Errorf("%s %s, %s: got %d, want 403 that says why", at.method, at.pattern, name, w.Code)
			}
		}
		for name, headers := range map[string][2]string{"same origin": {"http://example.com", "same-origin"}, "typed": {"", "none"}, "no browser": {"", ""}} {
			r := httptest.NewRequest(at.method, at.path(ids), nil)
			if headers[0] != "" {
				r.Header.Set("Origin", headers[0])
			}
			if headers[1] != "" {
				r.Header.Set("Sec-Fetch-Site", headers[1])
			}
			if w := s.do("", r); strings.Contains(w.Body.String(), "was not carried out") { // as a stranger, so that nothing happens
				t.Errorf("%s %s, %s: got %d, refused as forged", at.method, at.pattern, name, w.Code)
			}
		}
	}
	for row, n := range s.rows() {
		if before[row] != n && !strings.HasPrefix(row, "login_attempt|") && !strings.HasPrefix(row, "ledger|") && !strings.HasPrefix(row, "throttle|") {
			t.Errorf("a forged form left %s", row)
		}
	}
}

// TestT3_NoMutatingGET asks for every address there is and compares the whole
// database: reading changes no row, and adds none but the record of exports.
//
// ASVS:V3.5.3 ASVS:V7.6.2
func TestT3_NoMutatingGET(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	before := s.rows()
	asked := 0
	for _, at := range s.routes() {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			for _, q := range []string{"", "?note=x&reason=x&role=viewer&q=alice&id=" + ids[audit.KindAuditLog]} {
				s.do("superuser", httptest.NewRequest(method, at.path(ids)+q, nil)) // also where it takes POST alone
				asked++
			}
		}
	}
	if len(before) < 30 || asked < 300 {
		t.Fatalf("compared %d rows after %d requests", len(before), asked)
	}
	after := s.rows()
	for row := range before {
		if after[row] != before[row] {
			t.Errorf("reading changed or removed %s", row)
		}
	}
	for row := range after {
		table, _, _ := strings.Cut(row, "|")
		export := table == "data_export" || table == "audit_log" && strings.Contains(row, "|EXPORT|") || strings.Contains(row, "was refused the right")
		if before[row] == 0 && !export && table != "ledger" {
			t.Errorf("reading added %s", row)
		}
	}
}

// TestT4_AuthzMatrix asks every route of the router as everybody: only whom the
// rule lets in gets past the gate, and nothing is done for anybody else.
//
// ASVS:V8.2.1 ASVS:V8.3.1 ASVS:V2.2.2 ASVS:V13.4.5
func TestT4_AuthzMatrix(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	policy := authz.NewPolicy(authz.Rules())
	for _, name := range []string{"disabled", "expired", "revoked"} {
		s.signUp(name, db.RoleSuperuser)
	}
	accounts := map[string]int64{}
	all, err := s.store.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		accounts[a.Name] = a.ID
	}
	by := db.CommandLine("tester")
	if err := s.store.SetDisabled(t.Context(), by, accounts["disabled"], true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.EndSessions(t.Context(), by, accounts["revoked"]); err != nil {
		t.Fatal(err)
	}
	own, err := sql.Open("sqlite3", "file:"+s.store.Path()+"?_busy_timeout=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Exec("UPDATE session SET expires_at = ? WHERE account_id = ?", audit.FormatTime(noon.Add(-time.Second)), accounts["expired"]); err != nil {
		t.Fatal(err)
	}
	rank := map[string]authz.Right{"viewer": authz.Viewer, "responder": authz.Responder, "superuser": authz.Superuser}
	callers := []string{"", "disabled", "expired", "revoked", "viewer", "responder", "superuser", "token:read", "token:ingest"}
	cells := 0
	for _, at := range s.routes() {
		rule, known := policy.Rule(at.method, at.pattern)
		if !known {
			t.Errorf("%s %s has no rule", at.method, at.pattern)
		}
		if rule.Right == authz.Public {
			continue
		}
		for _, as := range callers {
			var w *httptest.ResponseRecorder
			before := s.rows()
			if at.method == http.MethodPost {
				w = s.post(as, at.path(ids), url.Values{})
			} else {
				w = s.get(as, at.path(ids))
			}
			cells++
			scope, isToken := strings.CutPrefix(as, "token:")
			allowed := rule.Right != authz.TokenOnly && rank[as] >= rule.Right && rank[as] != 0 || isToken && scope == rule.Token
			refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden ||
				w.Code == http.StatusSeeOther && strings.HasPrefix(w.Header().Get("Location"), "/login")
			if refused == allowed {
				t.Errorf("%s %s as %q: got %d to %q, allowed should be %v", at.method, at.pattern, as, w.Code, w.Header().Get("Location"), allowed)
			}
			if as == "" && isTwin(at.pattern) && w.Code != http.StatusUnauthorized {
				t.Errorf("%s %s as a stranger: got %d, want 401", at.method, at.pattern, w.Code)
			}
			if !allowed && rank[as] == 0 && !isToken {
				for _, row := range differences(before, s.rows()) {
					t.Errorf("%s %s as %q: a stranger changed a row: %s", at.method, at.pattern, as, row)
				}
			}
		}
	}
	t.Logf("%d cells", cells)
}

// signUp makes an account that is signed in, under its own name.
func (s *site) signUp(name string, role db.Role) {
	s.Helper()
	hash, err := s.server.gate.Passwords().New(s.Context(), name, password)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.store.CreateAccount(s.Context(), db.CommandLine("tester"), name, role, hash); err != nil {
		s.Fatal(err)
	}
	s.signIn(name, name)
}

// signIn signs an account in and keeps its cookie under a key.
func (s *site) signIn(key, name string) {
	s.Helper()
	w := s.post("", "/login", url.Values{"username": {name}, "password": {password}})
	for _, c := range w.Result().Cookies() {
		if c.Name == "auditadmin" && c.Value != "" {
			s.cookie[key] = c
			return
		}
	}
	s.Fatalf("sign in as %s: got %d, want a cookie", name, w.Code)
}

// TestT4_IDsOfOthers asks under each kind for the events of the others, and for
// what belongs to other accounts: an id opens nothing by itself.
//
// ASVS:V8.2.2
func TestT4_IDsOfOthers(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	for _, kind := range audit.Kinds() {
		for other, id := range ids {
			if other == kind {
				continue
			}
			for _, path := range []string{"/" + kind.Path() + "/" + id, "/" + kind.Path() + "/" + id + ".json"} {
				if w := s.get("superuser", path); w.Code != http.StatusNotFound {
					t.Errorf("GET %s, an id of a %s: got %d, want 404", path, other, w.Code)
				}
			}
			if w := s.post("superuser", "/"+kind.Path()+"/"+id+"/delete", url.Values{"reason": {"x"}}); w.Code != http.StatusNotFound {
				t.Errorf("delete a %s as a %s: got %d, want 404", other, kind, w.Code)
			}
		}
	}
	open, err := s.store.Sessions(t.Context())
	if err != nil || len(open) != 3 {
		t.Fatalf("got %d sessions, %v; want 3", len(open), err)
	}
	for _, session := range open {
		for _, as := range []string{"viewer", "responder"} {
			if w := s.post(as, "/sessions/"+session.PublicID+"/end", nil); w.Code != http.StatusForbidden {
				t.Errorf("end a session as a %s: got %d, want 403", as, w.Code)
			}
		}
		// The name of a session on pages is not what its cookie holds.
		r := httptestGet("/audit-logs.json")
		r.AddCookie(&http.Cookie{Name: "auditadmin", Value: session.PublicID})
		if w := s.do("", r); w.Code != http.StatusUnauthorized {
			t.Errorf("a page with the public name of a session: got %d, want 401", w.Code)
		}
	}
}

// TestT5_SecretsStayInTheCookie lets people and programs work and then looks for
// what opens a session or a scope wherever a stranger may look later: pages,
// addresses, the log, every file of the database.
//
// ASVS:V3.3.4 ASVS:V14.2.1 ASVS:V16.2.5 ASVS:V7.2.2
func TestT5_SecretsStayInTheCookie(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	var said bytes.Buffer
	for _, at := range s.routes() {
		if at.method != http.MethodGet {
			continue
		}
		for _, as := range []string{"viewer", "superuser", "token:read"} {
			w := s.get(as, at.path(ids))
			fmt.Fprintln(&said, w.Header(), w.Body)
		}
	}
	s.post("superuser", "/tokens", url.Values{"name": {""}, "scope": {"read"}, "expires": {"30d"}})
	files := databaseFiles(t, s)
	secrets := []string{password}
	for _, c := range s.cookie {
		secrets = append(secrets, c.Value)
	}
	secrets = slices.AppendSeq(secrets, maps.Values(s.tokens))
	for _, secret := range secrets {
		for where, text := range map[string]string{"a page or a header": said.String(), "the log": s.log.String(), "a file of the database": files} {
			if strings.Contains(text, secret) {
				t.Errorf("%q stands in %s", secret, where)
			}
		}
	}
	if said.Len() < 100_000 || len(files) < 10_000 {
		t.Errorf("looked at %d bytes of answers and %d of files only", said.Len(), len(files))
	}
}

// databaseFiles is every byte that the database has on the disk.
func databaseFiles(t testing.TB, s *site) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(filepath.Dir(s.store.Path()), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
