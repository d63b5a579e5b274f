package format

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// readSSHD reads lines of a system log.
//
// An attempt to sign in is counted once, by the line that says how it ended:
// "Accepted …" and "Failed …", the latter as often as "message repeated" says.
// What says the same again ("Invalid user", PAM's own lines) is a system event
// or is ignored. Somebody who names an unknown user and leaves before a password
// was tried has no such line: his attempt is counted where his connection ends.
//
// Everything else about signing in, sudo, su and accounts is a system event:
// SECURITY where somebody should look, INFO otherwise. Sessions of cron and
// lines of other programs are ignored, and counted as such.
func readSSHD(_ context.Context, in *Input, o Options, emit func(Record) error) error {
	r := &sshdReader{in: in, options: o, unknown: map[string]person{}}
	return eachLine(in.reader, maxLogLine, func(number int64, line []byte, err error) error {
		record := Record{Line: number, Err: err}
		if err == nil {
			record = r.line(visible(string(line)))
			record.Line = number
		}
		return emit(record)
	})
}

// likeSSHD reports whether a text begins like a system log.
func likeSSHD(head []byte) bool {
	line := firstLine(head)
	_, err := parseSyslog(line)
	return err == nil || remark.MatchString(line)
}

type sshdReader struct {
	in       *Input
	options  Options
	calendar *calendar // nil before the first line
	previous syslogLine

	// unknown holds who named a user that does not exist and has not tried a
	// password yet, by connection.
	unknown map[string]person

	// telling holds the hosts whose sshd says itself how attempts end.
	telling map[string]bool
}

// person is who is at the other end of a connection.
type person struct{ user, ip, port string }

const (
	maxUnknown = 10_000 // connections remembered at a time
	maxRepeat  = 10_000 // events that one line may stand for
	maxTitle   = 200    // letters
	maxLogLine = 1 << 20
)

var (
	repeated = regexp.MustCompile(`^message repeated (\d+) times?: \[ ?(.*)\]$`)
	remark   = regexp.MustCompile(`^-- .* --$|^-- (?:Boot|Logs begin|No entries|Reboot)`)
)

func (r *sshdReader) line(text string) Record {
	if remark.MatchString(text) {
		return Record{Ignored: journal}
	}
	l, err := parseSyslog(text)
	if err != nil {
		return Record{Err: err}
	}
	at, err := r.instant(l.time)
	if err != nil {
		return Record{Err: err}
	}
	repeat := 0
	if m := lastRepeated.FindStringSubmatch(l.message); m != nil && r.previous.host == l.host {
		repeat = atoi(m[1])
		l.program, l.pid, l.message = r.previous.program, r.previous.pid, r.previous.message
	} else if m := repeated.FindStringSubmatch(l.message); m != nil {
		repeat, l.message = atoi(m[1]), m[2]
	}
	r.previous = l
	record := r.message(l, at)
	if record.Repeat = repeat; repeat > maxRepeat {
		// One line must not become millions of events: it stays one, and says so.
		record.Repeat = 0
		for _, e := range record.Events {
			addMetadata(e, "repeated", itoa(repeat))
		}
	}
	return record
}

// instant gives a line its time, deriving the year of the first line if it
// has none.
func (r *sshdReader) instant(t syslogTime) (time.Time, error) {
	if r.calendar == nil {
		r.calendar = &calendar{zone: r.options.zone(), year: r.options.Year}
	}
	if r.calendar.year == 0 && !t.exact && t.wall.Year() == 0 {
		end := r.options.now()
		if m := r.in.Modified; !m.IsZero() && m.Before(end) {
			end = m
		}
		again, err := r.in.again()
		if err != nil {
			return time.Time{}, err
		}
		if again == nil {
			r.calendar.year = firstYear(t.wall, nil, r.calendar.zone, end)
		} else {
			defer again.Close()
			r.calendar.year = firstYear(t.wall, again.reader, r.calendar.zone, end)
		}
	}
	return r.calendar.instant(t)
}

// message decides by the table of programs what becomes of a message.
func (r *sshdReader) message(l syslogLine, at time.Time) Record {
	l.message = strings.TrimLeft(l.message, " ")
	said, old := l.modernPAM()
	p := &programs[len(programs)-1]
	for i := range programs {
		if slices.Contains(programs[i].names, l.program) {
			p = &programs[i]
			break
		}
	}
	module := l.program
	if len(p.names) > 0 && strings.HasPrefix(l.program, p.names[0]) {
		module = p.names[0] // sshd-session is sshd
	}
	rule, found := p.match(said)
	if rule.ifSilent && (!old || r.telling[l.host]) {
		return Record{Ignored: saidAgain}
	}
	if rule.ignored != "" {
		return Record{Ignored: rule.ignored}
	}
	if rule.status != "" && !rule.ifSilent && module == "sshd" && len(r.telling) < maxUnknown {
		if r.telling == nil {
			r.telling = map[string]bool{}
		}
		r.telling[l.host] = true
	}
	connection := ""
	if l.pid != "" {
		connection = module + "[" + l.pid + "]@" + l.host
	}
	var e *audit.Event
	if rule.status != "" {
		e = attempt(rule.status, found)
		e.Set("failure_reason", rule.why(found))
		delete(r.unknown, connection)
	} else {
		e = audit.NewEvent(audit.KindSystemEvent)
		e.Set("event_type", rule.event)
		e.Set("error_code", rule.code)
		e.Set("title", rule.say(found, l.message))
		e.Set("description", l.message)
		e.Set("module", module)
		e.Set("username", found.get("user"))
		e.Set("ip_address", found.get("ip"))
	}
	finish(e, l, found, connection, at)
	record := Record{Events: []*audit.Event{e}}
	if rule.unknown {
		if len(r.unknown) >= maxUnknown {
			clear(r.unknown) // their connections never ended: the log is not whole
		}
		if connection != "" {
			r.unknown[connection] = person{found.get("user"), found.get("ip"), found.get("port")}
		}
	}
	if who, ok := r.unknown[connection]; ok && rule.ends {
		delete(r.unknown, connection)
		found := groups{{"user", who.user}, {"ip", who.ip}, {"port", who.port}, {"unknown_user", "yes"}}
		e := attempt("FAILED", found)
		e.Set("failure_reason", "invalid user, left before a password was tried")
		finish(e, l, found, connection, at)
		record.Events = append(record.Events, e)
	}
	return record
}

// attempt makes a login attempt of what a rule found.
func attempt(status string, found groups) *audit.Event {
	e := audit.NewEvent(audit.KindLoginAttempt)
	e.Set("status", status)
	e.Set("username", found.get("user"))
	e.Set("ip_address", found.get("ip"))
	return e
}

// finish sets what all events of a line have in common.
func finish(e *audit.Event, l syslogLine, found groups, connection string, at time.Time) {
	e.SetTime(at)
	e.Set("session_key", connection)
	var meta jsonObject
	meta.str("host", l.host)
	meta.str("program", l.program)
	meta.str("pid", l.pid)
	for _, g := range found {
		switch g.name {
		case "user", "ip":
		case "unknown_user":
			if g.text != "" {
				meta.raw(g.name, "true")
			}
		default:
			meta.str(g.name, g.text)
		}
	}
	if e.Kind == audit.KindLoginAttempt {
		meta.str("line", l.message)
	}
	e.Set("metadata", meta.String())
}

// group is a named part of a message.
type group struct{ name, text string }

type groups []group

func (g groups) get(name string) string {
	for _, one := range g {
		if one.name == name {
			return one.text
		}
	}
	return ""
}

// match returns the rule for a message and what its expression found.
func (p *program) match(message string) (*rule, groups) {
	for i := range p.rules {
		rule := &p.rules[i]
		at := rule.match.find(message)
		if at == nil {
			continue
		}
		var found groups
		for j, name := range rule.match.SubexpNames() {
			if name != "" && at[2*j] >= 0 {
				found = append(found, group{name, message[at[2*j]:at[2*j+1]]})
			}
		}
		return rule, found
	}
	return &p.others, nil
}

// why is the failure_reason of a failed attempt.
func (r *rule) why(found groups) string {
	switch method := found.get("method"); {
	case r.status == "SUCCESS":
		return ""
	case found.get("unknown_user") != "":
		return "invalid user"
	case r.reason != "":
		return r.reason
	case method == "password":
		return "wrong password"
	case method == "publickey":
		return "key not accepted"
	case method == "none":
		return "no credentials"
	default:
		return method + " not accepted"
	}
}

// say is the title of a system event.
func (r *rule) say(found groups, message string) string {
	title := r.title
	if title == "" {
		title = message
	}
	for _, g := range found {
		title = strings.ReplaceAll(title, "${"+g.name+"}", g.text)
	}
	title = strings.NewReplacer("${run_as}", "root", "${command}", "?").Replace(title)
	if title == "" {
		title = "(an empty line)"
	}
	return shorten(title, maxTitle)
}
