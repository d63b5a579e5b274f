package db

import (
	"fmt"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// TestPurgeProves checks the parts that a purge archives: each event is a leaf of
// the checkpoint's tree, one that was altered before is named, and one that comes
// in meanwhile is proven too.
func TestPurgeProves(t *testing.T) {
	s := openTest(t)
	if _, err := s.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	yearOfEvents(t, s, 2500)
	for i := range 200 { // others between them in the ledger
		mustAppend(t, s, event(t, "timestamp", audit.FormatTime(july().Add(time.Duration(i)*time.Hour))),
			event(t, "timestamp", fmt.Sprintf("2025-02-0%dT10:00:00.%06dZ", 1+i%7, i), "event_id", fmt.Sprint("late", i)))
	}
	altered := mustList(t, mustSelect(t, s, audit.KindAuditLog, "on:2025-03-03 user:bob"), Page{Limit: 1}).Items[0].ID
	if s.dialect.embedded() { // a server has no triggers there, but rights
		if _, err := s.rw.Exec("DROP TRIGGER audit_log_fixed"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.rw.Exec("UPDATE audit_log SET username = 'nobody' WHERE id = ?", altered); err != nil {
		t.Fatal(err)
	}
	form := tables[audit.KindAuditLog].form
	notes := map[string]bool{}
	parts := 0
	var archive shelf // where a part takes the place of what was read before it changed
	unproven := map[int64]bool{}
	job := PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "old", Archive: func(part PurgePart) error {
		if parts++; parts == 1 { // a newer id than those of this part, in a later one
			mustAppend(t, s, event(t, "timestamp", "2025-06-29T00:00:00Z", "event_id", "meanwhile"))
		}
		c, signed, err := evidence.OpenCheckpoint(part.Proof.Checkpoint, part.PublicKeys)
		if err != nil || len(signed) != 1 {
			t.Fatalf("got %v, %v of the checkpoint", signed, err)
		}
		notes[part.Proof.Checkpoint] = true
		var seqs []int64
		var leaves []evidence.Hash
		for i, st := range part.Events {
			leaf, proven, err := part.Proof.Leaf(form, i, st.ID, st.Seq, audit.FormatTime(st.RecordedAt), st.Source, st.EventID, tables[st.Kind].statedValues(st.Event))
			if err != nil {
				t.Fatal(err)
			}
			if !proven {
				unproven[st.ID] = true
			}
			seqs, leaves = append(seqs, st.Seq), append(leaves, leaf)
		}
		if err := part.Proof.Check(c, seqs, leaves); err != nil {
			t.Errorf("part %d: %v", parts, err)
		}
		leaves[0][0] ^= 1
		if err := part.Proof.Check(c, seqs, leaves); err == nil {
			t.Errorf("part %d holds with another leaf", parts)
		}
		return archive.write(part)
	}}
	got, err := s.Purge(t.Context(), ines, job)
	if events := len(archive.ids()); err != nil || got.Events != int64(events) || events < 1400 || parts < 2 {
		t.Fatalf("got %+v, %v, and %d events in %d parts", got, err, events, parts)
	}
	if len(unproven) != 1 || !unproven[altered] {
		t.Errorf("got %v as not what was recorded, want the altered event %d", unproven, altered)
	}
	if len(notes) != 2 {
		t.Errorf("got %d checkpoints, want a second one for what came meanwhile", len(notes))
	}
}

// TestPurgeWithoutKey archives where nothing was ever signed.
func TestPurgeWithoutKey(t *testing.T) {
	s := openTest(t)
	yearOfEvents(t, s, 10)
	events := 0
	job := PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "old", Archive: func(part PurgePart) error {
		if events += len(part.Events); part.Proof != nil {
			t.Errorf("got %d events with the proof %+v, want none", len(part.Events), part.Proof)
		}
		return nil
	}}
	if got, err := s.Purge(t.Context(), ines, job); err != nil || got.Events != 5 || events != 5 {
		t.Errorf("got %+v, %v, and %d in the archive, want 5", got, err, events)
	}
}
