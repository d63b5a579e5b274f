package handlers

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// TestHolds places a hold from the page of an event, is refused what it covers,
// and releases it.
func TestHolds(t *testing.T) {
	s := newSite(t)
	id := s.add(audit.KindAuditLog, map[string]string{"timestamp": at(time.Hour), "username": "alice", "action": "UPDATE", "content_type": "shop.order", "object_id": "42", "object_repr": "Order 42"})[0]
	event := "/audit-logs/" + id
	if body := s.get("superuser", event).Body.String(); !strings.Contains(body, "/holds?kind=audit_log") {
		t.Errorf("the page of an event does not lead to a hold on it")
	}
	if body := s.get("viewer", event).Body.String(); strings.Contains(body, "/holds") {
		t.Errorf("the page leads a viewer to a form that is not for him")
	}
	form := s.get("superuser", "/holds?kind=audit_log&q=id:"+id).Body.String()
	if !strings.Contains(form, `value="id:`+id+`"`) {
		t.Errorf("the form does not hold the query it was opened with")
	}
	for what, bad := range map[string]url.Values{
		"no reason":  {"kind": {"audit_log"}, "query": {"id:" + id}},
		"bad query":  {"kind": {"audit_log"}, "query": {"nobody:x"}, "reason": {"case"}},
		"last: week": {"kind": {"audit_log"}, "query": {"last:7d"}, "reason": {"case"}},
	} {
		expect(t, what, s.post("superuser", "/holds", bad).Code, http.StatusUnprocessableEntity)
	}
	expect(t, "no kind", s.post("superuser", "/holds", url.Values{"kind": {"orders"}, "reason": {"case"}}).Code, http.StatusBadRequest)
	expect(t, "place", s.post("superuser", "/holds", url.Values{"kind": {"audit_log"}, "query": {"id:" + id}, "reason": {"case 12 <b>"}}).Code, http.StatusSeeOther)

	page := s.page("superuser", event)
	if got := links(t, page)["legal hold 1"]; got != "/holds" || !strings.Contains(page, ": case 12 &lt;b&gt;") {
		t.Errorf("the page of what is held does not say so; the hold leads to %q", got)
	}
	if strings.Contains(page, event+"/delete") || strings.Contains(page, event+"/redact") {
		t.Error("the page of what is held offers to take it away")
	}
	if page := s.page("viewer", event); strings.Contains(page, "case 12") {
		t.Error("who may not see holds is told of one")
	}
	expect(t, "ask to redact what is held", s.get("superuser", event+"/redact?field=object_repr").Code, http.StatusConflict)
	expect(t, "redact what is held", s.post("superuser", event+"/redact", url.Values{"field": {"object_repr"}, "reason": {"asked for"}}).Code, http.StatusConflict)

	w := s.post("superuser", event+"/delete", url.Values{"reason": {"asked for"}})
	expect(t, "delete what is held", w.Code, http.StatusConflict)
	if body := w.Body.String(); !strings.Contains(body, "case 12 &lt;b&gt;") || !strings.Contains(body, "hold 1") {
		t.Errorf("the refusal does not name the hold and its reason:\n%s", body)
	}
	expect(t, "release without a reason", s.post("superuser", "/holds/1/release", url.Values{}).Code, http.StatusUnprocessableEntity)
	expect(t, "release", s.post("superuser", "/holds/1/release", url.Values{"reason-1": {"closed"}}).Code, http.StatusSeeOther)
	expect(t, "release again", s.post("superuser", "/holds/1/release", url.Values{"reason-1": {"closed"}}).Code, http.StatusConflict)
	expect(t, "release nothing", s.post("superuser", "/holds/77/release", url.Values{"reason-77": {"closed"}}).Code, http.StatusNotFound)
	if page := s.page("superuser", event); strings.Contains(page, "legal hold 1") || !strings.Contains(page, event+"/delete") || !strings.Contains(page, event+"/redact") {
		t.Error("the page of what is released still says that it is held")
	}
	if body := s.get("superuser", "/holds").Body.String(); !strings.Contains(body, "Released by") || !strings.Contains(body, "closed") {
		t.Errorf("the page does not say how the hold ended")
	}
	expect(t, "delete what is released", s.post("superuser", event+"/delete", url.Values{"reason": {"asked for"}}).Code, http.StatusSeeOther)
}

func TestSetRetention(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	for what, bad := range map[string]url.Values{
		"no number":     {"audit_log_days": {"soon"}},
		"too many":      {"audit_log_days": {"99999999"}},
		"no folder":     {"archive": {filepath.Join(dir, "nowhere")}},
		"not whole":     {"archive": {"archive"}},
		"less than one": {"login_attempt_days": {"0"}},
	} {
		expect(t, what, s.post("superuser", "/retention", bad).Code, http.StatusUnprocessableEntity)
	}
	expect(t, "set", s.post("superuser", "/retention", url.Values{"audit_log_days": {"365"}, "archive": {dir}}).Code, http.StatusSeeOther)
	r, err := s.store.Retention(t.Context())
	if err != nil || len(r.Days) != 1 || r.Days[audit.KindAuditLog] != 365 || r.Archive != dir {
		t.Errorf("got %+v, %v, want audit logs for a year, archived", r, err)
	}
	if body := s.get("superuser", "/holds").Body.String(); !strings.Contains(body, `value="365"`) {
		t.Errorf("the page does not say what is set")
	}
}

// TestHeldObject: the history of an object says that its newest event is held, to who
// sees holds.
func TestHeldObject(t *testing.T) {
	s := newSite(t)
	s.shop()
	const story, held = "/objects?type=shop.order&id=42", "The newest event is held. Under"
	if strings.Contains(s.page("superuser", story), held) {
		t.Error("a story of which nothing is held says so")
	}
	expect(t, "place", s.post("superuser", "/holds", url.Values{"kind": {"audit_log"}, "query": {"type:shop.order object:42"}, "reason": {"case 12 <b>"}}).Code, http.StatusSeeOther)
	page := s.page("superuser", story)
	if !strings.Contains(page, held) || !strings.Contains(page, "case 12 &lt;b&gt;") || links(t, page)["legal hold 1"] != "/holds" {
		t.Error("the history of what is held does not say so")
	}
	if strings.Contains(s.page("viewer", story), "case 12") {
		t.Error("who may not see holds is told of one")
	}
}
