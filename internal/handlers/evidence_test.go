package handlers

import (
	"bytes"
	"context"
	"database/sql"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/auditadmin/auditadmin/internal/format"
)

// TestEvidencePages looks for an event's place in the ledger, takes its proof and
// a bundle away, and checks both with nothing else.
func TestEvidencePages(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	path := "/audit-logs/" + ids[audit.KindAuditLog]
	expect(t, "a proof without a key", s.get("viewer", path+"/proof").Code, http.StatusServiceUnavailable)
	expect(t, "evidence without a key", s.get("superuser", "/audit-logs/evidence.zip").Code, http.StatusServiceUnavailable)
	if _, err := s.store.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := s.page("viewer", path)
	for _, want := range []string{"Evidence", "entry #", path + "/proof", "not verified yet"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for kind, id := range ids {
		w := s.get("viewer", "/"+kind.Path()+"/"+id+"/proof")
		expect(t, "the proof of a "+kind.Singular(), w.Code, http.StatusOK)
		proof, err := evidence.ParseProof(w.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, signed, err := proof.Check(proof.PublicKeys); err != nil || len(signed) != 1 || proof.ID != id {
			t.Errorf("the proof of %s %s: %v, signed by %v", kind, id, err, signed)
		}
	}
	expect(t, "the proof of nothing", s.get("viewer", "/audit-logs/12/proof").Code, http.StatusNotFound)
	expect(t, "evidence as a viewer", s.get("viewer", "/audit-logs/evidence.zip").Code, http.StatusForbidden)
	if strings.Contains(s.page("viewer", "/audit-logs"), "evidence.zip") || !strings.Contains(s.page("superuser", "/audit-logs"), "evidence.zip") {
		t.Error("the evidence is offered to whom it should not be, or not to whom it should")
	}
	w := s.get("superuser", "/audit-logs/evidence.zip?q=user:alice")
	expect(t, "evidence", w.Code, http.StatusOK)
	c, err := format.CheckBundle(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()), nil)
	if err != nil || c.Events != 2 || c.By != "sam" {
		t.Errorf("the bundle: %+v, %v, want 2 events by sam", c, err)
	}
	var exports listed
	s.data("viewer", "/data-exports.json?q=format:evidence", &exports)
	if len(exports.Items) != 1 || exports.Items[0]["record_count"] != float64(2) {
		t.Errorf("recorded are %v, want one export of 2", exports.Items)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var keeper sync.WaitGroup
	keeper.Go(func() { s.store.KeepEvidence(ctx, time.Hour, nil, func(err error) { t.Error(err) }) })
	for deadline := time.Now().Add(10 * time.Second); s.store.VerifiedUpTo(ctx).Verdict == nil && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	keeper.Wait()
	if page := s.page("viewer", path); !strings.Contains(page, "Verified up to entry #") && !strings.Contains(page, "under a signed checkpoint") {
		t.Error("the page does not say how far the evidence was verified")
	}
	if page := s.page("superuser", "/health"); !strings.Contains(page, "up to entry #") {
		t.Error("the health does not say how far the evidence was verified")
	}
}

// TestAnAlteredEventIsToldAtOnce alters events behind the program's back, after
// everything was verified: their pages say so at once, and those of others do not.
//
// ASVS:V16.4.2
func TestAnAlteredEventIsToldAtOnce(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	if _, err := s.store.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite3", s.store.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, table := range []string{"audit_log", "login_attempt", "data_export", "system_event"} {
		if _, err := raw.Exec("DROP TRIGGER " + table + "_fixed"); err != nil {
			t.Fatal(err)
		}
	}
	const bad = "does not hold"
	for _, c := range []struct {
		kind              audit.Kind
		alter, back, want string
	}{
		{audit.KindAuditLog, "UPDATE audit_log SET username = username || 'x' WHERE id = ?", "UPDATE audit_log SET username = substr(username, 1, length(username) - 1) WHERE id = ?", "username: "},
		{audit.KindAuditLog, "UPDATE audit_log SET seq = seq + 100000 WHERE id = ?", "UPDATE audit_log SET seq = seq - 100000 WHERE id = ?", "seq: "},
		{audit.KindAuditLog, "UPDATE audit_log SET source = source || 'x' WHERE id = ?", "UPDATE audit_log SET source = substr(source, 1, length(source) - 1) WHERE id = ?", "its source, event_id or seed"},
		{audit.KindLoginAttempt, "UPDATE login_attempt SET country = country || 'XX' WHERE id = ?", "UPDATE login_attempt SET country = substr(country, 1, length(country) - 2) WHERE id = ?", "country: "},
		{audit.KindDataExport, "UPDATE data_export SET record_count = record_count + 1 WHERE id = ?", "UPDATE data_export SET record_count = record_count - 1 WHERE id = ?", "record_count: "},
		{audit.KindSystemEvent, "UPDATE system_event SET resolved_by = 'nobody' WHERE id = ?", "UPDATE system_event SET resolved_by = '' WHERE id = ?", "its state is not the one that the ledger decided last"},
	} {
		path := "/" + c.kind.Path() + "/" + ids[c.kind]
		if page := s.page("viewer", path); strings.Contains(page, bad) || !strings.Contains(page, path+"/proof") {
			t.Errorf("the page of %s, which nobody altered, says that it does not hold, or has no proof", path)
		}
		if _, err := raw.Exec(c.alter, ids[c.kind]); err != nil {
			t.Fatal(err)
		}
		page := s.page("viewer", path)
		if !strings.Contains(page, bad) || !strings.Contains(page, c.want) || strings.Contains(page, path+"/proof") {
			t.Errorf("after %q the page does not say that it does not hold, with %q, or still offers a proof", c.alter, c.want)
		}
		if _, err := raw.Exec(c.back, ids[c.kind]); err != nil {
			t.Fatal(err)
		}
	}
}
