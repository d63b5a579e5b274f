package templates

// EventPage shows one event of any kind. What a kind does not have is nil.
type EventPage struct {
	Layout
	Crumbs   []Link // Audit logs, 31 March 2026
	ID       string
	Headline []Span // the event as a sentence
	Byline   string // when and from where, in one line: phones and paper show it
	Badges   []Badge
	Lead     *Value // the description of a system event, or why an attempt failed
	Reason   *Value // the reason that was given
	Notes    []Note
	Diff     *Diff
	Trace    *Trace
	Details  []Details // filters of an export, metadata: tables of names and values
	Before   *Table    // what changed just before a system event
	// Resolution is the history of a system event and what may be done.
	Resolution *Resolution
	Around     []Around
	Facts      []Fact
	Raw        string // the event in JSON, indented
	JSONHref   string
	Evidence   *Evidence
	Held       *Note // the legal hold it is under: then neither of the two forms
	Redact     *Choose
	Holds      []Link // to the form that places a hold on what this is about
	Delete     *NoteForm
}

// Note is a remark on the event that a reader must not miss.
type Note struct {
	Icon Icon
	Tone Tone
	Text []Span
}

// Fact is one label beside the event, with the lines under it.
type Fact struct {
	Label string
	Lines []FactLine
}

// FactLine is one line of a fact.
type FactLine struct {
	Spans []Span
	Time  *Time
	Key   bool   // the line one looks for: larger
	Mono  bool   // an identifier
	Fold  string // the text folds under this summary: "user agent"
	Long  bool   // sentences of several lines
}

// Around are the events before and after that share something with this one.
type Around struct {
	Label   string // "Same object"
	Href    string // all of them
	Note    string // "Order 10482, 6 events"
	Earlier *Near  // nil: there is none
	Later   *Near
}

// Near is a neighbouring event.
type Near struct {
	Spans []Span
	Href  string
	Note  string // "14:31:52, 15 s before"
}

// Details is a table of names and values.
type Details struct {
	Title string
	Note  string
	Rows  []Detail
}

// Detail is one name and its value.
type Detail struct {
	Name  string
	Value Value
}

// Evidence is what shows that the event is as it was recorded.
type Evidence struct {
	Badge Badge // "verified", "not verified yet", "does not hold"
	Text  string
	Rows  []Detail
	Proof *Link // its download
}

// Choose is a GET form that leads on to what one of its choices means.
type Choose struct {
	Action  string
	Field   string
	Title   string // "Redact a field…": the form folds under it
	Lead    string
	Label   string
	Choices []Choice
	Button  string
}

// NoteForm is a POST form with one text that is required.
type NoteForm struct {
	Action  string
	Field   string // note or reason
	Title   string // "Delete this event…": the form folds under it; "" does not fold
	Lead    string // what will happen
	Label   string
	Hint    string
	Text    string // as it was typed before
	Error   string // why it was refused
	Button  string
	Icon    Icon
	Destroy bool
	Hidden  []Hidden
}
