package trigram

import (
	"encoding/binary"
	"math/bits"
)

// A list is the rows of a lot that have a key, rising. It is written in the
// shorter of two forms: a bit for each row of the lot; or the distances between the
// rows, as a Rice code does it (Rice and Plaunt, Adaptive Variable-Length Coding for
// Efficient Compression of Spacecraft Television Data, 1971): so many low bits of each
// distance as suit their mean, for all rows one after the other, and then what is
// left of each in unary, as zeros before a one. Both parts begin with the lowest bit
// of a byte.

// form is how a list is written: formBits, or one more than how many low bits of
// each distance stand by themselves.
type form uint8

const (
	formBits form = 0
	formLow  form = 1

	// formWidth is how many bits a form takes: there are at most 16 low ones.
	formWidth = 5
)

// appendList appends a list of at least one row of a lot of n.
func appendList(list []byte, rows []uint16, n int) ([]byte, form) {
	size := (n + 7) / 8
	if 2*len(rows) < n {
		low := lowBits(rows)
		if gaps := gapBytes(rows, low); gaps < size {
			return appendGaps(list, rows, low, gaps), formLow + form(low)
		}
	}
	from := len(list)
	list = append(list, make([]byte, size)...)
	for _, r := range rows {
		list[from+int(r/8)] |= 1 << (r % 8)
	}
	return list, formBits
}

// lowBits is about how many low bits make the distances of rows shortest: as many
// as their mean has after its first.
func lowBits(rows []uint16) int {
	mean := (int(rows[len(rows)-1]) + 1 - len(rows)) / len(rows)
	return max(bits.Len(uint(mean))-1, 0)
}

// gapBytes is how long the distances of rows are.
func gapBytes(rows []uint16, low int) int {
	unary, next := len(rows), 0
	for _, r := range rows {
		unary += (int(r) - next) >> low
		next = int(r) + 1
	}
	return lowBytes(len(rows), low) + (unary+7)/8
}

// lowBytes is how long the low bits of so many distances are.
func lowBytes(count, low int) int { return (count*low + 7) / 8 }

// appendGaps appends the distances of rows, which take size bytes.
func appendGaps(list []byte, rows []uint16, low, size int) []byte {
	from := len(list)
	list = append(list, make([]byte, size)...)
	lows, unary := list[from:from+lowBytes(len(rows), low)], list[from+lowBytes(len(rows), low):]
	var kept uint64 // low bits that are not written yet
	var have, at, one, next int
	for _, r := range rows {
		gap := int(r) - next
		next = int(r) + 1
		one += gap >> low
		unary[one/8] |= 1 << (one % 8)
		one++
		kept |= uint64(gap&(1<<low-1)) << have
		for have += low; have >= 8; have -= 8 {
			lows[at] = byte(kept)
			kept >>= 8
			at++
		}
	}
	if have > 0 {
		lows[at] = byte(kept)
	}
	return list
}

// rowsOfBits appends the rows of a list of bits, each plus base.
func rowsOfBits(to []uint16, list []byte, base int) []uint16 {
	for i, b := range list {
		for ; b != 0; b &= b - 1 {
			to = append(to, uint16(base+i*8+bits.TrailingZeros8(b)))
		}
	}
	return to
}

// rowsOfGaps appends so many rows of a list of distances, each plus base. A damaged
// list has fewer.
func rowsOfGaps(to []uint16, list []byte, count, low, base int) []uint16 {
	size := lowBytes(count, low)
	if size > len(list) {
		return to
	}
	lows, unary := list[:size], list[size:]
	var kept uint64 // low bits that were read ahead
	have, at, last, next := 0, 0, -1, base
	for word := 0; word < len(unary); word += 8 {
		for ones := wordAt(unary[word:]); ones != 0; ones &= ones - 1 {
			one := word*8 + bits.TrailingZeros64(ones)
			if have < low {
				if at+4 <= len(lows) {
					kept |= uint64(binary.LittleEndian.Uint32(lows[at:])) << have
					have += 32
					at += 4
				} else {
					for ; at < len(lows); at++ {
						kept |= uint64(lows[at]) << have
						have += 8
					}
				}
			}
			next += (one-last-1)<<low | int(kept&(1<<low-1))
			kept >>= low
			have -= low
			last = one
			if count == 0 || next > base+MaxRows {
				return to
			}
			to = append(to, uint16(next))
			count--
			next++
		}
	}
	return to
}

// wordAt is the next eight bytes, or as many as there are.
func wordAt(b []byte) (w uint64) {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return w
}

// rowsOfBytes appends the rows of a list as it was written at first: each distance in
// bytes of seven bits.
func rowsOfBytes(to []uint16, list []byte, base int) []uint16 {
	next := base
	for len(list) > 0 {
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
