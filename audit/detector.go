package audit

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Request is what the detector looks at: one request to a web server, as the
// server saw it or as a line of its log tells of it. What is not known is zero.
type Request struct {
	Time    time.Time  // when it came; bursts are measured by it
	Address netip.Addr // of the client
	Method  string
	// Target is the path and query as they were sent, still encoded, or all of the
	// request line where that is not HTTP and Method is empty.
	Target    string
	Host      string
	UserAgent string
	Referer   string
	Status    int // of the answer; 0 before there is one

	// The rest is known to a server alone.
	Peer    netip.Addr  // who is connected; the same as Address where no trusted proxy stands between
	Trusted bool        // the peer is a trusted proxy: its headers are no forgeries
	Header  http.Header // nil in logs
}

// A Finding is one rule that a request meets.
type Finding struct {
	Rule    *Rule
	Matched string // the piece that met it, decoded, cut, and without control characters
}

// DetectorOptions change a detector. The zero value is the default.
type DetectorOptions struct {
	// Addresses is how many addresses are remembered at a time, with about 100
	// bytes each: 100,000 if zero. The one that was quiet longest is forgotten
	// first. Of IPv6 a network of 64 bits counts as one address.
	Addresses int
	// Ignore names rules that are not applied.
	Ignore []string
}

// A Detector finds attacks and scans among requests. It is safe for concurrent
// use. It remembers no more than how often an address failed lately.
type Detector struct {
	looks   []compiled
	other   map[string]*Rule
	needles *needles
	skip    map[string]bool
	scratch sync.Pool

	mu       sync.Mutex
	visitors *visitors // guarded by mu
}

// compiled is one look of a rule.
type compiled struct {
	rule    *Rule
	pattern *regexp.Regexp // nil where a needle is enough
}

// NewDetector returns a detector of all rules but the ignored ones. It fails
// where an ignored rule does not exist.
func NewDetector(o DetectorOptions) (*Detector, error) {
	d := &Detector{other: map[string]*Rule{}, skip: map[string]bool{}}
	known := map[string]bool{}
	for _, r := range Rules() {
		known[r.Name] = true
	}
	for _, name := range o.Ignore {
		if !known[name] {
			return nil, fmt.Errorf("new detector: there is no rule %q to ignore", name)
		}
		d.skip[name] = true
	}
	for i := range otherRules {
		d.other[otherRules[i].Name] = &otherRules[i]
	}
	var texts []needle
	for i := range textRules {
		if d.skip[textRules[i].Name] {
			continue
		}
		for _, l := range textRules[i].find {
			c := compiled{rule: &textRules[i]}
			if l.pattern != "" {
				c.pattern = regexp.MustCompile(l.pattern)
			}
			texts = append(texts, l.texts(len(d.looks))...)
			d.looks = append(d.looks, c)
		}
	}
	d.scratch.New = func() any { return &scratch{tried: make([]int, len(d.looks))} }
	d.needles = newNeedles(texts)
	if o.Addresses <= 0 {
		o.Addresses = 100_000
	}
	d.visitors = newVisitors(o.Addresses)
	return d, nil
}

// texts returns the needles of a look.
func (l look) texts(number int) []needle {
	var all []needle
	for text := range strings.SplitSeq(l.needles, " ") {
		text = strings.ReplaceAll(text, "␠", " ")
		n := needle{text: text, look: number}
		if l.pattern == "" {
			open := false
			n.text, open = strings.CutSuffix(text, "*")
			n.text, n.atStart = strings.CutPrefix(n.text, "^")
			n.boundLeft = isWordByte(n.text[0])
			n.boundRight = !open && isWordByte(n.text[len(n.text)-1])
		}
		all = append(all, n)
	}
	return all
}

// Bounds on what is looked at, in bytes. What is longer is looked at up to there.
const (
	maxTarget   = 8 << 10
	maxAgent    = 1 << 10
	maxReferer  = 2 << 10
	maxHeaders  = 4 << 10
	maxMatched  = 120 // letters of Finding.Matched
	maxDecoding = 3   // rounds
)

// scratch is what one inspection works with.
type scratch struct {
	text, other []byte
	hits        []found
	tried       []int // up to where in this text a look was taken
	findings    []Finding
}

// Inspect returns what it finds in a request, each rule at most once. It looks
// at the answer's status too, and counts failures, where Status says that there
// was one; a request without a status is judged by itself, which is what one may
// do before it is answered.
func (d *Detector) Inspect(q *Request) []Finding { return d.inspect(q, q.Status != 0) }

func (d *Detector) inspect(q *Request, answered bool) []Finding {
	s := d.scratch.Get().(*scratch)
	defer d.scratch.Put(s)
	d.texts(s, q)
	d.headers(s, q)
	if answered {
		d.count(s, q)
	}
	if len(s.findings) == 0 {
		return nil
	}
	special := slices.ContainsFunc(s.findings, func(f Finding) bool { return len(f.Rule.find) > 0 && !f.Rule.general && f.Rule.in != inAgent })
	var all []Finding
	for _, f := range s.findings {
		if f.Rule.general && special || slices.ContainsFunc(all, func(g Finding) bool { return f.Rule == g.Rule }) {
			continue
		}
		all = append(all, f)
	}
	clear(s.findings)
	s.findings = s.findings[:0]
	return all
}

// texts applies the table of texts.
func (d *Detector) texts(s *scratch, q *Request) {
	if q.Method == "" && q.Target != "" { // not HTTP: only its own rule is for it
		return
	}
	target := q.Target
	if at := strings.Index(target, "://"); at > 0 && target[0] != '/' { // absolute form
		if slash := strings.IndexByte(target[at+3:], '/'); slash >= 0 {
			target = target[at+3+slash:]
		}
	}
	target = cut(target, maxTarget)
	path, query, _ := strings.Cut(target, "?")
	s.text = decode(s.text[:0], path, false)
	split := len(s.text)
	if query != "" {
		s.text = decode(append(s.text, '?'), query, true)
	}
	d.scan(s, q, s.text, inTarget, split)

	if strings.ContainsAny(path, `%\`) {
		s.other = lower(append(s.other[:0], path...))
		d.scan(s, q, s.other, inRaw, 0)
	}
	if q.UserAgent != "" {
		s.other = lower(append(s.other[:0], cut(q.UserAgent, maxAgent)...))
		d.scan(s, q, s.other, inAgent, 0)
	}
	if strings.Contains(q.Referer, "${") || strings.Contains(q.Referer, "%") || strings.Contains(q.Referer, "()") {
		s.other = decode(s.other[:0], cut(q.Referer, maxReferer), true)
		d.scan(s, q, s.other, inReferer, 0)
	}
	left := maxHeaders
	for name, values := range q.Header {
		if name == "User-Agent" || name == "Referer" {
			continue
		}
		for _, v := range values {
			v = cut(v, left)
			left -= len(v)
			if strings.Contains(v, "${") || strings.Contains(v, "()") || strings.Contains(v, "<?") {
				s.other = lower(append(s.other[:0], v...))
				d.scan(s, q, s.other, inHeaders, 0)
			}
		}
	}
}

// scan applies the table to one text. A target is a path up to split, and a
// query behind it.
func (d *Detector) scan(s *scratch, q *Request, text []byte, where place, split int) {
	s.hits = d.needles.find(text, s.hits[:0])
	if len(s.hits) == 0 {
		return
	}
	clear(s.tried)
	for _, hit := range s.hits {
		l := &d.looks[hit.needle.look]
		if hit.end <= s.tried[hit.needle.look] || l.rule.in&where == 0 || l.rule.refused && !refused(q.Status) {
			continue
		}
		part, from := text, 0
		if where == inTarget && l.rule.in&inTarget != inTarget {
			inside := hit.end <= split
			if (l.rule.in&inPath != 0) != inside {
				continue
			}
			if part = text[:split]; !inside {
				part, from = text[split+1:], split+1
			}
		}
		begin, end := hit.end-len(hit.needle.text), min(hit.end+40, len(text))
		if l.pattern != nil {
			window, upTo := around(part, begin-from, hit.end-from)
			s.tried[hit.needle.look] = upTo + from
			at := l.pattern.FindIndex(part[window[0]:window[1]])
			if at == nil {
				continue
			}
			begin, end = from+window[0]+at[0], from+window[0]+at[1]
		}
		s.tried[hit.needle.look] = len(text)
		s.findings = append(s.findings, Finding{l.rule, showPiece(text[begin:end])})
	}
}

// around returns what a pattern is tried on: the text near a needle, from the
// beginning of its parameter. So the longest request costs little more than a
// long one. Needles that end before upTo need no other try.
func around(text []byte, begin, end int) (window [2]int, upTo int) {
	const reach = 256
	low, high := max(0, begin-reach), min(len(text), end+reach)
	if at := bytes.LastIndexByte(text[low:max(low, begin)], '&'); at >= 0 && (at == 0 || text[low+at-1] != '&') {
		low += at + 1
	}
	upTo = high
	if high < len(text) {
		upTo = max(end, high-reach/2)
	}
	return [2]int{low, high}, upTo
}

// refused reports whether a status says that there is nothing for the client: it
// is not there, or not for him. 401 asks for a name and password only, and a
// fault of the server says nothing about the request.
func refused(status int) bool {
	switch status {
	case 401, 407, 408, 425, 426, 428, 429, 431, 499:
		return false
	case 500, 501:
		return true
	}
	return status >= 400 && status < 500
}

// add appends a finding of one of the rules without a text.
func (d *Detector) add(s *scratch, rule, matched string) {
	if !d.skip[rule] {
		s.findings = append(s.findings, Finding{d.other[rule], showPiece([]byte(matched))})
	}
}

// showPiece makes a piece of a request fit to be shown: short, and without what
// moves a cursor or turns the direction of writing.
func showPiece(piece []byte) string {
	var b strings.Builder
	letters := 0
	for _, c := range string(piece) {
		if letters++; letters > maxMatched {
			b.WriteRune('…')
			break
		}
		switch {
		case c < ' ' || c >= 0x7f && c < 0xa0 || c == '\ufffd',
			c >= 0x200b && c <= 0x200f, c >= 0x2028 && c <= 0x202e, c >= 0x2060 && c <= 0x206f, c == 0xfeff:
			b.WriteRune('·')
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

func cut(text string, most int) string {
	if len(text) > most {
		return text[:most]
	}
	return text
}

func lower(text []byte) []byte {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
	return text
}

// decode appends a part of a URL in lower case, with its escapes resolved until
// there are none, in a bounded number of rounds: %252e is a dot too. Escapes that
// are none stay. Bytes that write an ASCII character in too many bytes of UTF-8
// become that character, as they do for the programs that are attacked with them.
func decode(dst []byte, text string, query bool) []byte {
	start := len(dst)
	dst = append(dst, text...)
	if query {
		for i := start; i < len(dst); i++ {
			if dst[i] == '+' {
				dst[i] = ' '
			}
		}
	}
	for range maxDecoding {
		if bytes.IndexByte(dst[start:], '%') < 0 {
			break
		}
		before := len(dst)
		dst = dst[:start+unpercent(dst[start:])]
		if len(dst) == before {
			break
		}
	}
	if end := overlong(dst[start:]); start+end < len(dst) {
		dst = dst[:start+end]
	}
	lower(dst[start:])
	return dst
}

// unpercent resolves the escapes of a text in place and returns its new length.
func unpercent(text []byte) int {
	out := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) {
			if hi, lo := unhex(text[i+1]), unhex(text[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			} else if text[i+1] == 'u' && i+5 < len(text) && text[i+2] == '0' && text[i+3] == '0' { // %u002e, of old IIS
				if hi, lo := unhex(text[i+4]), unhex(text[i+5]); hi >= 0 && lo >= 0 {
					c = byte(hi<<4 | lo)
					i += 5
				}
			}
		}
		text[out] = c
		out++
	}
	return out
}

// overlong resolves overlong ASCII in place and returns the new length.
func overlong(text []byte) int {
	out := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case (c == 0xc0 || c == 0xc1) && i+1 < len(text):
			c = c&1<<6 | text[i+1]&0x3f
			i++
		case c == 0xe0 && i+2 < len(text) && (text[i+1] == 0x80 || text[i+1] == 0x81):
			c = text[i+1]&1<<6 | text[i+2]&0x3f
			i += 2
		}
		text[out] = c
		out++
	}
	return out
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
