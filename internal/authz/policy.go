// Package authz decides who is asking and what they may do: passwords and
// sessions, the throttle on guesses, the one table of routes and rights, and
// the checks and headers every answer passes through.
package authz

import (
	"net/http"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// Right is what a route asks of an account.
type Right int

// The rights. Each of Viewer, Responder and Superuser holds everything of the
// one before it.
const (
	TokenOnly Right = iota // no account at all: a program with a token
	Public                 // anybody; nobody is even asked who they are
	Viewer
	Responder
	Superuser
)

// The scopes of tokens.
const (
	ScopeIngest = "ingest" // may store events
	ScopeRead   = "read"   // may read what a viewer reads, as data
)

// Scopes returns the scopes a token can have.
func Scopes() []string { return []string{ScopeIngest, ScopeRead} }

// Rule says who may use one route.
type Rule struct {
	Method  string // GET covers HEAD too
	Pattern string // as the router names it: "/audit-logs/{id}/delete"
	Right   Right
	Token   string // the scope of token that may use it too, or ""
	// Loopback lets callers from the machine itself in without a token.
	Loopback bool
	// Fresh asks again who it is, where that was last shown five minutes ago.
	// Such a route takes a POST form, which goes on with all it held.
	Fresh bool
	// Reason is the field of the form without which the route does nothing but ask
	// for it; who left it empty is not asked who he is before that. "" is for none.
	Reason string
	// Bare lets a superuser in who still lacks the second factor that he needs
	// for everything else.
	Bare bool
	// Does completes the sentence of a refusal: "Only a superuser may …".
	Does string
}

// Allows reports whether an account of that role has the right to the route.
func (r Rule) Allows(role db.Role) bool {
	switch r.Right {
	case Public:
		return true
	case Viewer:
		return role == db.RoleViewer || role == db.RoleResponder || role == db.RoleSuperuser
	case Responder:
		return role == db.RoleResponder || role == db.RoleSuperuser
	case Superuser:
		return role == db.RoleSuperuser
	}
	return false
}

// Sentence says the rule to somebody it refused.
func (r Rule) Sentence() string {
	who := map[Right]string{
		TokenOnly: "a program with a token of scope " + r.Token,
		Public:    "anybody",
		Viewer:    "an account of auditadmin",
		Responder: "a responder or a superuser",
		Superuser: "a superuser",
	}[r.Right]
	if r.Right == Public {
		return "Anybody may " + r.Does
	}
	return "Only " + who + " may " + r.Does
}

// Rules returns the policy: every route there is, and who may use it. A route
// that is not in it is never served, and a rule here is the only way to open
// one.
func Rules() []Rule {
	rules := []Rule{
		{Method: "GET", Pattern: "/static/*", Right: Public, Does: "load styles and scripts"},
		{Method: "GET", Pattern: "/healthz", Right: Public, Does: "ask whether the server is alive"},
		{Method: "GET", Pattern: "/readyz", Right: Public, Does: "ask whether the server is ready"},
		{Method: "GET", Pattern: "/metrics", Right: TokenOnly, Token: ScopeRead, Loopback: true, Does: "read the metrics"},
		{Method: "GET", Pattern: "/login", Right: Public, Does: "sign in"},
		{Method: "POST", Pattern: "/login", Right: Public, Does: "sign in"},
		{Method: "GET", Pattern: "/login/code", Right: Public, Does: "sign in"},
		{Method: "POST", Pattern: "/login/code", Right: Public, Does: "sign in"},
		{Method: "GET", Pattern: "/login/issuer", Right: Public, Does: "sign in"},
		{Method: "GET", Pattern: "/login/issuer/callback", Right: Public, Does: "sign in"},
		{Method: "POST", Pattern: "/logout", Right: Public, Does: "sign out"},

		{Method: "POST", Pattern: "/api/v1/events", Right: TokenOnly, Token: ScopeIngest, Does: "store events"},

		{Method: "GET", Pattern: "/", Right: Viewer, Does: "see the dashboard"},
		{Method: "GET", Pattern: "/objects", Right: Viewer, Does: "read the history of an object"},
		{Method: "GET", Pattern: "/users", Right: Viewer, Does: "read what a user did"},
		{Method: "GET", Pattern: "/query-help", Right: Viewer, Does: "read the help on queries"},
		{Method: "GET", Pattern: "/suggest.json", Right: Viewer, Token: ScopeRead, Does: "complete a query"},
		{Method: "GET", Pattern: "/account", Right: Viewer, Does: "see their account"},
		{Method: "POST", Pattern: "/account/end-sessions", Right: Viewer, Fresh: true, Does: "end their other sessions"},
		{Method: "POST", Pattern: "/account/sessions/{id}/end", Right: Viewer, Fresh: true, Does: "end a session of theirs"},
		{Method: "GET", Pattern: "/account/second-factor", Right: Viewer, Bare: true, Does: "set up their second factor"},
		{Method: "POST", Pattern: "/account/second-factor", Right: Viewer, Fresh: true, Bare: true, Does: "set up their second factor"},
		{Method: "POST", Pattern: "/account/second-factor/remove", Right: Viewer, Fresh: true, Does: "turn off their second factor"},
		{Method: "POST", Pattern: "/account/recovery-codes", Right: Viewer, Fresh: true, Does: "make new recovery codes"},
		{Method: "GET", Pattern: "/account/password", Right: Viewer, Does: "change their password"},
		{Method: "POST", Pattern: "/account/password", Right: Viewer, Does: "change their password"},
	}
	for _, kind := range audit.Kinds() {
		rules = append(rules, kindRules(kind)...)
	}
	return append(rules, []Rule{
		{Method: "POST", Pattern: "/system-events/resolve", Right: Responder, Does: "resolve system events"},
		{Method: "POST", Pattern: "/system-events/{id}/resolve", Right: Responder, Does: "resolve system events"},
		{Method: "POST", Pattern: "/system-events/{id}/reopen", Right: Responder, Does: "reopen system events"},

		{Method: "GET", Pattern: "/health", Right: Superuser, Does: "see how the server is"},
		{Method: "GET", Pattern: "/health.json", Right: Superuser, Does: "see how the server is"},

		{Method: "GET", Pattern: "/holds", Right: Superuser, Does: "see legal holds and the retention"},
		{Method: "POST", Pattern: "/holds", Right: Superuser, Fresh: true, Reason: "reason", Does: "place legal holds"},
		{Method: "POST", Pattern: "/holds/{id}/release", Right: Superuser, Fresh: true, Does: "release legal holds"},
		{Method: "POST", Pattern: "/retention", Right: Superuser, Fresh: true, Does: "change the retention"},

		{Method: "GET", Pattern: "/accounts", Right: Superuser, Does: "manage accounts, sessions and tokens"},
		{Method: "POST", Pattern: "/accounts", Right: Superuser, Fresh: true, Does: "create accounts"},
		{Method: "POST", Pattern: "/accounts/{id}/role", Right: Superuser, Fresh: true, Does: "change roles"},
		{Method: "POST", Pattern: "/accounts/{id}/disable", Right: Superuser, Fresh: true, Does: "disable accounts"},
		{Method: "POST", Pattern: "/accounts/{id}/enable", Right: Superuser, Fresh: true, Does: "enable accounts"},
		{Method: "POST", Pattern: "/accounts/{id}/password", Right: Superuser, Fresh: true, Does: "set passwords"},
		{Method: "POST", Pattern: "/accounts/{id}/reset-totp", Right: Superuser, Fresh: true, Does: "reset second factors"},
		{Method: "POST", Pattern: "/accounts/{id}/end-sessions", Right: Superuser, Fresh: true, Does: "end sessions"},
		{Method: "POST", Pattern: "/sessions/{id}/end", Right: Superuser, Fresh: true, Does: "end sessions"},
		{Method: "POST", Pattern: "/tokens", Right: Superuser, Fresh: true, Does: "create tokens"},
		{Method: "POST", Pattern: "/tokens/{id}/revoke", Right: Superuser, Fresh: true, Does: "revoke tokens"},
	}...)
}

// kindRules are the routes that each kind of event has.
func kindRules(kind audit.Kind) []Rule {
	path, read := "/"+kind.Path(), "read "+kind.Plural()
	rules := []Rule{
		{Method: "GET", Pattern: path, Right: Viewer, Does: read},
		{Method: "GET", Pattern: path + "/{id}", Right: Viewer, Does: read},
	}
	rules = append(rules,
		Rule{Method: "GET", Pattern: path + "/{id}/proof", Right: Viewer, Token: ScopeRead, Does: read},
		Rule{Method: "GET", Pattern: path + "/evidence.zip", Right: Superuser, Does: "hand out evidence of " + kind.Plural()},
	)
	for _, twin := range []string{".json", ".csv", ".ndjson", "/{id}.json", "/facets.json", "/timeline.json"} {
		rules = append(rules, Rule{Method: "GET", Pattern: path + twin, Right: Viewer, Token: ScopeRead, Does: read})
	}
	return append(rules,
		Rule{Method: "POST", Pattern: path + "/delete", Right: Superuser, Fresh: true, Reason: "reason", Does: "delete " + kind.Plural()},
		Rule{Method: "POST", Pattern: path + "/{id}/delete", Right: Superuser, Fresh: true, Reason: "reason", Does: "delete " + kind.Plural()},
		Rule{Method: "GET", Pattern: path + "/{id}/redact", Right: Superuser, Does: "redact " + kind.Plural()},
		Rule{Method: "POST", Pattern: path + "/{id}/redact", Right: Superuser, Fresh: true, Reason: "reason", Does: "redact " + kind.Plural()},
	)
}

// Policy finds the rule of a route. It is made once, by NewPolicy.
type Policy struct{ rules map[string]Rule }

// NewPolicy returns a policy of those rules. It panics if two rules are about
// the same route, because then one of them would silently not hold.
func NewPolicy(rules []Rule) *Policy {
	p := &Policy{rules: make(map[string]Rule, len(rules))}
	for _, r := range rules {
		key := r.Method + " " + r.Pattern
		if _, twice := p.rules[key]; twice {
			panic("authz: two rules for " + key)
		}
		p.rules[key] = r
	}
	return p
}

// Rule returns the rule of a route, and whether there is one. A HEAD request
// has the rule of GET.
func (p *Policy) Rule(method, pattern string) (Rule, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	r, ok := p.rules[method+" "+pattern]
	return r, ok
}
