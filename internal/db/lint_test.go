package db

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/internal/sqllint"
)

// exempt are the statements of the store that may break a rule, and why.
var exempt = []sqllint.Exemption{
	{
		Statement: "SELECT id FROM data_export WHERE event_id = $1",
		Reason: "a download names its export by event_id alone, whenever that was; each month has an index of the few names there are (data_export_name)," +
			" and it is asked once for each download",
	},
}

// lint judges every statement that the tests on the server ran. Whether each
// exemption is needed can only be said after the whole suite.
func (p *pgServer) lint(t testing.TB, whole bool) {
	var statements []string
	p.seen.Range(func(statement, _ any) bool {
		statements = append(statements, statement.(string))
		return true
	})
	slices.Sort(statements)
	n := 0
	for _, fault := range sqllint.Check(statements, exempt) {
		if fault.Rule == sqllint.RuleExemption && !whole {
			continue
		}
		n++
		t.Errorf("%v", fault)
	}
	t.Logf("%d statements, %d faults, %d exempt", len(statements), n, len(exempt))
}

// recorder is a testing.TB that keeps what it is told.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Logf(string, ...any) {}

// TestLintSeesTheStore shows that a statement of the store would be found if it
// broke a rule: those here do, one for each rule and each way to lose a bound.
func TestLintSeesTheStore(t *testing.T) {
	for _, wrong := range []struct{ rule, statement string }{
		{sqllint.RuleCtid, "DELETE FROM system_event WHERE ctid IN (SELECT ctid FROM system_event WHERE id < ? LIMIT 100)"},
		{sqllint.RuleLateral, "SELECT l.seq FROM ledger l, LATERAL (SELECT * FROM audit_log e WHERE e.id = l.id LIMIT 1) x WHERE l.seq > ?"},
		{sqllint.RuleGroupingSets, "SELECT action, module, count(*) FROM audit_log WHERE id > ? GROUP BY CUBE (action, module)"},
		{sqllint.RuleForUpdate, "SELECT resolved FROM system_event WHERE id >= ? AND id < ? FOR UPDATE"},
		{sqllint.RuleVolatile, "DELETE FROM login_attempt WHERE id < ? AND random() < 0.5"},
		{sqllint.RuleBound, "SELECT e.id, e.seq FROM audit_log e WHERE e.id = ANY(?)"},
		{sqllint.RuleBound, "SELECT e.id, e.seq FROM audit_log e ORDER BY e.id DESC LIMIT 50"},
		{sqllint.RuleShipped, "SELECT e.id FROM ledger l JOIN audit_log e ON e.id = l.id"},
		{sqllint.RuleCorrelated, "SELECT l.seq FROM ledger l WHERE l.seq > ? AND EXISTS (SELECT 1 FROM audit_log e WHERE e.id = l.id)"},
		{sqllint.RuleBound, "SELECT count(*) FROM data_export WHERE event_id = ? OR id = ?"},
		{sqllint.RuleBound, "UPDATE system_event SET resolved = 1 WHERE resolved = 0"},
		{sqllint.RuleUnread, "SELECT id FROM audit_log WHERE (id = ?"},
	} {
		p := &pgServer{}
		p.seen.Store(pgNumbered(wrong.statement), true)
		var found recorder
		p.lint(&found, false)
		if len(found.said) == 0 || !strings.HasPrefix(found.said[0], wrong.rule+": ") {
			t.Errorf("got %q, want a fault of the rule %q in: %s", found.said, wrong.rule, wrong.statement)
		}
		for _, line := range found.said {
			t.Log(line)
		}
	}
	p := &pgServer{}
	var found recorder
	if p.lint(&found, true); len(found.said) != len(exempt) {
		t.Errorf("got %q of no statements, want that no exemption is needed", found.said)
	}
}
