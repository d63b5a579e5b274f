package templates

// DashboardPage is the overview of the last days.
type DashboardPage struct {
	Layout
	Kicker    string // "Overview, everybody"
	Headline  string // "The last 30 days, 2 to 31 March 2026"
	Period    Period
	Sums      []Sum
	SumsNote  string // what their changes are against, or ""
	Activity  Activity
	Attention []Attention
	Quiet     string // said where nothing needs attention
	More      *Link  // "2 more unresolved"
	Exports   Side   // recent exports
	Failing   Side   // names that fail to sign in most
	Recorder  Side   // the newest event, the size of the database
	Empty     []Span // said where nothing was recorded yet
}

// Period is the GET form with the fields days and user.
type Period struct {
	Action string
	Days   []Choice
	User   string
	Keep   []Hidden
}

// Choice is one option of a form.
type Choice struct {
	Value   string
	Label   string
	Current bool
}

// Sum is one number of the summary.
type Sum struct {
	Label  string // total actions
	Text   string // 1,284,907
	Href   string
	Change string // "+4 %" against the days before, "of 317 open", or ""
	Spark  []int64
	Alarm  bool // failed_logins, system_errors, unresolved_events where they call for somebody
}

// Activity is the histogram of the overview, with its heading.
type Activity struct {
	Title     string
	Count     Count
	Histogram *Histogram
}

// Attention is one thing that needs a person.
type Attention struct {
	Badge Badge
	Spans []Span
	Times string // "× 5" where it happened so often, or ""
	Href  string
	Note  string
	Time  Time
}

// Side is a small table beside the page.
type Side struct {
	Title string
	Rows  []SideRow
	None  string // said where there are no rows
	More  *Link
}

// SideRow is one line of it.
type SideRow struct {
	Name   Link
	Value  string
	Note   string
	Strong bool // the value is more than the usual
}
