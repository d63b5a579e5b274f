package db

import (
	"strings"
	"sync"

	"github.com/auditadmin/auditadmin/internal/segment"
)

// unnumbered numbers the words of a column that have no number in names, those of the
// newest events above all, behind all others, so that a facet adds them up in the same
// way. It is good for one state of names, and whoever counts keeps to one of them.
type unnumbered struct {
	names *names
	epoch uint64
	from  uint32 // the first of its numbers

	mu    sync.Mutex
	words []string
	index map[string]uint32
	of    map[*segment.Segment][]uint32 // the numbers of the words of segments in memory
}

// unnumberedSegments is of how many segments in memory the numbers are kept: as a rule
// the next page asks again.
const unnumberedSegments = 64

// unnumbered returns the one of the present state.
func (n *names) unnumbered() *unnumbered {
	n.recent.Lock()
	defer n.recent.Unlock()
	n.mu.RLock()
	epoch, size := n.epoch, n.size
	n.mu.RUnlock()
	if u := n.behind; u != nil && u.epoch == epoch {
		return u
	}
	n.behind = &unnumbered{names: n, epoch: epoch, from: size, index: map[string]uint32{}, of: map[*segment.Segment][]uint32{}}
	return n.behind
}

// numbersOf returns the numbers of the words of a segment in memory, by their codes.
func (u *unnumbered) numbersOf(s *segment.Segment) []uint32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if numbers, ok := u.of[s]; ok {
		return numbers
	}
	if len(u.of) >= unnumberedSegments {
		clear(u.of)
	}
	c := s.Column(u.names.column)
	numbers := make([]uint32, c.Words())
	u.names.lockTable()
	defer u.names.mu.RUnlock()
	c.EachWord(func(code int, word string) { numbers[code] = u.numberLocked(word) })
	u.of[s] = numbers
	return numbers
}

// number returns the number of a word, and gives it one if it has none.
func (u *unnumbered) number(word string) uint32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.names.lockTable()
	defer u.names.mu.RUnlock()
	return u.numberLocked(word)
}

// numberLocked is number where u and names are locked.
func (u *unnumbered) numberLocked(word string) uint32 {
	if number, ok := u.index[word]; ok {
		return number
	}
	if number, ok := u.known(word); ok {
		return number
	}
	number := u.from + uint32(len(u.words))
	word = strings.Clone(word)
	u.words = append(u.words, word)
	u.index[word] = number
	return number
}

// known returns the number that names has for a word. One that was given out since is
// not known: here it means another word.
func (u *unnumbered) known(word string) (uint32, bool) {
	number, ok := u.names.find(word, nil)
	return number, ok && number < u.from
}

// lookup returns the number of a word that has one.
func (u *unnumbered) lookup(word string) (uint32, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if number, ok := u.index[word]; ok {
		return number, true
	}
	u.names.lockTable()
	defer u.names.mu.RUnlock()
	return u.known(word)
}

// text returns the word of a number.
func (u *unnumbered) text(number uint32) (string, bool) {
	if number < u.from {
		return u.names.text(number)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := int(number - u.from); i < len(u.words) {
		return u.words[i], true
	}
	return "", false
}
