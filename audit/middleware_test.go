package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock that goes when it is told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var proxy = netip.MustParsePrefix("10.0.0.0/24")

// ask lets a handler answer one request behind a middleware.
func ask(middleware func(http.Handler) http.Handler, handler http.HandlerFunc, change func(*http.Request)) *httptest.ResponseRecorder {
	q := httptest.NewRequest("GET", "/orders/42", nil)
	q.RemoteAddr = "203.0.113.9:4711"
	q.Header.Set("User-Agent", "Firefox")
	if change != nil {
		change(q)
	}
	w := httptest.NewRecorder()
	middleware(handler).ServeHTTP(w, q)
	return w
}

func meta(t *testing.T, e *Event) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(e.Get("metadata")), &m); err != nil {
		t.Fatalf("metadata %q: %v", e.Get("metadata"), err)
	}
	return m
}

func TestMiddlewareGivesEventsTheirRequest(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink, TrustedProxies(proxy))
	w := ask(Middleware(r, SessionCookie("sid")), func(w http.ResponseWriter, q *http.Request) {
		SetUser(q.Context(), User{"7", "alice"})
		if err := r.LogAuditEvent(q.Context(), AuditLog{Action: "UPDATE", ContentType: "shop.order", ObjectID: "42"}); err != nil {
			t.Error(err)
		}
	}, func(q *http.Request) {
		q.RemoteAddr = "10.0.0.1:80"
		q.Header.Set("X-Forwarded-For", "127.0.0.1, 198.51.100.7")
		q.AddCookie(&http.Cookie{Name: "sid", Value: "opensesame"})
	})
	e := sink.only(t)
	for field, want := range map[string]string{"username": "alice", "user_id": "7", "ip_address": "198.51.100.7", "user_agent": "Firefox", "request_id": w.Header().Get("X-Request-Id")} {
		if got := e.Get(field); got != want || got == "" {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
	if s := e.Get("session_key"); s == "" || strings.Contains(s, "opensesame") {
		t.Errorf("session_key: got %q, want a name that does not open the session", s)
	}
}

func TestRequestIDs(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, test := range []struct{ name, peer, header, value, want string }{
		{"of a proxy", "10.0.0.1:1", "X-Request-Id", "abc-123_x.9", "abc-123_x.9"},
		{"of a stranger", "203.0.113.9:1", "X-Request-Id", "abc-123", ""},
		{"with a line end", "10.0.0.1:1", "X-Request-Id", "abc\r\nSet-Cookie: a=b", ""},
		{"with markup", "10.0.0.1:1", "X-Request-Id", "<b>", ""},
		{"too long", "10.0.0.1:1", "X-Request-Id", strings.Repeat("a", 129), ""},
		{"empty", "10.0.0.1:1", "X-Request-Id", "", ""},
		{"trace", "10.0.0.1:1", "Traceparent", trace, "4bf92f3577b34da6a3ce929d0e0e4736"},
		{"trace of a stranger", "203.0.113.9:1", "Traceparent", trace, ""},
		{"trace of zeros", "10.0.0.1:1", "Traceparent", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", ""},
		{"trace of a future version", "10.0.0.1:1", "Traceparent", "ff" + trace[2:], ""},
		{"no trace", "10.0.0.1:1", "Traceparent", "x-y-z-a", ""},
	} {
		r := strict(t, &memory{}, TrustedProxies(proxy))
		var inside string
		w := ask(r.Middleware, func(w http.ResponseWriter, q *http.Request) { inside = RequestFrom(q.Context()).ID }, func(q *http.Request) {
			q.RemoteAddr = test.peer
			q.Header.Set(test.header, test.value)
		})
		got := w.Header().Get("X-Request-Id")
		if got != inside {
			t.Errorf("%s: answered %q, inside %q", test.name, got, inside)
		}
		if test.want != "" && got != test.want || test.want == "" && (len(got) != 26 || got == test.value) {
			t.Errorf("%s: got %q, want %q (empty is a new one)", test.name, got, test.want)
		}
	}
}

func TestSlowRequests(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []Option
		handler func(c *clock) http.HandlerFunc
		want    int
	}{
		{"slow", nil, func(c *clock) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { c.forward(5 * time.Second) }
		}, 1},
		{"not quite", nil, func(c *clock) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { c.forward(5*time.Second - 1) }
		}, 0},
		{"a limit of its own", []Option{SlowRequest(time.Second)}, func(c *clock) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { c.forward(time.Second) }
		}, 1},
		{"no limit", []Option{SlowRequest(0)}, func(c *clock) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { c.forward(time.Hour) }
		}, 0},
		{"a stream of events", nil, func(c *clock) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				c.forward(time.Hour)
			}
		}, 0},
		{"a skipped path", []Option{SkipPaths("/orders/*")}, func(c *clock) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { c.forward(time.Hour) }
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, sink := newClock(), &memory{}
			r := strict(t, sink, append(test.options, Now(c.now))...)
			ask(r.Middleware, test.handler(c), func(q *http.Request) { q.Pattern = "GET /orders/{id}" })
			if got := len(sink.all()); got != test.want {
				t.Fatalf("got %d events, want %d", got, test.want)
			}
			if test.want == 0 {
				return
			}
			e := sink.only(t)
			if e.Get("event_type") != "PERFORMANCE" || e.Get("title") != "Slow request" || e.Get("ip_address") != "203.0.113.9" {
				t.Errorf("got %s", AppendJSON(nil, e, nil))
			}
			if m := meta(t, e); m["duration_ms"].(float64) < 1000 || m["pattern"] != "GET /orders/{id}" || m["method"] != "GET" {
				t.Errorf("metadata: got %v", m)
			}
		})
	}
}

func explode() { panic("out of stock") }

func TestPanicsAreRecordedAndGoOn(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink)
	func() {
		defer func() {
			if v := recover(); v != "out of stock" {
				t.Errorf("the panic that went on: got %v, want out of stock", v)
			}
		}()
		ask(r.Middleware, func(w http.ResponseWriter, q *http.Request) {
			SetUser(q.Context(), User{"7", "alice"})
			explode()
		}, nil)
	}()
	e := sink.only(t)
	if e.Get("event_type") != "ERROR" || e.Get("title") != "Panic: out of stock" || e.Get("username") != "alice" || e.Get("request_id") == "" ||
		!strings.HasSuffix(e.Get("function_name"), "audit.explode") || e.Get("line_number") == "" || !strings.Contains(e.Get("stack_trace"), "audit.explode") {
		t.Errorf("got %s", AppendJSON(nil, e, nil))
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink)
	m := Middleware(r, AnswerPanics())
	w := ask(m, func(http.ResponseWriter, *http.Request) { var p *User; _ = p.Name }, nil)
	if w.Code != 500 || !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) || strings.Contains(w.Body.String(), "nil pointer") {
		t.Errorf("got %d %q, want 500 with the id and nothing else", w.Code, w.Body)
	}
	if e := sink.only(t); !strings.Contains(e.Get("title"), "nil pointer") || !strings.Contains(e.Get("function_name"), "TestPanicsAreAnswered") {
		t.Errorf("got %s", AppendJSON(nil, e, nil))
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("half an answer: got %v, want http.ErrAbortHandler", v)
		}
	}()
	ask(m, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("half")); panic("x") }, nil)
}

func TestAbortIsNoPanic(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink)
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("got %v, want http.ErrAbortHandler", v)
		}
		if n := len(sink.all()); n > 0 {
			t.Errorf("got %d events, want none", n)
		}
	}()
	ask(Middleware(r, AnswerPanics()), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil)
}

func TestErrorsAreFoldedInAFlood(t *testing.T) {
	for status, want := range map[int]string{500: "ERROR", 501: "ERROR", 502: "WARNING", 503: "WARNING", 504: "WARNING", 404: "", 499: ""} {
		c, sink := newClock(), &memory{}
		r := strict(t, sink, Now(c.now))
		m := Middleware(r)
		for i := range 500 {
			ask(m, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, func(q *http.Request) { q.URL.Path = fmt.Sprintf("/orders/%d", i) })
			c.forward(100 * time.Millisecond)
		}
		if want == "" {
			if n := len(sink.all()); n > 0 {
				t.Errorf("%d: got %d events, want none", status, n)
			}
			continue
		}
		if e := sink.only(t); e.Get("event_type") != want || e.Get("error_code") != fmt.Sprint(status) {
			t.Errorf("%d: got %s", status, AppendJSON(nil, e, nil))
		}
		if err := r.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		all := sink.all()
		if len(all) != 2 || meta(t, all[1])["count"] != 500.0 || !strings.Contains(all[1].Get("description"), "499 more") {
			t.Errorf("%d: after the end got %d events, want one more that counts 500: %s", status, len(all), AppendJSON(nil, all[len(all)-1], nil))
		}
	}
}

// A flood of different events is bounded too, and what is over the bound is
// counted in an event.
func TestFloodOfDifferentEvents(t *testing.T) {
	c, sink := newClock(), &memory{}
	r := strict(t, sink, Now(c.now))
	m, err := SecurityMiddleware(r, SecurityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	handler := m(http.NotFoundHandler())
	for i := range 5000 {
		q := httptest.NewRequest("GET", "/.env", nil)
		q.RemoteAddr = fmt.Sprintf("203.%d.%d.9:1", i/250, i%250)
		handler.ServeHTTP(httptest.NewRecorder(), q)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events, notices := noticesApart(sink.all())
	if len(events) != floodEvents || len(notices) != 1 {
		t.Fatalf("got %d events and %d notices, want %d and 1", len(events), len(notices), floodEvents)
	}
	if got := meta(t, notices[0])["count"].(float64); int(got)+len(events) != 5000 {
		t.Errorf("got %d events and %v counted, want 5000 in all", len(events), got)
	}
}

func TestMiddlewareWithinItselfDoesNothing(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink)
	m := Middleware(r)
	w := ask(m, m(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })).ServeHTTP, nil)
	if len(w.Header()["X-Request-Id"]) != 1 || len(sink.all()) != 1 {
		t.Errorf("got ids %q and %d events, want one of each", w.Header()["X-Request-Id"], len(sink.all()))
	}
}

func TestSecurityMiddleware(t *testing.T) {
	attack := func(q *http.Request) { q.RequestURI = "/orders?id=1%27%20OR%20%271%27=%271&token=abcdef123456" }
	for _, test := range []struct {
		name    string
		options SecurityOptions
		change  func(*http.Request)
		handler http.HandlerFunc
		status  int
		want    string
	}{
		{"an attack is only recorded", SecurityOptions{}, attack, nil, 200, "sql-injection"},
		{"an attack is blocked", SecurityOptions{Block: BlockAbove(High)}, attack, nil, 403, "sql-injection"},
		{"a probe is not worth blocking", SecurityOptions{Block: BlockAbove(High)}, func(q *http.Request) { q.RequestURI = "/.git/config" }, nil, 200, "secret-file"},
		{"what is not there", SecurityOptions{Block: BlockAbove(Low)}, func(q *http.Request) { q.RequestURI = "/wp-login.php" }, http.NotFound, 404, "wordpress"},
		{"ordinary", SecurityOptions{Block: BlockAbove(Low)}, nil, nil, 200, ""},
		{"ignored", SecurityOptions{Detector: DetectorOptions{Ignore: []string{"sql-injection"}}}, attack, nil, 200, ""},
		{"a forged header", SecurityOptions{}, func(q *http.Request) { q.Header.Set("X-Forwarded-For", "127.0.0.1") }, nil, 200, "forged-address"},
		{"a header of a proxy", SecurityOptions{}, func(q *http.Request) { q.RemoteAddr = "10.0.0.1:1"; q.Header.Set("X-Forwarded-For", "127.0.0.1") }, nil, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := &memory{}
			r := strict(t, sink, TrustedProxies(proxy))
			m, err := SecurityMiddleware(r, test.options)
			if err != nil {
				t.Fatal(err)
			}
			handler := test.handler
			if handler == nil {
				handler = func(_ http.ResponseWriter, q *http.Request) { SetUser(q.Context(), User{"7", "alice"}) }
			}
			w := ask(m, handler, test.change)
			if w.Code != test.status {
				t.Errorf("status: got %d, want %d", w.Code, test.status)
			}
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("the request has no id")
			}
			if test.want == "" {
				if n := len(sink.all()); n > 0 {
					t.Errorf("got %s, want nothing", AppendJSON(nil, sink.all()[0], nil))
				}
				return
			}
			e := sink.only(t)
			if e.Get("event_type") != "SECURITY" || e.Get("error_code") != test.want || e.Get("description") == "" || e.Get("ip_address") != "203.0.113.9" {
				t.Errorf("got %s, want %s", AppendJSON(nil, e, nil), test.want)
			}
			m2 := meta(t, e)
			if m2["severity"] == "" || m2["matched"] == "" || m2["status"] != float64(test.status) || (m2["blocked"] == true) != (test.status == 403) {
				t.Errorf("metadata: got %v", m2)
			}
			if query, ok := m2["query"].(map[string]any); ok && !IsMask(query["token"].(string)) {
				t.Errorf("a secret of the query is recorded: %v", query)
			}
			if test.status == 200 && test.handler == nil && e.Get("username") != "alice" {
				t.Errorf("username: got %q, want alice", e.Get("username"))
			}
		})
	}
	if _, err := SecurityMiddleware(strict(t, &memory{}), SecurityOptions{Detector: DetectorOptions{Ignore: []string{"x"}}}); err == nil {
		t.Error("an unknown rule to ignore: got no error")
	}
}

// Real servers of HTTP/1 and HTTP/2: what handlers may ask of their writer they
// may ask behind the middleware.
func TestWritersCanWhatTheyCould(t *testing.T) {
	able := func(w http.ResponseWriter) string {
		var s []string
		if _, ok := w.(http.Flusher); ok {
			s = append(s, "Flusher")
		}
		if _, ok := w.(http.Hijacker); ok {
			s = append(s, "Hijacker")
		}
		if _, ok := w.(io.ReaderFrom); ok {
			s = append(s, "ReaderFrom")
		}
		if _, ok := w.(http.Pusher); ok {
			s = append(s, "Pusher")
		}
		return strings.Join(s, " ")
	}
	file := filepath.Join(t.TempDir(), "report.csv")
	if err := os.WriteFile(file, bytes.Repeat([]byte("1,2,3\n"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, two := range []bool{false, true} {
		sink := &memory{}
		r := strict(t, sink)
		var without, with string
		mux := http.NewServeMux()
		mux.HandleFunc("/able", func(w http.ResponseWriter, q *http.Request) { with = able(w) })
		mux.HandleFunc("/flush", func(w http.ResponseWriter, q *http.Request) {
			_, _ = io.WriteString(w, "first ")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			w.(http.Flusher).Flush()
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Errorf("deadline: %v", err)
			}
			_, _ = io.WriteString(w, "second")
		})
		mux.HandleFunc("/file", func(w http.ResponseWriter, q *http.Request) { http.ServeFile(w, q, file) })
		mux.HandleFunc("/hints", func(w http.ResponseWriter, q *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusInternalServerError)
		})
		mux.HandleFunc("/hijack", func(w http.ResponseWriter, q *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
			conn.Close()
		})
		inner := r.Middleware(mux)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			without = able(w)
			inner.ServeHTTP(w, q)
		}))
		server.EnableHTTP2 = two
		if two {
			server.StartTLS()
		} else {
			server.Start()
		}
		get := func(path string) (int, string) {
			t.Helper()
			res, err := server.Client().Get(server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, string(body)
		}
		get("/able")
		if with != without || with == "" {
			t.Errorf("HTTP/2 %v: with the middleware %q, without %q", two, with, without)
		}
		if _, body := get("/flush"); body != "first second" {
			t.Errorf("HTTP/2 %v: got %q", two, body)
		}
		if _, body := get("/file"); len(body) != 600_000 {
			t.Errorf("HTTP/2 %v: got %d bytes of the file", two, len(body))
		}
		if status, _ := get("/hints"); status != 500 {
			t.Errorf("HTTP/2 %v: got %d, want 500", two, status)
		}
		if !two {
			if _, body := get("/hijack"); body != "hi" {
				t.Errorf("hijacked: got %q", body)
			}
		}
		server.Close()
		if e := sink.only(t); e.Get("error_code") != "500" || meta(t, e)["pattern"] != "/hints" {
			t.Errorf("HTTP/2 %v: got %s, want the 500 behind the hints", two, AppendJSON(nil, e, nil))
		}
	}
}

// Each of the sixteen writers there may be.
func TestEveryWriter(t *testing.T) {
	type (
		f struct{ http.Flusher }
		h struct{ http.Hijacker }
		r struct{ io.ReaderFrom }
		p struct{ http.Pusher }
	)
	base := http.ResponseWriter(struct{ http.ResponseWriter }{httptest.NewRecorder()})
	for can, w := range []http.ResponseWriter{
		base, struct {
			http.ResponseWriter
			f
		}{base, f{}}, struct {
			http.ResponseWriter
			h
		}{base, h{}}, struct {
			http.ResponseWriter
			f
			h
		}{base, f{}, h{}}, struct {
			http.ResponseWriter
			r
		}{base, r{}}, struct {
			http.ResponseWriter
			f
			r
		}{base, f{}, r{}}, struct {
			http.ResponseWriter
			h
			r
		}{base, h{}, r{}}, struct {
			http.ResponseWriter
			f
			h
			r
		}{base, f{}, h{}, r{}}, struct {
			http.ResponseWriter
			p
		}{base, p{}}, struct {
			http.ResponseWriter
			f
			p
		}{base, f{}, p{}}, struct {
			http.ResponseWriter
			h
			p
		}{base, h{}, p{}}, struct {
			http.ResponseWriter
			f
			h
			p
		}{base, f{}, h{}, p{}}, struct {
			http.ResponseWriter
			r
			p
		}{base, r{}, p{}}, struct {
			http.ResponseWriter
			f
			r
			p
		}{base, f{}, r{}, p{}}, struct {
			http.ResponseWriter
			h
			r
			p
		}{base, h{}, r{}, p{}}, struct {
			http.ResponseWriter
			f
			h
			r
			p
		}{base, f{}, h{}, r{}, p{}},
	} {
		got := (&response{w: w}).writer()
		_, isF := got.(http.Flusher)
		_, isH := got.(http.Hijacker)
		_, isR := got.(io.ReaderFrom)
		_, isP := got.(http.Pusher)
		if isF != (can&1 != 0) || isH != (can&2 != 0) || isR != (can&4 != 0) || isP != (can&8 != 0) {
			t.Errorf("writer %04b: got flusher %v, hijacker %v, reader from %v, pusher %v", can, isF, isH, isR, isP)
		}
		if u, ok := got.(interface{ Unwrap() http.ResponseWriter }); !ok || u.Unwrap() != w {
			t.Errorf("writer %04b cannot be unwrapped", can)
		}
	}
}

// still is a writer that costs nothing.
type still struct{ h http.Header }

func (s *still) Header() http.Header                          { return s.h }
func (s *still) Write(b []byte) (int, error)                  { return len(b), nil }
func (s *still) WriteHeader(int)                              {}
func (s *still) Flush()                                       {}
func (s *still) ReadFrom(r io.Reader) (int64, error)          { return io.Copy(io.Discard, r) }
func (s *still) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("no") }

func BenchmarkMiddleware(b *testing.B) {
	r, err := New(&memory{}, Strict(), TrustedProxies(proxy))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(context.Background())
	watch, err := SecurityMiddleware(r, SecurityOptions{})
	if err != nil {
		b.Fatal(err)
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	for _, bench := range []struct {
		name    string
		handler http.Handler
	}{{"none", answer}, {"request", r.Middleware(answer)}, {"request+security", r.Middleware(watch(answer))}} {
		b.Run(bench.name, func(b *testing.B) {
			q := httptest.NewRequest("GET", "/shop/orders/42?sort=name&page=2", nil)
			q.RemoteAddr = "10.0.0.1:4711"
			q.Header.Set("X-Forwarded-For", "203.0.113.9")
			q.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
			w := &still{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				bench.handler.ServeHTTP(w, q)
			}
		})
	}
}

// The middleware's own share of a request without an event.
func TestMiddlewareIsCheap(t *testing.T) {
	r := strict(t, &memory{}, TrustedProxies(proxy))
	w := &still{h: http.Header{}}
	q := httptest.NewRequest("GET", "/shop/orders/42?sort=name", nil)
	q.RemoteAddr = "10.0.0.1:4711"
	q.Header.Set("X-Forwarded-For", "203.0.113.9")
	handler := r.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	if got := testing.AllocsPerRun(1000, func() { handler.ServeHTTP(w, q) }); got > 5 {
		t.Errorf("got %v allocations a request, want at most 5", got)
	}
}
