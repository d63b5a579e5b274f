package handlers

import (
	"strconv"
	"testing"
	"time"
)

// TestSlowest compares the ring with a list of everything, over two hours of
// answers in the order of a generator.
func TestSlowest(t *testing.T) {
	var ring slowPages
	var all []pageTime
	state := uint32(7)
	next := func(n uint32) uint32 { state = state*1664525 + 1013904223; return state >> 8 % n }
	for i := range 7200 {
		page := pageTime{At: noon.Add(time.Duration(i) * time.Second), Took: time.Duration(next(1000)) * time.Microsecond, Path: strconv.Itoa(i)}
		ring.add(page)
		all = append(all, page)
	}
	now := noon.Add(2 * time.Hour)
	got := ring.slowest(now)
	if len(got) != slowestKept {
		t.Fatalf("got %d pages, want %d", len(got), slowestKept)
	}
	for i, page := range got {
		slower := 0
		for _, other := range all {
			if now.Sub(other.At) <= time.Hour && other.Took > page.Took {
				slower++
			}
		}
		if slower > i {
			t.Errorf("place %d is %v, and %d others were slower, want at most %d", i, page.Took, slower, i)
		}
	}
	if left := ring.slowest(now.Add(61 * time.Minute)); len(left) != 0 {
		t.Errorf("got %d pages an hour later, want none", len(left))
	}
}
