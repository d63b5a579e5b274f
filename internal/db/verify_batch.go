package db

import (
	"bytes"
	"database/sql"
	"errors"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

const (
	// batchRows is how many rows are verified in one step: of fewer, two workers wait
	// for the scheduler after each.
	batchRows = 1024
	longRow   = 16384 // rows of more bytes are verified by themselves: a batch stays small
)

// checkBatches verifies the rows of one range, many at a time: the driver's cost
// is per row and column, and here the engine hands over one value for all of them. It
// knows rows that hold. Any other is given to checkRows, which says what is wrong
// with it, or that something was redacted in it.
func (v *verification) checkBatches(kind audit.Kind, from, to int64) error {
	b := batch{v: v, reader: v.readers[kind], parts: make([][]byte, v.readers[kind].columns)}
	for {
		began := time.Now()
		n, last, err := b.check(from, to)
		if errors.Is(v.store.dialect.classify(err), ErrDamaged) {
			return v.checkRows(kind, b.reader.byID, from, to)
		}
		if err != nil {
			return err
		}
		if err := v.pause(began); err != nil {
			return err
		}
		if n < batchRows || last == to {
			return nil
		}
		from = last + 1
	}
}

// batch is what checkBatches works with.
type batch struct {
	v      *verification
	reader *rowReader
	parts  [][]byte
	// Of the row before, as often of this one.
	recordedAt, source string
	seen               []int   // the bucket of each row that holds
	rest               []int64 // ids of the others
}

// check verifies the first batchRows rows of a range, and returns how many there
// were and the id of the last one.
func (b *batch) check(from, to int64) (n, last int64, err error) {
	v, kind := b.v, b.reader.table.kind
	tx, done, err := begin(v.ctx, v.store.worker())
	if err != nil {
		return 0, 0, err
	}
	defer done()
	if err := v.store.dialect.inOrder(v.ctx, tx); err != nil {
		return 0, 0, err
	}
	rows, err := tx.QueryContext(v.ctx, b.reader.batch, from, to)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	var end sql.NullInt64
	var all sql.RawBytes
	if !rows.Next() {
		return 0, 0, rows.Err()
	}
	if err := rows.Scan(&n, &end, &all); err != nil {
		return 0, 0, err
	}
	b.seen, b.rest = b.seen[:0], b.rest[:0]
	body, whole, found := []byte(all), true, int64(0)
	for len(body) > 0 && whole {
		body, whole = b.row(body)
		found++
	}
	if !whole || found != n { // nothing that we stored
		rows.Close()
		done() // before another connection is asked for
		return n, end.Int64, v.checkRows(kind, b.reader.byID, from, max(from, end.Int64))
	}
	rows.Close()
	done()
	for _, bucket := range b.seen {
		v.seen[bucket].Add(1)
	}
	holds := n - int64(len(b.rest))
	v.mu.Lock()
	v.verdict.Events += holds
	v.mu.Unlock()
	v.progress(int(holds))
	for _, id := range b.rest {
		if err := v.checkRows(kind, b.reader.byID, id, id); err != nil {
			return 0, 0, err
		}
	}
	return n, end.Int64, nil
}

// row verifies the first of some rows. Before its body and the hash of its state
// stand, each with a NUL behind it, its id, seq and the lengths of those two; of a
// row that is not for here, the id and a NUL alone. A length of 0 says that the
// body ends where its last column, its seed and its leaf do: one with a NUL too
// many, which no text of ours has, is followed by what is no row, or one too many.
// It returns what follows the row, and false where nobody can know that.
func (b *batch) row(all []byte) (rest []byte, ok bool) {
	id, all, ok := cutNumber(all)
	if !ok || len(all) == 0 {
		return nil, false
	}
	if all[0] == 0 {
		b.rest = append(b.rest, id)
		return all[1:], true
	}
	seq, all, ok1 := cutNumber(all)
	size, all, ok2 := cutNumber(all)
	stateSize, all, ok3 := cutNumber(all)
	if !ok1 || !ok2 || !ok3 || size < 0 || stateSize < 0 || size+stateSize > int64(len(all)) {
		return nil, false
	}
	behind, ok := split(all, b.parts)
	if size > 0 {
		// Where the body ends is said, and what its columns leave of it is the rest.
		ok = ok && int64(len(all)-len(behind)) <= size
	} else {
		size = int64(len(all)-len(behind)) + int64(evidence.SeedSize+len(b.reader.table.form.Fields())+len(evidence.Hash{}))
		ok = ok && size <= int64(len(all))
	}
	if !ok {
		return nil, false
	}
	end := size + stateSize
	if b.holds(id, seq, all[len(all)-len(behind):size], all[size:end]) {
		if b.v.inRange(seq) {
			b.seen = append(b.seen, b.v.bucket(seq))
		}
	} else {
		b.rest = append(b.rest, id)
	}
	return all[end:], true
}

// holds reports whether a row, whose columns are in b.parts and behind which its seed
// and its leaf stand, is what its leaf says. The statement has seen to it that
// its values are of their types, its seed has its length, and the leaf is that of
// its own entry in the ledger.
func (b *batch) holds(id, seq int64, seedAndLeaf, state []byte) bool {
	form := b.reader.table.form
	if len(seedAndLeaf) < len(evidence.Hash{}) {
		return false
	}
	leaf := seedAndLeaf[len(seedAndLeaf)-len(evidence.Hash{}):]
	seed, hints, ok := form.ParseSeed(seedAndLeaf[:len(seedAndLeaf)-len(leaf)])
	if !ok {
		return false // a text holds a NUL
	}
	if string(b.parts[0]) != b.recordedAt {
		b.recordedAt = string(b.parts[0])
	}
	if string(b.parts[1]) != b.source {
		b.source = string(b.parts[1])
	}
	fields := b.parts[rowHead : rowHead+len(form.Fields())]
	committed := evidence.Commit(form, seed, b.source, string(b.parts[2]), fields)
	got := committed.Leaf(id, seq, b.recordedAt)
	return bytes.Equal(got[:], leaf) && committed.Altered(hints) == nil &&
		(len(b.reader.states) == 0 || b.reader.decided(b.parts[rowHead+len(fields):], state))
}

// cutNumber reads a number up to the NUL behind it.
func cutNumber(b []byte) (n int64, rest []byte, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	for i, c := range b {
		switch {
		case c == 0 && i > 0:
			if negative {
				n = -n
			}
			return n, b[i+1:], true
		case c < '0' || c > '9' || i > 18:
			return 0, nil, false
		}
		n = 10*n + int64(c-'0')
	}
	return 0, nil, false
}
