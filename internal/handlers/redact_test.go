package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestRedactAnEvent takes a field of one event of each kind away through its
// pages: who may, what they are shown, and what every form of the event says
// afterwards.
func TestRedactAnEvent(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	for kind, test := range map[audit.Kind]struct{ field, content string }{
		audit.KindAuditLog:     {"changes", "12.50"},
		audit.KindLoginAttempt: {"ip_address", "198.51.100.7"},
		audit.KindDataExport:   {"username", "bob"},
		audit.KindSystemEvent:  {"stack_trace", "checkout.py"},
	} {
		path := "/" + kind.Path() + "/" + ids[kind]
		form := url.Values{"field": {test.field}, "reason": {"request 12 of the data subject"}}
		for _, as := range []string{"viewer", "responder"} {
			expect(t, "redact as a "+as, s.post(as, path+"/redact", form).Code, http.StatusForbidden)
			expect(t, "ask to redact as a "+as, s.get(as, path+"/redact?field="+test.field).Code, http.StatusForbidden)
			if strings.Contains(s.page(as, path), path+"/redact") {
				t.Errorf("a %s is offered to redact", as)
			}
		}
		if !strings.Contains(s.page("superuser", path), `action="`+path+`/redact"`) {
			t.Errorf("%s: a superuser is not offered to redact", path)
		}
		if asked := s.page("superuser", path+"/redact?field="+test.field); !strings.Contains(asked, test.content) || !strings.Contains(asked, "Lost for good") {
			t.Errorf("%s: what would be lost is not shown", path)
		}
		for _, wrong := range []string{"timestamp", "id", "kind", "resolved_by", "nonsense", ""} {
			expect(t, "ask to redact "+wrong, s.get("superuser", path+"/redact?field="+wrong).Code, http.StatusBadRequest)
			expect(t, "redact "+wrong, s.post("superuser", path+"/redact", url.Values{"field": {wrong}, "reason": {"x"}}).Code, http.StatusBadRequest)
		}
		missing := s.post("superuser", path+"/redact", url.Values{"field": {test.field}, "reason": {" "}})
		expect(t, "redact without a reason", missing.Code, http.StatusUnprocessableEntity)
		if !strings.Contains(missing.Body.String(), "Nothing was done") || !strings.Contains(missing.Body.String(), test.content) {
			t.Error("the form does not say what is missing, or no longer shows what would be lost")
		}

		done := s.post("superuser", path+"/redact", form)
		expect(t, "redact", done.Code, http.StatusSeeOther)
		if got := done.Header().Get("Location"); got != path {
			t.Errorf("redact leads to %q, want %q", got, path)
		}
		page := s.page("viewer", path)
		for _, want := range []string{"redacted by", "sam", "request 12 of the data subject", test.field} {
			if !strings.Contains(page, want) {
				t.Errorf("%s does not say %q", path, want)
			}
		}
		if strings.Contains(page, test.content) && kind != audit.KindDataExport { // bob is in its neighbours
			t.Errorf("%s still shows %q", path, test.content)
		}
		var twin map[string]any
		s.data("viewer", path+".json", &twin)
		if _, there := twin[test.field]; there {
			t.Errorf("%s.json still has %s", path, test.field)
		}
		tooLate(t, s.post("superuser", path+"/redact", form), path, "It is redacted already", "already redacted by sam on", "request 12 of the data subject")
		var traces listed
		s.data("viewer", "/audit-logs.json?q="+url.QueryEscape("action:REDACT object:"+ids[kind]), &traces)
		if len(traces.Items) != 1 || traces.Items[0]["reason"] != "request 12 of the data subject" {
			t.Errorf("%s: the record of its redaction is %v", path, traces.Items)
		}
	}
	if found := s.page("viewer", `/audit-logs?q="refunded"`); strings.Contains(found, ids[audit.KindAuditLog]) {
		t.Error("the search still finds what was redacted")
	}
	if page := s.page("viewer", "/system-events/"+ids[audit.KindSystemEvent]); strings.Contains(page, "Resolved by") {
		t.Error("a redaction is told as a resolution")
	}
}
