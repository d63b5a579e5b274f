package templates

// Facets are the values of the fields beside the list, with their counts.
type Facets struct {
	Groups []Facet
	Note   string // what the counts are over
}

// Facet is one field.
type Facet struct {
	Key    string // "user"
	Label  string // "User"
	Note   string // "of the newest 10,000", where the counts are capped
	Values []FacetValue
	More   *Link // "9 more"; without Href it is only a text
}

// FacetValue is one value of a field.
type FacetValue struct {
	Label       string // the value, or "empty"
	Blank       bool   // the value is the empty one
	Count       int64
	CountText   string // "9,861"
	IncludeHref string // toggles the value
	ExcludeHref string // toggles its exclusion
	Included    bool
	Excluded    bool
}
