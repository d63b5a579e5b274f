package db

import (
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestFirstMicrosecond stores events of the first instant there is: the id 0
// means no event in cursors and addresses, and is never given.
func TestFirstMicrosecond(t *testing.T) {
	s := openTest(t)
	const first = "1970-01-01T00:00:00Z"
	mustAppend(t, s, event(t, "timestamp", first, "object_id", "a"))
	mustAppend(t, s, event(t, "timestamp", first, "object_id", "b"), event(t))
	sel := mustSelect(t, s, audit.KindAuditLog, "")
	if ids := walk(t, sel, 1); len(ids) != 3 || ids[1] != 2 || ids[2] != 1 {
		t.Errorf("got ids %v, want three that end in 2, 1", ids)
	}
	if n := countAll(t, s, audit.KindAuditLog, "on:1970"); n != 2 {
		t.Errorf("on:1970: got %d, want 2", n)
	}
}
