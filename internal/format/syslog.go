package format

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// syslogLine is one line of a system log, taken apart.
type syslogLine struct {
	time    syslogTime
	host    string
	program string // "sshd", without path
	pid     string // "" if the line has none
	message string
}

// syslogTime is a time as a line gives it: an instant where it names year and
// zone, else what a clock on a wall showed.
type syslogTime struct {
	instant time.Time // valid where exact
	exact   bool
	wall    time.Time // in UTC, which means nothing here; year 0 where it has none
}

var errNotSyslog = errors.New("not a line of a system log: no time, host and program at its beginning")

var (
	priority = regexp.MustCompile(`^<\d{1,3}>(1 )?`)
	// Mar 27 13:06:56, with a year before the month or behind the day.
	classicTime = regexp.MustCompile(`^(?:(\d{4}) )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d:\d\d)(\.\d{1,9})? `)
	// 1772359226.123456, as journalctl -o short-unix has it.
	unixTime = regexp.MustCompile(`^(\d{9,10})\.(\d{6}) `)
	// Sun 2026-03-01 10:00:27 UTC, as journalctl -o short-full has it. Letters for
	// any other zone say nothing for sure: its clock is that of the host.
	fullTime = regexp.MustCompile(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d{1,9})? ([A-Z]{2,5}|[+-]\d\d(?:\d\d)?) `)
	isoTime  = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)([.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)? `)
	// host, perhaps twice, then program[pid]: where launchd may name its service.
	tag = regexp.MustCompile(`^(\S+) +(?:[^\s:\[\]]+ +)?([^\s:\[\]]+)(?:\[(\d+)\])?(?: \([^)]*\))?: ?`)
	// program[pid]: alone, as a log that was cut to one host has it
	tagAlone = regexp.MustCompile(`^()([^\s:\[\]]+)\[(\d+)\]: ?`)
	// [ID 800047 auth.info], as Solaris puts before a message
	messageID = regexp.MustCompile(`^\[ID \d+ \w+\.\w+\] `)
	// sshd(pam_unix)[19939]: authentication failure, and the other ways in which
	// PAM named its caller before pam_unix(sshd:auth).
	oldPAM  = regexp.MustCompile(`^\((pam_\w+)\):? ?`)
	barePAM = regexp.MustCompile(`^(pam_\w+)(?:\((?:auth|session|account)\))?: `)
	// host app procid msgid structured-data, as RFC 5424 has it
	tag5424 = regexp.MustCompile(`^(\S+) (\S+) (\S+) \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?`)
)

// parseSyslog takes a line apart: the classic form of syslog, RFC 3339 times
// and RFC 5424, and the short-iso, short-full and short-unix forms of the journal.
func parseSyslog(text string) (syslogLine, error) {
	var l syslogLine
	rest := text
	rfc5424 := false
	if m := priority.FindStringSubmatch(rest); m != nil {
		rest, rfc5424 = rest[len(m[0]):], m[1] != ""
	}
	n, err := l.time.parse(rest)
	if err != nil {
		return l, err
	}
	rest = rest[n:]
	if rfc5424 {
		m := tag5424.FindStringSubmatch(rest)
		if m == nil {
			return l, errNotSyslog
		}
		l.host, l.program, l.pid = m[1], m[2], m[3]
		if l.pid == "-" {
			l.pid = ""
		}
		l.message = strings.TrimPrefix(rest[len(m[0]):], "\uFEFF")
	} else {
		m := tagAlone.FindStringSubmatch(rest)
		if m == nil {
			m = tag.FindStringSubmatch(rest)
		}
		if m == nil {
			// "last message repeated 3 times" has no program.
			host, message, ok := strings.Cut(rest, " ")
			if !ok || !lastRepeated.MatchString(message) {
				return l, errNotSyslog
			}
			l.host, l.message = host, message
			return l, nil
		}
		l.host, l.program, l.pid = m[1], m[2], m[3]
		l.message = rest[len(m[0]):]
	}
	l.program = l.program[strings.LastIndexByte(l.program, '/')+1:]
	l.message = l.message[len(messageID.FindString(l.message)):]
	return l, nil
}

// modernPAM returns a message of PAM in the form that it has had since 2006, with
// pam_unix(sshd:auth): before what is said, and whether it had another one. The
// program is then the one that called PAM. Any other message stays as it is.
func (l *syslogLine) modernPAM() (message string, old bool) {
	module, message := "", l.message
	if name, in, ok := strings.Cut(l.program, "("); ok && strings.HasPrefix(in, "pam_") && strings.HasSuffix(in, ")") {
		l.program, module = name, strings.TrimSuffix(in, ")")
	} else if m := oldPAM.FindStringSubmatch(message); m != nil {
		module, message = m[1], message[len(m[0]):]
	} else if m := barePAM.FindStringSubmatch(message); m != nil {
		module, message = m[1], message[len(m[0]):]
	} else {
		return message, false
	}
	about := "auth"
	if strings.HasPrefix(message, "session ") {
		about = "session"
	}
	return module + "(" + l.program + ":" + about + "): " + message, true
}

// parse reads the time at the beginning of a line and returns its length.
func (t *syslogTime) parse(text string) (int, error) {
	if m := classicTime.FindStringSubmatch(text); m != nil {
		year := m[1] + m[4]
		if year == "" {
			year = "0000" // a leap year, so that February 29 can be read
		}
		wall, err := time.Parse("2006 Jan 2 15:04:05.999999999", year+" "+m[2]+" "+m[3]+" "+m[5]+m[6])
		if err != nil {
			return 0, fmt.Errorf("no such time: %s", strings.TrimSpace(m[0]))
		}
		t.wall = wall
		return len(m[0]), nil
	}
	if m := unixTime.FindStringSubmatch(text); m != nil {
		t.instant, t.exact = time.Unix(int64(atoi(m[1])), int64(atoi(m[2]))*1000).UTC(), true
		return len(m[0]), nil
	}
	if m := fullTime.FindStringSubmatch(text); m != nil {
		layout, zone := "2006-01-02 15:04:05.999999999", m[3]
		if t.exact = zone == "UTC" || zone[0] == '+' || zone[0] == '-'; zone[0] == '+' || zone[0] == '-' {
			layout += "-0700"[:len(zone)]
		} else {
			zone = ""
		}
		at, err := time.Parse(layout, m[1]+m[2]+zone)
		if err != nil {
			return 0, fmt.Errorf("no such time: %s", strings.TrimSpace(m[0]))
		}
		t.wall, t.instant = at, at.UTC()
		return len(m[0]), nil
	}
	m := isoTime.FindStringSubmatch(text)
	if m == nil {
		return 0, errNotSyslog
	}
	clock, layout := m[1]+"T"+m[2]+strings.Replace(m[3], ",", ".", 1), "2006-01-02T15:04:05.999999999"
	if m[4] == "" {
		wall, err := time.Parse(layout, clock)
		if err != nil {
			return 0, fmt.Errorf("no such time: %s", strings.TrimSpace(m[0]))
		}
		t.wall = wall
		return len(m[0]), nil
	}
	zone := m[4]
	if zone != "Z" && len(zone) == 5 {
		zone = zone[:3] + ":" + zone[3:]
	}
	instant, err := time.Parse(layout+"Z07:00", clock+zone)
	if err != nil {
		return 0, fmt.Errorf("no such time: %s", strings.TrimSpace(m[0]))
	}
	t.instant, t.exact = instant, true
	return len(m[0]), nil
}

// calendar gives the times of one file's lines their year and zone.
type calendar struct {
	zone *time.Location
	year int       // of the latest line that has none itself; 0 before the first
	last time.Time // latest wall time so far, with its year
	prev time.Time // instant of the line before
}

// Jumps that are no new year: lines a little out of order, and a clock set back.
const (
	setBack    = 30 * 24 * time.Hour
	outOfOrder = 24 * time.Hour
)

// instant returns when a line was written.
func (c *calendar) instant(t syslogTime) (time.Time, error) {
	if t.exact {
		return t.instant, nil
	}
	wall := t.wall
	if wall.Year() == 0 {
		var err error
		if wall, err = c.inYear(t.wall); err != nil {
			return time.Time{}, err
		}
	}
	at := inZone(wall, c.zone, c.prev)
	c.prev = at
	return at, nil
}

// inYear gives a time its year. The year moves on when the months jump back.
func (c *calendar) inYear(wall time.Time) (time.Time, error) {
	year := c.year
	if !c.last.IsZero() {
		switch at := withYear(wall, year); {
		case at.Before(c.last.Add(-setBack)):
			year++
		case withYear(wall, year-1).After(c.last.Add(-outOfOrder)):
			year-- // a last line of December after the first of January
		}
	}
	at := withYear(wall, year)
	if at.Day() != wall.Day() {
		return at, fmt.Errorf("%s does not exist in %d; say with --year in which year the file begins", wall.Format("January 2"), year)
	}
	if at.After(c.last) {
		c.year, c.last = year, at
	}
	return at, nil
}

func withYear(wall time.Time, year int) time.Time {
	return time.Date(year, wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
}

// inZone returns the instant at which clocks of a zone showed wall. An hour
// that they showed twice is the first time, unless the line before was later;
// an hour that they left out is counted on from before the gap.
func inZone(wall time.Time, zone *time.Location, prev time.Time) time.Time {
	if zone == time.UTC {
		return wall
	}
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), zone)
	first, second := at, at
	for _, shift := range []time.Duration{30 * time.Minute, time.Hour} {
		if other := at.Add(-shift); sameClock(other, at) {
			first = other
		}
		if other := at.Add(shift); sameClock(other, at) {
			second = other
		}
	}
	if first.Before(prev.Add(-time.Minute)) {
		return second
	}
	return first
}

func sameClock(a, b time.Time) bool {
	return a.Format(time.DateTime) == b.Format(time.DateTime)
}

// firstYear derives the year of the first line of a file without years, so that
// its last line is not later than end. r is read to its end, or is nil where the
// input cannot be read twice: then the first line alone counts, as given.
func firstYear(first time.Time, r *bufio.Reader, zone *time.Location, end time.Time) int {
	// Walk through the file with a calendar that begins in a year of no meaning,
	// 2000, which as a leap year has every day.
	walk := calendar{zone: time.UTC, year: 2000}
	var leapDays []int // the years in which a February 29 stands
	note := func(t syslogTime) {
		if t.exact || t.wall.Year() != 0 {
			return
		}
		at, _ := walk.inYear(t.wall)
		leapDay := t.wall.Month() == time.February && t.wall.Day() == 29
		if leapDay && (len(leapDays) == 0 || leapDays[len(leapDays)-1] != at.Year()) {
			leapDays = append(leapDays, at.Year())
		}
	}
	note(syslogTime{wall: first})
	if r != nil {
		// An error shows again when the file is read in earnest.
		_ = eachLine(r, maxLogLine, func(_ int64, line []byte, err error) error {
			text := string(line[:min(len(line), 64)])
			text = text[len(priority.FindString(text)):]
			var t syslogTime
			if _, parseErr := t.parse(text); err == nil && parseErr == nil {
				note(t)
			}
			return nil
		})
	}
	wraps := walk.year - 2000 // how often the year changed
	// Eight years back there is a leap year even across 1900.
	latest := end.In(zone).Year()
	for last := latest; last > latest-8; last-- {
		at := inZone(withYear(walk.last, last), zone, time.Time{})
		if at.After(end.Add(24*time.Hour)) || !haveLeapDays(leapDays, last-wraps-2000) {
			continue
		}
		return last - wraps
	}
	return latest - wraps
}

// haveLeapDays reports whether February 29 exists in every one of the years
// after they are moved by so many.
func haveLeapDays(years []int, move int) bool {
	for _, y := range years {
		if y += move; y%4 != 0 || y%100 == 0 && y%400 != 0 {
			return false
		}
	}
	return true
}

var lastRepeated = regexp.MustCompile(`^last message repeated (\d+) times?$`)

// atoi reads a count that an expression has matched; one too large is the largest.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 1<<31 - 1
	}
	return n
}
