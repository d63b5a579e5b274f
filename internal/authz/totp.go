package authz

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The codes of a second factor, as RFC 6238 has them and every app understands
// them: HMAC-SHA-1 of the number of half minutes since 1970, cut to six digits.
const (
	codeStep    = 30 * time.Second
	codeDigits  = 6
	codeWindow  = 1  // steps before and after the present one
	secretBytes = 20 // as RFC 4226 recommends
)

var secretText = base32.StdEncoding.WithPadding(base32.NoPadding)

// codeAt is the code of a time step, by RFC 4226.
func codeAt(secret []byte, counter int64) string {
	mac := hmac.New(sha1.New, secret)
	binary.Write(mac, binary.BigEndian, counter)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", codeDigits, number%1_000_000)
}

// counterOf returns the time step of a code that is right about now, and whether
// there is one. Whether it was used before is not known here.
func counterOf(secret []byte, code string, now time.Time) (counter int64, right bool) {
	present := now.Unix() / int64(codeStep/time.Second)
	for step := present - codeWindow; step <= present+codeWindow; step++ {
		if subtle.ConstantTimeCompare([]byte(codeAt(secret, step)), []byte(code)) == 1 {
			counter, right = step, true
		}
	}
	return counter, right
}

// codeURL is what the picture for the app says.
func codeURL(secret []byte, issuer, account string) string {
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + url.Values{
		"secret": {secretText.EncodeToString(secret)}, "issuer": {issuer},
	}.Encode()
}

// The codes on paper: 120 random bits each, so that a plain hash keeps them.
const (
	recoveryCodes  = 10
	recoveryLength = 24 // characters of base32
	recoveryGroup  = 6
)

// newRecoveryCodes returns fresh recovery codes as people read them, and what is
// stored of them.
func newRecoveryCodes() (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		code := strings.ToLower(rand.Text()[:recoveryLength])
		hashes = append(hashes, hashID(code))
		var groups []string
		for i := 0; i < recoveryLength; i += recoveryGroup {
			groups = append(groups, code[i:i+recoveryGroup])
		}
		codes = append(codes, strings.Join(groups, "-"))
	}
	return codes, hashes
}

// typed reads a code as somebody typed it, with spaces, hyphens and in either
// case: either six digits, or a recovery code, or neither.
func typed(text string) (code, recovery string) {
	text = strings.ToLower(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, text))
	switch {
	case len(text) == codeDigits && strings.Trim(text, "0123456789") == "":
		return text, ""
	case len(text) == recoveryLength && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") == "":
		return "", text
	}
	return "", ""
}
