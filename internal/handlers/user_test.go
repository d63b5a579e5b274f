package handlers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// TestAddressesOfAUser: each address leads to the events that were counted, in
// whichever kind they are, and so do those that the page has no room for.
func TestAddressesOfAUser(t *testing.T) {
	s := newSite(t)
	var tried []map[string]string
	for i := range 24 { // two from each of twelve addresses
		tried = append(tried, map[string]string{"timestamp": at(time.Duration(i+1) * time.Minute), "username": "maria", "status": "SUCCESS", "ip_address": fmt.Sprintf("192.0.2.%d", 101+i%12)})
	}
	s.add(audit.KindLoginAttempt, tried...)
	s.add(audit.KindLoginAttempt, map[string]string{"timestamp": at(2 * time.Hour), "username": "oscar", "status": "SUCCESS", "ip_address": "192.0.2.101"})
	s.add(audit.KindAuditLog, map[string]string{"timestamp": at(time.Hour), "username": "maria", "action": "VIEW", "ip_address": "192.0.2.101"})
	page := s.page("viewer", "/users?name=maria")
	if !strings.Contains(page, "2 login attempts") {
		t.Error("the page does not say what the events of an address were")
	}
	all := links(t, page)
	for text, want := range map[string]struct {
		kind  audit.Kind
		count int
	}{"192.0.2.101": {audit.KindLoginAttempt, 2}, "1 audit log": {audit.KindAuditLog, 1}, "192.0.2.102": {audit.KindLoginAttempt, 2}} {
		list := all[text]
		if !strings.HasPrefix(list, "/"+want.kind.Path()+"?") {
			t.Errorf("%s leads to %q, want %s", text, list, want.kind.Plural())
			continue
		}
		var found listed
		s.data("viewer", strings.Replace(list, "?", ".json?", 1), &found)
		if found.Count.Value != int64(want.count) {
			t.Errorf("%s leads to %d events, want %d", text, found.Count.Value, want.count)
		}
	}
	more := all["and 2 more"]
	if more == "" {
		t.Fatal("the addresses that have no room lead nowhere")
	}
	listed := s.page("viewer", strings.TrimSuffix(more, "#facet-ip"))
	for i := range 12 {
		if address := fmt.Sprintf("192.0.2.%d", 101+i); !strings.Contains(listed, address) {
			t.Errorf("%s does not show %s", more, address)
		}
	}
}
