package db

import (
	"strconv"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// TestRefreshThatFailsHalfWay reads the ledger while one kind cannot be read, as
// when whoever asked goes away in the middle: what the other kinds had learned
// by then must not be learned a second time.
func TestRefreshThatFailsHalfWay(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t), eventOf(t, audit.KindSystemEvent, "timestamp", "2026-03-01T12:00:00Z", "event_type", "ERROR", "title", "x"))
	s.recent.extend(0, 2, nil) // which holds nothing then, so that the tables are read
	for _, statement := range []string{"ALTER TABLE system_event RENAME TO hidden", "ALTER TABLE hidden RENAME TO system_event"} {
		if _, err := s.rw.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		err := s.refresh(t.Context())
		if failed := statement == "ALTER TABLE system_event RENAME TO hidden"; (err != nil) != failed {
			t.Fatalf("refresh after %s: got error %v, want one: %t", statement, err, failed)
		}
	}
	for _, kind := range []audit.Kind{audit.KindAuditLog, audit.KindSystemEvent} {
		if n := countAll(t, s, kind, ""); n != 1 {
			t.Errorf("%s: got a count of %d, want 1", kind, n)
		}
	}
}

// TestFrequentTextRemembersWithinBounds fills what is remembered of a frequent
// text: what is dropped to bound it must not change the answer at hand.
func TestFrequentTextRemembersWithinBounds(t *testing.T) {
	s := openTest(t)
	for i := range 4 {
		mustAppend(t, s, event(t, "object_id", "al"+strconv.Itoa(i)))
	}
	count := func() int64 { return countAll(t, s, audit.KindAuditLog, "al") }
	if n := count(); n != 4 {
		t.Fatalf("got a count of %d, want 4", n)
	}
	f, err := query.Parse(audit.KindAuditLog, "al", query.Options{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	h := s.texts.get(newNeedle(audit.KindAuditLog, f.Terms[0]).key)
	for i := range int64(8*shortBudget) + 1 {
		h.checked[-i] = true
	}
	mustAppend(t, s, event(t, "object_id", "al4"))
	if n := count(); n != 5 {
		t.Errorf("with a full memory: got a count of %d, want 5", n)
	}
}
