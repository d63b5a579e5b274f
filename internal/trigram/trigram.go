// Package trigram keeps, for lots of texts, which of them hold which runs of
// three letters: a text that holds a word holds every trigram of the word, so
// only the texts that have all of them need be looked at.
//
// It is made for a log, whose texts come in order and never change. A lot is
// built at once, by counting, which costs a few microseconds a text where an
// index that can be changed anywhere costs ten times that; small lots are merged
// into large ones; and a text is taken away by going through its lot once. A
// lot is stored as parts of some kilobytes, of which a search reads one for
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

// A part fills a page of the database, or two where it may, and a long list would
// leave the end of the first one empty: of a row that is larger than a page of the
// tree SQLite puts only what goes beyond whole pages of its own there.
const (
	partBytes = 8100 // of a part that fills a page, beside what surrounds it
	pageBytes = 8188 // of a part on a page of its own
	fullBytes = 6500 // on the page of the tree are enough
)

// full reports whether a part of so many bytes ends before a list of more.
func full(size, more, pages int) bool {
	switch {
	case size+more <= partBytes:
		return false
	case pages < 2:
		return true
	case size > partBytes:
		return size+more > partBytes+pageBytes || size-pageBytes >= fullBytes
	}
	return size >= fullBytes
}

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
// the order in which they were added, and begins anew. A part fills at most so many
// pages of the database, one or two, where it has more than one list. It is nil where no
// text has a trigram.
func (b *Builder) Build(pages int) []Part {
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
	w := writer{n: len(b.ends), pages: pages}
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

// packed begins a part. What was written before there were forms begins with the
// distance of its first key from itself, 0, and has other lists (rowsOfBytes).
const packed = 1

// writer writes the parts of a lot of n rows, by rising key. Each key has its
// distance from the one before, how many rows have it and in which form, and how long
// the list of those rows is, and the list.
type writer struct {
	n     int
	pages int // at most, of a part with more than one list
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
	var f form
	w.list, f = appendList(w.list[:0], rows, w.n)
	if len(w.data) > 0 && full(len(w.data), len(w.list)+9, w.pages) {
		w.close()
	}
	if len(w.data) == 0 {
		w.data = append(w.data, packed)
		w.first, w.last = k, k
	}
	w.data = binary.AppendUvarint(w.data, uint64(k-w.last))
	w.data = binary.AppendUvarint(w.data, uint64(len(rows))<<formWidth|uint64(f))
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
	old   bool // from before there were forms
	key   Key
	count int
	form  form
	list  []byte
}

func (p Part) reader() reader {
	if len(p.Data) > 0 && p.Data[0] == packed {
		return reader{data: p.Data[1:], key: p.First}
	}
	return reader{data: p.Data, key: p.First, old: true}
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
	if r.old {
		r.form = form(1 - count&1)
		count >>= 1
	} else {
		r.form = form(count & (1<<formWidth - 1))
		count >>= formWidth
	}
	r.count = int(min(count, MaxRows))
	r.list = r.data[a+b+c:][:size]
	r.data = r.data[a+b+c:][size:]
	return true
}

// rows appends the rows of the key, rising, each plus base.
func (r *reader) rows(to []uint16, base int) []uint16 {
	switch {
	case r.form == formBits:
		return rowsOfBits(to, r.list, base)
	case r.old:
		return rowsOfBytes(to, r.list, base)
	}
	return rowsOfGaps(to, r.list, r.count, int(r.form-formLow), base)
}

// Find returns the rows of a key in the part that would hold it, rising, or none. Of data
// that is damaged it returns what can be read.
func (p Part) Find(k Key) []uint16 {
	r := p.reader()
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
		c.reader = c.lot.Parts[c.part].reader()
		c.part++
	}
	c.more = true
}

// Merge makes one lot of several, whose rows follow each other in the order
// given. Rows keep their places, also those whose texts are left out. All lots
// together have at most MaxRows rows. Of pages Build tells.
func Merge(pages int, lots ...Lot) []Part {
	all := make([]cursor, len(lots))
	n := 0
	for i, l := range lots {
		all[i] = cursor{lot: l, base: n}
		n += l.Rows
	}
	return merge(n, pages, all)
}

// Replace makes a lot with the texts of another one in place of those it leaves
// out: the other lot has as many rows, and texts in no others.
func Replace(pages int, lot, with Lot) []Part {
	return merge(lot.Rows, pages, []cursor{{lot: lot}, {lot: with}})
}

func merge(n, pages int, all []cursor) []Part {
	w := writer{n: n, pages: pages}
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
