package db

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// lot is one row of search_lot, without the places of its rows in the ledger.
type lot struct {
	Number int64 `db:"lot"`
	First  int64
	Last   int64
	Rows   int
}

// partID is the id of the part of a lot that begins with a key: parts of a lot
// stand together, by rising key, and with one look the part is found in which a
// key is, if it is anywhere.
func partID(number int64, k trigram.Key) int64 { return number<<trigram.KeyBits | int64(k) }

// errChanged says that what a lot was to take the place of is no longer there.
var errChanged = errors.New("the text index has changed meanwhile")

// What a lot's column ready says.
const (
	lotLeaving = -1 // its parts are being taken away, and nobody can keep it any more
	lotMade    = 0  // its parts are being stored
	lotReady   = 1
)

// changeLot changes what a lot's column ready says. It returns errChanged where that
// is something else already.
func (tx *writeTx) changeLot(number int64, from, to int) error {
	result, err := tx.ExecContext(tx.ctx, "UPDATE search_lot SET ready = ?, changed_at = ? WHERE lot = ? AND ready = ?", to, audit.FormatTime(tx.now), number, from)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errChanged, err)
	}
	return nil
}

// packSeqs writes places of the ledger, which rise, as their distances.
func packSeqs(seqs []int64) []byte {
	b := make([]byte, 0, len(seqs)+8)
	before := int64(0)
	for _, seq := range seqs {
		b = binary.AppendUvarint(b, uint64(seq-before))
		before = seq
	}
	return b
}

func unpackSeqs(b []byte) []int64 {
	seqs := make([]int64, 0, len(b))
	seq := int64(0)
	for len(b) > 0 {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			break
		}
		seq += int64(d)
		seqs = append(seqs, seq)
		b = b[n:]
	}
	return seqs
}

// errLotDamaged is wrapped by what readLot says of a lot that is not what was stored.
var errLotDamaged = errors.New("it is damaged")

// readLot reads all of a lot. Where something else wrote into it, so that it has not
// as many rows as places in the ledger, it is an error.
func readLot(ctx context.Context, q sqlx.QueryerContext, l lot) (seqs []int64, whole trigram.Lot, err error) {
	var packed []byte
	if err := sqlx.GetContext(ctx, q, &packed, "SELECT seqs FROM search_lot WHERE lot = ?", l.Number); err != nil {
		return nil, whole, err
	}
	if seqs = unpackSeqs(packed); len(seqs) != l.Rows {
		return nil, whole, fmt.Errorf("lot %d of the text index has %d rows and the places of %d, %w", l.Number, l.Rows, len(seqs), errLotDamaged)
	}
	whole.Rows = l.Rows
	err = eachRow(ctx, q, "SELECT id, data FROM search_part WHERE id >= ? AND id < ? ORDER BY id", []any{partID(l.Number, 0), partID(l.Number+1, 0)},
		func(r scanner) error {
			var id int64
			var data []byte
			if err := r.Scan(&id, &data); err != nil {
				return err
			}
			whole.Parts = append(whole.Parts, trigram.Part{First: trigram.Key(id - partID(l.Number, 0)), Data: data})
			return nil
		})
	return seqs, whole, err
}

// lots returns the lots of a kind with events recorded after a seq, oldest first.
func lots(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind, after int64) ([]lot, error) {
	return lotsWithin(ctx, q, kind, after, math.MaxInt64)
}

// lotsWithin returns those that may have events after one seq and up to another.
func lotsWithin(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind, after, upTo int64) ([]lot, error) {
	var all []lot
	err := sqlx.SelectContext(ctx, q, &all, "SELECT lot, first, last, rows FROM search_lot WHERE kind = ? AND ready = 1 AND last > ? AND first <= ? ORDER BY first", kind, after, upTo)
	return all, err
}
