package db

import (
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestAtOneMoment: a page asks for the ledger's head once, and the next one again.
func TestAtOneMoment(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "username", "alice"))
	page := AtOneMoment(t.Context())
	first, err := s.headNow(page)
	if err != nil || first != 1 {
		t.Fatalf("the head is %d, %v; want 1", first, err)
	}
	mustAppend(t, s, event(t, "username", "bob"))
	if again, err := s.headNow(page); err != nil || again != first {
		t.Errorf("later on the same page the head is %d, %v; want %d", again, err, first)
	}
	v, err := s.view(AtOneMoment(t.Context()), audit.KindAuditLog)
	if err != nil || v.count != 2 {
		t.Errorf("the next page sees %d events, %v; want 2", v.count, err)
	}
	if v, err = s.view(page, audit.KindAuditLog); err != nil || v.count < 1 {
		t.Errorf("the page sees %d events, %v; want what there was when it began, or more", v.count, err)
	}
}
