package evidence

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

var auditForm = NewForm("audit_log", "timestamp", "user_id", "username", "action", "content_type", "object_id", "object_repr",
	"changes", "reason", "ip_address", "user_agent", "session_key", "request_id", "module", "metadata")

var auditValues = []string{"2026-03-01T12:00:00.123456Z", "7", "alice", "UPDATE", "shop.order", "42", "Order 42",
	`{"total":{"old":"10.00","new":"12.50"},"state":{"old":"open","new":"paid"}}`, "", "203.0.113.9",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
	"f00dbabe12345678", "req-8123-aa", "shop", ""}

func BenchmarkCommitAndLeaf(b *testing.B) {
	b.ReportAllocs()
	var seed Seed
	for i := range b.N {
		seed[0] = byte(i)
		s := Commit(auditForm, seed, "token 3", "a1-ffff-1234", auditValues)
		sink = s.Leaf(int64(i), int64(i), "2026-03-01T12:00:00.123456Z")
	}
}

func BenchmarkLeaf(b *testing.B) {
	b.ReportAllocs()
	s := Commit(auditForm, Seed{}, "token 3", "a1-ffff-1234", auditValues)
	for i := range b.N {
		sink = s.Leaf(int64(i), int64(i), "2026-03-01T12:00:00.123456Z")
	}
}

var sink tlog.Hash

// ASVS:V11.4.3
func TestLeafIsARecordHash(t *testing.T) {
	s := Commit(auditForm, Seed{1, 2, 3}, "token 3", "a1", auditValues)
	if got, want := s.Leaf(5, 6, "2026-03-01T12:00:00.123456Z"), tlog.RecordHash(s.AppendRecord(nil, 5, 6, "2026-03-01T12:00:00.123456Z")); got != want {
		t.Errorf("got leaf %v, want the hash of its record %v", got, want)
	}
	d := Decision{Entry: Deleted, Kind: "audit_log", ID: 5, Seq: 7, RecordedAt: "2026-03-01T12:00:00.123456Z", Actor: "alice", Note: "gone", Subject: Hash{9}}
	if got, want := d.Leaf(), tlog.RecordHash(d.AppendRecord(nil)); got != want {
		t.Errorf("got leaf %v, want the hash of its record %v", got, want)
	}
}
