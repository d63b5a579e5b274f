package db

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// A row that something else wrote into the file, or that a disk altered, is
// shown all the same, as far as it can be read, and marked. What would break
// whoever reads it is mended on the way out; the row stays as it is.

// The times that an event can have happened at: the contract's.
var (
	firstTime = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2201, 1, 1, 0, 0, 0, 0, time.UTC)
)

// mend makes the values of a row, in the order of the kind's fields, such that
// every reader can take them, and returns the names of the fields that had to be
// mended: nil for a row as it should be. unicode says that all of them are known to
// be UTF-8.
func (t *table) mend(id int64, values []string, unicode bool) (damaged []string) {
	for i := range t.fields {
		f, v := &t.fields[i], values[i]
		if v == "" && f.Name != "timestamp" {
			continue
		}
		if (unicode || utf8.ValidString(v)) && sound(f.Type, v) {
			continue
		}
		damaged = append(damaged, f.Name)
		switch {
		case f.Name == "timestamp":
			values[i] = audit.FormatTime(time.UnixMicro(id >> idBits)) // the same instant, or nearly
		case f.Type == audit.JSON:
			text, _ := json.Marshal(v) // which also replaces what is no UTF-8
			values[i] = string(text)
		case f.Type == audit.Integer, f.Type == audit.Time:
			values[i] = ""
		default:
			values[i] = strings.ToValidUTF8(v, "\ufffd")
		}
	}
	return damaged
}

// sound reports whether a value, which is UTF-8, can be what its field says it is.
func sound(t audit.Type, v string) bool {
	switch t {
	case audit.JSON:
		return wellFormed(v)
	case audit.Integer:
		_, err := strconv.ParseInt(v, 10, 64)
		return err == nil
	case audit.Time:
		at, err := audit.ParseTime(v)
		return err == nil && !at.Before(firstTime) && at.Before(lastTime)
	}
	return true
}

// damageKept bounds how many damaged events are remembered.
const damageKept = 10_000

// damage remembers which damaged events were met.
type damage struct {
	mu   sync.Mutex
	seen map[damaged]struct{}
}

type damaged struct {
	kind audit.Kind
	id   int64
}

// met notes a damaged event, and passes over any other.
func (d *damage) met(st *Stored) {
	if len(st.Damaged) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		d.seen = map[damaged]struct{}{}
	}
	if len(d.seen) < damageKept {
		d.seen[damaged{st.Kind, st.ID}] = struct{}{}
	}
}

func (d *damage) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

// jsonDepth is how deep a JSON value may nest to count as sound: deeper than
// anything that was ever taken in.
const jsonDepth = 64

// wellFormed reports whether a text is one JSON value. Every row that is read
// goes through it, and json.Valid would take a fifth of the time of an export.
func wellFormed(s string) bool {
	i := skipSpace(s, 0)
	var open [jsonDepth]byte // what the objects and lists that are open end with
	depth := 0
	for {
		// a value
		if i >= len(s) {
			return false
		}
		switch c := s[i]; {
		case c == '{' || c == '[':
			if depth == len(open) {
				return false
			}
			open[depth] = c + 2 // the closing one of either
			depth++
			i = skipSpace(s, i+1)
			if i < len(s) && s[i] == open[depth-1] {
				break // empty
			}
			if c == '{' {
				if i = skipKey(s, i); i < 0 {
					return false
				}
			}
			continue
		case c == '"':
			if i = skipString(s, i); i < 0 {
				return false
			}
		default:
			j := i
			for j < len(s) && scalar[s[j]] {
				j++
			}
			if !isScalar(s[i:j]) {
				return false
			}
			i = j
		}
		// what comes behind a value
		for {
			i = skipSpace(s, i)
			if depth == 0 {
				return i == len(s)
			}
			if i >= len(s) {
				return false
			}
			if s[i] == open[depth-1] {
				depth--
				i++
				continue
			}
			break
		}
		if s[i] != ',' {
			return false
		}
		i = skipSpace(s, i+1)
		if open[depth-1] == '}' {
			if i = skipKey(s, i); i < 0 {
				return false
			}
		}
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the place behind a string that begins at i, or -1.
func skipString(s string, i int) int {
	for i++; i < len(s); i++ {
		c := s[i]
		if !ending[c] {
			continue
		}
		if c == '"' {
			return i + 1
		}
		if i++; c != '\\' || i >= len(s) || strings.IndexByte(`"\/bfnrtu`, s[i]) < 0 {
			return -1
		}
		if s[i] == 'u' {
			if i+4 >= len(s) || !digit[s[i+1]] || !digit[s[i+2]] || !digit[s[i+3]] || !digit[s[i+4]] {
				return -1
			}
			i += 4
		}
	}
	return -1
}

// skipKey returns the place of the value behind a key that begins at i, or -1.
func skipKey(s string, i int) int {
	if i >= len(s) || s[i] != '"' {
		return -1
	}
	if i = skipString(s, i); i < 0 {
		return -1
	}
	if i = skipSpace(s, i); i >= len(s) || s[i] != ':' {
		return -1
	}
	return skipSpace(s, i+1)
}

// Bytes that mean something: scalar marks those that numbers, true, false and null
// are made of, digit those of an escape, and ending those that a string does not
// hold as they are.
var (
	scalar = bytesOf("0123456789+-.eEtrufalsn")
	digit  = bytesOf("0123456789abcdefABCDEF")
	ending = bytesOf("\"\\\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f")
)

func bytesOf(all string) (set [256]bool) {
	for i := range len(all) {
		set[all[i]] = true
	}
	return set
}

func isScalar(s string) bool {
	switch s {
	case "":
		return false
	case "true", "false", "null":
		return true
	}
	if s[0] >= '1' && s[0] <= '9' {
		digits := true
		for i := 1; i < len(s); i++ {
			digits = digits && s[i] >= '0' && s[i] <= '9'
		}
		if digits {
			return true
		}
	}
	return json.Valid([]byte(s))
}
