package audit

import (
	"context"
	"net/netip"
)

// A Locator says where an address is. What it does not know is "". It is asked
// for each attempt to sign in, from many goroutines, and has to be quick.
type Locator interface {
	Locate(netip.Addr) (country, city string)
}

// Locate has country and city of attempts to sign in looked up, where the
// application does not give them.
func Locate(l Locator) Option { return optionFunc(func(s *settings) { s.locator = l }) }

// LoginSucceeded records that somebody signed in under a name.
func (r *Recorder) LoginSucceeded(ctx context.Context, username string) error {
	return r.LogLoginAttempt(ctx, LoginAttempt{Username: username, Status: "SUCCESS"})
}

// LoginFailed records that somebody tried to sign in under a name, as it was
// typed, and why that failed: "wrong password".
func (r *Recorder) LoginFailed(ctx context.Context, username, reason string) error {
	return r.LogLoginAttempt(ctx, LoginAttempt{Username: username, Status: "FAILED", FailureReason: reason})
}

// LoginBlocked records that an attempt was refused before the password was
// looked at, and why: "too many attempts", "account disabled".
func (r *Recorder) LoginBlocked(ctx context.Context, username, reason string) error {
	return r.LogLoginAttempt(ctx, LoginAttempt{Username: username, Status: "BLOCKED", FailureReason: reason})
}

// LoggedOut records that somebody signed out: an audit log with the action
// LOGOUT, because nothing was attempted.
func (r *Recorder) LoggedOut(ctx context.Context, username string) error {
	a := AuditLog{Action: "LOGOUT", Username: username}
	if u := UserFrom(ctx); u.Name == username {
		a.UserID = u.ID
	}
	return r.LogAuditEvent(ctx, a)
}

// locate fills country and city of a normalized attempt to sign in.
func (r *Recorder) locate(e *Event) {
	if r.locator == nil || e.Get("country") != "" || e.Get("city") != "" {
		return
	}
	addr, err := netip.ParseAddr(e.Get("ip_address"))
	if err != nil {
		return
	}
	country, city := r.locator.Locate(addr)
	if normalizeText(&country) == "" {
		e.Set("country", country)
	}
	if normalizeText(&city) == "" {
		e.Set("city", city)
	}
}
