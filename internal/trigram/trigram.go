// Package trigram keeps, for lots of texts, which of them hold which runs of
// three letters: a text that holds a word holds every trigram of the word, so
// only the texts that have all of them need be looked at.
//
// It is made for a log, whose texts come in order and never change. A lot is
// built at once, by counting, which costs a few microseconds a text where an
// index that can be changed anywhere costs ten times that; small lots are merged
// into large ones; and a text is taken away by going through its lot once. A
// lot is stored as parts of a few kilobytes, of which a search reads one for
// each trigram. Different trigrams may share a key, and a Key may be found where
// a text has none of its trigrams: what is found is a candidate, to be checked.
package trigram

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// MaxRows is how many texts a lot holds at most.
const MaxRows = 1 << 16

// Key stands for a trigram.
type Key uint32

// KeyBits is how many bits a Key has.
const KeyBits = 19

// Separator stands between parts of a text. No trigram reaches over it.
const Separator = '\x1f'

// partBytes is about how large a part gets, so that it fills a page of the
// database and no second one.
const partBytes = 8100

// class maps the letters of ASCII to six bits. Texts are folded, so upper case is
// not worth a class; what is rare shares one.
var class = func() (c [utf8.RuneSelf]uint32) {
	next := uint32(1)
	give := func(letters string) {
		for _, l := range []byte(letters) {
			c[l] = next
			next++
		}
	}
	give("abcdefghijklmnopqrstuvwxyz0123456789 -_.,:/@#%&=+?()[]{}\"'*;<>")
	return c // 63 of them; everything else is class 0
}()

// key is the key of three letters.
func key(a, b, c rune) Key {
	if a|b|c < utf8.RuneSelf {
		return Key(class[a]<<12 | class[b]<<6 | class[c])
	}
	h := uint32(a)*0x9E3779B1 ^ bits.RotateLeft32(uint32(b)*0x85EBCA77, 11) ^ bits.RotateLeft32(uint32(c)*0xC2B2AE3D, 22)
	return Key(1<<18 | (h^h>>15)*0x2C1B3C6D>>14)
}

// KeyOf returns the key of a trigram, a folded text of three letters. Of a longer text it
// is that of the first three.
func KeyOf(trigram string) Key {
	var letters [3]rune
	i := 0
	for _, r := range trigram {
		if i < len(letters) {
			letters[i] = r
		}
		i++
	}
	return key(letters[0], letters[1], letters[2])
}

// Part is a piece of a lot: the rows of some keys, from First on. A key is in the last part
// whose First is not above it, or in none.
type Part struct {
	First Key
	Data  []byte // at least one key
}

// Builder builds lots. The zero value is ready, and after Build it is again. It
// is for one goroutine.
type Builder struct {
	stamps []uint32 // by key: the row that had it last, plus one
	counts []uint32 // by key: how many rows have it
	keys   []Key    // of all rows, one after the other
	ends   []int    // of each row in keys
}

// Len is the number of texts added since the last Build.
func (b *Builder) Len() int { return len(b.ends) }

// Add adds the next text, which must be folded. It keeps no reference to it. Of
// a lot that is full it takes no more, and reports false.
func (b *Builder) Add(text []byte) bool {
	if len(b.ends) == MaxRows {
		return false
	}
	if b.stamps == nil {
		b.stamps, b.counts = make([]uint32, 1<<KeyBits), make([]uint32, 1<<KeyBits)
	}
	row := uint32(len(b.ends)) + 1
	var last, before rune // the two letters so far, 0 where there are none
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		i += size
		if r == Separator {
			last, before = 0, 0
			continue
		}
		if before != 0 {
			k := key(before, last, r)
			if b.stamps[k] != row {
				b.stamps[k] = row
				b.counts[k]++
				b.keys = append(b.keys, k)
			}
		}
		before, last = last, r
	}
	b.ends = append(b.ends, len(b.keys))
	return true
}

// Build returns the lot of the texts added, whose rows are numbered from 0 in
// the order in which they were added, and begins anew. It is nil where none of them has
// a trigram.
func (b *Builder) Build() []Part {
	if b.stamps == nil {
		return nil
	}
	starts := make([]uint32, 1<<KeyBits)
	sum := uint32(0)
	for k, n := range b.counts {
		starts[k] = sum
		sum += n
	}
	rows := make([]uint16, sum)
	from := 0
	for row, end := range b.ends {
		for _, k := range b.keys[from:end] {
			rows[starts[k]] = uint16(row)
			starts[k]++
		}
		from = end
	}
	w := writer{n: len(b.ends)}
	for k, n := range b.counts {
		if n > 0 {
			w.add(Key(k), rows[starts[k]-n:starts[k]])
		}
	}
	clear(b.stamps)
	clear(b.counts)
	b.keys, b.ends = b.keys[:0], b.ends[:0]
	return w.done()
}

// writer writes the parts of a lot of n rows, by rising key. Each key has its
// distance from the one before, how many rows have it, and those rows: as the
// distances between them, or as a bit for each row of the lot where that is
// shorter.
type writer struct {
	n     int
	parts []Part
	data  []byte
	first Key
	last  Key
	list  []byte
}

func (w *writer) add(k Key, rows []uint16) {
	if len(rows) == 0 {
		return
	}
	w.list = w.list[:0]
	kind := uint64(0)
	if size := (w.n + 7) / 8; len(rows) > size {
		kind = 1
		w.list = append(w.list, make([]byte, size)...)
		for _, r := range rows {
			w.list[r/8] |= 1 << (r % 8)
		}
	} else {
		next := 0
		for _, r := range rows {
			w.list = binary.AppendUvarint(w.list, uint64(int(r)-next))
			next = int(r) + 1
		}
	}
	if len(w.data) > 0 && len(w.data)+len(w.list)+9 > partBytes {
		w.close()
	}
	if len(w.data) == 0 {
		w.first, w.last = k, k
	}
	w.data = binary.AppendUvarint(w.data, uint64(k-w.last))
	w.data = binary.AppendUvarint(w.data, uint64(len(rows))<<1|kind)
	w.data = binary.AppendUvarint(w.data, uint64(len(w.list)))
	w.data = append(w.data, w.list...)
	w.last = k
}

func (w *writer) close() {
	w.parts = append(w.parts, Part{w.first, append([]byte(nil), w.data...)})
	w.data = w.data[:0]
}

func (w *writer) done() []Part {
	if len(w.data) > 0 {
		w.close()
	}
	return w.parts
}

// reader goes through the keys of a part.
type reader struct {
	data  []byte
	key   Key
	count int
	bits  bool
	list  []byte
}

// next goes to the next key, and reports whether there is one. Damaged data ends
// early.
func (r *reader) next() bool {
	distance, a := binary.Uvarint(r.data)
	if a <= 0 {
		return false
	}
	count, b := binary.Uvarint(r.data[a:])
	if b <= 0 {
		return false
	}
	size, c := binary.Uvarint(r.data[a+b:])
	if rest := uint64(len(r.data) - a - b - c); c <= 0 || size > rest {
		return false
	}
	r.key += Key(distance)
	r.count, r.bits = int(min(count>>1, MaxRows)), count&1 == 1
	r.list = r.data[a+b+c:][:size]
	r.data = r.data[a+b+c:][size:]
	return true
}

// rows appends the rows of the key, rising, each plus base.
func (r *reader) rows(to []uint16, base int) []uint16 {
	if r.bits {
		for i, b := range r.list {
			for ; b != 0; b &= b - 1 {
				to = append(to, uint16(base+i*8+bits.TrailingZeros8(b)))
			}
		}
		return to
	}
	next := base
	for list := r.list; len(list) > 0; {
		d, n := uint64(list[0]), 1
		if d >= 0x80 {
			if d, n = binary.Uvarint(list); n <= 0 {
				break
			}
		}
		next += int(d)
		to = append(to, uint16(next))
		next++
		list = list[n:]
	}
	return to
}

// Find returns the rows of a key in the part that would hold it, rising, or none. Of data
// that is damaged it returns what can be read.
func (p Part) Find(k Key) []uint16 {
	r := reader{data: p.Data, key: p.First}
	for r.next() && r.key <= k {
		if r.key == k {
			return r.rows(make([]uint16, 0, r.count), 0)
		}
	}
	return nil
}

// Lot is a lot of which all parts are at hand.
type Lot struct {
	Rows  int
	Parts []Part // by rising First
	// Gone reports of a row whether its text is to be left out; nil keeps all.
	Gone func(row int) bool
}

// cursor goes through the keys of a lot.
type cursor struct {
	lot  Lot
	base int
	reader
	part int
	more bool
}

func (c *cursor) advance() {
	for !c.reader.next() {
		if c.part == len(c.lot.Parts) {
			c.more = false
			return
		}
		p := c.lot.Parts[c.part]
		c.part++
		c.reader = reader{data: p.Data, key: p.First}
	}
	c.more = true
}

// Merge makes one lot of several, whose rows follow each other in the order
// given. Rows keep their places, also those whose texts are left out. All lots
// together have at most MaxRows rows.
func Merge(lots ...Lot) []Part {
	all := make([]cursor, len(lots))
	n := 0
	for i, l := range lots {
		all[i] = cursor{lot: l, base: n}
		n += l.Rows
	}
	return merge(n, all)
}

// Replace makes a lot with the texts of another one in place of those it leaves
// out: the other lot has as many rows, and texts in no others.
func Replace(lot, with Lot) []Part {
	return merge(lot.Rows, []cursor{{lot: lot}, {lot: with}})
}

func merge(n int, all []cursor) []Part {
	w := writer{n: n}
	for i := range all {
		all[i].advance()
	}
	var rows []uint16
	for {
		least, some := Key(0), false
		for i := range all {
			if all[i].more && (!some || all[i].key < least) {
				least, some = all[i].key, true
			}
		}
		if !some {
			return w.done()
		}
		rows = rows[:0]
		for i := range all {
			c := &all[i]
			if !c.more || c.key != least {
				continue
			}
			from := len(rows)
			rows = c.rows(rows, c.base)
			kept := rows[:from]
			for _, r := range rows[from:] {
				own := int(r) - c.base
				if own >= 0 && own < c.lot.Rows && (c.lot.Gone == nil || !c.lot.Gone(own)) {
					kept = append(kept, r)
				}
			}
			rows = kept
			c.advance()
		}
		if !slices.IsSorted(rows) {
			slices.Sort(rows)
		}
		w.add(least, slices.Compact(rows))
	}
}
