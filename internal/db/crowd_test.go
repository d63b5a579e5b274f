package db

import (
	"path/filepath"
	"testing"
	"time"
)

// TestCrowdedByAnother knows of another program that appends to the same file when it
// appends itself, and not of what it does alone.
func TestCrowdedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	one, other := openAt(t, path), openAt(t, path)
	for range 3 {
		mustAppend(t, one, event(t))
	}
	if one.Crowded() || one.crowd.turn(time.Second) != 0 {
		t.Error("a program that appends alone is crowded, or gives way to nobody")
	}
	mustAppend(t, other, event(t))
	mustAppend(t, one, event(t))
	if !one.Crowded() {
		t.Error("another program appended, and it was not noticed")
	}
	few := one.crowd.turn(time.Second)
	for range turnAt {
		mustAppend(t, other, event(t))
	}
	mustAppend(t, one, event(t))
	if many := one.crowd.turn(time.Second); few != time.Second/turnLeast || many != turnMost*time.Second {
		t.Errorf("it waits %s for one event of another, and %s for many; want a part, and %d times what it took", few, many, turnMost)
	}
	one.crowd.seen.Store(nil)
	mustAppend(t, one, event(t))
	if one.Crowded() || one.crowd.turn(time.Second) != 0 {
		t.Error("it is crowded by what it did itself")
	}
}
