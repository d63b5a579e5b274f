package db

import (
	"slices"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// TestNothingStandsBeforeTheFirstEntry forges what the tree says nothing about: entries
// of the ledger with a number below 1, which vouch for a deletion, a resolution and an
// event that nobody ever decided or recorded. Not one statement meets a guard.
func TestNothingStandsBeforeTheFirstEntry(t *testing.T) {
	s := openAt(t, vouched(t, 60, 5))
	do := func(statement string, args ...any) {
		t.Helper()
		if _, err := s.rw.Exec(statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	const at = "2026-01-01T00:00:00.000000Z"
	entry := func(seq int64, e evidence.Entry, kind audit.Kind, id int64, subject evidence.Hash) {
		t.Helper()
		do("INSERT INTO ledger (seq, entry, kind, id, recorded_at, actor, note, leaf, subject) VALUES (?, ?, ?, ?, ?, 'rita', 'fine', ?, ?)",
			seq, string(e), string(kind), id, at, make([]byte, 32), subject[:])
	}
	logs := mustList(t, mustSelect(t, s, audit.KindAuditLog, "-source:"+Self), Page{Limit: 2}).Items

	gone := logs[0]
	var recordedAt string
	var leaf []byte
	if err := s.ro.QueryRow("SELECT recorded_at, leaf FROM ledger WHERE seq = ?", gone.Seq).Scan(&recordedAt, &leaf); err != nil {
		t.Fatal(err)
	}
	hash := evidence.Hash(leaf)
	do("INSERT INTO tombstone (kind, id, seq, timestamp, event_id_hash, deleted_at, deleted_by, reason) VALUES (?, ?, ?, ?, NULL, ?, 'rita', 'fine')",
		string(gone.Kind), gone.ID, gone.Seq, gone.Get("timestamp"), at)
	do("DELETE FROM audit_log WHERE id = ?", gone.ID)
	entry(-1, evidence.Deleted, gone.Kind, gone.ID, tombstoneSubject(gone.Kind, gone.ID, gone.Seq, gone.Get("timestamp"), nil, at, "rita", "fine",
		evidence.Gone(string(gone.Kind), gone.ID, gone.Seq, recordedAt, &hash)))

	var open int64
	if err := s.ro.Get(&open, "SELECT max(id) FROM system_event WHERE resolved = 0 AND id NOT IN (SELECT id FROM ledger WHERE entry IN ('resolved', 'reopened'))"); err != nil {
		t.Fatal(err)
	}
	do("UPDATE system_event SET resolved = 1, resolved_at = ?, resolved_by = 'rita', resolution_note = 'fine' WHERE id = ?", at, open)
	entry(-2, evidence.Resolved, audit.KindSystemEvent, open, stateSubject(audit.KindSystemEvent, "true", at, "rita", "fine"))

	model, forged := logs[1], logs[1].ID+1
	form := tables[audit.KindAuditLog].form
	committed := evidence.Commit(form, evidence.Seed{7}, model.Source, model.EventID, tables[audit.KindAuditLog].statedValues(model.Event))
	leafOfForged := committed.Leaf(forged, 0, recordedAt)
	do("INSERT INTO ledger (seq, entry, kind, id, recorded_at, leaf) VALUES (0, 'created', 'audit_log', ?, ?, ?)", forged, recordedAt, leafOfForged[:])
	do(`INSERT INTO audit_log (id, seq, timestamp, recorded_at, source, event_id, user_id, username, action, content_type, object_id, object_repr,
			ip_address, session_key, request_id, module, reason, user_agent, changes, metadata, seed)
		SELECT ?, 0, timestamp, ?, source, event_id, user_id, username, action, content_type, object_id, object_repr,
			ip_address, session_key, request_id, module, reason, user_agent, changes, metadata, ? FROM audit_log WHERE id = ?`,
		forged, recordedAt, committed.AppendSeed(nil), model.ID)

	for _, since := range []bool{false, true} {
		v, err := s.Verify(t.Context(), VerifyOptions{SinceCheckpoint: since})
		if err != nil {
			t.Fatal(err)
		}
		for _, seq := range []int64{0, -1, -2} {
			if !slices.ContainsFunc(v.Problems, func(p Problem) bool { return p.Table == "ledger" && p.Seq == seq && p.Trouble == Inserted }) {
				t.Errorf("since a checkpoint %t: got %v, want entry %d named", since, v.Problems, seq)
			}
		}
	}
	if p, err := s.Check(t.Context(), audit.KindAuditLog, forged); err != nil || p == nil {
		t.Errorf("the page of the forged event: got %v, %v, want a problem", p, err)
	}
}
