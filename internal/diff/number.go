package diff

import (
	"math/big"
	"regexp"
	"strings"
)

// decimal is a number that can be subtracted by hand: no exponent, no more
// digits than anybody reads.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,39})(\.[0-9]{1,40})?$`)

// difference is after minus before, exact and with its sign, and "" where that
// would say nothing: for what are no numbers, and for numbers that are names.
// Texts count as numbers where both have the same number of decimals, as
// amounts of money do and versions (3.9, 3.10) do not.
func difference(name string, before, after *node) string {
	if before == nil || after == nil || before.kind != after.kind || isName(name) {
		return ""
	}
	var a, b string
	switch before.kind {
	case '0':
		a, b = before.raw, after.raw
	case '"':
		a, b = before.text, after.text
		if n := decimals(a); n == 0 || n != decimals(b) {
			return ""
		}
	default:
		return ""
	}
	if len(a) > 90 || len(b) > 90 || !decimal.MatchString(a) || !decimal.MatchString(b) {
		return ""
	}
	scale := max(decimals(a), decimals(b))
	d := new(big.Int).Sub(scaled(b, scale), scaled(a, scale))
	sign := "+"
	switch d.Sign() {
	case 0:
		return ""
	case -1:
		sign = "−"
	}
	digits := d.Abs(d).String()
	if scale == 0 {
		return sign + digits
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - scale
	return sign + digits[:point] + "." + digits[point:]
}

func decimals(s string) int {
	_, fraction, _ := strings.Cut(s, ".")
	return len(fraction)
}

// scaled is the number times ten to the power of scale.
func scaled(s string, scale int) *big.Int {
	digits := strings.Replace(s, ".", "", 1) + strings.Repeat("0", scale-decimals(s))
	n, _ := new(big.Int).SetString(digits, 10)
	return n
}

// isName reports whether the numbers of a field name something, so that their
// difference means nothing.
func isName(field string) bool {
	field = strings.ToLower(field)
	for _, end := range []string{"id", "ids", "pk", "version", "release", "cycle", "latest", "code", "phone", "zip", "postcode", "year", "number", "key"} {
		if rest, ok := strings.CutSuffix(field, end); ok && (rest == "" || strings.ContainsAny(rest[len(rest)-1:], "_-. [")) {
			return true
		}
	}
	return strings.HasSuffix(field, "version")
}
