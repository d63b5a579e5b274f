package db

import (
	"path/filepath"
	"testing"
)

// TestCrowdedByAnother knows of another program that appends to the same file when it
// appends itself, and not of what it does alone.
func TestCrowdedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	one, other := openAt(t, path), openAt(t, path)
	for range 3 {
		mustAppend(t, one, event(t))
	}
	if one.Crowded() {
		t.Error("a program that appends alone is crowded")
	}
	mustAppend(t, other, event(t))
	mustAppend(t, one, event(t))
	if !one.Crowded() {
		t.Error("another program appended, and it was not noticed")
	}
	one.crowd.seen.Store(nil)
	mustAppend(t, one, event(t))
	if one.Crowded() {
		t.Error("it is crowded by what it did itself")
	}
}
