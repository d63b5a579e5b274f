package authz

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/internal/db"
)

// house is a gate before a router with every route of the policy, over a real
// database, with a clock a test sets and a cheap KDF that counts.
type house struct {
	t     testing.TB
	store *db.Store
	gate  *Gate
	http.Handler
	derived atomic.Int64
	instead atomic.Pointer[http.HandlerFunc] // answers in the place of every route

	mu  sync.Mutex
	now time.Time
}

// setup is what a house can be built with.
type setup struct {
	public  string
	trusted []netip.Prefix
	rules   []Rule // nil means Rules()
	options func(*Options)
}

func newHouse(t testing.TB, s setup) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	store, err := db.Open(context.Background(), filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	o := Options{Policy: NewPolicy(s.rules), KDF: h.kdf, Log: slog.New(slog.DiscardHandler)}
	if s.rules == nil {
		o.Policy = NewPolicy(Rules())
	}
	if s.public != "" {
		if o.PublicURL, err = url.Parse(s.public); err != nil {
			t.Fatal(err)
		}
	}
	if s.options != nil {
		s.options(&o)
	}
	h.store, h.gate = store, NewGate(store, o)
	h.Handler = h.router(s)
	return h
}

func (h *house) router(s setup) chi.Router {
	r := chi.NewRouter()
	r.Use(ClientAddr(s.trusted), h.gate.Headers, h.gate.SameOrigin, h.gate.Enforce)
	for _, rule := range Rules() {
		handler := func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok " + From(r.Context()).Name())) }
		switch rule.Method + " " + rule.Pattern {
		case "POST /login":
			handler = h.signIn
		case "POST /login/code":
			handler = func(w http.ResponseWriter, r *http.Request) {
				_, err := h.gate.SignInCode(w, r, r.FormValue("code"))
				h.answer(w, err)
			}
		case "GET /login/issuer":
			handler = func(w http.ResponseWriter, r *http.Request) {
				to, err := h.gate.LeaveForIssuer(w, r, r.FormValue("next"), r.FormValue("again") == "1")
				if err != nil {
					h.answer(w, err)
					return
				}
				http.Redirect(w, r, to, http.StatusSeeOther)
			}
		case "GET /login/issuer/callback":
			handler = func(w http.ResponseWriter, r *http.Request) {
				next, err := h.gate.ReturnFromIssuer(w, r)
				w.Header().Set("Location", next)
				h.answer(w, err)
			}
		case "POST /logout":
			handler = func(w http.ResponseWriter, r *http.Request) { h.answer(w, h.gate.SignOut(w, r)) }
		case "POST /account/password":
			handler = func(w http.ResponseWriter, r *http.Request) {
				h.answer(w, h.gate.ChangePassword(w, r, r.FormValue("current"), r.FormValue("password")))
			}
		}
		r.MethodFunc(rule.Method, rule.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if instead := h.instead.Load(); instead != nil {
				(*instead)(w, r)
				return
			}
			handler(w, r)
		})
	}
	return r
}

func (h *house) signIn(w http.ResponseWriter, r *http.Request) {
	_, err := h.gate.SignIn(w, r, r.FormValue("username"), r.FormValue("password"))
	h.answer(w, err)
}

// answer is what a handler makes of the gate's errors.
func (h *house) answer(w http.ResponseWriter, err error) {
	var many *TooManyError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &many):
		w.Header().Set("Retry-After", strconv.Itoa(many.Seconds()))
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	case errors.Is(err, ErrCodeNeeded):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ErrChallenge):
		http.Error(w, err.Error(), http.StatusGone)
	case errors.Is(err, db.ErrNotFound): // there is no issuer
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, ErrIssued):
		http.Error(w, err.Error(), http.StatusForbidden)
	case errors.Is(err, ErrIssuer):
		http.Error(w, err.Error(), http.StatusBadGateway)
	case errors.Is(err, ErrCode), errors.Is(err, ErrSignIn), errors.Is(err, ErrCurrentPassword), errors.Is(err, ErrPassword):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		h.t.Errorf("unexpected error: %v", err)
		http.Error(w, "broken", http.StatusInternalServerError)
	}
}

// within runs something as the handler of a request, behind the gate.
func (h *house) within(method, target string, c *http.Cookie, do http.HandlerFunc) *httptest.ResponseRecorder {
	h.t.Helper()
	ran := false
	instead := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ran = true; do(w, r) })
	h.instead.Store(&instead)
	defer h.instead.Store(nil)
	w := h.do(request(method, target, cookie(c)))
	if !ran {
		h.t.Fatalf("%s %s: the gate did not let it in: %d %s", method, target, w.Code, w.Body)
	}
	return w
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) sleep(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) kdf(password, salt []byte, time, memory uint32, threads uint8, n uint32) []byte {
	h.derived.Add(1)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(append(append([]byte{}, salt...), password...), memory*time))
	return sum[:n]
}

// password is everybody's in these tests.
const password = "a lamp over the harbour"

func (h *house) account(name string, role db.Role) *db.Account {
	h.t.Helper()
	hash, err := h.gate.Passwords().New(context.Background(), name, password)
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := h.store.CreateAccount(context.Background(), db.CommandLine("root"), name, role, hash)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) token(scope string, expires time.Time) (secret string, t *db.Token) {
	h.t.Helper()
	secret, hash := NewToken()
	t, err := h.store.CreateToken(context.Background(), db.CommandLine("root"), scope+" token", scope, hash, expires)
	if err != nil {
		h.t.Fatal(err)
	}
	return secret, t
}

// request is a request of a browser that sends what the options say.
func request(method, target string, options ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = "192.0.2.7:40000"
	for _, o := range options {
		o(r)
	}
	return r
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func cookie(c *http.Cookie) func(*http.Request) {
	return func(r *http.Request) {
		if c != nil {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
}

func from(addr string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = addr }
}

func form(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		body := strings.NewReader(values.Encode())
		fresh := httptest.NewRequest(r.Method, r.URL.String(), body)
		r.Body, r.ContentLength = fresh.Body, fresh.ContentLength
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

func (h *house) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// login signs in and returns the answer and its cookie, which is nil where
// nobody was let in.
func (h *house) login(name, pass string, options ...func(*http.Request)) (*httptest.ResponseRecorder, *http.Cookie) {
	h.t.Helper()
	w := h.do(request("POST", "/login", append([]func(*http.Request){form("username", name, "password", pass)}, options...)...))
	for _, c := range w.Result().Cookies() {
		if c.Value != "" {
			return w, c
		}
	}
	return w, nil
}

// enter signs in from an address of its own and fails the test if it cannot.
func (h *house) enter(name string) *http.Cookie {
	h.t.Helper()
	w, c := h.login(name, password)
	if c == nil {
		h.t.Fatalf("sign in %q: got %d %s", name, w.Code, w.Body)
	}
	return c
}

func (h *house) status(method, target string, options ...func(*http.Request)) int {
	return h.do(request(method, target, options...)).Code
}

func (h *house) wantStatus(want int, method, target string, options ...func(*http.Request)) {
	h.t.Helper()
	if got := h.status(method, target, options...); got != want {
		h.t.Errorf("%s %s: got status %d, want %d", method, target, got, want)
	}
}

// rows reads the database as anybody's own tool would: one text a row.
func (h *house) rows(query string) []string {
	h.t.Helper()
	own, err := sqlx.Open("sqlite3", "file:"+h.store.Path()+"?mode=ro")
	if err != nil {
		h.t.Fatal(err)
	}
	defer own.Close()
	var lines []string
	if err := own.Select(&lines, query); err != nil {
		h.t.Fatal(err)
	}
	return lines
}

func (h *house) wantRows(query string, want ...string) {
	h.t.Helper()
	if got := h.rows(query); strings.Join(got, "\n") != strings.Join(want, "\n") {
		h.t.Errorf("%s: got\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
