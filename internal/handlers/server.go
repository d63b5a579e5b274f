// Package handlers is the HTTP side of auditadmin: it routes requests, asks the
// store, and maps what it says to pages, to their JSON, CSV and NDJSON twins,
// and to errors that say what to do.
package handlers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/static"
	"github.com/auditadmin/auditadmin/web/templates"
)

// Config is what a Server is made with.
type Config struct {
	Store *db.Store // required; the server does not close it
	// Version is the version of the program, as pages and metrics say it.
	Version string
	// PublicURL is the address people use, where it is given.
	PublicURL *url.URL
	// TrustedProxies are the networks whose word about a caller's address is
	// taken.
	TrustedProxies []netip.Prefix
	// Insecure is set where passwords travel in plain http beyond this machine;
	// the sign-in page says so.
	Insecure bool
	// Places says where people sign in from; nil leaves that out.
	Places audit.Locator
	// Now is the clock; nil means the store's.
	Now func() time.Time
	// Log takes what goes wrong; nil means slog.Default.
	Log *slog.Logger
	// RequireFactor lets a superuser without a second factor do nothing but set
	// one up.
	RequireFactor bool
	// Issuer is where people may sign in by OpenID Connect; nil for nowhere.
	Issuer *authz.IssuerOptions
	// BreakGlass is the one account whose password still opens it; "" leaves
	// passwords to all.
	BreakGlass string
	// KDF derives keys from passwords; nil means argon2id.
	KDF authz.KDF
}

// Server answers every request. It is safe for concurrent use.
type Server struct {
	Config
	gate    *authz.Gate
	policy  *authz.Policy
	files   *static.Files
	assets  templates.Assets
	version string // with that of the database
	metrics *metrics
	slow    slowPages
	ingest  *ingest
	pages   sync.Pool // of *bytes.Buffer: what pages are made in
	router  chi.Router
}

// New returns a server over an open store.
func New(ctx context.Context, c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = c.Store.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	files, err := static.New()
	if err != nil {
		return nil, fmt.Errorf("make the server: %w", err)
	}
	engine, err := c.Store.Engine(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the server: %w", err)
	}
	s := &Server{
		Config:  c,
		policy:  authz.NewPolicy(authz.Rules()),
		files:   files,
		assets:  templates.Assets{Style: files.URL("style.css"), Script: files.URL("app.js"), Favicon: files.URL("favicon.svg")},
		version: "auditadmin " + c.Version + ", " + engine,
		metrics: newMetrics(c.Now()),
	}
	s.gate = authz.NewGate(c.Store, authz.Options{Policy: s.policy, PublicURL: c.PublicURL, KDF: c.KDF, Places: c.Places, Log: c.Log, Refuse: s.refused,
		RequireFactor: c.RequireFactor, Issuer: c.Issuer, BreakGlass: c.BreakGlass, Ask: s.ask})
	if s.ingest, err = newIngest(ctx, s); err != nil {
		return nil, fmt.Errorf("make the server: %w", err)
	}
	s.router = s.routes()
	return s, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// Run does what has to be done beside answering, until ctx ends.
func (s *Server) Run(ctx context.Context) {
	var beside sync.WaitGroup
	beside.Go(func() { s.retain(ctx) })
	s.gate.Run(ctx)
	beside.Wait()
}

// routes is every address there is. Who may use which is in authz.Rules, and
// one without a rule there is not served.
func (s *Server) routes() chi.Router {
	r := chi.NewRouter()
	r.Use(requestID, authz.ClientAddr(s.TrustedProxies), s.gate.Headers, s.watch, s.recoverPanic,
		middleware.GetHead, s.gate.SameOrigin, s.gate.Enforce)
	// Once more behind the gate, where a fault can be recorded with who met it.
	r.Use(s.recoverPanic)
	r.NotFound(s.notFound)
	r.MethodNotAllowed(s.methodNotAllowed)

	r.Get("/static/*", s.files.ServeHTTP)
	r.Get("/healthz", s.healthz)
	r.Get("/readyz", s.readyz)
	r.Get("/metrics", s.answer(s.showMetrics))

	r.Post("/api/v1/events", s.ingest.ServeHTTP)

	r.Get("/login", s.answer(s.showLogin))
	r.Post("/login", s.answer(s.login))
	r.Post("/logout", s.answer(s.logout))
	r.Get("/login/code", s.answer(s.showCode))
	r.Post("/login/code", s.answer(s.enterCode))
	r.Get("/login/issuer", s.answer(s.leaveForIssuer))
	r.Get("/login/issuer/callback", s.answer(s.returnFromIssuer))
	r.Get("/account", s.page(s.showAccount))
	r.Post("/account/end-sessions", s.action(s.endOwnSessions))
	r.Post("/account/sessions/{id}/end", s.action(s.endOwnSession))
	r.Get("/account/second-factor", s.answer(s.showFactor))
	r.Post("/account/second-factor", s.answer(s.acceptFactor))
	r.Post("/account/second-factor/remove", s.answer(s.removeFactor))
	r.Post("/account/recovery-codes", s.answer(s.newRecovery))
	r.Get("/account/password", s.page(s.showPassword))
	r.Post("/account/password", s.answer(s.changePassword))

	r.Get("/", s.page(s.dashboard))
	r.Get("/objects", s.page(s.showObject))
	r.Get("/users", s.page(s.showUser))
	r.Get("/query-help", s.page(s.queryHelp))
	r.Get("/suggest.json", s.data(s.suggest))

	for _, kind := range audit.Kinds() {
		path := "/" + kind.Path()
		r.Get(path, s.jump(kind, s.page(s.list(kind))))
		r.Get(path+".json", s.data(s.listData(kind)))
		r.Get(path+".csv", s.export(kind, "csv"))
		r.Get(path+".ndjson", s.export(kind, "ndjson"))
		r.Get(path+"/facets.json", s.data(s.facetsData(kind)))
		r.Get(path+"/timeline.json", s.data(s.timelineData(kind)))
		r.Get(path+"/{id}", s.page(s.showEvent(kind)))
		r.Get(path+"/evidence.zip", s.evidence(kind))
		r.Get(path+"/{id}/proof", s.answer(s.showProof(kind)))
		r.Get(path+"/{id}.json", s.data(s.eventData(kind)))
		r.Post(path+"/{id}/delete", s.action(s.deleteOne(kind)))
		r.Get(path+"/{id}/redact", s.page(s.showRedact(kind)))
		r.Post(path+"/{id}/redact", s.action(s.redact(kind)))
		r.Post(path+"/delete", s.action(s.deleteMany(kind)))
	}
	r.Post("/system-events/{id}/resolve", s.action(s.resolve))
	r.Post("/system-events/{id}/reopen", s.action(s.reopen))
	r.Post("/system-events/resolve", s.action(s.resolveMany))

	r.Get("/health", s.page(s.showHealth))
	r.Get("/health.json", s.data(s.healthData))

	r.Get("/holds", s.page(s.showHolds))
	r.Post("/holds", s.answer(s.placeHold))
	r.Post("/holds/{id}/release", s.answer(s.releaseHold))
	r.Post("/retention", s.answer(s.setRetention))

	r.Get("/accounts", s.page(s.showAccounts))
	r.Post("/accounts", s.action(s.createAccount))
	r.Post("/accounts/{id}/role", s.action(s.setRole))
	r.Post("/accounts/{id}/disable", s.action(s.setDisabled(true)))
	r.Post("/accounts/{id}/enable", s.action(s.setDisabled(false)))
	r.Post("/accounts/{id}/password", s.action(s.setPassword))
	r.Post("/accounts/{id}/reset-totp", s.action(s.resetFactor))
	r.Post("/accounts/{id}/end-sessions", s.action(s.endSessions))
	r.Post("/sessions/{id}/end", s.action(s.endSession))
	r.Post("/tokens", s.answer(s.createToken))
	r.Post("/tokens/{id}/revoke", s.action(s.revokeToken))
	return r
}
