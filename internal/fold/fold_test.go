package fold

import (
	"fmt"
	"testing"
	"time"
)

func TestFolder(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	f := New[string, int](time.Minute, 3)
	type step struct {
		second int
		key    string
		want   string // what ended before it
	}
	for i, s := range []step{
		{0, "a", ""},
		{1, "a", ""},
		{2, "b", ""},
		{50, "a", ""},
		{40, "a", ""}, // out of order
		{60, "c", "a×4@0–50 "},
		{63, "a", "b×1@2–2 "},
		{64, "d", ""},
		{65, "e", ""},
		{66, "f", "c×1@60–60 "}, // too many
		{10, "f", "a×1@63–63 "}, // the past ends nothing; what was too many goes
		{200, "a", "d×1@64–64 e×1@65–65 f×2@66–66 "},
	} {
		at := start.Add(time.Duration(s.second) * time.Second)
		got := ""
		for _, g := range f.Ended(at) {
			got += fmt.Sprintf("%s×%d@%v–%v ", g.Key, g.Count, g.First.Sub(start).Seconds(), g.Last.Sub(start).Seconds())
		}
		if got != s.want {
			t.Errorf("step %d: got %q ended, want %q", i, got, s.want)
		}
		f.Add(s.key, at, i)
	}
	if all := f.All(); len(all) != 1 || all[0].Value != 11 || f.Len() != 0 {
		t.Errorf("the rest: got %d groups and %d open, want 1 and 0", len(all), f.Len())
	}
}

func TestFolderIsBounded(t *testing.T) {
	f := New[int, int](time.Hour, 100)
	ended := 0
	for i := range 100_000 {
		at := time.Unix(int64(i/1000), 0)
		ended += len(f.Ended(at))
		f.Add(i, at, i)
		if f.Len() > 101 || cap(f.queue) > 1000 {
			t.Fatalf("after %d: %d open, queue of %d, want about 100", i, f.Len(), cap(f.queue))
		}
	}
	if ended += len(f.All()); ended != 100_000 {
		t.Errorf("got %d groups in all, want 100000: none is lost", ended)
	}
}
