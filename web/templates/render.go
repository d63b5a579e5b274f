package templates

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"
)

// text renders spans as one run of text whose direction is its own. It is
// written by hand because not one space may come between two spans.
func text(spans []Span) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		var b strings.Builder
		b.WriteString("<bdi>")
		for _, s := range spans {
			writeSpan(&b, s)
		}
		b.WriteString("</bdi>")
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// bare is text without the isolation where it is not needed: letters of ASCII
// turn nothing around. A row says so much of them that it counts.
func bare(spans []Span) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		var b strings.Builder
		for _, s := range spans {
			if !ascii(s.Text) {
				return text(spans).Render(ctx, w)
			}
			writeSpan(&b, s)
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7f }) < 0
}

// plain renders one text of unknown origin.
func plain(s string) templ.Component { return text([]Span{{Text: s}}) }

// tags are the elements of the classes that are no more than an element.
var tags = map[Class][2]string{
	Plain:  {"", ""},
	Strong: {"<b>", "</b>"},
	Quiet:  {`<span class="v">`, "</span>"},
	Mark:   {"<mark>", "</mark>"},
	Del:    {"<del>", "</del>"},
	Ins:    {"<ins>", "</ins>"},
	Code:   {"<code>", "</code>"},
	Cut:    {`<span class="cut">`, "</span>"},
	wrong:  {`<span class="wrong">`, "</span>"},
}

// wrong is the mistake in a query.
const wrong Class = "wrong"

// typed is a query with its mistake pointed out; where something is missing at
// the end, the mistake is the place after it.
func typed(q BadQuery) []Span {
	mistake := q.Wrong
	if mistake == "" {
		mistake = "\u00a0\u00a0"
	}
	return []Span{{Text: q.Before}, {Text: mistake, Class: wrong}, {Text: q.After}}
}

func writeSpan(b *strings.Builder, s Span) {
	if s.Href != "" {
		// a line under a space looks like a mistake, so the spaces stay outside
		inner := strings.TrimLeft(s.Text, " ")
		b.WriteString(s.Text[:len(s.Text)-len(inner)])
		s.Text = strings.TrimRight(inner, " ")
		defer b.WriteString(inner[len(s.Text):])
		b.WriteString(`<a href="`)
		b.WriteString(templ.EscapeString(string(templ.URL(s.Href))))
		b.WriteString(`">`)
		defer b.WriteString("</a>")
	}
	switch s.Class {
	case Arrow:
		b.WriteString(`<span class="arrow" role="img" aria-label="to">→</span>`)
	case Masked:
		b.WriteString(`<span class="mask"><svg class="i" aria-hidden="true"><use href="#i-lock"></use></svg>hidden`)
		if s.Text != "" {
			b.WriteString(", mark <code>")
			writeVisible(b, s.Text)
			b.WriteString("</code>")
		}
		b.WriteString("</span>")
	case Cut:
		if s.Text == "" {
			s.Text = "…"
		}
		fallthrough
	default:
		tag := tags[s.Class]
		b.WriteString(tag[0])
		writeVisible(b, s.Text)
		b.WriteString(tag[1])
	}
}

// writeVisible writes a text so that everything in it can be seen: characters
// that would change the direction of what follows, move a cursor, or show
// nothing at all are written as their names.
func writeVisible(b *strings.Builder, s string) {
	eachPiece(s, func(text, short, name string) {
		b.WriteString(templ.EscapeString(text))
		if short != "" {
			b.WriteString(`<span class="ctl" title="` + name + `">` + short + "</span>")
		}
	})
}

// visible is writeVisible for an attribute: names stand in brackets.
func visible(s string) string {
	var b strings.Builder
	eachPiece(s, func(text, short, _ string) {
		b.WriteString(text)
		if short != "" {
			b.WriteString("⟨" + short + "⟩")
		}
	})
	return b.String()
}

// eachPiece cuts a text after each character that cannot be seen. Short is how
// that character is written and name what it is; both are empty for the rest of
// the text.
func eachPiece(s string, yield func(text, short, name string)) {
	from := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		short, name := "", ""
		switch {
		case r == utf8.RuneError && size == 1:
			short, name = fmt.Sprintf("\\x%02X", s[i]), "a byte that is not UTF-8"
		case r >= 0x20 && r < 0x7f:
		default:
			short, name = invisible(r)
		}
		if short != "" {
			yield(s[from:i], short, name)
			from = i + size
		}
		i += size
	}
	yield(s[from:], "", "")
}

// controls are the names of the first 32 characters.
var controls = strings.Fields("NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI " +
	"DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US")

// hiddenNames are the characters that show nothing or turn the text around.
// The joiners U+200C and U+200D are not among them: Persian and emoji need them.
var hiddenNames = map[rune]string{
	0x00ad: "soft hyphen",
	0x061c: "Arabic letter mark",
	0x115f: "Hangul filler",
	0x180e: "Mongolian vowel separator",
	0x200b: "zero width space",
	0x200e: "left-to-right mark",
	0x200f: "right-to-left mark",
	0x2028: "line separator",
	0x2029: "paragraph separator",
	0x202a: "left-to-right embedding",
	0x202b: "right-to-left embedding",
	0x202c: "pop directional formatting",
	0x202d: "left-to-right override",
	0x202e: "right-to-left override",
	0x2060: "word joiner",
	0x2066: "left-to-right isolate",
	0x2067: "right-to-left isolate",
	0x2068: "first strong isolate",
	0x2069: "pop directional isolate",
	0x3164: "Hangul filler",
	0xfeff: "byte order mark",
	0xffa0: "Hangul filler",
}

// invisible returns how a character that cannot be seen is written and what it
// is, and nothing for every other character.
func invisible(r rune) (short, name string) {
	switch {
	case r == '\n' || r == '\t':
		return "", ""
	case r < 0x20:
		return controls[r], fmt.Sprintf("U+%04X, a control character", r)
	case r >= 0x7f && r < 0xa0:
		return fmt.Sprintf("U+%04X", r), "a control character"
	case r >= 0xe0000 && r < 0xe0080:
		return fmt.Sprintf("U+%04X", r), "a tag character"
	}
	if name, ok := hiddenNames[r]; ok {
		return fmt.Sprintf("U+%04X", r), name
	}
	// Joiners are parts of letters and of emoji, and the signs that stand before
	// numbers are seen.
	if r > 0xff && r != 0x200c && r != 0x200d && unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) {
		return fmt.Sprintf("U+%04X", r), "a format character"
	}
	return "", ""
}

// percent writes a share of one as an SVG attribute.
func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e4)/100, 'f', -1, 64) + "%"
}

// share is n of most, at least so much that a reader sees that it is not zero.
func share(n, most int64) float64 {
	if n <= 0 || most <= 0 {
		return 0
	}
	return max(0.02, min(1, float64(n)/float64(most)))
}

// clock splits "14:32:07" before its seconds, which are read less.
func clock(s string) (head, seconds string) {
	if strings.Count(s, ":") == 2 {
		i := strings.LastIndexByte(s, ':')
		return s[:i], s[i:]
	}
	return s, ""
}
