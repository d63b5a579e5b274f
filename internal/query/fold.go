package query

import (
	"sync"
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
	low := lowFolds()
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if !composed(r) {
			return foldMarks(s)
		}
		// Of what is composed, only the low runes have case.
		if r < rune(len(low)) {
			r = low[r]
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// foldMarks folds text in which runes may compose.
func foldMarks(s string) string {
	s = norm.NFC.String(s)
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = utf8.AppendRune(b, foldRune(r))
	}
	// A lower-case letter may compose where its capital does not: J with a caron
	// is two runes, ǰ is one.
	return string(norm.NFC.Bytes(b))
}

// composed reports whether a rune is of those that composed text is mostly made
// of, which neither change in it nor join what is before them. Folding one gives
// another. To ask package norm takes most of the time of a fold.
func composed(r rune) bool {
	switch {
	case r < 0x300: // Latin
	case 0x388 <= r && r < 0x483, 0x48a <= r && r < 0x591: // Greek, Cyrillic, Armenian
	case 0x3041 <= r && r < 0x3097, 0x30a1 <= r && r < 0x30fb, 0x4e00 <= r && r < 0xa000: // kana, Chinese
	case 0xac00 <= r && r < 0xd7a4: // Korean
	case 0x2010 <= r && r < 0x2028, 0x3001 <= r && r < 0x3003: // punctuation
	default:
		return false
	}
	return true
}

// lowFolds returns foldRune of the runes of most alphabets, which would take 70
// nanoseconds each.
var lowFolds = sync.OnceValue(func() *[0x800]rune {
	var low [0x800]rune
	for r := range low {
		low[r] = foldRune(rune(r))
	}
	return &low
})

// foldRune returns the one rune that stands for all that differ from r in case
// alone: the lower case of the smallest among them.
func foldRune(r rune) rune {
	const iotaBelow = 0x345 // a mark, which Unicode counts as an iota; here it stays a mark
	switch {
	case r < utf8.RuneSelf:
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	case r == iotaBelow:
		return r
	}
	next := unicode.SimpleFold(r)
	if next == r {
		return r // not ToLower, which makes an i of the Turkish İ
	}
	least := r
	for ; next != r; next = unicode.SimpleFold(next) {
		if next < least && next != iotaBelow {
			least = next
		}
	}
	return unicode.ToLower(least)
}
