package templates

// LoginPage is the way in: a POST form with the fields username, password and
// next.
type LoginPage struct {
	Layout
	Action   string
	Username string
	Next     string
	Then     string // where it goes on: "audit logs"
	Error    string
	Hint     string // after Error: when to try again
	Notice   string // "You are signed out."
	Insecure bool   // plain http on an address that is not loopback
	// IssuerHref leads to the sign-in service; "" where there is none.
	IssuerHref string
	IssuerName string
}

// PasswordPage changes one's own password: a POST form with the fields current,
// password and again.
type PasswordPage struct {
	Layout
	Action string
	Rule   string
	Error  string
	Wrong  string // the field that Error is about
}
