package evidence

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 hash: of a leaf, a node of the tree or a subject.
type Hash = tlog.Hash

// MaxFields is how many fields an event may have.
const MaxFields = 24

// SeedSize is the length of a seed in bytes.
const SeedSize = 16

// Seed is the random value of one event from which the salts of its fields
// come. Whoever has it can check a guess at a field's content, so it is kept
// where the event is and goes with it.
type Seed [SeedSize]byte

// SaltSize is the length of a salt in bytes.
const SaltSize = 16

// Salt is what one field of one event is hashed with, so that nobody finds its
// content by trying guesses. It is base64 in text.
type Salt [SaltSize]byte

// MarshalText implements encoding.TextMarshaler.
func (s Salt) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, s[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Salt) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || len(b) != SaltSize {
		return fmt.Errorf("a salt is %d bytes in base64", SaltSize)
	}
	copy(s[:], b)
	return nil
}

// What is hashed for one purpose never reads like what is hashed for another:
// each begins with its own byte. tlog uses 0 and 1 for leaves and nodes.
const (
	saltPrefix       = 2
	commitmentPrefix = 3
	fieldsPrefix     = 4
	subjectPrefix    = 5
	formPrefix       = 6
)

// version begins every record. It changes when a record is made in another way.
const version = "auditadmin ledger 1\n"

// Form is what the events of one kind state: the kind and the names of the
// fields that its leaves commit to, in their order. It is read only and safe
// for concurrent use.
type Form struct {
	kind  string
	names []string
	hash  Hash // of the names, each with its length before it

	hashers sync.Pool // of *hasher
}

// NewForm returns the form of a kind. It panics if there are more than
// MaxFields fields or a name is longer than 255 bytes.
func NewForm(kind string, fields ...string) *Form {
	if len(fields) > MaxFields {
		panic(fmt.Sprintf("evidence: the form of %s has %d fields", kind, len(fields)))
	}
	b := []byte{formPrefix}
	for _, name := range fields {
		if len(name) > 255 {
			panic(fmt.Sprintf("evidence: the form of %s has a field whose name has %d bytes", kind, len(name)))
		}
		b = append(append(b, byte(len(name))), name...)
	}
	return &Form{kind: kind, names: fields, hash: sha256.Sum256(b), hashers: sync.Pool{New: func() any { return newHasher() }}}
}

// Kind returns the kind of the form.
func (f *Form) Kind() string { return f.kind }

// Fields returns the names of the fields. The caller must not change them.
func (f *Form) Fields() []string { return f.names }

// text is a value as the one or the other side of the database has it.
type text interface{ ~string | ~[]byte }

// twoSalts returns the salts of the fields number 2n and 2n+1 of an event: the
// halves of SHA-256 of its seed and n. One of them tells nothing about the other.
func twoSalts(h *hasher, seed *Seed, n int) Hash {
	return h.sum(append(append(append(h.message[:0], saltPrefix), seed[:]...), byte(n)))
}

// saltOf returns the salt of field number i.
func saltOf(seed *Seed, i int) Salt {
	two := twoSalts(&hasher{}, seed, i/2)
	return Salt(two[i%2*SaltSize:])
}

// Commitment returns what a leaf commits to for one field: SHA-256 of its salt
// and value, and for an empty value the zero hash, whatever the salt.
func Commitment[T text](salt *Salt, value T) Hash {
	if len(value) == 0 {
		return Hash{}
	}
	return commitment(&hasher{}, salt[:], value)
}

// commitment is Commitment for a value that is not empty.
func commitment[T text](h *hasher, salt []byte, value T) Hash {
	return h.sum(append(append(append(h.message[:0], commitmentPrefix), salt...), value...))
}

// Committed is what an event commits to, before it has a place in the ledger.
type Committed struct {
	form    *Form
	source  string
	eventID string
	seed    Seed
	fields  Hash            // over all commitments
	hints   [MaxFields]byte // the first byte of each commitment
}

// Commit computes the commitments of an event, which is nearly all of the work
// for its leaf and can be done before its place is known. values are the values
// of the form's fields in their order, as Event.Values has them; it panics if
// there is another number of them.
func Commit[T text](f *Form, seed Seed, source, eventID string, values []T) Committed {
	if len(values) != len(f.names) {
		panic(fmt.Sprintf("evidence: %d values for the %d fields of %s", len(values), len(f.names), f.kind))
	}
	s := Committed{form: f, source: source, eventID: eventID, seed: seed}
	var commitments [MaxFields]Hash
	h := f.hashers.Get().(*hasher)
	for i := 0; i < len(values); i += 2 {
		pair := values[i:min(i+2, len(values))]
		if len(pair[0]) == 0 && len(pair[len(pair)-1]) == 0 {
			continue
		}
		salts := twoSalts(h, &seed, i/2)
		for j, value := range pair {
			if len(value) > 0 {
				commitments[i+j] = commitment(h, salts[j*SaltSize:(j+1)*SaltSize], value)
			}
		}
	}
	f.hashers.Put(h)
	s.commit(&commitments)
	return s
}

// commit hashes the commitments of all fields into one: after the form, which
// fields have content, by bit, and the commitments of those.
func (s *Committed) commit(commitments *[MaxFields]Hash) {
	var present [MaxFields / 8]byte
	for i := range s.form.names {
		if c := &commitments[i]; *c != (Hash{}) {
			s.hints[i] = c[0]
			present[i/8] |= 1 << (i % 8)
		}
	}
	h := s.form.hashers.Get().(*hasher)
	b := append(append(append(h.message[:0], fieldsPrefix), s.form.hash[:]...), present[:]...)
	for i := range s.form.names {
		if present[i/8]&(1<<(i%8)) != 0 {
			b = append(b, commitments[i][:]...)
		}
	}
	s.fields = h.sum(b)
	s.form.hashers.Put(h)
}

// Altered returns the names of the fields whose content is not what it was when
// the hints were kept: those of the column "seed", or Kept.Hints. One in 256
// alterations escapes it; none escapes the leaf.
func (s *Committed) Altered(hints []byte) []string {
	var names []string
	for i, name := range s.form.names {
		if i < len(hints) && hints[i] != s.hints[i] {
			names = append(names, name)
		}
	}
	return names
}

// ParseSeed takes the column "seed" apart, and reports whether it has the length
// that belongs to the form.
func (f *Form) ParseSeed(column []byte) (seed Seed, hints []byte, ok bool) {
	if len(column) != SeedSize+len(f.names) {
		return seed, nil, false
	}
	copy(seed[:], column)
	return seed, column[SeedSize:], true
}

// AppendSeed appends what is kept in the event's column "seed": the seed, and of
// each commitment the first byte, which tells nothing about the field but which
// one it was, if its content should ever be another.
func (s *Committed) AppendSeed(b []byte) []byte {
	b = append(b, s.seed[:]...)
	return append(b, s.hints[:len(s.form.names)]...)
}

// Leaf returns the hash of the event's leaf at its place. recordedAt is the
// time of recording as audit.FormatTime writes it.
func (s *Committed) Leaf(id, seq int64, recordedAt string) Hash {
	h := s.form.hashers.Get().(*hasher)
	leaf := h.sum(s.AppendRecord(append(h.message[:0], 0), id, seq, recordedAt))
	s.form.hashers.Put(h)
	return leaf
}

// AppendRecord appends the record whose tlog.RecordHash is the event's leaf: the
// version and then, each with its length before it, entry, kind, id, seq,
// recorded_at, source, event_id and the hash over the commitments of the fields.
func (s *Committed) AppendRecord(b []byte, id, seq int64, recordedAt string) []byte {
	b = appendHead(b, Created, s.form.kind, id, seq, recordedAt)
	b = appendText(b, s.source)
	b = appendText(b, s.eventID)
	return appendText(b, s.fields[:])
}

// Decision is an entry of the ledger other than the recording of an event.
type Decision struct {
	Entry      Entry
	Kind       string // of the event concerned, or "" where there is none
	ID         int64  // its id, or 0
	Seq        int64
	RecordedAt string // as audit.FormatTime writes it
	Actor      string
	Note       string
	Subject    Hash // see Entry.Subject; zero where there is none
}

// Leaf returns the hash of the decision's leaf.
func (d *Decision) Leaf() Hash {
	var scratch [512]byte
	return recordHash(d.AppendRecord(append(scratch[:0], 0)))
}

// AppendRecord appends the record whose tlog.RecordHash is the decision's leaf.
// It begins like that of an event and goes on with actor, note and subject.
func (d *Decision) AppendRecord(b []byte) []byte {
	b = appendHead(b, d.Entry, d.Kind, d.ID, d.Seq, d.RecordedAt)
	b = appendText(b, d.Actor)
	b = appendText(b, d.Note)
	return appendText(b, d.Subject[:])
}

func appendHead(b []byte, entry Entry, kind string, id, seq int64, recordedAt string) []byte {
	b = append(b, version...)
	b = appendText(b, string(entry))
	b = appendText(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(id))
	b = binary.BigEndian.AppendUint64(b, uint64(seq))
	return appendText(b, recordedAt)
}

func appendText[T text](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// recordHash is tlog.RecordHash of a record with a zero byte before it.
func recordHash(prefixed []byte) Hash { return sha256.Sum256(prefixed) }

// SubjectHash returns the hash of the content of the row that an entry vouches
// for: of its columns as text, each with its length before it.
func SubjectHash(s Subject, columns ...string) Hash {
	var scratch [512]byte
	b := append(scratch[:0], subjectPrefix, byte(s))
	for _, c := range columns {
		b = appendText(b, c)
	}
	return sha256.Sum256(b)
}

// Unknown returns the leaf of an event that was gone before this database had
// leaves at all: it commits to the event's place and to nothing it stated.
func Unknown(kind string, id, seq int64, recordedAt string) Hash {
	var scratch [256]byte
	return recordHash(appendHead(append(scratch[:0], 0), Created, kind, id, seq, recordedAt))
}

// Gone returns what a tombstone and the root of a purge vouch for in place of an
// event: all that its entry in the ledger said, with its leaf.
func Gone(kind string, id, seq int64, recordedAt string, leaf *Hash) Hash {
	var scratch [256]byte
	return recordHash(append(appendHead(append(scratch[:0], 0), Created, kind, id, seq, recordedAt), leaf[:]...))
}
