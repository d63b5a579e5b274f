package diff

import (
	"strings"
	"unicode/utf8"
)

// Lengths of what is shown at once, in characters.
const (
	foldLength = 600 // up to which a value is not folded
	headLength = 300 // of the beginning of a long value without marks
	nearLength = 60  // of what is kept around a mark
	markLength = 400 // of one mark
	marksShown = 12  // in one excerpt
)

// segments collects pieces, joining neighbours of one kind.
type segments []Segment

func (s *segments) add(text string, kind Mark) {
	if text == "" {
		return
	}
	if n := len(*s); n > 0 && (*s)[n-1].Kind == kind && kind != Gap {
		(*s)[n-1].Text += text
		return
	}
	*s = append(*s, Segment{text, kind})
}

// clip keeps the first bytes of the segments, in whole characters.
func clip(all []Segment, most int) ([]Segment, bool) {
	for i := range all {
		if len(all[i].Text) <= most {
			most -= len(all[i].Text)
			continue
		}
		most = max(most, 0)
		for most > 0 && !utf8.RuneStart(all[i].Text[most]) {
			most--
		}
		var kept segments
		for _, s := range all[:i] {
			kept.add(s.Text, s.Kind)
		}
		kept.add(all[i].Text[:most], all[i].Kind)
		kept.add("…", Gap)
		return kept, true
	}
	return all, false
}

// excerpt keeps the marks of a long value with a little around each, or its
// beginning where it has none.
func excerpt(all []Segment) []Segment {
	var out segments
	marks := 0
	for i, s := range all {
		if s.Kind == Removed || s.Kind == Added {
			marks++
			if marks > marksShown {
				out.gap()
				return out
			}
			if head, cut := first(s.Text, markLength); cut {
				out.add(head, s.Kind)
				out.gap()
			} else {
				out.add(s.Text, s.Kind)
			}
			continue
		}
		before, after := i > 0, i+1 < len(all) && all[i+1].Kind != Gap // whether a mark stands there
		if s.Kind == Gap || len(all) == 1 || marks == 0 && !after {
			head, _ := first(s.Text, headLength)
			out.add(head, s.Kind)
			if s.Kind != Gap {
				out.gap()
			}
			continue
		}
		if utf8.RuneCountInString(s.Text) <= 2*nearLength {
			out.add(s.Text, Kept)
			continue
		}
		if before {
			head, _ := first(s.Text, nearLength)
			out.add(head, Kept)
		}
		out.gap()
		if after {
			out.add(last(s.Text, nearLength), Kept)
		}
	}
	return out
}

// gap adds a sign that something is left out, unless one is there.
func (s *segments) gap() {
	if n := len(*s); n == 0 || (*s)[n-1].Kind != Gap {
		*s = append(*s, Segment{"…", Gap})
	}
}

// first returns that many characters of the beginning, back to the end of a
// word where one is near.
func first(s string, most int) (head string, cut bool) {
	n := 0
	for i := range s {
		if n == most {
			head = s[:i]
			if at := strings.LastIndexByte(head, ' '); at > len(head)-20 {
				head = head[:at+1]
			}
			return head, true
		}
		n++
	}
	return s, false
}

// last returns that many characters of the end, from the beginning of a word
// where one is near.
func last(s string, most int) string {
	i := len(s)
	for n := 0; n < most && i > 0; n++ {
		_, size := utf8.DecodeLastRuneInString(s[:i])
		i -= size
	}
	tail := s[i:]
	if at := strings.IndexByte(tail, ' '); at >= 0 && at < 20 && at+1 < len(tail) {
		tail = tail[at:]
	}
	return tail
}
