package query

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// Empty reports whether the value stands for what is absent, as in user:"". It
// matches an event all of whose columns of the field are empty.
func (v Value) Empty() bool { return v.Text == "" }

// reader reads values for one kind of event and one set of options.
type reader struct {
	kind audit.Kind
	Options
}

// value reads one alternative of a term.
func (r reader) value(f Field, p part) (Value, *badValue) {
	// On entry, U+0000 became U+2400, so this is what can be found.
	text := strings.ReplaceAll(p.text, "\x00", "␀")
	free := f.Class == ClassFree
	v := Value{Text: text, Folded: Fold(text), Quoted: p.quoted || needsQuotes(text, free)}
	if p.star && text == "" {
		if p.quoted {
			return v, &badValue{"a star after nothing matches everything", ""}
		}
		return v, &badValue{"a star alone matches everything; an empty value is found with two quotes", inQuotes("")}
	}
	if text == "" && !r.mayBeEmpty(f) {
		if free {
			return v, &badValue{"there is nothing between the quotes", ""}
		}
		return v, &badValue{fmt.Sprintf("%s: is never empty", f.Key), ""}
	}
	if p.star && f.Class != ClassValue && f.Class != ClassAddress && f.Class != ClassText && !free {
		return v, &badValue{fmt.Sprintf("%s: has no values that start with something", f.Key), text}
	}
	var bad *badValue
	switch f.Class {
	case ClassValue:
		bad = r.plain(f, p, &v)
	case ClassAddress:
		bad = readAddress(p, &v)
	case ClassText:
		v.Prefix = p.star
	case ClassNumber:
		bad = readNumber(f, &v)
	case ClassTime:
		bad = r.time(f, &v)
	case ClassState:
		bad = oneOf(f, states, &v)
	case ClassID:
		bad = readID(&v)
	}
	return v, bad
}

// states are the values of `is:`.
var states = []string{"unresolved", "resolved"}

func (r reader) mayBeEmpty(f Field) bool {
	switch f.Class {
	case ClassValue, ClassAddress, ClassNumber, ClassText:
		return true
	}
	return false
}

// plain reads a whole value. A field with a closed set of values has no others.
func (r reader) plain(f Field, p part, v *Value) *badValue {
	v.Prefix = p.star
	if !p.quoted && strings.Contains(v.Text, "*") {
		return &badValue{"a star means something only at the end of a value; to look for the star itself, put the value in quotes", inQuotes(p.text)}
	}
	choices := choicesOf(r.kind, f)
	if choices == nil || v.Empty() {
		return nil
	}
	if v.Prefix {
		for _, c := range choices {
			if strings.HasPrefix(Fold(c), v.Folded) {
				return nil
			}
		}
	}
	return oneOf(f, choices, v)
}

// choicesOf returns the values of a field where they are a closed set.
func choicesOf(kind audit.Kind, f Field) []string {
	if f.Class == ClassState {
		return states
	}
	if len(f.Columns) != 1 {
		return nil
	}
	i := kind.Index(f.Columns[0])
	if i < 0 {
		return nil
	}
	return kind.Fields()[i].Choices
}

func oneOf(f Field, choices []string, v *Value) *badValue {
	for _, c := range choices {
		if Fold(c) == v.Folded {
			return nil
		}
	}
	return &badValue{fmt.Sprintf("%s: has no value %q; it is %s", f.Key, v.Text, list(choices, "or")), nearestChoice(v.Text, choices)}
}

// readAddress reads an address, a network, or the first parts of an address and
// a star, and writes it in canonical form.
func readAddress(p part, v *Value) *badValue {
	if v.Empty() {
		return nil
	}
	net, ok := network(v.Text, p.star)
	if !ok {
		message := fmt.Sprintf("%q is not an address or a network: write 203.0.113.9, 10.0.0.0/8 or 2001:db8::/32", v.Text)
		suggestion := ""
		if p.star {
			message = fmt.Sprintf("%q is not the first parts of an address: write 10.3.* or 10.3.0.0/16", v.Text+"*")
			if _, ok := network(v.Text+".", true); ok {
				suggestion = v.Text + ".*"
			}
		} else if _, ok := network(v.Text+".", true); ok {
			suggestion = v.Text + ".*"
		} else if _, ok := network(v.Text, true); ok {
			suggestion = v.Text + "*"
		}
		return &badValue{message, suggestion}
	}
	v.Net = net
	if net.IsSingleIP() {
		v.Text = net.Addr().String()
	} else {
		v.Text = net.String()
	}
	v.Folded = v.Text
	v.Quoted = false
	return nil
}

// network reads an address, a network, or with star the first parts of an
// address. An IPv4 address in the clothes of IPv6 is an IPv4 address.
func network(text string, star bool) (netip.Prefix, bool) {
	if star {
		return partialNetwork(text)
	}
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == ""
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if n.Addr().Is4In6() {
		if n.Bits() < 96 {
			return n.Masked(), true
		}
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n.Masked(), true
}

// partialNetwork reads "10.3." and "2001:db8:" as the networks they begin.
func partialNetwork(text string) (netip.Prefix, bool) {
	rest, whole, separator, zero := text, 4, ".", "0"
	bits := 8
	if strings.Contains(text, ":") {
		whole, separator, bits = 8, ":", 16
	}
	parts := strings.Split(rest, separator)
	n := len(parts) - 1 // the last is what the star stands for
	if n < 1 || n >= whole || parts[n] != "" {
		return netip.Prefix{}, false
	}
	parts = parts[:n]
	for range whole - n {
		parts = append(parts, zero)
	}
	a, err := netip.ParseAddr(strings.Join(parts, separator))
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, n*bits), true
}

// readNumber reads a number, a comparison or a range into Lo and Hi. Of an empty
// value they are a range without numbers.
func readNumber(f Field, v *Value) *badValue {
	v.Lo, v.Hi = 1, 0
	if v.Empty() {
		return nil
	}
	units := unitsOf(f)
	wrong := func(part string) *badValue {
		return &badValue{fmt.Sprintf("%q is not a number; write %s", part, numberForms(f)), ""}
	}
	text := v.Text
	if from, to, ok := strings.Cut(text, ".."); ok {
		lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
		if from == "" && to == "" {
			return wrong(text)
		}
		if from != "" {
			if lo, ok = readAmount(from, units); !ok {
				return wrong(from)
			}
		}
		if to != "" {
			if hi, ok = readAmount(to, units); !ok {
				return wrong(to)
			}
		}
		if lo > hi {
			return &badValue{fmt.Sprintf("the range %s ends before it begins", text), to + ".." + from}
		}
		v.Lo, v.Hi = lo, hi
		return nil
	}
	op, amount := comparison(text)
	n, ok := readAmount(amount, units)
	if !ok {
		return wrong(text)
	}
	switch op {
	case ">":
		v.Lo, v.Hi = n+1, math.MaxInt64
	case ">=":
		v.Lo, v.Hi = n, math.MaxInt64
	case "<":
		v.Lo, v.Hi = math.MinInt64, n-1
	case "<=":
		v.Lo, v.Hi = math.MinInt64, n
	default:
		v.Lo, v.Hi = n, n
	}
	return nil
}

func numberForms(f Field) string {
	if unitsOf(f) != nil {
		return "42, >1000, >=1.5MB, <1GiB or 1MB..2MB"
	}
	return "42, >1000, >=10, <5 or 10..20"
}

// comparison cuts off the sign before a number: >, >=, <, <= or none.
func comparison(text string) (op, amount string) {
	for _, op := range []string{">=", "<=", ">", "<"} {
		if rest, ok := strings.CutPrefix(text, op); ok {
			return op, rest
		}
	}
	return "", text
}

// unit is a unit of size, by its name in lower case.
type unit struct {
	name  string
	bytes int64
}

var sizeUnits = []unit{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"b", 1},
}

func unitsOf(f Field) []unit {
	if f.Key == "size" {
		return sizeUnits
	}
	return nil
}

// readAmount reads a number with an optional unit. Only with a unit may it have
// a fraction, of which whole bytes are kept.
func readAmount(text string, units []unit) (int64, bool) {
	scale := int64(0)
	for _, u := range units {
		if n := len(text) - len(u.name); n > 0 && strings.EqualFold(text[n:], u.name) {
			text, scale = text[:n], u.bytes
			break
		}
	}
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	if scale == 0 {
		n, ok := digits(text)
		if negative {
			n = -n
		}
		return n, ok
	}
	whole, fraction, dotted := strings.Cut(text, ".")
	n, ok := digits(whole)
	if !ok || n > 1e18/scale {
		return 0, false
	}
	n *= scale
	if dotted {
		if _, ok := digits(fraction); !ok {
			return 0, false
		}
		for _, c := range fraction {
			scale /= 10
			n += int64(c-'0') * scale
		}
	}
	if negative {
		n = -n
	}
	return n, true
}

// readID reads the id of an event.
func readID(v *Value) *badValue {
	n, err := strconv.ParseUint(v.Text, 10, 63)
	if err != nil {
		return &badValue{fmt.Sprintf("%q is not an id: ids are numbers", v.Text), ""}
	}
	v.Lo, v.Hi = int64(n), int64(n)
	return nil
}

// time reads a value of one of the fields of time.
func (r reader) time(f Field, v *Value) *badValue {
	if f.Key == "last" {
		n, unit, bad := readSpan(v.Text)
		if bad != nil {
			return bad
		}
		v.Lo = r.Now.UnixMicro() - n*spans[unit].lasts.Microseconds()
		v.Hi = math.MaxInt64
		return nil
	}
	lo, hi, bad := readTime(v.Text, r.Now, r.Zone)
	if bad != nil {
		return bad
	}
	switch f.Key {
	case "on":
		v.Lo, v.Hi = lo, hi
	case "before":
		v.Lo, v.Hi = math.MinInt64, lo
	default: // after, recorded
		v.Lo, v.Hi = lo, math.MaxInt64
	}
	return nil
}
