package authz

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// ErrSeal is wrapped where the key that second factors are sealed with cannot be
// read or made, or is not the one that they were sealed with.
var ErrSeal = errors.New("the key file of the second factors cannot be used")

// sealer keeps secrets so that a copy of the database alone does not give them
// away: sealed with AES-256-GCM and a key in a file beside it, which is made
// when it is first needed. It is a key of its own and not the one that signs
// checkpoints: that one is changed now and then, and nobody should have to set up
// his second factor anew for it. It is safe for concurrent use.
type sealer struct {
	path string
	mu   sync.Mutex
	aead cipher.AEAD
}

// sealSuffix is what the key file is called after the name of the database.
const sealSuffix = ".seal"

// SealPath is where the key is kept that the second factors of a database are
// sealed with. There is none before the first of them is set up.
func SealPath(database string) string { return database + sealSuffix }

// seal returns plain in a form that only open reads, and only with the same
// purpose.
func (s *sealer) seal(plain []byte, purpose string) (string, error) {
	aead, err := s.cipher(true)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(purpose))), nil
}

// open returns what seal was given. The error wraps ErrSeal.
func (s *sealer) open(sealed, purpose string) ([]byte, error) {
	aead, err := s.cipher(false)
	if err != nil {
		return nil, err
	}
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(b) < aead.NonceSize() {
		return nil, fmt.Errorf("%w: what it should open is damaged", ErrSeal)
	}
	plain, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("%w: %s did not seal this; bring back the file that belongs to the database, or reset the second factor with: auditadmin user reset-totp NAME", ErrSeal, s.path)
	}
	return plain, nil
}

// cipher returns what seals, and reads the key for it where that was not done.
// Only where create says so is a missing key made.
func (s *sealer) cipher(create bool) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aead != nil {
		return s.aead, nil
	}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) && create {
		text, err = makeKey(s.path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%w: %s does not hold 64 hexadecimal digits", ErrSeal, s.path)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	s.aead, err = cipher.NewGCM(block)
	return s.aead, err
}

// makeKey writes a fresh key where there is none, for its owner alone, and
// returns what the file holds then: another program may have been faster. It is
// on the disk before anything is sealed with it.
func makeKey(path string) ([]byte, error) {
	key := make([]byte, 32)
	rand.Read(key)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	// A link, unlike a rename, never replaces what is there.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		dir.Sync() // not every file system knows this of folders
		dir.Close()
	}
	return os.ReadFile(path)
}
