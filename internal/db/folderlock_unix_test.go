//go:build unix

package db

import (
	"errors"
	"syscall"
	"testing"
)

// TestFolderThatCannotBeLocked: only a lock that another program has is nobody's trouble.
func TestFolderThatCannotBeLocked(t *testing.T) {
	for _, c := range []struct{ got, want error }{{syscall.EWOULDBLOCK, nil}, {syscall.ENOLCK, syscall.ENOLCK}, {syscall.EOPNOTSUPP, syscall.EOPNOTSUPP}} {
		lock, err := lockFolderBy(func(int, int) error { return c.got }, t.TempDir())
		if lock != nil || !errors.Is(err, c.want) {
			t.Errorf("where the lock fails with %v, got %v, %v; want no lock and %v", c.got, lock, err, c.want)
		}
	}
	folder := t.TempDir()
	first, err := lockFolder(folder)
	if err != nil || first == nil {
		t.Fatalf("got %v, %v, want the lock", first, err)
	}
	if second, err := lockFolder(folder); second != nil || err != nil {
		t.Errorf("got %v, %v while another one has the lock, want none", second, err)
	}
	first.release()
}
