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

// TestGraveLeadsOn: what stays of a deleted event leads to who deleted it, to the
// record of that, to all that was done to the event, and to its place.
func TestGraveLeadsOn(t *testing.T) {
	s := newSite(t)
	id := s.shop()[audit.KindAuditLog]
	path := "/audit-logs/" + id
	expect(t, "redact", s.post("superuser", path+"/redact", url.Values{"field": {"changes"}, "reason": {"request 12"}}).Code, http.StatusSeeOther)
	expect(t, "delete", s.post("superuser", path+"/delete", url.Values{"reason": {"ticket 17: erase"}}).Code, http.StatusSeeOther)
	w := s.get("viewer", path)
	expect(t, "the place of the event", w.Code, http.StatusGone)
	to := links(t, w.Body.String())
	for text, want := range map[string][]string{
		"The record of the deletion":      {"ticket 17: erase", id},
		"All that was done to this event": {"request 12", "ticket 17: erase"},
		"Its place in the list":           {"sam deleted an event here"},
		"sam":                             {"sam"},
	} {
		page := s.page("viewer", to[text])
		for _, part := range want {
			if !strings.Contains(page, part) {
				t.Errorf("%q leads to %q, which does not say %q", text, to[text], part)
			}
		}
	}
	if page := s.page("viewer", to["Its place in the list"]); strings.Index(page, `class="stone"`) > strings.Index(page, ">CREATE") {
		t.Error("the list does not begin at the place of the event")
	}
	// An application's own event of that name proves nothing.
	forged := audit.NewEvent(audit.KindAuditLog)
	forged.Set("action", "DELETE")
	forged.Set("content_type", "auditadmin.audit_log")
	forged.Set("object_id", id)
	forged.SetTime(noon.Add(-time.Hour))
	if _, err := s.store.Append(t.Context(), []*audit.Event{forged}); err != nil {
		t.Fatal(err)
	}
	if again := links(t, s.get("viewer", path).Body.String()); again["The record of the deletion"] != to["The record of the deletion"] {
		t.Errorf("a forged record leads to %s", again["The record of the deletion"])
	}
	if body := s.get("", path).Body.String(); strings.Contains(body, "record of the deletion") {
		t.Error("a stranger is led to the record")
	}
}

// TestPurgedEventLeadsOn is the same for an event that went with a purge: the one
// that took it, of several.
func TestPurgedEventLeadsOn(t *testing.T) {
	s := newSite(t)
	s.shop()
	var all listed
	s.data("viewer", "/audit-logs.json", &all)
	oldest := all.Items[len(all.Items)-1]["id"].(string)
	for _, job := range []db.PurgeJob{
		{Kind: audit.KindAuditLog, Before: noon.Add(-40 * time.Hour), Reason: "kept for two days"},
		{Kind: audit.KindAuditLog, Before: noon.Add(-20 * time.Hour), Reason: "kept for one day"},
	} {
		if done, err := s.store.Purge(t.Context(), db.CommandLine("tester"), job); err != nil || done.Events == 0 {
			t.Fatal(done, err)
		}
	}
	w := s.get("viewer", "/audit-logs/"+oldest)
	expect(t, "the place of the event", w.Code, http.StatusGone)
	body := w.Body.String()
	if !strings.Contains(body, "This event was purged") || strings.Contains(body, "#0") {
		t.Error("the page does not say that the event was purged, or names a record that there is not")
	}
	deed := links(t, body)["The record of the purge"]
	if page := s.page("viewer", deed); !strings.Contains(page, "kept for two days") {
		t.Errorf("the record of the purge leads to %q", deed)
	}
}

// TestStoneBetweenPages deletes one event of a list, each in turn: walking through
// the pages one meets every tombstone once, also one between two pages.
func TestStoneBetweenPages(t *testing.T) {
	s := newSite(t)
	var events []map[string]string
	for n := range 8 {
		events = append(events, map[string]string{"timestamp": at(time.Duration(30+n) * time.Hour), "username": "lea", "action": "VIEW"})
	}
	for n, id := range s.add(audit.KindAuditLog, events...) {
		if n%3 != 0 {
			continue
		}
		expect(t, "delete", s.post("superuser", "/audit-logs/"+id+"/delete", url.Values{"reason": {"ticket 18"}}).Code, http.StatusSeeOther)
		stones := 0
		for path := "/audit-logs?q=before:2026-03-31&limit=2"; path != ""; {
			page := s.page("viewer", path)
			stones += strings.Count(page, `class="stone"`)
			path = links(t, page)["Older →"]
		}
		if stones != n/3+1 {
			t.Errorf("after %d deletions the pages show %d tombstones", n/3+1, stones)
		}
	}
}
