package db

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

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

// partSlice is about how many bytes of parts one transaction writes or takes
// away: a few milliseconds.
const partSlice = 1 << 20

// lotLease is after what time a lot that was never finished is nobody's.
const lotLease = time.Minute

// errChanged says that what a lot was to take the place of is no longer there.
var errChanged = errors.New("the text index has changed meanwhile")

// What a lot's column ready says.
const (
	lotLeaving = -1 // its parts are being taken away, and nobody can keep it any more
	lotMade    = 0  // its parts are being stored
	lotReady   = 1
)

// lotNumbers is the key in meta of the highest number a lot ever had. None is given
// twice: who lost a lot and does not know it yet must not meet another one there.
const lotNumbers = "search:lot"

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

// dropLots takes lots away, in slices. One that is in use stays.
func (s *Store) dropLots(ctx context.Context, numbers []int64) error {
	const slice = partSlice / 8192
	for len(numbers) > 0 {
		gone := 0
		err := s.writeDerived(ctx, "take a part of the text index away", func(tx *writeTx) error {
			gone = 0
			for left := int64(slice); left > 0 && gone < len(numbers); {
				number := numbers[gone]
				// Whoever makes it has to know before its first part is gone.
				if err := tx.changeLot(number, lotMade, lotLeaving); err != nil && !errors.Is(err, errChanged) {
					return err
				}
				var used int
				if err := tx.GetContext(tx.ctx, &used, "SELECT count(*) FROM search_lot WHERE lot = ? AND ready = ?", number, lotReady); err != nil {
					return err
				}
				if used > 0 {
					gone++
					continue
				}
				result, err := tx.ExecContext(tx.ctx, "DELETE FROM search_part WHERE id IN (SELECT id FROM search_part WHERE id >= ? AND id < ? LIMIT ?)",
					partID(number, 0), partID(number+1, 0), left)
				if err != nil {
					return err
				}
				n, err := result.RowsAffected()
				if err != nil || n == left {
					return err
				}
				left -= n
				if _, err := tx.ExecContext(tx.ctx, "DELETE FROM search_lot WHERE lot = ? AND ready = ?", number, lotLeaving); err != nil {
					return err
				}
				gone++
			}
			return nil
		})
		if err != nil {
			return err
		}
		numbers = numbers[gone:]
	}
	return nil
}

// dropStale takes away what programs that were killed left behind.
func (s *Store) dropStale(ctx context.Context) error {
	var numbers []int64
	before := audit.FormatTime(s.now().Add(-lotLease))
	if err := s.worker().SelectContext(ctx, &numbers, "SELECT lot FROM search_lot WHERE ready <> ? AND changed_at < ?", lotReady, before); err != nil {
		return err
	}
	return s.dropLots(ctx, numbers)
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

// mergeLimits are the sizes by which lots grow: as soon as neighbours that are
// each smaller than a limit have so many rows together, they become one. The
// last limit is that of lots that stay as they are.
var mergeLimits = []int{64, 512, lotRows, trigram.MaxRows * 3 / 4}

// toMerge returns neighbours that are to become one, or nil.
func toMerge(all []lot) []lot {
	for _, limit := range mergeLimits {
		from, rows := 0, 0
		for i, l := range all {
			if l.Rows >= limit || rows+l.Rows > trigram.MaxRows {
				from, rows = i, 0
			}
			if l.Rows >= limit {
				from = i + 1
				continue
			}
			if rows += l.Rows; rows >= limit && i > from {
				return all[from : i+1]
			}
		}
	}
	return nil
}

// mergeLots makes large lots of small ones, until there is nothing to merge. What is
// damaged is made anew before; where that fails it stays as it is, and is an error once
// the others are merged.
func (s *Store) mergeLots(ctx context.Context, kind audit.Kind) error {
	for {
		n, damaged, err := s.merged(ctx, kind)
		if err != nil || n == nil {
			return errors.Join(err, damaged)
		}
		if err := s.putLot(ctx, n); errors.Is(err, errChanged) {
			return nil // somebody else is at it
		} else if err != nil {
			return err
		}
	}
}

// merged makes one lot of neighbours, or one anew that is damaged, or none where there
// is nothing to merge. damaged says of lots that it passed over why they are none to
// merge.
func (s *Store) merged(ctx context.Context, kind audit.Kind) (_ *newLot, damaged, err error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return nil, nil, err
	}
	defer end()
	all, err := lots(ctx, tx, kind, 0)
	if err != nil {
		return nil, nil, err
	}
	for {
		n := &newLot{kind: kind, old: toMerge(all)}
		if n.old == nil {
			return nil, damaged, nil
		}
		bad, err := n.readOld(ctx, tx, s.dialect.partPages())
		if err == nil {
			return n, damaged, nil
		}
		if !errors.Is(err, errLotDamaged) {
			return nil, damaged, err
		}
		if n, err = s.anew(ctx, tx, kind, *bad, err, nil); err == nil {
			return n, damaged, nil
		}
		damaged = errors.Join(damaged, err)
		bad.Rows = trigram.MaxRows // as large as a lot that is merged with no other
	}
}

// readOld reads the old lots into the new one, whose parts fill at most so many pages.
// Where it cannot it says which one.
func (n *newLot) readOld(ctx context.Context, q sqlx.QueryerContext, pages int) (bad *lot, err error) {
	var wholes []trigram.Lot
	for i := range n.old {
		seqs, whole, err := readLot(ctx, q, n.old[i])
		if err != nil {
			return &n.old[i], err
		}
		n.seqs, wholes = append(n.seqs, seqs...), append(wholes, whole)
	}
	n.parts = trigram.Merge(pages, wholes...)
	return nil, nil
}

// scrubText brings the text index to what the rows say now that are named in
// search_stale: of those that are gone nothing is left in it. It goes on where it was
// interrupted.
func (s *Store) scrubText(ctx context.Context) (failed error) {
	for _, kind := range audit.Kinds() {
		failed = errors.Join(failed, s.scrubKind(ctx, kind))
	}
	return failed
}

// scrubKind is scrubText for one kind.
func (s *Store) scrubKind(ctx context.Context, kind audit.Kind) error {
	for {
		done, err := s.scrubLot(ctx, kind)
		if err != nil && !errors.Is(err, errChanged) {
			return fmt.Errorf("take text out of the index of %s: %w", kind.Plural(), err)
		}
		if done {
			return nil
		}
	}
}

// staleRun is a run of places in the ledger whose text has changed or gone.
type staleRun struct {
	First, Last int64
	Gone        bool
}

// scrubLot makes the oldest lot with stale rows anew.
func (s *Store) scrubLot(ctx context.Context, kind audit.Kind) (done bool, err error) {
	n, err := s.scrubbed(ctx, kind)
	if err != nil || n == nil {
		return err == nil, err
	}
	return false, s.putLot(ctx, n)
}

// scrubbed makes what takes the place of the oldest lot with stale rows, or nil where
// there are none. It ends with forgetting them.
func (s *Store) scrubbed(ctx context.Context, kind audit.Kind) (*newLot, error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return nil, err
	}
	defer end()
	var runs []staleRun
	if err := tx.SelectContext(ctx, &runs, "SELECT first, last, gone FROM search_stale WHERE kind = ? ORDER BY first LIMIT 20000", kind); err != nil || len(runs) == 0 {
		return nil, err
	}
	all, err := lots(ctx, tx, kind, runs[0].First-1)
	if err != nil {
		return nil, err
	}
	forget := func(upTo int64) func(tx *writeTx) error {
		return func(tx *writeTx) error { return tx.forgetUpTo(kind, runs, upTo) }
	}
	if len(all) == 0 { // in no lot: it was not indexed, or is out already
		return &newLot{kind: kind, last: forget(runs[len(runs)-1].Last)}, nil
	}
	l := all[0]
	if runs[0].Last < l.First { // in none either, and neither is what else begins before the next lot
		return &newLot{kind: kind, last: forget(l.First - 1)}, nil
	}
	seqs, whole, err := readLot(ctx, tx, l)
	if errors.Is(err, errLotDamaged) {
		return s.anew(ctx, tx, kind, l, err, forget(l.Last))
	}
	if err != nil {
		return nil, err
	}
	stale, changed := make([]bool, len(seqs)), make([]bool, len(seqs))
	left := len(seqs)
	for at, row := 0, 0; at < len(runs) && row < len(seqs); {
		switch {
		case seqs[row] < runs[at].First:
			row++
		case seqs[row] > runs[at].Last:
			at++
		default:
			if !stale[row] {
				stale[row] = true
				left--
			}
			changed[row] = changed[row] || !runs[at].Gone
			row++
		}
	}
	texts, err := s.textsOf(ctx, tx, kind, seqs, changed)
	if err != nil {
		return nil, err
	}
	n := &newLot{kind: kind, old: []lot{l}, last: forget(l.Last)}
	if left == 0 && len(texts) == 0 {
		return n, nil
	}
	var head int64
	if err := tx.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return nil, err
	}
	end()
	n.last = func(tx *writeTx) error {
		if err := tx.stillSay(kind, head, texts); err != nil {
			return err
		}
		return tx.forgetUpTo(kind, runs, l.Last)
	}
	var patch trigram.Builder
	for at, row := 0, 0; row < len(seqs); row++ {
		var text []byte
		if at < len(texts) && texts[at].seq == seqs[row] {
			text = texts[at].text
			at++
		}
		patch.Add(text)
	}
	whole.Gone = func(row int) bool { return stale[row] }
	n.seqs, n.parts = seqs, trigram.Replace(s.dialect.partPages(), whole, trigram.Lot{Rows: len(seqs), Parts: patch.Build(1)})
	return n, nil
}

// forgetUpTo forgets, of runs that were read, what is in them up to a seq.
func (tx *writeTx) forgetUpTo(kind audit.Kind, runs []staleRun, upTo int64) error {
	if whole := wholeRuns(runs, upTo); len(whole) > fewRuns {
		if done, err := tx.forgetRuns(kind, whole); err != nil {
			return err
		} else if done {
			runs = runs[len(whole):]
		}
	}
	for _, run := range runs {
		if run.First > upTo {
			break
		}
		if run.Last > upTo {
			// The rest may be a run of its own already.
			_, err := tx.ExecContext(tx.ctx, "INSERT INTO search_stale (kind, first, last, gone) SELECT kind, ?, last, gone FROM search_stale WHERE kind = ? AND first = ? AND last = ?"+
				" ON CONFLICT (kind, first, last) DO UPDATE SET gone = 1 WHERE excluded.gone = 1", upTo+1, kind, run.First, run.Last)
			if err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM search_stale WHERE kind = ? AND first = ? AND last = ?", kind, run.First, run.Last); err != nil {
			return err
		}
	}
	return nil
}

// fewRuns are forgotten one by one.
const fewRuns = 16

// wholeRuns are the first of some runs, in the order of their beginnings, that end up
// to a seq.
func wholeRuns(runs []staleRun, upTo int64) []staleRun {
	if i := slices.IndexFunc(runs, func(r staleRun) bool { return r.Last > upTo }); i >= 0 {
		return runs[:i]
	}
	return runs
}

// forgetRuns forgets runs that were read one after the other, all at once: a purge of
// what was not indexed yet leaves a hundred thousand of them. It reports false, and
// forgets none, where others stand between them by now.
func (tx *writeTx) forgetRuns(kind audit.Kind, runs []staleRun) (bool, error) {
	const among = " FROM search_stale WHERE kind = ? AND first BETWEEN ? AND ? AND last <= ?"
	var count, firsts, lasts, upTo int64
	for _, run := range runs {
		count, firsts, lasts, upTo = count+1, firsts+run.First, lasts+run.Last, max(upTo, run.Last)
	}
	args := []any{kind, runs[0].First, runs[len(runs)-1].First, upTo}
	var n, allFirsts, allLasts int64
	err := tx.QueryRowxContext(tx.ctx, "SELECT count(*), CAST(coalesce(sum(first), 0) AS BIGINT), CAST(coalesce(sum(last), 0) AS BIGINT)"+among, args...).Scan(&n, &allFirsts, &allLasts)
	if err != nil || n != count || allFirsts != firsts || allLasts != lasts {
		return false, err
	}
	_, err = tx.ExecContext(tx.ctx, "DELETE"+among, args...)
	return true, err
}

// textsOf returns the changed rows that are still there, in the order of the lot.
func (s *Store) textsOf(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, seqs []int64, changed []bool) ([]textRow, error) {
	var asked []int64
	for row, seq := range seqs {
		if changed[row] {
			asked = append(asked, seq)
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	condition, args := s.dialect.among("l.seq", asked)
	rows, err := s.textRows(ctx, tx, kind, condition, args...)
	slices.SortFunc(rows, func(a, b textRow) int { return cmp.Compare(a.seq, b.seq) })
	return rows, err
}
