package query

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// otherNames are words that people use for a key. Where a kind has the key, it
// is meant, however near another one may be.
var otherNames = map[string]string{
	"who": "user", "actor": "user", "username": "user", "name": "user", "login": "user", "account": "user",
	"what": "action", "verb": "action", "operation": "action",
	"model": "type", "table": "type", "contenttype": "type", "content-type": "type",
	"objectid": "object", "object-id": "object", "app": "module", "service": "module",
	"address": "ip", "addr": "ip", "host": "ip", "net": "ip", "network": "ip",
	"since": "after", "from": "after", "until": "before", "till": "before", "to": "before",
	"date": "on", "day": "on", "month": "on", "year": "on", "time": "on", "when": "on", "at": "on",
	"level": "event", "severity": "event", "state": "is", "resolved": "is", "unresolved": "is",
	"result": "status", "outcome": "status", "why": "reason", "comment": "reason",
	"useragent": "agent", "user-agent": "agent", "ua": "agent", "browser": "agent",
	"was": "old", "now": "new", "changed": "field",
	"count": "rows", "records": "rows", "bytes": "size", "error": "code", "func": "function",
	"via": "source", "token": "source", "received": "recorded",
}

// otherValues are words that people use for a value of a closed set.
var otherValues = map[string]string{
	"open": "unresolved", "new": "unresolved", "todo": "unresolved", "closed": "resolved", "done": "resolved", "fixed": "resolved",
	"ok": "SUCCESS", "succeeded": "SUCCESS", "denied": "FAILED", "locked": "BLOCKED", "critical": "ERROR", "notice": "INFO", "slow": "PERFORMANCE",
}

// nearestChoice returns the value of a closed set that is probably meant.
func nearestChoice(word string, choices []string) string {
	if other := otherValues[Fold(word)]; slices.Contains(choices, other) {
		return other
	}
	return nearest(word, choices)
}

// unknownKey is the message for a key that a kind does not have, and the key
// that is probably meant.
func unknownKey(kind audit.Kind, key string) badValue {
	keys := make([]string, 0, 24)
	for _, e := range tableOf(kind).entries {
		keys = append(keys, e.Key)
	}
	suggestion := nearest(key, keys)
	if other := otherNames[key]; other != "" {
		if _, ok := lookup(kind, other); ok {
			suggestion = other
		}
	}
	var others []string
	for _, t := range tables {
		if _, ok := lookup(t.kind, key); ok {
			others = append(others, t.kind.Plural())
		}
	}
	if len(others) > 0 {
		return badValue{fmt.Sprintf("%s: is a key of %s, not of %s", key, list(others, "and"), kind.Plural()), suggestion}
	}
	return badValue{fmt.Sprintf("%s have no key %s:, and text with a colon has to be in quotes", kind.Plural(), key), suggestion}
}

// nearest returns the word that is most like another, preferring one that
// begins with it, and "" where none has anything in common with it.
func nearest(word string, words []string) string {
	word = Fold(word)
	best, least := "", utf8.RuneCountInString(word)
	for _, w := range words {
		d := distance(word, Fold(w))
		if word != "" && strings.HasPrefix(Fold(w), word) {
			d = 0
		}
		if d < least || best == "" && d <= least && len(word) > 1 {
			best, least = w, d
		}
	}
	return best
}

// farthest is the longest word that Similar compares.
const farthest = 64

// Similar returns the words that are probably meant by one that is none of them,
// at most n and the likeliest first: those that begin with it, and those that a
// slip or two make of it. Of words that are as like, the earlier one comes first.
func Similar(word string, words []string, n int) []string {
	word = Fold(word)
	size := utf8.RuneCountInString(word)
	if size < 2 || size > farthest {
		return nil
	}
	slips := min(max(size/3, 1), 3)
	type like struct {
		word string
		far  int
	}
	var all []like
	for _, w := range words {
		folded := Fold(w)
		switch far := utf8.RuneCountInString(folded) - size; {
		case folded == "" || folded == word:
		case strings.HasPrefix(folded, word):
			all = append(all, like{w, 1}) // what was begun is as near as one slip
		case far <= slips && -far <= slips:
			if d := distance(word, folded); d <= slips && d < size {
				all = append(all, like{w, d})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b like) int { return a.far - b.far })
	var best []string
	for _, l := range all[:min(n, len(all))] {
		best = append(best, l.word)
	}
	return best
}

// distance counts the letters that have to be added, dropped, replaced or
// swapped with their neighbour to make one word of another.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	var before []int
	last := make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row := make([]int, len(t)+1)
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(t)]
}

// list writes words as people do: a, b or c.
func list(words []string, conjunction string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " " + conjunction + " " + words[n-1]
	}
}
