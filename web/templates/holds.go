package templates

// HoldsPage is what is kept, and for how long: the retention and the legal holds.
type HoldsPage struct {
	Layout    Layout
	Retention RetentionForm
	Place     HoldForm
	Holds     []Hold // newest first
}

// RetentionForm says how long each kind of event is kept.
type RetentionForm struct {
	Action  string
	Kinds   []RetentionDays
	Archive string
	// Archived says where events go before they are purged: a folder, or nowhere.
	Archived     string
	ArchiveWrong bool
	Error        string
}

// RetentionDays is the field of one kind.
type RetentionDays struct {
	Field string
	Title string // "Audit logs"
	Kept  string // as it is set now: "for ever", "3,650 days"
	Days  string // in the form; "" for ever
	Wrong bool
}

// HoldForm places a hold.
type HoldForm struct {
	Action string
	Kinds  []Choice
	Query  string
	Reason string
	Error  string
	Wrong  string // the field that Error is about: query, reason
	Open   bool
}

// Hold is one legal hold.
type Hold struct {
	Number   string
	Covers   string // "all audit logs", "audit logs" where a query narrows them
	Query    string // "" is everything
	Links    []Link // to what it covers
	Reason   string
	Since    Time
	By       Link
	Released *Release
	Release  *NoteForm // nil where it is released
}

// Release says how a hold ended.
type Release struct {
	When   Time
	By     Link
	Reason string
}
