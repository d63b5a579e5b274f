package authz

import (
	"fmt"
	"net/http"
)

// SameOrigin is the middleware that refuses a request which would change
// something and comes from a page of another site. Browsers say where a request
// comes from: in Sec-Fetch-Site, or over plain http in Origin, which must then
// be the address they asked. With a public URL it must be that one. A request
// that says neither is no browser's.
func (g *Gate) SameOrigin(next http.Handler) http.Handler {
	var protection http.CrossOriginProtection // no trusted origins, no exempt routes
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.checkOrigin(&protection, r); err != nil {
			g.refuse(w, r, http.StatusForbidden, "This request was not carried out: "+err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gate) checkOrigin(protection *http.CrossOriginProtection, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if g.publicOrigin != "" {
		if origin != "" && origin != g.publicOrigin {
			return fmt.Errorf("it came from %q, and this server is only used at %s", origin, g.publicOrigin)
		}
		if site == "" && origin != "" {
			return nil // the very origin; a proxy may have changed the Host
		}
	} else if site == "" && origin != "" && origin != g.origin(r) {
		// The library compares hosts alone; http and https are two sites too.
		return fmt.Errorf("it came from %q, and this is %s; behind a proxy, start auditadmin with --public-url", origin, g.origin(r))
	}
	if protection.Check(r) != nil {
		return fmt.Errorf("it came from another site (%q)", origin)
	}
	return nil
}

// origin is the origin of the pages at the address that was asked.
func (g *Gate) origin(r *http.Request) string {
	if g.secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
