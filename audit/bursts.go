package audit

import (
	"hash/maphash"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A bucket fills by one for each failure and empties by one each ten seconds.
// When it runs over, that is a burst, and it begins again.
const (
	emptying       = 10 * time.Second
	missingMost    = 10
	deniedMost     = 10
	signInMost     = 5
	guessWeight    = 2 // of a page that people guess at, among those that are missing
	writeWeight    = 2 // of a refused request that is not a GET
	maxBurstWindow = 5 * time.Minute
)

type bucket struct {
	level float32
	at    int64 // milliseconds since 1970 of the last failure
}

// add adds a failure, and reports whether the bucket ran over.
func (b *bucket) add(now int64, weight, most float32) bool {
	if gone := now - b.at; gone > 0 {
		b.level = max(0, b.level-float32(gone)/float32(emptying.Milliseconds()))
		b.at = now
	}
	b.level += weight
	if b.level > most {
		b.level = 0
		return true
	}
	return false
}

// visitor is what is known of one address.
type visitor struct {
	key                     uint64
	older, newer            uint32
	missing, denied, signIn bucket
	seen                    [16]uint32 // hashes of the pages that were missing last
	next                    uint8      // place in seen
}

// visitors remembers a bounded number of addresses, the ones seen last. The
// first of the list is a guard: its newer is the oldest, its older the newest.
type visitors struct {
	seed maphash.Seed
	most int
	at   map[uint64]uint32
	list []visitor
}

func newVisitors(most int) *visitors {
	return &visitors{seed: maphash.MakeSeed(), most: most, at: map[uint64]uint32{}, list: make([]visitor, 1)}
}

// get returns the visitor of an address, and nil where there is none and none is
// to be made. It is valid until the next call.
func (v *visitors) get(a netip.Addr, create bool) *visitor {
	bytes := party(a).As16()
	key := maphash.Bytes(v.seed, bytes[:])
	i, ok := v.at[key]
	switch {
	case ok:
		v.unlink(i)
	case !create:
		return nil
	case len(v.list) <= v.most:
		i = uint32(len(v.list))
		v.list = append(v.list, visitor{key: key})
		v.at[key] = i
	default:
		i = v.list[0].newer // the oldest makes room
		v.unlink(i)
		delete(v.at, v.list[i].key)
		v.list[i] = visitor{key: key}
		v.at[key] = i
	}
	newest := v.list[0].older
	v.list[i].older, v.list[i].newer = newest, 0
	v.list[newest].newer = i
	v.list[0].older = i
	return &v.list[i]
}

// party is what an address stands for: of IPv6 a network of 64 bits is one. IPv4 that
// is written as IPv6 is IPv4.
func party(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		p, _ := a.Prefix(64)
		a = p.Addr()
	}
	return a
}

func (v *visitors) unlink(i uint32) {
	older, newer := v.list[i].older, v.list[i].newer
	v.list[older].newer = newer
	v.list[newer].older = older
}

var (
	// Parts of pages, which a broken page asks for by the dozen.
	assets = []string{".css", ".js", ".mjs", ".map", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp", ".avif", ".woff", ".woff2",
		".ttf", ".otf", ".eot", ".mp4", ".webm", ".mp3", ".webmanifest"}
	// Pages at which people guess who look for a way in.
	guessed = regexp.MustCompile(`^/(?:[a-z]+/)?(?:admin|administrator|adm|backend|cms|panel|cpanel|login|signin|user/login|user/register|users?|dashboard|console|manager|management|webadmin|adminpanel|admin_area|moderator|portal|install|setup|test|config|node/add.*)(?:\.(?:php|asp|aspx|jsp|html?|cgi))?/?$`)
	// Where sign-in forms are sent. The weak ones are also where programs get their
	// tokens: there only a refusal is a failure.
	signIns     = regexp.MustCompile(`(?:^|[/_-])(?:login|log-in|signin|sign-in|logon|wp-login\.php|user_session|authenticate|j_security_check|login_check|userlogin|dologin|adminlogin)(?:\.\w{2,5})?/?$`)
	weakSignIns = regexp.MustCompile(`(?:^|[/_.-])(?:sessions?|token|auth|oauth2?|xmlrpc\.php|password|account|accounts|signup|register|otp|mfa|2fa|verify)(?:\.\w{2,5})?/?$`)
)

// count counts the failures of addresses, and finds bursts.
func (d *Detector) count(s *scratch, q *Request) {
	if !q.Address.IsValid() || q.Method == "" {
		return
	}
	target, _, _ := strings.Cut(cut(q.Target, maxTarget), "?")
	read := q.Method == "GET" || q.Method == "HEAD" || q.Method == "OPTIONS"
	signIn := false
	if q.Method == "POST" || q.Method == "PUT" {
		name := strings.ToLower(target)
		signIn = signIns.MatchString(name) && (q.Status == 200 || q.Status >= 400 && q.Status < 500) ||
			q.Status >= 400 && q.Status < 500 && weakSignIns.MatchString(name)
	}
	missing := q.Status == 404 || q.Status == 410 || q.Status == 400 || q.Status == 403
	missing = missing && !slices.Contains(assets, strings.ToLower(path.Ext(target)))
	denied := (q.Status == 401 || q.Status == 403) && !signIn

	d.mu.Lock()
	defer d.mu.Unlock()
	if !signIn && !missing && !denied {
		if q.Status < 300 && len(d.visitors.at) > 0 {
			// Negotiated sign-ins are refused once before each success.
			if v := d.visitors.get(q.Address, false); v != nil {
				v.denied.level = max(0, v.denied.level-1)
			}
		}
		return
	}
	v := d.visitors.get(q.Address, true)
	now := q.Time.UnixMilli()
	if signIn && v.signIn.add(now, 1, signInMost) {
		d.add(s, ruleSignIn, q.Method+" "+target+" "+strconv.Itoa(q.Status))
	}
	if denied {
		weight := float32(1)
		if !read {
			weight = writeWeight
		}
		if v.denied.add(now, weight, deniedMost) {
			d.add(s, ruleDenied, q.Method+" "+target+" "+strconv.Itoa(q.Status))
		}
	}
	if missing {
		if now-v.missing.at > maxBurstWindow.Milliseconds() {
			v.seen = [16]uint32{}
		}
		page := pageHash(target)
		if slices.Contains(v.seen[:], page) {
			return
		}
		v.seen[v.next%16] = page
		v.next++
		weight := float32(1)
		if guessed.MatchString(strings.ToLower(target)) {
			weight = guessWeight
		}
		if v.missing.add(now, weight, missingMost) {
			v.seen = [16]uint32{}
			d.add(s, ruleMissing, q.Method+" "+target+" "+strconv.Itoa(q.Status))
		}
	}
}

// pageHash is FNV-1a, which is the same in every run: what is read again from a
// log has to be found again.
func pageHash(target string) uint32 {
	h := uint32(2166136261)
	for i := range len(target) {
		h = (h ^ uint32(target[i])) * 16777619
	}
	return h
}
