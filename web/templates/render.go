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
func text(spans []Span) templ.Component { return (*isolated)(&spans) }

// plain renders one text of unknown origin.
func plain(s string) templ.Component { return text([]Span{{Text: s}}) }

// bare is text without the isolation where it is not needed: letters of ASCII
// turn nothing around. A row says so much of them that it counts, and for the same
// reason bare and word take the place of what they render: it costs no copy.
func bare(spans *[]Span) templ.Component { return (*loose)(spans) }

// word is bare for one text.
func word(s *string) templ.Component { return (*looseWord)(s) }

// wrapped is word with a place to break the line after each underscore.
func wrapped(s *string) templ.Component { return (*looseParts)(s) }

// clock renders "14:32:07" with its seconds, which are read less, in the background.
func clock(s *string) templ.Component { return (*looseClock)(s) }

type (
	isolated   []Span
	loose      []Span
	looseWord  string
	looseParts string
	looseClock string
)

func (s *isolated) Render(_ context.Context, w io.Writer) error {
	p := pen{w: w}
	p.write("<bdi>")
	for i := range *s {
		p.span(&(*s)[i])
	}
	p.write("</bdi>")
	return p.err
}

func (s *loose) Render(ctx context.Context, w io.Writer) error {
	for i := range *s {
		if !ascii((*s)[i].Text) {
			return (*isolated)(s).Render(ctx, w)
		}
	}
	p := pen{w: w}
	for i := range *s {
		p.span(&(*s)[i])
	}
	return p.err
}

func (s *looseWord) Render(_ context.Context, w io.Writer) error {
	p, text := pen{w: w}, string(*s)
	if ascii(text) {
		p.escaped(text)
		return p.err
	}
	p.write("<bdi>")
	p.visible(text)
	p.write("</bdi>")
	return p.err
}

func (s *looseParts) Render(ctx context.Context, w io.Writer) error {
	p := pen{w: w}
	for part := range strings.SplitAfterSeq(string(*s), "_") {
		if err := word(&part).Render(ctx, w); err != nil {
			return err
		}
		if strings.HasSuffix(part, "_") {
			p.write("<wbr>")
		}
	}
	return p.err
}

func (s *looseClock) Render(_ context.Context, w io.Writer) error {
	p := pen{w: w}
	head, seconds := splitClock(string(*s))
	p.escaped(head)
	p.write("<i>")
	p.escaped(seconds)
	p.write("</i>")
	return p.err
}

// ascii reports whether every character of a text is a printed one of ASCII.
func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// tags are the elements of the classes that are no more than an element.
var tags = map[Class][2]string{
	Strong: {"<b>", "</b>"},
	Quiet:  {`<span class="v">`, "</span>"},
	Mark:   {"<mark>", "</mark>"},
	Del:    {"<del>", "</del>"},
	Ins:    {"<ins>", "</ins>"},
	Code:   {"<code>", "</code>"},
	Cut:    {`<span class="cut">`, "</span>"},
	wrong:  {`<span class="wrong">`, "</span>"},
}

// unbroken is the length up to which a value that changed is not broken at its
// hyphens: a date in two lines is hard to read.
const unbroken = 16

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

// pen writes until something fails, and keeps that.
type pen struct {
	w   io.Writer
	err error
}

func (p *pen) write(s string) {
	if p.err == nil && s != "" {
		_, p.err = io.WriteString(p.w, s)
	}
}

func (p *pen) escaped(s string) { p.write(templ.EscapeString(s)) }

func (p *pen) span(s *Span) {
	if s.Href == "" {
		p.piece(s.Class, s.Text)
		return
	}
	// a line under a space looks like a mistake, so the spaces stay outside
	inner := strings.TrimLeft(s.Text, " ")
	p.write(s.Text[:len(s.Text)-len(inner)])
	linked := strings.TrimRight(inner, " ")
	p.write(`<a href="`)
	p.escaped(string(templ.URL(s.Href)))
	p.write(`">`)
	p.piece(s.Class, linked)
	p.write("</a>")
	p.write(inner[len(linked):])
}

// piece writes a text as its class wants it.
func (p *pen) piece(class Class, text string) {
	switch class {
	case Plain:
		p.visible(text)
		return
	case Arrow:
		p.write(`<span class="arrow" role="img" aria-label="to">→</span>`)
		return
	case Masked:
		p.write(`<span class="mask"><svg class="i" aria-hidden="true"><use href="#i-lock"></use></svg>hidden`)
		if text != "" {
			p.write(", mark <code>")
			p.visible(text)
			p.write("</code>")
		}
		p.write("</span>")
		return
	case Cut:
		if text == "" {
			text = "…"
		}
	}
	tag := tags[class]
	if (class == Del || class == Ins) && len(text) <= unbroken && strings.Contains(text, "-") {
		tag[0] = strings.Replace(tag[0], ">", ` class="nb">`, 1)
	}
	p.write(tag[0])
	p.visible(text)
	p.write(tag[1])
}

// visible writes a text so that everything in it can be seen: characters
// that would change the direction of what follows, move a cursor, or show
// nothing at all are written as their names.
func (p *pen) visible(s string) {
	if ascii(s) {
		p.escaped(s)
		return
	}
	eachPiece(s, func(text, short, name string) {
		p.escaped(text)
		if short != "" {
			p.write(`<span class="ctl" title="` + name + `">` + short + "</span>")
		}
	})
}

// visible is the same for an attribute: names stand in brackets.
func visible(s string) string {
	if ascii(s) {
		return s
	}
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
	var room [24]byte
	return string(append(strconv.AppendFloat(room[:0], math.Round(share*1e4)/100, 'f', -1, 64), '%'))
}

// share is n of most, at least so much that a reader sees that it is not zero.
func share(n, most int64) float64 {
	if n <= 0 || most <= 0 {
		return 0
	}
	return max(0.02, min(1, float64(n)/float64(most)))
}

// splitClock splits "14:32:07" before its seconds.
func splitClock(s string) (head, seconds string) {
	if strings.Count(s, ":") == 2 {
		i := strings.LastIndexByte(s, ':')
		return s[:i], s[i:]
	}
	return s, ""
}
