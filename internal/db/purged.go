package db

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// nameSize is how many bytes of a hash stand for the event_id of a purged event.
const nameSize = 8

// purgedName is what stays of the event_id of a purged event, or of one that had
// none, of what import names it by, without the number of its repetition.
func purgedName[T string | []byte | sql.RawBytes](timestamp string, eventID T) (name [nameSize]byte) {
	b := make([]byte, 0, 128)
	b = append(append(append(b, timestamp...), 0), eventID...)
	sum := sha256.Sum256(b)
	return [nameSize]byte(sum[:])
}

// purgedRun is a run of purged events as the append looks at it.
type purgedRun struct {
	Seq   int64
	From  int64   `db:"from_id"`
	To    int64   `db:"to_id"`
	names []byte  // sorted; nil until somebody asks
	ids   []int64 // rising; nil until somebody asks
}

// times returns how many events of that name were in the run.
func (p *purgedRun) times(tx *writeTx, name [nameSize]byte) (n int64, err error) {
	if p.names == nil {
		p.names = []byte{}
		if err := tx.GetContext(tx.ctx, &p.names, "SELECT names FROM purge WHERE seq = ?", p.Seq); err != nil {
			return 0, err
		}
	}
	at := func(i int) []byte { return p.names[i*nameSize:][:nameSize] }
	all := len(p.names) / nameSize
	for i := sort.Search(all, func(i int) bool { return bytes.Compare(at(i), name[:]) >= 0 }); i < all && bytes.Equal(at(i), name[:]); i++ {
		n++
	}
	return n, nil
}

// timesPurged returns how many events of that event_id stood at a run's timestamp
// and were purged, and stops counting at enough.
func (t *kindTail) timesPurged(tx *writeTx, r *idRun, eventID string, enough int64) (n int64, err error) {
	if err := t.readPurges(tx); err != nil {
		return 0, err
	}
	from, to := r.micros<<idBits, (r.micros+t.spread)<<idBits|(1<<idBits-1)
	name := purgedName(r.timestamp, eventID)
	for i := range t.purges {
		if p := &t.purges[i]; p.From <= to && p.To >= from {
			gone, err := p.times(tx, name)
			if n += gone; err != nil || n >= enough {
				return n, err
			}
		}
	}
	return n, nil
}

func (t *kindTail) readPurges(tx *writeTx) error {
	if t.purges != nil {
		return nil
	}
	t.purges = []purgedRun{}
	return tx.SelectContext(tx.ctx, &t.purges, "SELECT seq, from_id, to_id FROM purge WHERE kind = ?", t.kind)
}

// hadID reports whether an id was that of a purged event. It is never given to
// another one: what the ledger says of it is said of that event.
func (t *kindTail) hadID(tx *writeTx, id int64) (bool, error) {
	if err := t.readPurges(tx); err != nil {
		return false, err
	}
	for i := range t.purges {
		p := &t.purges[i]
		if p.From > id || p.To < id {
			continue
		}
		if p.ids == nil {
			var packed []byte
			if err := tx.GetContext(tx.ctx, &packed, "SELECT ids FROM purge WHERE seq = ?", p.Seq); err != nil {
				return false, err
			}
			p.ids = unpackIDs(p.From, packed)
		}
		if _, had := slices.BinarySearch(p.ids, id); had {
			return true, nil
		}
	}
	return false, nil
}

// unpackIDs returns the ids of a purge.
func unpackIDs(from int64, packed []byte) []int64 {
	ids := []int64{}
	for len(packed) > 0 {
		d, n := binary.Uvarint(packed)
		if n <= 0 {
			break
		}
		from += int64(d)
		ids, packed = append(ids, from), packed[n:]
	}
	return ids
}

// purgedEvent returns what is known of an event that was purged, or
// sql.ErrNoRows if none of that id was.
func purgedEvent(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind, id int64) (Tombstone, error) {
	t, found := Tombstone{Kind: kind, ID: id, Timestamp: time.UnixMicro(id >> idBits).UTC()}, false
	err := eachRow(ctx, q, "SELECT from_id, ids, purged_at, purged_by, reason FROM purge WHERE kind = ? AND to_id >= ? AND from_id <= ?", []any{kind, id, id}, func(row scanner) error {
		var from int64
		var packed []byte
		var at, by, reason string
		if err := row.Scan(&from, &packed, &at, &by, &reason); err != nil {
			return err
		}
		if _, had := slices.BinarySearch(unpackIDs(from, packed), id); had {
			found, t.DeletedBy, t.Reason = true, by, reason
			t.DeletedAt, _ = audit.ParseTime(at)
		}
		return nil
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return t, err
}
