package audit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops is how many addresses of a chain of proxies are looked at. Nobody has
// as many; whoever sends more wants to make work.
const maxHops = 32

// ClientAddress returns the address of whoever made a request.
//
// Only a peer within the trusted networks is asked whom it speaks for. Then
// X-Forwarded-For, or Forwarded (RFC 7239) where there is none, is walked from
// the right, where the nearest proxy wrote: the first address that is not itself
// a trusted proxy is the client. What stands left of it the client wrote himself,
// and it is never looked at. Where all are trusted, the leftmost is the client.
//
// Where the chain is broken before that (no address, a name, "unknown"), or the
// two headers name different clients, nobody can be believed and the peer itself
// is returned. Addresses are canonical: IPv4 written as IPv6 is IPv4, and zones
// are gone. The zero Addr says that the peer has no address, as on a Unix socket.
func ClientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer := parseAddress(r.RemoteAddr)
	if !isTrusted(peer, trusted) {
		return peer
	}
	plain, elements := r.Header["X-Forwarded-For"], r.Header["Forwarded"]
	client, ok := peer, true
	if len(plain) > 0 {
		client, ok = walkForwarded(plain, trusted, peer, parseAddress)
	}
	if ok && len(elements) > 0 {
		other, fine := walkForwarded(elements, trusted, peer, forwardedFor)
		if !fine || len(plain) > 0 && other != client {
			return peer
		}
		client = other
	}
	if !ok {
		return peer
	}
	return client
}

// walkForwarded goes through the elements of a header from the right. It returns the
// client, and whether the chain holds up to there.
func walkForwarded(lines []string, trusted []netip.Prefix, peer netip.Addr, parse func(string) netip.Addr) (netip.Addr, bool) {
	client, hops := peer, 0
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			at := strings.LastIndexByte(line, ',')
			element := line[at+1:]
			if more = at >= 0; more {
				line = line[:at]
			}
			if hops++; hops > maxHops {
				return peer, false
			}
			client = parse(strings.Trim(element, " \t"))
			if !client.IsValid() {
				return peer, false
			}
			if !isTrusted(client, trusted) {
				return client, true
			}
		}
	}
	return client, true
}

// forwardedFor returns the address of one element of Forwarded:
// for="[2001:db8::1]:4711";proto=https. A comma within quotes would end the
// element too early, and then the quotes do not match and nobody is believed.
func forwardedFor(element string) netip.Addr {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if strings.HasPrefix(value, `"`) != strings.HasSuffix(value, `"`) {
			return netip.Addr{}
		}
		if len(value) >= 2 && value[0] == '"' {
			value = value[1 : len(value)-1]
		}
		return parseAddress(value)
	}
	return netip.Addr{}
}

// parseAddress reads an address with or without a port, brackets and a zone, and
// returns the zero Addr for anything else.
func parseAddress(s string) netip.Addr {
	var a netip.Addr
	switch {
	case strings.HasPrefix(s, "["):
		if inside, ok := strings.CutSuffix(s[1:], "]"); ok {
			if a, _ = netip.ParseAddr(inside); a.Is4() {
				a = netip.Addr{}
			}
			break
		}
		fallthrough
	case strings.Count(s, ":") == 1: // asked first, because a failure would cost memory
		p, _ := netip.ParseAddrPort(s)
		a = p.Addr()
	default:
		a, _ = netip.ParseAddr(s)
	}
	return a.Unmap().WithZone("")
}

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	if !a.IsValid() {
		return false
	}
	for _, p := range trusted {
		if p.Contains(a) || p.Addr().Is4In6() && p.Bits() >= 96 && netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Contains(a) {
			return true
		}
	}
	return false
}
