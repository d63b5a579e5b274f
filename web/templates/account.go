package templates

// AccountPage is what somebody sees of his own account.
type AccountPage struct {
	Layout
	Name      string
	Role      string
	Does      string // what the role may do
	Issuer    string // who vouches for it, or "" for an account with a password
	Created   Time
	LastLogin *Time
	// PasswordHref leads to the form for another password; "" where an issuer
	// keeps it.
	PasswordHref string
	Factor       Factor
	Sessions     []Session
	// Others is how many other sessions there are, "2 other sessions", or "".
	Others       string
	OthersAction string
}

// Factor is the second factor of an account.
type Factor struct {
	Since        *Time  // nil: there is none
	Left         string // "8 recovery codes are left"
	Few          bool   // so few that new ones are due
	Required     bool
	SetUpHref    string
	CodesAction  string
	RemoveAction string
}

// FactorPage sets up a second factor: a POST form with the fields offer and code.
type FactorPage struct {
	Layout
	Action   string
	Required bool // nothing else is open before it is done
	Name     string
	Logout   string // the form that signs out, where there is no menu for it
	Offer    string // sent back as it is
	Secret   string // in groups of four
	QR       QR
	Error    string
}

// QR is a code for cameras: squares of one unit on a field of Size units.
type QR struct {
	Size int
	Path string // of an SVG
}

// RecoveryPage shows recovery codes, this once.
type RecoveryPage struct {
	Layout
	Headline string
	Codes    []string
	Next     Link
}
