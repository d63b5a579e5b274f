package handlers

import (
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// atlas knows one network.
type atlas struct{}

func (atlas) Locate(addr netip.Addr) (country, city string) {
	if netip.MustParsePrefix("192.0.2.0/24").Contains(addr) { // where requests of tests come from
		return "CH", "Bern"
	}
	return "", ""
}

// TestSignInsHaveTheirPlace signs in, well and badly, with an atlas.
func TestSignInsHaveTheirPlace(t *testing.T) {
	s := newSite(t)
	server, err := New(t.Context(), Config{Store: s.store, Version: "test", KDF: quickKDF, Places: atlas{}})
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	if w := s.post("", "/login", url.Values{"username": {"vera"}, "password": {password}}); w.Code != http.StatusSeeOther {
		t.Fatalf("got %d, want 303", w.Code)
	}
	s.post("", "/login", url.Values{"username": {"nobody"}, "password": {"a wrong sentence"}})
	for q, want := range map[string]int64{"user:vera status:SUCCESS country:CH city:Bern": 1, "user:nobody status:FAILED country:CH": 1} {
		if got := s.total(audit.KindLoginAttempt, q); got != want {
			t.Errorf("%s: got %d events, want %d", q, got, want)
		}
	}
}
