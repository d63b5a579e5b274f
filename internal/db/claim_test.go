package db

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
)

// TestServerTakesOverTheColumns from a command that was there before it, and keeps them
// from another server.
func TestServerTakesOverTheColumns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	command := openAt(t, path)
	appendSome(t, command, 0, 30)
	if err := command.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !command.seals() {
		t.Fatal("a command alone does not write the files of columns")
	}
	serve := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), address(t, path), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: func() time.Time { return noon }, Served: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	server := serve()
	if command.seals() || !server.seals() {
		t.Fatalf("the command writes files: %t, the server: %t; want the server", command.seals(), server.seals())
	}
	if second := serve(); second.seals() || !server.seals() {
		t.Errorf("a second server took the files from the first")
	}
	server.sealed.work.Lock()
	server.sealed.least = 10
	server.sealed.work.Unlock()
	appendSome(t, command, 30, 30)
	if err := server.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.seal(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if p := server.columns.kinds[audit.KindAuditLog].view.Load().segments[0]; p.file == "" {
		t.Error("the server wrote no file")
	}
	for _, s := range []*Store{command, server} {
		if n := countAll(t, s, audit.KindAuditLog, "user:alice"); n != 60 {
			t.Errorf("got %d events, want 60", n)
		}
	}
}

// seals reports whether the store writes the files of columns.
func (s *Store) seals() bool {
	s.sealed.work.Lock()
	defer s.sealed.work.Unlock()
	return s.sealed.lock != nil
}
