package db

import (
	"net/netip"
	"strings"
	"sync"

	"github.com/auditadmin/auditadmin/internal/query"
)

// dictionary gives each distinct text of a column a small number. It only ever
// grows. It is safe for concurrent use.
type dictionary struct {
	mu     sync.RWMutex
	texts  []string
	first  map[string]uint32 // folded text to the first code with that fold
	next   []uint32          // the next code with the same fold, or 0
	parsed []netip.Addr      // of a column of addresses
	isAddr bool
}

// newDictionary returns a dictionary in which code 0 is the empty text.
func newDictionary(addresses bool) *dictionary {
	d := &dictionary{first: map[string]uint32{}, isAddr: addresses}
	d.code("")
	return d
}

// code returns the code of a text, giving it one if it is new. Only the one
// that loads columns calls it, so that codes appear in order.
func (d *dictionary) code(text string) uint32 {
	folded := query.Fold(text)
	d.mu.Lock()
	defer d.mu.Unlock()
	at, known := d.first[folded]
	for known {
		if d.texts[at] == text {
			return at
		}
		if d.next[at] == 0 {
			break
		}
		at = d.next[at]
	}
	text = strings.Clone(text) // not the whole row it was cut from
	c := uint32(len(d.texts))
	d.texts = append(d.texts, text)
	d.next = append(d.next, 0)
	if d.isAddr {
		a, _ := netip.ParseAddr(text)
		d.parsed = append(d.parsed, a)
	}
	if known {
		d.next[at] = c
	} else {
		d.first[strings.Clone(folded)] = c
	}
	return c
}

// lookup returns the code of a text, if it has one.
func (d *dictionary) lookup(text string) (uint32, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.lookupLocked(text)
}

func (d *dictionary) lookupLocked(text string) (uint32, bool) {
	c, ok := d.first[query.Fold(text)]
	for ok && d.texts[c] != text {
		if d.next[c] == 0 {
			return 0, false
		}
		c = d.next[c]
	}
	return c, ok
}

// size is how many codes there are.
func (d *dictionary) size() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.texts)
}

// all returns the texts by code. The caller must not change them.
func (d *dictionary) all() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.texts
}

// matching adds to codes those whose text is one of the values of a term.
func (d *dictionary) matching(values []query.Value, codes map[uint32]bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, v := range values {
		switch {
		case v.Net.IsValid() && d.isAddr:
			for c, a := range d.parsed {
				if a.IsValid() && v.Net.Contains(a) {
					codes[uint32(c)] = true
				}
			}
		case v.Exact:
			if c, ok := d.lookupLocked(v.Text); ok {
				codes[c] = true
			}
		case v.Prefix:
			for c, text := range d.texts {
				if c != 0 && strings.HasPrefix(query.Fold(text), v.Folded) {
					codes[uint32(c)] = true
				}
			}
		default:
			if c, ok := d.first[v.Folded]; ok {
				for {
					codes[c] = true
					if d.next[c] == 0 {
						break
					}
					c = d.next[c]
				}
			}
		}
	}
}
