package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// TestStoryOfWhatIsLeft deletes events beside an object: its page no longer says
// that it knows all, nor that somebody went past the recorder.
func TestStoryOfWhatIsLeft(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	const story, whole, may = "/objects?type=shop.order&id=42", "That is the whole story", "which may have been of this object"
	remove := func(id string) {
		t.Helper()
		expect(t, "delete", s.post("superuser", "/audit-logs/"+id+"/delete", url.Values{"reason": {"request 12"}}).Code, http.StatusSeeOther)
	}
	older := s.add(audit.KindAuditLog, map[string]string{"timestamp": at(100 * time.Hour), "action": "VIEW", "content_type": "shop.order", "object_id": "41"})[0]
	remove(older)
	if page := s.page("viewer", story); !strings.Contains(page, whole) || strings.Contains(page, may) {
		t.Error("an event from before the creation counts as one of its story")
	}
	paid := s.find(audit.KindAuditLog, at(48*time.Hour))
	remove(paid)
	page := s.page("viewer", story)
	if strings.Contains(page, whole) || strings.Count(page, may) != 2 || !strings.Contains(page, "Possibly incomplete") {
		t.Errorf("after a deletion the page claims to be whole, or its state to be: %d remarks, want 2", strings.Count(page, may))
	}
	if got := links(t, page)["One audit log"]; got != "/audit-logs/"+paid {
		t.Errorf("the remark leads to %q, want the place of the event", got)
	}
	expect(t, "the place of the event", s.get("viewer", "/audit-logs/"+paid).Code, http.StatusGone)
	if !strings.Contains(page, "An event that was taken away since may have said so") {
		t.Error("what a deleted event said counts as a change past the recorder")
	}
	first := s.find(audit.KindAuditLog, at(72*time.Hour))
	if was := s.page("viewer", story+"&at="+first); strings.Contains(was, "Possibly incomplete") {
		t.Error("the state before what was deleted counts as incomplete")
	}
	remove(ids[audit.KindAuditLog])
	page = s.page("viewer", story)
	way := links(t, page)["2 audit logs"]
	if page := s.page("viewer", way); !strings.Contains(page, "audit log "+paid) || !strings.Contains(page, "audit log "+older) {
		t.Errorf("the remark leads to %q, which does not list their deletions", way)
	}
	remove(first)
	if page := s.page("viewer", story); !strings.Contains(page, "its creation is not among the events that are left") {
		t.Error("the page says that a creation was not recorded, which may have been deleted")
	}
	remove(s.find(audit.KindAuditLog, at(2*time.Hour)))
	w := s.get("viewer", story)
	if body := w.Body.String(); w.Code != http.StatusNotFound || strings.Contains(body, "ever recorded") || !strings.Contains(body, may) {
		t.Errorf("got %d, want a 404 that says what was deleted", w.Code)
	}
}

// TestStoryAfterAPurge: what was older was purged, and the page says until when.
func TestStoryAfterAPurge(t *testing.T) {
	s := newSite(t)
	s.shop()
	job := db.PurgeJob{Kind: audit.KindAuditLog, Before: noon.Add(-40 * time.Hour), Reason: "kept for two days"}
	if done, err := s.store.Purge(t.Context(), db.CommandLine("tester"), job); err != nil || done.Events == 0 {
		t.Fatal(done, err)
	}
	page := s.page("viewer", "/objects?type=shop.order&id=42")
	if strings.Contains(page, "That is the whole story") || !strings.Contains(page, "Audit logs up to 29 March 2026 were") || links(t, page)["purged"] == "" {
		t.Error("after a purge the page does not say until when audit logs were purged")
	}
}

// TestRedactedInRows: a redaction is marked in every row and step of its event, and
// makes the state of the object incomplete.
func TestRedactedInRows(t *testing.T) {
	s := newSite(t)
	s.shop()
	paid := s.find(audit.KindAuditLog, at(48*time.Hour))
	const story, mark = "/objects?type=shop.order&id=42", "changes redacted"
	if page := s.page("viewer", story); strings.Contains(page, mark) || strings.Contains(page, "ncomplete") {
		t.Error("a story of which nothing was redacted says so")
	}
	redact := func(field string) {
		expect(t, "redact", s.post("superuser", "/audit-logs/"+paid+"/redact", url.Values{"field": {field}, "reason": {"request 12"}}).Code, http.StatusSeeOther)
	}
	redact("changes")
	for path, want := range map[string]string{"/audit-logs?q=type:shop.order": "redacted</span>", "/users?name=alice": "redacted</span>", story: mark} {
		if got := strings.Count(s.page("viewer", path), want); got != 1 {
			t.Errorf("%s marks %d events, want 1", path, got)
		}
	}
	page := s.page("viewer", story)
	if !strings.Contains(page, "Incomplete: the changes of one event were redacted") {
		t.Error("the state does not say that it lacks a change")
	}
	if strings.Contains(page, "total was already") || strings.Contains(page, "a write of it is missing") {
		t.Error("what may have stood in redacted changes counts as a change past the recorder")
	}
	redact("username")
	if page := s.page("viewer", story); !strings.Contains(page, "username, changes redacted") {
		t.Error("the second redaction of an event is not marked")
	}
	redact("object_id")
	if page := s.page("viewer", story); !strings.Contains(page, "1 audit log</a> had the object redacted, which may have been of this object") {
		t.Error("the story does not say that an event may have left it by its redaction")
	}
}
