package handlers

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestUnreadableAddress asks with addresses that net/url drops in silence: a
// filter that was dropped would show, and export, everything.
//
// ASVS:V1.1.1
func TestUnreadableAddress(t *testing.T) {
	s := newSite(t)
	for _, query := range []string{"q=user:a;b", "q=%zz", "q=user:vera&x=%"} {
		for _, path := range []string{"/audit-logs", "/audit-logs.json", "/audit-logs.csv", "/audit-logs/facets.json"} {
			w := s.get("viewer", path+"?"+query)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "cannot be read") {
				t.Errorf("GET %s?%s: got %d, want 400 that says why", path, query, w.Code)
			}
		}
	}
	if w := s.get("viewer", "/audit-logs?q=user:a%3Bb"); w.Code != http.StatusOK {
		t.Errorf("a semicolon as it should be written: got %d, want 200", w.Code)
	}
}

// TestOneWinner lets many resolve, delete and export the same events at once:
// each event is decided once, everybody else learns that somebody was faster,
// and an export is never half a file.
//
// ASVS:V2.3.4
func TestOneWinner(t *testing.T) {
	s := newSite(t)
	const events, each = 4, 8
	var paths []string
	for i := range events {
		e := audit.NewEvent(audit.KindSystemEvent)
		e.SetTime(s.now())
		e.Set("event_type", "ERROR")
		e.Set("title", "boom "+strconv.Itoa(i))
		if err := e.Normalize(s.now()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.Append(t.Context(), []*audit.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	var list struct{ Items []struct{ ID string } }
	s.data("superuser", "/system-events.json?q=boom", &list)
	for _, item := range list.Items {
		paths = append(paths, "/system-events/"+item.ID)
	}
	var together sync.WaitGroup
	answers := make(chan string, events*each*3)
	send := func(what, method, path string, form url.Values) {
		together.Go(func() {
			r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			answers <- what + " " + strconv.Itoa(s.do("superuser", r).Code)
		})
	}
	for _, path := range paths {
		for range each {
			send("resolve", http.MethodPost, path+"/resolve", url.Values{"note": {"seen"}})
			send("delete", http.MethodPost, path+"/delete", url.Values{"reason": {"asked for"}})
			send("export", http.MethodGet, "/system-events.csv?q=boom", nil)
		}
	}
	together.Wait()
	close(answers)
	got := map[string]int{}
	for a := range answers {
		got[a]++
	}
	if n := got["delete 303"]; n != events {
		t.Errorf("got %d deletions of %d events: %v", n, events, got)
	}
	if n := got["export 200"]; n != events*each {
		t.Errorf("got %d whole exports, want %d: %v", n, events*each, got)
	}
	if n := got["resolve 303"]; n > events {
		t.Errorf("got %d resolutions of %d events: %v", n, events, got)
	}
	for _, answer := range []string{"resolve 409", "resolve 410", "resolve 303", "delete 410", "delete 303", "export 200"} {
		delete(got, answer)
	}
	if len(got) > 0 {
		t.Errorf("got other answers: %v", got)
	}
	if n := s.total(audit.KindAuditLog, "module:auditadmin type:auditadmin.system_event action:DELETE"); n != events {
		t.Errorf("got %d traces of deletions, want %d", n, events)
	}
}
