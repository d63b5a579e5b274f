package db

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// TestFirstSince finds the first entry since every moment, where several share one.
func TestFirstSince(t *testing.T) {
	s := openTest(t)
	ctx := context.Background()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	times := []int{0, 0, 1, 1, 1, 4, 9, 9}
	for seq, seconds := range times {
		if _, err := s.rw.Exec("INSERT INTO ledger (seq, entry, kind, id, recorded_at) VALUES (?, 'created', 'audit_log', ?, ?)",
			seq+1, seq+1, audit.FormatTime(start.Add(time.Duration(seconds)*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	for second := -1; second < 12; second++ {
		want := int64(1)
		for _, at := range times {
			if at < second {
				want++
			}
		}
		got, err := s.firstSince(ctx, int64(len(times)), start.Add(time.Duration(second)*time.Second))
		if err != nil || got != want {
			t.Errorf("since second %d: got %d, %v, want %d", second, got, err, want)
		}
	}
}

// TestHealthSaysThatColumnsCannotBeWritten puts a file where their folder belongs.
func TestHealthSaysThatColumnsCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	if err := os.WriteFile(path+"-columns", []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path)
	mustAppend(t, s, event(t))
	if n := countAll(t, s, audit.KindAuditLog, "action:UPDATE"); n != 1 {
		t.Errorf("got %d events, want 1", n)
	}
	if h, err := s.Health(t.Context()); err != nil || h.Unsealed == nil {
		t.Errorf("got %+v, %v, want it to say why nothing is sealed", h, err)
	}
}
