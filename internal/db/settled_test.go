package db

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// onCluster is a dialect whose events may be seen later than the ledger.
type onCluster struct{ dialect }

func (onCluster) scattered() bool { return true }

// TestWhatIsMissingIsWaitedForOnce: that another kind, or another stretch of the
// ledger, has all its events does not make a reader begin anew to wait for what is
// missing in his.
func TestWhatIsMissingIsWaitedForOnce(t *testing.T) {
	l := newLotTest(t)
	l.s.dialect = onCluster{l.s.dialect}
	l.add(3, "quagga")
	tx, end, err := begin(t.Context(), l.s.worker())
	l.must(err)
	defer end()
	missing := func() error { return l.s.settled(t.Context(), tx, audit.KindAuditLog, 0, 3, 2) }
	whole := func() {
		t.Helper()
		l.must(l.s.settled(t.Context(), tx, audit.KindLoginAttempt, 0, 3, 0))
		l.must(l.s.settled(t.Context(), tx, audit.KindAuditLog, 2, 3, 1))
	}
	for range 2 {
		if err := missing(); !errors.Is(err, errUnsettled) {
			t.Fatalf("got %v where one of three events is missing, want that it is waited for", err)
		}
		whole()
		l.clock = l.clock.Add(settling/2 + time.Second)
	}
	for range 2 { // another kind may fail the same try, which is made again
		if err := missing(); err != nil {
			t.Errorf("got %v after it was waited for, want that it is given up", err)
		}
		whole()
	}
	l.must(l.s.settled(t.Context(), tx, audit.KindAuditLog, 0, 3, 3))
	if err := missing(); !errors.Is(err, errUnsettled) {
		t.Errorf("got %v where another one is missing after all were there, want that it is waited for", err)
	}
}

// TestHeldBehindWhatIsMissing: what nobody can look up yet, since something before it is
// not shown, may be held, and is not taken away.
func TestHeldBehindWhatIsMissing(t *testing.T) {
	l := newLotTest(t)
	s := l.s
	s.dialect = onCluster{s.dialect}
	l.add(1, "quagga")
	if _, err := s.Hold(t.Context(), ines, audit.KindAuditLog, "", "a trial"); err != nil {
		t.Fatal(err)
	}
	if n := countAll(t, s, audit.KindAuditLog, "quagga"); n != 1 {
		t.Fatalf("%d events are there", n)
	}
	l.write(func(tx *writeTx) error { // what a machine does not show yet
		tx.seq++
		_, err := tx.ExecContext(tx.ctx, "INSERT INTO ledger (seq, entry, kind, id, recorded_at, leaf) VALUES (?, 'created', 'audit_log', 5, ?, ?)",
			tx.seq, audit.FormatTime(tx.now), make([]byte, 32))
		return err
	})
	id := l.add(1, "okapi")[0]
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if n, err := s.Delete(ctx, ines, audit.KindAuditLog, []int64{id}, "it is not looked up"); n != 0 || err == nil {
		t.Errorf("got %d, %v of deleting what may be held", n, err)
	}
	if n := l.count("SELECT count(*) FROM audit_log"); n < 2 {
		t.Errorf("%d events are left, want both", n)
	}
	l.clock = l.clock.Add(settling + time.Second) // it is given up
	if _, err := s.Delete(t.Context(), ines, audit.KindAuditLog, []int64{id}, "it is looked up"); !errors.Is(err, ErrHeld) {
		t.Errorf("got %v, want that it is held", err)
	}
}

// TestIndexerComesBackForWhatIsMissing: nobody wakes the indexer when a machine shows
// what it did not, so it wakes by itself.
func TestIndexerComesBackForWhatIsMissing(t *testing.T) {
	l := newLotTest(t)
	l.s.dialect = onCluster{l.s.dialect}
	l.add(1, "quagga")
	l.s.recent = newRecent() // another server has recorded it
	l.write(func(tx *writeTx) error {
		tx.seq++
		_, err := tx.ExecContext(tx.ctx, "INSERT INTO ledger (seq, entry, kind, id, recorded_at, leaf) VALUES (?, 'created', 'audit_log', 5, ?, ?)",
			tx.seq, audit.FormatTime(tx.now), make([]byte, 32))
		return err
	})
	for len(l.s.stale) > 0 {
		<-l.s.stale
	}
	l.must(l.s.Index(t.Context()))
	if n := l.found("quagga"); n != 0 {
		t.Fatalf("%d events are indexed: the test shows nothing", n)
	}
	select {
	case <-l.s.stale:
	case <-time.After(30 * time.Second):
		t.Fatal("the indexer sleeps on")
	}
	l.clock = l.clock.Add(settling + time.Second)
	l.must(l.s.Index(t.Context()))
	if n := l.found("quagga"); n != 1 {
		t.Errorf("%d events are indexed when the other one is given up, want 1", n)
	}
}
