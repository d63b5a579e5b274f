package evidence

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// TestBetween proves random sets of leaves of random trees, and compares the root
// with that of the library. Nothing that is changed about a set leads there.
func TestBetween(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		size := 1 + random.Int64N(300)
		leaves := make([]Hash, size)
		var stored []tlog.Hash
		for i := range leaves {
			leaves[i] = sha256.Sum256([]byte{byte(i), byte(i >> 8)})
			more, err := tlog.StoredHashesForRecordHash(int64(i), leaves[i], memory(stored))
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
		}
		want, err := tlog.TreeHash(size, memory(stored))
		if err != nil {
			t.Fatal(err)
		}
		var numbers []int64
		var chosen []Hash
		share := random.Float64()
		for i := range size {
			if random.Float64() < share || i == size-1 && numbers == nil {
				numbers, chosen = append(numbers, i), append(chosen, leaves[i])
			}
		}
		between, err := Between(size, numbers, func(from, to int64) (Hash, error) { return Root(leaves[from:to]), nil })
		if err != nil {
			t.Fatal(err)
		}
		if got, err := RootBetween(size, numbers, chosen, between); err != nil || got != want {
			t.Fatalf("%d of %d leaves: got %v, %v, want %v", len(numbers), size, got, err, want)
		}
		if len(between) > len(leaves)-len(numbers) {
			t.Errorf("%d hashes stand for the %d other leaves", len(between), len(leaves)-len(numbers))
		}
		at := random.IntN(len(numbers))
		wrong := func(what string, numbers []int64, leaves, between []Hash) {
			if got, err := RootBetween(size, numbers, leaves, between); err == nil && got == want {
				t.Errorf("%s of %d of %d leaves leads to the root all the same", what, len(numbers), size)
			}
		}
		other := slices.Clone(chosen)
		other[at][5] ^= 4
		wrong("another leaf", numbers, other, between)
		wrong("a hash too many", numbers, chosen, append(slices.Clone(between), Hash{}))
		wrong("one leaf fewer", slices.Delete(slices.Clone(numbers), at, at+1), slices.Delete(slices.Clone(chosen), at, at+1), between)
		moved := slices.Clone(numbers)
		moved[at]++
		wrong("another place", moved, chosen, between)
		if len(between) > 0 {
			wrong("a hash too few", numbers, chosen, between[1:])
		}
	}
}

// memory is a tree in memory.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		out[i] = m[at]
	}
	return out, nil
}
