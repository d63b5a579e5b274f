package templates

import "slices"

// ListPage shows the events of one kind under a filter.
type ListPage struct {
	Layout
	Kicker   string // "Audit logs"
	Headline string // the filter as a sentence; for an empty page, what there is not
	Query    string // the canonical query, for print
	Chips    Chips
	Notes    []string // what the reader must know of how it was searched
	Export   *Export
	// SelectHref leads to the mode in which rows can be selected; "" if the
	// reader may not, or if the page is in that mode already.
	SelectHref string
	Select     *Select // not nil in that mode
	When       *When
	Table      Table
	Pager      Pager
	Facets     Facets
	Empty      *Empty // instead of the table, where nothing matches
}

// Chips are the terms of the filter, to take away one by one.
type Chips struct {
	Items     []Chip
	ClearHref string
}

// Chip is one term of the filter.
type Chip struct {
	Key        string // "user", or "text"
	Value      string // "alice, bob"
	Not        bool
	RemoveHref string
}

// Export offers the whole selection as a file.
type Export struct {
	Links []Link // Text CSV, Hint "for a spreadsheet"
	Note  string // how many rows that will be, and that it is recorded
}

// Table is a table of events, by day. Lists, an object's story and the page of
// a user share it.
type Table struct {
	Caption string // for who cannot see it
	Columns []Column
	Days    []Day
}

// Role is the place of a column in a row, which decides how it looks.
type Role string

// The roles of columns.
const (
	RoleWho     Role = "who"
	RoleBadge   Role = "badge"
	RoleWhat    Role = "what" // the column that takes the room that is left; its cells lead to the event
	RoleObject  Role = "obj"
	RolePlain   Role = "plain"
	RoleAddress Role = "addr"
	RoleNumber  Role = "num"
	RoleTime    Role = "t" // made by the table itself from Row.Time: always first, not in Columns
)

// Column is a heading.
type Column struct {
	Label    string
	Role     Role
	Optional bool // left out where the page is narrow
}

// Day is the rows of a civil day in the page's zone. Without a Label there is
// no divider above them.
type Day struct {
	Label string // "Tuesday 31 March 2026"
	Href  string // the list of that day
	Note  string // "418 events so far"; "23 hours, clocks went forward at 02:00"
	Rows  []Row
}

// Row is one event, or the place where one was.
type Row struct {
	ID    string // what a form selects it by
	Href  string // its own page
	Time  Time
	Cells []Cell // one for each of the table's columns
	// Found says where in the event the text is that was looked for, where the cells
	// do not show it.
	Found []Found
	// Stone is set for an event that was deleted; the row has no cells then.
	Stone *Stone
	// Mark says what is wrong with the event itself or was redacted of it, nil for
	// nearly all.
	Mark *Badge
	// Checked is whether the row is selected when the page comes; Locked is why
	// it cannot be, such as "resolved already", or "".
	Checked bool
	Locked  string
}

// Found is the excerpt of a field around what was looked for.
type Found struct {
	Field string // "user agent"
	Spans []Span
}

// Equal reports whether two say the same.
func (f Found) Equal(other Found) bool {
	return f.Field == other.Field && slices.Equal(f.Spans, other.Spans)
}

// Cell is one field of a row. A cell without anything stays empty.
type Cell struct {
	Badge *Badge
	Spans []Span
	Href  string // where the text leads: a filter, a user, an object
	Hint  string // beside it, small: "job", "Paris, FR"
	Title string // shown where one points at it: the whole user agent
}

// Stone is what stays of a deleted event.
type Stone struct {
	Text   string // "ines.roth deleted an event here"
	Reason string
}

// Pager leads to the neighbouring pages.
type Pager struct {
	NewerHref string // "" if this is the newest page
	OlderHref string // "" if this is the oldest
	Covers    string // "31 March 14:32 back to 28 March 02:00"
	// GoTo is the date form: a GET form with the field on, which the server
	// answers with a redirection.
	GoTo  *GoTo
	Sizes []Link // 25, 50, 100 rows
}

// GoTo is the form that leads to a date.
type GoTo struct {
	Action string
	Keep   []Hidden
	Value  string // 2026-03-28
	Min    string // the oldest and the newest date there is
	Max    string
}

// Select is the mode in which rows are selected. The rows' checkboxes are the
// field id of a POST form.
type Select struct {
	Actions    []SelectAction
	All        *Link // to do it to everything that matches: leads to a page that asks once more
	CancelHref string
	Back       string // the field next: where to return to
}

// SelectAction is one thing to do with the selected rows.
type SelectAction struct {
	Action  string // "/system-events/resolve"
	Field   string // the name of its text: note or reason
	Label   string // "What was the cause, and what was done?"
	Hint    string
	Button  string // "Resolve the selected"
	Destroy bool
}

// Empty says why nothing was found.
type Empty struct {
	// Lead is what to do about it: "The filter -module:billing takes away the
	// last 5 events."
	Lead []Span
	Link *Link // the best way out: "Show those 5"
	// Meant is what was probably meant by each thing that was probably mistyped:
	// "Did you mean DELETE (51)?"
	Meant [][]Span
	// Steps are what is left after each term, in their order; empty where there
	// is no filter.
	Steps []SieveStep
	// Nothing is set where no event of the kind was recorded at all; it says
	// how the first one gets in.
	Nothing []Span
	Sure    []Span // why it is really empty
}

// SieveStep is one term of a filter that found nothing.
type SieveStep struct {
	Text     string // "by alice"; of the first step "Everything recorded"
	Term     string // user:alice
	Left     int64  // how many events are left after it
	LeftText string // "1,140", "10,000+"
	DropHref string // the query without this term alone, if that finds anything
	DropText string // "96 events without it"
	Culprit  bool   // took away the last ones
}
