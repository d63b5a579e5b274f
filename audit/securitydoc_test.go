package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/internal/need"
)

// The table of the documentation is the table of rules. UPDATE_DOCS=1 writes it.
func TestRulesAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("| rule | category | severity | what it means |\n| --- | --- | --- | --- |\n")
	for _, r := range Rules() {
		reason := r.Reason
		if r.refused {
			reason += " *refused*"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Name, r.Category, r.Severity, reason)
	}
	path := filepath.Join(need.Root(t), "docs", "security-monitoring.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "<!-- rules -->\n")
	table, after, ok2 := strings.Cut(rest, "<!-- /rules -->")
	if !ok || !ok2 {
		t.Fatal("docs/security-monitoring.md has no place for the rules")
	}
	if table == b.String() {
		return
	}
	if os.Getenv("UPDATE_DOCS") == "" {
		t.Fatal("docs/security-monitoring.md does not show the rules as they are; run with UPDATE_DOCS=1")
	}
	if err := os.WriteFile(path, []byte(before+"<!-- rules -->\n"+b.String()+"<!-- /rules -->"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
