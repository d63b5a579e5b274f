package handlers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// healthJSON is the part of the twin that tests look at.
type healthJSON struct {
	Head       int64 `json:"ledger_entries"`
	LastMinute int64 `json:"recorded_last_minute"`
	LastFive   int64 `json:"recorded_last_five_minutes"`
	Kinds      []struct {
		Kind     string `json:"kind"`
		Events   int64  `json:"events"`
		Unsearch int64  `json:"search_behind"`
	} `json:"kinds"`
	Files []struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	} `json:"files"`
	DiskFree int64 `json:"disk_free"`
	Troubles int64 `json:"recorder_troubles"`
	Memory   struct {
		Heap int64 `json:"heap"`
	} `json:"memory"`
	Slow []struct {
		Path   string `json:"path"`
		Status int    `json:"status"`
	} `json:"slowest_pages"`
}

func TestHealthPage(t *testing.T) {
	s := newSite(t)
	s.shop()
	for _, as := range []string{"viewer", "responder"} {
		expect(t, "the health as a "+as, s.get(as, "/health").Code, http.StatusForbidden)
		if strings.Contains(s.page(as, "/"), `href="/health"`) {
			t.Errorf("a %s is shown the way to the health", as)
		}
	}
	if !strings.Contains(s.page("superuser", "/"), `href="/health"`) {
		t.Error("a superuser is not shown the way to the health")
	}
	page := s.page("superuser", "/health")
	for _, want := range []string{"No backup was made yet", "audit.db-wal", "Slowest pages", "GET /"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}

	var before healthJSON
	s.data("superuser", "/health.json", &before)
	counts := map[string]int64{}
	for _, k := range before.Kinds {
		counts[k.Kind] = k.Events
		if k.Unsearch < 0 || k.Unsearch > before.Head {
			t.Errorf("the text of %s is %d entries behind, of %d", k.Kind, k.Unsearch, before.Head)
		}
	}
	if counts["data_export"] != 1 || counts["system_event"] != 5 { // and the two refusals above
		t.Errorf("got %v, want 1 data export and 5 system events", counts)
	}
	if before.LastMinute != before.Head || before.DiskFree == 0 || before.Memory.Heap == 0 || len(before.Files) < 3 || before.Files[0].Name != "audit.db" {
		t.Errorf("got %+v", before)
	}
	s.pass(3 * time.Minute)
	s.add(audit.KindSystemEvent, map[string]string{"timestamp": audit.FormatTime(s.now()), "event_type": "ERROR", "title": "events were dropped", "module": "audit"})
	var after healthJSON
	s.data("superuser", "/health.json", &after)
	if after.LastMinute != 1 || after.LastFive != after.Head || after.Troubles != 1 {
		t.Errorf("got %d in a minute, %d in five and %d troubles, want 1, %d and 1", after.LastMinute, after.LastFive, after.Troubles, after.Head)
	}
	if page := s.page("superuser", "/health"); !strings.Contains(page, "1 trouble of recorders not resolved") {
		t.Error("the page does not tell of the trouble of a recorder")
	}
}

// TestEventsOutsideOfMonths: the page tells of them once they could not be placed.
func TestEventsOutsideOfMonths(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for since, want := range map[time.Time]string{{}: "", now.Add(-2 * time.Hour): "3 login attempts stand outside of their months for 2 hours"} {
		health := &db.Health{Kinds: []db.KindHealth{{Kind: audit.KindLoginAttempt, Unplaced: db.Unplaced{Events: 3, Since: since}}}}
		got := ""
		for _, w := range (&visit{now: now}).worries(&vitals{Health: health}) {
			got += w.Spans[0].Text
		}
		if got != want {
			t.Errorf("since %v: got %q, want %q", since, got, want)
		}
	}
}
