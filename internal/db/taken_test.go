package db

import (
	"slices"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestTakenBetween deletes, purges and redacts, and asks what was taken away of
// stretches of the events.
func TestTakenBetween(t *testing.T) {
	s := openTest(t)
	ctx, ines := t.Context(), Actor{Name: "ines"}
	var all []*audit.Event
	for day := range 10 {
		all = append(all, event(t, "username", "alice", "content_type", "shop.order", "object_id", "42", "reason", "because",
			"timestamp", audit.FormatTime(noon.AddDate(0, 0, day-20))))
	}
	mustAppend(t, s, all...)
	var ids []int64
	if err := s.ro.Select(&ids, "SELECT id FROM audit_log ORDER BY id"); err != nil || len(ids) != len(all) {
		t.Fatal(ids, err)
	}
	if got, err := s.TakenBetween(ctx, audit.KindAuditLog, 0, 1<<62, "object_id"); err != nil || got.Any() {
		t.Errorf("before anything was taken away: %+v, %v", got, err)
	}
	if _, err := s.Purge(ctx, ines, PurgeJob{Kind: audit.KindAuditLog, Before: noon.AddDate(0, 0, -17), Reason: "old"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(ctx, ines, audit.KindAuditLog, ids[4:6], "request 12"); err != nil {
		t.Fatal(err)
	}
	for field, at := range map[string]int{"reason": 7, "object_id": 8} {
		if err := s.Redact(ctx, ines, audit.KindAuditLog, ids[at], field, "request 13"); err != nil {
			t.Fatal(err)
		}
	}
	purged := noon.AddDate(0, 0, -18)
	for what, test := range map[string]struct {
		from, to int64
		want     Taken
	}{
		"all":                  {0, 1 << 62, Taken{Deleted: 2, Stone: ids[5], PurgedTo: purged, Unnamed: 1}},
		"after the purge":      {ids[3], ids[9], Taken{Deleted: 2, Stone: ids[5], Unnamed: 1}},
		"within the purge":     {ids[0], ids[1], Taken{PurgedTo: noon.AddDate(0, 0, -19)}},
		"of one":               {ids[4], ids[4], Taken{Deleted: 1, Stone: ids[4]}},
		"of what is all there": {ids[6], ids[7], Taken{}},
	} {
		got, err := s.TakenBetween(ctx, audit.KindAuditLog, test.from, test.to, "object_id", "content_type")
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", what, got, err, test.want)
		}
	}
	if got, err := s.TakenBetween(ctx, audit.KindLoginAttempt, 0, 1<<62, "username"); err != nil || got.Any() {
		t.Errorf("of another kind: %+v, %v", got, err)
	}
	got, err := s.RedactedFields(ctx, audit.KindAuditLog, ids)
	if err != nil || len(got) != 2 || !slices.Equal(got[ids[7]], []string{"reason"}) || !slices.Equal(got[ids[8]], []string{"object_id"}) {
		t.Errorf("the redacted fields are %v, %v", got, err)
	}
	if got, err := s.RedactedFields(ctx, audit.KindAuditLog, nil); err != nil || len(got) != 0 {
		t.Errorf("of no events: %v, %v", got, err)
	}
}
