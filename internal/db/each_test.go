package db

import (
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// brokenReads panics where rows are about to be read.
type brokenReads struct{ dialect }

func (brokenReads) inOne([]string) (string, bool) { panic("rotten") }

// TestEachPanicsWhereItWasCalled: what goes wrong in a goroutine of Each reaches
// its caller, who recovers, instead of ending the process.
func TestEachPanicsWhereItWasCalled(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "event_id", "one"))
	sel := mustSelect(t, s, audit.KindAuditLog, "")
	defer func(whole dialect) { s.dialect = whole }(s.dialect)
	s.dialect = brokenReads{s.dialect}
	defer func() {
		if p := recover(); p != "rotten" {
			t.Errorf("got the panic %v, want the one of the reading", p)
		}
	}()
	err := sel.Each(t.Context(), func(*Stored) error { return nil })
	t.Errorf("got %v, want a panic", err)
}
