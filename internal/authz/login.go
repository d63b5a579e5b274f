package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
)

// ErrSignIn is returned for a name and a password that do not open an account:
// there is none, or the password is another, or it is disabled. Which of them
// it was is recorded and never answered.
var ErrSignIn = errors.New("user name and password do not match")

// ErrCurrentPassword is returned for a change of password by somebody who does
// not know the one in use.
var ErrCurrentPassword = errors.New("the current password is another")

// TooManyError is returned where a password was not even looked at, because
// too many before it were wrong. It is the same for names nobody has.
type TooManyError struct {
	Wait time.Duration // until the next try, above zero
}

// Error says how long to wait, in whole seconds.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many attempts; try again in %d s", e.Seconds())
}

// Seconds is the wait as it stands in Retry-After: rounded up, at least 1.
func (e *TooManyError) Seconds() int {
	return max(1, int((e.Wait+time.Second-1)/time.Second))
}

func (e *TooManyError) retryAfter() string { return strconv.Itoa(e.Seconds()) }

// SignIn opens a session for the account of that name, sets its cookie in w and
// ends the session that the request came with. Every attempt is recorded as a
// login attempt, the ones that were throttled folded into one a minute.
//
// The error is ErrSignIn, ErrCodeNeeded, a *TooManyError, or one of the database;
// then there is no session.
func (g *Gate) SignIn(w http.ResponseWriter, r *http.Request, name, password string) (*db.Account, error) {
	a := g.attempt(r, name)
	wait, refund := g.throttle.address(ClientFrom(r.Context()).Addr, a.now)
	if wait > 0 {
		return nil, a.blockedAddress(wait)
	}
	key := db.AccountKey(a.actor.Name)
	wait, err := g.throttle.charge(r.Context(), key, a.now)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		return nil, a.blocked(key, "too many attempts under this name", wait)
	}
	account, reason, err := g.verify(r.Context(), a.actor.Name, password)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		return nil, a.failed(reason)
	}
	refund()
	if err := g.raise(r.Context(), account, password); err != nil {
		return nil, err
	}
	return a.enter(w, r, account, byPassword)
}

// The first halves of a sign-in, as it is recorded.
const (
	byPassword = "password"
	byIssuer   = "issuer"
)

// enter lets the owner of an account in, or asks for the second half of it.
func (a attempt) enter(w http.ResponseWriter, r *http.Request, account *db.Account, method string) (*db.Account, error) {
	var err error
	if account.HasFactor() {
		err = a.gate.challenge(w, r, account, a.actor, method)
	} else {
		err = a.gate.open(w, r, opening{account: account, by: a.actor, method: method})
	}
	if errors.Is(err, db.ErrConflict) {
		return nil, a.failed("the account changed at that moment")
	}
	if err != nil {
		return nil, err
	}
	return account, nil
}

// verify returns the account of that name if the password is its own, and
// otherwise the reason why nobody is let in. It takes the same steps for both.
func (g *Gate) verify(ctx context.Context, name, password string) (account *db.Account, reason string, err error) {
	account, err = g.store.Account(ctx, name)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return nil, "", err
	}
	hash := ""
	if account != nil {
		hash = account.PasswordHash
	}
	ok, err := g.passwords.Verify(ctx, hash, password)
	switch {
	case err != nil:
		return nil, "", err
	case account == nil:
		return nil, "no such account", nil
	case !ok:
		return nil, "wrong password", nil
	case account.Disabled:
		return nil, "the account is disabled", nil
	case g.breakGlass != "" && query.Fold(account.Name) != query.Fold(g.breakGlass):
		return nil, "passwords are switched off", nil
	}
	return account, "", nil
}

// opening is a session that is to be opened.
type opening struct {
	account   *db.Account
	by        db.Actor // with the name that was typed
	method    string
	challenge []byte // the hash of the id of its first half, or nil
}

// open opens a session of an account in place of the one the request has, if
// any: an id from before signing in is worth nothing after it.
func (g *Gate) open(w http.ResponseWriter, r *http.Request, o opening) error {
	se, err := g.sessions.Get(r, g.sessions.cookieName(r))
	if err != nil {
		return err
	}
	se.IsNew = true
	se.Values[valueAccount], se.Values[valueActor], se.Values[valueOpening] = o.account, o.by, o
	return se.Save(r, w)
}

// SignOut ends the request's session, takes its cookie back and records that.
// For a stranger it only takes the cookie back.
func (g *Gate) SignOut(w http.ResponseWriter, r *http.Request) error {
	se, err := g.sessions.Get(r, g.sessions.cookieName(r))
	if err != nil {
		return err
	}
	if account, ok := se.Values[valueAccount].(*db.Account); ok {
		by := origin(r)
		by.Name, by.AccountID = account.Name, account.ID
		se.Values[valueActor] = by
	}
	se.Options.MaxAge = -1
	return se.Save(r, w)
}

// Renew gives the request's session another id and sets its cookie: after the
// account changed its own password or role, an id that leaked before opens
// nothing.
func (g *Gate) Renew(w http.ResponseWriter, r *http.Request) error {
	se, err := g.sessions.Get(r, g.sessions.cookieName(r))
	if err != nil || se.IsNew {
		return err
	}
	if err := se.Save(r, w); !errors.Is(err, db.ErrNotFound) { // somebody may just have ended it
		return err
	}
	return nil
}

// ChangePassword gives the account that makes the request another password, if
// it knows the one in use. The account's other sessions end, this one goes on
// under a new id. The error is ErrCurrentPassword, a *TooManyError, wraps
// ErrPassword, or is one of the database; then nothing has changed.
func (g *Gate) ChangePassword(w http.ResponseWriter, r *http.Request, current, chosen string) error {
	who := From(r.Context())
	if who.Account == nil {
		return errors.New("change a password: nobody is signed in")
	}
	if err := g.checkPassword(r.Context(), who.Account, current); err != nil {
		return err
	}
	if chosen == current {
		return fmt.Errorf("%w: it is the one in use", ErrPassword)
	}
	hash, err := g.passwords.New(r.Context(), who.Account.Name, chosen)
	if err != nil {
		return err
	}
	if err := g.store.SetPassword(r.Context(), ActorOf(r), who.Account.ID, hash); err != nil {
		return err
	}
	return g.Renew(w, r)
}

// checkPassword returns nil if password is that of an account somebody is signed
// in to. The error is ErrCurrentPassword, a *TooManyError, or one of the database.
func (g *Gate) checkPassword(ctx context.Context, a *db.Account, password string) error {
	// Not the key of signing in: strangers who guess at the name must not keep
	// its owner from what asks for the password again.
	key := fmt.Sprintf("password:%d", a.ID)
	if err := g.charge(ctx, key); err != nil {
		return err
	}
	ok, err := g.passwords.Verify(ctx, a.PasswordHash, password)
	if err != nil {
		return err
	}
	if !ok {
		return ErrCurrentPassword
	}
	return g.store.ClearThrottle(ctx, key)
}

// attempt is one attempt to sign in, as it is recorded.
type attempt struct {
	gate  *Gate
	ctx   context.Context
	actor db.Actor
	now   time.Time
}

// attempt begins the record of an attempt to sign in under a name.
func (g *Gate) attempt(r *http.Request, name string) attempt {
	a := attempt{gate: g, ctx: r.Context(), actor: origin(r), now: g.store.Now()}
	a.actor.Name = clean(name, db.MaxName)
	if g.places != nil {
		a.actor.Country, a.actor.City = g.places.Locate(ClientFrom(r.Context()).Addr)
	}
	return a
}

func (a attempt) event(status, reason string) *audit.Event {
	e := audit.NewEvent(audit.KindLoginAttempt)
	e.SetTime(a.now)
	e.Set("status", status)
	e.Set("failure_reason", reason)
	return e
}

// failed records an attempt that did not open the account, and returns the one
// error for all of them.
func (a attempt) failed(reason string) error {
	if err := a.gate.record(a.ctx, a.actor, a.event("FAILED", reason)); err != nil {
		a.gate.log.ErrorContext(a.ctx, "record a failed sign-in", "error", err)
	}
	return ErrSignIn
}

// blockedAddress is blocked for all callers of one network.
func (a attempt) blockedAddress(wait time.Duration) error {
	return a.blocked("address "+network(ClientFrom(a.ctx).Addr).String(), "too many attempts from this address", wait)
}

// blocked records an attempt that was not made, and returns the error for it.
// That it cannot be recorded changes nothing for who has to wait.
func (a attempt) blocked(key, reason string, wait time.Duration) error {
	err := a.gate.blocked.add(a.ctx, key, a.now, func(ctx context.Context, count int) error {
		e := a.event("BLOCKED", reason)
		e.Set("metadata", jsonText(map[string]any{"count": count}))
		return a.gate.record(ctx, a.actor, e)
	})
	if err != nil {
		a.gate.log.ErrorContext(a.ctx, "record a throttled sign-in", "error", err)
	}
	return &TooManyError{wait}
}

// raise hashes a password anew where hashes became stronger since. That needs
// the password itself, so it happens when its owner signs in.
func (g *Gate) raise(ctx context.Context, account *db.Account, password string) error {
	if !Outdated(account.PasswordHash) {
		return nil
	}
	hash, err := g.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	if err := g.store.RehashPassword(ctx, account.ID, account.PasswordHash, hash); err != nil {
		return err
	}
	account.PasswordHash = hash
	return nil
}
