package handlers

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// FuzzListParameters asks lists and their twins with any query string: there is
// an answer or a refusal that says why, never a fault, and what is refused shows
// no event.
//
// ASVS:V2.2.1 ASVS:V1.2.4 ASVS:V15.3.7
func FuzzListParameters(f *testing.F) {
	for _, s := range []string{"", "q=user:alice", "q=%22", "q=a&q=b", "after=1&before=2", "limit=-1", "limit=99999999999999999999", "tz=../etc", "on=2026-02-30", "select=all&q=is:unresolved", "by=day", "key=action",
		"q=%27;DROP TABLE audit_log--", "q=a%00b", "q=\" OR 1=1", "q=NEAR(a b)", "q=user:*", "q=after:9999999", "days=7&user=a", "at=9223372036854775807", "type=a&id=b", "name=%ff", "q=%F0%9F%98%80", "%zz", ";", "q=rows:>1e99", "q=ip:10.0.0.0/33", "q=-", "q=:", "q=id:-1",
		"q=" + strings.Repeat("a%20", 300), "confirm=1&upto=9223372036854775808"} {
		f.Add(s)
	}
	s := newSite(f)
	ids := s.shop()
	paths := []string{"/", "/audit-logs", "/audit-logs.json", "/audit-logs/facets.json", "/audit-logs/timeline.json", "/system-events", "/login-attempts.csv", "/data-exports.ndjson", "/objects", "/users", "/suggest.json", "/query-help", "/login", "/audit-logs/" + ids[audit.KindAuditLog]}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range paths {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = query
			w := s.do("viewer", r)
			if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
				t.Errorf("GET %s?%s: got %d: %.200s", path, query, w.Code, w.Body)
			}
			if w.Code == http.StatusBadRequest && strings.Contains(w.Body.String(), "Order 42") && !strings.Contains(query, "Order") {
				t.Errorf("GET %s?%s: refused, and shows events", path, query)
			}
		}
	})
}

// FuzzCursor reads any text as the place in a list: what is taken for one is an
// id that is written back as the same text, so that each place has one address.
//
// ASVS:V1.4.2
func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "1", "0", "-1", "007", "+1", "1.5", "9223372036854775807", "9223372036854775808", "1e9", " 1", "1\n", "\u0661", "0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		page, err := pageOf(url.Values{"after": {text}})
		if err != nil {
			if page.After != 0 {
				t.Errorf("after=%q: refused, and taken for %d", text, page.After)
			}
			return
		}
		if text == "" && page.After != 0 || text != "" && (page.After <= 0 || cursorText(page.After) != text) {
			t.Errorf("after=%q: got %d, which is written as %q", text, page.After, cursorText(page.After))
		}
		if page.Limit < 1 || page.Limit > maxLimit {
			t.Errorf("limit: got %d", page.Limit)
		}
	})
}
