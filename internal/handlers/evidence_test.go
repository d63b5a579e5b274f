package handlers

import (
	"bytes"
	"context"
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
