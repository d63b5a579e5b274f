package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/segment"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// textHits is what is known of one needle.
type textHits struct {
	turn     turn
	head     int64   // complete up to this seq
	seqs     []int64 // of the rows that hold it, rising
	frequent bool
	checked  map[int64]bool // of a frequent needle: what rows that were walked over said
	keys     sync.Map       // by value of the needle: its []trigram.Key to ask for, the rarest first
}

// textCache keeps what was found for the needles asked for last. Rows never
// change, so it only ever has to look at what is new.
type textCache struct {
	mu   sync.Mutex
	hits map[string]*textHits
	used []string // least recently first
}

func newTextCache() *textCache { return &textCache{hits: map[string]*textHits{}} }

func (c *textCache) get(key string) *textHits {
	const size = 64
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.used, key); i >= 0 {
		c.used = append(slices.Delete(c.used, i, i+1), key)
		return c.hits[key]
	}
	if len(c.used) == size {
		delete(c.hits, c.used[0])
		c.used = slices.Delete(c.used, 0, 1)
	}
	h := &textHits{turn: newTurn(), checked: map[int64]bool{}}
	c.hits[key] = h
	c.used = append(c.used, key)
	return h
}

// forget drops everything known, when the text of a row has gone.
func (c *textCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits, c.used = map[string]*textHits{}, nil
}

// findText returns the rows of each segment of a view that hold the needle, or
// nil if that would take more rows than the budget.
func (s *Store) findText(ctx context.Context, kind audit.Kind, v *view, n *needle) ([]segment.Set, error) {
	if n.short {
		return nil, nil
	}
	h := s.texts.get(n.key)
	if err := h.turn.take(ctx); err != nil {
		return nil, fmt.Errorf("search text: %w", s.readDialect.classify(err))
	}
	defer h.turn.leave()
	if h.frequent {
		return nil, nil
	}
	if h.head < v.head {
		if err := s.extend(ctx, kind, v, n, h); errors.Is(err, errBehind) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("search text: %w", s.readDialect.classify(err))
		}
		if h.frequent {
			return nil, nil
		}
	}
	sets := make([]segment.Set, len(v.segments))
	for i, p := range v.segments {
		sets[i] = p.BySeq(h.seqs)
	}
	return sets, nil
}

// canHold returns the rows of a segment that can hold a needle, and reports
// whether the answer lasts: what is not indexed yet can hold anything.
func (s *Store) canHold(ctx context.Context, kind audit.Kind, p *piece, n *needle) (set segment.Set, lasts bool, err error) {
	all := segment.All(p.Len())
	if n.short {
		return all, false, nil
	}
	set = segment.None(p.Len())
	indexed := int64(math.MaxInt64)
	for _, value := range n.values {
		seqs, mark, err := s.valueCandidates(ctx, kind, n, value.Folded, p.lo, p.hi)
		if err != nil {
			return all, false, fmt.Errorf("search text: %w", s.readDialect.classify(err))
		}
		if p.lo >= mark {
			return all, false, nil
		}
		indexed = min(indexed, mark)
		set = set.Or(p.BySeq(seqs))
	}
	if p.hi > indexed {
		set = set.Or(p.Recorded(indexed+1, math.MaxInt64))
	}
	return set, p.hi <= indexed, nil
}

// valueCandidates returns the seq of the events recorded after one seq and up to
// another that can hold one value of a needle, rising, and up to where the text index
// goes. Which of its trigrams to ask for is found out once.
func (s *Store) valueCandidates(ctx context.Context, kind audit.Kind, n *needle, value string, after, upTo int64) (seqs []int64, mark int64, err error) {
	hits := s.texts.get(n.key)
	keys := hits.keysOf(value)
	if keys != nil {
		seqs, mark, err = s.candidatesAtOnce(ctx, kind, keys, after, upTo)
		if !errors.Is(err, errChanged) {
			return seqs, mark, err
		}
	}
	if mark, err = searchMark(ctx, s.ro, kind); err != nil || after >= mark {
		return nil, mark, err
	}
	order := keys == nil
	if order {
		keys = trigramKeys(value)
	}
	if seqs, keys, err = s.candidates(ctx, kind, keys, order, after, min(upTo, mark), math.MaxInt); err != nil {
		return nil, mark, err
	}
	if order {
		hits.keys.Store(value, keys[:min(len(keys), enoughKeys)])
	}
	slices.Reverse(seqs)
	return seqs, mark, nil
}

// enoughKeys of a frequent text, the rarest of them, tell about as well which rows
// can hold it as all would.
const enoughKeys = 2

// keysOf returns the trigrams to ask for, where they are known.
func (h *textHits) keysOf(value string) []trigram.Key {
	keys, _ := h.keys.Load(value)
	some, _ := keys.([]trigram.Key)
	return some
}

// errBehind says that the text index is too far behind to be of use just now.
var errBehind = errors.New("the text index is behind")

// extend looks for a needle in what was recorded since it was looked for last:
// through the trigrams as far as they go, and beyond them in the rows.
func (s *Store) extend(ctx context.Context, kind audit.Kind, v *view, n *needle, h *textHits) error {
	indexed, err := searchMark(ctx, s.ro, kind)
	if err != nil {
		return err
	}
	var rows []rowPlace
	add := func(seq int64) {
		if p, ok := v.bySeq(seq); ok {
			rows = append(rows, p)
		}
	}
	budget := textBudget
	if v.count > farRows {
		budget = textBudgetFar
	}
	if v.rowsAfter(max(indexed, h.head), budget) > budget {
		return errBehind
	}
	if h.head < indexed {
		seen := map[int64]bool{}
		for _, value := range n.values {
			seqs, err := s.allCandidates(ctx, kind, trigramKeys(value.Folded), h.head, indexed, budget)
			if err != nil {
				return err
			}
			for _, seq := range seqs {
				if seq <= indexed && !seen[seq] {
					seen[seq] = true
					add(seq)
				}
			}
			if len(seqs) > budget || len(seen) > budget {
				h.frequent = true
				return nil
			}
		}
	}
	for i, p := range v.segments {
		if from := max(indexed, h.head); p.hi > from {
			p.Recorded(from+1, math.MaxInt64).And(p.Living()).Each(func(row int) { rows = append(rows, rowPlace{i, row}) })
		}
	}
	found, err := s.check(ctx, v, n, rows)
	if err != nil {
		return err
	}
	for i, ok := range found {
		if ok {
			h.seqs = append(h.seqs, rows[i].seq(v))
		}
	}
	slices.Sort(h.seqs)
	h.head = v.head
	return nil
}

// allCandidates returns more candidates than the budget or all of them. Over a
// long stretch of the ledger it asks for the two halves at once.
func (s *Store) allCandidates(ctx context.Context, kind audit.Kind, keys []trigram.Key, after, upTo int64, budget int) ([]int64, error) {
	const long = 500_000
	find := func(after, upTo int64) ([]int64, error) {
		seqs, _, err := s.candidates(ctx, kind, keys, true, after, upTo, budget+1)
		return seqs, err
	}
	if upTo-after < long {
		return find(after, upTo)
	}
	// A frequent word shows in what is newest, without a look at the rest.
	newest, err := find(upTo-long/4, upTo)
	if err != nil || len(newest) > budget {
		return newest, err
	}
	upTo -= long / 4
	ends := []int64{upTo, after + (upTo-after)/2, after}
	var older [2][]int64
	err = together(len(older), func(i int) (err error) {
		older[i], err = find(ends[i+1], ends[i])
		return err
	})
	return slices.Concat(newest, older[0], older[1]), err
}

// heavyChecks is how many searches may read many rows at the same time. The
// others wait, and light pages pass by them.
const heavyChecks = 2

// lightRows are read without waiting.
const lightRows = 256

// check reads rows and reports which of them hold the needle, two parts at a
// time. A row that was deleted meanwhile does not.
func (s *Store) check(ctx context.Context, v *view, n *needle, rows []rowPlace) ([]bool, error) {
	if len(rows) > lightRows {
		select {
		case s.checks <- struct{}{}:
			defer func() { <-s.checks }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	found := make([]bool, len(rows))
	byID := make([]int, len(rows)) // in the order of ids, which is the order on disk
	for i := range byID {
		byID[i] = i
	}
	slices.SortFunc(byID, func(a, b int) int { return cmp.Compare(rows[a].id(v), rows[b].id(v)) })
	const workers = 2
	err := together(workers, func(w int) error {
		return s.checkPart(ctx, v, n, rows, byID[len(byID)*w/workers:len(byID)*(w+1)/workers], found)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// checkPart checks some of the rows, whose places are in part, in the order of ids.
func (s *Store) checkPart(ctx context.Context, v *view, n *needle, rows []rowPlace, part []int, found []bool) error {
	var buf []byte
	for some := range slices.Chunk(part, joinedMost) {
		places := make(map[int64]int, len(some))
		ids := make([]int64, len(some))
		for i, at := range some {
			ids[i] = rows[at].id(v)
			places[ids[i]] = at
		}
		mark := func(id int64, in bool) {
			if at, ok := places[id]; ok {
				found[at] = in
			}
		}
		var err error
		if buf, ids, err = s.checkJoined(ctx, n, ids, buf, mark); err == nil {
			buf, err = s.checkEach(ctx, n, ids, buf, mark)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkJoined marks rows that the engine joins into one text, and returns the ids of
// those that have to be marked by checkEach.
func (s *Store) checkJoined(ctx context.Context, n *needle, ids []int64, buf []byte, mark func(id int64, in bool)) (_ []byte, rest []int64, err error) {
	r := n.reader
	condition, args := s.dialect.among("e.id", ids)
	all, ok, err := s.readInOne(ctx, s.ro, r.table.kind, r.names, condition, args)
	if err != nil || !ok {
		return buf, ids, err
	}
	values := make([]string, len(r.columns))
	for all.text != "" {
		id, long, ok := all.next()
		if !ok {
			return buf, ids, nil
		}
		if long {
			rest = append(rest, id)
			continue
		}
		all.column() // seq
		for i := range values {
			if values[i], ok = all.column(); !ok {
				return buf, ids, nil
			}
		}
		var in bool
		buf, in = heldBy(n, buf, values)
		mark(id, in)
	}
	return buf, rest, nil
}

// checkEach marks rows that are read one by one.
func (s *Store) checkEach(ctx context.Context, n *needle, ids []int64, buf []byte, mark func(id int64, in bool)) ([]byte, error) {
	if len(ids) == 0 {
		return buf, nil
	}
	var id int64
	values := make([]sql.RawBytes, len(n.reader.columns))
	dest := []any{&id}
	for i := range values {
		dest = append(dest, &values[i])
	}
	condition, args := s.dialect.among("e.id", ids)
	statement := "SELECT e.id" + n.reader.sql + " FROM " + string(n.reader.table.kind) + " e WHERE " + condition
	err := eachRow(ctx, s.ro, statement, args, func(row scanner) error {
		if err := row.Scan(dest...); err != nil {
			return err
		}
		var in bool
		buf, in = heldBy(n, buf, values)
		mark(id, in)
		return nil
	})
	return buf, err
}

// searchMark is the seq up to which a kind's trigrams are complete.
func searchMark(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind) (int64, error) {
	var mark []string
	if err := sqlx.SelectContext(ctx, q, &mark, "SELECT value FROM meta WHERE key = ?", "search:"+string(kind)); err != nil {
		return 0, err
	}
	if len(mark) == 0 {
		return 0, nil
	}
	return parseMark(kind, mark[0])
}

func parseMark(kind audit.Kind, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n == math.MaxInt64 {
		return 0, fmt.Errorf("meta search:%s is %q and should be a place in the ledger", kind, text)
	}
	return n, nil
}
