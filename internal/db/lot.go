package db

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
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
const partSlice = 512 << 10

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
		err := s.write(ctx, "store a part of the text index", func(tx *writeTx) error {
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
				s.dropLot(ctx, number)
			}
			return err
		}
		if parts = parts[n:]; len(parts) == 0 {
			break
		}
	}
	for _, l := range old {
		if err := s.dropLot(ctx, l.Number); err != nil {
			return err
		}
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

// dropLot takes a lot that is not in use away, in slices.
func (s *Store) dropLot(ctx context.Context, number int64) error {
	const slice = partSlice / 4096
	for done := false; !done; {
		err := s.write(ctx, "take a part of the text index away", func(tx *writeTx) error {
			result, err := tx.ExecContext(tx.ctx, "DELETE FROM search_part WHERE id IN (SELECT id FROM search_part WHERE id >= ? AND id < ? LIMIT ?)",
				partID(number, 0), partID(number+1, 0), slice)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if done = n < slice; err != nil || !done {
				return err
			}
			_, err = tx.ExecContext(tx.ctx, "DELETE FROM search_lot WHERE lot = ? AND ready = 0", number)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropStale takes away what programs that were killed left behind.
func (s *Store) dropStale(ctx context.Context) error {
	var numbers []int64
	before := audit.FormatTime(s.now().Add(-lotLease))
	if err := s.back.SelectContext(ctx, &numbers, "SELECT lot FROM search_lot WHERE ready = 0 AND changed_at < ?", before); err != nil {
		return err
	}
	for _, n := range numbers {
		if err := s.dropLot(ctx, n); err != nil {
			return err
		}
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

// lotSeqs are the places of a lot's rows in the ledger, packed, with a way in at
// every seqStep rows.
type lotSeqs struct {
	packed []byte
	starts []seqStart
}

// seqStart is the place of a row, and where the distance to the next one stands.
type seqStart struct {
	seq int64
	at  int
}

const seqStep = 128

func newLotSeqs(packed []byte) *lotSeqs {
	l := &lotSeqs{packed: packed}
	seq := int64(0)
	for at, row := 0, 0; at < len(packed); row++ {
		d, n := binary.Uvarint(packed[at:])
		if n <= 0 {
			break
		}
		seq, at = seq+int64(d), at+n
		if row%seqStep == 0 {
			l.starts = append(l.starts, seqStart{seq, at})
		}
	}
	return l
}

// of returns the places of rows, which rise.
func (l *lotSeqs) of(rows []uint16) []int64 {
	seqs := make([]int64, 0, len(rows))
	block, row, at, seq := -1, 0, 0, int64(0)
	for _, want := range rows {
		if b := int(want) / seqStep; b != block {
			if b >= len(l.starts) {
				break
			}
			block, row = b, b*seqStep
			seq, at = l.starts[b].seq, l.starts[b].at
		}
		for ; row < int(want) && at < len(l.packed); row++ {
			d, n := uint64(l.packed[at]), 1
			if d >= 0x80 {
				if d, n = binary.Uvarint(l.packed[at:]); n <= 0 {
					return seqs
				}
			}
			seq, at = seq+int64(d), at+n
		}
		if row == int(want) {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// lotCache keeps the places of the lots that were asked about: about one byte an
// event.
type lotCache struct {
	mu   sync.Mutex
	lots map[lot]*lotSeqs
}

// lotCacheSize is of how many lots. Ten million events are some 250.
const lotCacheSize = 1024

func (c *lotCache) get(ctx context.Context, q sqlx.QueryerContext, l lot) (*lotSeqs, error) {
	c.mu.Lock()
	seqs := c.lots[l]
	c.mu.Unlock()
	if seqs != nil {
		return seqs, nil
	}
	var packed []byte
	if err := sqlx.GetContext(ctx, q, &packed, "SELECT seqs FROM search_lot WHERE lot = ?", l.Number); err != nil {
		return nil, err
	}
	seqs = newLotSeqs(packed)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lots == nil || len(c.lots) >= lotCacheSize {
		c.lots = map[lot]*lotSeqs{}
	}
	c.lots[l] = seqs
	return seqs, nil
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
	var all []lot
	err := sqlx.SelectContext(ctx, q, &all, "SELECT lot, first, last, rows FROM search_lot WHERE kind = ? AND ready = 1 AND last > ? ORDER BY first", kind, after)
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
	tx, end, err := begin(ctx, s.back)
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

// lotBatches is how many lots are asked at once, newest first: a word that is
// frequent is found in the first few.
var lotBatches = []int{2, 16, 1 << 30}

// candidates returns the ledger's seq of at most limit events of a kind that
// were recorded after one seq and up to another, newest first, whose searchable
// text holds every one of the trigrams. Some of them may not hold the text they
// were cut from.
func (s *Store) candidates(ctx context.Context, kind audit.Kind, words []string, after, upTo int64, limit int) ([]int64, error) {
	q, end, err := begin(ctx, s.ro) // one snapshot: lots are merged meanwhile
	if err != nil {
		return nil, err
	}
	defer end()
	all, err := lots(ctx, q, kind, after)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(l lot) bool { return l.First > upTo })
	slices.Reverse(all)
	keys := make([]trigram.Key, len(words))
	for i, w := range words {
		keys[i] = trigram.KeyOf(w)
	}
	if keys, err = rarestFirst(ctx, q, all, keys); err != nil {
		return nil, err
	}
	var found []int64
	for _, n := range lotBatches {
		some := all[:min(n, len(all))]
		all = all[len(some):]
		rows, err := findRows(ctx, q, some, keys)
		if err != nil {
			return nil, err
		}
		for i, l := range some {
			if len(rows[i]) == 0 {
				continue
			}
			seqs, err := s.lots.get(ctx, q, l)
			if err != nil {
				return nil, err
			}
			of := seqs.of(rows[i])
			for _, seq := range slices.Backward(of) {
				if seq > after && seq <= upTo {
					if found = append(found, seq); len(found) == limit {
						return found, nil
					}
				}
			}
		}
	}
	return found, nil
}

// rarestFirst puts the keys first that few rows have, as far as the newest large
// lot can tell: with them most lots are done with.
func rarestFirst(ctx context.Context, q sqlx.QueryerContext, all []lot, keys []trigram.Key) ([]trigram.Key, error) {
	at := slices.IndexFunc(all, func(l lot) bool { return l.Rows >= lotRows })
	if at < 0 || len(all) < 4 || len(keys) < 2 {
		return keys, nil
	}
	often := map[trigram.Key]int{}
	for _, k := range keys {
		rows, err := findRows(ctx, q, all[at:at+1], []trigram.Key{k})
		if err != nil {
			return nil, err
		}
		often[k] = len(rows[0])
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b trigram.Key) int { return often[a] - often[b] })
	return keys, nil
}

// fewRows are looked at sooner than another part of the index.
const fewRows = 12

// findRows returns the rows of each lot that have all of the keys, or few that
// have some of them.
func findRows(ctx context.Context, q sqlx.QueryerContext, some []lot, keys []trigram.Key) ([][]uint16, error) {
	rows := make([][]uint16, len(some))
	at := map[int64]int{}
	for i, l := range some {
		at[l.Number] = i
	}
	open := slices.Clone(some)
	for i, k := range keys {
		if len(open) == 0 {
			break
		}
		// The part in which the key is, if it is anywhere, is the last one that
		// does not begin behind it.
		list := make([]byte, 0, 24*len(open))
		for j, l := range open {
			list = fmt.Appendf(list, "%c%d", "[,"[min(j, 1)], partID(l.Number, k))
		}
		list = append(list, ']')
		next, seen := open[:0:0], map[int]bool{}
		err := eachRow(ctx, q, "SELECT p.id, p.data FROM json_each(?) j JOIN search_part p ON p.id = (SELECT max(id) FROM search_part WHERE id <= j.value)",
			[]any{string(list)}, func(r scanner) error {
				var id int64
				var data sql.RawBytes
				if err := r.Scan(&id, &data); err != nil {
					return err
				}
				lotAt, ok := at[id>>trigram.KeyBits]
				if !ok {
					return nil // of a lot before: this one has none
				}
				part := trigram.Part{First: trigram.Key(id & (1<<trigram.KeyBits - 1)), Data: data}
				found := part.Find(k)
				if i > 0 {
					found = intersect(rows[lotAt], found)
				}
				rows[lotAt], seen[lotAt] = found, true
				if len(found) > fewRows || len(some) == 1 && len(found) > 0 {
					next = append(next, some[lotAt])
				}
				return nil
			})
		if err != nil {
			return nil, err
		}
		for _, l := range open {
			if lotAt := at[l.Number]; !seen[lotAt] {
				rows[lotAt] = nil
			}
		}
		open = next
	}
	return rows, nil
}

// intersect returns what two rising lists have in common, in the place of a.
func intersect(a, b []uint16) []uint16 {
	kept, j := a[:0], 0
	for _, row := range a {
		for j < len(b) && b[j] < row {
			j++
		}
		if j < len(b) && b[j] == row {
			kept = append(kept, row)
		}
	}
	return kept
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
	tx, end, err := begin(ctx, s.back)
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
			for _, run := range runs {
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
	condition, argument := s.dialect.among("l.seq", asked)
	rows, err := s.textRows(ctx, tx, kind, condition, argument)
	texts := make(map[int][]byte, len(rows))
	for _, r := range rows {
		if row, ok := slices.BinarySearch(seqs, r.seq); ok {
			texts[row] = r.text
		}
	}
	return texts, err
}
