package db

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// names numbers the distinct words of one column over all segments in files, so
// that a facet adds them up without comparing texts. The words themselves lie in
// the segments; here is only a table of numbers, found by the word's hash, and
// that only once somebody asks for it.
type names struct {
	column int

	mu     sync.RWMutex
	owners []*piece // that gave out numbers, in the order of them
	size   uint32   // how many were given out
	slots  []uint32 // open addressing: number + 1, or 0
	filled int
	built  bool
	seed   maphash.Seed
	epoch  uint64 // how often it was said anew which numbers there are

	arrays sync.Pool // of *[]uint32, zeros: a number in each place
	totals totals

	recent sync.Mutex
	behind *unnumbered
}

// array returns size zeros.
func (n *names) array(size int) []uint32 {
	if a, ok := n.arrays.Get().(*[]uint32); ok && cap(*a) >= size {
		return (*a)[:size]
	}
	return make([]uint32, size, size+size/16+64)
}

func newNames(column int) *names {
	return &names{column: column, seed: maphash.MakeSeed()}
}

// len is how many numbers were given out.
func (n *names) len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return int(n.size)
}

// own says which pieces own numbers now.
func (n *names) own(pieces []*piece) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch++
	n.owners, n.size = nil, 0
	for _, p := range pieces {
		if base, count := p.Column(n.column).Own(); p.file != "" && count > 0 {
			n.owners = append(n.owners, p)
			n.size = max(n.size, base+uint32(count))
		}
	}
	slices.SortFunc(n.owners, func(a, b *piece) int {
		x, _ := a.Column(n.column).Own()
		y, _ := b.Column(n.column).Own()
		return cmp.Compare(x, y)
	})
}

// forget drops the table: what was assigned has come to nothing.
func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch++
	n.built, n.slots, n.filled = false, nil, 0
}

// owned returns the word of a number, good as long as the lock is held.
func (n *names) owned(number uint32) (string, bool) {
	i := sort.Search(len(n.owners), func(i int) bool {
		base, _ := n.owners[i].Column(n.column).Own()
		return base > number
	}) - 1
	if i < 0 {
		return "", false
	}
	c := n.owners[i].Column(n.column)
	if base, count := c.Own(); number >= base+uint32(count) {
		return "", false
	}
	return c.Owned(number)
}

// text returns the word of a number.
func (n *names) text(number uint32) (string, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	word, ok := n.owned(number)
	return strings.Clone(word), ok
}

// build fills the table.
func (n *names) build() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buildLocked()
}

func (n *names) buildLocked() {
	if n.built {
		return
	}
	n.slots = make([]uint32, tableSize(n.size))
	n.filled, n.built = 0, true
	for _, p := range n.owners {
		c := p.Column(n.column)
		base, count := c.Own()
		for i := range uint32(count) {
			if word, ok := c.Owned(base + i); ok {
				n.put(word, base+i)
			}
		}
	}
}

// tableSize leaves a third of the slots free.
func tableSize(words uint32) int {
	size := 1 << 8
	for size*2/3 < int(words)+1 {
		size *= 2
	}
	return size
}

// hash is of a folded word, so that a filter finds all that differ in case alone.
func (n *names) hash(folded string) uint64 { return maphash.String(n.seed, folded) }

func (n *names) put(word string, number uint32) {
	mask := uint64(len(n.slots) - 1)
	at := n.hash(query.Fold(word)) & mask
	for n.slots[at] != 0 {
		at = (at + 1) & mask
	}
	n.slots[at] = number + 1
	n.filled++
}

// find returns the number of a word; also knows the words that are about to get
// theirs.
func (n *names) find(word string, also func(number uint32) (string, bool)) (uint32, bool) {
	mask := uint64(len(n.slots) - 1)
	for at := n.hash(query.Fold(word)) & mask; n.slots[at] != 0; at = (at + 1) & mask {
		number := n.slots[at] - 1
		other, ok := "", false
		if number < n.size {
			other, ok = n.owned(number)
		} else if also != nil {
			other, ok = also(number)
		}
		if ok && other == word {
			return number, true
		}
	}
	return 0, false
}

// assigner gives numbers to the words of a segment that is about to be sealed.
// If that fails, the numbers are given out again.
type assigner struct {
	n     *names
	fresh []string
}

func (a *assigner) base() uint32 { return a.n.size }

func (a *assigner) assign(word string) uint32 {
	n := a.n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buildLocked()
	number, ok := n.find(word, func(number uint32) (string, bool) {
		i := int(number - n.size)
		if i >= len(a.fresh) {
			return "", false
		}
		return a.fresh[i], true
	})
	if ok {
		return number
	}
	number = n.size + uint32(len(a.fresh))
	word = strings.Clone(word)
	a.fresh = append(a.fresh, word)
	if (n.filled+1)*3 > len(n.slots)*2 {
		old := n.slots
		n.slots, n.filled = make([]uint32, len(old)*2), 0
		for _, slot := range old {
			if slot == 0 {
				continue
			}
			if number := slot - 1; number < n.size {
				if word, ok := n.owned(number); ok {
					n.put(word, number)
				}
			} else if i := int(number - n.size); i < len(a.fresh) {
				n.put(a.fresh[i], number)
			}
		}
	}
	n.put(word, number)
	return number
}

// number returns the number of a word.
func (n *names) number(word string) (uint32, bool) {
	n.lockTable()
	defer n.mu.RUnlock()
	return n.find(word, nil)
}

// meaning returns the numbers of the words that some values mean, in no order. It
// reports false where they may be many, and while the table is not there.
func (n *names) meaning(values []query.Value) ([]uint32, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if !n.built {
		return nil, false
	}
	var all []uint32
	if n.size <= manyMeant {
		for number := range n.size {
			word, ok := n.owned(number)
			if ok && slices.ContainsFunc(values, func(v query.Value) bool { return means(v, word) }) {
				all = append(all, number)
			}
		}
		return all, true
	}
	mask := uint64(len(n.slots) - 1)
	for _, v := range values {
		if v.Prefix {
			return nil, false
		}
		for at := n.hash(v.Folded) & mask; n.slots[at] != 0; at = (at + 1) & mask {
			number := n.slots[at] - 1
			if word, ok := n.owned(number); ok && means(v, word) && !slices.Contains(all, number) {
				all = append(all, number)
			}
		}
	}
	return all, len(all) <= manyMeant
}

// ready reports whether the table is there.
func (n *names) ready() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.built
}

// lockTable locks for reading with the table there: a seal that fails may drop it at
// any moment before.
func (n *names) lockTable() {
	for n.mu.RLock(); !n.built; n.mu.RLock() {
		n.mu.RUnlock()
		n.build()
	}
}

// numbers returns the numbers of the words of a column that has none of its own,
// segment.Unassigned for those that are in no file.
func (n *names) numbers(c *segment.Column) []uint32 {
	all := make([]uint32, c.Words())
	n.lockTable()
	defer n.mu.RUnlock()
	c.EachWord(func(code int, word string) {
		number, ok := n.find(word, nil)
		if !ok {
			number = segment.Unassigned
		}
		all[code] = number
	})
	return all
}
