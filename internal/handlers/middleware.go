package handlers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// slowPage is how long an answer may take before it is recorded as slow.
const slowPage = 5 * time.Second

// requestID gives each request an id of our own: what a stranger sends is not
// believed, or he could make his deeds look like somebody else's request.
func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := strings.ToLower(rand.Text()[:16])
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), middleware.RequestIDKey, id)))
	})
}

func (v *visit) requestID() string { return middleware.GetReqID(v.Context()) }

// actor is who decides what the request asks for.
func (v *visit) actor() db.Actor { return authz.ActorOf(v.Request) }

// watch counts and times every answer, and records the slow ones. Exports and
// bodies of events take as long as they take and are not slow.
func (s *Server) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.Now()
		seen := &watched{ResponseWriter: w}
		s.metrics.begin()
		aborted := true
		defer func() {
			took := s.Now().Sub(began)
			key := routeKey{method: knownMethod(r.Method), pattern: "none", status: seen.status}
			if routed := chi.RouteContext(r.Context()); routed != nil && routed.RoutePattern() != "" && routed.RoutePattern() != "/*" {
				key.pattern = routed.RoutePattern()
			}
			switch {
			case aborted:
				key.status = 499 // the connection was broken off
			case key.status == 0:
				key.status = http.StatusOK
			}
			s.metrics.end(key, took)
			if isPage(r) {
				s.slow.add(pageTime{At: began, Took: took, Method: key.method, Pattern: key.pattern, Path: cut(r.URL.RequestURI(), pathLimit), Status: key.status})
			}
			if took > slowPage && isPage(r) {
				s.metrics.wasSlow()
				s.recordOwn(r, "PERFORMANCE", "Slow page: "+key.method+" "+key.pattern+" took "+took.Round(10*time.Millisecond).String(), "",
					map[string]any{"route": key.pattern, "milliseconds": took.Milliseconds(), "q": cut(r.URL.Query().Get("q"), 1000)})
			}
		}()
		next.ServeHTTP(seen, r)
		aborted = false
	})
}

// pathLimit is how much of an address is kept of a page that took long.
const pathLimit = 200

// isPage reports whether an answer is one that somebody waits for.
func isPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/static/") &&
		!strings.HasSuffix(r.URL.Path, ".csv") && !strings.HasSuffix(r.URL.Path, ".ndjson") && !strings.HasPrefix(r.URL.Path, "/api/")
}

// knownMethod keeps strangers from making up methods that would be counted.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return method
	}
	return "other"
}

// recoverPanic answers a fault of the program with an error page, and records
// it. The connection of an answer that had begun is broken off.
func (s *Server) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &watched{ResponseWriter: w}
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			if fault == http.ErrAbortHandler {
				panic(fault) // somebody's own decision, and no fault
			}
			stack := string(debug.Stack())
			s.metrics.panicked()
			s.Log.ErrorContext(r.Context(), "panic", "request_id", middleware.GetReqID(r.Context()), "path", r.URL.Path, "panic", fault, "stack", stack)
			s.recordOwn(r, "ERROR", cut(fmt.Sprint("Panic: ", fault), 300), stack, map[string]any{"method": knownMethod(r.Method), "path": cut(r.URL.Path, 300)})
			if seen.status != 0 {
				panic(http.ErrAbortHandler)
			}
			v := s.stranger(r)
			s.fail(seen, v, errPanic)
		}()
		next.ServeHTTP(seen, r)
	})
}

// errPanic stands for a fault that was logged and recorded already.
var errPanic = fmt.Errorf("the program ran into a fault of its own")

// recordOwn records a system event about the program itself. What cannot be
// recorded is logged: the answer does not wait for it any longer.
func (s *Server) recordOwn(r *http.Request, eventType, title, stack string, metadata map[string]any) {
	e := audit.NewEvent(audit.KindSystemEvent)
	e.SetTime(s.Now())
	e.Set("event_type", eventType)
	e.Set("title", title)
	e.Set("module", db.Self)
	e.Set("stack_trace", stack)
	e.Set("metadata", asJSON(metadata))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordTime)
	defer cancel()
	if err := s.Store.Record(ctx, authz.ActorOf(r), e); err != nil {
		s.Log.ErrorContext(ctx, "own event not recorded", "title", title, "error", err)
	}
}

// stranger is a visit of nobody: for answers that come before, or instead of,
// finding out who asks.
func (s *Server) stranger(r *http.Request) *visit {
	return &visit{Request: r, server: s, who: authz.From(r.Context()), began: s.Now(), now: s.Now().UTC(), zone: time.UTC, params: r.URL.Query()}
}

// refused answers what the gate did not let through.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, status int, message string) {
	v := s.stranger(r)
	s.fail(w, v, refuse(status, "%s", message))
}

// notFound answers for addresses that there are not. Who is signed in finds the
// way back.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	v := s.stranger(r)
	if who, err := s.gate.Identify(r); err == nil {
		v.who = who
	}
	s.fail(w, v, refuse(http.StatusNotFound, "there is no such address here"))
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if s.router.Match(chi.NewRouteContext(), method, r.URL.Path) {
			allowed = append(allowed, method)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.fail(w, s.stranger(r), refuse(http.StatusMethodNotAllowed, "this address does not take %s, only %s", cut(r.Method, 20), strings.Join(allowed, " and ")))
}
