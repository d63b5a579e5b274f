package audit

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	moduleSecurity = "security"
	maxShown       = 500 // letters of a path or agent in metadata
	maxParameters  = 20
)

// SecurityOptions change [SecurityMiddleware]. The zero value is the default: it
// watches, and never stands in the way.
type SecurityOptions struct {
	Detector DetectorOptions
	// Block is asked before a request is answered that meets a rule, and refuses it
	// with 403 by returning true. What only shows in the answer, such as bursts, is
	// found after it. Without Block nothing is refused.
	Block func(q *http.Request, findings []Finding) bool
}

// BlockAbove is a SecurityOptions.Block that refuses what is at least so severe.
func BlockAbove(least Severity) func(*http.Request, []Finding) bool {
	return func(_ *http.Request, findings []Finding) bool {
		for _, f := range findings {
			if f.Rule.Severity.level() >= least.level() {
				return true
			}
		}
		return false
	}
}

func (s Severity) level() int {
	switch s {
	case High:
		return 3
	case Medium:
		return 2
	}
	return 1
}

// SecurityMiddleware returns a middleware that records attacks and scans as
// SECURITY events: requests that meet one of [Rules], and addresses that fail
// again and again. What one address does is one event a minute for each rule, and
// one more that counts the rest.
//
// It belongs within [Middleware], and brings its own where there is none. It
// reads no bodies. It fails where an option is wrong.
func SecurityMiddleware(r *Recorder, o SecurityOptions) (func(http.Handler) http.Handler, error) {
	detector, err := NewDetector(o.Detector)
	if err != nil {
		return nil, fmt.Errorf("security middleware: %w", err)
	}
	s := &security{r: r, detector: detector, block: o.Block, floods: r.newFloods("findings in requests")}
	outer := Middleware(r)
	return func(next http.Handler) http.Handler {
		inner := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { s.serve(next, w, q) })
		whole := outer(inner)
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if _, ok := q.Context().Value(keyResponse).(*response); ok {
				inner.ServeHTTP(w, q)
			} else {
				whole.ServeHTTP(w, q)
			}
		})
	}, nil
}

type security struct {
	r        *Recorder
	detector *Detector
	block    func(*http.Request, []Finding) bool
	floods   *floods
}

func (s *security) serve(next http.Handler, w http.ResponseWriter, q *http.Request) {
	info := RequestFrom(q.Context())
	answer := q.Context().Value(keyResponse).(*response)
	look := Request{Time: info.Start, Address: info.Address, Method: q.Method, Target: q.RequestURI, Host: q.Host,
		UserAgent: info.UserAgent, Referer: q.Referer(), Header: q.Header}
	look.Peer, look.Trusted = s.r.peerOf(q)
	if look.Target == "" { // not from a server
		look.Target = q.URL.RequestURI()
	}
	if s.block != nil {
		if findings := s.detector.inspect(&look, false); len(findings) > 0 && s.block(q, findings) {
			http.Error(w, "Forbidden: the request looks like an attack (request "+info.ID+")", http.StatusForbidden)
			look.Status = http.StatusForbidden
			s.record(q, &look, s.detector.inspect(&look, true), true)
			return
		}
	}
	returned := false
	defer func() {
		// A request that makes the handler panic is one to look at.
		switch look.Status = answer.status; {
		case answer.status != 0:
		case returned || answer.hijacked:
			look.Status = http.StatusOK
		default:
			look.Status = http.StatusInternalServerError
		}
		s.record(q, &look, s.detector.inspect(&look, true), false)
	}()
	next.ServeHTTP(w, q)
	returned = true
}

func (s *security) record(q *http.Request, look *Request, findings []Finding, blocked bool) {
	client := party(look.Address)
	for _, f := range findings {
		e := f.SystemEvent(look, 1, look.Time)
		if blocked {
			e.Metadata.(map[string]any)["blocked"] = true
		}
		s.floods.record(q.Context(), f.Rule.Name+" "+client.String(), e)
	}
}

// SystemEvent returns the event that says what was found in a request, and how
// often within a window of time that ended with last; a count of 1 is once. Its
// metadata tell the rule, its category and severity, the piece that met it, and
// the request.
func (f Finding) SystemEvent(q *Request, count int, last time.Time) SystemEvent {
	path, query, _ := strings.Cut(q.Target, "?")
	meta := map[string]any{
		"rule":     f.Rule.Name,
		"category": f.Rule.Category,
		"severity": f.Rule.Severity,
		"matched":  f.Matched,
		"method":   q.Method,
		"path":     shown(path),
	}
	if query != "" {
		meta["query"] = parameters(query)
	}
	if q.Status != 0 {
		meta["status"] = q.Status
	}
	for name, value := range map[string]string{"user_agent": q.UserAgent, "referer": q.Referer, "host": q.Host} {
		if value != "" {
			meta[name] = shown(value)
		}
	}
	if q.Peer.IsValid() && q.Peer != q.Address {
		meta["peer"] = q.Peer.String()
	}
	if chain := q.Header["X-Forwarded-For"]; len(chain) > 0 {
		meta["forwarded_for"] = shown(strings.Join(chain, ", "))
	}
	if count > 1 {
		meta["count"] = count
		meta["last"] = FormatTime(last)
	}
	s := SystemEvent{
		Timestamp:   q.Time,
		EventType:   "SECURITY",
		Title:       f.Rule.Title,
		Description: f.Rule.Reason,
		Module:      moduleSecurity,
		ErrorCode:   f.Rule.Name,
		Metadata:    meta,
	}
	if q.Address.IsValid() {
		s.IPAddress = q.Address.String()
	}
	return s
}

// shown cuts a text of a request for metadata, and makes it valid.
func shown(text string) string {
	if len(text) > maxShown {
		text = text[:maxShown] + "…"
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// parameters returns a query by names, so that masking knows secrets by them.
func parameters(query string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(cut(query, maxTarget), "&") {
		if len(all) >= maxParameters {
			break
		}
		name, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		all[shown(name)] = shown(value)
	}
	return all
}
