package evidence

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// naive is the tree as tlog itself builds it.
type naive struct{ hashes []Hash }

func (n *naive) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, x := range indexes {
		out[i] = n.hashes[x]
	}
	return out, nil
}

// ASVS:V11.4.3
func TestFrontierAgreesWithTheLibrary(t *testing.T) {
	var f Frontier
	var n naive
	if got := f.Root(); got != sha256.Sum256(nil) {
		t.Errorf("got root %v of the empty tree, want the hash of nothing", got)
	}
	var leaves []Hash
	for i := range int64(1500) {
		leaf := tlog.RecordHash(fmt.Appendf(nil, "record %d", i))
		leaves = append(leaves, leaf)
		stored, err := tlog.StoredHashesForRecordHash(i, leaf, &n)
		if err != nil {
			t.Fatal(err)
		}
		n.hashes = append(n.hashes, stored...)
		f.Add(leaf)
		want, err := tlog.TreeHash(i+1, &n)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Root(); got != want || f.Size() != i+1 {
			t.Fatalf("got root %v of %d leaves, want %v of %d", got, f.Size(), want, i+1)
		}
	}
	if got, want := Root(leaves), f.Root(); got != want {
		t.Errorf("got root %v, want %v", got, want)
	}
	var g Frontier
	for part := range slices.Chunk(leaves[:1024], 256) {
		g.AddSubtree(TileHeight, Subtree(slices.Clone(part)))
	}
	for _, leaf := range leaves[1024:] {
		g.Add(leaf)
	}
	if got, want := g.Root(), f.Root(); got != want {
		t.Errorf("got root %v from subtrees, want %v", got, want)
	}
}
