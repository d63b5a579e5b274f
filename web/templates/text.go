// Package templates turns view models into pages. A view model holds what a
// page shows and nothing else: texts, whole numbers, yes or no, and URLs that
// were decided already. It knows no store, no clock and no zone.
//
// Texts in a view model are raw: the components escape them, isolate their
// direction, and make control characters visible, so that nobody else has to.
// An empty text, a nil pointer and an empty slice show nothing.
package templates

// Class says what a Span is. The zero Class is plain text.
type Class string

// The classes of spans.
const (
	Plain  Class = ""
	Strong Class = "strong" // a field's name, a number in a sentence
	Quiet  Class = "quiet"  // a value or a remark beside what is read first
	Mark   Class = "mark"   // what the search found
	Del    Class = "del"    // was there before
	Ins    Class = "ins"    // is there now
	Arrow  Class = "arrow"  // stands between before and after; Text is ignored
	Masked Class = "masked" // a secret: Text is its short mark, or ""
	Cut    Class = "cut"    // something was left out here; Text says how much, or is ""
	Code   Class = "code"   // written by a machine
)

// Span is a piece of text of one class. With an Href it is a link.
type Span struct {
	Text  string
	Class Class
	Href  string
}

// Value is a text of any length.
type Value struct {
	Spans []Span // what is shown at once
	// Full is the whole text where Spans is an excerpt of it, and nil
	// otherwise; it is folded under Size, such as "all 6,204 characters".
	Full []Span
	Size string
	Note string // beside the value: "another value: the marks differ"
	Mono bool   // written by a machine
}

// Time is an instant, said in the zone of the page.
type Time struct {
	Text  string // "14:32:07", or as long as the place wants it
	ISO   string // RFC 3339, for machines
	UTC   string // shown where one points at it: "2026-03-31 12:32:07.412908 UTC"
	Late  string // recorded long after it happened: "3 days late"
	Early bool   // Late says how far the clock of the recorder was ahead instead
}

// Link is a text that leads somewhere; without Href it is only a text.
type Link struct {
	Text    string
	Href    string
	Hint    string // beside it, small
	Current bool   // this is what is shown now
}

// Tone repeats in colour what a shape and a word say already.
type Tone string

// The tones.
const (
	Neutral Tone = ""
	Loud    Tone = "loud"  // stands out among its like, in ink alone
	Was     Tone = "was"   // gone
	Now     Tone = "now"   // new
	Alarm   Tone = "alarm" // needs a person
	Sure    Tone = "sure"  // proven, resolved
)

// Icon names a symbol of the sheet.
type Icon string

// The icons.
const (
	IconCreate   Icon = "create"
	IconUpdate   Icon = "update"
	IconDelete   Icon = "delete"
	IconView     Icon = "view"
	IconLogin    Icon = "login"
	IconLogout   Icon = "logout"
	IconExport   Icon = "export"
	IconImport   Icon = "import"
	IconKey      Icon = "key" // passwords and permissions
	IconOther    Icon = "other"
	IconBad      Icon = "bad"
	IconWarning  Icon = "warning"
	IconInfo     Icon = "info"
	IconSecurity Icon = "security"
	IconSlow     Icon = "slow" // performance
	IconBlocked  Icon = "not"
	IconTick     Icon = "tick"
	IconAgain    Icon = "again" // opened again
	IconStone    Icon = "stone" // a tombstone
)

// Badge is an action, a status or a type: a shape and a word.
type Badge struct {
	Text string
	Tone Tone
	Icon Icon
}

// Hidden is a field of a form that its reader does not see.
type Hidden struct{ Name, Value string }
