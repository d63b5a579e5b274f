package evidence

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// proven makes a log of n records with one event at a place, and its proof.
func proven(t testing.TB, n, at int64, kept func(Kept) Kept) (*Proof, *Keys) {
	t.Helper()
	keys, err := NewKeys(rand.Reader, "auditadmin/test")
	if err != nil {
		t.Fatal(err)
	}
	seed := Seed{1, 2, 3}
	values := append([]string(nil), auditValues...)
	committed := Commit(auditForm, seed, "token 3", "a1", values)
	var k Kept
	if kept != nil {
		k = kept(Keep(auditForm, seed, values))
		for i := range values {
			if k.Redacted(i) {
				values[i] = ""
			}
		}
		if again := CommitKept(auditForm, k, "token 3", "a1", values); again.Leaf(5, at+1, "x") != committed.Leaf(5, at+1, "x") || again.Altered(k.Hints()) != nil {
			t.Errorf("got another leaf after a redaction, want the same")
		}
	}
	p := &Proof{Kind: "audit_log", ID: "5", Seq: at + 1, RecordedAt: "2026-03-01T12:00:00.123456Z", Source: "token 3", EventID: "a1",
		Fields: ProofFields(auditForm, seed, k, values), Record: committed.AppendRecord(nil, 5, at+1, "2026-03-01T12:00:00.123456Z"), PublicKeys: keys.Public()}
	var log naive
	for i := range n {
		hash := tlog.RecordHash(fmt.Appendf(nil, "record %d", i))
		if i == at {
			hash = committed.Leaf(5, at+1, "2026-03-01T12:00:00.123456Z")
		}
		stored, err := tlog.StoredHashesForRecordHash(i, hash, &log)
		if err != nil {
			t.Fatal(err)
		}
		log.hashes = append(log.hashes, stored...)
	}
	c := &Checkpoint{Incarnation: "test", Size: n, At: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)}
	if c.Root, err = tlog.TreeHash(n, &log); err != nil {
		t.Fatal(err)
	}
	if p.Path, err = tlog.ProveRecord(n, at, &log); err != nil {
		t.Fatal(err)
	}
	if p.Checkpoint, err = c.Sign(keys.Signer()); err != nil {
		t.Fatal(err)
	}
	return p, keys
}

// TestFieldsAreHashedAsWritten holds the form of what a leaf commits to, which
// docs/security.md describes, by computing it in another way.
func TestFieldsAreHashedAsWritten(t *testing.T) {
	p, _ := proven(t, 9, 4, nil)
	form, present := []byte{6}, make([]byte, 3)
	var commitments []byte
	for i, f := range p.Fields {
		form = append(append(form, byte(len(f.Name))), f.Name...)
		if f.Value != "" {
			seed := Seed{1, 2, 3}
			salts := sha256.Sum256(append(append([]byte{2}, seed[:]...), byte(i/2)))
			if got, want := f.Salt[:], salts[i%2*16:i%2*16+16]; !bytes.Equal(got, want) {
				t.Errorf("field %s: got salt %x, want %x", f.Name, got, want)
			}
			c := sha256.Sum256(append(append([]byte{3}, f.Salt[:]...), f.Value...))
			commitments = append(commitments, c[:]...)
			present[i/8] |= 1 << (i % 8)
		}
	}
	formHash := sha256.Sum256(form)
	fields := sha256.Sum256(append(append(append([]byte{4}, formHash[:]...), present...), commitments...))
	if want := append([]byte{32}, fields[:]...); !bytes.HasSuffix(p.Record, want) {
		t.Errorf("got a record that ends in %x, want %x", p.Record[len(p.Record)-33:], want)
	}
}

// The independent check: what a proof file holds, checked by the library that
// the Go checksum database uses, and by nothing of this package.
func TestProofIsCheckedByStockTools(t *testing.T) {
	made, keys := proven(t, 1000, 123, nil)
	var file struct {
		Seq        int64       `json:"seq"`
		Record     []byte      `json:"record"`
		Path       []tlog.Hash `json:"path"`
		Checkpoint string      `json:"checkpoint"`
	}
	if err := json.Unmarshal(made.Text(), &file); err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(keys.Public()[0])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Open([]byte(file.Checkpoint), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(signed.Text, "\n")
	var size int64
	if _, err := fmt.Sscan(lines[1], &size); err != nil {
		t.Fatal(err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckRecord(file.Path, size, root, file.Seq-1, tlog.RecordHash(file.Record)); err != nil {
		t.Errorf("got %v, want a proof that holds", err)
	}
	if n := len(file.Path) * tlog.HashSize; n > 1024 {
		t.Errorf("got %d bytes of hashes, want 1024 at most", n)
	}
}

func TestProofsOfWhatIsLeft(t *testing.T) {
	field := func(name string) int {
		for i, n := range auditForm.Fields() {
			if n == name {
				return i
			}
		}
		t.Fatalf("no field %s", name)
		return 0
	}
	p, keys := proven(t, 77, 5, func(k Kept) Kept {
		k = Take(k, field("username"), "alice")
		return Take(k, field("reason"), "") // which was empty
	})
	p.Withhold("object_repr")
	text := p.Text()
	for _, gone := range []string{"alice", "Order 42"} {
		if bytes.Contains(text, []byte(gone)) {
			t.Errorf("the proof holds %q, which was taken away", gone)
		}
	}
	read, err := ParseProof(text)
	if err != nil {
		t.Fatal(err)
	}
	c, signed, err := read.Check(keys.Public())
	if err != nil || c.Size != 77 || len(signed) != 1 {
		t.Errorf("got %+v, %v, %v, want a signed checkpoint of 77 entries", c, signed, err)
	}
}

func TestProofOfAnythingElseFails(t *testing.T) {
	for name, change := range map[string]func(p *Proof){
		"a value":         func(p *Proof) { p.Fields[2].Value = "mallory" },
		"a salt":          func(p *Proof) { h := *p.Fields[2].Salt; h[0] ^= 1; p.Fields[2].Salt = &h },
		"a dropped field": func(p *Proof) { p.Fields = p.Fields[1:] },
		"an emptied one":  func(p *Proof) { p.Fields[2] = ProofField{Name: p.Fields[2].Name} },
		"a renamed one":   func(p *Proof) { p.Fields[1].Name, p.Fields[2].Name = p.Fields[2].Name, p.Fields[1].Name },
		"no salt":         func(p *Proof) { p.Fields[2].Salt = nil },
		"value and hash":  func(p *Proof) { p.Fields[2].Commitment = &Hash{1} },
		"the kind":        func(p *Proof) { p.Kind = "login_attempt" },
		"the id":          func(p *Proof) { p.ID = "6" },
		"no id":           func(p *Proof) { p.ID = "" },
		"the place":       func(p *Proof) { p.Seq++ },
		"no place":        func(p *Proof) { p.Seq = 0 },
		"a place beyond":  func(p *Proof) { p.Seq = 1 << 40 },
		"the source":      func(p *Proof) { p.Source = "import" },
		"the event_id":    func(p *Proof) { p.EventID = "" },
		"the record":      func(p *Proof) { p.Record[30] ^= 1 },
		"the path":        func(p *Proof) { p.Path[0][0] ^= 1 },
		"a shorter path":  func(p *Proof) { p.Path = p.Path[1:] },
		"the checkpoint":  func(p *Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n77\n", "\n78\n", 1) },
		"no checkpoint":   func(p *Proof) { p.Checkpoint = "" },
		"many fields":     func(p *Proof) { p.Fields = make([]ProofField, 1000) },
	} {
		p, keys := proven(t, 77, 5, nil)
		change(p)
		if _, _, err := p.Check(keys.Public()); !errors.Is(err, ErrProof) {
			t.Errorf("%s: got %v, want an error that wraps ErrProof", name, err)
		}
	}
	p, _ := proven(t, 77, 5, nil)
	_, other := proven(t, 77, 5, nil)
	if _, signed, err := p.Check(other.Public()); err != nil || len(signed) != 0 {
		t.Errorf("got %v, %v with the key of somebody else, want no signature", signed, err)
	}
}

func TestRedactedValuesCannotBeGuessed(t *testing.T) {
	seed := Seed{9}
	kept := Take(Keep(auditForm, seed, auditValues), 2, auditValues[2])
	for i, value := range auditValues {
		salt := saltOf(&seed, i)
		if want := i != 2 && value != ""; bytes.Contains(kept, salt[:]) != want {
			t.Errorf("the salt of field %d is there: got %t, want %t", i, !want, want)
		}
	}
	if bytes.Contains(kept, seed[:]) {
		t.Error("the seed is still there")
	}
}

func TestSplitNotes(t *testing.T) {
	p, _ := proven(t, 3, 1, nil)
	q, _ := proven(t, 4, 1, nil)
	text := p.Checkpoint + "\n" + "auditadmin/test\n5\ncut o" + "\n\n" + q.Checkpoint + "\n"
	got := SplitNotes(text)
	if len(got) != 2 || got[0] != p.Checkpoint || got[1] != q.Checkpoint {
		t.Errorf("got %q, want the two whole notes", got)
	}
}

func TestKeysText(t *testing.T) {
	keys, err := NewKeys(rand.Reader, "auditadmin/test")
	if err != nil {
		t.Fatal(err)
	}
	next, err := keys.Rotate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKeys(next.Text())
	if err != nil || again.Text() != next.Text() || !bytes.Equal(again.Secret(), keys.Secret()) || len(again.Public()) != 2 {
		t.Errorf("got %v, %v, want what was written", again, err)
	}
	for _, text := range []string{"", "private x\n", strings.Replace(next.Text(), "secret ", "secret x", 1),
		strings.Replace(next.Text(), "public ", "publik ", 1), strings.Replace(next.Text(), "public "+next.Public()[0]+"\n", "", 1)} {
		if _, err := ParseKeys(text); err == nil {
			t.Errorf("got no error for %.40q", text)
		} else if strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("the error holds the private key: %v", err)
		}
	}
}

// TestProofIsReadInOneWay writes what a person, or a parser that takes the first of
// two, reads as another value than the one that is proven.
func TestProofIsReadInOneWay(t *testing.T) {
	p, _ := proven(t, 9, 4, nil)
	text := string(p.Text())
	if _, err := ParseProof([]byte(text + " \n")); err != nil {
		t.Fatal(err)
	}
	var short bytes.Buffer
	if err := json.Compact(&short, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseProof(short.Bytes()); err != nil {
		t.Errorf("on one line: %v", err)
	}
	for name, forged := range map[string]string{
		"a value twice":         strings.Replace(text, `"value": `, `"value": "mallory", "value": `, 1),
		"a value in two cases":  strings.Replace(text, `"value": `, `"Value": "mallory", "value": `, 1),
		"another letter":        strings.Replace(text, `"salt": `, `"\u017falt": `, 1),
		"all fields twice":      strings.Replace(text, `"fields": `, `"fields": [{"name": "username", "value": "mallory"}], "fields": `, 1),
		"a key nobody knows":    strings.Replace(text, `"kind": `, `"says": "mallory did it", "kind": `, 1),
		"something behind it":   text + `{"kind": "audit_log"}`,
		"something else behind": text + "and mallory did it",
	} {
		if forged == text {
			t.Fatalf("%s: nothing was forged", name)
		}
		if _, err := ParseProof([]byte(forged)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}
