package evidence

import "fmt"

// Kept is what a redacted event's leaf is checked with in place of its seed. It
// has for each field a letter, the first byte of the commitment, and 32 bytes:
//
//	's' the field's salt, then zeros: its content is there and can be proven
//	'c' the field's commitment: its content was taken away
//	'-' nothing: the field was empty from the beginning
type Kept []byte

const keptSize = 2 + 32

// Keep returns the salts of an event from its seed and values, where nothing is
// taken away yet.
func Keep[T text](f *Form, seed Seed, values []T) Kept {
	kept := make(Kept, 0, keptSize*len(f.names))
	for i := range f.names {
		var hash, c Hash
		letter := byte('-')
		if len(values[i]) > 0 {
			salt := saltOf(&seed, i)
			letter, c = 's', Commitment(&salt, values[i])
			copy(hash[:], salt[:])
		}
		kept = append(append(kept, letter, c[0]), hash[:]...)
	}
	return kept
}

// Valid reports whether kept has the length and letters that belong to a form.
func (k Kept) Valid(f *Form) bool {
	if len(k) != keptSize*len(f.names) {
		return false
	}
	for i := range f.names {
		if letter, _, _ := k.field(i); letter != 's' && letter != 'c' && letter != '-' {
			return false
		}
	}
	return true
}

func (k Kept) field(i int) (letter, hint byte, hash *Hash) {
	part := k[keptSize*i : keptSize*(i+1)]
	return part[0], part[1], (*Hash)(part[2:])
}

// Redacted reports whether the content of field number i was taken away.
func (k Kept) Redacted(i int) bool { return k[keptSize*i] == 'c' }

// Take returns kept as it is after the content of field number i, which is
// value, was taken away: its salt is gone, so that nobody can try guesses, and
// its commitment stays.
func Take[T text](k Kept, i int, value T) Kept {
	after := append(Kept(nil), k...)
	if letter, _, hash := after.field(i); letter == 's' {
		c := Commitment((*Salt)(hash[:SaltSize]), value)
		after[keptSize*i] = 'c'
		copy(after[keptSize*i+2:], c[:])
	}
	return after
}

// CommitKept is Commit for an event of which something was taken away. A value that
// should not be there any more, and one that should be there, count as altered:
// see Committed.Altered. kept must be valid for the form.
func CommitKept[T text](f *Form, kept Kept, source, eventID string, values []T) Committed {
	if len(values) != len(f.names) {
		panic(fmt.Sprintf("evidence: %d values for the %d fields of %s", len(values), len(f.names), f.kind))
	}
	s := Committed{form: f, source: source, eventID: eventID}
	var commitments [MaxFields]Hash
	for i := range f.names {
		letter, _, hash := kept.field(i)
		switch {
		case letter == 'c' && len(values[i]) == 0:
			commitments[i] = *hash
		case len(values[i]) > 0:
			commitments[i] = Commitment((*Salt)(hash[:SaltSize]), values[i])
		}
	}
	s.commit(&commitments)
	return s
}

// Hints returns of each field the first byte of its commitment.
func (k Kept) Hints() []byte {
	hints := make([]byte, len(k)/keptSize)
	for i := range hints {
		_, hints[i], _ = k.field(i)
	}
	return hints
}
