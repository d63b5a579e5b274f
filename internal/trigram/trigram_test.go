package trigram

import (
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"
)

// letters are those that random texts are made of.
var letters = []rune("aaab0 .-é日\x1fż{")

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteRune(letters[r.IntN(len(letters))])
	}
	return b.String()
}

func lotOf(texts []string) Lot {
	var b Builder
	for _, t := range texts {
		b.Add([]byte(t))
	}
	return Lot{Rows: len(texts), Parts: b.Build(2)}
}

// candidates are the rows of a lot with all trigrams of a word.
func candidates(l Lot, word string) []uint16 {
	runes := []rune(word)
	var all []uint16
	for i := 0; i+3 <= len(runes); i++ {
		k := KeyOf(string(runes[i : i+3]))
		at := sort.Search(len(l.Parts), func(j int) bool { return l.Parts[j].First > k }) - 1
		var rows []uint16
		if at >= 0 {
			rows = l.Parts[at].Find(k)
		}
		if i == 0 {
			all = rows
			continue
		}
		all = slices.DeleteFunc(all, func(row uint16) bool { return !slices.Contains(rows, row) })
	}
	return all
}

// check compares what a lot finds with the texts themselves: every text that
// holds a word is found, and one that is gone never.
func check(t *testing.T, r *rand.Rand, l Lot, texts []string, gone map[int]bool) {
	t.Helper()
	for range 200 {
		word := strings.ReplaceAll(randomText(r, 3+r.IntN(3)), "\x1f", "a")
		found := candidates(l, word)
		if !slices.IsSorted(found) {
			t.Fatalf("%q is found in rows %v, which do not rise", word, found)
		}
		for row, text := range texts {
			has := slices.Contains(found, uint16(row))
			if strings.Contains(text, word) && !gone[row] && !has {
				t.Fatalf("%q is not found in row %d, %q", word, row, text)
			}
			if gone[row] && has {
				t.Fatalf("%q is found in row %d, which is gone", word, row)
			}
		}
	}
}

func TestLots(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var lots []Lot
	var all []string
	for _, n := range []int{1, 700, 8, 3000} {
		var texts []string
		for range n {
			texts = append(texts, randomText(r, r.IntN(60)))
		}
		l := lotOf(texts)
		check(t, r, l, texts, nil)
		lots, all = append(lots, l), append(all, texts...)
	}
	merged := Lot{Rows: len(all), Parts: Merge(2, lots...)}
	check(t, r, merged, all, nil)
	if whole := lotOf(all); !slices.EqualFunc(whole.Parts, merged.Parts, func(a, b Part) bool { return a.First == b.First && string(a.Data) == string(b.Data) }) {
		t.Error("lots merged are not the lot of all their texts")
	}
	gone := map[int]bool{0: true, 5: true, 3708: true}
	merged.Gone = func(row int) bool { return gone[row] }
	without := Lot{Rows: len(all), Parts: Merge(2, merged)}
	check(t, r, without, all, gone)
	for row := range gone {
		all[row] = ""
	}
	if left := lotOf(all); !slices.EqualFunc(left.Parts, without.Parts, func(a, b Part) bool { return string(a.Data) == string(b.Data) }) {
		t.Error("a lot that texts were taken out of is not the lot of the others")
	}
	all[5] = "a second text"
	patch := make([]string, len(all))
	patch[5] = all[5]
	check(t, r, Lot{Rows: len(all), Parts: Replace(2, merged, lotOf(patch))}, all, map[int]bool{0: true, 3708: true})
}

func TestParts(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var texts []string
	for range 5000 {
		texts = append(texts, randomText(r, 80))
	}
	for _, p := range lotOf(texts).Parts {
		if one := p.reader(); len(p.Data) > partBytes+pageBytes && one.next() && one.next() {
			t.Errorf("a part of several keys has %d bytes, want at most %d", len(p.Data), partBytes+pageBytes)
		}
	}
	var b Builder
	for range MaxRows {
		b.Add(nil)
	}
	if b.Add([]byte("abc")) || b.Len() != MaxRows {
		t.Errorf("a full lot took one more text")
	}
	if parts := b.Build(2); len(parts) != 0 || b.Len() != 0 {
		t.Errorf("got %d parts of texts without a trigram, want none", len(parts))
	}
}

// FuzzFind reads parts that anything may have happened to.
func FuzzFind(f *testing.F) {
	for _, p := range lotOf([]string{"order 42", "order 43", "żółć"}).Parts {
		f.Add(uint32(p.First), p.Data, "ord")
	}
	f.Add(uint32(0), []byte{0, 3, 255, 255}, "abc")
	f.Add(uint32(0), []byte{packed, 0, 31, 2, 255, 255}, "abc")
	f.Fuzz(func(t *testing.T, first uint32, data []byte, word string) {
		p := Part{Key(first), data}
		p.Find(KeyOf(word))
		Merge(2, Lot{Rows: 8, Parts: []Part{p}}, Lot{Rows: 8, Parts: []Part{p}})
	})
}

// FuzzBuild cuts texts that are no UTF-8 too.
func FuzzBuild(f *testing.F) {
	f.Add("order 42", "der")
	f.Add("a\xff\x1fb", "\xff\x1fb")
	f.Fuzz(func(t *testing.T, text, word string) {
		l := lotOf([]string{"", text})
		if strings.Contains(text, word) && utf8.ValidString(text) && utf8.RuneCountInString(word) >= 3 && !strings.ContainsRune(word, Separator) && !strings.ContainsRune(text, 0) {
			if !slices.Contains(candidates(l, word), 1) {
				t.Errorf("%q is not found in %q", word, text)
			}
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var texts [][]byte
	for range 4096 {
		var t []byte
		for range 60 {
			for range 3 + r.IntN(8) {
				t = append(t, byte('a'+min(r.IntN(26), r.IntN(26))))
			}
			t = append(t, Separator)
		}
		texts = append(texts, t)
	}
	var builder Builder
	for b.Loop() {
		for _, t := range texts {
			builder.Add(t)
		}
		builder.Build(2)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(texts)), "ns/text")
}
