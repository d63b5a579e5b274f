package db

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// newLot is a lot to be stored in the place of old ones. Without rows it is none,
// and the old ones go all the same.
type newLot struct {
	kind  audit.Kind
	seqs  []int64
	parts []trigram.Part
	old   []lot
	last  func(tx *writeTx) error // what is done in the transaction that ends it; may be nil
	mends error                   // why an old one was no good any more; nil where they were

	number int64 // once some of it is stored; parts has what is not
}

// partSlice is about how many bytes of parts one transaction writes or takes
// away: a few milliseconds.
const partSlice = 1 << 20

// lotNumbers is the key in meta of the highest number a lot ever had. None is given
// twice: who lost a lot and does not know it yet must not meet another one there.
const lotNumbers = "search:lot"

// putLot stores a lot and puts it, in one transaction with what its last does, in
// the place of old ones. It is written in slices and nobody sees it before the
// last one. It returns errChanged where one of the old ones is gone, or the new one
// was taken for nobody's, and then nothing has changed.
func (s *Store) putLot(ctx context.Context, n *newLot) error {
	for done := false; !done; {
		var err error
		if done, err = s.putSlice(ctx, n); err != nil {
			if n.number > 0 {
				s.dropLots(ctx, []int64{n.number})
			}
			return err
		}
	}
	s.mended.note(n.mends)
	numbers := make([]int64, len(n.old))
	for i, l := range n.old {
		numbers[i] = l.Number
	}
	return s.dropLots(ctx, numbers)
}

// putSlice stores the next slice of a lot, and reports whether it was the last one.
func (s *Store) putSlice(ctx context.Context, n *newLot) (done bool, err error) {
	count, size := 0, 0
	for count < len(n.parts) && size < partSlice {
		size += len(n.parts[count].Data)
		count++
	}
	done = count == len(n.parts)
	var number int64
	err = s.writeDerived(ctx, "store a part of the text index", func(tx *writeTx) (err error) {
		number = n.number
		switch {
		case len(n.seqs) == 0:
		case number == 0:
			number, err = tx.beginLot(n)
		default:
			err = tx.changeLot(number, lotMade, lotMade) // it is still ours, and so for another while
		}
		if err == nil {
			err = putParts(tx, number, n.parts[:count])
		}
		if err == nil && done {
			err = tx.finishLot(n, number)
		}
		return err
	})
	if err == nil {
		n.number, n.parts = number, n.parts[count:]
	}
	return done, err
}

func (tx *writeTx) beginLot(n *newLot) (number int64, err error) {
	// A database may be older than what meta knows, and have parts whose lot was lost.
	var given, lots, parts int64
	err = tx.QueryRowxContext(tx.ctx, "SELECT coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE key = ?), 0),"+
		" (SELECT coalesce(max(lot), 0) FROM search_lot), (SELECT coalesce(max(id), 0) FROM search_part)", lotNumbers).Scan(&given, &lots, &parts)
	if err != nil {
		return 0, err
	}
	number = max(given, lots, parts>>trigram.KeyBits) + 1
	_, err = tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		lotNumbers, strconv.FormatInt(number, 10))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(tx.ctx, "INSERT INTO search_lot (lot, kind, first, last, rows, ready, changed_at, seqs) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		number, n.kind, n.seqs[0], n.seqs[len(n.seqs)-1], len(n.seqs), lotMade, audit.FormatTime(tx.now), packSeqs(n.seqs))
	return number, err
}

// partRows is how many parts one statement stores.
const partRows = 16

var (
	insertPart  = "INSERT INTO search_part (id, data) VALUES (?, ?)"
	insertParts = insertPart + strings.Repeat(", (?, ?)", partRows-1)
)

func putParts(tx *writeTx, number int64, parts []trigram.Part) error {
	args := make([]any, 0, 2*partRows)
	for some := range slices.Chunk(parts, partRows) {
		args = args[:0]
		for _, p := range some {
			args = append(args, partID(number, p.First), p.Data)
		}
		if len(some) == partRows {
			if _, err := tx.ExecContext(tx.ctx, insertParts, args...); err != nil {
				return err
			}
			continue
		}
		for pair := range slices.Chunk(args, 2) {
			if _, err := tx.ExecContext(tx.ctx, insertPart, pair...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *writeTx) finishLot(n *newLot, number int64) error {
	if n.last != nil {
		if err := n.last(tx); err != nil {
			return err
		}
	}
	for _, l := range n.old {
		if err := tx.changeLot(l.Number, lotReady, lotLeaving); err != nil {
			return err
		}
	}
	if len(n.seqs) == 0 {
		return nil
	}
	return tx.changeLot(number, lotMade, lotReady)
}
