package authz

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/auditadmin/auditadmin/internal/query"
)

const (
	minPassword      = 15   // characters; the password is the only factor
	maxPasswordBytes = 1024 // so that nobody makes us hash a book
)

// ErrPassword is wrapped by the refusal of a new password. The message of the
// whole error says why, in words for the person who chose it.
var ErrPassword = errors.New("choose another password")

// KDF is argon2.IDKey, or a cheap stand-in that counts in a test.
type KDF func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte

// cost is what one hash takes: OWASP's first choice, about 90 ms on one core.
type cost struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

var (
	currentCost = cost{memory: 19456, time: 2, threads: 1}
	// maxCost bounds what a stored hash may make us spend: whoever can write a
	// row should not be able to stop the server with it.
	maxCost = cost{memory: 256 << 10, time: 16, threads: 16}
)

const (
	saltBytes = 16
	keyBytes  = 32
)

// Passwords hashes and checks passwords with argon2id, on as many at a time as
// there are cores, which also bounds the memory it takes. It is safe for
// concurrent use.
type Passwords struct {
	kdf   KDF
	slots chan struct{}
}

// NewPasswords returns a Passwords over kdf; nil means argon2id.
func NewPasswords(kdf KDF) *Passwords {
	if kdf == nil {
		kdf = argon2.IDKey
	}
	return &Passwords{kdf: kdf, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// New checks that password may become the password of the account of that name
// and returns its hash in PHC form. The error wraps ErrPassword if it may not.
func (p *Passwords) New(ctx context.Context, account, password string) (string, error) {
	if err := CheckPassword(account, password); err != nil {
		return "", err
	}
	return p.hash(ctx, password)
}

func (p *Passwords) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	key, err := p.derive(ctx, password, salt, currentCost, keyBytes)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		currentCost.memory, currentCost.time, currentCost.threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Verify reports whether password is the one that was hashed. It derives
// exactly one key whatever the hash is, also where hash is "" because there is
// no such account, so that the time it takes tells nobody anything; and none at
// all for a password longer than any account can have. The error is that of a
// context which ended while waiting for its turn.
func (p *Passwords) Verify(ctx context.Context, hash, password string) (bool, error) {
	if len(password) > maxPasswordBytes {
		return false, nil
	}
	c, salt, want, err := parseHash(hash)
	known := err == nil
	if !known {
		c, salt, want = currentCost, make([]byte, saltBytes), make([]byte, keyBytes)
	}
	got, err := p.derive(ctx, password, salt, c, uint32(len(want)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

// Outdated reports whether a hash was made with less effort than hashes are
// made with now.
func Outdated(hash string) bool {
	c, salt, key, err := parseHash(hash)
	return err != nil || c.memory < currentCost.memory || c.time < currentCost.time ||
		len(salt) < saltBytes || len(key) < keyBytes
}

func (p *Passwords) derive(ctx context.Context, password string, salt []byte, c cost, n uint32) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to check a password: %w", ctx.Err())
	}
	// The same letters typed on another system may come in another form.
	return p.kdf([]byte(norm.NFC.String(password)), salt, c.time, c.memory, c.threads, n), nil
}

// parseHash reads "$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY" and refuses a cost
// beyond maxCost.
func parseHash(hash string) (c cost, salt, key []byte, err error) {
	bad := errors.New("not a password hash this program made")
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); n != 3 || err != nil {
		return c, nil, nil, bad
	}
	if parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", c.memory, c.time, c.threads) {
		return c, nil, nil, bad
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(parts[4])
	key, errKey := base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case errSalt != nil, errKey != nil:
		return c, nil, nil, bad
	case c.memory > maxCost.memory, c.time > maxCost.time, c.threads > maxCost.threads:
		return c, nil, nil, bad
	case c.memory == 0, c.time == 0, c.threads == 0:
		return c, nil, nil, bad
	case len(salt) < 8, len(salt) > 64, len(key) < 16, len(key) > 64:
		return c, nil, nil, bad
	}
	return c, salt, key, nil
}

// easyPieces are what the first guesses are made of. A password that is made of
// nothing else is refused, however long it is.
var easyPieces = []string{
	"abcdefghijklmnopqrstuvwxyz", "auditadmin", "administrator", "1234567890", "0123456789", "0987654321",
	"qwertyuiop", "asdfghjkl", "zxcvbnm", "passwort", "password", "passw0rd", "p@ssw0rd", "superuser", "iloveyou", "changeme",
	"letmein", "welcome", "123456", "qwerty", "azerty", "1234", "abcd",
}

// CheckPassword says whether password may become the password of the account
// of that name. The error wraps ErrPassword. There are no rules of
// composition: length is what counts.
func CheckPassword(account, password string) error {
	length := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return fmt.Errorf("%w: it is not UTF-8 text", ErrPassword)
	case length < minPassword:
		return fmt.Errorf("%w: it has %d characters and needs at least %d; a sentence of a few words is easy to remember", ErrPassword, length, minPassword)
	case len(password) > maxPasswordBytes:
		return fmt.Errorf("%w: it has %d bytes and may have %d", ErrPassword, len(password), maxPasswordBytes)
	}
	rest := query.Fold(password)
	for _, piece := range append([]string{query.Fold(strings.TrimSpace(account))}, easyPieces...) {
		if piece != "" {
			rest = strings.ReplaceAll(rest, piece, "")
		}
	}
	distinct := map[rune]bool{}
	for _, r := range rest {
		distinct[r] = true
	}
	if len(distinct) <= 2 {
		return fmt.Errorf("%w: this one would be among the first guesses, being made of the account's name, common words or a repeated character or two", ErrPassword)
	}
	return nil
}
