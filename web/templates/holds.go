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
	Error   string
}

// RetentionDays is the field of one kind.
type RetentionDays struct {
	Field, Label string
	Days         string // "" for ever
}

// HoldForm places a hold.
type HoldForm struct {
	Action string
	Kinds  []Choice
	Query  string
	Reason string
	Error  string
	Open   bool
}

// Hold is one legal hold.
type Hold struct {
	Number   string
	Covers   string // "audit logs", "all kinds of events"
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
