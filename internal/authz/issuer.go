package authz

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/auditadmin/auditadmin/internal/db"
)

// IssuerOptions are what signing in by OpenID Connect needs to know.
type IssuerOptions struct {
	URL          string // of the issuer, as its tokens name it
	ClientID     string
	ClientSecret string
	// Callback is the address of our /login/issuer/callback, as the issuer knows it.
	Callback string
	Scopes   []string // beside openid and profile
	// RoleClaim is the claim of the ID token that says what somebody may do: a
	// text or a list of texts, within objects where it has dots.
	RoleClaim string
	// Roles say which value of the claim gives which role; of several the highest
	// one counts, and who has none does not come in.
	Roles map[string]db.Role
	// NameClaim is the claim that an account is named by when it is made.
	NameClaim string
	// Client makes the requests; nil means one of our own with a time limit.
	Client *http.Client
}

// issuer is where people may sign in beside passwords. It is found out about when
// somebody first wants to sign in there, so that its absence keeps nothing from
// starting. It is safe for concurrent use.
type issuer struct {
	IssuerOptions
	now func() time.Time

	mu       sync.Mutex
	provider *oidc.Provider // nil until it has answered
}

const (
	issuerTime   = 10 * time.Second // for the requests to the issuer of one sign-in
	issuerLife   = 10 * time.Minute // from leaving for the issuer to coming back
	issuerSuffix = "-issuer"        // of the cookie, after the name of a session's
	issuedAtMost = 5 * time.Minute  // how old an ID token may be, whatever it says itself
)

// ErrIssuer is wrapped where signing in at the issuer failed for a reason that
// whoever runs the servers has to look into.
var ErrIssuer = errors.New("the sign-in service does not answer as it should")

// ErrIssued is wrapped by the refusal of a sign-in that the issuer sent back. The
// message of the whole error is for the person.
var ErrIssued = errors.New("the sign-in service did not let you in")

func newIssuer(o IssuerOptions, now func() time.Time) *issuer {
	if o.Client == nil {
		// Whoever the issuer would send us on to is not the one that was configured.
		o.Client = &http.Client{Timeout: issuerTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &issuer{IssuerOptions: o, now: now}
}

// IssuerName is how the sign-in page calls the issuer, and "" where there is none.
func (g *Gate) IssuerName() string {
	if g.issuer == nil {
		return ""
	}
	u, err := url.Parse(g.issuer.URL)
	if err != nil {
		return g.issuer.URL
	}
	return u.Host
}

// errand is what a browser keeps while it is at the issuer. All that has to fit
// together afterwards is derived from its one secret, so that nothing is stored
// here for strangers: whoever comes back without the cookie comes from nowhere.
type errand struct {
	secret string
	again  bool   // somebody signed in shows again who he is
	next   string // where to go on
}

func (e errand) derive(what string) string {
	mac := hmac.New(sha256.New, []byte(e.secret))
	mac.Write([]byte(what))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (e errand) String() string {
	again := "0"
	if e.again {
		again = "1"
	}
	return e.secret + again + base64.RawURLEncoding.EncodeToString([]byte(e.next))
}

func parseErrand(text string) (errand, bool) {
	if len(text) <= idLength {
		return errand{}, false
	}
	next, err := base64.RawURLEncoding.DecodeString(text[idLength+1:])
	return errand{secret: text[:idLength], again: text[idLength] == '1', next: SafeNext(string(next))}, err == nil
}

// LeaveForIssuer returns the address at the issuer where somebody signs in, and
// sets the cookie by which he is known when he comes back. again asks him to show
// who he is even if the issuer knows him, for the session he has here. The error
// wraps ErrIssuer, or db.ErrNotFound where there is no issuer.
func (g *Gate) LeaveForIssuer(w http.ResponseWriter, r *http.Request, next string, again bool) (string, error) {
	if g.issuer == nil {
		return "", fmt.Errorf("sign in at an issuer: %w", db.ErrNotFound)
	}
	config, _, err := g.issuer.config(r.Context())
	if err != nil {
		return "", err
	}
	e := errand{secret: newSecret(), again: again, next: SafeNext(next)}
	g.setCookie(w, r, issuerSuffix, e.String(), issuerLife)
	options := []oauth2.AuthCodeOption{oidc.Nonce(e.derive("nonce")), oauth2.S256ChallengeOption(e.derive("verifier"))}
	if again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return config.AuthCodeURL(e.derive("state"), options...), nil
}

// config returns how to speak to the issuer, which it is asked once.
func (i *issuer) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.provider == nil {
		// Not the context of the request: the provider uses it for its keys later.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), i.Client), i.URL)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrIssuer, err)
		}
		i.provider = p
	}
	return &oauth2.Config{ClientID: i.ClientID, ClientSecret: i.ClientSecret, Endpoint: i.provider.Endpoint(), RedirectURL: i.Callback,
		Scopes: append([]string{oidc.ScopeOpenID, "profile"}, i.Scopes...)}, i.provider, nil
}

// claims is what of an ID token counts here.
type claims struct {
	subject  string
	name     string
	role     db.Role   // "" for none
	authTime time.Time // when its owner showed who he is; zero where it is not said
}

// ReturnFromIssuer signs in who comes back from the issuer, as SignIn does, and
// returns where to go on. What cannot belong to a browser that LeaveForIssuer sent
// away is refused and not recorded; everything after that is a login attempt.
//
// The error wraps ErrIssued or ErrIssuer, is ErrCodeNeeded or a *TooManyError, or
// one of the database; then there is no session.
func (g *Gate) ReturnFromIssuer(w http.ResponseWriter, r *http.Request) (next string, err error) {
	if g.issuer == nil {
		return "", fmt.Errorf("come back from an issuer: %w", db.ErrNotFound)
	}
	e, known := parseErrand(g.cookieValue(r, issuerSuffix))
	query := r.URL.Query()
	if !known || subtle.ConstantTimeCompare([]byte(e.derive("state")), []byte(query.Get("state"))) != 1 {
		return "/", fmt.Errorf("%w: this browser did not ask for it, or took too long; sign in once more", ErrIssued)
	}
	g.dropCookie(w, r, issuerSuffix) // once
	a := g.attempt(r, "")
	if wait, refund := g.throttle.address(ClientFrom(r.Context()).Addr, a.now); wait > 0 {
		return e.next, a.blockedAddress(wait)
	} else {
		defer func() {
			if err == nil || errors.Is(err, ErrCodeNeeded) {
				refund()
			}
		}()
	}
	if code := query.Get("error"); code != "" {
		a.failed("the issuer said: " + clean(code, 100))
		return e.next, fmt.Errorf("%w", ErrIssued)
	}
	c, err := g.issuer.redeem(r.Context(), e, query)
	if err != nil {
		a.failed("the issuer's answer was not accepted")
		g.log.WarnContext(r.Context(), "sign in at the issuer", "error", err)
		return e.next, err
	}
	a.actor.Name = clean(c.name, db.MaxName)
	if e.again {
		return e.next, g.confirmIssued(w, r, a, c)
	}
	account, err := g.issuedAccount(r.Context(), a, c)
	if err != nil {
		return e.next, err
	}
	if _, err = a.enter(w, r, account, byIssuer); errors.Is(err, ErrSignIn) {
		err = fmt.Errorf("%w: the account changed at that moment; sign in once more", ErrIssued)
	}
	return e.next, err
}

// redeem exchanges the code the issuer sent for an ID token and checks that: its
// signature, whom it is from and for, its times, and that it belongs to this very
// errand.
func (i *issuer) redeem(ctx context.Context, e errand, query url.Values) (claims, error) {
	if from := query.Get("iss"); from != "" && from != i.URL { // RFC 9207
		return claims{}, fmt.Errorf("%w: the answer is from another one", ErrIssuer)
	}
	config, provider, err := i.config(ctx)
	if err != nil {
		return claims{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, i.Client), issuerTime)
	defer cancel()
	token, err := config.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(e.derive("verifier")))
	if err != nil {
		return claims{}, fmt.Errorf("%w: exchange the code: %w", ErrIssuer, err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return claims{}, fmt.Errorf("%w: it gave no ID token", ErrIssuer)
	}
	id, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: i.ClientID, Now: i.now}).Verify(ctx, raw)
	if err != nil {
		return claims{}, fmt.Errorf("%w: check the ID token: %w", ErrIssuer, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(e.derive("nonce"))) != 1 {
		return claims{}, fmt.Errorf("%w: the ID token was made for another sign-in", ErrIssuer)
	}
	if age := i.now().Sub(id.IssuedAt); age > issuedAtMost || age < -issuedAtMost {
		return claims{}, fmt.Errorf("%w: the ID token is of %s; compare the clocks", ErrIssuer, id.IssuedAt.UTC().Format(time.RFC3339))
	}
	var all map[string]any
	if err := id.Claims(&all); err != nil {
		return claims{}, fmt.Errorf("%w: read the ID token: %w", ErrIssuer, err)
	}
	c := claims{subject: id.Subject, role: i.role(all)}
	c.name, _ = all[i.NameClaim].(string)
	if seconds, ok := all["auth_time"].(float64); ok {
		c.authTime = time.Unix(int64(seconds), 0)
	}
	if c.subject == "" {
		return claims{}, fmt.Errorf("%w: the ID token names nobody", ErrIssuer)
	}
	return c, nil
}

// role is the highest role that the values of the claim give, and "" for none.
func (i *issuer) role(all map[string]any) db.Role {
	var value any = all
	for _, name := range strings.Split(i.RoleClaim, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	if whole, ok := all[i.RoleClaim]; ok { // a name that has dots itself, such as a URL
		value = whole
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	given := map[db.Role]bool{}
	for _, v := range list {
		if text, ok := v.(string); ok {
			given[i.Roles[text]] = true
		}
	}
	var highest db.Role
	for _, role := range db.Roles() {
		if given[role] {
			highest = role
		}
	}
	return highest
}

// issuedAccount returns the account of somebody the issuer vouches for, as it is
// after what the issuer says now.
func (g *Gate) issuedAccount(ctx context.Context, a attempt, c claims) (*db.Account, error) {
	by := db.IssuerActor(g.issuer.URL)
	if c.role == "" {
		a.failed("the issuer gives no role here")
		if err := g.store.DismissIssued(ctx, by, g.issuer.URL, c.subject); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: it knows you, but gives you no role here", ErrIssued)
	}
	account, err := g.store.IssuedAccount(ctx, by, g.issuer.URL, c.subject, c.name, c.role)
	switch {
	case errors.Is(err, db.ErrExists):
		a.failed("another account has that name")
		return nil, fmt.Errorf("%w: another account here has your name", ErrIssued)
	case errors.Is(err, db.ErrName):
		a.failed("a name that no account can have")
		return nil, fmt.Errorf("%w: an account here cannot have the name it gives you", ErrIssued)
	case err != nil:
		return nil, err
	case account.Disabled:
		a.failed("the account is disabled")
		return nil, fmt.Errorf("%w: your account here is disabled", ErrIssued)
	}
	return account, nil
}

// confirmIssued notes for the request's session that its owner showed at the
// issuer again who he is.
func (g *Gate) confirmIssued(w http.ResponseWriter, r *http.Request, a attempt, c claims) error {
	who, err := g.Identify(r)
	if err != nil {
		return err
	}
	if who.Account == nil {
		return fmt.Errorf("%w: your session here has ended; sign in once more", ErrIssued)
	}
	same, err := g.store.IssuedAs(r.Context(), who.Account.ID, g.issuer.URL, c.subject)
	switch {
	case err != nil:
		return err
	case !same:
		a.failed("somebody else was asked again")
		return fmt.Errorf("%w: you are signed in here as somebody else", ErrIssued)
	}
	// What it says of the role holds from now on, as at a sign-in.
	if _, err := g.issuedAccount(r.Context(), a, c); err != nil {
		return err
	}
	if a.now.Sub(c.authTime) > freshFor {
		a.failed("the issuer did not ask again")
		return fmt.Errorf("%w: it did not ask again who you are", ErrIssued)
	}
	return g.confirmed(w, r)
}

// ParseIssuerRoles reads pairs of a value of the role claim and a role, such as
// "audit-admins=superuser".
func ParseIssuerRoles(pairs []string) (map[string]db.Role, error) {
	roles := map[string]db.Role{}
	for _, pair := range pairs {
		at := strings.LastIndexByte(pair, '=')
		if at <= 0 {
			return nil, fmt.Errorf("%q is no VALUE=ROLE, such as audit-admins=superuser", pair)
		}
		value, role := pair[:at], db.Role(pair[at+1:])
		known := false
		for _, r := range db.Roles() {
			known = known || r == role
		}
		if !known {
			return nil, fmt.Errorf("%q gives no role there is: viewer, responder or superuser", pair)
		}
		if old, twice := roles[value]; twice && old != role {
			return nil, fmt.Errorf("%q has two roles, %s and %s", value, old, role)
		}
		roles[value] = role
	}
	return roles, nil
}
