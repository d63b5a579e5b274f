package segment

import (
	"math/rand/v2"
	"testing"
)

// TestMarks: what is marked many codes at a time is what one look at each marks,
// at every length and for every span.
func TestMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	for n := range 400 {
		pairs, small := make([]uint16, n), make([]uint8, n)
		for i := range n {
			pairs[i], small[i] = uint16(r.Uint32()), uint8(r.Uint32())
			if r.IntN(3) == 0 { // near the ends, where a sum could wrap around
				pairs[i], small[i] = uint16(r.IntN(4)-2), uint8(r.IntN(4)-2)
			}
		}
		a, b := uint16(r.Uint32()), uint16(r.Uint32())
		for _, span := range [][2]uint16{{0, 0}, {0, 1<<16 - 1}, {1<<16 - 1, 1<<16 - 1}, {1<<16 - 2, 1<<16 - 1}, {min(a, b), max(a, b)}, {a, a}} {
			lo, hi := span[0], span[1]
			marks := newBits(n)
			between(marks, pairs, lo, hi, spanPairs)
			checkMarks(t, pairs, lo, hi, marks)
			shortLo, shortHi := uint8(lo>>8), uint8(hi>>8)
			marks = newBits(n)
			between(marks, small, shortLo, shortHi, spanBytes)
			checkMarks(t, small, shortLo, shortHi, marks)
		}
	}
}

func checkMarks[T uint8 | uint16](t *testing.T, codes []T, lo, hi T, bits []uint64) {
	t.Helper()
	for row, code := range codes {
		if got, want := bits[row/64]>>(row%64)&1 == 1, lo <= code && code <= hi; got != want {
			t.Fatalf("of %d codes, row %d is %d: marked for %d to %d is %t", len(codes), row, code, lo, hi, got)
		}
	}
	if n := len(codes); n%64 != 0 && bits[n/64]>>(n%64) != 0 {
		t.Fatalf("rows beyond %d are marked", n)
	}
}

func BenchmarkMark(b *testing.B) {
	codes := make([]uint16, MaxRows)
	for i := range codes {
		codes[i] = uint16(i % 3000)
	}
	marks := newBits(MaxRows)
	b.SetBytes(2 * MaxRows)
	for b.Loop() {
		between(marks, codes, 17, 17, spanPairs)
	}
}
