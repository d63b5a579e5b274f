package evidence

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// SetProof shows that some events stand in the ledger, each at its place with
// exactly its fields, against one checkpoint. Beside the events themselves it
// takes little more than their seeds: what stands between them in the tree is
// there for all of them together, and is next to nothing where they were recorded
// one after the other. In JSON it is one line of an archive's proofs.
type SetProof struct {
	Events int `json:"events"`
	// Seeds are those of the events in their order, SeedSize bytes each.
	Seeds []byte `json:"seeds"`
	// Kept is what stands in place of the seed for events of which something was
	// redacted, by their number from 0.
	Kept map[int]Kept `json:"kept,omitempty"`
	// Unproven are the leaves of events that are not what was recorded, by their
	// number: they were altered before anybody made this proof.
	Unproven map[int]Hash `json:"unproven,omitempty"`
	// Between are the roots of what stands between the events in the tree, from
	// left to right, tlog.HashSize bytes each: see Between.
	Between []byte `json:"between"`
	// Checkpoint is signed, and states a tree that has all of the events.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Leaf returns the leaf of event number i as the event itself has it, or where
// it is not what was recorded as the ledger had it; proven is false then. Its
// error wraps ErrProof.
func (p *SetProof) Leaf(f *Form, i int, id, seq int64, recordedAt, source, eventID string, values []string) (leaf Hash, proven bool, err error) {
	if leaf, is := p.Unproven[i]; is {
		return leaf, false, nil
	}
	var c Committed
	switch kept, is := p.Kept[i]; {
	case is && !kept.Valid(f):
		return leaf, false, fmt.Errorf("%w: what was kept for the redacted event number %d is not that of a %s", ErrProof, i+1, f.kind)
	case is:
		c = CommitKept(f, kept, source, eventID, values)
	case len(p.Seeds) < (i+1)*SeedSize:
		return leaf, false, fmt.Errorf("%w: event number %d has no seed", ErrProof, i+1)
	default:
		c = Commit(f, Seed(p.Seeds[i*SeedSize:]), source, eventID, values)
	}
	return c.Leaf(id, seq, recordedAt), true, nil
}

// Check checks that the tree of a checkpoint has the leaves at the places that
// seqs say, one for each event, in any order. Its error wraps ErrProof.
func (p *SetProof) Check(c *Checkpoint, seqs []int64, leaves []Hash) error {
	order := make([]int, len(seqs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(seqs[a], seqs[b]) })
	numbers, sorted := make([]int64, len(seqs)), make([]Hash, len(seqs))
	for i, at := range order {
		numbers[i], sorted[i] = seqs[at]-1, leaves[at]
	}
	if len(p.Between)%tlog.HashSize != 0 {
		return fmt.Errorf("%w: what stands between its events is %d bytes, which is no number of hashes", ErrProof, len(p.Between))
	}
	between := make([]Hash, len(p.Between)/tlog.HashSize)
	for i := range between {
		between[i] = Hash(p.Between[i*tlog.HashSize:])
	}
	root, err := RootBetween(c.Size, numbers, sorted, between)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if root != c.Root {
		return fmt.Errorf("%w: its events are no leaves of the checkpoint's tree", ErrProof)
	}
	return nil
}

// Between returns the roots of what stands between some leaves of a tree, from
// left to right: of each largest subtree that has none of them. numbers are those
// of the leaves, from 0, rising. root is asked for the root over the leaves from
// one number up to, without it, another.
func Between(size int64, numbers []int64, root func(from, to int64) (Hash, error)) (between []Hash, err error) {
	_, err = walk(0, size, numbers,
		func(from, to int64) (Hash, error) {
			h, err := root(from, to)
			between = append(between, h)
			return h, err
		},
		func(int64) Hash { return Hash{} })
	return between, err
}

// RootBetween returns the root of a tree of which some leaves are given, and what
// stands between them, as Between returned it. It is an error if there is not
// exactly as much of it as it takes, or if there is no such set of leaves.
func RootBetween(size int64, numbers []int64, leaves, between []Hash) (Hash, error) {
	for i, n := range numbers {
		if n < 0 || n >= size || i > 0 && n <= numbers[i-1] {
			return Hash{}, fmt.Errorf("the leaf number %d is there twice, or is not among the %d of the tree", n+1, size)
		}
	}
	if len(leaves) != len(numbers) || len(numbers) == 0 {
		return Hash{}, fmt.Errorf("there are %d leaves with %d numbers", len(leaves), len(numbers))
	}
	given, stated := 0, 0
	root, err := walk(0, size, numbers,
		func(int64, int64) (Hash, error) {
			if stated == len(between) {
				return Hash{}, fmt.Errorf("of what stands between the leaves only %d hashes are there", stated)
			}
			stated++
			return between[stated-1], nil
		},
		func(int64) Hash {
			given++
			return leaves[given-1]
		})
	if err == nil && stated != len(between) {
		err = fmt.Errorf("there are %d hashes more than stand between the leaves", len(between)-stated)
	}
	return root, err
}

// walk goes through the tree over the leaves from one up to another, down to
// where none of the numbers is, or to the leaf of one, and returns the root.
func walk(from, to int64, numbers []int64, other func(from, to int64) (Hash, error), one func(int64) Hash) (Hash, error) {
	if len(numbers) == 0 {
		return other(from, to)
	}
	if to-from == 1 {
		return one(from), nil
	}
	middle := int64(1)
	for 2*middle < to-from {
		middle *= 2
	}
	middle += from
	at, _ := slices.BinarySearch(numbers, middle)
	left, err := walk(from, middle, numbers[:at], other, one)
	if err != nil {
		return Hash{}, err
	}
	right, err := walk(middle, to, numbers[at:], other, one)
	if err != nil {
		return Hash{}, err
	}
	return nodeHash(&left, &right), nil
}
