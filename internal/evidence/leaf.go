package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

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

// What is hashed for one purpose never reads like what is hashed for another:
// each begins with its own byte. tlog uses 0 and 1 for leaves and nodes.
const (
	saltPrefix       = 2
	commitmentPrefix = 3
	fieldsPrefix     = 4
	subjectPrefix    = 5
)

// version begins every record. It changes when a record is made in another way.
const version = "auditadmin ledger 1\n"

// Form is what the events of one kind state: the kind and the names of the
// fields that its leaves commit to, in their order. It is read only and safe
// for concurrent use.
type Form struct {
	kind   string
	names  []string
	widest int // the longest name
}

// NewForm returns the form of a kind. It panics if there are more than
// MaxFields fields or a name is longer than 255 bytes.
func NewForm(kind string, fields ...string) *Form {
	f := &Form{kind: kind, names: fields}
	for _, name := range fields {
		f.widest = max(f.widest, len(name))
	}
	if len(fields) > MaxFields || f.widest > 255 {
		panic(fmt.Sprintf("evidence: the form of %s has %d fields of up to %d bytes", kind, len(fields), f.widest))
	}
	return f
}

// Kind returns the kind of the form.
func (f *Form) Kind() string { return f.kind }

// Fields returns the names of the fields. The caller must not change them.
func (f *Form) Fields() []string { return f.names }

// text is a value as the one or the other side of the database has it.
type text interface{ ~string | ~[]byte }

// Salt returns the salt of one field: SHA-256 of the seed and the field's name.
func Salt(seed Seed, name string) Hash {
	var scratch [64]byte
	b := append(scratch[:0], saltPrefix)
	b = append(b, seed[:]...)
	b = append(b, name...)
	return sha256.Sum256(b)
}

// Commitment returns what a leaf commits to for one field: SHA-256 of its salt
// and value, and for an empty value the zero hash, whatever the salt.
func Commitment[T text](salt *Hash, value T) Hash {
	if len(value) == 0 {
		return Hash{}
	}
	var scratch [512]byte
	b := append(scratch[:0], commitmentPrefix)
	b = append(b, salt[:]...)
	b = append(b, value...)
	return sha256.Sum256(b)
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
	for i, name := range f.names {
		if len(values[i]) > 0 {
			salt := Salt(seed, name)
			commitments[i] = Commitment(&salt, values[i])
		}
	}
	s.commit(&commitments)
	return s
}

// commit hashes the commitments of all fields into one, each with its name.
func (s *Committed) commit(commitments *[MaxFields]Hash) {
	var scratch [MaxFields * 64]byte
	b := append(scratch[:0], fieldsPrefix)
	for i, name := range s.form.names {
		s.hints[i] = commitments[i][0]
		b = append(b, byte(len(name)))
		b = append(b, name...)
		b = append(b, commitments[i][:]...)
	}
	s.fields = sha256.Sum256(b)
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
	var scratch [512]byte
	return recordHash(s.AppendRecord(append(scratch[:0], 0), id, seq, recordedAt))
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
