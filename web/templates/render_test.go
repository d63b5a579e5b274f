package templates

import (
	"context"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func rendered(t testing.TB, spans ...Span) string {
	t.Helper()
	var b strings.Builder
	if err := text(spans).Render(context.Background(), &b); err != nil {
		t.Fatalf("render: %v", err)
	}
	return b.String()
}

func TestTextIsEscapedAndVisible(t *testing.T) {
	tests := []struct {
		name string
		span Span
		want string
	}{
		{"plain", Span{Text: "Order 42"}, "Order 42"},
		{"markup", Span{Text: `<b a="1">&`}, "&lt;b a=&#34;1&#34;&gt;&amp;"},
		{"found", Span{Text: "gift <card>", Class: Mark}, "<mark>gift &lt;card&gt;</mark>"},
		{"before", Span{Text: "paid", Class: Del}, "<del>paid</del>"},
		{"after", Span{Text: "sent", Class: Ins}, "<ins>sent</ins>"},
		{"a date", Span{Text: "2026-11-03", Class: Del}, `<del class="nb">2026-11-03</del>`},
		{"a long value with hyphens", Span{Text: "one-of-the-longer-values", Class: Ins}, "<ins>one-of-the-longer-values</ins>"},
		{"an override", Span{Text: "a\u202eb"}, `a<span class="ctl" title="right-to-left override">U+202E</span>b`},
		{"an escape sequence", Span{Text: "\x1b[31m"}, `<span class="ctl" title="U+001B, a control character">ESC</span>[31m`},
		{"a byte that is no text", Span{Text: "\xff"}, `<span class="ctl" title="a byte that is not UTF-8">\xFF</span>`},
		{"lines and tabs stay", Span{Text: "a\n\tb"}, "a\n\tb"},
		{"joiners stay", Span{Text: "👩\u200d👧 می\u200cخواهم"}, "👩\u200d👧 می\u200cخواهم"},
		{"a link", Span{Text: "alice", Href: "/users?name=alice&tz=UTC"}, `<a href="/users?name=alice&amp;tz=UTC">alice</a>`},
		{"a link with spaces around", Span{Text: " changed ", Href: "/x"}, ` <a href="/x">changed</a> `},
		{"a link that is a script", Span{Text: "x", Href: "javascript:alert(1)"}, `<a href="about:invalid#TemplFailedSanitizationURL">x</a>`},
		{"a cut", Span{Class: Cut}, `<span class="cut">…</span>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := rendered(t, tt.span), "<bdi>"+tt.want+"</bdi>"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestNoSpaceComesBetweenSpans(t *testing.T) {
	got := rendered(t, Span{Text: "changed "}, Span{Text: "total", Class: Strong}, Span{Text: "."})
	if want := "<bdi>changed <b>total</b>.</bdi>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMaskSaysItsMark(t *testing.T) {
	if got := rendered(t, Span{Class: Masked, Text: "a91f"}); !strings.Contains(got, "hidden, mark <code>a91f</code>") {
		t.Errorf("got %s, want the mark", got)
	}
	if got := rendered(t, Span{Class: Masked}); !strings.Contains(got, "hidden</span>") {
		t.Errorf("got %s, want no mark", got)
	}
}

// FuzzVisible holds that whatever somebody records, a page shows it as text: no
// tag opens, no direction changes, nothing is invisible.
func FuzzVisible(f *testing.F) {
	for _, s := range []string{"", "a", "<script>", "\u202e\u2066\x00\xff", `" onload="`, "\ufeff\U000e0041"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{visible(s), strings.NewReplacer(`<span class="ctl" title="`, "", "</span>", "", `">`, "").Replace(rendered(t, Span{Text: s}))} {
			if !utf8.ValidString(got) {
				t.Fatalf("got %q of %q, want UTF-8", got, s)
			}
			for _, r := range got {
				if short, name := invisible(r); short != "" {
					t.Fatalf("got %q of %q, want no %s", got, s, name)
				}
			}
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(rendered(t, Span{Text: s}), "<bdi>"), "</bdi>")
		inner = strings.ReplaceAll(strings.ReplaceAll(inner, `<span class="ctl" title="`, ""), "</span>", "")
		if strings.Contains(inner, "<") {
			t.Fatalf("got %q of %q, want no tag", inner, s)
		}
	})
}

func TestGeometry(t *testing.T) {
	tests := []struct{ name, got, want string }{
		{"nothing is drawn for zero", percent(share(0, 10)), "0%"},
		{"one of a million is seen", percent(share(1, 1_000_000)), "2%"},
		{"the most is whole", percent(share(10, 10)), "100%"},
		{"never more than whole", percent(share(11, 10)), "100%"},
		{"no counts at all", percent(share(0, 0)), "0%"},
		{"a tick stands under the middle of its bar", tickX(1, 4), "37.5%"},
		{"logarithms of nothing", percent(logShare(0, 0)), "0%"},
		{"logarithms of all", percent(logShare(1000, 1000)), "100%"},
		{"a late tick stays on the page", tickAnchor(30, 31), "end"},
		{"an early tick stays on the page", tickAnchor(0, 31), "start"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestTicksLeaveRoom(t *testing.T) {
	tests := []struct {
		name string
		bars string // one letter a bar: x has the name of a day, j of a month
		want []int
	}{
		{"none", "", nil},
		{"weeks of a month", "x......x......x......x......x..", []int{0, 7, 14, 21, 28}},
		{"a broken month first", "x.x.............x.......", []int{2, 16}},
		{"months of a year", "jjjjjjjjjjjj", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"too many", "xxxxxxxxxxxxxxxx", []int{1, 3, 5, 7, 9, 11, 13, 15}},
	}
	for _, tt := range tests {
		var bars []Bar
		for _, c := range tt.bars {
			bars = append(bars, Bar{Tick: map[rune]string{'x': "7 Nov", 'j': "Jan"}[c]})
		}
		if got := ticks(bars); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestClock(t *testing.T) {
	tests := []struct{ text, head, seconds string }{
		{"14:32:07", "14:32", ":07"},
		{"31 March 14:32:07", "31 March 14:32", ":07"},
		{"14:32", "14:32", ""},
		{"", "", ""},
	}
	for _, tt := range tests {
		if head, seconds := splitClock(tt.text); head != tt.head || seconds != tt.seconds {
			t.Errorf("%q: got %q and %q, want %q and %q", tt.text, head, seconds, tt.head, tt.seconds)
		}
	}
}

func TestWords(t *testing.T) {
	tests := []struct{ got, want string }{
		{article("day"), "a day"},
		{article("hour"), "an hour"},
		{countNoun(Count{Noun: "events"}), "events"},
		{countNoun(Count{Noun: "events", Note: "counted back to 9 March", More: &Link{}}), "events; counted back to 9 March."},
		{facetNames(Facets{Groups: []Facet{{Label: "User"}, {Label: "Action"}}}), "user, action"},
		{excludeLabel(&FacetValue{Label: "a\u202e"}), "Exclude a⟨U+202E⟩"},
		{*cellTitle(&Cell{Spans: []Span{{Text: "short"}}}, RolePlain), ""},
		{*cellTitle(&Cell{Spans: []Span{{Text: "warehouse"}}}, RolePlain), "warehouse"},
		{*cellTitle(&Cell{Spans: []Span{{Text: "203.113.113.119"}}}, RoleAddress), ""},
		{*cellTitle(&Cell{Spans: []Span{{Text: strings.Repeat("語", 200)}}}, RoleWho), strings.Repeat("語", 166)},
		{*cellTitle(&Cell{Spans: []Span{{Text: "Order 49671"}}, Hint: "shop.order"}, RoleObject), "Order 49671, shop.order"},
		{*cellTitle(&Cell{Badge: &Badge{Text: "resolved"}, Hint: "by maria.keller"}, RolePlain), "resolved, by maria.keller"},
		{*cellTitle(&Cell{Spans: []Span{{Text: "changed "}, {Text: "secret", Class: Strong}, {Text: " from "}, {Text: "*", Class: Masked}, {Class: Arrow}, {Text: "a much longer one"}, {Class: Cut}}},
			RoleWhat), "changed secret from hidden → a much longer one…"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestMistakeAtTheEndIsAPlace(t *testing.T) {
	spans := typed(BadQuery{Before: `user:"`})
	if spans[1].Class != wrong || strings.Trim(spans[1].Text, "\u00a0") != "" || spans[1].Text == "" {
		t.Errorf("got %q, want room that can be pointed at", spans[1].Text)
	}
}

func TestBadgeWrapsAtItsUnderscores(t *testing.T) {
	for text, want := range map[string]string{
		"LOGIN_FAILED":      `<span class="act">LOGIN_FAILED</span>`,
		"PERMISSION_CHANGE": `<span class="act"><span>PERMISSION_<wbr>CHANGE</span></span>`,
	} {
		var b strings.Builder
		if err := badge(&Badge{Text: text}).Render(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(b.String()), " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
