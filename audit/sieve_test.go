package audit

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSieve(t *testing.T) {
	s := newSieve("$", "abc", "qrstu")
	for text, want := range map[string]bool{
		"": false, "a": false, "ab": false, "xyz": false, "ab c": false, "bca": false, // of qrstu a run of three counts
		"$": true, "a$": true, "$a": true, "abc": true, "xxabc": true, "abcxx": true, "x$x": true, "the qrstu": true,
	} {
		if got := s.mayHave(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	for _, needle := range []string{"", "ab"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a needle of %q was taken", needle)
				}
			}()
			newSieve(needle)
		}()
	}
}

// What the sieve lets not pass has no shape in it.
func TestSieveOfShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	needles := append([]string{}, awsNeedles...)
	for _, sh := range shapes {
		needles = append(needles, sh.needles...)
	}
	m := NewMasker(testKey)
	found, held := 0, 0
	for range 20_000 {
		var b strings.Builder
		for range r.IntN(6) {
			switch r.IntN(12) {
			case 0:
				b.WriteString(needles[r.IntN(len(needles))])
			case 1:
				b.WriteString(secretsByShape[r.IntN(len(secretsByShape))])
			}
			for range r.IntN(40) {
				b.WriteByte("abcXYZ0123456789_-=/+.: $"[r.IntN(25)])
			}
		}
		text := b.String()
		n := 0
		want := m.shapes(text, &n)
		if !shapeNeedles.mayHave(text) {
			held++
			if n > 0 {
				t.Fatalf("%q: the sieve holds it back, and it is masked as %q", text, want)
			}
		}
		found += n
	}
	if found < 1000 || held < 1000 {
		t.Fatalf("%d secrets, and %d texts held back; the test needs more", found, held)
	}
	for _, needle := range needles {
		for _, text := range []string{needle, "x" + needle, needle + "é", "aé" + needle + " "} {
			if !shapeNeedles.mayHave(text) {
				t.Errorf("%q does not pass", text)
			}
		}
	}
	for _, root := range roots {
		if !mayBeSecret("a-"+root) || !mayBeSecret(strings.ToUpper(root)+"_x") {
			t.Errorf("%q does not pass", root)
		}
	}
}
