package authz

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// Options are what a Gate is made with.
type Options struct {
	Policy *Policy // required
	// PublicURL is the address people use, where it is given. With https every
	// cookie is Secure, whatever the last stretch to this server is.
	PublicURL *url.URL
	// KDF derives keys from passwords; nil means argon2id.
	KDF KDF
	// Places says where callers are, for the record of their attempts to sign in;
	// nil leaves that out.
	Places audit.Locator
	// Log takes what goes wrong beside an answer; nil means slog.Default.
	Log *slog.Logger
	// RequireFactor lets a superuser without a second factor do nothing but set
	// one up.
	RequireFactor bool
	// Issuer is where people may sign in beside passwords; nil for nowhere.
	Issuer *IssuerOptions
	// BreakGlass is the one account whose password still opens it, for the day the
	// issuer does not answer; "" leaves passwords to all.
	BreakGlass string
	// Ask writes the page that asks again who sends a form. nil refuses it.
	Ask func(w http.ResponseWriter, r *http.Request, q Question)
	// Refuse writes the answer to a request that was refused: a page, or JSON
	// where WantsData says so. message is a sentence without a period and never
	// names anything internal. nil answers in JSON.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, message string)
}

// Gate stands before every handler: it finds out who asks, lets through what
// the policy allows, and signs people in and out. It is safe for concurrent
// use.
type Gate struct {
	store        *db.Store
	policy       *Policy
	passwords    *Passwords
	sessions     *Sessions
	throttle     *throttle
	blocked      *fold // sign-ins that were not even tried
	refused      *fold // rights that were refused
	places       audit.Locator
	publicOrigin string
	https        bool // the public URL is https
	log          *slog.Logger
	onRefusal    func(http.ResponseWriter, *http.Request, int, string)
	onQuestion   func(http.ResponseWriter, *http.Request, Question)

	sealer        *sealer
	issuer        *issuer // nil for none
	requireFactor bool
	breakGlass    string
}

// NewGate returns a gate over a store, which it does not close.
func NewGate(store *db.Store, o Options) *Gate {
	g := &Gate{store: store, policy: o.Policy, passwords: NewPasswords(o.KDF), throttle: newThrottle(store),
		places: o.Places, log: o.Log, onRefusal: o.Refuse, onQuestion: o.Ask,
		sealer: &sealer{path: SealPath(store.Beside())}, requireFactor: o.RequireFactor, breakGlass: o.BreakGlass}
	if o.Issuer != nil {
		g.issuer = newIssuer(*o.Issuer, store.Now)
	}
	g.sessions = &Sessions{store: store, secure: g.secure}
	g.blocked, g.refused = newFold(), newFold()
	if g.log == nil {
		g.log = slog.Default()
	}
	if u := o.PublicURL; u != nil {
		g.publicOrigin = originOf(u)
		g.https = strings.EqualFold(u.Scheme, "https")
	}
	return g
}

// originOf writes the origin of a URL as browsers do: in lower case, without
// the port that goes without saying.
func originOf(u *url.URL) string {
	origin := strings.ToLower(u.Scheme + "://" + u.Host)
	for scheme, port := range map[string]string{"http://": ":80", "https://": ":443"} {
		if strings.HasPrefix(origin, scheme) {
			origin = strings.TrimSuffix(origin, port)
		}
	}
	return origin
}

// Passwords returns what new passwords are hashed with.
func (g *Gate) Passwords() *Passwords { return g.passwords }

// Run stores what was counted of floods, once a minute, until ctx ends, and
// then for the last time.
func (g *Gate) Run(ctx context.Context) {
	tick := time.NewTicker(foldEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.flush(ctx, g.store.Now())
		case <-ctx.Done():
			g.flush(context.WithoutCancel(ctx), g.store.Now().Add(foldEvery))
			return
		}
	}
}

func (g *Gate) flush(ctx context.Context, now time.Time) {
	if err := errors.Join(g.blocked.flush(ctx, now), g.refused.flush(ctx, now), g.store.LapseChallenges(ctx, g.store.Now())); err != nil {
		g.log.ErrorContext(ctx, "record what was refused", "error", err)
	}
}

// Fold stores one event for what happens again and again under a key: at once
// the first time, and then once a minute for the count of what followed. Run
// stores what is left.
func (g *Gate) Fold(ctx context.Context, key string, store func(ctx context.Context, count int) error) error {
	return g.refused.add(context.WithoutCancel(ctx), key, g.store.Now(), store)
}

// record stores an event of the gate's own, also where the caller has gone.
func (g *Gate) record(ctx context.Context, by db.Actor, e *audit.Event) error {
	return g.store.Record(context.WithoutCancel(ctx), by, e)
}

// secure reports whether cookies and headers are those of an https site.
func (g *Gate) secure(r *http.Request) bool {
	return g.https || r.TLS != nil || ClientFrom(r.Context()).HTTPS
}

// Secure reports whether the request's cookies have to be Secure.
func (g *Gate) Secure(r *http.Request) bool { return g.secure(r) }

// identifyTime bounds how long the database is asked who somebody is.
const identifyTime = 5 * time.Second

// Identify finds out who makes a request, without judging what they may do. A
// session that opens nothing is a stranger's; a token that opens nothing is an
// error.
func (g *Gate) Identify(r *http.Request) (Identity, error) {
	ctx, cancel := context.WithTimeout(r.Context(), identifyTime)
	defer cancel()
	r = r.WithContext(ctx)
	if secret, given := bearer(r); given {
		t, err := g.token(r.Context(), secret)
		if err != nil {
			return Identity{}, err
		}
		return Identity{Token: t}, nil
	}
	se, err := g.sessions.Get(r, g.sessions.cookieName(r))
	if err != nil || se.IsNew {
		return Identity{}, err
	}
	who := Identity{secret: se.ID}
	who.Session, _ = se.Values[valueSession].(*db.Session)
	who.Account, _ = se.Values[valueAccount].(*db.Account)
	if err := g.sessions.touch(r.Context(), se.ID, who.Session); err != nil {
		g.log.WarnContext(r.Context(), "keep a session open", "error", err)
	}
	return who, nil
}

// Enforce is the middleware that lets a request through to its route only if
// the policy says so. A route without a rule is not served. It belongs at the
// end of the router's own middleware, after everything that may change the path,
// and after ClientAddr. A path that has no route goes on to the router's own 404
// or 405.
func (g *Gate) Enforce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := routePattern(r)
		if pattern == "" {
			next.ServeHTTP(w, r)
			return
		}
		rule, ok := g.policy.Rule(r.Method, pattern)
		if !ok {
			g.log.ErrorContext(r.Context(), "a route has no rule and is not served", "method", r.Method, "pattern", pattern)
			g.refuse(w, r, http.StatusInternalServerError, "This address is not open to anybody yet, which is a fault of the program")
			return
		}
		if rule.Right == Public {
			next.ServeHTTP(w, r)
			return
		}
		who, err := g.Identify(r)
		switch {
		case errors.Is(err, errToken):
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			g.refuse(w, r, http.StatusUnauthorized, "This needs another token: "+err.Error())
			return
		case err != nil:
			g.unavailable(w, r, "find out who is asking", err)
			return
		}
		allowed := who.May(rule) || rule.Loopback && ClientFrom(r.Context()).Local
		r = r.WithContext(context.WithValue(r.Context(), identityKey{}, who))
		if !allowed {
			g.turnAway(w, r, rule, who)
			return
		}
		if who.Account != nil && !g.asOwner(w, r, rule, who) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// asOwner sees to what an account has to do before what it may do: to set up the
// second factor it needs, and to show again who it is. It gives the session of an
// account whose role is another now another id. It returns false where it has
// answered itself.
func (g *Gate) asOwner(w http.ResponseWriter, r *http.Request, rule Rule, who Identity) bool {
	if who.Session.Role != who.Account.Role {
		if err := g.Renew(w, r); err != nil {
			g.unavailable(w, r, "renew a session after a change of role", err)
			return false
		}
	}
	if g.lacksFactor(who.Account) && !rule.Bare {
		if r.Method == http.MethodGet && !WantsData(r) {
			http.Redirect(w, r, "/account/second-factor", http.StatusSeeOther)
		} else {
			g.refuse(w, r, http.StatusForbidden, "A superuser needs a second factor here, and this account has none yet; set it up at /account/second-factor")
		}
		return false
	}
	return !rule.Fresh || g.confirm(w, r, rule, who)
}

// unavailable answers where the database does not.
func (g *Gate) unavailable(w http.ResponseWriter, r *http.Request, op string, err error) {
	g.log.ErrorContext(r.Context(), op, "error", err)
	w.Header().Set("Retry-After", "5")
	why := ""
	var away *db.AwayError
	if errors.As(err, &away) {
		why = ": " + away.Why
	}
	g.refuse(w, r, http.StatusServiceUnavailable, "The database does not answer, so nobody can be let in"+why+"; try again in a few seconds")
}

// routePattern returns the pattern of the route that the router is going to
// choose, by its own search, or "" if it has none.
func routePattern(r *http.Request) string {
	rctx := chi.RouteContext(r.Context())
	if rctx == nil || rctx.Routes == nil {
		return ""
	}
	p := rctx.RoutePath
	if p == "" {
		if p = r.URL.RawPath; p == "" {
			p = r.URL.Path
		}
		if p == "" {
			p = "/"
		}
	}
	method := rctx.RouteMethod
	if method == "" {
		method = r.Method
	}
	pattern := rctx.Routes.Find(chi.NewRouteContext(), method, p)
	if pattern == "" && method == http.MethodHead {
		// middleware.GetHead may come later and answer with the route of GET.
		pattern = rctx.Routes.Find(chi.NewRouteContext(), http.MethodGet, p)
	}
	return pattern
}

// turnAway answers somebody who may not use a route: a stranger is asked to
// sign in; who is known is told the rule, and that is recorded.
func (g *Gate) turnAway(w http.ResponseWriter, r *http.Request, rule Rule, who Identity) {
	if who.Account == nil && who.Token == nil {
		switch {
		case rule.Right == TokenOnly:
			w.Header().Set("WWW-Authenticate", "Bearer")
			g.refuse(w, r, http.StatusUnauthorized, rule.Sentence())
		case WantsData(r):
			if rule.Token != "" {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			g.refuse(w, r, http.StatusUnauthorized, "Sign in first, or show a token: "+rule.Sentence())
		default:
			http.Redirect(w, r, "/login?next="+url.QueryEscape(BackTo(r)), http.StatusSeeOther)
		}
		return
	}
	now, actor := g.store.Now(), ActorOf(r)
	err := g.refused.add(r.Context(), actor.Name+" "+rule.Method+" "+rule.Pattern, now, func(ctx context.Context, count int) error {
		return g.record(ctx, actor, refusedRight(actor.Name, rule, r.URL.Path, count, now))
	})
	if err != nil {
		g.log.ErrorContext(r.Context(), "record a refused right", "error", err)
	}
	g.refuse(w, r, http.StatusForbidden, rule.Sentence())
}

// refusedRight is the event of a right that was refused. It is for information
// and comes resolved.
func refusedRight(name string, rule Rule, path string, count int, now time.Time) *audit.Event {
	e := audit.NewEvent(audit.KindSystemEvent)
	e.SetTime(now)
	e.Set("event_type", "SECURITY")
	e.Set("title", name+" was refused the right to "+rule.Does)
	e.Set("description", rule.Sentence()+".")
	e.Set("error_code", strconv.Itoa(http.StatusForbidden))
	e.Set("metadata", jsonText(map[string]any{"method": rule.Method, "path": clean(path, 200), "count": count}))
	e.Set("resolved", "true")
	e.Set("resolved_at", audit.FormatTime(now))
	e.Set("resolved_by", "auditadmin")
	e.Set("resolution_note", "For information; nothing has to be done")
	return e
}

func jsonText(v map[string]any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("authz: metadata that is no JSON: " + err.Error())
	}
	return string(b)
}

// refuse answers a request that goes no further.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	if g.onRefusal != nil {
		g.onRefusal(w, r, status, message)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": message})
}

// WantsData reports whether a request asks for data rather than for a page: by
// its path, by a token, or by what it accepts.
func WantsData(r *http.Request) bool {
	p := r.URL.Path
	for _, end := range []string{".json", ".csv", ".ndjson", ".zip", "/proof"} {
		if strings.HasSuffix(p, end) {
			return true
		}
	}
	if strings.HasPrefix(p, "/api/") || p == "/metrics" || r.Header.Get("Authorization") != "" {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// BackTo is the page to go on to after signing in: the one asked for, or for a
// form the page it stood on.
func BackTo(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return SafeNext(r.URL.RequestURI())
	}
	if u, err := url.Parse(r.Referer()); err == nil && u.Host == r.Host {
		return SafeNext(u.RequestURI())
	}
	return "/"
}

// SafeNext returns next if it is a page of this site that one can go on to
// after signing in, and "/" otherwise.
func SafeNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > 4096 || u.Scheme != "" || u.Host != "" || u.User != nil ||
		!strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	if u.Path == "/login" || strings.HasPrefix(u.Path, "/login/") || u.Path == "/logout" {
		return "/"
	}
	return next
}
