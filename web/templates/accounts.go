package templates

// AccountsPage manages who and what may come in. All its forms are POST.
type AccountsPage struct {
	Layout
	Accounts     []Account
	Roles        []RoleChoice
	Create       CreateAccount
	Sessions     []Session
	Tokens       []Token
	CreateToken  CreateToken
	PasswordRule string // "At least 12 characters"
}

// RoleChoice is a role and what it may do.
type RoleChoice struct{ Value, Does string }

// Account is one account. The forms have the fields role, disabled ("true" or
// "false") and password. An Action that is "" is not offered; Why says why.
type Account struct {
	Name           string
	Href           string // what it did
	Role           string
	Disabled       bool
	Own            bool // the reader's own
	Created        Time
	LastLogin      *Time // nil: never
	RoleAction     string
	DisableAction  string
	PasswordAction string
	SessionsAction string // ends its sessions
	Issuer         string // who vouches for it, or "" for an account of our own
	Factor         bool   // it has a second factor
	FactorAction   string // resets the second factor
	Sessions       string // "2 sessions", or ""
	Why            string
}

// CreateAccount is the form with the fields name, role and password.
type CreateAccount struct {
	Action string
	Name   string
	Role   string
	Error  string
}

// Session is one open session.
type Session struct {
	Account   string
	Created   Time
	Seen      Time
	Expires   Time
	Address   string
	Agent     string
	Own       bool // the one the page was asked with
	EndAction string
}

// Token is a key for programs.
type Token struct {
	Name         string
	Scope        string
	Created      Time
	CreatedBy    string
	Expires      *Time // nil: never
	Used         *Time // nil: never
	State        *Badge
	RevokeAction string // "" if it is over already
}

// CreateToken is the form with the fields name, scope and expires ("90d").
type CreateToken struct {
	Action string
	Name   string
	Scope  string
	Scopes []RoleChoice
	Expiry []Choice
	Error  string
	// Secret is the token that was made just now; it is shown this once.
	Secret string
}
