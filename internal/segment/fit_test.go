package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var oneText = Layout{Texts: []Text{{"user", false}}}

// distinct makes rows of which each has a word of its own.
func distinct(n, first int) *Segment {
	b := NewBuilder(oneText)
	for i := first; i < first+n; i++ {
		b.Add(int64(i+1)<<idBits, int64(i+1), int64(i+1))
		b.Text(0, fmt.Appendf(nil, "w%05d", i))
	}
	return b.Build()
}

// saysWords compares every row with the words that distinct gave, but for changed
// ones, and every global code with its word.
func saysWords(t *testing.T, s *Segment, names namer, changed map[int]string) {
	t.Helper()
	c := s.Column(0)
	if c.Words() > MaxRows {
		t.Fatalf("there are %d words, which have no codes", c.Words())
	}
	for row := range s.Len() {
		want, ok := changed[row]
		if !ok {
			want = fmt.Sprintf("w%05d", row)
		}
		if got := c.Text(row); got != want {
			t.Fatalf("row %d says %q, want %q", row, got, want)
		}
	}
	if names == nil {
		return
	}
	for code, global := range c.Globals() {
		if word := c.Word(code); global != Unassigned && names[word] != global {
			t.Fatalf("%q has the global code %d, want %d", word, global, names[word])
		}
	}
	base, n := c.Own()
	if int(base)+n != len(names) {
		t.Fatalf("%d global codes from %d on were given out here, want %d in all", n, base, len(names))
	}
	lost := 0
	for g := base; g < base+uint32(n); g++ {
		if word, ok := c.Owned(g); !ok {
			lost++
		} else if names[word] != g {
			t.Fatalf("the global code %d is owned as %q, want that of %d", g, word, names[word])
		}
	}
	if lost > len(changed) {
		t.Fatalf("%d global codes are nobody's, after %d changes", lost, len(changed))
	}
}

// TestMoreWordsThanRows changes rows of a full segment in which all are different:
// with the words from before there are more than codes.
func TestMoreWordsThanRows(t *testing.T) {
	for _, assigned := range []bool{false, true} {
		s, names := distinct(MaxRows, 0), namer(nil)
		if assigned {
			names = namer{}
			s = names.assign(s, 0)
		}
		saysWords(t, s, names, nil)
		changed := map[int]string{}
		for i, text := range []string{"", "zz", ""} { // the first word, the last one, one that is there
			row := []int{40_000, 0, MaxRows - 1}[i]
			changed[row] = text
			s = s.With([]Change{{Row: row, Column: 0, Text: text, Erase: true}})
			saysWords(t, s, names, changed)
		}
	}
}

// TestMergeOfMoreWordsThanRows merges two halves that keep words of before.
func TestMergeOfMoreWordsThanRows(t *testing.T) {
	for _, assigned := range []bool{false, true} {
		a, b, names := distinct(MaxRows/2, 0), distinct(MaxRows/2, MaxRows/2), namer(nil)
		if assigned {
			names = namer{}
			a = names.assign(a, 0)
			b = names.assign(b, 0)
		}
		a = a.With([]Change{{Row: 7, Column: 0, Text: "zz7"}})
		b = b.With([]Change{{Row: 8, Column: 0, Text: "zz8"}, {Row: 9, Column: 0, Text: ""}})
		saysWords(t, Merge(a, b), names, map[int]string{7: "zz7", MaxRows/2 + 8: "zz8", MaxRows/2 + 9: ""})
	}
}

// TestWriteLeavesNoFileThatItCannotOpen: what is not in use must not be found by
// the next start.
func TestWriteLeavesNoFileThatItCannotOpen(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	if _, err := distinct(10, 0).Write(name, Layout{Texts: oneText.Texts, Numbers: 1}, nil); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v, want %v", err, ErrDamaged)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v for the file, want it to be gone", err)
	}
}
