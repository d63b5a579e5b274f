package db

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"sort"
)

// nameSize is how many bytes of a hash stand for the event_id of a purged event.
const nameSize = 8

// purgedName is what stays of the event_id of a purged event.
func purgedName[T string | []byte | sql.RawBytes](timestamp string, eventID T) (name [nameSize]byte) {
	b := make([]byte, 0, 128)
	b = append(append(append(b, timestamp...), 0), eventID...)
	sum := sha256.Sum256(b)
	return [nameSize]byte(sum[:])
}

// purgedRun is a run of purged events as the append looks at it.
type purgedRun struct {
	Seq   int64
	From  int64  `db:"from_id"`
	To    int64  `db:"to_id"`
	names []byte // sorted; nil until somebody asks
}

// has reports whether an event of that name was in the run.
func (p *purgedRun) has(tx *writeTx, name [nameSize]byte) (bool, error) {
	if p.names == nil {
		p.names = []byte{}
		if err := tx.GetContext(tx.ctx, &p.names, "SELECT names FROM purge WHERE seq = ?", p.Seq); err != nil {
			return false, err
		}
	}
	at := func(i int) []byte { return p.names[i*nameSize:][:nameSize] }
	n := len(p.names) / nameSize
	i := sort.Search(n, func(i int) bool { return bytes.Compare(at(i), name[:]) >= 0 })
	return i < n && bytes.Equal(at(i), name[:]), nil
}

// wasPurged reports whether an event of that event_id stood at a run's timestamp
// and was purged.
func (t *kindTail) wasPurged(tx *writeTx, r *idRun, eventID string) (bool, error) {
	if t.purges == nil {
		t.purges = []purgedRun{}
		if err := tx.SelectContext(tx.ctx, &t.purges, "SELECT seq, from_id, to_id FROM purge WHERE kind = ?", t.kind); err != nil {
			return false, err
		}
	}
	from, to := r.micros<<idBits, (r.micros+t.spread)<<idBits|(1<<idBits-1)
	name := purgedName(r.timestamp, eventID)
	for i := range t.purges {
		if p := &t.purges[i]; p.From <= to && p.To >= from {
			if gone, err := p.has(tx, name); gone || err != nil {
				return gone, err
			}
		}
	}
	return false, nil
}
