package evidence

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

// TestHasher compares with crypto/sha256, for messages of every length, short
// ones after long ones.
func TestHasher(t *testing.T) {
	h := newHasher()
	if h.digest == nil {
		t.Error("the state of a digest of crypto/sha256 is not what it was: the hasher works, and goes the ordinary way")
	}
	random := rand.New(rand.NewPCG(1, 2))
	check := func(length int) {
		for _, h := range []*hasher{h, {}} {
			message := h.message[:0]
			for range length {
				message = append(message, byte(random.Uint32()))
			}
			if got, want := h.sum(message), sha256.Sum256(message); got != want {
				t.Fatalf("of %d bytes: got %x, want %x", length, got, want)
			}
		}
	}
	for length := range 1500 {
		check(length)
	}
	for range 500 {
		check(random.IntN(5000))
	}
	check(1 << 20)
	check(0)
}
