package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// segmentRows is how many events a segment holds.
const segmentRows = 1 << 16

// columns mirrors in memory, for every event, the fields that are filtered and
// counted exactly. What it holds is derived: the ledger says what is new since
// it last looked, so it is right at every moment and beside other programs.
//
// Readers take a view, which never changes; the one that refreshes makes new
// views. So a page sees one state of the data from its first query to its last.
type columns struct {
	mu    sync.Mutex   // held by whoever refreshes
	head  atomic.Int64 // the ledger's seq up to which the views are complete
	kinds map[audit.Kind]*kindColumns
}

// kindColumns is one kind: its columns by field and its current view.
type kindColumns struct {
	kind    audit.Kind
	names   []string // of the coded columns, as they are read
	index   map[string]int
	dicts   []*dictionary
	numbers []string // of the numeric columns
	view    atomic.Pointer[view]

	resolved, resolvedBy int // columns of a system event, else -1
}

// view is the state of one kind up to a seq of the ledger.
type view struct {
	head     int64
	spread   int64 // microseconds that ids may run ahead of their timestamps
	segments []*segment
	count    int // of events that are not deleted
}

// segment is a run of up to 65,536 events of a kind in the order of recording.
// A segment in a view never changes: growing or changing one makes a new header
// over the same or copied arrays.
type segment struct {
	ids          []int64
	seqs         []int64
	codes        [][]uint32      // by column
	nums         [][]int64       // by numeric column; absent is math.MinInt64
	over         map[int64]int64 // id to timestamp, of the ids that ran ahead of theirs
	alive        bitset          // nil while nothing was deleted
	order        []uint16        // rows by rising id; nil while the order of recording is that
	minID, maxID int64
}

func newColumns() *columns {
	c := &columns{kinds: map[audit.Kind]*kindColumns{}}
	for _, kind := range audit.Kinds() {
		k := &kindColumns{kind: kind, index: map[string]int{}, resolved: -1, resolvedBy: -1}
		add := func(field string, addresses bool) {
			if _, ok := k.index[field]; !ok {
				k.index[field] = len(k.names)
				k.names = append(k.names, field)
				k.dicts = append(k.dicts, newDictionary(addresses))
			}
		}
		for _, f := range query.Fields(kind) {
			switch f.Class {
			case query.ClassValue, query.ClassState, query.ClassAddress:
				for _, field := range f.Columns {
					add(field, f.Class == query.ClassAddress)
				}
			case query.ClassNumber:
				k.numbers = append(k.numbers, f.Columns...)
			case query.ClassText:
				for _, field := range f.Columns {
					if fields := kind.Fields(); fields[kind.Index(field)].Type == audit.Text {
						k.addFilled(field)
					}
				}
			}
		}
		if kind == audit.KindSystemEvent {
			add("resolved", false)
			add("resolved_by", false)
			k.resolved, k.resolvedBy = k.index["resolved"], k.index["resolved_by"]
		}
		k.view.Store(&view{})
		c.kinds[kind] = k
	}
	return c
}

// addFilled adds the column that says of a text only whether there is any.
func (k *kindColumns) addFilled(field string) {
	if _, ok := k.index[filled+field]; !ok {
		k.index[filled+field] = len(k.names)
		k.names = append(k.names, field+" <> ''")
		k.dicts = append(k.dicts, newDictionary(false))
	}
}

// filled begins the names of those columns.
const filled = "filled:"

// view returns the state of a kind as of now.
func (s *Store) view(ctx context.Context, kind audit.Kind) (*view, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.columns.kinds[kind].view.Load(), nil
}

// refresh brings the columns up to the ledger's head.
func (s *Store) refresh(ctx context.Context) error {
	var head sql.NullInt64
	if err := s.ro.GetContext(ctx, &head, "SELECT max(seq) FROM ledger"); err != nil {
		return fmt.Errorf("read the ledger's head: %w", s.dialect.classify(err))
	}
	c := s.columns
	if head.Int64 <= c.head.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if head.Int64 <= c.head.Load() {
		return nil
	}
	tx, end, err := begin(ctx, s.ro)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", s.dialect.classify(err))
	}
	defer end()
	if err := c.load(ctx, tx); err != nil {
		return fmt.Errorf("read the ledger: %w", s.dialect.classify(err))
	}
	return nil
}

// loadWhole is how many new entries make reading the tables from end to end
// cheaper than looking each event up.
const loadWhole = 20_000

// load reads what is new since the last time, in one snapshot of the database.
func (c *columns) load(ctx context.Context, tx *sqlx.Tx) error {
	known := c.head.Load()
	var head int64
	if err := tx.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return err
	}
	views := map[audit.Kind]*view{} // shown when all are there: a try that failed half way is made again
	for _, kind := range audit.Kinds() {
		k := c.kinds[kind]
		news, err := k.read(ctx, tx, known, head)
		if err != nil {
			return err
		}
		changes, err := k.readDecisions(ctx, tx, known, head)
		if err != nil {
			return err
		}
		var spread string
		err = tx.GetContext(ctx, &spread, "SELECT value FROM meta WHERE key = ?", "spread:"+string(kind))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		old := k.view.Load()
		v := &view{head: head, segments: old.segments, count: old.count}
		v.spread, _ = strconv.ParseInt(spread, 10, 64)
		v.grow(k, news)
		for _, ch := range changes {
			v.change(k, ch)
		}
		views[kind] = v
	}
	for kind, v := range views {
		c.kinds[kind].view.Store(v)
	}
	c.head.Store(head)
	return nil
}

// columnRow is what the columns keep of one event.
type columnRow struct {
	id, seq, micros int64
	codes           []uint32
	nums            []int64
}

// ranAhead reports whether so many events share the timestamp that the id stands
// in a later microsecond.
func (r columnRow) ranAhead() bool { return r.micros != r.id>>idBits }

// read returns the events recorded since known, in the order of recording.
func (k *kindColumns) read(ctx context.Context, tx *sqlx.Tx, known, head int64) ([]columnRow, error) {
	names := ""
	for _, n := range k.names {
		names += ", e." + n
	}
	for _, n := range k.numbers {
		names += ", e." + n
	}
	whole := head-known > loadWhole
	statement := "SELECT e.id, e.seq, e.timestamp" + names + " FROM ledger l JOIN " + string(k.kind) + " e ON e.id = l.id" +
		" WHERE l.seq > ? AND l.seq <= ? AND l.kind = ? AND l.entry = 'created' ORDER BY l.seq"
	args := []any{known, head, k.kind}
	if whole {
		statement = "SELECT e.id, e.seq, e.timestamp" + names + " FROM " + string(k.kind) + " e WHERE e.seq > ? AND e.seq <= ?"
		args = args[:2]
	}
	var all []columnRow
	texts := make([]sql.RawBytes, len(k.names)+len(k.numbers))
	row := columnRow{}
	var timestamp string
	dest := []any{&row.id, &row.seq, &timestamp}
	for i := range texts {
		dest = append(dest, &texts[i])
	}
	err := eachRow(ctx, tx, statement, args, func(r scanner) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		got := columnRow{id: row.id, seq: row.seq, micros: row.id >> idBits, codes: make([]uint32, len(k.names)), nums: make([]int64, len(k.numbers))}
		if t, err := audit.ParseTime(timestamp); err == nil {
			got.micros = t.UnixMicro()
		}
		for i := range k.names {
			got.codes[i] = k.dicts[i].code(string(texts[i]))
		}
		for i := range k.numbers {
			n, err := strconv.ParseInt(string(texts[len(k.names)+i]), 10, 64)
			if err != nil {
				n = math.MinInt64
			}
			got.nums[i] = n
		}
		all = append(all, got)
		return nil
	})
	if whole {
		slices.SortFunc(all, func(a, b columnRow) int { return cmp.Compare(a.seq, b.seq) })
	}
	return all, err
}

// columnChange is what a decision changed in the columns.
type columnChange struct {
	id, seq              int64 // seq of the decision
	deleted              bool
	resolved, resolvedBy uint32
}

func (k *kindColumns) readDecisions(ctx context.Context, tx *sqlx.Tx, known, head int64) ([]columnChange, error) {
	if known == 0 {
		return nil, nil // the rows read from the tables have them in
	}
	var all []columnChange
	err := eachRow(ctx, tx, "SELECT seq, id, entry FROM ledger WHERE seq > ? AND seq <= ? AND kind = ? AND entry <> 'created' ORDER BY seq",
		[]any{known, head, k.kind}, func(r scanner) error {
			var ch columnChange
			var entry string
			if err := r.Scan(&ch.seq, &ch.id, &entry); err != nil {
				return err
			}
			ch.deleted = entry == "deleted"
			if ch.deleted || entry == "resolved" || entry == "reopened" {
				all = append(all, ch)
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].deleted || k.resolved < 0 {
			continue
		}
		var resolved int64
		var by string
		err := tx.QueryRowxContext(ctx, "SELECT resolved, resolved_by FROM system_event WHERE id = ?", all[i].id).Scan(&resolved, &by)
		if errors.Is(err, sql.ErrNoRows) {
			all[i].deleted = true
			continue
		}
		if err != nil {
			return nil, err
		}
		all[i].resolved = k.dicts[k.resolved].code(strconv.FormatInt(resolved, 10))
		all[i].resolvedBy = k.dicts[k.resolvedBy].code(by)
	}
	return all, nil
}

// grow adds events to the view, whose segments are shared with older views.
func (v *view) grow(k *kindColumns, rows []columnRow) {
	if len(rows) == 0 {
		return
	}
	v.segments = slices.Clone(v.segments)
	v.count += len(rows)
	for len(rows) > 0 {
		var tail *segment
		if n := len(v.segments); n > 0 && len(v.segments[n-1].ids) < segmentRows {
			copied := *v.segments[n-1]
			tail = &copied
			v.segments[n-1] = tail
		} else {
			tail = &segment{codes: make([][]uint32, len(k.names)), nums: make([][]int64, len(k.numbers)), minID: math.MaxInt64}
			v.segments = append(v.segments, tail)
		}
		n := min(len(rows), segmentRows-len(tail.ids))
		tail.add(rows[:n])
		rows = rows[n:]
	}
}

// add appends rows to a fresh header of a segment. Appending never writes below
// the length that older headers see; what has to change below it is copied.
func (s *segment) add(rows []columnRow) {
	old := len(s.ids)
	rising := s.order == nil
	if slices.ContainsFunc(rows, columnRow.ranAhead) {
		s.over = maps.Clone(s.over)
		if s.over == nil {
			s.over = map[int64]int64{}
		}
	}
	for _, r := range rows {
		if r.id < s.maxID {
			rising = false
		}
		s.minID, s.maxID = min(s.minID, r.id), max(s.maxID, r.id)
		s.ids = append(s.ids, r.id)
		s.seqs = append(s.seqs, r.seq)
		for c := range s.codes {
			s.codes[c] = append(s.codes[c], r.codes[c])
		}
		for c := range s.nums {
			s.nums[c] = append(s.nums[c], r.nums[c])
		}
		if r.ranAhead() {
			s.over[r.id] = r.micros
		}
	}
	if s.alive != nil {
		s.alive = append(s.alive.clone(), newBitset(len(s.ids))[len(s.alive):]...)
		s.alive.setRange(old, len(s.ids))
	}
	if !rising {
		s.order = make([]uint16, len(s.ids))
		for i := range s.order {
			s.order[i] = uint16(i)
		}
		slices.SortFunc(s.order, func(a, b uint16) int { return cmp.Compare(s.ids[a], s.ids[b]) })
	}
}

// change applies a decision to the view.
func (v *view) change(k *kindColumns, ch columnChange) {
	for i, s := range v.segments {
		row, ok := s.find(ch.id)
		if !ok || !s.isAlive(row) || s.seqs[row] > ch.seq {
			continue
		}
		copied := *s
		switch {
		case ch.deleted:
			if copied.alive = s.alive.clone(); s.alive == nil {
				copied.alive = fullBitset(len(s.ids))
			}
			copied.alive.clear(row)
			v.count--
		case k.resolved >= 0:
			copied.codes = slices.Clone(s.codes)
			for c, code := range map[int]uint32{k.resolved: ch.resolved, k.resolvedBy: ch.resolvedBy} {
				copied.codes[c] = slices.Clone(s.codes[c])
				copied.codes[c][row] = code
			}
		}
		v.segments = slices.Clone(v.segments)
		v.segments[i] = &copied
		return
	}
}

// len is the number of rows, deleted ones included.
func (s *segment) len() int { return len(s.ids) }

// at returns the row at a place of the order of ids.
func (s *segment) at(place int) int {
	if s.order == nil {
		return place
	}
	return int(s.order[place])
}

// search returns the first place in the order of ids whose id is not below id.
func (s *segment) search(id int64) int {
	lo, hi := 0, len(s.ids)
	for lo < hi {
		mid := (lo + hi) / 2
		if s.ids[s.at(mid)] < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// find returns the row of an id.
func (s *segment) find(id int64) (row int, ok bool) {
	if id < s.minID || id > s.maxID {
		return 0, false
	}
	place := s.search(id)
	if place == len(s.ids) || s.ids[s.at(place)] != id {
		return 0, false
	}
	return s.at(place), true
}

// rowOf returns the row recorded as seq.
func (s *segment) rowOf(seq int64) (row int, ok bool) {
	return slices.BinarySearch(s.seqs, seq)
}

func (s *segment) isAlive(row int) bool { return s.alive == nil || s.alive.has(row) }

// micros is the exact timestamp of a row.
func (s *segment) micros(row int) int64 {
	id := s.ids[row]
	if s.over != nil {
		if m, ok := s.over[id]; ok {
			return m
		}
	}
	return id >> idBits
}

// living marks every row that is not deleted. The caller may change it.
func (s *segment) living() bitset {
	if s.alive == nil {
		return fullBitset(len(s.ids))
	}
	return s.alive.clone()
}
