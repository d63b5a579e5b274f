package authz

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/go-chi/chi/v5/middleware"
)

// Client is where a request came from, as far as that can be trusted.
type Client struct {
	Addr  netip.Addr // canonical, without a zone; invalid if it cannot be known
	HTTPS bool       // the caller's own connection is encrypted
	Local bool       // from this very machine, through no proxy, and it asked for a local address
}

// Address returns the address as text, or "" if it is not known.
func (c Client) Address() string {
	if !c.Addr.IsValid() {
		return ""
	}
	return c.Addr.String()
}

type clientKey struct{}

// ClientFrom returns what ClientAddr found out, and the zero Client before it
// ran.
func ClientFrom(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}

// ClientAddr returns the middleware that finds out where a request came from.
// Only a peer within trusted is believed about others: its X-Forwarded-For is
// walked from the right to the first address that is not trusted itself, and
// its X-Forwarded-Proto says whether the caller's connection is encrypted. A
// chain that cannot be read makes the address unknown. Without trusted peers
// every header is ignored, and the peer is the client.
func ClientAddr(trusted []netip.Prefix) func(http.Handler) http.Handler {
	find := middleware.ClientIPFromRemoteAddr
	if len(trusted) > 0 {
		texts := make([]string, len(trusted))
		for i, p := range trusted {
			texts[i] = p.String()
		}
		find = middleware.ClientIPFromXFF(texts...)
	}
	return func(next http.Handler) http.Handler {
		return find(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			peer := peerOf(r)
			c := Client{Addr: middleware.GetClientIPAddr(r.Context()).WithZone(""), HTTPS: r.TLS != nil}
			forwarded := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
			if !c.Addr.IsValid() && !forwarded {
				c.Addr = peer // the proxy asks for itself
			}
			if within(peer, trusted) {
				// The last one was set by the proxy next to us.
				values := strings.Split(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")
				c.HTTPS = c.HTTPS || strings.EqualFold(strings.TrimSpace(values[len(values)-1]), "https")
			}
			// A browser here that was led to us under the name of another site
			// speaks for that site.
			c.Local = peer.IsLoopback() && !forwarded && localHost(r.Host)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, c)))
		}))
	}
}

func peerOf(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// localHost reports whether the host that was asked for is this machine's own
// name for itself, with or without a port.
func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

func within(addr netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
