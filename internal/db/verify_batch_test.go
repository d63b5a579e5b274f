package db

import (
	"fmt"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestVerifyTakesNoTextForARow puts into a text what stands between rows where
// many of them are verified at a time, and whole rows: exactly that event is found,
// and all the others hold.
func TestVerifyTakesNoTextForARow(t *testing.T) {
	s := openTest(t)
	const events = 600
	var all []*audit.Event
	for i := range events {
		all = append(all, event(t, "event_id", fmt.Sprint("e", i), "username", "alice", "timestamp", fmt.Sprintf("2026-02-01T10:%02d:%02d.000000Z", i/60, i%60)))
	}
	mustAppend(t, s, all...)
	rows := everything(t, s, audit.KindAuditLog)
	mustExec := func(query string, args ...any) {
		t.Helper()
		if _, err := s.rw.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	mustExec("DROP TRIGGER audit_log_fixed")
	// What the rows between would be joined to: see rowReader.batch.
	var body string
	if err := s.ro.Get(&body, "SELECT CAST(substr(x, 1, 100000) AS TEXT) FROM (SELECT concat(e.recorded_at, char(0), e.source, char(0), e.event_id) AS x FROM audit_log e LIMIT 1)"); err != nil {
		t.Fatal(err)
	}
	victim := rows[301]
	row := fmt.Sprint(rows[302].ID, "\x00", rows[302].Seq, "\x00", "0\x00", "0\x00", body)
	for _, text := range []string{
		"alice\x00", "\x00", "\x00alice", strings.Repeat("\x00", 18), strings.Repeat("\x00", 200), "alice" + strings.Repeat("\x00", 17) + strings.Repeat("s", 31+32),
		"alice" + strings.Repeat("\x00", 17) + strings.Repeat("s", 31+32) + row, fmt.Sprint(strings.Repeat("\x00", 18), rows[302].ID, "\x00\x00"),
		fmt.Sprint("alice", strings.Repeat("\x00", 17), strings.Repeat("s", 31+32), rows[300].ID, "\x00\x00", rows[302].ID, "\x00\x00"),
	} {
		mustExec("UPDATE audit_log SET username = CAST(? AS TEXT) WHERE id = ?", []byte(text), victim.ID)
		v, err := s.Verify(t.Context(), VerifyOptions{Workers: 1})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if len(v.Problems) != 1 || v.Problems[0].ID != victim.ID || v.Problems[0].Trouble != Altered || v.Events != events-1 {
			t.Errorf("%q: got %v and %d events that hold, want %d altered and all others to hold", text, v.Problems, v.Events, victim.ID)
		}
	}
	mustExec("UPDATE audit_log SET username = 'alice' WHERE id = ?", victim.ID)
	if v, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || !v.Holds() || v.Events != events {
		t.Errorf("got %+v, %v, want all events to hold again", v, err)
	}
}

// TestVerifyLooksAtEverything verifies tables whose events are unequally about
// their times: none is passed over, and none is looked at twice.
func TestVerifyLooksAtEverything(t *testing.T) {
	s := openTest(t)
	var all []*audit.Event
	for i := range 20_000 {
		at := fmt.Sprintf("2026-02-01T10:00:00.%06dZ", i)
		switch {
		case i%1000 == 0:
			at = fmt.Sprintf("19%02d-01-01T00:00:00Z", 70+i/1000)
		case i%3 == 0:
			at = "2026-02-01T10:00:00.500000Z"
		}
		all = append(all, event(t, "timestamp", at))
	}
	for len(all) > 0 {
		mustAppend(t, s, all[:1000]...)
		all = all[1000:]
	}
	for _, workers := range []int{1, 2, 5} {
		if v, err := s.Verify(t.Context(), VerifyOptions{Workers: workers}); err != nil || !v.Holds() || v.Events != 20_000 {
			t.Errorf("%d workers: got %+v, %v, want 20000 events that hold", workers, v, err)
		}
	}
}
