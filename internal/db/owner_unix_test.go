//go:build unix

package db

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// TestMakeKey makes the first key of a file, once, for its owner alone; one that is
// gone is not made again unasked.
func TestMakeKey(t *testing.T) {
	s := openTest(t)
	const owner = 4711
	if os.Geteuid() == 0 {
		if err := os.Chown(s.Path(), owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if made, err := s.MakeKey(t.Context()); !made || err != nil {
		t.Fatalf("got %v, %v of a file without a key, want it made", made, err)
	}
	info, err := os.Stat(KeyPath(s.Path()))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the key has mode %o, want 600", got)
	}
	if got := info.Sys().(*syscall.Stat_t).Uid; os.Geteuid() == 0 && got != owner {
		t.Errorf("the key that root made belongs to %d, want the owner of the database", got)
	}
	if made, err := s.MakeKey(t.Context()); made || err != nil {
		t.Errorf("got %v, %v of a file with a key, want it left", made, err)
	}
	if _, err := s.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Remove(KeyPath(s.Path())); err != nil {
		t.Fatal(err)
	}
	if made, err := s.MakeKey(t.Context()); made || !errors.Is(err, ErrNoKeys) {
		t.Errorf("got %v, %v where the key is gone, want ErrNoKeys", made, err)
	}
}
