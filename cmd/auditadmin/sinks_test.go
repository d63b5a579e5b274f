package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// fakeWitness is a witness as C2SP describes it: it signs a checkpoint that
// proves to go on from the last one it signed, and no other.
type fakeWitness struct {
	log    func() []string // the keys that it knows the log by
	signer note.Signer
	last   evidence.Checkpoint
	asked  int
}

func (f *fakeWitness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked++
	body, _ := io.ReadAll(r.Body)
	head, signed, _ := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	var old int64
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil {
		http.Error(w, "no old size", http.StatusBadRequest)
		return
	}
	c, names, err := evidence.OpenCheckpoint(signed, f.log())
	if err != nil || len(names) == 0 {
		http.Error(w, "not signed", http.StatusForbidden)
		return
	}
	if old != f.last.Size {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", f.last.Size)
		return
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		b, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(b) != tlog.HashSize {
			http.Error(w, "bad proof", http.StatusBadRequest)
			return
		}
		proof = append(proof, tlog.Hash(b))
	}
	if old > 0 && old < c.Size {
		if err := tlog.CheckTree(proof, c.Size, c.Root, old, f.last.Root); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
	}
	f.last = *c
	n, err := note.Sign(&note.Note{Text: c.Text()}, f.signer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, signature, _ := strings.Cut(string(n), "\n\n")
	io.WriteString(w, signature)
}

func TestCheckpointsLeaveTheMachine(t *testing.T) {
	folder := t.TempDir()
	store, err := db.Open(t.Context(), filepath.Join(folder, "audit.db"), db.Options{Schema: auditadmin.Schema})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	private, public, err := note.GenerateKey(rand.Reader, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeWitness{signer: signer, log: func() []string { keys, _ := store.PublicKeys(); return keys }}
	server := httptest.NewServer(fake)
	defer server.Close()
	var stdout bytes.Buffer
	file := filepath.Join(folder, "checkpoints.txt")
	flag := sinkFlag{CheckpointTo: []string{"file:" + file, "stdout", server.URL + "/add-checkpoint"}}
	var sinks []db.Sink
	// Each round begins with sinks that know nothing, like a server started again.
	round := func(events int) {
		t.Helper()
		for i := range events {
			e := audit.NewEvent(audit.KindAuditLog)
			e.Set("action", "UPDATE")
			e.Set("object_id", fmt.Sprint(i))
			e.SetTime(store.Now())
			if err := e.Normalize(store.Now()); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Append(t.Context(), []*audit.Event{e}); err != nil {
				t.Fatal(err)
			}
		}
		if sinks, _, err = flag.sinks(&process{stdout: &stdout}); err != nil {
			t.Fatal(err)
		}
		sinks[2].(*witness).prove = store.Consistency
		ended, end := context.WithCancel(t.Context())
		end() // so that it makes its last checkpoint at once
		failures := 0
		store.KeepEvidence(ended, db.CheckpointEvery, sinks, func(error) { failures++ })
		if failures > 1 { // the first look, whose context had ended
			t.Errorf("got %d failures, want none with a context that goes on", failures)
		}
	}
	round(3)
	round(300)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	notes := evidence.SplitNotes(string(text))
	if len(notes) != 2 || stdout.String() != string(text) {
		t.Fatalf("got %d checkpoints in the file and %q on stdout, want the same 2", len(notes), stdout.String())
	}
	last, err := store.LastCheckpoint(t.Context())
	if err != nil || last.Size != 303 || fake.last.Root != last.Root {
		t.Errorf("got %+v, %v, want a checkpoint of 303 entries that the witness signed", last, err)
	}
	if fake.asked != 3 {
		t.Errorf("the witness was asked %d times, want 3: once more to learn what it signed last", fake.asked)
	}
	if _, signed, err := evidence.OpenCheckpoint(last.Note, []string{public}); err != nil || len(signed) != 1 {
		t.Errorf("got %v, %v, want the signature of the witness kept with the checkpoint", signed, err)
	}
	found, err := lastCheckpoint(file)
	if err != nil || found == nil || found.Size != 303 {
		t.Errorf("got %+v, %v as the last one in the file, want that of 303 entries", found, err)
	}
	if found, err := lastCheckpoint(filepath.Join(folder, "none")); err != nil || found != nil {
		t.Errorf("got %v, %v without a file, want nothing", found, err)
	}

	// An older copy of the database asks in vain.
	ahead := *last
	ahead.Size -= 100
	if _, err := sinks[2].Publish(t.Context(), &ahead); err == nil {
		t.Error("the witness signed an older checkpoint")
	}
}
