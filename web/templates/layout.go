package templates

// Layout is what surrounds every page.
type Layout struct {
	Title  string // of the window, without the product's name
	Assets Assets
	Theme  string // "light", "dark", or "" for what the system says
	Nav    []NavItem
	Search *Search  // nil: the page has no search box
	Zone   ZoneMenu // shown to who is signed in
	// Account is nil for a stranger; then neither navigation nor search nor
	// menus are shown.
	Account *AccountMenu
	Flash   *Flash // what the last action did
	// Alarm says what keeps the whole server from its work, nil where nothing
	// does.
	Alarm *Banner
	// Warning says what of the server may lose what was acknowledged, nil for
	// nothing. Its Since is empty.
	Warning *Banner
	// HelpHref leads to the help page, whose #keys are the keys.
	HelpHref string
	// HealthHref leads to the page of the server's health, "" for who may not.
	HealthHref string
	Version    string // "auditadmin 0.1.0, SQLite 3.51.1"
	// Printed is the line that only paper shows: zone, who, when.
	Printed string
	Made    string // "38 ms": how long the page took, or ""
	Fresh   string // "Read from a replica, up to date.", or ""
}

// Assets are the URLs of static files.
type Assets struct{ Style, Script, Favicon string }

// NavItem is one entry of the main navigation.
type NavItem struct {
	Label   string
	Href    string
	Current bool  // the page, or a page below it
	Open    *Link // "7 open": what waits for a person, and where it is listed
}

// Search is the search box. It is a GET form with the field q.
type Search struct {
	Action      string // the list that is searched: "/audit-logs"
	Kind        string // "audit_log", for suggestions
	Label       string // "Search audit logs"
	Placeholder string // an example of a query
	Query       string // as it was typed
	Invalid     bool   // Query has a mistake; the page says which
	SuggestURL  string // "/suggest.json", or "" for no suggestions
	HelpHref    string // the help on the language for this kind
	Keep        []Hidden
}

// ZoneMenu is the choice of the time zone.
type ZoneMenu struct {
	Name    string // "Europe/Paris"
	Short   string // "Paris"
	Choices []Zone
	// Action is where the form for any other zone leads: a GET form with the
	// field tz and the fields of Keep.
	Action string
	Keep   []Hidden
}

// Zone is one choice of the menu.
type Zone struct {
	Name    string
	Now     string // "14:35, UTC+02:00"
	Href    string
	Current bool
}

// AccountMenu is what somebody who is signed in finds under his name.
type AccountMenu struct {
	Name         string
	Role         string
	OwnHref      string // what he did himself
	SelfHref     string // his account
	AccountsHref string // "" if he may not
	HoldsHref    string // the same
	HealthHref   string // the same
	LogoutAction string // a POST form without fields
	Themes       []Link // system, light, dark
}

// Banner stands above every page while something is wrong with the server.
type Banner struct {
	Title string // "The disk is full"
	Since Time   // empty where it was so from the start
	Text  string // what that means, and what to do
	Calm  bool   // it is so on purpose
}

// Flash says what the last action did.
type Flash struct {
	Tone Tone // Sure or Alarm
	Text string
	Link *Link // where to see it
}
