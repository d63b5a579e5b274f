package audit

import (
	"net/url"
	"strings"
	"time"
)

const (
	moduleSecurity = "security"
	maxShown       = 500 // letters of a path or agent in metadata
	maxParameters  = 20
)

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
