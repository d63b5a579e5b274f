package audit

import (
	"fmt"
	"time"
)

// timeLayout is how instants are written: always UTC, six decimals, Z.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// FormatTime writes an instant as the contract wants it: in UTC, with six
// decimals and Z. What is finer than a microsecond is cut off.
func FormatTime(t time.Time) string {
	var room [len(timeLayout)]byte
	return string(AppendTime(room[:0], t))
}

// AppendTime appends an instant as FormatTime writes it.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, timeLayout)
	}
	hour, minute, second := t.Clock()
	dst = appendPair(appendPair(dst, year/100), year%100)
	dst = appendPair(append(dst, '-'), int(month))
	dst = appendPair(append(dst, '-'), day)
	dst = appendPair(append(dst, 'T'), hour)
	dst = appendPair(append(dst, ':'), minute)
	dst = appendPair(append(dst, ':'), second)
	micro := t.Nanosecond() / 1000
	dst = appendPair(append(dst, '.'), micro/10_000)
	dst = appendPair(appendPair(dst, micro/100%100), micro%100)
	return append(dst, 'Z')
}

func appendPair(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// ParseTime reads an RFC 3339 instant and returns it in UTC, cut to
// microseconds. A time without a zone is an error: it would be a guess.
func ParseTime(s string) (time.Time, error) {
	if t, ok := parseOwn(s); ok {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not an RFC 3339 time such as 2026-03-01T12:00:00.123456Z", s)
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// parseOwn reads an instant as FormatTime writes it: every row that is read has
// two of them.
func parseOwn(s string) (t time.Time, ok bool) {
	if len(s) != len(timeLayout) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != '.' || s[26] != 'Z' {
		return t, false
	}
	ok = true
	pair := func(i int) int {
		tens, ones := s[i]-'0', s[i+1]-'0'
		ok = ok && tens <= 9 && ones <= 9
		return 10*int(tens) + int(ones)
	}
	year, month, day := 100*pair(0)+pair(2), pair(5), pair(8)
	hour, minute, second := pair(11), pair(14), pair(17)
	micro := 10_000*pair(20) + 100*pair(22) + pair(24)
	if !ok || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, 1000*micro, time.UTC)
	return t, t.Day() == day // which the 30th of February does not have
}
