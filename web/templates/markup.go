package templates

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/a-h/templ"
)

// What markup needs to know and a view model need not say.

func lateTitle(t Time) string {
	if t.Early {
		return "The clock of the recorder was ahead"
	}
	return "Recorded long after it happened"
}

// sparkBox and sparkPath draw counts as bars, three wide with a gap of one and
// at most a hundred high, on a line.
func sparkBox(counts []int64) string { return fmt.Sprintf("0 0 %d 102", 4*len(counts)) }

func sparkPath(counts []int64) string {
	most := slices.Max(append([]int64{0}, counts...))
	var b strings.Builder
	for i, n := range counts {
		height := max(2, int(100*share(n, most))) // zero is a line, not a hole
		fmt.Fprintf(&b, "M%d 102v-%dh3v%dz", 4*i, height, height)
	}
	return b.String()
}

func mostOfBars(bars []Bar) int64 {
	var most int64
	for _, b := range bars {
		most = max(most, b.Count)
	}
	return most
}

func mostFrequent(f Facet) int64 {
	var most int64
	for _, v := range f.Values {
		most = max(most, v.Count)
	}
	return most
}

// facetNames are the labels of the facets, in a sentence.
func facetNames(f Facets) string {
	names := make([]string, len(f.Groups))
	for i, g := range f.Groups {
		names[i] = strings.ToLower(g.Label)
	}
	if more := len(names) - 3; more > 1 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

func excludeLabel(v *FacetValue) string {
	if v.Excluded {
		return visible("Allow " + v.Label)
	}
	return visible("Exclude " + v.Label)
}

// enumerate is a list of links in a sentence: "this event, this object and
// this user".
func enumerate(links []Link) []Span {
	var spans []Span
	for i, l := range links {
		switch {
		case i > 0 && i == len(links)-1:
			spans = append(spans, Span{Text: " and "})
		case i > 0:
			spans = append(spans, Span{Text: ", "})
		}
		spans = append(spans, Span{Text: l.Text, Href: l.Href})
	}
	return spans
}

// article is "a day", "an hour".
func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) || noun == "hour" {
		return "an " + noun
	}
	return "a " + noun
}

// tableBars is how many bars a table can repeat and still be read.
const tableBars = 40

// fewBars is how many bars a reader without a mouse steps through without asking for
// a way around.
const fewBars = 8

// The bars of a histogram stand between 14% and 78% of its height. The width of
// a bar within its step is the stylesheet's.

func barHeight(b Bar, most int64) float64 { return 0.64 * share(b.Count, most) }

// ticks are the bars whose names the axis has room for: a letter takes a
// fiftieth of a phone's width. Where the first step is a broken one, its name
// gives way.
func ticks(bars []Bar) []int {
	var shown []int
	for i, b := range bars {
		if b.Tick == "" {
			continue
		}
		if n := len(shown); n > 0 && 50*(i-shown[n-1]) < (len(b.Tick)+1)*len(bars) {
			if n > 1 || shown[0] > 0 {
				continue
			}
			shown = shown[:0]
		}
		shown = append(shown, i)
	}
	return shown
}

// tickX puts the name of a step under its middle, and the first and the last
// where they stay on the page.
func tickX(i, n int) string {
	switch tickAnchor(i, n) {
	case "start":
		return percent(float64(i) / float64(n))
	case "end":
		return percent(float64(i+1) / float64(n))
	}
	return percent((float64(i) + 0.5) / float64(n))
}

func tickAnchor(i, n int) string {
	switch middle := (float64(i) + 0.5) / float64(n); {
	case middle < 0.03:
		return "start"
	case middle > 0.97:
		return "end"
	}
	return "middle"
}

// logShare draws one event and a million so that both are seen.
func logShare(n, most int64) float64 {
	if n <= 0 || most <= 0 {
		return 0
	}
	return math.Log1p(float64(n)) / math.Log1p(float64(max(n, most)))
}

func columnClass(c Column) string {
	if c.Optional {
		return string(c.Role) + " opt"
	}
	return string(c.Role)
}

// columnClasses are the classes of the cells of a row, to be spread: an expression
// for each of them would make a set of its classes every time.
func columnClasses(columns []Column) []templ.Attributer {
	classes := make([]templ.Attributer, len(columns))
	for i, c := range columns {
		classes[i] = class(columnClass(c))
	}
	return classes
}

// attribute is an attribute that is spread again and again with another value. In
// a row an expression in its place would cost two allocations each time.
type attribute struct {
	items [1]templ.KeyValue[string, any]
}

func newAttribute(name string) *attribute {
	return &attribute{[1]templ.KeyValue[string, any]{{Key: name}}}
}

// of is the attribute with a value, until of is called again.
func (a *attribute) of(value *string) templ.Attributer {
	a.items[0].Value = value
	return a
}

// Items is what templ spreads.
func (a *attribute) Items() []templ.KeyValue[string, any] { return a.items[:] }

func class(names string) templ.Attributer {
	return templ.OrderedAttributes{{Key: "class", Value: names}}
}

// toneClasses are the classes of badges. What rows draw is made once for all.
var toneClasses = map[Tone]templ.Attributer{
	Neutral: class("act"),
	Loud:    class("act loud"),
	Was:     class("act was"),
	Now:     class("act now"),
	Alarm:   class("act alarm"),
	Sure:    class("act sure"),
}

func toneClass(tone Tone) templ.Attributer {
	if c, known := toneClasses[tone]; known {
		return c
	}
	return class("act " + string(tone))
}

// iconRefs are the addresses in the sheet of the symbols that rows draw.
var iconRefs = refs(IconCreate, IconUpdate, IconDelete, IconView, IconLogin, IconLogout, IconExport, IconImport, IconKey, IconOther,
	IconBad, IconWarning, IconInfo, IconSecurity, IconSlow, IconBlocked, IconTick)

func refs(icons ...Icon) map[Icon]templ.Attributer {
	all := map[Icon]templ.Attributer{}
	for _, icon := range icons {
		all[icon] = ref(icon)
	}
	return all
}

func ref(icon Icon) templ.Attributer {
	return templ.OrderedAttributes{{Key: "href", Value: "#i-" + string(icon)}}
}

func iconRef(icon Icon) templ.Attributer {
	if r, known := iconRefs[icon]; known {
		return r
	}
	return ref(icon)
}

// width is the number of columns, with the time and the checkbox.
func width(t Table, selecting bool) int {
	if selecting {
		return len(t.Columns) + 2
	}
	return len(t.Columns) + 1
}

// cellHref is where the text of a cell leads: what happened leads to the event.
func cellHref(c *Cell, column Column, r *Row) string {
	if c.Href == "" && column.Role == RoleWhat {
		return r.Href
	}
	return c.Href
}

// diffWidth is the number of columns of a diff.
func diffWidth(d Diff) int {
	if d.Created || d.Deleted {
		return 2
	}
	return 3
}

// blank reports whether there is nothing to show.
func blank(spans []Span) bool {
	for _, s := range spans {
		if s.Text != "" || s.Class == Masked || s.Class == Cut {
			return false
		}
	}
	return true
}

// countNoun is what is counted, and how far: "events; counted back to 9 March.",
// with a period where something follows.
func countNoun(c Count) string {
	noun := c.Noun
	if c.Note != "" {
		noun += "; " + c.Note
	}
	if c.More != nil {
		noun += "."
	}
	return noun
}

// shortBadge is the length up to which a badge is never wrapped. A longer one is
// at its underscores, where it has no room.
const shortBadge = 14

// fits is how long a text may be, in bytes, to have room in its column in any
// letters and wherever the column is narrowest.
func fits(role Role) int {
	switch role {
	case RoleWhat:
		return 22
	case RoleAddress:
		return 15 // of digits
	case RoleObject:
		return 9
	}
	return 6
}

// cellTitle says the whole text of a cell that may be cut short on the page, and ""
// where it cannot.
func cellTitle(c *Cell, role Role) *string {
	title := &c.Title
	if c.Title == "" && textLength(c) > fits(role) {
		if c.Hint == "" && len(c.Spans) == 1 {
			title = &c.Spans[0].Text
		} else {
			whole := wholeText(c)
			title = &whole
		}
		if len(*title) > 500 || !ascii(*title) {
			valid := strings.ToValidUTF8((*title)[:min(len(*title), 500)], "")
			title = &valid
		}
	}
	if ascii(*title) {
		return title
	}
	seen := visible(*title)
	return &seen
}

func textLength(c *Cell) int {
	length := len(c.Hint)
	if c.Badge != nil {
		length += len(c.Badge.Text)
	}
	for i := range c.Spans {
		length += len(c.Spans[i].Text)
	}
	return length
}

// wholeText is what a cell says, as one text.
func wholeText(c *Cell) string {
	var b strings.Builder
	if c.Badge != nil {
		b.WriteString(c.Badge.Text)
	}
	for i := range c.Spans {
		switch s := &c.Spans[i]; s.Class {
		case Arrow:
			b.WriteString(" → ")
		case Masked:
			b.WriteString("hidden")
		case Cut:
			b.WriteString(cmp.Or(s.Text, "…"))
		default:
			b.WriteString(s.Text)
		}
	}
	if b.Len() > 0 && c.Hint != "" {
		b.WriteString(", ")
	}
	b.WriteString(c.Hint)
	return b.String()
}

// zoneLine says which zone the times of the page are in.
func zoneLine(z ZoneMenu) string {
	if z.Name == "UTC" {
		return "Times in UTC."
	}
	return "Times in " + z.Name + "; point at one for UTC."
}
