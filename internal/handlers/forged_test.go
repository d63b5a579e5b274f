package handlers

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestT9_NothingIsForged sends events that claim to be of somebody else: of
// another source, of another time of recording, of the program itself, with an
// address of their own choice. What the server knows better it says itself, and
// where a program may say what it likes it is shown under its own token's name.
//
// ASVS:V13.2.1 ASVS:V15.3.3 ASVS:V5.4.1
func TestT9_NothingIsForged(t *testing.T) {
	s := newSite(t)
	send := func(body string) int {
		return s.do("token:ingest", httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader([]byte(body)))).Code
	}
	before := s.head()
	for _, member := range []string{`"source":"billing"`, `"source":"auditadmin"`, `"id":"7"`, `"seq":1`, `"recorded_at":"2020-01-01T00:00:00Z"`, `"id":null`, `"Source":"x"`} {
		expect(t, member, send(`{"kind":"audit_log","action":"VIEW",`+member+`}`), http.StatusBadRequest)
	}
	if got := s.head(); got != before {
		t.Errorf("%d entries were made by forged events, want none", got-before)
	}
	// As the program itself: the source tells.
	expect(t, "as the program itself", send(`{"kind":"audit_log","action":"DELETE","module":"auditadmin","username":"sam","user_id":"1","content_type":"auditadmin.audit_log","object_id":"1","ip_address":"127.0.0.1"}`), http.StatusOK)
	var list listed
	s.data("viewer", "/audit-logs.json?q=module:auditadmin+action:DELETE", &list)
	if len(list.Items) != 1 || list.Items[0]["source"] != "robot-ingest" {
		t.Fatalf("got %v, want one event of source robot-ingest", list.Items)
	}
	// Being no trace of a deletion, it can be deleted like any other.
	id := list.Items[0]["id"].(string)
	expect(t, "delete the forged trace", s.post("superuser", "/audit-logs/"+id+"/delete", map[string][]string{"reason": {"forged"}}).Code, http.StatusSeeOther)
	// Cookies open nothing here, tokens open no page, and a token's name does not
	// choose the name of a file.
	expect(t, "a superuser's cookie", s.do("superuser", httptest.NewRequest(http.MethodPost, "/api/v1/events", strings.NewReader("{}"))).Code, http.StatusForbidden)
	expect(t, "a page with a token", s.get("token:ingest", "/audit-logs").Code, http.StatusForbidden)
	for _, path := range []string{"/audit-logs.csv?filename=../../etc/passwd", "/audit-logs.ndjson?name=x%22%0d%0aX:y"} {
		got := s.get("viewer", path).Header().Get("Content-Disposition")
		if want := `attachment; filename="` + audit.KindAuditLog.Path(); !strings.HasPrefix(got, want) || strings.ContainsAny(got, "/\\\r\n") {
			t.Errorf("GET %s: got Content-Disposition %q", path, got)
		}
	}
}
