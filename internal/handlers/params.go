package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/auditadmin/auditadmin/internal/db"
)

// The bounds of a page. A thousand rows is what a program may ask for at once;
// who wants everything takes an export, which streams.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// pageOf reads the place in a list and the size of its page. A limit is
// clamped, as the contract says; a cursor that is none is an error, because any
// page shown for it would be the wrong one.
func pageOf(values url.Values) (db.Page, error) {
	p := db.Page{Limit: defaultLimit}
	if s := values.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return p, refuse(http.StatusBadRequest, "limit=%s is not a number; it takes 1 to %d", short(s), maxLimit)
		}
		p.Limit = min(max(n, 1), maxLimit)
	}
	var err error
	if p.After, err = cursor(values, "after"); err != nil {
		return p, err
	}
	if p.Before, err = cursor(values, "before"); err != nil {
		return p, err
	}
	if p.After != 0 && p.Before != 0 {
		return p, refuse(http.StatusBadRequest, "after= and before= cannot both be given; a page goes one way")
	}
	return p, nil
}

// cursor reads one cursor, and returns 0 where there is none.
func cursor(values url.Values, name string) (int64, error) {
	s := values.Get(name)
	if s == "" {
		return 0, nil
	}
	id, ok := eventID(s)
	if !ok {
		return 0, refuse(http.StatusBadRequest, "%s=%s is not a cursor; it takes the id of an event, as \"next\" and \"previous\" give it", name, short(s))
	}
	return id, nil
}

// eventID reads the id of an event as it stands in a URL: decimal digits and
// nothing else, so that each event has one address.
func eventID(s string) (int64, bool) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != s {
		return 0, false
	}
	return id, true
}

// eventIDs reads ids that were ticked in a form.
func eventIDs(values []string) ([]int64, error) {
	ids := make([]int64, len(values))
	for i, s := range values {
		id, ok := eventID(s)
		if !ok {
			return nil, refuse(http.StatusBadRequest, "id=%s is not the id of an event", short(s))
		}
		ids[i] = id
	}
	return ids, nil
}

// short quotes what a stranger typed, in a length that fits into a message.
func short(s string) string { return strconv.Quote(cut(s, 60)) }

// address builds a URL path with its query from pairs of names and values.
// Empty values are left out.
func address(path string, pairs ...string) string {
	// A page has some hundreds of addresses of few pairs: they are put in order
	// here, without a map for each.
	var room [8]int
	order := room[:0]
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		order = append(order, i)
		for at := len(order) - 1; at > 0 && pairs[order[at]] < pairs[order[at-1]]; at-- {
			order[at], order[at-1] = order[at-1], order[at]
		}
	}
	var long [256]byte
	b := append(long[:0], path...)
	for n, i := range order {
		b = append(b, "?&"[min(n, 1)])
		b = appendEscaped(b, pairs[i])
		b = append(b, '=')
		b = appendEscaped(b, pairs[i+1])
	}
	return string(b)
}

// appendEscaped writes a text as url.QueryEscape does.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}
