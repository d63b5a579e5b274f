package authz

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/auditadmin/auditadmin/internal/db"
)

// Identity is who makes a request: an account in one of its sessions, a token,
// or, where all are nil, a stranger. It was read from the database for this
// request.
type Identity struct {
	Account *db.Account
	Session *db.Session
	Token   *db.Token

	secret string // the text of the session's cookie
}

type identityKey struct{}

// From returns who makes the request of the context, as Enforce found it.
func From(ctx context.Context) Identity {
	who, _ := ctx.Value(identityKey{}).(Identity)
	return who
}

// SignedIn reports whether an account makes the request.
func (i Identity) SignedIn() bool { return i.Account != nil }

// Name is the name under which deeds are recorded: the account's, or
// "token:NAME", or "" for a stranger.
func (i Identity) Name() string {
	switch {
	case i.Account != nil:
		return i.Account.Name
	case i.Token != nil:
		return "token:" + i.Token.Name
	}
	return ""
}

// Role is the account's role, and "" where there is no account.
func (i Identity) Role() db.Role {
	if i.Account == nil {
		return ""
	}
	return i.Account.Role
}

// May reports whether the rule lets this identity use its route.
func (i Identity) May(rule Rule) bool {
	switch {
	case rule.Right == Public:
		return true
	case i.Token != nil:
		return rule.Token != "" && i.Token.Scope == rule.Token
	case i.Account != nil:
		return rule.Allows(i.Account.Role)
	}
	return false
}

// ActorOf returns who decides what a request asks for, as it is recorded.
func ActorOf(r *http.Request) db.Actor {
	who := From(r.Context())
	a := origin(r)
	a.Name = who.Name()
	if who.Account != nil {
		a.AccountID = who.Account.ID
	}
	if who.Session != nil {
		a.SessionID = who.Session.PublicID
	}
	return a
}

// origin is an actor of no name: where a request came from.
func origin(r *http.Request) db.Actor {
	return db.Actor{Address: ClientFrom(r.Context()).Address(), UserAgent: userAgent(r),
		RequestID: clean(middleware.GetReqID(r.Context()), 200)}
}

func userAgent(r *http.Request) string { return clean(r.UserAgent(), 1000) }

// clean makes a text from outside fit to be recorded: UTF-8, of at most max
// characters.
func clean(s string, max int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := 0
	for i := range s {
		if n == max {
			return s[:i]
		}
		n++
	}
	return s
}
