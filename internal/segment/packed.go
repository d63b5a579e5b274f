package segment

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// blockRows is how many numbers share one base.
const blockRows = 64

// packed holds whole numbers in as few bits as their neighbours allow: each
// block of 64 has its smallest number as a base, and of the others the distance
// from it, in the width of the widest, without the low bits that are zero in all
// of them. Any number is read in constant time.
type packed struct {
	n      int
	bases  []int64
	places []uint32 // of each block: its first byte in data
	forms  []uint16 // of each block: the width in bits, and the shift times 256
	data   []byte   // with eight spare bytes at the end
}

// pack packs n numbers.
func pack(n int, at func(i int) int64) packed {
	p := packed{n: n}
	var block [blockRows]int64
	var scratch [blockRows*8 + 16]byte
	for from := 0; from < n; from += blockRows {
		count := min(blockRows, n-from)
		base, low := at(from), uint64(0)
		for i := range count {
			block[i] = at(from + i)
			base = min(base, block[i])
		}
		for i := range count {
			low |= uint64(block[i] - base)
		}
		shift := 0
		if low != 0 {
			shift = bits.TrailingZeros64(low)
		}
		width := bits.Len64(low >> shift)
		p.bases = append(p.bases, base)
		p.places = append(p.places, uint32(len(p.data)))
		p.forms = append(p.forms, uint16(width|shift<<8))
		clear(scratch[:])
		for i := range count {
			put(scratch[:], i*width, width, uint64(block[i]-base)>>shift)
		}
		p.data = append(p.data, scratch[:(count*width+7)/8]...)
	}
	p.data = append(p.data, make([]byte, 16)...)
	return p
}

// put writes the low bits of v at a place given in bits.
func put(b []byte, place, width int, v uint64) {
	at, shift := place/8, place%8
	word := binary.LittleEndian.Uint64(b[at:])
	binary.LittleEndian.PutUint64(b[at:], word|v<<shift)
	if shift+width > 64 {
		b[at+8] |= byte(v >> (64 - shift))
	}
}

// get returns the number at i.
func (p *packed) get(i int) int64 {
	block := i / blockRows
	form := p.forms[block]
	width, shift := int(form&0xff), form>>8
	if width == 0 {
		return p.bases[block]
	}
	place := i % blockRows * width
	at := int(p.places[block]) + place/8
	word := binary.LittleEndian.Uint64(p.data[at:]) >> (place % 8)
	if place%8+width > 64 {
		word |= uint64(p.data[at+8]) << (64 - place%8)
	}
	word &= ^uint64(0) >> (64 - width)
	return p.bases[block] + int64(word<<shift)
}

// search returns the first place whose number is not below v. The numbers rise.
func (p *packed) search(v int64) int {
	// The blocks' bases rise too: find the block first, which touches little.
	lo, hi := 0, len(p.bases)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if p.bases[mid] < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0
	}
	from, to := (lo-1)*blockRows, min(lo*blockRows, p.n)
	for from < to {
		mid := int(uint(from+to) / 2)
		if p.get(mid) < v {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return from
}

// common calls fn with the place of each of the wanted numbers that is there. Both
// rise, and mostly by about the same from one to the next: a number is looked for
// where it would stand if they always did.
func (p *packed) common(wanted []int64, fn func(i int)) {
	next, from, to := 0, 0, 0 // the block behind the one in question, and the places of that one
	var base, span int64
	for _, v := range wanted {
		if next < len(p.bases) && p.bases[next] <= v {
			for next++; next < len(p.bases) && p.bases[next] <= v; next++ {
			}
			from, to = (next-1)*blockRows, min(next*blockRows, p.n)
			base, span = p.bases[next-1], p.get(to-1)-p.bases[next-1]+1
		}
		if from == to || v-base >= span {
			continue
		}
		i := min(max(from+int((v-base)*int64(to-from)/span), from), to-1) // of huge numbers it would be anywhere
		got := p.get(i)
		for got > v && i > from {
			i--
			got = p.get(i)
		}
		for got < v && i < to-1 {
			i++
			got = p.get(i)
		}
		if got == v {
			fn(i)
		}
	}
}

// view returns the numbers of type T that b holds, without a copy. b begins at
// a multiple of eight.
func view[T any](b []byte) []T {
	var t T
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(t)))
}

// raw is the opposite of view.
func raw[T any](s []T) []byte {
	var t T
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t)))
}
