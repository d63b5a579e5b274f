package format

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/fold"
)

// readAccessLog reads the access log of a web server, in the common or combined
// format of Apache and nginx, with a virtual host before it or further fields
// behind it, and also where syslog has put its own words before each line.
//
// Requests are no audit events. They are looked at by the same detector as in
// audit.SecurityMiddleware: what it finds is a SECURITY system event, and every
// other line is ignored and counted. What one address does within ten minutes is
// one event for each rule that it met, of its first line, with a count.
func readAccessLog(_ context.Context, in *Input, o Options, emit func(Record) error) error {
	detector, err := audit.NewDetector(audit.DetectorOptions{})
	if err != nil {
		return err
	}
	r := &accessReader{zone: o.zone(), detector: detector, emit: emit,
		folds: fold.New[foldKey, *finding](foldWindow, maxFolds)}
	if err := eachLine(in.reader, maxAccessLine, r.line); err != nil {
		return errors.Join(err, r.emitGroups(r.folds.All()))
	}
	return r.emitGroups(r.folds.All())
}

// likeAccessLog reports whether a text begins like an access log.
func likeAccessLog(head []byte) bool {
	_, err := parseAccessLine(firstLine(head), time.UTC)
	return err == nil
}

const (
	foldWindow    = 10 * time.Minute
	maxFolds      = 10_000   // findings that are waiting for their like
	maxAccessLine = 64 << 10 // bytes; no server takes as much
)

// Why a line of an access log is left out on purpose.
const (
	ordinary     = "an ordinary request"
	countedAbove = "counted in the event of an earlier line"
)

type accessReader struct {
	zone     *time.Location
	detector *audit.Detector
	emit     func(Record) error
	folds    *fold.Folder[foldKey, *finding]
}

type foldKey struct{ client, rule string }

// finding is what was found in a line, and the line.
type finding struct {
	audit.Finding
	line *accessLine
}

func (r *accessReader) line(number int64, line []byte, err error) error {
	if err != nil {
		return r.emit(Record{Line: number, Err: err})
	}
	text := visible(string(line))
	l, err := parseAccessLine(text, r.zone)
	if err != nil {
		return r.emit(Record{Line: number, Err: err})
	}
	l.number = number
	if err := r.emitGroups(r.folds.Ended(l.Time)); err != nil {
		return err
	}
	findings := r.detector.Inspect(&l.Request)
	began := false
	for _, f := range findings {
		if r.folds.Add(foldKey{l.client, f.Rule.Name}, l.Time, &finding{f, l}) {
			began = true
		}
	}
	switch {
	case began:
		l.digest = sha256.Sum256([]byte(text))
		return nil // its record follows when it is known how many there were
	case len(findings) > 0:
		return r.emit(Record{Line: number, Ignored: countedAbove})
	}
	return r.emit(Record{Line: number, Ignored: ordinary})
}

// emitGroups emits one record for each line that began groups.
func (r *accessReader) emitGroups(groups []*fold.Group[foldKey, *finding]) error {
	for len(groups) > 0 {
		record := Record{Line: groups[0].Value.line.number}
		n := 0
		for n < len(groups) && groups[n].Value.line == groups[0].Value.line {
			e, err := groups[n].Value.event(groups[n].Count, groups[n].Last)
			if err != nil {
				return err
			}
			record.Events = append(record.Events, e)
			n++
		}
		if err := r.emit(record); err != nil {
			return err
		}
		groups = groups[n:]
	}
	return nil
}

// event makes an event of a finding. It is named by the line and the rule, not
// by the count: where a log has grown since, it is the same event.
func (f *finding) event(count int, last time.Time) (*audit.Event, error) {
	s := f.SystemEvent(&f.line.Request, count, last)
	if !f.line.Address.IsValid() {
		s.IPAddress = f.line.client // a name: it becomes metadata.address
	}
	s.Username = f.line.user
	e, err := s.Event()
	if err != nil {
		return nil, err
	}
	e.EventID = "accesslog:" + hex.EncodeToString(f.line.digest[:16]) + ":" + f.Rule.Name
	return e, nil
}

// accessLine is one line of an access log.
type accessLine struct {
	audit.Request
	client string // the address as it was written, or a name
	user   string
	number int64
	digest [sha256.Size]byte
}

// parseAccessLine reads
//
//	[words of syslog] [host] client ident user [time] "request" status bytes ["referer" "agent"] …
//
// The client is the third word from the right before the time if that is an
// address, or else the first word that is one, or else that third word.
func parseAccessLine(text string, zone *time.Location) (*accessLine, error) {
	head, at, rest, err := cutTime(text, zone)
	if err != nil {
		return nil, err
	}
	l := &accessLine{}
	l.Time = at
	words := strings.Fields(head)
	if len(words) < 3 {
		return nil, fmt.Errorf("%d words before the time, want at least 3: address, identity and user", len(words))
	}
	place := len(words) - 3
	if !isAddress(words[place]) {
		for i, w := range words {
			if isAddress(w) {
				place = i
				break
			}
		}
	}
	l.client = words[place]
	l.Address, _ = netip.ParseAddr(l.client)
	l.Address = l.Address.Unmap().WithZone("")
	if place == 1 && len(words) >= 4 {
		l.Host, _, _ = strings.Cut(words[0], ":")
	}
	if user := words[len(words)-1]; user != "-" && user != `""` {
		l.user = user
	}

	request, rest, ok := quoted(rest)
	if !ok {
		return nil, errors.New("the request is not in quotes behind the time")
	}
	l.Method, l.Target = splitRequest(request)
	words = strings.Fields(rest[:max(0, strings.IndexByte(rest+`"`, '"'))])
	if len(words) == 0 || len(words[0]) != 3 && words[0] != "-" {
		return nil, errors.New("there is no status of three digits behind the request")
	}
	if words[0] != "-" {
		if _, err := fmt.Sscanf(words[0], "%d", &l.Status); err != nil || l.Status < 100 {
			return nil, fmt.Errorf("the status %q is no number of three digits", words[0])
		}
	}
	if at := strings.IndexByte(rest, '"'); at >= 0 {
		l.Referer, rest, _ = quoted(rest[at:])
		l.UserAgent, _, _ = quoted(rest)
	}
	if l.Referer == "-" {
		l.Referer = ""
	}
	if l.UserAgent == "-" {
		l.UserAgent = ""
	}
	return l, nil
}

func isAddress(word string) bool {
	_, err := netip.ParseAddr(word)
	return err == nil
}

// cutTime finds the time, in brackets, and what stands on both sides of it.
func cutTime(text string, zone *time.Location) (head string, at time.Time, rest string, err error) {
	for from := 0; ; {
		open := strings.IndexByte(text[from:], '[')
		if open < 0 {
			return "", at, "", errors.New("there is no time such as [01/Mar/2026:12:00:00 +0000]")
		}
		open += from
		end := strings.IndexByte(text[open:], ']')
		if end < 0 {
			return "", at, "", errors.New("there is no time such as [01/Mar/2026:12:00:00 +0000]")
		}
		end += open
		inside := text[open+1 : end]
		for _, layout := range []string{"02/Jan/2006:15:04:05 -0700", time.RFC3339Nano, "02/Jan/2006:15:04:05"} {
			if t, err := time.ParseInLocation(layout, inside, zone); err == nil {
				return text[:open], t, text[end+1:], nil
			}
		}
		from = open + 1
	}
}

// quoted takes a text in quotes off the front, and undoes its escapes: \" \\ and
// \xhh, as Apache and nginx write them.
func quoted(text string) (inside, rest string, ok bool) {
	text = strings.TrimLeft(text, " ")
	if !strings.HasPrefix(text, `"`) {
		return "", text, false
	}
	end := 1
	for end < len(text) && text[end] != '"' {
		if text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(text) {
		return "", text, false
	}
	inside, rest = text[1:end], text[end+1:]
	if !strings.Contains(inside, `\`) {
		return inside, rest, true
	}
	var b strings.Builder
	for i := 0; i < len(inside); i++ {
		c := inside[i]
		if c == '\\' && i+1 < len(inside) {
			i++
			switch c = inside[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'x':
				if hex, err := hex.DecodeString(inside[min(i+1, len(inside)):min(i+3, len(inside))]); err == nil && len(hex) == 1 {
					c = hex[0]
					i += 2
				}
			}
		}
		b.WriteByte(c)
	}
	return b.String(), rest, true
}

// splitRequest returns the method and target of a request line. Targets may hold
// blanks, where a client has not encoded them. What is not HTTP has no method.
func splitRequest(line string) (method, target string) {
	method, target, ok := strings.Cut(line, " ")
	if !ok || method == "" || strings.ContainsFunc(method, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '-' && c != '_' }) {
		return "", line
	}
	if at := strings.LastIndex(target, " HTTP/"); at >= 0 {
		target = target[:at]
	}
	return method, target
}
