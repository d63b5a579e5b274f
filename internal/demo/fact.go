package demo

import (
	"strconv"
	"time"
)

// fact is one field of an object of the group. put appends its value as JSON.
type fact struct {
	name  string
	put   func(b []byte, o origin) []byte
	fixed bool // it never changes
}

// shape is what objects of several types have in common.
type shape struct {
	facts []fact
	named bool // an object is called what its first fact says, not by its number
}

// shapes are all shapes, by the name that systemTable gives them.
var shapes = map[string]shape{
	"document": {facts: []fact{
		{"status", state, false}, {"total", price(20, 9000), false}, {"currency", among("EUR", "EUR", "EUR", "PLN", "CHF", "SEK"), true}, {"due_on", dayIn(30), false},
		{"owner", somebody, false}, {"customer", company, true}, {"note", sentences(2, 9), false}, {"lines", orderLines, false},
	}},
	"person": {named: true, facts: []fact{
		{"full_name", somebody, true}, {"email", mail, false}, {"phone", dial, false}, {"address", street, false},
		{"language", among("de", "en", "fr", "pl", "ja"), false}, {"segment", among("new", "regular", "loyal", "at risk"), false}, {"points", count(900), false}, {"note", sentences(1, 5), false},
	}},
	"item": {named: true, facts: []fact{
		{"name", ware, true}, {"sku", code("GF-"), true}, {"price", price(3, 400), false}, {"on_hand", count(400), false},
		{"bin", code("B-"), false}, {"tags", tags, false}, {"description", sentences(2, 8), false}, {"active", yesNo, false},
	}},
	"case": {facts: []fact{
		{"subject", sentences(1, 1), true}, {"status", among("open", "waiting", "in progress", "solved", "closed"), false}, {"priority", among("normal", "high", "low", "urgent"), false},
		{"assignee", somebody, false}, {"tags", tags, false}, {"message", sentences(2, 12), false}, {"due_at", instant(3), false},
	}},
	"setting": {facts: []fact{
		{"enabled", yesNo, false}, {"timeout_s", count(60), false}, {"rollout_percent", among("0", "5", "25", "50", "100"), false}, {"endpoint", endpoint, false},
		{"owner", somebody, false}, {"rules", rules, false},
	}},
	"page": {named: true, facts: []fact{
		{"title", headline, true}, {"body", sentences(4, 30), false}, {"published", yesNo, false}, {"author", somebody, false},
		{"language", among("de", "en", "fr", "pl"), false}, {"tags", tags, false}, {"summary", sentences(1, 2), false},
	}},
	"contract": {facts: []fact{
		{"party", company, true}, {"starts_on", dayIn(14), false}, {"ends_on", dayIn(700), false}, {"amount", price(1000, 90_000), false},
		{"renews", yesNo, false}, {"status", state, false}, {"terms", sentences(3, 20), false}, {"signed_by", somebody, false},
	}},
	"device": {named: true, facts: []fact{
		{"hostname", host, true}, {"serial", code("SN"), true}, {"status", among("active", "spare", "in repair", "retired"), false}, {"location", street, false},
		{"firmware", release, false}, {"last_seen", instant(1), false}, {"assigned_to", somebody, false}, {"temperature_c", count(70), false},
	}},
	"booking": {facts: []fact{
		{"resource", headline, true}, {"begins", instant(2), false}, {"ends", instant(4), false}, {"people", count(40), false},
		{"status", among("requested", "confirmed", "moved", "cancelled"), false}, {"note", sentences(1, 5), false}, {"cost_centre", code("CC"), false},
	}},
	"entry": {facts: []fact{
		{"account", code("A"), false}, {"debit", price(0, 5000), false}, {"credit", price(0, 5000), false}, {"text", sentences(1, 4), false},
		{"booked_on", dayIn(3), false}, {"cost_centre", code("CC"), false}, {"approved_by", somebody, false},
	}},
}

// mix spreads the bits of a number (the finisher of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func appendInt(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

// appendHex appends so many hexadecimal digits of a number, at most 16.
func appendHex(b []byte, n uint64, digits int) []byte {
	for i := range digits {
		b = append(b, "0123456789abcdef"[n>>(4*i)&15])
	}
	return b
}

// text appends a string in quotes. Ours need no escapes.
func text(b []byte, s ...string) []byte {
	b = append(b, '"')
	for _, s := range s {
		b = append(b, s...)
	}
	return append(b, '"')
}

// The functions below put values. Each version of a value differs from the one
// before.

// any returns one of a list that differs from version to version.
func (o origin) any(of []string) string { return of[(o.hash+o.version)%uint64(len(of))] }

// rare returns one of a list, of which the first are the most frequent.
func rare(hash uint64, of []string) string {
	a, b := uint64(uint32(hash)), hash>>32
	n := uint64(len(of))
	return of[a*b>>32*n>>32]
}

func among(of ...string) func([]byte, origin) []byte {
	return func(b []byte, o origin) []byte { return text(b, o.any(of)) }
}

var states = []string{"draft", "submitted", "approved", "sent", "confirmed", "received", "paid", "closed", "cancelled"}

// state goes on with every change.
func state(b []byte, o origin) []byte { return text(b, states[o.version%uint64(len(states))]) }

func yesNo(b []byte, o origin) []byte {
	return strconv.AppendBool(b, (o.hash+o.version)%2 == 0)
}

func count(to uint64) func([]byte, origin) []byte {
	return func(b []byte, o origin) []byte { return appendInt(b, (o.hash+o.version*7)%to) }
}

func price(from, to uint64) func([]byte, origin) []byte {
	return func(b []byte, o origin) []byte {
		b = append(appendInt(append(b, '"'), from+(o.hash+o.version*o.hash%37+o.version)%(to-from)), '.')
		return append(append(b, [...]string{"00", "50", "90", "95", "99"}[(o.hash>>20+o.version)%5]...), '"')
	}
}

func dayIn(days int) func([]byte, origin) []byte {
	return func(b []byte, o origin) []byte {
		at := o.born.AddDate(0, 0, days+int(o.hash%9+o.version*3))
		return append(at.AppendFormat(append(b, '"'), time.DateOnly), '"')
	}
}

func instant(days int) func([]byte, origin) []byte {
	return func(b []byte, o origin) []byte {
		at := o.born.Add(time.Duration(days)*24*time.Hour + time.Duration(o.hash%86400)*time.Second + time.Duration(o.version)*17*time.Hour)
		return append(at.AppendFormat(append(b, '"'), time.RFC3339), '"')
	}
}

// code is a prefix and six hexadecimal digits.
func code(prefix string) func([]byte, origin) []byte {
	return func(b []byte, o origin) []byte {
		return append(appendHex(append(append(b, '"'), prefix...), mix(o.hash+o.version), 6), '"')
	}
}

func somebody(b []byte, o origin) []byte {
	return text(b, firstNames[(o.hash+o.version)%uint64(len(firstNames))], " ", lastNames[(o.hash>>32)%uint64(len(lastNames))])
}

func company(b []byte, o origin) []byte {
	return text(b, lastNames[o.hash%uint64(len(lastNames))], " ", rare(mix(o.hash), trades), [...]string{" GmbH", " AG", " SA", " Sp. z o.o.", " AB", " Ltd", " & Co. KG"}[o.hash>>40%7])
}

func mail(b []byte, o origin) []byte {
	h := mix(o.hash + o.version)
	b = append(append(append(b, '"'), rare(h, nouns)...), '.')
	return append(append(append(appendInt(b, h%9000), '@'), mailHosts[h%uint64(len(mailHosts))]...), '"')
}

func dial(b []byte, o origin) []byte {
	return append(appendInt(append(b, `"+49 30 `...), 1_000_000+(o.hash+o.version*7919)%8_999_999), '"')
}

func street(b []byte, o origin) []byte {
	b = appendInt(append(append(append(b, `{"street":"`...), streets[o.hash%uint64(len(streets))]...), ' '), 1+(o.hash>>8+o.version)%180)
	where := places[o.hash>>16%uint64(len(places))]
	b = append(appendInt(append(b, `","postcode":"`...), 10_000+o.hash>>24%89_999), `","city":"`...)
	return append(append(append(append(append(b, where.city...), `","country":"`...), where.country...), '"'), '}')
}

func endpoint(b []byte, o origin) []byte {
	return append(append(appendInt(append(append(append(b, `"https://`...), rare(o.hash, nouns)...), `.partner.example/v`...), 2+o.version), `/`...), '"')
}

func host(b []byte, o origin) []byte {
	return append(appendInt(append(append(append(b, '"'), rare(o.hash, nouns)...), '-'), o.hash>>32%900), '"')
}

func release(b []byte, o origin) []byte {
	return append(appendInt(append(appendInt(append(b, '"'), 1+o.hash%6), '.'), o.version), `.0"`...)
}

func ware(b []byte, o origin) []byte {
	line := &wares[o.hash%uint64(len(wares))]
	return text(b, line.material, " ", line.things[o.hash>>20%uint64(len(line.things))], ", ", rare(o.hash>>7, adjectives))
}

func headline(b []byte, o origin) []byte {
	return text(b, rare(o.hash, adjectives), " ", rare(mix(o.hash), nouns), " ", rare(mix(o.hash+1), nouns))
}

func tags(b []byte, o origin) []byte {
	b = append(b, '[')
	for i := range 1 + (o.hash>>8+o.version)%4 {
		if i > 0 {
			b = append(b, ',')
		}
		b = text(b, rare(mix(o.hash+i), nouns))
	}
	return append(b, ']')
}

func rules(b []byte, o origin) []byte {
	b = append(appendInt(append(b, `[{"if":{"amount_over":`...), 100*(1+(o.hash+o.version)%90)), `,"country":["`...)
	return append(append(b, [...]string{"DE", "FR", "PL", "SE", "ES"}[o.hash>>9%5]...), `"]},"then":true}]`...)
}

func orderLines(b []byte, o origin) []byte {
	b = append(b, '[')
	for i := range 1 + o.hash>>4%3 {
		if i > 0 {
			b = append(b, ',')
		}
		h := mix(o.hash + i)
		b = ware(append(b, `{"product":`...), origin{hash: h})
		b = appendInt(append(b, `,"quantity":`...), 1+(h+o.version)%12)
		b = append(price(3, 300)(append(b, `,"price":`...), origin{hash: h}), '}')
	}
	return append(b, ']')
}

// sentences is a text of from to to sentences. One of them differs from version
// to version.
func sentences(from, to uint64) func([]byte, origin) []byte {
	return func(b []byte, o origin) []byte {
		n := from
		if spread := to - from; spread > 0 { // most texts are short
			n += min(o.hash%(spread+1), o.hash>>16%(spread+1), o.hash>>32%(spread+1))
		}
		b = append(b, '"')
		for i := range n {
			if i > 0 {
				b = append(b, ' ')
			}
			b = sentence(b, mix(o.hash+i+(o.version+n-1-i)/n<<8))
		}
		return append(b, '"')
	}
}

func sentence(b []byte, h uint64) []byte {
	b = append(append(b, openings[h%uint64(len(openings))]...), ' ')
	b = append(append(b, rare(mix(h), adjectives)...), ' ')
	b = append(append(b, rare(mix(h+1), nouns)...), ' ')
	b = append(append(b, rare(mix(h+2), verbs)...), ' ')
	if h>>60 < 9 {
		b = append(append(b, rare(mix(h+3), adjectives)...), ' ')
	}
	b = append(b, rare(mix(h+4), nouns)...)
	if h>>56&15 == 0 {
		b = appendInt(append(b, " no. "...), h>>12%90_000)
	}
	return append(b, '.')
}
