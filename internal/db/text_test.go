package db

import (
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// TestHeldByAgreesWithTheText looks for words in rows as they are stored, and in the
// text that is made of them, which decides.
func TestHeldByAgreesWithTheText(t *testing.T) {
	rows := []string{
		`{"name": {"old": "Anna", "new": "Böhm"}, "old": {"new": 12.5}}`,
		`{"old": {"old": "older", "new": null}, "flag": true}`,
		`{"title": {"old": "B\u00f6hm", "new": "a\\b \"quoted\""}}`,
		`{"nothing": null, "list": ["one", "TWO", {"three": "field"}]}`,
		``, `{}`, `{"x": {"new": "renewal bold nullable"}}`,
	}
	needles := []string{"old", "new", "null", "ull", "older", "bold", "renew", "böhm", "BÖHM", "anna", "u00f6", "00f6", "12", "12.5", "true", "name", "two", "three", "field", "quoted", "a\\b", "\"", "nullable", "eld", "xyz"}
	free := query.Field{Key: "text", Class: query.ClassFree}
	for _, needle := range needles {
		folded := query.Fold(needle)
		n := newNeedle(audit.KindAuditLog, query.Term{Field: free, Values: []query.Value{{Text: needle, Folded: folded}}})
		for _, changes := range rows {
			values := make([]string, len(n.reader.columns))
			for i, f := range n.reader.columns {
				if f.Name == "changes" {
					values[i] = changes
				}
			}
			want := n.in(textOf(n.reader, nil, values))
			if _, got := heldBy(n, nil, values); got != want {
				t.Errorf("%q in %s: %v, and in its text %v", needle, changes, got, want)
			}
		}
	}
}
