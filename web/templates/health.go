package templates

// HealthPage says how the server and its database are.
type HealthPage struct {
	Layout
	Kicker   string
	Headline string      // "All is well", "2 things to look at"
	Worries  []Attention // what calls for somebody, and what to do about it
	Quiet    string      // said where nothing does
	Sums     []Sum       // without links
	Kinds    []HealthKind
	Slow     []HealthSlow // the slowest pages of the last hour, slowest first
	Facts    []Fact
	Files    Side // with their sizes
}

// HealthKind is one kind of event as it is stored.
type HealthKind struct {
	Name       Link
	Events     string
	Newest     string // "2 minutes ago"
	Segments   string
	Tail       string
	Searchable string // "up to date", "1,204 behind"
}

// HealthSlow is one answer that took long.
type HealthSlow struct {
	Took   string // "812.4 ms"
	Alarm  bool
	Method string
	Path   string
	Status string
	At     Time
}
