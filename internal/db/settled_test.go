package db

import (
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
