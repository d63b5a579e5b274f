package segment

// markPairs sets so many words of 64 bits, a bit for each code that is low or at
// most width above it, with what every amd64 processor has (SSE2): a filter on a
// user then costs little more than reading the codes from memory.
//
//go:noescape
func markPairs(codes *uint16, words int, low, width uint16, bits *uint64)

// markBytes is the same for codes of one byte; low and width hold theirs twice.
//
//go:noescape
func markBytes(codes *uint8, words int, low, width uint16, bits *uint64)

// spanPairs marks the codes from lo to hi, both included, of whole words, and
// returns how many codes that were.
func spanPairs(codes []uint16, lo, hi uint16, bits []uint64) int {
	words := len(codes) / 64
	if words > 0 {
		markPairs(&codes[0], words, lo, hi-lo, &bits[0])
	}
	return words * 64
}

func spanBytes(codes []uint8, lo, hi uint8, bits []uint64) int {
	words := len(codes) / 64
	if words > 0 {
		markBytes(&codes[0], words, uint16(lo)*0x0101, uint16(hi-lo)*0x0101, &bits[0])
	}
	return words * 64
}
