package segment

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/internal/query"
)

var layout = Layout{Texts: []Text{{"user", false}, {"action", false}, {"flag", false}, {"address", true}, {"request", false}, {"always", false}}, Numbers: 1}

// fact is a row as a test keeps it.
type fact struct {
	id, seq, micros int64
	texts           []string
	num             int64
	hasNum, dead    bool
}

// facts makes rows whose ids are distinct, in the order of seq from first on.
func facts(r *rand.Rand, n int, first int64, late bool) []*fact {
	var all []*fact
	seq, micros := first, first*1000
	for i := range n {
		seq += 1 + r.Int64N(3)
		micros += 1 + r.Int64N(5000)
		f := &fact{id: (micros+r.Int64N(2))<<idBits | int64(i%3), seq: seq, num: r.Int64() >> r.IntN(64), hasNum: r.IntN(3) > 0}
		if late {
			f.id = r.Int64N(1<<50)<<20 | int64(seq)
		}
		if f.micros = f.id >> idBits; r.IntN(50) == 0 {
			f.micros -= 1 + r.Int64N(3)
		}
		f.texts = []string{
			[]string{"", "alice", "Alice", "ALICE", "bob", "Ünal", "ünal", "ünal"}[r.IntN(8)] + strings.Repeat("x", r.IntN(2)),
			[]string{"CREATE", "UPDATE", "DELETE"}[r.IntN(3)],
			[]string{"0", "1"}[r.IntN(2)],
			[]string{"", "10.0.0.1", "10.0.0.200", "10.1.2.3", "9.9.9.9", "2001:db8::1", "2001:db8:ff::2"}[r.IntN(7)],
			fmt.Sprintf("req-%d", r.IntN(n*2)),
			"one",
		}
		if !f.hasNum {
			f.num = 0
		}
		all = append(all, f)
	}
	return all
}

func build(all []*fact) *Segment {
	b := NewBuilder(layout)
	for _, f := range all {
		b.Add(f.id, f.seq, f.micros)
		for i, t := range f.texts {
			b.Text(i, []byte(t))
		}
		b.Number(0, f.num, f.hasNum)
	}
	return b.Build()
}

func means(v query.Value, text string, address bool) bool {
	folded := query.Fold(text)
	switch {
	case v.Exact:
		return text == v.Text
	case address && v.Net.IsValid():
		a, err := netip.ParseAddr(text)
		return err == nil && v.Net.Contains(a)
	case v.Prefix:
		return text != "" && strings.HasPrefix(folded, v.Folded)
	}
	return folded == v.Folded
}

// agree compares everything a segment says with its rows.
func agree(t *testing.T, s *Segment, all []*fact, r *rand.Rand) {
	t.Helper()
	rows := slices.Clone(all)
	sort.Slice(rows, func(i, j int) bool { return rows[i].id < rows[j].id })
	if s.Len() != len(rows) {
		t.Fatalf("got %d rows, want %d", s.Len(), len(rows))
	}
	marks := func(what string, got Set, want func(f *fact) bool) {
		t.Helper()
		n := 0
		for row, f := range rows {
			if want(f) {
				n++
			}
			if got.Has(row) != want(f) {
				t.Fatalf("%s: row %d (%v) is marked: %v", what, row, *f, got.Has(row))
			}
		}
		if got.Count() != n || got.Empty() && n > 0 {
			t.Fatalf("%s: got %d marked, want %d", what, got.Count(), n)
		}
	}
	alive := 0
	for row, f := range rows {
		if s.ID(row) != f.id || s.Seq(row) != f.seq || s.Micros(row) != f.micros || s.Alive(row) == f.dead {
			t.Fatalf("row %d: got id %d seq %d micros %d alive %v, want %v", row, s.ID(row), s.Seq(row), s.Micros(row), s.Alive(row), *f)
		}
		if at, ok := s.RowOf(f.seq); !ok || at != row {
			t.Fatalf("seq %d: got row %d %v, want %d", f.seq, at, ok, row)
		}
		if at, ok := s.Find(f.id); !ok || at != row {
			t.Fatalf("id %d: got row %d %v, want %d", f.id, at, ok, row)
		}
		for c, text := range f.texts {
			if got := s.Column(c).Text(row); got != text {
				t.Fatalf("row %d: got %q in column %d, want %q", row, got, c, text)
			}
		}
		if !f.dead {
			alive++
		}
	}
	if s.Count() != alive {
		t.Fatalf("got %d living, want %d", s.Count(), alive)
	}
	marks("living", s.Living(), func(f *fact) bool { return !f.dead })
	for range 5 {
		id, lo, hi := rows[r.IntN(len(rows))].id+r.Int64N(3)-1, rows[r.IntN(len(rows))].seq, rows[r.IntN(len(rows))].seq+1
		if got, want := s.Search(id), sort.Search(len(rows), func(i int) bool { return rows[i].id >= id }); got != want {
			t.Fatalf("search %d: got %d, want %d", id, got, want)
		}
		marks("recorded", s.Recorded(lo, max(lo, hi)), func(f *fact) bool { return f.seq >= lo && f.seq < hi })
	}
	for _, every := range []int64{1, 2, 7, 400} {
		var seqs []int64
		for seq := s.MinSeq() - 3; seq <= s.MaxSeq()+3; seq += every {
			seqs = append(seqs, seq)
		}
		marks("by seq", s.BySeq(seqs), func(f *fact) bool { _, ok := slices.BinarySearch(seqs, f.seq); return ok })
	}
	value := func(text string) query.Value { return query.Value{Text: text, Folded: query.Fold(text)} }
	for c, values := range map[int][]query.Value{
		0: {value("alice"), {Text: "Alice", Exact: true}, {Text: "a", Folded: "a", Prefix: true}, {Text: "al", Folded: "al", Prefix: true}, value("ÜNAL"), value(""), value("nobody"), {Prefix: true}},
		1: {value("update"), value("CREATE"), value("none")},
		2: {value("0"), value("1"), {Text: "1", Exact: true}},
		3: {{Text: "10.0.0.0/8", Net: netip.MustParsePrefix("10.0.0.0/8")}, {Text: "x", Net: netip.MustParsePrefix("10.0.0.1/32")}, {Text: "x", Net: netip.MustParsePrefix("2001:db8::/32")},
			{Text: "x", Net: netip.MustParsePrefix("0.0.0.0/0")}, {Text: "10.", Folded: "10.", Prefix: true}, value(""), {Text: "9.9.9.9", Exact: true}},
		4: {value("REQ-7"), {Text: "req-1", Folded: "req-1", Prefix: true}},
		5: {value("one"), value("two"), {Text: "o", Folded: "o", Prefix: true}},
	} {
		for i, v := range values {
			marks(fmt.Sprintf("column %d value %q", c, v.Text), s.Column(c).Match([]query.Value{v}), func(f *fact) bool { return means(v, f.texts[c], c == 3) })
			w := values[(i+1)%len(values)]
			marks(fmt.Sprintf("column %d values %q %q", c, v.Text, w.Text), s.Column(c).Match([]query.Value{v, w}),
				func(f *fact) bool { return means(v, f.texts[c], c == 3) || means(w, f.texts[c], c == 3) })
		}
		marks("empty", s.Column(c).EmptyIn(All(s.Len())), func(f *fact) bool { return f.texts[c] == "" })
		for _, set := range []Set{s.Living(), s.Column(1).Match(values[:1]), Range(len(rows), 3, len(rows)-1)} {
			counts := make([]uint32, s.Column(c).Words())
			s.Column(c).Count(set, counts)
			want := map[string]uint32{}
			set.Each(func(row int) { want[rows[row].texts[c]]++ })
			for code, n := range counts {
				if word := s.Column(c).Word(code); want[word] != n {
					t.Fatalf("column %d: counted %d of %q, want %d", c, n, word, want[word])
				}
			}
		}
	}
	marks("numbers", s.MatchNumbers(0, [][2]int64{{-100, 1000}, {1 << 40, math.MaxInt64}}, false),
		func(f *fact) bool { return f.hasNum && (f.num >= -100 && f.num <= 1000 || f.num >= 1<<40) })
	marks("no number", s.MatchNumbers(0, nil, true), func(f *fact) bool { return !f.hasNum })
}

// namer gives global codes as the store does.
type namer map[string]uint32

func (n namer) assign(s *Segment, column int) *Segment {
	return s.Assign(func(i int) uint32 {
		if i == column {
			return uint32(len(n))
		}
		return 0
	}, func(i int, text string) uint32 {
		if i != column {
			return 0
		}
		if _, ok := n[text]; !ok {
			n[strings.Clone(text)] = uint32(len(n))
		}
		return n[text]
	})
}

// named compares the global codes of segments with what they were given.
func named(t *testing.T, n namer, column int, segments ...*Segment) {
	t.Helper()
	owned := map[uint32]string{}
	for _, s := range segments {
		c := s.Column(column)
		for code, global := range c.Globals() {
			if n[c.Word(code)] != global {
				t.Fatalf("%q has the global code %d, want %d", c.Word(code), global, n[c.Word(code)])
			}
		}
		base, count := c.Own()
		for g := base; g < base+uint32(count); g++ {
			if text, ok := c.Owned(g); ok {
				owned[g] = strings.Clone(text)
			}
		}
	}
	for text, g := range n {
		if owned[g] != text {
			t.Fatalf("the global code %d is owned as %q, want %q", g, owned[g], text)
		}
	}
}

func TestSegmentsAgreeWithTheirRows(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, b := facts(r, 1+r.IntN(700), 1000, seed%3 == 1), facts(r, 1+r.IntN(700), 9000, seed%3 > 0)
		sa, sb := build(a), build(b)
		agree(t, sa, a, r)
		agree(t, sb, b, r)
		names := namer{}
		sa = names.assign(sa, 4)
		sb = names.assign(sb, 4)
		named(t, names, 4, sa, sb)

		change := func(s *Segment, all []*fact) *Segment {
			var changes []Change
			for range 20 {
				f := all[r.IntN(len(all))]
				row, _ := s.Find(f.id)
				if r.IntN(2) == 0 {
					f.dead = true
					changes = append(changes, Change{Row: row, Deleted: true})
				} else {
					text := fmt.Sprint("new ", r.IntN(3))
					f.texts = slices.Clone(f.texts)
					f.texts[0] = text
					changes = append(changes, Change{Row: row, Column: 0, Text: text})
				}
			}
			return s.With(changes)
		}
		ca := change(sa, a)
		agree(t, ca, a, r)
		merged, all := Merge(ca, sb), slices.Concat(a, b)
		agree(t, merged, all, r)
		named(t, names, 4, merged)

		name := filepath.Join(t.TempDir(), "s")
		written, err := merged.Write(name, layout, map[string]string{"seed": fmt.Sprint(seed)})
		if err != nil {
			t.Fatal(err)
		}
		opened, stamp, err := Open(name, layout)
		if err != nil || stamp["seed"] != fmt.Sprint(seed) || opened.Check() != nil || opened.Changed() {
			t.Fatalf("open: %v %v", stamp, err)
		}
		agree(t, written, all, r)
		agree(t, opened, all, r)
		named(t, names, 4, opened)
		opened = change(opened, all)
		agree(t, opened, all, r)

		var left []*fact
		for _, f := range all {
			if !f.dead {
				left = append(left, f)
			}
		}
		kept := opened.Without(func(column int, text string) bool { return true })
		agree(t, kept, left, r)
		named(t, names, 4, kept)
		lean := opened.Without(func(column int, text string) bool { return false })
		agree(t, lean, left, r)
		for c := range layout.Texts {
			for code := range lean.Column(c).Words() {
				if word := lean.Column(c).Word(code); !slices.ContainsFunc(left, func(f *fact) bool { return f.texts[c] == word }) {
					t.Fatalf("column %d keeps %q, which no row has", c, word)
				}
			}
		}
	}
}

func TestDamagedFilesAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	name := filepath.Join(t.TempDir(), "s")
	if _, err := build(facts(r, 300, 10, true)).Write(name, layout, nil); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		torn := slices.Clone(whole)
		if r.IntN(4) == 0 {
			torn = torn[:r.IntN(len(torn))]
		} else {
			torn[r.IntN(len(torn))] ^= 1 << r.IntN(8)
		}
		other := filepath.Join(t.TempDir(), "torn")
		if err := os.WriteFile(other, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := Open(other, layout)
		if err == nil {
			err = s.Check()
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("got %v, want %v", err, ErrDamaged)
		}
		if err == nil && !padding(whole, torn) {
			t.Fatal("a damaged file passes for whole")
		}
	}
	if _, _, err := Open(name, Layout{Texts: layout.Texts[1:], Numbers: 1}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("another layout: got %v, want %v", err, ErrDamaged)
	}
}

// padding reports whether two files differ only in bytes that mean nothing: those
// that fill a part up to a multiple of eight.
func padding(whole, torn []byte) bool {
	if len(whole) != len(torn) {
		return false
	}
	m := &mapping{whole}
	h, start, err := m.header()
	if err != nil {
		return false
	}
	for at := range whole {
		if whole[at] == torn[at] {
			continue
		}
		if at < start {
			return false
		}
		for _, p := range h.Parts {
			if int64(at-start) >= p.At && int64(at-start) < p.At+p.Size {
				return false
			}
		}
	}
	return true
}

func TestPackedNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		n := 1 + r.IntN(300)
		all := make([]int64, n)
		wide := r.IntN(64)
		for i := range all {
			if all[i] = r.Int64() >> wide << r.IntN(8); r.IntN(2) == 0 {
				all[i] = -all[i]
			}
		}
		if r.IntN(5) == 0 {
			all[r.IntN(n)], all[r.IntN(n)] = math.MinInt64, math.MaxInt64
		}
		p := pack(n, func(i int) int64 { return all[i] })
		for i, v := range all {
			if got := p.get(i); got != v {
				t.Fatalf("at %d of %v: got %d, want %d", i, all, got, v)
			}
		}
		slices.Sort(all)
		p = pack(n, func(i int) int64 { return all[i] })
		for range 20 {
			v := all[r.IntN(n)] + int64(r.IntN(3)-1)
			if got, want := p.search(v), sort.Search(n, func(i int) bool { return all[i] >= v }); got != want {
				t.Fatalf("search %d in %v: got %d, want %d", v, all, got, want)
			}
		}
	}
}
