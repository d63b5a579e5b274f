package audit

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientAddress(t *testing.T) {
	var none []netip.Prefix
	one := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	two := append(one, netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("198.51.100.7/32"))
	mapped := []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/120")}
	for _, test := range []struct {
		name    string
		trusted []netip.Prefix
		peer    string
		headers string // "Name: value|Name: value"
		want    string
	}{
		// Nobody is trusted
		{"direct", none, "203.0.113.9:4711", "", "203.0.113.9"},
		{"direct, IPv6", none, "[2001:db8::1]:4711", "", "2001:db8::1"},
		{"a claim of a stranger", none, "203.0.113.9:1", "X-Forwarded-For: 198.51.100.1", "203.0.113.9"},
		{"a claim of this machine", none, "127.0.0.1:1", "X-Forwarded-For: 198.51.100.1", "127.0.0.1"},
		{"Forwarded of a stranger", none, "203.0.113.9:1", "Forwarded: for=198.51.100.1", "203.0.113.9"},
		{"other headers are no claims", one, "10.0.0.1:1", "X-Real-Ip: 198.51.100.1|Client-Ip: 198.51.100.2|Cf-Connecting-Ip: 1.1.1.1", "10.0.0.1"},
		// One proxy
		{"one proxy", one, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"a peer beside the proxy", one, "10.0.1.1:1", "X-Forwarded-For: 203.0.113.9", "10.0.1.1"},
		{"forged on the left", one, "10.0.0.1:1", "X-Forwarded-For: 127.0.0.1, 203.0.113.9", "203.0.113.9"},
		{"a trusted address forged on the left", one, "10.0.0.1:1", "X-Forwarded-For: 10.0.0.5, 203.0.113.9", "203.0.113.9"},
		{"forged in a line of its own", one, "10.0.0.1:1", "X-Forwarded-For: 127.0.0.1|X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"garbage on the left does not matter", one, "10.0.0.1:1", "X-Forwarded-For: <script>, 203.0.113.9", "203.0.113.9"},
		{"garbage on the right", one, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9, unknown", "10.0.0.1"},
		{"garbage alone", one, "10.0.0.1:1", "X-Forwarded-For: localhost", "10.0.0.1"},
		{"empty", one, "10.0.0.1:1", "X-Forwarded-For: ", "10.0.0.1"},
		{"an empty element on the right", one, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9,", "10.0.0.1"},
		{"no spaces", one, "10.0.0.1:1", "X-Forwarded-For: 192.0.2.1,203.0.113.9", "203.0.113.9"},
		{"tabs and spaces", one, "10.0.0.1:1", "X-Forwarded-For:  192.0.2.1 ,\t203.0.113.9 ", "203.0.113.9"},
		{"with a port", one, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9:51234", "203.0.113.9"},
		{"IPv6", one, "10.0.0.1:1", "X-Forwarded-For: 2001:db8::1", "2001:db8::1"},
		{"IPv6 in brackets", one, "10.0.0.1:1", "X-Forwarded-For: [2001:db8::1]", "2001:db8::1"},
		{"IPv6 with a port", one, "10.0.0.1:1", "X-Forwarded-For: [2001:db8::1]:443", "2001:db8::1"},
		{"IPv4 in brackets", one, "10.0.0.1:1", "X-Forwarded-For: [203.0.113.9]", "10.0.0.1"},
		{"IPv4 within IPv6", one, "10.0.0.1:1", "X-Forwarded-For: ::ffff:203.0.113.9", "203.0.113.9"},
		{"a zone", one, "10.0.0.1:1", "X-Forwarded-For: fe80::1%eth0", "fe80::1"},
		{"leading zeros are none", one, "10.0.0.1:1", "X-Forwarded-For: 203.000.113.009", "10.0.0.1"},
		{"a number is none", one, "10.0.0.1:1", "X-Forwarded-For: 3405803785", "10.0.0.1"},
		// Peers
		{"peer as IPv4 within IPv6", one, "[::ffff:10.0.0.1]:1", "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"trusted as IPv4 within IPv6", mapped, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"peer with a zone", none, "[fe80::1%eth0]:1", "", "fe80::1"},
		{"peer without a port", one, "10.0.0.1", "X-Forwarded-For: 203.0.113.9", "203.0.113.9"},
		{"Unix socket", one, "@", "X-Forwarded-For: 203.0.113.9", ""},
		// Several proxies
		{"two proxies", two, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9, 198.51.100.7", "203.0.113.9"},
		{"two proxies, forged", two, "10.0.0.1:1", "X-Forwarded-For: 8.8.8.8, 203.0.113.9, 198.51.100.7", "203.0.113.9"},
		{"a proxy of IPv6", two, "[fd00::2]:1", "X-Forwarded-For: 203.0.113.9, fd00::3", "203.0.113.9"},
		{"all are trusted", two, "10.0.0.1:1", "X-Forwarded-For: 10.0.0.9, 198.51.100.7", "10.0.0.9"},
		{"broken behind a trusted one", two, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9, what, 198.51.100.7", "10.0.0.1"},
		{"endless", one, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9" + strings.Repeat(", 10.0.0.2", 1000), "10.0.0.1"},
		// Forwarded
		{"Forwarded", one, "10.0.0.1:1", "Forwarded: for=203.0.113.9;proto=https", "203.0.113.9"},
		{"Forwarded, forged on the left", one, "10.0.0.1:1", "Forwarded: for=127.0.0.1, proto=https;For=203.0.113.9", "203.0.113.9"},
		{"Forwarded, IPv6", one, "10.0.0.1:1", `Forwarded: for="[2001:db8::1]:4711"`, "2001:db8::1"},
		{"Forwarded, hidden", one, "10.0.0.1:1", "Forwarded: for=_secret", "10.0.0.1"},
		{"Forwarded, quotes that do not match", one, "10.0.0.1:1", `Forwarded: for="203.0.113.9`, "10.0.0.1"},
		{"Forwarded without for", one, "10.0.0.1:1", "Forwarded: proto=https", "10.0.0.1"},
		{"both, alike", one, "10.0.0.1:1", "X-Forwarded-For: 203.0.113.9|Forwarded: for=203.0.113.9", "203.0.113.9"},
		{"both, of which one is forged", one, "10.0.0.1:1", "X-Forwarded-For: 8.8.8.8|Forwarded: for=203.0.113.9", "10.0.0.1"},
		{"both, of which one is broken", one, "10.0.0.1:1", "X-Forwarded-For: what|Forwarded: for=203.0.113.9", "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: test.peer, Header: http.Header{}}
		for line := range strings.SplitSeq(test.headers, "|") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				r.Header.Add(name, value)
			}
		}
		got := ""
		if a := ClientAddress(r, test.trusted); a.IsValid() {
			got = a.String()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// Whatever a client writes to the left of what the proxy wrote changes nothing.
func FuzzClientAddress(f *testing.F) {
	f.Add("127.0.0.1")
	f.Add(`for="[::1]`)
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	want := netip.MustParseAddr("203.0.113.9")
	f.Fuzz(func(t *testing.T, forged string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {forged + ", 203.0.113.9"}}}
		if got := ClientAddress(r, trusted); got != want {
			t.Errorf("behind %q: got %s, want %s", forged, got, want)
		}
		r.Header = http.Header{"X-Forwarded-For": {forged, "203.0.113.9"}}
		if got := ClientAddress(r, trusted); got != want {
			t.Errorf("under %q: got %s, want %s", forged, got, want)
		}
	})
}
