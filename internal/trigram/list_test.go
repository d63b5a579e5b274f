package trigram

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// someRows are rows of a lot of n, each with a chance.
func someRows(r *rand.Rand, n int, chance float64) (rows []uint16) {
	for row := range n {
		if r.Float64() < chance {
			rows = append(rows, uint16(row))
		}
	}
	return rows
}

func TestListsComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const base = 1000
	check := func(n int, rows []uint16) {
		t.Helper()
		if len(rows) == 0 {
			return
		}
		list, f := appendList([]byte("before"), rows, n)
		reader := reader{count: len(rows), form: f, list: list[len("before"):]}
		want := make([]uint16, len(rows))
		for i, row := range rows {
			want[i] = row + base
		}
		if got := reader.rows(nil, base); !slices.Equal(got, want) {
			t.Fatalf("%d of %d rows in form %d come back as %d others", len(rows), n, f, len(got))
		}
		if size := (n + 7) / 8; len(reader.list) > size {
			t.Errorf("%d of %d rows take %d bytes, where bits take %d", len(rows), n, len(reader.list), size)
		}
	}
	for _, n := range []int{1, 2, 7, 8, 9, 64, 65, 4096, MaxRows - base} {
		for _, chance := range []float64{0.0001, 0.001, 0.01, 0.1, 0.3, 0.45, 0.5, 0.9, 1} {
			check(n, someRows(r, n, chance))
		}
		check(n, []uint16{0})
		check(n, []uint16{uint16(n - 1)})
	}
	check(4096, append(someRows(r, 100, 1), 4095))                            // close together, and one far away
	check(4096, append([]uint16{0}, slices.Repeat([]uint16{4095}, 1)...))     // nothing between
	check(MaxRows-base, slices.Concat([]uint16{1}, []uint16{MaxRows - 1001})) // the largest distance
}

// TestListsAreShort: of rows by chance, a list is hardly longer than what their
// chance says that it has to be.
func TestListsAreShort(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		chance float64
		bits   float64 // the entropy of a row, by each that is in the list
	}{{0.2, 3.61}, {0.1, 4.69}, {0.01, 8.08}, {0.001, 11.41}} {
		rows := someRows(r, MaxRows, c.chance)
		list, _ := appendList(nil, rows, MaxRows)
		if got := float64(8*len(list)) / float64(len(rows)); got > 1.08*c.bits {
			t.Errorf("of %d rows one takes %.2f bits, want at most 8%% more than %.2f", len(rows), got, c.bits)
		}
	}
}

// TestOldParts reads what was written before lists had forms.
func TestOldParts(t *testing.T) {
	p := Part{First: 7, Data: []byte{
		0, 3 << 1, 4, 2, 0, 0x80, 1, // rows 2, 3 and 132
		5, 2<<1 | 1, 2, 0b10, 0b1, // rows 1 and 8, as bits
	}}
	for key, want := range map[Key][]uint16{7: {2, 3, 132}, 12: {1, 8}, 8: nil, 13: nil} {
		if got := p.Find(key); !slices.Equal(got, want) {
			t.Errorf("key %d is in rows %v, want %v", key, got, want)
		}
	}
	all := Merge(2, Lot{Rows: 200, Parts: []Part{p}}, Lot{Rows: 9, Parts: []Part{{First: 12, Data: []byte{0, 1 << 1, 1, 8}}}})
	if got := all[0].Find(12); !slices.Equal(got, []uint16{1, 8, 208}) || all[0].Data[0] != packed {
		t.Errorf("merged, key 12 is in rows %v of a part that begins with %d", got, all[0].Data[0])
	}
}

// TestPartsFillPages: a part takes one page, or two where it may, and leaves little
// of the last one empty then, even where most lists are long.
func TestPartsFillPages(t *testing.T) {
	for _, c := range []struct {
		pages int
		empty float64 // at most
	}{{1, 0.30}, {2, 0.17}} {
		r := rand.New(rand.NewPCG(5, 5))
		w := writer{n: MaxRows, pages: c.pages}
		for k := range Key(400) {
			w.add(k, someRows(r, MaxRows, r.Float64()*r.Float64()*0.4))
		}
		parts := w.done()
		pages, size := 0, 0
		for _, p := range parts {
			n := 1
			if one := p.reader(); len(p.Data) > partBytes && one.next() && one.next() {
				n = 2
			}
			if most := partBytes + (c.pages-1)*pageBytes; n == 2 && len(p.Data) > most {
				t.Errorf("a part has %d bytes, want at most %d", len(p.Data), most)
			}
			pages, size = pages+n, size+len(p.Data)
		}
		if empty := 1 - float64(size)/float64(pages*pageBytes); len(parts) < 20 || empty > c.empty {
			t.Errorf("%d parts of up to %d pages leave %.0f%% of them empty, want at most %.0f%%", len(parts), c.pages, 100*empty, 100*c.empty)
		}
	}
}

// FuzzList reads lists that anything may have happened to.
func FuzzList(f *testing.F) {
	list, form := appendList(nil, []uint16{1, 2, 900, 4000}, 4096)
	f.Add(list, 4, uint8(form), false)
	f.Add([]byte{255, 255}, MaxRows, uint8(31), false)
	f.Add([]byte{0x80}, 1, uint8(1), true)
	f.Fuzz(func(t *testing.T, list []byte, count int, f uint8, old bool) {
		reader := reader{count: min(max(count, 0), MaxRows), form: anyForm(f), list: list, old: old}
		if rows := reader.rows(nil, 0); !old && reader.form != formBits && len(rows) > reader.count {
			t.Errorf("%d rows come of a list of %d", len(rows), reader.count)
		}
	})
}

// anyForm is any form that a part can name.
func anyForm(f uint8) form { return form(f & (1<<formWidth - 1)) }
