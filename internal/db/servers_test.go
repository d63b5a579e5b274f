package db

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestServersOfOneDatabase: a second server signs nothing with a key of its own and
// begins no incarnation; with the key of the first one it signs as that does.
func TestServersOfOneDatabase(t *testing.T) {
	server := pgtest.New(t)
	at := server.Database(t, "")
	open := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), at, Options{Schema: auditadmin.Schema, StateDir: t.TempDir(), Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	a, b := open(), open()
	if _, err := a.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, a, event(t))
	first, err := a.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrNoKeys) {
			t.Errorf("%s: got %v, want ErrNoKeys", what, err)
		}
		if h, err := b.Health(t.Context()); err != nil || h.Unsigned == nil {
			t.Errorf("%s: the health says nothing of it, %v", what, err)
		}
	}
	_, err = b.BeginEvidence(t.Context())
	refused("without a key file", err)
	if _, err := os.Stat(KeyPath(b.Beside())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key file was made that is good for nothing: %v", err)
	}
	copyKey := func(from, to *Store) {
		t.Helper()
		text, err := os.ReadFile(KeyPath(from.Beside()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(KeyPath(to.Beside()), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copyKey(a, b)
	if fresh, err := b.BeginEvidence(t.Context()); err != nil || fresh != nil {
		t.Fatalf("with the key: got %+v, %v", fresh, err)
	}
	mustAppend(t, b, event(t, "object_id", "2"))
	second, err := b.Checkpoint(t.Context())
	if err != nil || second.Incarnation != first.Incarnation {
		t.Fatalf("got a checkpoint of %q, %v, want one of %q", second.Incarnation, err, first.Incarnation)
	}
	if h, err := b.Health(t.Context()); err != nil || h.Unsigned != nil {
		t.Errorf("the health says %v, %v", h.Unsigned, err)
	}

	// The first server gets another key: the second one stops until it has that.
	if _, err := a.RotateKey(t.Context(), ines); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, b, event(t, "object_id", "3"))
	_, err = b.Checkpoint(t.Context())
	refused("after the key was rotated", err)
	_, err = b.RotateKey(t.Context(), ines)
	refused("rotate with the old key", err)
	copyKey(a, b)
	if _, err := b.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}

	// The key is lost everywhere.
	for _, s := range []*Store{a, b} {
		if err := os.Remove(KeyPath(s.Beside())); err != nil {
			t.Fatal(err)
		}
	}
	_, err = b.BeginEvidence(t.Context())
	refused("after the key was lost", err)
	fresh, err := b.ReplaceKey(t.Context(), ines)
	if err != nil || fresh == nil || fresh.Name == first.Incarnation {
		t.Fatalf("got %+v, %v, want another incarnation", fresh, err)
	}
	if _, err := b.ReplaceKey(t.Context(), ines); !errors.Is(err, fs.ErrExist) {
		t.Errorf("replace a key that is there: got %v", err)
	}
	if _, err := b.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}
	keys, err := b.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	if v, err := b.Verify(t.Context(), VerifyOptions{PublicKeys: keys}); err != nil || len(v.Restored) != 1 {
		t.Errorf("got %+v, %v", v, err)
	}
}

// TestReplicaOfAnother is refused: pages would show what was never recorded here.
func TestReplicaOfAnother(t *testing.T) {
	server := pgtest.New(t)
	one, other := server.Database(t, ""), server.Database(t, "")
	for _, at := range []string{one, other} {
		s, err := Open(t.Context(), at, Options{Schema: auditadmin.Schema, StateDir: t.TempDir(), Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, event(t))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Schema: auditadmin.Schema, StateDir: t.TempDir(), ReadFrom: other}
	if s, err := Open(t.Context(), one, o); err == nil {
		s.Close()
		t.Error("pages are read from another database")
	}
	file := filepath.Join(t.TempDir(), "audit.db")
	if s, err := Open(t.Context(), file, o); err == nil {
		s.Close()
		t.Error("a file has a replica")
	}
	o.ReadFrom = one
	s, err := Open(t.Context(), one, o)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
