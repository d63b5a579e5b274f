package evidence

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"
)

// FuzzCheckpoint reads any text as a signed checkpoint: none but those that the
// key signed is taken for signed, and what is read is written back as it was.
func FuzzCheckpoint(f *testing.F) {
	keys, err := NewKeys(rand.Reader, "audit.example")
	if err != nil {
		f.Fatal(err)
	}
	genuine := map[string]bool{}
	for size := range int64(3) {
		c := &Checkpoint{Incarnation: "audit.example", Size: size, Root: Hash{byte(size)}, At: time.Unix(1_700_000_000+size, 0).UTC()}
		signed, err := c.Sign(keys.Signer())
		if err != nil {
			f.Fatal(err)
		}
		genuine[c.Text()] = true
		f.Add(signed)
		f.Add(strings.Replace(signed, "\n"+"1\n", "\n2\n", 1))
		f.Add(signed[:len(signed)-4])
		f.Add(signed + signed)
		f.Add(strings.Replace(signed, "time ", "more \ntime ", 1))
	}
	for _, s := range []string{"", "\n\n\n\n", "auditadmin/x\n1\nAAAA\n\n— x y\n", "auditadmin/\n0\n\n", "auditadmin/x\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, signed, err := OpenCheckpoint(text, keys.Public())
		if err != nil {
			if !errors.Is(err, ErrNote) {
				t.Errorf("%q: got %v, want ErrNote", text, err)
			}
			return
		}
		if len(signed) > 0 && !genuine[c.Text()] {
			t.Errorf("%q is taken for signed by %q", text, signed)
		}
		if again, err := ParseCheckpoint(c.Text()); err != nil || again.Text() != c.Text() {
			t.Errorf("%q: written and read again: %v", text, err)
		}
		for _, part := range SplitNotes(text) {
			if !strings.Contains(text, part) {
				t.Errorf("%q was cut out of %q, where it is not", part, text)
			}
		}
	})
}

// FuzzProof checks any text as a proof: it is no fault, and none that the key has
// not signed holds.
func FuzzProof(f *testing.F) {
	keys, err := NewKeys(rand.Reader, "audit.example")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "{}", "[]", `{"kind":"audit_log","id":"1","seq":1,"fields":[{"name":"a","value":"b","salt":"AAAA"}],"record":"","path":[],"checkpoint":""}`, `{"fields":[{"name":"a"},{"name":"a"}],"id":"1"}`, `{"id":"9223372036854775808","seq":-1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseProof([]byte(text))
		if err != nil {
			return
		}
		if _, signed, err := p.Check(keys.Public()); err == nil && len(signed) > 0 {
			t.Errorf("%q holds, signed by %q", text, signed)
		}
		p.Withhold("a")
	})
}
