package templates

// ObjectPage is the story of one object.
type ObjectPage struct {
	Layout
	Kicker   string // shop.order 10482
	Headline string // Order 10482
	Lead     string // "Created on 26 March; changed 4 times by alice and two jobs"
	Held     *Note  // which hold keeps the newest event
	ListHref string
	Export   *Export
	Days     []StoryDay
	Pager    Pager
	End      []Span // "That is the whole story: nothing older."
	State    *State // nil where no changes were recorded
}

// StoryDay is the steps of one day, newest first.
type StoryDay struct {
	Label string
	Note  string
	Steps []StoryStep
}

// StoryStep is one event of the object.
type StoryStep struct {
	ID      string // of the event; its place on the page is #e and this
	Icon    Icon
	Tone    Tone
	Time    Time
	Who     Link
	Spans   []Span // "changed status paid → refunded"
	Mark    *Badge // what was redacted of it
	Reason  string
	AsOf    *Link  // the state just after it
	Current bool   // the state shown is the one just after it
	Gap     string // a write is missing before this one: what was found
	GapHref string
	Stone   *Stone
}

// State is the object as it was at a moment, rebuilt from its changes.
type State struct {
	AsOf      string // "now", "31 March 2026, 14:32:07"
	Gone      bool   // the object had been deleted
	Previous  *Link  // before the last change
	Following *Link
	Latest    *Link
	// Incomplete says why a field may not be what it was, and is empty where there
	// is no reason to think so.
	Incomplete []Span
	Rows       []StateRow
	Note       string // what is not known
}

// StateRow is one field of the object.
type StateRow struct {
	Field     string
	Value     Value
	Since     Link   // "alice, 14:32"
	Uncertain string // "nobody recorded": a write is missing
	Fresh     bool   // set by the very event the state is as of
}
