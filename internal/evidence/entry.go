// Package evidence is the arithmetic of the ledger, without any storage: what
// an entry commits to, the Merkle tree over the entries, the signed statements
// about it that leave the machine, and the proofs that somebody else can check.
//
// The tree is that of RFC 6962 as golang.org/x/mod/sumdb/tlog computes it, and a
// checkpoint is a signed note as C2SP describes it, so that everything here can
// be checked with tools that know nothing of this program.
package evidence

// Entry says what an entry of the ledger is about.
type Entry string

// The entries of the ledger.
const (
	Created    Entry = "created"    // an event was recorded
	Resolved   Entry = "resolved"   // a system event was marked resolved
	Reopened   Entry = "reopened"   // a system event was marked open again
	Downloaded Entry = "downloaded" // what an export left was downloaded
	Deleted    Entry = "deleted"    // one event was taken away, over its tombstone
	Redacted   Entry = "redacted"   // the content of one field was taken away
	Purged     Entry = "purged"     // a range of events was taken away
	Held       Entry = "held"       // a legal hold was put on something
	Released   Entry = "released"   // a legal hold was ended
	Exported   Entry = "exported"   // evidence was handed out
	Verified   Entry = "verified"   // the evidence was checked
	Restored   Entry = "restored"   // the database goes on from an earlier state
)

// Subject says which other row of the database an entry vouches for. The
// ledger keeps the hash of that row's content beside the entry, and the entry's
// leaf commits to it.
type Subject int

// The subjects of entries.
const (
	NoSubject     Subject = iota // the entry says everything itself
	FieldsSubject                // the fields of the event, through their commitments
	StateSubject                 // the fields of the event that may change, as the entry left them
	TombstoneSubject
	RedactionSubject
	PurgeSubject
	HoldSubject
	IncarnationSubject
)

// entries is the one table of entries.
var entries = []struct {
	entry   Entry
	subject Subject
	// gone says that the entry's event is not there any more.
	gone bool
}{
	{Created, FieldsSubject, false},
	{Resolved, StateSubject, false},
	{Reopened, StateSubject, false},
	{Downloaded, StateSubject, false},
	{Deleted, TombstoneSubject, true},
	{Redacted, RedactionSubject, false},
	{Purged, PurgeSubject, true},
	{Held, HoldSubject, false},
	{Released, HoldSubject, false},
	{Exported, NoSubject, false},
	{Verified, NoSubject, false},
	{Restored, IncarnationSubject, false},
}

// Valid reports whether there is such an entry.
func (e Entry) Valid() bool { return e.number() >= 0 }

// Subject returns what the entry vouches for, and NoSubject for an entry that
// is not in the table.
func (e Entry) Subject() Subject {
	if i := e.number(); i >= 0 {
		return entries[i].subject
	}
	return NoSubject
}

// TakesAway reports whether the entry's events are gone since.
func (e Entry) TakesAway() bool {
	i := e.number()
	return i >= 0 && entries[i].gone
}

func (e Entry) number() int {
	for i := range entries {
		if entries[i].entry == e {
			return i
		}
	}
	return -1
}
