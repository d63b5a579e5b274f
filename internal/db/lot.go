package db

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
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

// putLot stores a lot and puts it, in one transaction with what last does, in
// the place of old ones. It is written in slices and nobody sees it before the
// last one. It returns errChanged where one of the old ones is gone, and then
// nothing has changed.
func (s *Store) putLot(ctx context.Context, kind audit.Kind, seqs []int64, parts []trigram.Part, old []lot, last func(tx *writeTx) error) error {
	var number int64
	begin := func(tx *writeTx) error {
		return tx.QueryRowxContext(tx.ctx, "INSERT INTO search_lot (lot, kind, first, last, rows, ready, changed_at, seqs)"+
			" SELECT coalesce(max(lot), 0) + 1, ?, ?, ?, ?, 0, ?, ? FROM search_lot RETURNING lot",
			kind, seqs[0], seqs[len(seqs)-1], len(seqs), audit.FormatTime(tx.now), packSeqs(seqs)).Scan(&number)
	}
	finish := func(tx *writeTx) error {
		if last != nil {
			if err := last(tx); err != nil {
				return err
			}
		}
		for _, l := range old {
			result, err := tx.ExecContext(tx.ctx, "UPDATE search_lot SET ready = 0, changed_at = ? WHERE lot = ? AND ready = 1", audit.FormatTime(tx.now), l.Number)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n != 1 {
				return errors.Join(errChanged, err)
			}
		}
		result, err := tx.ExecContext(tx.ctx, "UPDATE search_lot SET ready = 1, changed_at = ? WHERE lot = ? AND ready = 0", audit.FormatTime(tx.now), number)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errChanged, err)
		}
		return nil
	}
	if len(seqs) == 0 {
		begin, finish = func(*writeTx) error { return nil }, last
	}
	for first := true; ; first = false {
		n, size := 0, 0
		for n < len(parts) && size < partSlice {
			size += len(parts[n].Data)
			n++
		}
		err := s.writeDerived(ctx, "store a part of the text index", func(tx *writeTx) error {
			if first {
				if err := begin(tx); err != nil {
					return err
				}
			}
			if err := putParts(tx, number, parts[:n]); err != nil {
				return err
			}
			if n == len(parts) {
				return finish(tx)
			}
			return nil
		})
		if err != nil {
			if number > 0 && !first {
				s.dropLots(ctx, []int64{number})
			}
			return err
		}
		if parts = parts[n:]; len(parts) == 0 {
			break
		}
	}
	numbers := make([]int64, len(old))
	for i, l := range old {
		numbers[i] = l.Number
	}
	return s.dropLots(ctx, numbers)
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

// dropLots takes lots that are not in use away, in slices.
func (s *Store) dropLots(ctx context.Context, numbers []int64) error {
	const slice = partSlice / 8192
	for len(numbers) > 0 {
		gone := 0
		err := s.writeDerived(ctx, "take a part of the text index away", func(tx *writeTx) error {
			gone = 0
			for left := int64(slice); left > 0 && gone < len(numbers); {
				number := numbers[gone]
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
				if _, err := tx.ExecContext(tx.ctx, "DELETE FROM search_lot WHERE lot = ? AND ready = 0", number); err != nil {
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
	if err := s.worker().SelectContext(ctx, &numbers, "SELECT lot FROM search_lot WHERE ready = 0 AND changed_at < ?", before); err != nil {
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

// readLot reads all of a lot.
func readLot(ctx context.Context, q sqlx.QueryerContext, l lot) (seqs []int64, whole trigram.Lot, err error) {
	var packed []byte
	if err := sqlx.GetContext(ctx, q, &packed, "SELECT seqs FROM search_lot WHERE lot = ?", l.Number); err != nil {
		return nil, whole, err
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
	return unpackSeqs(packed), whole, err
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

// mergeLots makes large lots of small ones, until there is nothing to merge.
func (s *Store) mergeLots(ctx context.Context, kind audit.Kind) error {
	for {
		some, seqs, parts, err := s.merged(ctx, kind)
		if err != nil || some == nil {
			return err
		}
		if err := s.putLot(ctx, kind, seqs, parts, some, nil); errors.Is(err, errChanged) {
			return nil // somebody else is at it
		} else if err != nil {
			return err
		}
	}
}

func (s *Store) merged(ctx context.Context, kind audit.Kind) (some []lot, seqs []int64, parts []trigram.Part, err error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return nil, nil, nil, err
	}
	defer end()
	all, err := lots(ctx, tx, kind, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	if some = toMerge(all); some == nil {
		return nil, nil, nil, nil
	}
	var wholes []trigram.Lot
	for _, l := range some {
		own, whole, err := readLot(ctx, tx, l)
		if err != nil {
			return nil, nil, nil, err
		}
		seqs, wholes = append(seqs, own...), append(wholes, whole)
	}
	return some, seqs, trigram.Merge(wholes...), nil
}

// scrubText brings the text index to what the rows say now that are named in
// search_stale: of those that are gone nothing is left in it. It goes on where it was
// interrupted.
func (s *Store) scrubText(ctx context.Context) error {
	for _, kind := range audit.Kinds() {
		for {
			done, err := s.scrubLot(ctx, kind)
			if err != nil && !errors.Is(err, errChanged) {
				return fmt.Errorf("take text out of the index of %s: %w", kind.Plural(), err)
			}
			if done {
				break
			}
		}
	}
	return nil
}

// staleRun is a run of places in the ledger whose text has changed or gone.
type staleRun struct {
	First, Last int64
	Gone        bool
}

// scrubLot makes the oldest lot with stale rows anew.
func (s *Store) scrubLot(ctx context.Context, kind audit.Kind) (done bool, err error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return false, err
	}
	defer end()
	var runs []staleRun
	if err := tx.SelectContext(ctx, &runs, "SELECT first, last, gone FROM search_stale WHERE kind = ? ORDER BY first LIMIT 20000", kind); err != nil || len(runs) == 0 {
		return true, err
	}
	all, err := lots(ctx, tx, kind, runs[0].First-1)
	if err != nil {
		return false, err
	}
	i := sort.Search(len(all), func(i int) bool { return all[i].Last >= runs[0].First })
	forget := func(upTo int64) func(tx *writeTx) error {
		return func(tx *writeTx) error {
			left := runs
			if whole := wholeRuns(runs, upTo); len(whole) > fewRuns {
				if done, err := tx.forgetRuns(kind, whole); err != nil {
					return err
				} else if done {
					left = runs[len(whole):]
				}
			}
			for _, run := range left {
				if run.First > upTo {
					break
				}
				query, args := "DELETE FROM search_stale WHERE kind = ? AND first = ? AND last = ?", []any{kind, run.First, run.Last}
				if run.Last > upTo {
					query, args = "UPDATE search_stale SET first = ? WHERE kind = ? AND first = ? AND last = ?", []any{upTo + 1, kind, run.First, run.Last}
				}
				if _, err := tx.ExecContext(tx.ctx, query, args...); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if i == len(all) { // in no lot: it was not indexed, or is out already
		end()
		return false, s.putLot(ctx, kind, nil, nil, nil, forget(runs[len(runs)-1].Last))
	}
	l := all[i]
	if runs[0].Last < l.First {
		end()
		return false, s.putLot(ctx, kind, nil, nil, nil, forget(runs[0].Last))
	}
	seqs, whole, err := readLot(ctx, tx, l)
	if err != nil {
		return false, err
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
		return false, err
	}
	end()
	if left == 0 && len(texts) == 0 {
		return false, s.putLot(ctx, kind, nil, nil, []lot{l}, forget(l.Last))
	}
	var patch trigram.Builder
	for row := range seqs {
		patch.Add(texts[row])
	}
	whole.Gone = func(row int) bool { return stale[row] }
	parts := trigram.Replace(whole, trigram.Lot{Rows: len(seqs), Parts: patch.Build()})
	return false, s.putLot(ctx, kind, seqs, parts, []lot{l}, forget(l.Last))
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

// textsOf returns the folded texts of the changed rows that are still there, by
// row.
func (s *Store) textsOf(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, seqs []int64, changed []bool) (map[int][]byte, error) {
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
	texts := make(map[int][]byte, len(rows))
	for _, r := range rows {
		if row, ok := slices.BinarySearch(seqs, r.seq); ok {
			texts[row] = r.text
		}
	}
	return texts, err
}
