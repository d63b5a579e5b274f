package diff

import (
	"strings"
	"time"
	"unicode"

	"github.com/sergi/go-diff/diffmatchpatch"
)

// patience is how long two texts are compared before the rest counts as
// replaced.
const patience = 50 * time.Millisecond

// firstToken is where the private characters begin that stand for words.
const firstToken = 0xF0000

// maxTokens is how many different words there are characters for.
const maxTokens = 0x10FFFD - firstToken

// texts compares two texts word by word. It fills the row and reports true if
// enough of them is the same for marks to help.
func (c *comparer) texts(row *Row, before, after string) bool {
	if before == "" || after == "" {
		return false
	}
	size := len(before) + len(after)
	if len(before) > maxCompared || len(after) > maxCompared || size > c.words {
		return false
	}
	onlySpace := squeeze(before) == squeeze(after)
	if !onlySpace && !strings.ContainsFunc(before, isBreak) && !strings.ContainsFunc(after, isBreak) {
		return false // two single words: paid, refunded
	}
	c.words -= size
	split, clean := splitWords, true
	if onlySpace {
		split, clean = splitCharacters, false
	}
	removed, added, places, kept := compareTokens(before, after, split, clean)
	if !onlySpace && 3*kept < min(len(before), len(after)) {
		return false
	}
	if onlySpace {
		removed, added = showSpace(removed), showSpace(added)
	}
	row.Shape, row.Places, row.OnlySpace = Text, places, onlySpace
	row.Before, row.After = c.marked(removed, "string"), c.marked(added, "string")
	return true
}

// compareTokens returns the segments of both texts, how many places differ, and
// how many bytes of words both have. With clean, changes that only a little
// keeps apart become one.
func compareTokens(before, after string, split func(string) []string, clean bool) (removed, added []Segment, places, kept int) {
	ids := map[string]rune{}
	var words []string
	encode := func(text string) []rune {
		var runes []rune
		for _, w := range split(text) {
			id, ok := ids[w]
			if !ok {
				if len(words) >= maxTokens {
					return nil
				}
				id = rune(firstToken + len(words))
				if id >= 0xFFFFE { // two places between the planes are no characters
					id += 2
				}
				ids[w] = id
				words = append(words, w)
			}
			runes = append(runes, id)
		}
		return runes
	}
	word := func(id rune) string {
		if id >= 0x100000 {
			id -= 2
		}
		return words[id-firstToken]
	}
	dmp := diffmatchpatch.New()
	dmp.DiffTimeout = patience
	diffs := dmp.DiffMainRunes(encode(before), encode(after), false)
	if clean {
		// It runs on words, before they are spelt out again, and so never cuts one.
		diffs = dmp.DiffCleanupSemantic(diffs)
	}
	var a, b segments
	changing := false
	for _, d := range diffs {
		var text strings.Builder
		for _, id := range d.Text {
			text.WriteString(word(id))
		}
		s := text.String()
		switch d.Type {
		case diffmatchpatch.DiffEqual:
			a.add(s, Kept)
			b.add(s, Kept)
			kept += len(squeeze(s))
			changing = false
			continue
		case diffmatchpatch.DiffDelete:
			a.add(s, Removed)
		case diffmatchpatch.DiffInsert:
			b.add(s, Added)
		}
		if !changing {
			places++
			changing = true
		}
	}
	return a, b, places, kept
}

// splitWords cuts a text into words, numbers with their points, runs of space,
// and single other characters. Scripts that write no spaces are cut by letter.
func splitWords(text string) []string {
	var words []string
	runes := []rune(text)
	start := 0 // of the word, in bytes
	end := 0
	class := func(i int) int {
		r := runes[i]
		switch {
		case r == '\n':
			return 0
		case unicode.IsSpace(r):
			return 1
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
			return 0
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_':
			return 2
		case i > 0 && i+1 < len(runes) && strings.ContainsRune(".,:-", r) && isDigit(runes[i-1]) && isDigit(runes[i+1]):
			return 2
		}
		return 0
	}
	last := 0
	for i, r := range runes {
		size := len(string(r))
		if r == unicode.ReplacementChar && !strings.HasPrefix(text[end:], string(r)) {
			size = 1 // a byte that is no UTF-8
		}
		now := class(i)
		joins := i > 0 && (unicode.Is(unicode.M, r) || r == '\u200d' || now != 0 && now == last)
		if !joins && end > start {
			words = append(words, text[start:end])
			start = end
		}
		if !unicode.Is(unicode.M, r) {
			last = now
		}
		end += size
	}
	if end > start {
		words = append(words, text[start:end])
	}
	return words
}

func splitCharacters(text string) []string { return strings.Split(text, "") }

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// isBreak reports whether a character separates words.
func isBreak(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }

// squeeze takes the white space out of a text.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// showSpace makes the white space of marks visible.
func showSpace(all []Segment) []Segment {
	for i := range all {
		if all[i].Kind != Kept {
			all[i].Text = visible(all[i].Text)
		}
	}
	return all
}

// visible writes a sign for each kind of white space; a line break stays one
// behind its sign.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("↵\n")
		case r == '\r':
			b.WriteString("␍")
		case r == '\t':
			b.WriteString("→")
		case r == '\u00a0':
			b.WriteString("⍽")
		case unicode.IsSpace(r):
			b.WriteString("·")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
