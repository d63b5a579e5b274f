package db

import (
	"path/filepath"
	"testing"
	"time"
)

// TestContendedByAnother knows of another program that appends to the same file when it
// appends itself, and not of what it does alone.
func TestContendedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	one, other := openAt(t, path), openAt(t, path)
	for range 3 {
		mustAppend(t, one, event(t))
	}
	if one.Contended() || one.contention.wait(time.Second) != 0 {
		t.Error("a program that appends alone meets others, or gives way to nobody")
	}
	mustAppend(t, other, event(t))
	mustAppend(t, one, event(t))
	if !one.Contended() {
		t.Error("another program appended, and it was not noticed")
	}
	few := one.contention.wait(time.Second)
	for range wayAt {
		mustAppend(t, other, event(t))
	}
	mustAppend(t, one, event(t))
	if many := one.contention.wait(time.Second); few != time.Second/wayLeast || many != wayMost*time.Second {
		t.Errorf("it waits %s for one event of another, and %s for many; want a part, and %d times what it took", few, many, wayMost)
	}
	one.contention.seen.Store(nil)
	mustAppend(t, one, event(t))
	if one.Contended() || one.contention.wait(time.Second) != 0 {
		t.Error("it takes what it did itself for another's")
	}
}
