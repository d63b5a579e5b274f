package audit

import (
	"net/http"
	"net/netip"
	"strings"
)

// Headers in which clients claim an address. Proxies write the first two, so an
// internal address in them may be the truth about a network of offices; nobody
// has a reason to send the others to a server that trusts no proxy.
var addressHeaders = []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Client-Ip", "Client-Ip", "True-Client-Ip",
	"X-Originating-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-Custom-Ip-Authorization", "X-Cluster-Client-Ip", "X-Forwarded", "Forwarded-For"}

// headers applies the rules about the request line and the headers.
func (d *Detector) headers(s *scratch, q *Request) {
	if q.Method == "" && q.Target != "" {
		if q.Target != "-" { // a connection on which nothing was sent
			d.add(s, ruleNotHTTP, q.Target)
		}
		return
	}
	switch q.Method {
	case "TRACE", "TRACK", "DEBUG":
		d.add(s, ruleMethod, q.Method)
	case "CONNECT":
		d.add(s, ruleProxy, "CONNECT "+q.Target)
	default:
		if at := strings.Index(q.Target, "://"); at > 0 && q.Target[0] != '/' {
			host, _, _ := strings.Cut(q.Target[at+3:], "/")
			if q.Host == "" || !strings.EqualFold(host, q.Host) || refused(q.Status) {
				d.add(s, ruleProxy, q.Method+" "+q.Target)
			}
		}
	}
	if q.Host != "" && strings.ContainsAny(q.Host, " \t\"'<>\\/@?#{}|;,`$%&()") {
		d.add(s, ruleForgedHost, "Host: "+q.Host)
	}
	// Who comes from the inside may say so, and a proxy that nobody told us of is
	// no attacker.
	if q.Header == nil || q.Trusted || !q.Peer.IsValid() || isInternal(q.Peer) {
		return
	}
	proxied := len(q.Header["Via"]) > 0
	for i, name := range addressHeaders {
		for _, value := range q.Header[name] {
			if claim, ok := internalClaim(value, i < 2 && proxied); ok {
				d.add(s, ruleForgedAddress, name+": "+claim)
			}
		}
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-Http-Host-Override"} {
		if v := q.Header.Get(name); v != "" && !strings.EqualFold(v, q.Host) {
			d.add(s, ruleForgedHost, name+": "+v)
		}
	}
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Override-Url"} {
		if v := q.Header.Get(name); v != "" && v != q.Target {
			d.add(s, ruleForgedURL, name+": "+v)
		}
	}
	if q.Method == http.MethodGet || q.Method == http.MethodHead {
		for _, name := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
			switch v := q.Header.Get(name); strings.ToUpper(v) {
			case "", "GET", "HEAD":
			default:
				d.add(s, ruleMethodOverride, name+": "+v)
			}
		}
	}
}

// internalClaim returns the first address of a header that claims to be this
// machine or, unless a proxy may say so, in an internal network.
func internalClaim(header string, proxied bool) (string, bool) {
	left := maxHops
	for element := range strings.FieldsFuncSeq(header, func(c rune) bool { return c == ',' || c == ';' || c == ' ' }) {
		if left--; left < 0 {
			return "", false
		}
		element = strings.TrimPrefix(strings.ToLower(element), "for=")
		element = strings.Trim(element, `"`)
		if element == "localhost" {
			return element, true
		}
		a := parseAddress(element)
		if a.IsValid() && (a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || !proxied && a.IsPrivate()) {
			return element, true
		}
	}
	return "", false
}

func isInternal(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}
