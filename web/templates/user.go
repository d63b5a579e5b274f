package templates

// UserPage is everything about one user, across the four kinds.
type UserPage struct {
	Layout
	Headline string // alice
	Lead     string // "user 7; 18,402 events from 12 January 2024 to 3 minutes ago"
	Meant    []Span // names like this one, where nobody has it
	Sums     []Sum
	When     *When
	Facts    []Fact // addresses, agents, names
	Sections []UserSection
}

// UserSection is what there is of one kind.
type UserSection struct {
	Title string // "Audit logs"
	Count Count
	Href  string // all of them
	Table Table
	None  string // said where there is nothing
}
