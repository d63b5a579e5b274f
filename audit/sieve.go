package audit

import (
	"slices"
	"strings"
)

// sieve sees at one look that a text holds none of some needles, which is what
// nearly every text does. Of each needle it keeps the run of three bytes that
// other texts are least likely to have, so that what passes has to be looked at.
type sieve struct {
	bytes [256]bool            // needles of one byte
	bits  [1 << 16 / 64]uint64 // of the runs, by a hash
	runs  []uint32
}

// newSieve makes a sieve of needles. It panics if one is empty or has two bytes.
func newSieve(needles ...string) *sieve {
	s := &sieve{}
	for _, n := range needles {
		if len(n) == 1 {
			s.bytes[n[0]] = true
			continue
		}
		best := 0
		for i := range len(n) - 2 {
			if rarity(n[i:i+3]) > rarity(n[best:best+3]) {
				best = i
			}
		}
		run := runOf(n[best], n[best+1], n[best+2])
		s.bits[runHash(run)/64] |= 1 << (runHash(run) % 64)
		s.runs = append(s.runs, run)
	}
	return s
}

// mayHave reports whether a text may hold one of the needles.
func (s *sieve) mayHave(text string) bool {
	if len(text) > 0 && s.bytes[text[0]] || len(text) > 1 && s.bytes[text[1]] {
		return true
	}
	for i := 2; i < len(text); i++ {
		run := runOf(text[i-2], text[i-1], text[i])
		h := runHash(run)
		if s.bytes[text[i]] || s.bits[h/64]>>(h%64)&1 != 0 && slices.Contains(s.runs, run) {
			return true
		}
	}
	return false
}

func runOf(a, b, c byte) uint32 { return uint32(a)<<16 | uint32(b)<<8 | uint32(c) }

// runHash is a number below 65,536.
func runHash(run uint32) uint32 { return run * 0x9E3779B1 >> 16 }

// often is what texts that people log are made of, the most frequent first.
const often = " etaoins-_./rhldcumpgfbywvk"

// rarity is the higher, the fewer texts have a run.
func rarity(run string) (sum int) {
	for i := range len(run) {
		if at := strings.IndexByte(often, run[i]); at >= 0 {
			sum += at
		} else {
			sum += len(often)
		}
	}
	return sum
}
