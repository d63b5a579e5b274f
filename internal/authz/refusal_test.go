package authz

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

func TestStrangersAreSentToSignIn(t *testing.T) {
	h := newHouse(t, setup{})
	for _, c := range []struct {
		method, target string
		option         func(*http.Request)
		code           int
		location       string
	}{
		{"GET", "/audit-logs?q=action:DELETE&tz=Europe/Paris", with("Accept", "text/html"), 303, "/login?next=%2Faudit-logs%3Fq%3Daction%3ADELETE%26tz%3DEurope%2FParis"},
		{"HEAD", "/accounts", with("Accept", "*/*"), 303, "/login?next=%2Faccounts"},
		{"POST", "/system-events/7/resolve", with("Referer", "http://example.com/system-events/7?x=1"), 303, "/login?next=%2Fsystem-events%2F7%3Fx%3D1"},
		{"POST", "/system-events/7/resolve", with("Referer", "http://evil.example/x"), 303, "/login?next=%2F"},
		{"POST", "/system-events/7/resolve", with("Accept", "application/json"), 401, ""},
		{"GET", "/audit-logs", with("Accept", "application/json"), 401, ""},
		{"GET", "/audit-logs.csv", with("Accept", "text/html"), 401, ""},
		{"POST", "/api/v1/events", with("Accept", "*/*"), 401, ""},
	} {
		w := h.do(request(c.method, c.target, c.option))
		if w.Code != c.code || w.Header().Get("Location") != c.location {
			t.Errorf("%s %s: got %d to %q, want %d to %q", c.method, c.target, w.Code, w.Header().Get("Location"), c.code, c.location)
		}
		if c.code == 401 && !strings.HasPrefix(w.Body.String(), `{"error":"`) {
			t.Errorf("%s %s: got %q, want an error in JSON", c.method, c.target, w.Body)
		}
	}
}

func TestSafeNext(t *testing.T) {
	for next, want := range map[string]string{
		"/audit-logs?q=a#b": "/audit-logs?q=a#b", "/": "/", "/objects?type=x&id=//y": "/objects?type=x&id=//y",
		"": "/", "audit-logs": "/", "//evil.example": "/", "///evil.example": "/", "/\\evil.example": "/", "https://evil.example/": "/",
		"javascript:alert(1)": "/", "/x\r\nSet-Cookie: a=b": "/", "/\t/evil.example": "/", "/login?next=/login": "/", "/logout": "/",
		"/" + strings.Repeat("x", 5000): "/", "/%zz": "/", "\\\\evil.example": "/", " /x": "/",
	} {
		if got := SafeNext(next); got != want {
			t.Errorf("SafeNext(%.40q): got %q, want %q", next, got, want)
		}
	}
}

func TestOriginOf(t *testing.T) {
	for public, want := range map[string]string{
		"https://Audit.Example/x?y": "https://audit.example", "https://audit.example:443": "https://audit.example",
		"http://audit.example:80/": "http://audit.example", "http://audit.example:443": "http://audit.example:443",
		"https://audit.example:8443": "https://audit.example:8443", "http://[fd00::5]:80": "http://[fd00::5]", "http://[fd00::80]": "http://[fd00::80]",
	} {
		u, err := url.Parse(public)
		if err != nil {
			t.Fatal(err)
		}
		if got := originOf(u); got != want {
			t.Errorf("originOf(%q): got %q, want %q", public, got, want)
		}
	}
}

// ASVS:V3.7.2 ASVS:V1.2.2
func FuzzSafeNext(f *testing.F) {
	for _, s := range []string{"/x?y#z", "//e", "/\\e", "https://e/", "/%2f/e", "/./\t/e", "/@e", "/:80"} {
		f.Add(s)
	}
	base, err := url.Parse("https://audit.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		safe := SafeNext(next)
		u, err := base.Parse(safe)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || safe[0] != '/' {
			t.Errorf("SafeNext(%q): got %q, which leads to %v, %v", next, safe, u, err)
		}
		if again := SafeNext(safe); again != safe {
			t.Errorf("SafeNext(%q): got %q, and then %q", next, safe, again)
		}
	})
}

// ASVS:V16.3.2 ASVS:V16.3.3
func TestRefusedRightsAreRecordedAndFolded(t *testing.T) {
	h := newHouse(t, setup{})
	ines := h.account("ines", db.RoleViewer)
	c := h.enter("ines")
	for range 500 {
		h.wantStatus(403, "POST", "/audit-logs/7/delete", cookie(c))
	}
	h.wantStatus(403, "GET", "/accounts", cookie(c))
	h.wantRows("SELECT title || ' ' || (metadata ->> 'count') FROM system_event ORDER BY seq",
		"ines was refused the right to delete audit logs 1",
		"ines was refused the right to manage accounts, sessions and tokens 1")
	h.sleep(time.Minute)
	h.gate.flush(t.Context(), h.clock())
	h.gate.flush(t.Context(), h.clock()) // nothing is left for a second time
	h.wantRows("SELECT event_type || ' ' || resolved || ' ' || (metadata ->> 'count') || ' ' || (metadata ->> 'path') || ' ' || username || ' ' || user_id || ' ' || ip_address || ' ' || module FROM system_event ORDER BY seq LIMIT -1 OFFSET 2",
		fmt.Sprintf("SECURITY 1 499 /audit-logs/7/delete ines %d 192.0.2.7 auditadmin", ines.ID))
}

func TestFoldAfterTheClockWasSetBack(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var stored []int
	f := newFold()
	for _, at := range []time.Duration{0, time.Second, foldEvery - 1, foldEvery, foldEvery + 1, -time.Hour, -time.Hour + 1} {
		err := f.add(t.Context(), "key", now.Add(at), func(_ context.Context, count int) error {
			stored = append(stored, count)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprint(stored), "[1 3 2]"; got != want {
		t.Errorf("counts of the events stored: got %s, want %s", got, want)
	}
}

func TestRunStoresTheRestWhenItEnds(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	c := h.enter("ines")
	for range 3 {
		h.wantStatus(403, "GET", "/accounts", cookie(c))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.gate.Run(ctx)
	h.wantRows("SELECT metadata ->> 'count' FROM system_event ORDER BY seq", "1", "2")
}

// TestT3_CrossOrigin: a page of another site changes nothing.
//
// ASVS:V3.5.1
func TestT3_CrossOrigin(t *testing.T) {
	const plain, public = "", "https://audit.example"
	for _, c := range []struct {
		public, target string // of the request, whose host the browser asked
		tls            bool
		origin, site   string
		allowed        bool
	}{
		// plain http on loopback and on the LAN, where no Sec-Fetch-Site is sent
		{plain, "http://127.0.0.1:8080", false, "http://127.0.0.1:8080", "same-origin", true},
		{plain, "http://localhost:8080", false, "http://localhost:8080", "same-origin", true},
		{plain, "http://192.168.1.5:8080", false, "http://192.168.1.5:8080", "", true},
		{plain, "http://[fd00::5]:8080", false, "http://[fd00::5]:8080", "", true},
		{plain, "http://192.168.1.5:8080", false, "", "", true}, // no browser
		{plain, "http://192.168.1.5:8080", false, "", "none", true},
		{plain, "http://192.168.1.5:8080", false, "http://192.168.1.5:9999", "", false}, // another port
		{plain, "http://192.168.1.5:8080", false, "http://evil.example", "", false},
		{plain, "http://192.168.1.5:8080", false, "https://192.168.1.5:8080", "", false}, // another scheme
		{plain, "http://192.168.1.5:8080", false, "null", "", false},
		{plain, "http://127.0.0.1:8080", false, "http://localhost:8080", "cross-site", false},
		{plain, "http://127.0.0.1:8080", false, "http://127.0.0.1:9999", "same-site", false},
		{plain, "http://127.0.0.1:8080", false, "null", "cross-site", false},
		{plain, "http://127.0.0.1:8080", false, "http://127.0.0.1:8080", "cross-site", false},
		// TLS of our own
		{plain, "https://audit.example", true, "https://audit.example", "same-origin", true},
		{plain, "https://audit.example", true, "http://audit.example", "", false}, // http for https
		{plain, "https://audit.example", true, "http://audit.example", "cross-site", false},
		// TLS of a proxy that does not say so: the browser's word is enough
		{plain, "http://audit.example", false, "https://audit.example", "same-origin", true},
		// a public URL
		{public, "http://audit.example", false, "https://audit.example", "same-origin", true},
		{public, "http://127.0.0.1:8080", false, "https://audit.example", "same-origin", true}, // the proxy changed the host
		{public, "http://127.0.0.1:8080", false, "https://audit.example", "", true},
		{public, "http://audit.example", false, "", "none", true},
		{public, "http://audit.example", false, "http://audit.example", "", false},
		{public, "http://audit.example", false, "http://audit.example", "same-origin", false},
		{public, "http://127.0.0.1:8080", false, "http://127.0.0.1:8080", "same-origin", false},
		{public, "http://audit.example", false, "https://audit.example:8443", "same-site", false},
		{public, "http://audit.example", false, "https://audit.example", "cross-site", false},
		{public, "http://audit.example", false, "null", "", false},
		{public, "http://audit.example", false, "", "cross-site", false},
	} {
		h := newHouse(t, setup{public: c.public})
		for _, rule := range Rules() {
			target := c.target + strings.NewReplacer("{id}", "7", "*", "x").Replace(rule.Pattern)
			r := request(rule.Method, target)
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.site != "" {
				r.Header.Set("Sec-Fetch-Site", c.site)
			}
			w := h.do(r)
			refused := w.Code == 403 && strings.Contains(w.Body.String(), "was not carried out")
			if want := !c.allowed && rule.Method == "POST"; refused != want {
				t.Errorf("%s %s with origin %q, site %q, public URL %q: refused %v (%d), want %v", rule.Method, target, c.origin, c.site, c.public, refused, w.Code, want)
			}
		}
	}
}

// ASVS:V3.4.1 ASVS:V3.4.8
func TestT2_Headers(t *testing.T) {
	const forever = "max-age=31536000; includeSubDomains"
	proxy := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
	secure := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	for _, c := range []struct {
		setup  setup
		option func(*http.Request)
		hsts   string
	}{
		{setup{}, func(*http.Request) {}, ""},
		{setup{}, secure, forever},
		{setup{public: "https://audit.example"}, func(*http.Request) {}, forever},
		{setup{public: "http://audit.example"}, func(*http.Request) {}, ""},
		{setup{}, with("X-Forwarded-Proto", "https"), ""},
		{setup{trusted: proxy}, with("X-Forwarded-Proto", "https"), forever},
	} {
		h := newHouse(t, c.setup)
		targets := []string{"GET /nowhere", "DELETE /login"}
		for _, rule := range Rules() {
			targets = append(targets, rule.Method+" "+strings.NewReplacer("{id}", "7", "*", "x").Replace(rule.Pattern))
		}
		codes := map[int]bool{}
		for _, target := range targets {
			method, path, _ := strings.Cut(target, " ")
			for _, site := range []string{"same-origin", "cross-site"} {
				w := h.do(request(method, path, c.option, with("Sec-Fetch-Site", site)))
				codes[w.Code] = true
				for name, want := range map[string]string{
					"Content-Security-Policy":      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
					"X-Content-Type-Options":       "nosniff",
					"Referrer-Policy":              "same-origin",
					"Cross-Origin-Opener-Policy":   "same-origin",
					"Cross-Origin-Resource-Policy": "same-origin",
					"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
					"Cache-Control":                "no-store",
					"X-Robots-Tag":                 "noindex, nofollow",
					"Strict-Transport-Security":    c.hsts,
				} {
					if got := w.Header().Get(name); got != want {
						t.Errorf("%s (%d): %s: got %q, want %q", target, w.Code, name, got, want)
					}
				}
			}
		}
		for _, code := range []int{200, 303, 401, 403, 404, 405} {
			if !codes[code] {
				t.Errorf("no answer of status %d was looked at", code)
			}
		}
	}
}

// TestT17_ClientAddr: who is not trusted is believed nothing.
//
// ASVS:V4.1.3
func TestT17_ClientAddr(t *testing.T) {
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, s := range texts {
			all = append(all, netip.MustParsePrefix(s))
		}
		return all
	}
	none, one := prefixes(), prefixes("10.0.0.1/32", "fd00::/8")
	for _, c := range []struct {
		trusted []netip.Prefix
		peer    string
		headers []string // name, value, …
		want    string
		https   bool
		local   bool
	}{
		{none, "192.0.2.7:1", nil, "192.0.2.7", false, false},
		{none, "192.0.2.7:1", []string{"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https"}, "192.0.2.7", false, false},
		{none, "192.0.2.7:1", []string{"X-Real-IP", "203.0.113.9", "True-Client-IP", "203.0.113.9", "Forwarded", "for=203.0.113.9"}, "192.0.2.7", false, false},
		{none, "[::ffff:192.0.2.7]:1", nil, "192.0.2.7", false, false},
		{none, "[fe80::1%eth0]:1", nil, "fe80::1", false, false},
		{none, "127.0.0.1:1", nil, "127.0.0.1", false, true},
		{none, "[::1]:1", nil, "::1", false, true},
		{none, "127.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9"}, "127.0.0.1", false, false}, // a proxy nobody told us of
		{none, "127.0.0.1:1", []string{"Forwarded", "for=203.0.113.9"}, "127.0.0.1", false, false},
		{none, "@", nil, "", false, false},
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9"}, "203.0.113.9", false, false},
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "HTTPS"}, "203.0.113.9", true, false},
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https, http"}, "203.0.113.9", false, false},
		{one, "10.0.0.2:1", []string{"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https"}, "10.0.0.2", false, false}, // around the proxy
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "127.0.0.1, 203.0.113.9"}, "203.0.113.9", false, false},                 // forged on the left
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9, fd00::2"}, "203.0.113.9", false, false},                   // two proxies
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-For", "203.0.113.9"}, "203.0.113.9", false, false},
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "::ffff:203.0.113.9"}, "203.0.113.9", false, false},
		{one, "[::ffff:10.0.0.1]:1", []string{"X-Forwarded-For", "203.0.113.9"}, "203.0.113.9", false, false},
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9, fd00::2%eth0"}, "203.0.113.9", false, false},
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9, unknown"}, "", false, false}, // garbage: nothing left of it counts
		{one, "10.0.0.1:1", []string{"X-Forwarded-For", "<script>"}, "", false, false},
		{one, "10.0.0.1:1", nil, "10.0.0.1", false, false}, // the proxy asks for itself
		{prefixes("127.0.0.0/8"), "127.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9"}, "203.0.113.9", false, false},
		{prefixes("127.0.0.0/8"), "127.0.0.1:1", nil, "127.0.0.1", false, true},
	} {
		var got Client
		handler := ClientAddr(c.trusted)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = ClientFrom(r.Context()) }))
		r := request("GET", "http://localhost:8080/", from(c.peer))
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Add(c.headers[i], c.headers[i+1])
		}
		handler.ServeHTTP(nil, r)
		if got.Address() != c.want || got.HTTPS != c.https || got.Local != c.local {
			t.Errorf("peer %s with %q, trusting %v: got %+v, want %q https=%v local=%v", c.peer, c.headers, c.trusted, got, c.want, c.https, c.local)
		}
	}
}

// ASVS:V13.4.5
func TestMetricsForTheMachineItself(t *testing.T) {
	h := newHouse(t, setup{})
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "localhost": 200, "LOCALHOST:8080": 200, "[::1]:8080": 200, "[::1]": 200,
		// A page of another site whose name was made to lead here.
		"evil.example:8080": 401, "localhost.evil.example": 401, "127.0.0.1.evil.example": 401, "192.168.1.5:8080": 401, "audit.example": 401,
	} {
		h.wantStatus(want, "GET", "http://"+host+"/metrics", from("127.0.0.1:1"))
	}
	const here = "http://127.0.0.1:8080"
	h.wantStatus(401, "GET", here+"/metrics", from("127.0.0.1:1"), with("X-Forwarded-For", "203.0.113.9"))
	h.wantStatus(401, "GET", here+"/metrics", from("192.0.2.7:1"))
	h.wantStatus(401, "GET", here+"/audit-logs.json", from("127.0.0.1:1")) // nothing else is
}

// ASVS:V16.5.2 ASVS:V16.5.3
func TestPublicRoutesAnswerWithoutADatabase(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	c := h.enter("ines")
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/healthz", "/readyz", "/static/x", "/login"} {
		h.wantStatus(200, "GET", target, cookie(c))
	}
	w := h.do(request("GET", "/audit-logs.json", cookie(c)))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "sql") {
		t.Errorf("without a database: got %d %q, want 503 that says nothing internal", w.Code, w.Body)
	}
}
