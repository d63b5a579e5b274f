package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Keys are what a key file holds: the private key that signs checkpoints, the
// public keys that signed before it, and a secret for whatever else must not be
// read by who has the database alone.
type Keys struct {
	private string   // in the form of note.GenerateKey
	public  []string // the newest first; that of private is the first one
	secret  []byte
}

// SecretSize is the length of Keys.Secret in bytes.
const SecretSize = 32

// NewKeys makes keys from random bytes. name goes into the public key and every
// signature; it must hold neither spaces nor '+'. An error is one of reading random.
// Nothing is stored.
func NewKeys(random io.Reader, name string) (*Keys, error) {
	private, public, err := note.GenerateKey(random, name)
	if err != nil {
		return nil, fmt.Errorf("make a key for checkpoints: %w", err)
	}
	k := &Keys{private: private, public: []string{public}, secret: make([]byte, SecretSize)}
	if _, err := io.ReadFull(random, k.secret); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	return k, nil
}

// Rotate returns keys with a new private key under the same name. The public keys, behind
// the new one, and the secret stay, and so do the keys that it is called of.
func (k *Keys) Rotate(random io.Reader) (*Keys, error) {
	name, _, _ := strings.Cut(k.public[0], "+")
	next, err := NewKeys(random, name)
	if err != nil {
		return nil, err
	}
	return &Keys{private: next.private, public: append(next.public, k.public...), secret: k.secret}, nil
}

// Signer signs checkpoints with the private key.
func (k *Keys) Signer() note.Signer {
	s, err := note.NewSigner(k.private)
	if err != nil {
		panic("evidence: a private key that was good when it was read: " + err.Error())
	}
	return s
}

// Public returns the public keys, in the form of note.NewVerifier, the present
// one first. They are no secret. The caller must not change them.
func (k *Keys) Public() []string { return k.public }

// Secret returns the secret, SecretSize bytes that outlive every rotation. The
// caller must not change them.
func (k *Keys) Secret() []byte { return k.secret }

const keysHead = `# The keys of an audit database of auditadmin. Whoever can read this file can sign
# checkpoints in its name: keep it readable for the server alone, and a copy in a safe.
`

// Text is what stands in a key file.
func (k *Keys) Text() string {
	var b strings.Builder
	b.WriteString(keysHead)
	fmt.Fprintf(&b, "private %s\n", k.private)
	for _, public := range k.public {
		fmt.Fprintf(&b, "public %s\n", public)
	}
	fmt.Fprintf(&b, "secret %s\n", base64.StdEncoding.EncodeToString(k.secret))
	return b.String()
}

// ParseKeys reads the text of a key file. Its errors hold nothing of the file.
func ParseKeys(text string) (*Keys, error) {
	k := &Keys{}
	for i, line := range strings.Split(text, "\n") {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "" || strings.HasPrefix(word, "#"):
		case word == "private" && k.private == "":
			k.private = value
		case word == "public":
			if _, err := note.NewVerifier(value); err != nil {
				return nil, fmt.Errorf("line %d is no public key", i+1)
			}
			k.public = append(k.public, value)
		case word == "secret" && k.secret == nil:
			secret, err := base64.StdEncoding.Strict().DecodeString(value)
			if err != nil || len(secret) != SecretSize {
				return nil, fmt.Errorf("line %d is no secret of %d bytes in base64", i+1, SecretSize)
			}
			k.secret = secret
		default:
			return nil, fmt.Errorf("line %d is none of: private, public, secret", i+1)
		}
	}
	signer, err := note.NewSigner(k.private)
	if err != nil {
		return nil, errors.New("there is no private key in it")
	}
	if len(k.public) == 0 || k.secret == nil {
		return nil, errors.New("it is not complete: a public key or the secret is missing")
	}
	if v, _ := note.NewVerifier(k.public[0]); v.Name() != signer.Name() || v.KeyHash() != signer.KeyHash() {
		return nil, errors.New("its first public key does not belong to its private key")
	}
	return k, nil
}
