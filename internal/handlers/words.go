package handlers

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// number writes a count with commas: 48,201.
func number(n int64) string {
	var room, out [32]byte
	digits := strconv.AppendInt(room[:0], n, 10)
	written := out[:0]
	for i, c := range digits {
		if left := len(digits) - i; i > 0 && left%3 == 0 && digits[i-1] != '-' {
			written = append(written, ',')
		}
		written = append(written, c)
	}
	return string(written)
}

// plural writes a count with its noun: "1 event", "3 events".
func plural(n int64, noun string) string {
	ending := "s"
	switch {
	case n == 1:
		ending = ""
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ay"):
		noun, ending = strings.TrimSuffix(noun, "y"), "ies"
	case strings.HasSuffix(noun, "s"):
		ending = "es"
	}
	return number(n) + " " + noun + ending
}

// fullStop ends a sentence that does not end yet.
func fullStop(sentence string) string {
	if strings.HasSuffix(sentence, "?") {
		return sentence
	}
	return sentence + "."
}

// size writes a number of bytes for people: "1.2 MB". The units are powers of
// 1000, as in the query language.
func size(n int64) string {
	if n < 1000 {
		return plural(n, "byte")
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB"} {
		value /= 1000
		if value < 999.95 {
			break
		}
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + unit
}

// span writes a length of time in its largest unit, rounded down: "3 days".
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Millisecond:
		return "less than 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return plural(int64(d/time.Second), "second")
	case d < time.Hour:
		return plural(int64(d/time.Minute), "minute")
	case d < day:
		return plural(int64(d/time.Hour), "hour")
	case d < 60*day:
		return plural(int64(d/day), "day")
	case d < 2*365*day:
		return plural(int64(d/(30*day)), "month")
	default:
		return plural(int64(d/(365*day)), "year")
	}
}

// ago writes how long before now something was.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d < -time.Second:
		return "in " + span(-d)
	case d < time.Second:
		return "just now"
	default:
		return span(d) + " ago"
	}
}

// lateFrom is how long after it happened an event has to be recorded for a page
// to mark it: programs that record in batches are not late.
const lateFrom = 5 * time.Minute

// late says how late an event was recorded, and "" where that is not worth a
// word.
func late(d time.Duration) string {
	if d < lateFrom {
		return ""
	}
	return span(d) + " late"
}

// cut shortens a text to about limit characters for a place with little room.
// Line breaks become spaces.
func cut(s string, limit int) string {
	if len(s) <= limit && tidy(s) {
		return s
	}
	// A megabyte is not walked through for the sake of its first line.
	if max := limit * utf8.UTFMax; len(s) > max {
		s = strings.ToValidUTF8(s[:max], "") + "…"
	}
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return strings.TrimRight(string(runes[:limit-1]), " …") + "…"
}

// tidy reports whether a text is letters of ASCII with single spaces between them,
// as most are: cut changes nothing in it but its length.
func tidy(s string) bool {
	space := true // as if one stood before
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' && space, c < ' ', c >= utf8.RuneSelf:
			return false
		default:
			space = c == ' '
		}
	}
	return !space || s == ""
}

// sentenceCase makes the first letter upper case, unless it begins the name of
// a parameter, limit=, which is told as it has to be written.
func sentenceCase(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if first, _, _ := strings.Cut(s, " "); n == 0 || strings.Contains(first, "=") {
		return s
	}
	return strings.ToUpper(string(r)) + s[n:]
}
