package db

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
)

func TestRetention(t *testing.T) {
	s := openTest(t)
	want := Retention{Days: map[audit.Kind]int{audit.KindAuditLog: 365, audit.KindLoginAttempt: 90}, Archive: "/var/archive"}
	for range 2 { // the second time nothing changes, and nothing is recorded
		if err := s.SetRetention(t.Context(), ines, want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Retention(t.Context()); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if err := s.SetRetention(t.Context(), ines, Retention{Days: map[audit.Kind]int{audit.KindAuditLog: 30}}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Retention(t.Context()); err != nil || got.Archive != "" || len(got.Days) != 1 || got.Days[audit.KindAuditLog] != 30 {
		t.Errorf("got %+v, %v, want audit logs for 30 days and everything else for ever", got, err)
	}
	if n := countAll(t, s, audit.KindAuditLog, "action:UPDATE type:auditadmin.setting field:audit_log_days user:ines"); n != 2 {
		t.Errorf("got %d audit logs of the changes, want 2", n)
	}
	for _, bad := range []Retention{{Days: map[audit.Kind]int{audit.KindAuditLog: 0}}, {Days: map[audit.Kind]int{audit.KindAuditLog: MostRetentionDays + 1}}, {Archive: "here"}} {
		if err := s.SetRetention(t.Context(), ines, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestClaimRetention lets one of two servers have the purge of a day.
func TestClaimRetention(t *testing.T) {
	now := noon
	path := filepath.Join(t.TempDir(), "audit.db")
	var stores []*Store
	for range 2 {
		s, err := Open(t.Context(), address(t, path), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: func() time.Time { return now }, Trace: trace()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores = append(stores, s)
	}
	for day := range 3 {
		now = noon.Add(time.Duration(day) * retentionPause)
		claims := 0
		for range 2 {
			for _, s := range stores {
				mine, err := s.ClaimRetention(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if mine {
					claims++
				}
			}
		}
		if claims != 1 {
			t.Errorf("on day %d the purge was claimed %d times, want once", day, claims)
		}
	}
}
