package audit

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

// shape is one form in which secrets come.
type shape struct {
	needles []string       // one of them is part of every match, which is quick to see; each has a byte, or three or more
	form    *regexp.Regexp // its first group, or the whole where it has none, is the secret
	check   func(secret string) bool
}

// shapes is every form that is known by itself. A form belongs here only if
// nothing else that people log can look like it.
var shapes = []shape{
	{ // JSON web tokens: the first part is an object that says how it is signed
		needles: []string{"eyJ"},
		form:    regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+){0,2}`),
		check:   isJWT,
	},
	{
		needles: []string{"PRIVATE KEY"},
		form:    regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)`),
	},
	{ // keys of services that mark them
		needles: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "npm_", "pypi-", "dckr_pat_", "hvs.", "sk-", "dop_v1_", "shp"},
		form: regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}|glpat-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{36}|` +
			`pypi-AgE[A-Za-z0-9_-]{50,}|dckr_pat_[A-Za-z0-9_-]{27,}|hvs\.[A-Za-z0-9_-]{24,}|sk-(?:ant|proj)-[A-Za-z0-9_-]{20,}|dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32})`),
	},
	{
		needles: []string{"xox", "xapp-", "hooks.slack.com/"},
		form:    regexp.MustCompile(`\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[0-9]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{20,})`),
	},
	{
		needles: []string{"sk_", "rk_", "whsec_"},
		form:    regexp.MustCompile(`\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{20,}=*)`),
	},
	{
		needles: []string{"AIza", "ya29.", "GOCSPX-"},
		form:    regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}`),
	},
	{
		needles: []string{"SG."},
		form:    regexp.MustCompile(`\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}`),
	},
	{ // hashes of passwords, in the forms of PHC, crypt and Django
		needles: []string{"$"},
		form: regexp.MustCompile(`(?:argon2)?\$argon2(?:id|i|d)\$[A-Za-z0-9$=,+/.-]{20,}|(?:bcrypt(?:_sha256)?\$)?\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}|` +
			`\bpbkdf2_sha(?:1|256|512)\$[0-9]+\$[^$\s"']+\$[A-Za-z0-9+/=]{20,}|\bscrypt\$[A-Za-z0-9+/=.]+\$[0-9]+\$[0-9]+\$[0-9]+\$[A-Za-z0-9+/=.]{20,}|` +
			`\$(?:scrypt|pbkdf2(?:-sha[0-9]+)?|7|y|gy)\$[A-Za-z0-9$=,+/.]{30,}|\$(?:1|5|6|apr1)\$(?:rounds=[0-9]+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{22,86}|` +
			`\b(?:md5|sha1)\$[A-Za-z0-9]+\$[0-9a-f]{32,40}\b`),
	},
	{
		needles: []string{"earer "},
		form:    regexp.MustCompile(`\b[Bb]earer ([A-Za-z0-9._~+/-]{20,}=*)`),
		check:   hasDigit,
	},
	{
		needles: []string{"uthorization"},
		form:    regexp.MustCompile(`\b[Aa]uthorization["']?\s*[:=]\s*["']?(?:[Bb]earer|[Tt]oken|[Aa]pi[Kk]ey|[Nn]egotiate)\s+([A-Za-z0-9._~+/-]{8,}=*)`),
		check:   hasDigit,
	},
	{
		needles: []string{"asic "},
		form:    regexp.MustCompile(`\b[Bb]asic ([A-Za-z0-9+/_-]{6,}={0,2})`),
		check:   isBasic,
	},
	{ // the password in the address of a database or a proxy
		needles: []string{"://"},
		form:    regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@?#"'<>]*:([^\s/@"'<>]+)@`),
	},
	{
		needles: []string{"ignature=", "sig="},
		form:    regexp.MustCompile(`[?&](?:X-(?:Amz|Goog)-Signature|Signature|sig)=([A-Za-z0-9%+/=_~-]{16,})`),
	},
}

var (
	awsKeyID  = regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`)
	awsSecret = regexp.MustCompile(`[A-Za-z0-9/+]{40,}`) // 40 exactly; longer runs are something else

	// pairs of a query or a form: ?name=value&name=value;name=value
	queryPair = regexp.MustCompile(`(^|[?&;#])([A-Za-z0-9_.\-\[\]% ]{1,64})=([^&;#\s"'<>]+)`)
)

// shortest is the length of the shortest text that can hold a shape.
const shortest = 8

// shortestCard is how many digits the number of a card has at least. To look at
// them first saves a look at the name.
const shortestCard = 14

// anyField is a name under which a number may be that of a card.
const anyField = ""

// text masks what has the shape of a secret in a text that stands under the name
// of a field: in some of them a number is never that of a card.
func (m *Masker) text(s, field string) (string, int) {
	if len(s) < shortest {
		return s, 0
	}
	n := 0
	if shapeNeedles.mayHave(s) {
		s = m.shapes(s, &n)
	}
	if strings.IndexByte(s, '=') > 0 {
		s = m.query(s, &n)
	}
	if hasDigits(s, shortestCard) {
		s = m.cards(s, field, &n)
	}
	return s, n
}

// shapes masks all that is known by its shape, but for what is cheap to find.
func (m *Masker) shapes(s string, n *int) string {
	for i := range shapes {
		sh := &shapes[i]
		for _, needle := range sh.needles {
			if strings.Contains(s, needle) {
				s = m.replace(s, sh.form, sh.check, n)
				break
			}
		}
	}
	if slices.ContainsFunc(awsNeedles, func(needle string) bool { return strings.Contains(s, needle) }) {
		before := *n
		s = m.replace(s, awsKeyID, nil, n)
		if *n > before { // alone, forty letters are any hash
			s = m.replace(s, awsSecret, isAWSSecret, n)
		}
	}
	return s
}

// hasDigits reports whether a text has so many digits.
func hasDigits(s string, least int) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' < 10 {
			if least--; least == 0 {
				return true
			}
		}
	}
	return false
}

// awsNeedles begin the names of keys of AWS.
var awsNeedles = []string{"AKIA", "ASIA"}

// shapeNeedles sees at one look that a text holds no needle of any shape.
var shapeNeedles = func() *sieve {
	all := slices.Clone(awsNeedles)
	for _, sh := range shapes {
		all = append(all, sh.needles...)
	}
	return newSieve(all...)
}()

// replace masks each match of a form, or its first group where that took part.
func (m *Masker) replace(s string, form *regexp.Regexp, check func(string) bool, n *int) string {
	var b strings.Builder
	done := 0
	for _, at := range form.FindAllStringSubmatchIndex(s, -1) {
		from, to := at[0], at[1]
		if len(at) > 2 && at[2] >= 0 {
			from, to = at[2], at[3]
		}
		secret := s[from:to]
		if strings.HasPrefix(secret, Mask) || check != nil && !check(secret) {
			continue
		}
		b.WriteString(s[done:from])
		b.WriteString(m.mask(secret))
		done = to
		*n++
	}
	if done == 0 {
		return s
	}
	return b.String() + s[done:]
}

// query masks the values of secret names in a URL, a form or a connection
// string. In a text of several words, only what follows ? or & is one. PWD is a
// directory there as often as a password.
func (m *Masker) query(s string, n *int) string {
	first, _, _ := strings.Cut(s, "=")
	form := !strings.ContainsAny(s, " \t\n") || strings.Contains(s, ";") && !strings.ContainsAny(first, ":;/")
	var b strings.Builder
	done := 0
	for _, at := range queryPair.FindAllStringSubmatchIndex(s, -1) {
		name, value := s[at[4]:at[5]], s[at[6]:at[7]]
		sure := at[2] < at[3] && (s[at[2]] == '?' || s[at[2]] == '&')
		if !sure && !form || m.names.certainty(name) != certain || value[0] == '/' && strings.EqualFold(strings.TrimSpace(name), "pwd") {
			continue
		}
		masked, one := m.whole(value, certain)
		if one == 0 || strings.HasPrefix(value, Mask) {
			continue
		}
		b.WriteString(s[done:at[6]])
		b.WriteString(masked)
		done = at[7]
		*n++
	}
	if done == 0 {
		return s
	}
	return b.String() + s[done:]
}

func isJWT(s string) bool {
	head, _, _ := strings.Cut(s, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	return err == nil && strings.Contains(string(b), `"alg"`)
}

func isBasic(s string) bool {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return err == nil && strings.IndexByte(string(b), ':') > 0
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

func isAWSSecret(s string) bool {
	return len(s) == 40 && hasDigit(s) && strings.ToLower(s) != s && strings.ToUpper(s) != s
}

// cards masks the numbers of payment cards: known beginnings, the right length
// and check digit, in one piece or in the groups that are printed on a card, and
// not a part of something longer.
func (m *Masker) cards(s, field string, n *int) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(s); {
		if s[i] < '2' || s[i] > '6' || i > 0 && (isWordByte(s[i-1]) || strings.IndexByte(".-/+#", s[i-1]) >= 0) {
			i++
			continue
		}
		end := cardEnd(s, i)
		if end > 0 && isIdentifier(field) { // nearly never asked
			return s
		}
		if end == 0 {
			for i < len(s) && '0' <= s[i] && s[i] <= '9' {
				i++
			}
			continue
		}
		b.WriteString(s[done:i])
		b.WriteString(m.mask(s[i:end]))
		done, i = end, end
		*n++
	}
	if done == 0 {
		return s
	}
	return b.String() + s[done:]
}

// cardEnd returns where the number of a card that begins at i ends, or 0.
func cardEnd(s string, i int) int {
	var digits [16]byte
	n, groups := 0, make([]int, 0, 4)
	var separator byte
	end, size := i, 0
	for ; end < len(s); end++ {
		c := s[end]
		if '0' <= c && c <= '9' {
			if n == len(digits) {
				return 0
			}
			digits[n] = c - '0'
			n++
			size++
			continue
		}
		next := end+1 < len(s) && '0' <= s[end+1] && s[end+1] <= '9'
		if (c != ' ' && c != '-') || separator != 0 && c != separator || !next || len(groups) == 3 {
			break
		}
		separator = c
		groups = append(groups, size)
		size = 0
	}
	groups = append(groups, size)
	if end < len(s) && (isWordByte(s[end]) || s[end] == '-' || s[end] == '.' && end+1 < len(s) && isWordByte(s[end+1])) {
		return 0
	}
	if !isCardNumber(digits[:n]) {
		return 0
	}
	switch len(groups) {
	case 1:
		return end
	case 3:
		if groups[0] == 4 && groups[1] == 6 && n != 16 {
			return end
		}
	case 4:
		if groups[0] == 4 && groups[1] == 4 && groups[2] == 4 && groups[3] == 4 {
			return end
		}
	}
	return 0
}

// isCard reports whether a whole text is the number of a card.
func isCard(s string) bool { return len(s) >= shortestCard && cardEnd(s, 0) == len(s) }

// isCardNumber reports whether digits begin like a card of their length and
// satisfy its check digit.
func isCardNumber(digits []byte) bool {
	if len(digits) < 14 {
		return false
	}
	prefix := 0
	for _, d := range digits[:4] {
		prefix = prefix*10 + int(d)
	}
	known := false
	switch len(digits) {
	case 14: // Diners
		known = 3000 <= prefix && prefix < 3060 || prefix/100 == 36 || prefix/100 == 38
	case 15: // American Express
		known = prefix/100 == 34 || prefix/100 == 37
	case 16: // Visa, Mastercard, Discover, JCB
		known = prefix/1000 == 4 || 51 <= prefix/100 && prefix/100 <= 55 || 2221 <= prefix && prefix <= 2720 ||
			prefix == 6011 || 6440 <= prefix && prefix < 6600 || 3528 <= prefix && prefix <= 3589
	}
	if !known {
		return false
	}
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i])
		if i%2 == 1 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func isWordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}
