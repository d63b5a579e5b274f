package templates

// ErrorPage says why a request was refused, by which rule, and what to do.
type ErrorPage struct {
	Layout
	Status    int
	Headline  string // "There is no such event"
	Text      []Span
	Rule      string // the rule that refused it
	Query     *BadQuery
	Grave     *Grave // 410
	Links     []Link // ways on
	Typed     string // what was typed into the form that was refused, to be copied
	RequestID string // of a 5xx, to tell to the operator
	Retry     string // "Try again in 30 s."
}

// BadQuery points at the mistake in a query.
type BadQuery struct {
	Before  string // the query up to the mistake
	Wrong   string // the wrong word; "" where something is missing at the end
	After   string
	Message string
	Place   string // "character 17"
	Fix     *Link  // Text is the corrected query
	Words   []Link // valid keys
}

// Grave is what stays of a deleted event.
type Grave struct {
	What   string // "an audit log"
	Was    Time   // when the event had happened
	Taken  string // "Deleted" or "Purged"
	When   Time
	Who    Link
	Reason string
	Record string // #48,201,312; "" where there is none of each event
}

// ConfirmPage asks once more before something that concerns many events. It is
// a POST form with Hidden and one text.
type ConfirmPage struct {
	Layout
	Crumbs   []Link
	Headline string // "Resolve 1,204 system events?"
	Lead     []Span
	Query    string
	Facts    []Detail
	Form     NoteForm
	Cancel   Link
	Sample   *Table // the first of them
	More     string // "and 1,199 more"
}
