package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// A MiddlewareOption changes how [Middleware] works.
type MiddlewareOption func(*middleware)

// AnswerPanics answers a request whose handler panics with 500 and the id of the
// request. Without it the panic goes on after it was recorded, as if there were
// no middleware.
func AnswerPanics() MiddlewareOption { return func(m *middleware) { m.answerPanics = true } }

// SessionCookie names the cookie that holds the session. Its events get a name
// that is derived from the value and does not open the session.
func SessionCookie(name string) MiddlewareOption { return func(m *middleware) { m.cookie = name } }

// Middleware gives every request what its events have in common, and records
// what went wrong with it. See the function [Middleware].
func (r *Recorder) Middleware(next http.Handler) http.Handler { return Middleware(r)(next) }

// Middleware returns a middleware that
//
//   - gives each request an id, and the answer too, as X-Request-Id. An id that
//     the request brings (X-Request-Id, or else the trace of traceparent) is taken
//     over from a trusted proxy alone, and only where it looks like one;
//   - puts a [RequestInfo] into the request's context, so that whatever is recorded
//     with that context names the request, its address (see [ClientAddress]), its
//     session, and the user that the application gives to [SetUser];
//   - records a request that takes as long as [SlowRequest] says (PERFORMANCE),
//     unless it streams; a panic with its place and stack (ERROR), which then goes
//     on; and an answer of 500 and above (ERROR; WARNING for 502 to 504). What
//     repeats within a minute is one event, and one more that counts the rest.
//
// Handlers see a writer that can do what the one they would have can: stream,
// hijack, send files, push. A middleware within another one does nothing.
func Middleware(r *Recorder, options ...MiddlewareOption) func(http.Handler) http.Handler {
	m := &middleware{r: r, floods: r.newFloods("slow or failed requests")}
	for _, o := range options {
		o(m)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { m.serve(next, w, q) })
	}
}

type middleware struct {
	r            *Recorder
	floods       *floods
	answerPanics bool
	cookie       string
}

// exchange is one request and its answer, in one piece of memory. It is the
// context of the request too.
type exchange struct {
	context.Context
	info     RequestInfo
	response response
	id       [1]string
}

// Value knows the request, and what of its answer is known so far.
func (x *exchange) Value(key any) any {
	if k, ok := key.(contextKey); ok {
		switch k {
		case keyRequest:
			return &x.info
		case keyResponse:
			return &x.response
		}
	}
	return x.Context.Value(key)
}

// keyResponse leads to the *response of the middleware.
const keyResponse contextKey = 1000

func (m *middleware) serve(next http.Handler, w http.ResponseWriter, q *http.Request) {
	if _, ok := q.Context().Value(keyResponse).(*response); ok {
		next.ServeHTTP(w, q)
		return
	}
	peer, trusted := m.r.peerOf(q)
	x := &exchange{Context: q.Context(), response: response{w: w}}
	x.info.Start = m.r.now()
	x.info.Method, x.info.Path, x.info.UserAgent = q.Method, q.URL.Path, q.UserAgent()
	x.info.Address = peer
	if trusted {
		x.info.Address = ClientAddress(q, m.r.trustedProxies)
		x.info.ID = givenID(q.Header)
	}
	if x.info.ID == "" {
		x.info.ID = newEventID(x.info.Start)
	}
	if m.cookie != "" {
		if c, err := q.Cookie(m.cookie); err == nil && c.Value != "" {
			x.info.SessionKey = sessionName(c.Value)
		}
	}
	x.id[0] = x.info.ID
	w.Header()["X-Request-Id"] = x.id[:] // without the copy that Set makes

	q = q.WithContext(x)
	returned := false
	defer func() {
		if returned {
			m.finish(x, q)
			return
		}
		v := recover()
		if v == nil { // runtime.Goexit
			return
		}
		m.panicked(x, q, v)
	}()
	next.ServeHTTP(x.response.writer(), q)
	returned = true
}

// finish records what was slow or failed.
func (m *middleware) finish(x *exchange, q *http.Request) {
	status := x.response.status
	if status >= 500 {
		m.failed(x, q)
	}
	if m.r.slowRequest <= 0 {
		return
	}
	took := m.r.now().Sub(x.info.Start)
	if took < m.r.slowRequest || x.response.hijacked || status == http.StatusSwitchingProtocols ||
		strings.HasPrefix(x.response.Header().Get("Content-Type"), "text/event-stream") {
		return
	}
	where := route(q)
	meta := m.meta(x, q)
	meta["duration_ms"] = took.Milliseconds()
	m.floods.record(x, "slow "+where, SystemEvent{
		EventType:   "PERFORMANCE",
		Title:       "Slow request",
		Description: fmt.Sprintf("%s took %s.", where, took.Round(time.Millisecond)),
		ErrorCode:   "slow-request",
		Metadata:    meta,
	})
}

// failed records an answer of 500 and above.
func (m *middleware) failed(x *exchange, q *http.Request) {
	status := x.response.status
	kind := "ERROR"
	if status >= 502 && status <= 504 {
		kind = "WARNING" // somebody else's fault, or too much to do
	}
	where := route(q)
	m.floods.record(x, strconv.Itoa(status)+" "+where, SystemEvent{
		EventType:   kind,
		Title:       strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status))),
		Description: where + " was answered with an error.",
		ErrorCode:   strconv.Itoa(status),
		Metadata:    m.meta(x, q),
	})
}

// panicked records a panic and lets it go on, or answers.
func (m *middleware) panicked(x *exchange, q *http.Request, v any) {
	if v == http.ErrAbortHandler { // a handler's way to say that it gives up
		panic(v)
	}
	function, file, line := panicPlace()
	text := fmt.Sprint(v)
	headline, _, _ := strings.Cut(text, "\n")
	meta := m.meta(x, q)
	delete(meta, "status")
	meta["file"] = file
	m.floods.record(x, "panic "+function+":"+strconv.Itoa(line), SystemEvent{
		EventType:    "ERROR",
		Title:        cutLetters("Panic: "+headline, 200),
		Description:  cutLetters(route(q)+": "+text, 4000),
		FunctionName: function,
		LineNumber:   int64(line),
		ErrorCode:    "panic",
		StackTrace:   cutLetters(string(debug.Stack()), 16<<10),
		Metadata:     meta,
	})
	switch {
	case !m.answerPanics:
		panic(v)
	case x.response.hijacked:
	case x.response.status != 0:
		panic(http.ErrAbortHandler) // nobody is to take half an answer for the whole
	default:
		http.Error(x.response.w, "Internal Server Error (request "+x.info.ID+")", http.StatusInternalServerError)
	}
}

// panicPlace returns the function that panicked: the first one below the panic
// that is not of the runtime.
func panicPlace() (function, file string, line int) {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	below := false
	for {
		f, more := frames.Next()
		if f.Function == "runtime.gopanic" {
			below = true
		} else if below && !strings.HasPrefix(f.Function, "runtime.") {
			return f.Function, f.File, f.Line
		}
		if !more {
			return "", "", 0
		}
	}
}

func (m *middleware) meta(x *exchange, q *http.Request) map[string]any {
	meta := map[string]any{"method": q.Method, "path": shown(q.URL.Path)}
	if x.response.status != 0 {
		meta["status"] = x.response.status
	}
	if q.Pattern != "" {
		meta["pattern"] = q.Pattern
	}
	if x.info.UserAgent != "" {
		meta["user_agent"] = shown(x.info.UserAgent)
	}
	return meta
}

// route names what a request is for: the pattern of the router, or else no more
// than the beginning of the path, so that there are few of them.
func route(q *http.Request) string {
	where := q.Pattern
	if where == "" {
		begin, _, more := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
		where = "/" + begin
		if more {
			where += "/…"
		}
	}
	if !strings.HasPrefix(where, q.Method+" ") {
		where = q.Method + " " + where
	}
	return shown(where)
}

// givenID returns the id that a request brings, or "".
func givenID(h http.Header) string {
	if id := h.Get("X-Request-Id"); isID(id) {
		return id
	}
	// 00-<32 of trace>-<16 of span>-<2 of flags>
	version, rest, _ := strings.Cut(h.Get("Traceparent"), "-")
	trace, rest, _ := strings.Cut(rest, "-")
	if len(version) == 2 && version != "ff" && len(rest) >= 19 && rest[16] == '-' &&
		len(trace) == 32 && strings.Trim(trace, "0123456789abcdef") == "" && strings.Trim(trace, "0") != "" {
		return trace
	}
	return ""
}

// isID reports whether a text is fit to be an id in logs and headers.
func isID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isWordByte(c) && c != '-' && c != '.' || c >= 0x80 {
			return false
		}
	}
	return true
}

// sessionName returns a name of a session that does not open it.
func sessionName(secret string) string {
	sum := sha256.Sum256([]byte("auditadmin session\x00" + secret))
	return "s-" + hex.EncodeToString(sum[:8])
}

func cutLetters(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// peerOf returns the address a request was received from, and whether it belongs
// to a trusted proxy.
func (r *Recorder) peerOf(q *http.Request) (netip.Addr, bool) {
	peer := parseAddress(q.RemoteAddr)
	return peer, isTrusted(peer, r.trustedProxies)
}
