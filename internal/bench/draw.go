package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/auditadmin/auditadmin/internal/query"
)

// draw makes requests by chance from what is in the database.
type draw struct {
	*rand.Rand
	first, last    time.Time
	events         []event // audit logs from all times
	common, rare   []string
	logins, alarms []event
}

// event is one as its JSON has it, each field as text.
type event map[string]string

func (e *event) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*e = event{}
	for name, value := range raw {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		(*e)[name] = text
	}
	return nil
}

func (e event) time() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, e["timestamp"])
	return t
}

// newDraw reads some thousands of events from all over the database.
func newDraw(ctx context.Context, s *site, seed uint64) (*draw, error) {
	d := &draw{Rand: rand.New(rand.NewPCG(seed, 9))}
	list := func(path string) (items []event, err error) {
		data, err := s.read(ctx, path)
		if err != nil {
			return nil, err
		}
		answer := struct{ Items []event }{}
		err = json.Unmarshal(data, &answer)
		return answer.Items, err
	}
	newest, err := list("/audit-logs.json?limit=1")
	if err != nil {
		return nil, err
	}
	oldest, err := list("/audit-logs.json?limit=1&before=1")
	if err != nil {
		return nil, err
	}
	if len(newest) == 0 || len(oldest) == 0 {
		return nil, fmt.Errorf("the database has no audit logs")
	}
	d.first, d.last = oldest[0].time(), newest[0].time()
	for range 40 {
		items, err := list("/audit-logs.json?limit=100&after=" + d.cursor())
		if err != nil {
			return nil, err
		}
		d.events = append(d.events, items...)
		for kind, to := range map[string]*[]event{"login-attempts": &d.logins, "system-events": &d.alarms} {
			if items, err = list("/" + kind + ".json?limit=20&after=" + d.cursor()); err != nil {
				return nil, err
			}
			*to = append(*to, items...)
		}
	}
	seen := map[string]int{}
	for _, e := range d.events {
		in := map[string]bool{}
		words := strings.FieldsFunc(e["object_repr"]+" "+e["reason"]+" "+e["changes"], func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, w := range words {
			if n := len([]rune(w)); n >= 3 && n <= 24 && !in[w] && !syntax[w] {
				in[w] = true
				seen[w]++
			}
		}
	}
	for _, e := range d.events { // in their order, which the seed decides
		for _, w := range strings.FieldsFunc(e["object_repr"]+" "+e["changes"], func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			switch n := seen[w]; { // 0 for what is no word to look for
			case n > len(d.events)/60:
				d.common = append(d.common, w)
			case n == 1 && len(w) >= 6:
				d.rare = append(d.rare, w)
			}
		}
	}
	if len(d.common) == 0 || len(d.rare) == 0 {
		return nil, fmt.Errorf("the texts of %d events have no words to search for", len(d.events))
	}
	return d, nil
}

// syntax are words that only the form of changes is made of.
var syntax = map[string]bool{"old": true, "new": true, "null": true, "true": true, "false": true}

// cursor is a place anywhere in the list.
func (d *draw) cursor() string { return fmt.Sprint(d.when().UnixMicro() << 10) }

// when is an instant of the trail.
func (d *draw) when() time.Time {
	return d.first.Add(time.Duration(d.Int64N(int64(d.last.Sub(d.first)) + 1)))
}

// keys are the keys of the query language that count exactly, with their fields.
var keys = []struct{ key, field string }{
	{"user", "username"}, {"action", "action"}, {"type", "content_type"}, {"module", "module"}, {"object", "object_id"},
	{"ip", "ip_address"}, {"session", "session_key"}, {"request", "request_id"},
}

func pick[T any](d *draw, of []T) T { return of[d.IntN(len(of))] }

// terms are so many filters of different keys with the values of one event, or
// where apart is set of several, so that hardly anything matches all.
func (d *draw) terms(n int, apart bool) string {
	e := pick(d, d.events)
	var terms []string
	for _, i := range d.Perm(len(keys)) {
		if len(terms) == n {
			break
		}
		if apart {
			e = pick(d, d.events)
		}
		k := keys[i]
		value := e[k.field]
		if value == "" || n > 1 && !apart && k.key == "request" {
			continue
		}
		term := k.key + ":" + query.Quote(value)
		switch k.key {
		case "ip":
			if a, err := netip.ParseAddr(value); err == nil && a.Is4() && d.IntN(3) == 0 {
				p, _ := a.Prefix(16 + 8*d.IntN(2))
				term = "ip:" + p.String()
			}
		case "module", "action", "type":
			switch d.IntN(6) {
			case 0:
				term += "," + query.Quote(pick(d, d.events)[k.field])
			case 1:
				if n > 1 {
					term = "-" + k.key + ":" + query.Quote(pick(d, d.events)[k.field])
				}
			}
		}
		terms = append(terms, term)
	}
	if n > 1 && d.IntN(3) == 0 {
		terms[len(terms)-1] = d.span()
	}
	return strings.Join(terms, " ")
}

// span is a range of dates, from an hour to half a year.
func (d *draw) span() string {
	from := d.when()
	length := time.Hour << d.IntN(13)
	return "after:" + from.Format(time.RFC3339) + " before:" + from.Add(length).Format(time.RFC3339)
}

// absent is a word that is nowhere.
func (d *draw) absent() string {
	b := make([]byte, 5+d.IntN(5))
	for i := range b {
		b[i] = "bcdfghjklmnpqrstvwxz"[d.IntN(20)]
	}
	return string(b)
}

// list is the address of a list under a query.
func list(q string) string { return "/audit-logs?q=" + url.QueryEscape(q) }
