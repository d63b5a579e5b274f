package query

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold returns text as it is compared: in Unicode's composed form (NFC) and
// with the simple case folding of each rune, so that "É" written in either form
// is "é", and "ẞ" is "ß" but never "ss". Index, recheck and filters all use this
// one fold; Fold(Fold(s)) is Fold(s). Text that is folded already comes back as
// it is, without a copy.
func Fold(s string) string {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return foldUnicode(s)
		case 'A' <= c && c <= 'Z':
			return foldASCII(s, i)
		}
	}
	return s
}

// foldASCII folds from the first upper-case letter on, as long as it meets
// nothing beyond ASCII.
func foldASCII(s string, first int) string {
	b := []byte(s)
	for i := first; i < len(b); i++ {
		c := b[i]
		if c >= utf8.RuneSelf {
			return foldUnicode(s)
		}
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

func foldUnicode(s string) string {
	s = norm.NFC.String(s)
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = utf8.AppendRune(b, foldRune(r))
	}
	// A lower-case letter may compose where its capital does not: J with a caron
	// is two runes, ǰ is one.
	if !norm.NFC.IsNormal(b) {
		b = norm.NFC.Bytes(b)
	}
	return string(b)
}

// foldRune returns the one rune that stands for all that differ from r in case
// alone: the smallest lower-case letter among them, or else the smallest rune.
func foldRune(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r // the orbits of k and s reach beyond ASCII, and these stand for them
	case r == 0x345:
		return r // a mark below a letter, which Unicode counts as an iota
	}
	next := unicode.SimpleFold(r)
	if next == r {
		return r
	}
	best := r
	for ; next != r; next = unicode.SimpleFold(next) {
		if betterFold(next, best) {
			best = next
		}
	}
	return best
}

func betterFold(a, b rune) bool {
	if la, lb := unicode.IsLower(a), unicode.IsLower(b); la != lb {
		return la
	}
	return a != 0x345 && a < b
}
