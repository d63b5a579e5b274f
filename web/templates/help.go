package templates

// HelpPage explains the query language of one kind, and the keys.
type HelpPage struct {
	Layout
	Kinds    []Link // the four; Current is the one shown
	Fields   []HelpField
	Text     string // what free text looks at: "username, object, …"
	Examples []HelpExample
}

// HelpField is one key of the language.
type HelpField struct {
	Key     string
	Label   string
	Doc     string
	Example string
	Href    string // the example, searched
}

// HelpExample is a whole query and what it asks.
type HelpExample struct {
	Query string
	Says  string
	Href  string
}
