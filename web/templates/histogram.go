package templates

// When is the date hierarchy: where one is in time, and how much there was.
type When struct {
	Crumbs []Link // All, 2026, March; the last is where one is
	// PreviousHref and NextHref lead to the neighbouring year, month or day.
	PreviousHref string
	NextHref     string
	Count        Count
	Histogram    *Histogram
}

// Count is how many events there are, and how far that can be trusted.
type Count struct {
	Text string // "1,234", "10,000+"
	Noun string // "events"
	Note string // "counted back to 9 March"
	More *Link  // to count the rest
}

// Histogram draws events over time.
type Histogram struct {
	Label string // "Events a day, March 2026"
	Step  string // "day": what a bar is
	Max   string // "570 a day": what the line at the top is
	Bars  []Bar  // oldest first
	// Why says why some bars are Unknown, and "" where none is.
	Why string
}

// Bar is one step of time.
type Bar struct {
	Label     string // "Mon 9 March"
	Tick      string // "9 Mar" where the axis names it, else ""
	Count     int64
	CountText string // "133 events", "not counted"
	Href      string // "" where there is nothing to see
	Unknown   bool   // was not counted
	Current   bool   // contains the present moment, so it still grows
}
