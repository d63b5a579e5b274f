package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// proofFormat names the form of a proof file.
const proofFormat = "auditadmin-proof/1"

// Proof shows that one event stands in the ledger with exactly these fields,
// beside nothing but itself: its record is a leaf of the tree whose root a
// checkpoint states. In JSON it is the file that is handed out.
type Proof struct {
	Format     string       `json:"format"`
	Kind       string       `json:"kind"`
	ID         string       `json:"id"`
	Seq        int64        `json:"seq"` // its leaf is number seq-1
	RecordedAt string       `json:"recorded_at"`
	Source     string       `json:"source"`
	EventID    string       `json:"event_id"`
	Fields     []ProofField `json:"fields"` // of the kind, in its order
	Record     []byte       `json:"record"` // tlog.RecordHash of it is the leaf
	Path       []Hash       `json:"path"`   // tlog.RecordProof
	Checkpoint string       `json:"checkpoint"`
	PublicKeys []string     `json:"public_keys"` // that the checkpoint can be checked with
}

// ProofField is one field: its value with its salt, or where its content was
// taken away or withheld its commitment, or neither where it is empty.
type ProofField struct {
	Name       string `json:"name"`
	Value      string `json:"value,omitempty"`
	Salt       *Salt  `json:"salt,omitempty"`
	Commitment *Hash  `json:"commitment,omitempty"`
}

// ErrProof is wrapped by what Check says of a proof that does not hold.
var ErrProof = errors.New("the proof does not hold")

// ProofFields returns the fields of an event for its proof, from the seed or,
// where kept is not nil, from what was kept of it.
func ProofFields(f *Form, seed Seed, kept Kept, values []string) []ProofField {
	if kept == nil {
		kept = Keep(f, seed, values)
	}
	fields := make([]ProofField, len(f.names))
	for i, name := range f.names {
		fields[i].Name = name
		switch letter, _, hash := kept.field(i); letter {
		case 's':
			fields[i].Value, fields[i].Salt = values[i], (*Salt)(hash[:SaltSize])
		case 'c':
			fields[i].Commitment = hash
		}
	}
	return fields
}

// Text returns the proof as a file.
func (p *Proof) Text() []byte {
	p.Format = proofFormat
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		panic("evidence: a proof is JSON: " + err.Error())
	}
	return append(text, '\n')
}

// ParseProof reads a proof file. It is strict, so that nobody and no other parser
// reads something else in the same file: no key is unknown, and none is there twice.
// Whether it proves anything says Check.
func ParseProof(text []byte) (*Proof, error) {
	p := &Proof{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(p)
	if err == nil {
		err = checkKeys(text)
	}
	if err != nil {
		return nil, fmt.Errorf("read the proof: %w", err)
	}
	if p.Format != proofFormat {
		return nil, fmt.Errorf("read the proof: its format is %q and should be %q", shorten(p.Format), proofFormat)
	}
	return p, nil
}

// checkKeys reports a key of an object in JSON that is there twice, or is not written
// as keys are: the decoder takes the last one, whatever its case, and a reader the
// first. It also reports what follows the object.
func checkKeys(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	var open []map[string]bool // the keys of the objects around, nil for a list
	key := false               // whether a key comes next
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if name, is := token.(string); is && key {
			keys := open[len(open)-1]
			if keys[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
				return fmt.Errorf("the key %q is there twice, or in another case", shorten(name))
			}
			keys[name], key = true, false
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, map[string]bool{})
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			if open = open[:len(open)-1]; len(open) == 0 && d.InputOffset() < int64(len(bytes.TrimRight(text, " \t\r\n"))) {
				return errors.New("something follows it")
			}
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}

// Withhold replaces the content of a field by its commitment: the proof goes on
// to hold, and does not show that field any more.
func (p *Proof) Withhold(name string) {
	for i := range p.Fields {
		if f := &p.Fields[i]; f.Name == name && f.Salt != nil {
			c := Commitment(f.Salt, f.Value)
			*f = ProofField{Name: name, Commitment: &c}
		}
	}
}

// Check checks the proof from its fields up to the checkpoint, and nothing but
// it: no database, no clock, no network. signed names the keys, of those given,
// whose signature on the checkpoint holds; it is empty where none of them signed
// it. Its error wraps ErrProof.
func (p *Proof) Check(publicKeys []string) (c *Checkpoint, signed []string, err error) {
	fail := func(format string, args ...any) (*Checkpoint, []string, error) {
		return nil, nil, fmt.Errorf("%w: %w", ErrProof, fmt.Errorf(format, args...))
	}
	names := make([]string, len(p.Fields))
	var commitments [MaxFields]Hash
	if len(p.Fields) > MaxFields {
		return fail("it has %d fields, and no event has more than %d", len(p.Fields), MaxFields)
	}
	for i, f := range p.Fields {
		if names[i] = f.Name; len(f.Name) > 255 {
			return fail("the name of field number %d has %d bytes", i+1, len(f.Name))
		}
		switch {
		case f.Salt != nil && f.Commitment == nil:
			commitments[i] = Commitment(f.Salt, f.Value)
		case f.Commitment != nil && f.Value == "" && f.Salt == nil:
			commitments[i] = *f.Commitment
		case f.Value != "" || f.Commitment != nil:
			return fail("the field %s has a value without its salt, or both a value and a commitment", shorten(f.Name))
		}
	}
	var id int64
	if _, err := fmt.Sscan(p.ID, &id); err != nil || fmt.Sprint(id) != p.ID {
		return fail("its id %q is no number", shorten(p.ID))
	}
	s := Committed{form: NewForm(p.Kind, names...), source: p.Source, eventID: p.EventID}
	s.commit(&commitments)
	if string(s.AppendRecord(nil, id, p.Seq, p.RecordedAt)) != string(p.Record) {
		return fail("the event's fields are not those of its record")
	}
	c, signed, err = OpenCheckpoint(p.Checkpoint, publicKeys)
	if err != nil {
		return fail("%w", err)
	}
	if p.Seq < 1 || p.Seq > c.Size {
		return fail("entry %d is not among the %d entries of the checkpoint", p.Seq, c.Size)
	}
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, p.Seq-1, tlog.RecordHash(p.Record)); err != nil {
		return fail("the record is no leaf of the checkpoint's tree: %w", err)
	}
	return c, signed, nil
}

// KeyName returns the name and hash of a public key as signatures show them.
func KeyName(publicKey string) (string, error) {
	v, err := note.NewVerifier(strings.TrimSpace(publicKey))
	if err != nil {
		return "", fmt.Errorf("read the public key %q: %w", shorten(publicKey), err)
	}
	return fmt.Sprintf("%s+%08x", v.Name(), v.KeyHash()), nil
}
