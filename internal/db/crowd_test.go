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
	if one.Crowded() || one.GiveWay(time.Second) != 0 {
		t.Error("a program that appends alone is crowded, or gives way to nobody")
	}
	mustAppend(t, other, event(t))
	mustAppend(t, one, event(t))
	if !one.Crowded() {
		t.Error("another program appended, and it was not noticed")
	}
	few := one.GiveWay(time.Second)
	for range giveWayAt {
		mustAppend(t, other, event(t))
	}
	mustAppend(t, one, event(t))
	if many := one.GiveWay(time.Second); few <= 0 || few >= many || many != giveWayMost*time.Second {
		t.Errorf("it waits %s for one event of another, and %s for many; want a little, and %d times what it took", few, many, giveWayMost)
	}
	one.crowd.seen.Store(nil)
	mustAppend(t, one, event(t))
	if one.Crowded() || one.GiveWay(time.Second) != 0 {
		t.Error("it is crowded by what it did itself")
	}
}
