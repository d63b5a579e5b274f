package db

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
)

// TestRecordedFrom looks for every place where the time of recording changes, before
// and after what was found is kept.
func TestRecordedFrom(t *testing.T) {
	now := noon
	s, err := Open(t.Context(), address(t, filepath.Join(t.TempDir(), "audit.db")),
		Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: func() time.Time { return now }, Trace: trace()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const minutes = 40
	for i := range minutes {
		now = noon.Add(time.Duration(i) * time.Minute)
		mustAppend(t, s, event(t, "username", "alice"), event(t, "username", "bob")) // two entries a minute
	}
	var head int64
	if err := s.ro.GetContext(t.Context(), &head, "SELECT max(seq) FROM ledger"); err != nil {
		t.Fatal(err)
	}
	if head != 2*minutes {
		t.Fatalf("the ledger has %d entries, want %d", head, 2*minutes)
	}
	for range 2 {
		for i := range minutes + 1 {
			at := noon.Add(time.Duration(i) * time.Minute).UnixMicro()
			for micros, want := range map[int64]int64{at: int64(2*i + 1), at - 1: int64(2*i + 1), at + 1: min(int64(2*i+3), head+1)} {
				if got, err := s.recordedFrom(t.Context(), head, micros); err != nil || got != want {
					t.Errorf("minute %d, %+d microseconds: entry %d, %v; want %d", i, micros-at, got, err, want)
				}
			}
		}
	}
	for micros, want := range map[int64]int64{math.MinInt64: 1, math.MaxInt64: head + 1} {
		if got, err := s.recordedFrom(t.Context(), head, micros); err != nil || got != want {
			t.Errorf("%d: entry %d, %v; want %d", micros, got, err, want)
		}
	}
	// What is kept of a longer ledger says nothing beyond the head of a view.
	if got, err := s.recordedFrom(t.Context(), 10, noon.Add(20*time.Minute).UnixMicro()); err != nil || got != 11 {
		t.Errorf("of the first ten entries: entry %d, %v; want 11", got, err)
	}
}
