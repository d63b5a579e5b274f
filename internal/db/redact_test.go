package db

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// filesWith returns the names of the files of a database that hold some bytes.
func filesWith(t *testing.T, s *Store, canary string) []string {
	t.Helper()
	var with []string
	err := filepath.WalkDir(filepath.Dir(s.Path()), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(canary))) {
			with = append(with, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return with
}

// TestRedact takes every redactable field of every kind away, one after the
// other: its bytes are then in no file of the database, the others are as they
// were, and the evidence holds.
func TestRedact(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	values := map[string]string{"ip_address": "203.0.113.77", "action": "UPDATE", "status": "FAILED", "event_type": "ERROR",
		"line_number": "12", "record_count": "3", "file_size": "9"}
	for _, kind := range audit.Kinds() {
		canary := func(field string) string { return "canary-" + string(kind) + "-" + field + "-zwölf" }
		var pairs, other []string
		for _, f := range kind.Fields() {
			if f.Required && f.Type == audit.Text {
				other = append(other, f.Name, "other")
			}
			switch {
			case f.Mutable:
			case f.Name == "timestamp":
				pairs, other = append(pairs, f.Name, audit.FormatTime(noon)), append(other, f.Name, audit.FormatTime(noon))
			case values[f.Name] != "":
				pairs = append(pairs, f.Name, values[f.Name])
				if f.Required {
					other = append(other, f.Name, values[f.Name])
				}
			case f.Name == "changes":
				pairs = append(pairs, f.Name, `{"note":{"old":null,"new":"`+canary(f.Name)+`"}}`)
			case f.Type == audit.JSON:
				pairs = append(pairs, f.Name, `{"key":"`+canary(f.Name)+`"}`)
			default:
				pairs = append(pairs, f.Name, canary(f.Name))
			}
		}
		mustAppend(t, s, eventOf(t, kind, pairs...), eventOf(t, kind, other...))
		if err := errors.Join(s.Index(ctx), s.refresh(ctx), s.seal(ctx, true)); err != nil {
			t.Fatal(err)
		}
		id := noon.UnixMicro() << idBits
		before, err := s.Get(ctx, kind, id)
		if err != nil {
			t.Fatal(err)
		}
		redacted := 0
		for _, f := range kind.Fields() {
			if !Redactable(f) {
				if err := s.Redact(ctx, Actor{Name: "ines"}, kind, id, f.Name, "x"); !errors.Is(err, ErrNotFound) {
					t.Errorf("redact %s of a %s: %v, want ErrNotFound", f.Name, kind, err)
				}
				continue
			}
			gone := canary(f.Name)
			if f.Type == audit.Address {
				gone = before.Get(f.Name)
			}
			if with := filesWith(t, s, gone); len(with) == 0 {
				t.Fatalf("%s is in no file before it is redacted", gone)
			}
			if err := s.Redact(ctx, Actor{Name: "ines"}, kind, id, f.Name, "request 12"); err != nil {
				t.Fatalf("redact %s: %v", f.Name, err)
			}
			redacted++
			if with := filesWith(t, s, gone); len(with) > 0 {
				t.Errorf("after its redaction %s is still in %v", gone, with)
			}
			if err := s.Redact(ctx, Actor{Name: "ines"}, kind, id, f.Name, "again"); !errors.Is(err, ErrConflict) {
				t.Errorf("redact %s again: %v, want ErrConflict", f.Name, err)
			}
		}
		after, err := s.Get(ctx, kind, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range kind.Fields() {
			want := before.Get(f.Name)
			if Redactable(f) {
				want = ""
			}
			if got := after.Get(f.Name); got != want {
				t.Errorf("%s of the %s is now %q, want %q", f.Name, kind, got, want)
			}
		}
		list, err := s.Redactions(ctx, kind, id)
		if err != nil || len(list) != redacted || list[0].By != "ines" || list[0].Reason != "request 12" {
			t.Errorf("the redactions are %+v, %v, want %d", list, err, redacted)
		}
	}
	v, err := s.Verify(ctx, VerifyOptions{})
	if err != nil || !v.Holds() || v.Redacted != int64(len(audit.Kinds())) {
		t.Errorf("verify: %v, %d redacted, problems %v, want %d and none", err, v.Redacted, v.Problems, len(audit.Kinds()))
	}
}

// TestRedactionsGuard tries with somebody else's tools what a redaction may do,
// and to redact the trace of one.
func TestRedactionsGuard(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	mustAppend(t, s, event(t, "reason", "first"), event(t, "reason", "second"))
	var id int64
	if err := s.ro.Get(&id, "SELECT min(id) FROM audit_log"); err != nil {
		t.Fatal(err)
	}
	if err := s.Redact(ctx, Actor{Name: "ines"}, audit.KindAuditLog, id, "reason", "x"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"UPDATE audit_log SET reason = 'forged' WHERE id = %d",
		"UPDATE audit_log SET username = '' WHERE id = %d",
		"UPDATE redaction SET kept = x'00' WHERE id = %d",
		"DELETE FROM redaction WHERE id = %d",
	} {
		if _, err := s.rw.Exec(fmt.Sprintf(statement, id)); err == nil {
			t.Errorf("%s was let through", statement)
		}
	}
	trace := newest(t, s)
	if err := s.Redact(ctx, Actor{}, audit.KindAuditLog, trace, "reason", "x"); !errors.Is(err, ErrProtected) {
		t.Errorf("redact the trace of a redaction: %v, want ErrProtected", err)
	}
	if _, err := s.Delete(ctx, Actor{}, audit.KindAuditLog, []int64{trace}, "x"); !errors.Is(err, ErrProtected) {
		t.Errorf("delete the trace of a redaction: %v, want ErrProtected", err)
	}
	if _, err := s.Delete(ctx, Actor{}, audit.KindAuditLog, []int64{id}, "x"); err != nil {
		t.Errorf("delete a redacted event: %v", err)
	}
	if v, err := s.Verify(ctx, VerifyOptions{}); err != nil || !v.Holds() {
		t.Errorf("verify: %v, problems %v", err, v.Problems)
	}
}

// TestRedactionGoesWithItsEvent: of an event that is gone no salt stays either,
// since with the leaf in the ledger it would let guesses be checked.
func TestRedactionGoesWithItsEvent(t *testing.T) {
	s := openTest(t)
	ctx, ines := t.Context(), Actor{Name: "ines"}
	mustAppend(t, s, event(t, "username", "alice", "reason", "because"), event(t, "username", "bob", "reason", "because"))
	var ids []int64
	if err := s.ro.Select(&ids, "SELECT id FROM audit_log ORDER BY id"); err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	for _, id := range ids {
		if err := s.Redact(ctx, ines, audit.KindAuditLog, id, "reason", "request 12"); err != nil {
			t.Fatal(err)
		}
	}
	if s.dialect.embedded() { // elsewhere it is the rights of roles that keep it
		if _, err := s.rw.Exec("DELETE FROM redaction"); err == nil {
			t.Error("what redacted events are checked with was deleted while they are there")
		}
	}
	if _, err := s.Delete(ctx, ines, audit.KindAuditLog, ids[:1], "request 13"); err != nil {
		t.Fatal(err)
	}
	var left []int64
	if err := s.ro.Select(&left, "SELECT id FROM redaction"); err != nil || len(left) != 1 || left[0] != ids[1] {
		t.Errorf("got the redactions of %v, %v, want that of %d alone", left, err, ids[1])
	}
	if v, err := s.Verify(ctx, VerifyOptions{}); err != nil || !v.Holds() || v.Redacted != 1 || v.Gone != 1 {
		t.Errorf("got %+v, %v, want one event gone and one redacted", v, err)
	}
}

// TestRedactionByAnother forgets which events held a text when another program redacted
// it.
func TestRedactionByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	one, other := openAt(t, path), openAt(t, path)
	mustAppend(t, one, event(t, "reason", "canary"), event(t, "reason", "another"))
	for _, q := range []string{"canary", "reason:canary"} {
		if got := countAll(t, one, audit.KindAuditLog, q); got != 1 {
			t.Fatalf("%s finds %d events, want 1", q, got)
		}
	}
	sel := mustSelect(t, other, audit.KindAuditLog, "canary")
	list, err := sel.List(t.Context(), Page{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("the other program finds %v, %v", list, err)
	}
	if err := other.Redact(t.Context(), Actor{Name: "ines"}, audit.KindAuditLog, list.Items[0].ID, "reason", "asked for"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"canary", "reason:canary"} {
		if got := countAll(t, one, audit.KindAuditLog, q); got != 0 {
			t.Errorf("%s finds %d events after it was redacted", q, got)
		}
	}
}
