package audit

import (
	"slices"
	"strings"
	"unicode"
)

// certainty says how sure a name is that its value is a secret.
type certainty int

const (
	open    certainty = iota // no secret by its name
	likely                   // a secret where the value looks like one
	certain                  // a secret whatever it is
)

// holds reports whether a value is a secret under a name of this certainty.
func (c certainty) holds(value string) bool {
	switch c {
	case certain:
		return !slices.Contains(plainWords, strings.ToLower(value)) && !strings.HasPrefix(value, "%%") // %%1842 is how Windows says yes
	case likely:
		return len(value) >= 8 && (strings.ContainsAny(value, "0123456789=") || strings.Contains(value, " ") && isScheme(value))
	}
	return false
}

// plainWords say that there is a secret, or none.
var plainWords = []string{"true", "false", "yes", "no", "none", "null", "nil", "n/a", "undefined", "set", "unset", "not set", "changed", "unchanged", "hidden", "redacted", "[redacted]", "<redacted>", "[filtered]"}

func isScheme(value string) bool {
	scheme, _, _ := strings.Cut(strings.ToLower(value), " ")
	return slices.Contains([]string{"basic", "bearer", "digest", "token", "negotiate", "apikey"}, scheme)
}

// names knows the names of secrets. A name is split into words, and its last
// word says what it names: user_password and password_hash are secrets,
// password_changed_at and token_count are not.
type names struct {
	secret, open []string // added by the options, words joined
}

// roots is a part of every name of a secret, in its folded and joined form.
var roots = []string{"pass", "pwd", "secret", "token", "key", "credential", "creds", "cookie", "authorization", "jwt",
	"cvv", "cvc", "ssn", "otp", "pin", "card", "ccnum", "code", "session", "sessid", "phrase", "mnemonic", "socialsecurity"}

// Words that are secrets wherever a name ends in them.
var secretWords = []string{"password", "passwords", "passwd", "passphrase", "passcode", "pwd", "secret", "secrets", "token",
	"apikey", "apikeys", "secretkey", "privatekey", "accesskey", "jwt", "cvv", "cvc", "ssn", "otp", "totp", "creditcard",
	"cardnumber", "ccnumber", "ccnum", "sessionid", "sessionkey", "sessid", "phpsessid", "jsessionid", "mnemonic"}

// Words that are secrets wherever a name ends in them and the value looks so.
var likelyWords = []string{"authorization", "cookie", "cookies", "credential", "credentials", "creds", "tokens"}

// Endings of words that were written without separators: csrfmiddlewaretoken.
var secretEndings = []string{"password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey", "secretkey",
	"privatekey", "accesskey", "creditcard", "cardnumber", "sessionid", "sessionkey"}

// Last words that are secrets after one of certain words alone. An empty word
// stands for the beginning of the name.
var secretPairs = map[string][]string{
	"key":    {"api", "access", "private", "secret", "encryption", "encrypt", "decryption", "signing", "master", "session", "auth", "authentication", "hmac", "shared", "symmetric", "webhook"},
	"keys":   {"api", "access", "private", "secret", "encryption", "signing"},
	"card":   {"credit", "debit"},
	"number": {"card", "cc"},
	"num":    {"card", "cc"},
	"code":   {"recovery", "backup", "verification", "otp", "totp", "mfa", "authorization", "reset"},
	"codes":  {"recovery", "backup", "otp", "totp", "mfa"},
	"phrase": {"seed", "recovery", "pass"},
	"word":   {"pass"},
	"pin":    {"", "card", "user", "login", "security", "sim", "atm", "account", "door"},
	"pass":   {"", "user", "db", "database", "smtp", "mail", "email", "login", "admin", "root", "ftp", "http", "proxy", "redis", "mysql", "postgres"},
}

// Words before "token" that make it a place in a list, a part of speech or a
// colour, all of which people have to see.
var openTokens = []string{"next", "page", "nextpage", "pagination", "continuation", "cursor", "sync", "idempotency", "design", "stop", "pad"}

// First words that make a name a statement or a number.
var openStarts = []string{"is", "has", "have", "had", "was", "requires", "require", "needs", "allow", "allows", "enable", "enables",
	"enabled", "disable", "disabled", "use", "uses", "can", "should", "must", "show", "num", "max", "min", "total", "count", "non", "not"}

// Last words that leave a secret one.
var modifiers = []string{"old", "new", "current", "previous", "confirm", "confirmation", "again", "repeat", "verify", "value", "val", "hash",
	"hashed", "digest", "salt", "plain", "plaintext", "cleartext", "encrypted", "raw", "text", "string", "str", "base64", "binary", "data", "header", "pem"}

// abouts are the last words of what is told about a secret, in an object that
// has the name of one: {"accessKey": {"userName": …, "status": …}}.
var abouts = []string{"name", "names", "username", "user", "id", "ids", "type", "kind", "status", "state", "date", "at", "mode", "expiration",
	"expires", "expiry", "created", "updated", "version", "namespace", "arn", "algorithm", "count", "length", "optional", "email"}

// isAbout reports whether a member of a secret object is none itself.
func isAbout(key string) bool {
	words := splitName(key)
	return len(words) > 0 && slices.Contains(abouts, words[len(words)-1])
}

// certainty says whether the value of a field of that name is a secret.
func (n *names) certainty(name string) certainty {
	if !mayBeSecret(name) && len(n.secret) == 0 {
		return open
	}
	words := splitName(name)
	joined := strings.Join(words, "")
	switch {
	case len(words) == 0 || slices.Contains(n.open, joined):
		return open
	case slices.Contains(n.secret, joined):
		return certain
	case len(words) > 1 && slices.Contains(openStarts, words[0]):
		return open
	}
	for len(words) > 1 && slices.Contains(modifiers, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	last, before := words[len(words)-1], ""
	if len(words) > 1 {
		before = words[len(words)-2]
	}
	if prefix, ok := strings.CutSuffix(last, "token"); ok && slices.Contains(openTokens, prefix+before) {
		return open
	}
	isLast := func(w string) bool { return last == w }
	switch {
	case slices.ContainsFunc(secretWords, isLast), slices.Contains(secretPairs[last], before):
		return certain
	case last == "number" && before == "security" && slices.Contains(words, "social"),
		last == "code" && before == "security" && slices.Contains(words, "card"):
		return certain
	case slices.ContainsFunc(likelyWords, isLast):
		return likely
	case slices.ContainsFunc(secretEndings, func(end string) bool { return strings.HasSuffix(last, end) }) && last != "nonsecret":
		return certain
	}
	return open
}

// mayBeSecret is a quick no for most names: none of the roots is in it. Any
// name that is not plain ASCII has to be looked at.
func mayBeSecret(name string) bool {
	var array [64]byte
	b := array[:0]
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c >= 0x80:
			return true
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		case 'a' <= c && c <= 'z':
			b = append(b, c)
		}
	}
	folded := string(b)
	return rootNeedles.mayHave(folded) && slices.ContainsFunc(roots, func(root string) bool { return strings.Contains(folded, root) })
}

// rootNeedles sees at one look that a name holds none of the roots.
var rootNeedles = newSieve(roots...)

// splitName returns the words of a name in lower case, split at separators and
// at the humps of camelCase. Letters that only look different (ｐ, ſ, 𝐩) count
// as the plain ones, invisible characters not at all, and digits at the end of a
// word are dropped.
func splitName(name string) []string {
	var words []string
	var word []rune
	end := func() {
		w := strings.TrimRight(string(word), "0123456789")
		if w != "" {
			words = append(words, w)
		}
		word = word[:0]
	}
	runes := []rune(name)
	for i, r := range runes {
		r = plainLetter(r)
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r) {
			continue
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
			continue
		}
		if unicode.IsUpper(r) && i > 0 {
			afterLower := !unicode.IsUpper(plainLetter(runes[i-1]))
			beforeLower := i+1 < len(runes) && unicode.IsLower(plainLetter(runes[i+1]))
			if afterLower || beforeLower {
				end()
			}
		}
		word = append(word, unicode.ToLower(r))
	}
	end()
	return words
}

// plainLetter folds the letters that a compatibility normalization would.
func plainLetter(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case 0xFF01 <= r && r <= 0xFF5E: // full width
		return r - 0xFEE0
	case 0x1D400 <= r && r <= 0x1D6A3: // mathematical
		n := (r - 0x1D400) % 52
		if n < 26 {
			return 'A' + n
		}
		return 'a' + n - 26
	case r == 'ſ':
		return 's'
	case r == '\u212A': // the sign for kelvin
		return 'k'
	}
	return r
}

// isIdentifier reports whether a field's digits are a name or a moment, which
// may look like the number of a card by chance.
func isIdentifier(name string) bool {
	words := splitName(name)
	if len(words) == 0 {
		return false
	}
	switch last := words[len(words)-1]; last {
	case "id", "ids", "pk", "uuid", "guid", "key", "hash", "code", "sha", "seq", "sequence", "at", "on", "time", "timestamp", "ts", "date",
		"millis", "micros", "nanos", "ms", "us", "ns", "count", "size", "bytes", "length", "offset", "version", "serial", "arn", "url", "path":
		return true
	default:
		return strings.HasSuffix(last, "id") && len(words) == 1 && len(last) > 4 // objectid
	}
}
