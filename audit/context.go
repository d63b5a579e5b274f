package audit

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"
)

// User is somebody as events name him: a plain id and the name of the moment.
type User struct {
	ID   string
	Name string
}

// IsZero reports whether u is nobody.
func (u User) IsZero() bool { return u == User{} }

// RequestInfo is what the events of one request have in common. Middleware
// makes one for each request; a program with a transport of its own makes its
// own and gives it to [WithRequest]. The exported fields do not change after
// that. It is shared by pointer and never copied.
type RequestInfo struct {
	ID         string // request_id of its events
	SessionKey string // "" where it is not known yet; see SetSession
	Method     string
	Path       string
	UserAgent  string
	Address    netip.Addr // of the client itself, behind trusted proxies
	Start      time.Time

	user    atomic.Pointer[User]
	session atomic.Pointer[string]
}

// User returns who makes the request, as far as [SetUser] has said.
func (q *RequestInfo) User() User {
	if u := q.user.Load(); u != nil {
		return *u
	}
	return User{}
}

// Session returns the session's key: the last one given to [SetSession], or
// else SessionKey.
func (q *RequestInfo) Session() string {
	if s := q.session.Load(); s != nil {
		return *s
	}
	return q.SessionKey
}

type contextKey int

const (
	keyUser contextKey = iota
	keyOnBehalfOf
	keySource
	keyModule
	keyReason
	keyRequest
	keyPaused
	keyOwn
)

// WithUser says who acts in everything that is recorded with the returned
// context. Jobs and commands use it, where there is no request; in one it goes
// before what SetUser said.
func WithUser(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, keyUser, u)
}

// UserFrom returns who acts: the one of WithUser, or else who makes the
// request, or else nobody.
func UserFrom(ctx context.Context) User {
	if u, ok := ctx.Value(keyUser).(User); ok {
		return u
	}
	if q := RequestFrom(ctx); q != nil {
		return q.User()
	}
	return User{}
}

// SetUser says who makes the request of ctx, for every event of the request
// from now on, those of the middleware outside included. An application calls
// it where it learns it: after the session was read or the sign-in succeeded.
// It reports whether ctx belongs to a request; where it does not, it did
// nothing.
func SetUser(ctx context.Context, u User) bool {
	q := RequestFrom(ctx)
	if q == nil {
		return false
	}
	q.user.Store(&u)
	return true
}

// SetSession says which session the request of ctx belongs to, as SetUser says
// by whom it is made. Give a name of the session that opens nothing, such as a
// hash: whoever reads events reads it.
func SetSession(ctx context.Context, key string) bool {
	q := RequestFrom(ctx)
	if q == nil {
		return false
	}
	q.session.Store(&key)
	return true
}

// OnBehalfOf says for whom the user acts: an administrator who looks at the
// site as a customer, a job that does what somebody ordered. The user stays who
// acts; u stands in the metadata as on_behalf_of and on_behalf_of_id.
func OnBehalfOf(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, keyOnBehalfOf, u)
}

// WithSource says which process or part of one the events come through, and
// goes before the option Source.
func WithSource(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, keySource, name)
}

// WithModule says which part of the application acts, and goes before the
// option Module.
func WithModule(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, keyModule, name)
}

// WithReason says why, for the audit logs that do not say it themselves.
func WithReason(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, keyReason, reason)
}

// WithRequest makes a request known to what is recorded with the returned
// context.
func WithRequest(ctx context.Context, q *RequestInfo) context.Context {
	return context.WithValue(ctx, keyRequest, q)
}

// RequestFrom returns the request of ctx, or nil.
func RequestFrom(ctx context.Context) *RequestInfo {
	q, _ := ctx.Value(keyRequest).(*RequestInfo)
	return q
}

// Paused silences what is recorded with the returned context: migrations,
// fixtures, bulk repairs. Audit logs and system events of type INFO and
// PERFORMANCE are skipped, and counted as such; sign-ins, exports, errors,
// warnings and security events are recorded all the same.
func Paused(ctx context.Context) context.Context { return context.WithValue(ctx, keyPaused, true) }

// IsPaused reports whether ctx is silenced. Integrations ask before they read a
// row only to compare it.
func IsPaused(ctx context.Context) bool {
	paused, _ := ctx.Value(keyPaused).(bool)
	return paused
}

// own marks what the recorder does for itself, so that what it logs meanwhile
// is not recorded again.
func own(ctx context.Context) context.Context { return context.WithValue(ctx, keyOwn, true) }

func isOwn(ctx context.Context) bool { return ctx.Value(keyOwn) != nil }

func textFrom(ctx context.Context, key contextKey) string {
	s, _ := ctx.Value(key).(string)
	return s
}

// fill gives an event what it lacks and the context knows.
func (r *Recorder) fill(ctx context.Context, e *Event) {
	if e.Source == "" {
		e.Source = first(textFrom(ctx, keySource), r.source)
	}
	put := func(field, value string) {
		if i := e.Kind.Index(field); i >= 0 && e.values[i] == "" {
			e.values[i] = value
		}
	}
	// A name and an id of two people in one event would be worse than neither. An
	// attempt to sign in has the name that was typed, and no other.
	if u := UserFrom(ctx); !u.IsZero() && e.Has("user_id") && e.Get("user_id") == "" && e.Get("username") == "" {
		e.Set("user_id", u.ID)
		e.Set("username", u.Name)
	}
	if q := RequestFrom(ctx); q != nil {
		put("request_id", q.ID)
		put("session_key", q.Session())
		put("user_agent", q.UserAgent)
		if q.Address.IsValid() {
			put("ip_address", q.Address.String())
		}
	}
	put("module", first(textFrom(ctx, keyModule), r.module))
	put("reason", textFrom(ctx, keyReason))
	if u, ok := ctx.Value(keyOnBehalfOf).(User); ok && !u.IsZero() {
		meta := &e.values[e.Kind.Index("metadata")]
		if _, err := checkJSON(*meta); err == nil || *meta == "" { // else Normalize says what is wrong
			if u.Name != "" {
				*meta = addMember(*meta, "on_behalf_of", u.Name)
			}
			if u.ID != "" {
				*meta = addMember(*meta, "on_behalf_of_id", u.ID)
			}
		}
	}
}

// first returns the first of the texts that is not empty.
func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
