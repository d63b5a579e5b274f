package db

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// An event without an event_id is known by what it says: import gives it a name
// from its content and from how often the same was said before in the input. An
// event that was stored without a name, by whoever sent it, is the twin of the
// one that is named so: as many as say the same are twins of the first so many.
// What was exported or archived can therefore be imported where it came from, and
// adds nothing.

// Content is a digest of what an event says, without what may change later.
type Content [16]byte

// AppendContent appends what Content is the digest of: the kind, and each field
// with its length before it.
func AppendContent(b []byte, e *audit.Event) []byte {
	b = append(b, e.Kind...)
	for i, f := range e.Kind.Fields() {
		if !f.Mutable {
			v := e.Values()[i]
			b = append(binary.LittleEndian.AppendUint64(b, uint64(len(v))), v...)
		}
	}
	return b
}

// ContentOf returns the digest of what AppendContent has appended.
func ContentOf(b []byte) Content {
	sum := sha256.Sum256(b)
	return Content(sum[:])
}

const contentPrefix = "sha256:"

// Name is the event_id of the n-th event, from 1, that says this.
func (c Content) Name(n int64) string { return c.name() + ":" + strconv.FormatInt(n, 10) }

// name is what the names of all that say this begin with.
func (c Content) name() string { return contentPrefix + hex.EncodeToString(c[:]) }

// parseContentName takes apart what Name made, and reports whether that it is.
func parseContentName(eventID string) (c Content, n int64, ok bool) {
	digits, ok := strings.CutPrefix(eventID, contentPrefix)
	if !ok || len(digits) < 2*len(c)+2 || digits[2*len(c)] != ':' {
		return c, 0, false
	}
	if _, err := hex.Decode(c[:], []byte(digits[:2*len(c)])); err != nil {
		return c, 0, false
	}
	n, err := strconv.ParseInt(digits[2*len(c)+1:], 10, 64)
	return c, n, err == nil && n > 0 && c.Name(n) == eventID
}

// contentTwin reports whether the n-th event that says so is one of those that
// are, or were until a purge, stored without a name.
func (r *idRun) contentTwin(tx *writeTx, kind audit.Kind, c Content, n int64) (bool, error) {
	if r.contents == nil {
		r.contents = map[Content]int64{}
		for _, id := range r.nameless {
			st, err := tables[kind].scan(tx.QueryRowxContext(tx.ctx, tables[kind].byID, id))
			if err != nil {
				return false, err
			}
			r.contents[ContentOf(AppendContent(nil, st.Event))]++
		}
	}
	if n -= r.contents[c]; n <= 0 {
		return true, nil
	}
	if r.micros<<idBits > r.tail.purged {
		return false, nil
	}
	gone, err := r.tail.timesPurged(tx, r, c.name(), n)
	return gone >= n, err
}
