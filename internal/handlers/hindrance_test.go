package handlers

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// reopenedForReading serves the database of a site anew, as one that cannot be
// written. Nobody's session counts there any more but those of the file.
func (s *site) reopenedForReading() *site {
	s.Helper()
	if err := s.store.Close(); err != nil {
		s.Fatal(err)
	}
	store, err := db.Open(s.Context(), s.store.Path(), db.Options{Schema: auditadmin.Schema, Now: s.now, ReadOnly: true, Served: true})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { store.Close() })
	r := &site{TB: s.TB, store: store, clock: s.clock, cookie: map[string]*http.Cookie{}, tokens: s.tokens}
	r.server, err = New(s.Context(), Config{Store: store, Version: "test", KDF: quickKDF, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// TestReadOnlySite serves a database that cannot be written: people sign in and
// read, every page says what is wrong, and nothing is taken or changed.
func TestReadOnlySite(t *testing.T) {
	made := newSite(t)
	ids := made.shop()
	before := made.cookie["viewer"]
	s := made.reopenedForReading()

	s.cookie["viewer"] = before
	if page := s.page("viewer", "/audit-logs"); !strings.Contains(page, "The database cannot be written") {
		t.Error("a session from before sees no banner")
	}
	for role, name := range map[string]string{"viewer": "vera", "superuser": "sam"} {
		w := s.post("", "/login", url.Values{"username": {name}, "password": {password}})
		expect(t, "sign in as "+name, w.Code, http.StatusSeeOther)
		for _, c := range w.Result().Cookies() {
			if c.Name == "auditadmin" {
				s.cookie[role] = c
			}
		}
	}
	expect(t, "sign in with a wrong password", s.post("", "/login", url.Values{"username": {"vera"}, "password": {"wrong"}}).Code, http.StatusUnauthorized)
	for _, path := range append(pages(ids), "/health") {
		if page := s.page("superuser", path); !strings.Contains(page, `class="banner"`) {
			t.Errorf("GET %s: no banner", path)
		}
	}
	if w := s.get("", "/login"); !strings.Contains(w.Body.String(), "The database cannot be written") {
		t.Error("the sign-in page has no banner")
	}
	expect(t, "healthz", s.get("", "/healthz").Code, http.StatusOK)
	ready := s.get("", "/readyz")
	expect(t, "readyz", ready.Code, http.StatusServiceUnavailable)
	if got, want := ready.Body.String(), "not ready: The database cannot be written since 2026-03-31T12:00:00.000000Z\n"; got != want {
		t.Errorf("readyz says %q, want %q", got, want)
	}

	r := httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader([]byte(`{"kind":"audit_log","action":"VIEW"}`)))
	r.Header.Set("Content-Type", "application/x-ndjson")
	ingest := s.do("token:ingest", r)
	expect(t, "ingest", ingest.Code, http.StatusServiceUnavailable)
	if ingest.Header().Get("Retry-After") != "5" {
		t.Errorf("ingest: Retry-After %q, want 5", ingest.Header().Get("Retry-After"))
	}
	id := ids[audit.KindAuditLog]
	expect(t, "delete", s.post("superuser", "/audit-logs/"+id+"/delete", url.Values{"reason": {"x"}}).Code, http.StatusServiceUnavailable)
	expect(t, "an export that cannot be recorded", s.get("superuser", "/audit-logs.csv").Code, http.StatusServiceUnavailable)
	expect(t, "sign out", s.post("superuser", "/logout", nil).Code, http.StatusSeeOther)
	if w := s.get("superuser", "/"); w.Code != http.StatusSeeOther {
		t.Errorf("after signing out: got %d, want 303", w.Code)
	}
}
