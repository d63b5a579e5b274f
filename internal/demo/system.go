package demo

import (
	"math/rand/v2"
	"strings"
	"time"
)

// system is one of the group's systems: a module, with the types of objects
// that it keeps.
type system struct {
	name   string
	stocks []*stock
}

// stock is all objects of one type.
type stock struct {
	contentType string
	noun        string // "Purchase order"
	plural      string // what an export of them is called
	number      uint64 // its own, in all that is derived
	facts       []fact
	named       bool // the first fact is what an object is called
	next        uint32
	alive       []item // the oldest first
	epoch       time.Time
}

// item is one object: its number, when it came up, and how often each of its
// fields was changed. What stands in the fields follows from that.
type item struct {
	id       uint32
	born     uint16 // days after the stock's epoch
	versions [8]uint8
}

// kept is how many objects of a type may be asked for again. Older ones are
// left alone.
const kept = 3000

// newSystems returns the systems of the group, the busiest first.
func newSystems(epoch time.Time) []*system {
	var all []*system
	number := uint64(1)
	for _, line := range systemTable {
		name, types, _ := strings.Cut(line, ": ")
		s := &system{name: name}
		for _, t := range strings.Fields(types) {
			noun, shape, _ := strings.Cut(t, "/")
			of := shapes[shape]
			s.stocks = append(s.stocks, &stock{
				contentType: name + "." + strings.ReplaceAll(noun, "-", ""), noun: strings.ToUpper(noun[:1]) + strings.ReplaceAll(noun[1:], "-", " "),
				plural: strings.ToUpper(noun[:1]) + strings.ReplaceAll(noun[1:], "-", " ") + " list",
				epoch:  epoch, number: number, facts: of.facts, named: of.named, next: uint32(1000003 + number*7919%5000*11),
			})
			number++
		}
		all = append(all, s)
	}
	return all
}

// add brings up a new object, as the last of those alive.
func (s *stock) add(born uint16) {
	s.alive = append(s.alive, item{id: s.next, born: born})
	s.next += 1 + uint32(mix(uint64(s.next))%3)
	if len(s.alive) > kept {
		s.alive = s.alive[1:]
	}
}

// title is what an object is called.
func (s *stock) title(b []byte, o *item) []byte {
	if !s.named {
		return appendInt(append(append(b, s.noun...), ' '), uint64(o.id))
	}
	from := len(b)
	b = s.value(b, o, 0, 0) // in quotes, as JSON
	copy(b[from:], b[from+1:len(b)-1])
	return b[:len(b)-2]
}

// value appends what stands in a field, so many changes later than now.
func (s *stock) value(b []byte, o *item, field int, later uint8) []byte {
	f := &s.facts[field]
	v := o.versions[field] + later
	if f.fixed {
		v = 0
	}
	return f.put(b, origin{hash: mix(s.number<<40 | uint64(field)<<36 | uint64(o.id)), version: uint64(v), born: s.epoch.AddDate(0, 0, int(o.born))})
}

func (s *stock) created(b []byte, o *item) []byte { return s.all(b, o, `":{"old":null,"new":`, `}`) }
func (s *stock) deleted(b []byte, o *item) []byte { return s.all(b, o, `":{"old":`, `,"new":null}`) }

func (s *stock) all(b []byte, o *item, before, after string) []byte {
	from := len(b)
	for i := range s.facts {
		b = append(append(append(b, ",\""...), s.facts[i].name...), before...)
		b = append(s.value(b, o, i, 0), after...)
	}
	b[from] = '{'
	return append(b, '}')
}

// updated changes some of the fields of an object: one or two as a rule.
func (s *stock) updated(b []byte, o *item, r *rand.Rand) []byte {
	from, n := len(b), len(s.facts)
	count := 1 + min(r.IntN(n), r.IntN(n), r.IntN(n))
	at := r.IntN(n)
	for range n {
		at = (at + 1) % n
		if s.facts[at].fixed {
			continue
		}
		b = append(append(append(b, ",\""...), s.facts[at].name...), `":{"old":`...)
		b = append(s.value(b, o, at, 0), `,"new":`...)
		b = append(s.value(b, o, at, 1), '}')
		o.versions[at]++
		if count--; count == 0 {
			break
		}
	}
	b[from] = '{'
	return append(b, '}')
}

// origin is what a value is made of.
type origin struct {
	hash    uint64 // of the object and its field
	version uint64 // how often it was changed
	born    time.Time
}
