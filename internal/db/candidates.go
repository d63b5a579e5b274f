package db

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// lotBatches is how many lots are asked at once, newest first: a word that is
// frequent is found in the first few.
var lotBatches = []int{2, 16, 1 << 30}

// candidates returns the ledger's seq of at most limit events of a kind that
// were recorded after one seq and up to another, newest first, whose searchable
// text holds every one of the trigrams. Some of them may not hold the text they
// were cut from. It returns the trigrams too, where order is set the rarest first.
func (s *Store) candidates(ctx context.Context, kind audit.Kind, keys []trigram.Key, order bool, after, upTo int64, limit int) ([]int64, []trigram.Key, error) {
	q, end, err := begin(ctx, s.ro) // one snapshot: lots are merged meanwhile
	if err != nil {
		return nil, keys, err
	}
	defer end()
	all, err := lotsWithin(ctx, q, kind, after, upTo)
	if err != nil {
		return nil, keys, err
	}
	slices.Reverse(all)
	if order {
		if keys, err = rarestFirst(ctx, s.dialect, q, all, keys); err != nil {
			return nil, keys, err
		}
	}
	found, err := s.candidatesIn(ctx, q, all, keys, after, upTo, limit)
	return found, keys, err
}

// candidatesIn is candidates in lots, newest first.
func (s *Store) candidatesIn(ctx context.Context, q sqlx.QueryerContext, all []lot, keys []trigram.Key, after, upTo int64, limit int) ([]int64, error) {
	var found []int64
	for _, n := range lotBatches {
		some := all[:min(n, len(all))]
		all = all[len(some):]
		rows, err := findRows(ctx, s.dialect, q, some, keys)
		if err != nil {
			return nil, err
		}
		var with []lot
		for i, l := range some {
			if len(rows[i]) > 0 {
				with = append(with, l)
			}
		}
		places, err := s.lots.get(ctx, s.dialect, q, with)
		if err != nil {
			return nil, err
		}
		for i, l := range some {
			if len(rows[i]) == 0 {
				continue
			}
			of := places[l].of(rows[i])
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

// candidatesAtOnce returns the seq of all events of a kind that were recorded after
// one seq and up to another and whose text can hold every one of a few trigrams,
// rising, and up to where the text index goes. It asks one question, which suits a
// stretch of a few lots. The error is errChanged where a lot was merged just then.
func (s *Store) candidatesAtOnce(ctx context.Context, kind audit.Kind, keys []trigram.Key, after, upTo int64) (seqs []int64, indexed int64, err error) {
	numbers := make([]int64, len(keys))
	for i, k := range keys {
		numbers[i] = int64(k)
	}
	list, argument := s.dialect.list(numbers)
	rows := map[lot][][]uint16{}
	var mark sql.NullString
	err = eachRow(ctx, s.ro, "SELECT m.mark, x.lot, x.first, x.last, x.rows, x.key, x.id, x.data FROM (SELECT (SELECT value FROM meta WHERE key = ?) AS mark) m"+
		" LEFT JOIN (SELECT l.lot, l.first, l.last, l.rows, j.key, p.id, p.data FROM search_lot l CROSS JOIN "+list+" j JOIN search_part p"+
		" ON p.id = (SELECT max(id) FROM search_part WHERE id <= (l.lot << "+strconv.Itoa(trigram.KeyBits)+") + j.value)"+
		" WHERE l.kind = ? AND l.ready = 1 AND l.last > ? AND l.first <= ?) x ON TRUE",
		[]any{"search:" + string(kind), argument, kind, after, upTo}, func(r scanner) error {
			var number, first, last, count, key, id sql.NullInt64
			var data sql.RawBytes
			if err := r.Scan(&mark, &number, &first, &last, &count, &key, &id, &data); err != nil || !number.Valid {
				return err
			}
			l := lot{number.Int64, first.Int64, last.Int64, int(count.Int64)}
			if rows[l] == nil {
				rows[l] = make([][]uint16, len(keys))
			}
			if id.Int64>>trigram.KeyBits == l.Number { // else it is of a lot before, and this one has none
				part := trigram.Part{First: trigram.Key(id.Int64 & (1<<trigram.KeyBits - 1)), Data: data}
				rows[l][key.Int64] = part.Find(keys[key.Int64])
			}
			return nil
		})
	if err != nil || !mark.Valid {
		return nil, 0, err
	}
	if indexed, err = parseMark(kind, mark.String); err != nil {
		return nil, 0, err
	}
	var with []lot
	for l, of := range rows {
		for _, found := range of[1:] {
			of[0] = intersect(of[0], found)
		}
		if len(of[0]) > 0 {
			with = append(with, l)
		}
	}
	places, err := s.lots.get(ctx, s.dialect, s.ro, with)
	if errors.Is(err, sql.ErrNoRows) {
		err = errChanged
	}
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(with, func(a, b lot) int { return cmp.Compare(a.First, b.First) })
	for _, l := range with {
		for _, seq := range places[l].of(rows[l][0]) {
			if seq > after && seq <= upTo {
				seqs = append(seqs, seq)
			}
		}
	}
	return seqs, indexed, nil
}

// rarestFirst puts the keys first that few rows have, as far as the newest large
// lot can tell: with them most lots are done with.
func rarestFirst(ctx context.Context, d dialect, q sqlx.QueryerContext, all []lot, keys []trigram.Key) ([]trigram.Key, error) {
	at := slices.IndexFunc(all, func(l lot) bool { return l.Rows >= lotRows })
	if at < 0 || len(keys) < 2 {
		return keys, nil
	}
	found, err := rowsOfKeys(ctx, d, q, all[at:at+1], keys)
	if err != nil {
		return nil, err
	}
	often := map[trigram.Key]int{}
	for i, k := range keys {
		often[k] = len(found[0][i])
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b trigram.Key) int { return often[a] - often[b] })
	return keys, nil
}

// fewRows are looked at sooner than another part of the index.
const fewRows = 12

// findRows returns the rows of each lot that have all of the keys, or few that
// have some of them.
func findRows(ctx context.Context, d dialect, q sqlx.QueryerContext, some []lot, keys []trigram.Key) ([][]uint16, error) {
	rows := make([][]uint16, len(some))
	open := make([]int, len(some))
	for i := range open {
		open[i] = i
	}
	for first := true; len(keys) > 0 && len(open) > 0; first = false {
		asked := make([]lot, len(open))
		for i, at := range open {
			asked[i] = some[at]
		}
		now := keys[:min(len(keys), max(1, d.partsAtOnce()/len(open)))]
		keys = keys[len(now):]
		found, err := rowsOfKeys(ctx, d, q, asked, now)
		if err != nil {
			return nil, err
		}
		next := open[:0:0]
		for i, at := range open {
			for j, of := range found[i] {
				if first && j == 0 {
					rows[at] = of
				} else {
					rows[at] = intersect(rows[at], of)
				}
			}
			if n := len(rows[at]); n > fewRows || len(some) == 1 && n > 0 {
				next = append(next, at)
			}
		}
		open = next
	}
	return rows, nil
}

// rowsOfKeys returns the rows of each lot that have each of the keys.
func rowsOfKeys(ctx context.Context, d dialect, q sqlx.QueryerContext, some []lot, keys []trigram.Key) ([][][]uint16, error) {
	rows := make([][][]uint16, len(some))
	// The part in which a key is, if it is anywhere, is the last one that does not
	// begin behind it.
	var parts []int64
	for i, l := range some {
		rows[i] = make([][]uint16, len(keys))
		for _, k := range keys {
			parts = append(parts, partID(l.Number, k))
		}
	}
	list, argument := d.list(parts)
	err := eachRow(ctx, q, "SELECT j.key, p.id, p.data FROM "+list+" j JOIN search_part p ON p.id = (SELECT max(id) FROM search_part WHERE id <= j.value)",
		[]any{argument}, func(r scanner) error {
			var at int
			var id int64
			var data sql.RawBytes
			if err := r.Scan(&at, &id, &data); err != nil {
				return err
			}
			l, k := at/len(keys), at%len(keys)
			if id>>trigram.KeyBits != some[l].Number {
				return nil // of a lot before: this one has none
			}
			part := trigram.Part{First: trigram.Key(id & (1<<trigram.KeyBits - 1)), Data: data}
			rows[l][k] = part.Find(keys[k])
			return nil
		})
	return rows, err
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

// get returns the places of lots, and reads at once what it does not have.
func (c *lotCache) get(ctx context.Context, d dialect, q sqlx.QueryerContext, lots []lot) (map[lot]*lotSeqs, error) {
	all, unknown := map[lot]*lotSeqs{}, map[int64]lot{}
	var numbers []int64
	c.mu.Lock()
	for _, l := range lots {
		if seqs := c.lots[l]; seqs != nil {
			all[l] = seqs
		} else {
			unknown[l.Number], numbers = l, append(numbers, l.Number)
		}
	}
	c.mu.Unlock()
	if len(numbers) == 0 {
		return all, nil
	}
	condition, args := d.among("lot", numbers)
	err := eachRow(ctx, q, "SELECT lot, seqs FROM search_lot WHERE "+condition, args, func(r scanner) error {
		var number int64
		var packed []byte
		err := r.Scan(&number, &packed)
		all[unknown[number]] = newLotSeqs(packed)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range unknown {
		if all[l] == nil {
			return nil, fmt.Errorf("read lot %d of the text index: %w", l.Number, sql.ErrNoRows)
		}
		if c.lots == nil || len(c.lots) >= lotCacheSize {
			c.lots = map[lot]*lotSeqs{}
		}
		c.lots[l] = all[l]
	}
	return all, nil
}
