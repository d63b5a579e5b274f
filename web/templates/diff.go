package templates

// Diff shows what changed: a field in a row, before beside after.
type Diff struct {
	Caption string // "5 fields"
	Fields  []DiffField
	// Created and Deleted leave out the column in which nothing stands.
	Created bool
	Deleted bool
}

// DiffField is one field that changed.
type DiffField struct {
	Name string
	Note string // "text, 2 places differ"; "JSON, 5 of 14 elements differ"
	Hit  bool   // the search found the name
	// Before and After are the values; nil says that there was none.
	Before *Value
	After  *Value
	// Missing is said for a nil value: "not there", "removed", "empty".
	MissingBefore string
	MissingAfter  string
	// Paths are the places of a JSON value that differ; Before and After are
	// not shown then.
	Paths []DiffPath
	Same  *Same
}

// DiffPath is one place within a JSON value.
type DiffPath struct {
	Path          string // .refund.amount
	Before        *Value
	After         *Value
	MissingBefore string
	MissingAfter  string
}

// Same folds what did not change.
type Same struct {
	Title string // "9 elements that did not change"
	Text  string
}
