package handlers

import (
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/internal/query"
)

// markLimit bounds the text in which hits are looked for. What is longer is
// shown without marks rather than late.
const markLimit = 64 << 10

// part is a piece of a text, and whether a reader searched for it.
type part struct {
	text string
	hit  bool
}

// mark splits a text into the parts that a search hit and those it did not.
// The needles are folded; the parts together are the text as it was given.
func mark(text string, needles []string) []part {
	if text == "" {
		return nil
	}
	if len(needles) == 0 || len(text) > markLimit {
		return []part{{text: text}}
	}
	folded, at := foldWithPlaces(text)
	var parts []part
	done := 0 // bytes of text that are in parts
	for from := 0; from < len(folded); {
		lo, hi := firstHit(folded, from, needles)
		if lo < 0 {
			break
		}
		// A letter may fold to several: take all of it.
		begin, end := at[lo], at[hi]
		for hi < len(folded) && end == at[hi-1] {
			hi++
			end = at[hi]
		}
		if begin > done {
			parts = append(parts, part{text: text[done:begin]})
		}
		parts = append(parts, part{text: text[begin:end], hit: true})
		done, from = end, hi
	}
	if done < len(text) {
		parts = append(parts, part{text: text[done:]})
	}
	return parts
}

// hasHit reports whether a needle stands in a text.
func hasHit(text string, needles []string) bool {
	folded, _ := foldWithPlaces(text)
	lo, _ := firstHit(folded, 0, needles)
	return lo >= 0
}

// excerpt cuts a text to about limit characters, around the first hit where it
// would otherwise be cut away.
func excerpt(text string, needles []string, limit int) string {
	if len(needles) > 0 && len(text) > limit && len(text) <= markLimit {
		folded, at := foldWithPlaces(text)
		if lo, _ := firstHit(folded, 0, needles); lo >= 0 && at[lo] > limit*3/4 {
			from := at[lo] - limit/3
			for from < len(text) && !utf8.RuneStart(text[from]) {
				from++
			}
			return "… " + cut(text[from:], limit-2)
		}
	}
	return cut(text, limit)
}

// firstHit returns the bounds of the earliest needle in s from an offset on, the
// longest of those that begin there, and -1 if there is none.
func firstHit(s string, from int, needles []string) (lo, hi int) {
	lo = -1
	for _, needle := range needles {
		if needle == "" {
			continue
		}
		if i := strings.Index(s[from:], needle); i >= 0 {
			i += from
			if lo < 0 || i < lo || i == lo && i+len(needle) > hi {
				lo, hi = i, i+len(needle)
			}
		}
	}
	return lo, hi
}

// foldWithPlaces folds a text letter by letter and tells for each byte of the
// result, and for its end, at which byte of the text the letter began.
func foldWithPlaces(text string) (folded string, at []int) {
	var b strings.Builder
	b.Grow(len(text))
	at = make([]int, 0, len(text)+1)
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b.WriteByte(c)
			at = append(at, i)
			i++
			continue
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		letter := query.Fold(text[i : i+n])
		b.WriteString(letter)
		for range len(letter) {
			at = append(at, i)
		}
		i += n
	}
	return b.String(), append(at, len(text))
}

// needles are the folded texts that a filter looks for inside of fields.
func needles(f *query.Filter) []string {
	var found []string
	for i := range f.Terms {
		found = append(found, needlesOf(&f.Terms[i])...)
	}
	return found
}

// needlesOf are those of one term.
func needlesOf(t *query.Term) []string {
	if t.Not || t.Field.Class != query.ClassFree && t.Field.Class != query.ClassText {
		return nil
	}
	var found []string
	for _, v := range t.Values {
		if v.Folded != "" {
			found = append(found, v.Folded)
		}
	}
	return found
}
