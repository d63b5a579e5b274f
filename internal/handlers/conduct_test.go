package handlers

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestEveryPageSignsOut: whoever is signed in finds the way out on every page,
// and after it the browser is told to forget.
//
// ASVS:V7.4.4 ASVS:V14.3.1 ASVS:V7.4.1
func TestEveryPageSignsOut(t *testing.T) {
	s := newSite(t)
	for _, path := range pages(s.shop()) {
		if page := s.page("viewer", path); !strings.Contains(page, `action="/logout"`) || !strings.Contains(page, "Sign out") {
			t.Errorf("GET %s: no way to sign out", path)
		}
	}
	w := s.post("viewer", "/logout", nil)
	if got := w.Header().Get("Clear-Site-Data"); w.Code != http.StatusSeeOther || !strings.Contains(got, `"cache"`) || !strings.Contains(got, `"storage"`) {
		t.Errorf("sign out: got %d with Clear-Site-Data %q", w.Code, got)
	}
	expect(t, "a page afterwards", s.get("viewer", "/audit-logs.json").Code, http.StatusUnauthorized)
}

// TestParametersComeFromOnePlace sends what a form needs in the address instead,
// in cookies and in headers, and twice: a form reads its body alone, and the
// first of two values counts everywhere alike.
//
// ASVS:V15.3.7
func TestParametersComeFromOnePlace(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	event, log := "/system-events/"+ids[audit.KindSystemEvent], "/audit-logs/"+ids[audit.KindAuditLog]
	for _, path := range []string{event + "/resolve?note=x", log + "/delete?reason=x", "/audit-logs/delete?reason=x&id=" + ids[audit.KindAuditLog], "/accounts?name=eve&role=superuser&password=" + url.QueryEscape(password),
		"/tokens?name=x&scope=read&expires=30d", "/account/password?current=" + url.QueryEscape(password) + "&password=x&again=x", "/login?username=vera&password=" + url.QueryEscape(password)} {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Reason", "x")
		r.AddCookie(&http.Cookie{Name: "reason", Value: "x"})
		if w := s.do("superuser", r); w.Code < 400 {
			t.Errorf("POST %s with an empty body: got %d, want a refusal", path, w.Code)
		}
	}
	expect(t, "the event", s.get("viewer", log).Code, http.StatusOK)
	for _, path := range []string{"/audit-logs.json", "/audit-logs.ndjson", "/audit-logs.csv", "/audit-logs/facets.json"} {
		once := s.get("viewer", path+"?q=user:alice").Body.String()
		twice := s.get("viewer", path+"?q=user:alice&q=").Body.String()
		if path == "/audit-logs.json" && (once != twice || !strings.Contains(once, "alice")) {
			t.Errorf("GET %s: a second q changes the answer", path)
		}
	}
}

// TestOwnRecordsAreWhole does what is to be recorded and looks at each record:
// when, in UTC, who, from where, what, and how it ended.
//
// ASVS:V16.2.1 ASVS:V16.2.2 ASVS:V16.3.1 ASVS:V16.3.2 ASVS:V16.3.3
func TestOwnRecordsAreWhole(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	s.post("", "/login", url.Values{"username": {"vera"}, "password": {"a guess at the password"}})
	for range 9 {
		s.post("", "/login", url.Values{"username": {"nobody"}, "password": {"x"}})
	}
	s.post("viewer", "/audit-logs/"+ids[audit.KindAuditLog]+"/delete", url.Values{"reason": {"x"}})
	s.post("superuser", "/audit-logs/"+ids[audit.KindAuditLog]+"/delete", url.Values{"reason": {"asked for"}})
	s.post("superuser", "/tokens", url.Values{"name": {"t"}, "scope": {"read"}, "expires": {"30d"}})
	s.post("superuser", "/accounts", url.Values{"name": {"ines"}, "role": {"viewer"}, "password": {password}})
	s.get("viewer", "/audit-logs.csv")
	s.post("responder", "/system-events/"+ids[audit.KindSystemEvent]+"/resolve", url.Values{"note": {"x"}})
	s.post("responder", "/logout", nil)
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)
	for path, fields := range map[string][]string{
		"/login-attempts.json?q=user:vera+status:FAILED":             {"timestamp", "username", "status", "ip_address", "failure_reason"},
		"/login-attempts.json?q=user:vera+status:SUCCESS":            {"timestamp", "username", "status", "ip_address", "session_key"},
		"/login-attempts.json?q=status:BLOCKED":                      {"timestamp", "username", "status", "ip_address", "failure_reason"},
		"/system-events.json?q=code:403":                             {"timestamp", "username", "user_id", "ip_address", "event_type", "title", "request_id"},
		"/audit-logs.json?q=module:auditadmin+action:DELETE":         {"timestamp", "username", "user_id", "ip_address", "action", "content_type", "object_id", "reason", "request_id"},
		"/audit-logs.json?q=module:auditadmin+type:auditadmin.token": {"timestamp", "username", "ip_address", "action", "content_type", "object_id"},
		"/audit-logs.json?q=module:auditadmin+action:EXPORT":         {"timestamp", "username", "ip_address", "action"},
		"/data-exports.json?q=user:vera":                             {"timestamp", "username", "ip_address", "export_type", "record_count", "metadata"},
		"/audit-logs.json?q=action:LOGOUT":                           {"timestamp", "username", "ip_address", "session_key"},
	} {
		var list listed
		s.data("superuser", path, &list)
		if len(list.Items) == 0 {
			t.Errorf("%s: nothing was recorded", path)
		}
		for _, item := range list.Items {
			if at, _ := item["timestamp"].(string); !stamp.MatchString(at) {
				t.Errorf("%s: recorded at %q, want UTC with six decimals", path, at)
			}
			for _, field := range fields {
				if strings.HasPrefix(item["username"].(string), "cli") {
					continue // the command line has no address
				}
				if v, _ := item[field].(string); v == "" && item[field] == nil {
					t.Errorf("%s: no %s in %v", path, field, item)
				}
			}
		}
	}
}

// TestOnlyKnownFilesAreWritten works a while and lists what there is on the disk:
// the database with what belongs to it, for their owner alone, and nothing else.
//
// ASVS:V16.2.3 ASVS:V13.3.2
func TestOnlyKnownFilesAreWritten(t *testing.T) {
	s := newSite(t)
	for _, path := range pages(s.shop()) {
		s.page("superuser", path)
	}
	s.get("viewer", "/audit-logs.csv")
	known := regexp.MustCompile(`^audit\.db($|[-.])`) // the database, and what stands beside it under its name
	dir := filepath.Dir(s.store.Path())
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if !known.MatchString(filepath.ToSlash(name)) {
			t.Errorf("%s was written, and is in no list", name)
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 && !strings.HasSuffix(name, ".pub") {
			t.Errorf("%s: got mode %v, want it for its owner alone", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoHintsAndNoAnswers: there is nothing by which one gets in who has
// forgotten, or guesses at, a password: no hint, no question, no mail.
//
// ASVS:V6.4.2
func TestNoHintsAndNoAnswers(t *testing.T) {
	s := newSite(t)
	own, err := sql.Open("sqlite3", "file:"+s.store.Path()+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	hint := regexp.MustCompile(`(?i)hint|question|answer|forgot|mail|phone|birth|maiden`)
	for _, column := range texts(t, own, "SELECT name FROM pragma_table_info('account')") {
		if hint.MatchString(column) {
			t.Errorf("an account has %s", column)
		}
	}
	for _, at := range s.routes() {
		if hint.MatchString(at.pattern) {
			t.Errorf("there is %s %s", at.method, at.pattern)
		}
	}
}
