package evidence

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Frontier is a Merkle tree that only grows, of which it keeps the roots of the
// complete subtrees from left to right: at most 63 hashes, whatever its size.
// The zero Frontier is the empty tree.
type Frontier struct {
	size  int64
	nodes []Hash // of falling height; one for each bit that is set in size
}

// Add appends a leaf.
func (f *Frontier) Add(leaf Hash) { f.AddSubtree(0, leaf) }

// AddSubtree appends 2^height leaves whose root is given. The size must be a
// multiple of 2^height; it panics otherwise.
func (f *Frontier) AddSubtree(height int, root Hash) {
	if f.size&(1<<height-1) != 0 {
		panic("evidence: a subtree at a place where none begins")
	}
	for full := f.size >> height; full&1 == 1; full >>= 1 {
		last := len(f.nodes) - 1
		root = nodeHash(&f.nodes[last], &root)
		f.nodes = f.nodes[:last]
	}
	f.nodes = append(f.nodes, root)
	f.size += 1 << height
}

// Size is the number of leaves.
func (f *Frontier) Size() int64 { return f.size }

// Root is the root of the tree, that of the empty tree being the hash of nothing.
func (f *Frontier) Root() Hash {
	if len(f.nodes) == 0 {
		return sha256.Sum256(nil)
	}
	root := f.nodes[len(f.nodes)-1]
	for i := len(f.nodes) - 2; i >= 0; i-- {
		root = nodeHash(&f.nodes[i], &root)
	}
	return root
}

// Root returns the root of the tree over some leaves.
func Root(leaves []Hash) Hash {
	var f Frontier
	for _, leaf := range leaves {
		f.Add(leaf)
	}
	return f.Root()
}

// nodeHash is tlog.NodeHash without its allocations.
func nodeHash(left, right *Hash) Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// TileHeight is the height of the tiles in which the upper levels are stored.
const TileHeight = 8

// Subtree returns the root over leaves whose number is a power of two. It
// overwrites them.
func Subtree(leaves []Hash) Hash {
	if bits.OnesCount(uint(len(leaves))) != 1 {
		panic("evidence: a complete subtree has a power of two of leaves")
	}
	for n := len(leaves); n > 1; n /= 2 {
		for i := range n / 2 {
			leaves[i] = nodeHash(&leaves[2*i], &leaves[2*i+1])
		}
	}
	return leaves[0]
}
