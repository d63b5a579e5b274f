package authz

import (
	"errors"
	"net/http"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

// challengeLife is how long a sign-in waits for the code of a second factor.
const challengeLife = 5 * time.Minute

// challengeSuffix is what the cookie of half a sign-in is called after that of a
// session.
const challengeSuffix = "-code"

// ErrCodeNeeded is returned for a sign-in whose first half is right and whose
// account has a second factor: SignInCode does the rest.
var ErrCodeNeeded = errors.New("a code of the second factor is needed")

// ErrChallenge is returned for a code that belongs to no half of a sign-in: it
// took too long, or there was none.
var ErrChallenge = errors.New("that took too long; sign in once more")

// challenge keeps the first half of a sign-in and sets its cookie.
func (g *Gate) challenge(w http.ResponseWriter, r *http.Request, a *db.Account, by db.Actor, method string) error {
	id := newSecret()
	if err := g.store.CreateChallenge(r.Context(), by, hashID(id), a, method, g.store.Now().Add(challengeLife)); err != nil {
		return err
	}
	g.setCookie(w, r, challengeSuffix, id, challengeLife)
	return ErrCodeNeeded
}

// Challenged returns the name of the account whose sign-in waits for a code, and
// "" where none does.
func (g *Gate) Challenged(r *http.Request) (string, error) {
	_, c, err := g.challenged(r)
	if errors.Is(err, ErrChallenge) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return c.Account.Name, nil
}

func (g *Gate) challenged(r *http.Request) (idHash []byte, c *db.Challenge, err error) {
	id := g.cookieValue(r, challengeSuffix)
	if len(id) != idLength {
		return nil, nil, ErrChallenge
	}
	idHash = hashID(id)
	c, err = g.store.Challenge(r.Context(), idHash)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil, ErrChallenge
	}
	if err != nil {
		return nil, nil, err
	}
	now := g.store.Now()
	// A clock that was set back must not give it more time.
	if c.Account.Disabled || !now.Before(c.ExpiresAt) || c.ExpiresAt.Sub(now) > challengeLife+clockSlack {
		return nil, nil, ErrChallenge
	}
	return idHash, c, nil
}

// SignInCode completes the sign-in that waits for a code, as SignIn does: with a
// code of the account's second factor, or with a recovery code. The error is
// ErrCode, ErrChallenge, a *TooManyError, wraps ErrSeal, or is one of the
// database; then there is no session.
func (g *Gate) SignInCode(w http.ResponseWriter, r *http.Request, code string) (*db.Account, error) {
	idHash, c, err := g.challenged(r)
	if err != nil {
		return nil, err
	}
	a := g.attempt(r, c.Account.Name)
	wait, refund := g.throttle.address(ClientFrom(r.Context()).Addr, a.now)
	if wait > 0 {
		return nil, a.blockedAddress(wait)
	}
	how, reason, err := g.checkCode(r.Context(), c.Account, code)
	var many *TooManyError
	switch {
	case errors.As(err, &many):
		return nil, a.blocked(db.CodeKey(c.Account.ID), "too many codes for this account", many.Wait)
	case err != nil:
		return nil, err
	case how == "":
		a.failed(reason)
		return nil, ErrCode
	}
	refund()
	err = g.open(w, r, opening{account: c.Account, by: a.actor, method: c.Method + " and " + how, challenge: idHash})
	if errors.Is(err, db.ErrConflict) {
		a.failed("the account changed at that moment")
		return nil, ErrChallenge
	}
	if err != nil {
		return nil, err
	}
	g.dropCookie(w, r, challengeSuffix)
	return c.Account, nil
}

// setCookie sets a cookie beside the session's, for a few minutes.
func (g *Gate) setCookie(w http.ResponseWriter, r *http.Request, suffix, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: g.sessions.cookieName(r) + suffix, Value: value, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, Secure: g.secure(r), SameSite: http.SameSiteLaxMode})
}

func (g *Gate) dropCookie(w http.ResponseWriter, r *http.Request, suffix string) {
	g.setCookie(w, r, suffix, "", -time.Second)
}

func (g *Gate) cookieValue(r *http.Request, suffix string) string {
	c, err := r.Cookie(g.sessions.cookieName(r) + suffix)
	if err != nil {
		return ""
	}
	return c.Value
}
