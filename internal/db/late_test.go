package db

import (
	"slices"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestLateEventsAreLookedForOneByOne: what an import of late events asks of the rows
// that are there already is one look for each of them. A way in from the least of the ids
// to the greatest would walk over all that lies between, for each of a thousand.
func TestLateEventsAreLookedForOneByOne(t *testing.T) {
	s := openTest(t)
	tail := &kindTail{kind: audit.KindAuditLog}
	statement, args := tail.takenBy(s.dialect, []int64{1 << idBits, 5 << idBits, 900_000 << idBits}, 1<<idBits-1)
	var steps []struct {
		Addr, P1, P2, P3, P5 int64
		Opcode               string
		P4, Comment          *string
	}
	if err := s.ro.SelectContext(t.Context(), &steps, "EXPLAIN "+statement, args...); err != nil {
		t.Fatal(err)
	}
	at := func(opcodes ...string) int {
		for i, step := range steps {
			if slices.Contains(opcodes, step.Opcode) {
				return i
			}
		}
		t.Fatalf("%s\ndoes none of %v: %+v", statement, opcodes, steps)
		return 0
	}
	list, value, way := at("VFilter"), at("VColumn"), at("SeekGE", "SeekGT", "SeekRowid")
	if !(list < value && value < way) {
		t.Errorf("%s\nlooks into the table at step %d, before it has read a place from the list at step %d", statement, way, value)
	}
}
