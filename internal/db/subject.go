package db

import (
	"encoding/hex"
	"strconv"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// What a decision in the ledger vouches for is the content of a row elsewhere.
// Each function below names its columns in their order, once for who writes the
// entry and for who verifies it. An absent value is "" like an empty one, a
// number is decimal, bytes are hexadecimal.

// stateSubject is for the fields of an event that may change; values are those
// of Kind.Fields that are Mutable, in their order, as Event.Values has them.
func stateSubject(kind audit.Kind, values ...string) evidence.Hash {
	return evidence.SubjectHash(evidence.StateSubject, append([]string{string(kind)}, values...)...)
}

// stateOf returns the values of the fields that may change, and whether any of
// them is not empty.
func stateOf(kind audit.Kind, values []string) (state []string, some bool) {
	for i, f := range kind.Fields() {
		if f.Mutable {
			v := values[i]
			if f.Type == audit.Boolean && v == "false" {
				v = ""
			}
			state = append(state, v)
			some = some || v != ""
		}
	}
	return state, some
}

// tombstoneSubject is for a row of tombstone. gone is the evidence.Gone of the
// event's entry in the ledger.
func tombstoneSubject(kind audit.Kind, id, seq int64, timestamp string, eventIDHash []byte, deletedAt, deletedBy, reason string, gone evidence.Hash) evidence.Hash {
	return evidence.SubjectHash(evidence.TombstoneSubject, string(kind), decimal(id), decimal(seq), timestamp,
		hex.EncodeToString(eventIDHash), deletedAt, deletedBy, reason, hex.EncodeToString(gone[:]))
}

// redactionSubject is for a row of redaction. leaf is the event's created leaf,
// which goes on to be its leaf.
func redactionSubject(kind audit.Kind, id int64, kept, leaf []byte) evidence.Hash {
	return evidence.SubjectHash(evidence.RedactionSubject, string(kind), decimal(id), hex.EncodeToString(kept), hex.EncodeToString(leaf))
}

// purgeSubject is for a row of purge.
func purgeSubject(kind audit.Kind, from, to, events int64, first, last string, root, names []byte, at, by, reason, archive string) evidence.Hash {
	return evidence.SubjectHash(evidence.PurgeSubject, string(kind), decimal(from), decimal(to), decimal(events), first, last,
		hex.EncodeToString(root), hex.EncodeToString(names), at, by, reason, archive)
}

// holdSubject is for a row of hold, as the entry leaves it.
func holdSubject(id int64, kind, query, reason, heldAt, heldBy, releasedAt, releasedBy, releaseReason string) evidence.Hash {
	return evidence.SubjectHash(evidence.HoldSubject, decimal(id), kind, query, reason, heldAt, heldBy, releasedAt, releasedBy, releaseReason)
}

// incarnationSubject is for a row of incarnation.
func incarnationSubject(name, startedAt, reason string) evidence.Hash {
	return evidence.SubjectHash(evidence.IncarnationSubject, name, startedAt, reason)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// number reads what decimal wrote, and anything else as 0.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
