package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// columns mirrors, for every event, the fields that are filtered and counted
// exactly. What it holds is derived: the ledger says what is new since it last
// looked, so it is right at every moment and beside other programs.
//
// Readers take a view, which never changes; the one that refreshes makes new
// views. So a page sees one state of the data from its first query to its last.
type columns struct {
	mu     sync.Mutex           // held by whoever changes views
	head   atomic.Int64         // the ledger's seq up to which the views are complete
	past   atomic.Pointer[past] // that entry; nil on an engine that is nobody's but this machine's
	losses atomic.Int64         // of connections, when the ledger was last seen to have it
	kinds  map[audit.Kind]*kindColumns
	marks  *markCache
}

// kindColumns is one kind: its columns by field and its current view.
type kindColumns struct {
	kind    audit.Kind
	layout  segment.Layout
	exprs   []string // of the columns, as they are read
	index   map[string]int
	numbers []string // of the numeric columns
	names   []*names // of the columns: what facets call their words
	known   int64    // complete up to this seq; may be ahead of what the others know
	view    atomic.Pointer[view]
	words   int64      // bytes of words that a piece in memory is not to have more of: pieceWords
	sealing int64      // pieces up to this seq are being written to a file; 0 if none are
	during  []decision // what was decided about them meanwhile

	resolved, resolvedBy int // columns of a system event, else -1

	crossing sync.Mutex // held for crosses itself
	crosses  map[[2]int]*cross
}

// view is the state of one kind up to a seq of the ledger.
type view struct {
	head     int64
	spread   int64    // microseconds that ids may run ahead of their timestamps
	segments []*piece // in the order of recording, without gaps
	count    int      // of events that are not deleted
}

// piece is a segment and its place: it holds what was recorded after lo, up to
// hi. A piece never changes.
type piece struct {
	*segment.Segment
	lo, hi  int64
	file    string // where it lies; "" while it is in memory alone
	decided int64  // decisions up to this seq are in the file
	pending int    // decisions that are not
	since   int64  // the first of those
	erase   bool   // it holds something that is to be gone from a file, or not to come into one
}

func newColumns() *columns {
	c := &columns{kinds: map[audit.Kind]*kindColumns{}, marks: newMarkCache()}
	for _, kind := range audit.Kinds() {
		k := &kindColumns{kind: kind, index: map[string]int{}, words: pieceWords, resolved: -1, resolvedBy: -1, crosses: map[[2]int]*cross{}}
		add := func(name, expr string, addresses bool) {
			if _, ok := k.index[name]; !ok {
				k.index[name] = len(k.exprs)
				k.exprs = append(k.exprs, expr)
				k.layout.Texts = append(k.layout.Texts, segment.Text{Name: name, Addresses: addresses})
				k.names = append(k.names, newNames(len(k.names)))
			}
		}
		for _, f := range query.Fields(kind) {
			switch f.Class {
			case query.ClassValue, query.ClassState, query.ClassAddress:
				for _, field := range f.Columns {
					add(field, "e."+field, f.Class == query.ClassAddress)
				}
			case query.ClassNumber:
				k.numbers = append(k.numbers, f.Columns...)
			case query.ClassText:
				for _, field := range f.Columns {
					if fields := kind.Fields(); fields[kind.Index(field)].Type == audit.Text {
						add(filled+field, "CASE WHEN e."+field+" <> '' THEN 1 ELSE 0 END", false)
					}
				}
			}
		}
		k.layout.Numbers = len(k.numbers)
		if kind == audit.KindSystemEvent {
			add("resolved", "e.resolved", false)
			add("resolved_by", "e.resolved_by", false)
			k.resolved, k.resolvedBy = k.index["resolved"], k.index["resolved_by"]
		}
		k.view.Store(&view{})
		c.kinds[kind] = k
	}
	return c
}

// filled begins the names of the columns that say of a text only whether there
// is any.
const filled = "filled:"

// view returns the state of a kind as of now.
func (s *Store) view(ctx context.Context, kind audit.Kind) (*view, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.columns.kinds[kind].view.Load(), nil
}

// refreshStep is how many entries of the ledger one step of a refresh takes up:
// a multiple of what is sealed at once, so that what is made anew from the
// tables is sealed in full segments.
const refreshStep = 1 << 16

// refresh brings the columns up to the ledger's head.
func (s *Store) refresh(ctx context.Context) error {
	if err := s.sealed.open(ctx, s); err != nil {
		return fmt.Errorf("open the columns: %w", s.readDialect.classify(err))
	}
	if err := s.sameHistory(ctx); err != nil {
		return err
	}
	head, err := s.headNow(ctx)
	if err != nil {
		return err
	}
	c := s.columns
	if head <= c.head.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.head.Load() < head {
		err := s.refreshOnce(ctx)
		if errors.Is(err, errUnsettled) {
			return nil // what can be seen is shown, and the rest when it can be
		}
		if err != nil {
			return fmt.Errorf("read the ledger: %w", s.readDialect.classify(err))
		}
	}
	return nil
}

// refreshOnce takes up the next step, in one snapshot of the database. The
// caller holds mu.
func (s *Store) refreshOnce(ctx context.Context) error {
	c := s.columns
	tx, end, err := begin(ctx, s.back)
	if err != nil {
		return err
	}
	defer end()
	upTo := int64(math.MaxInt64)
	for _, k := range c.kinds {
		upTo = min(upTo, k.known+refreshStep)
	}
	var head int64
	if err := tx.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return err
	}
	upTo = min(upTo, head)
	next := &past{seq: upTo}
	if !s.dialect.embedded() {
		if before := c.past.Load(); before != nil {
			if err := s.follows(ctx, tx, before); err != nil {
				return err
			}
		}
		if err := tx.GetContext(ctx, &next.leaf, "SELECT leaf FROM ledger WHERE seq = ?", upTo); err != nil {
			return err
		}
	}
	least, most := c.extent()
	lately, err := newsOf(ctx, tx, least, max(most, upTo))
	if err != nil {
		return err
	}
	spreads, err := readSpreads(ctx, tx)
	if err != nil {
		return err
	}
	redacted := false
	views := map[audit.Kind]*view{} // shown when all are there: a try that failed half way is made again
	decided := map[audit.Kind][]decision{}
	for _, kind := range audit.Kinds() {
		k := c.kinds[kind]
		old := k.view.Load()
		v := &view{head: max(upTo, k.known), segments: old.segments, count: old.count, spread: spreads[kind]}
		if ids, some := lately.created[kind]; some && upTo > k.known {
			if fresh, known := s.recent.since(kind, k.known, upTo, head); known {
				k.take(v, fresh, upTo)
			} else {
				n, err := k.read(ctx, tx, v, k.known, upTo, ids)
				if err == nil {
					err = s.settled(ctx, tx, kind, k.known, upTo, n)
				}
				if err != nil {
					return err
				}
			}
		}
		var changes []decision
		if lately.decided[kind] {
			if changes, err = k.readDecisions(ctx, tx, v, old.head, v.head); err != nil {
				return err
			}
		}
		v.change(changes)
		views[kind], decided[kind] = v, changes
		redacted = redacted || slices.ContainsFunc(changes, func(d decision) bool { return d.redacted })
	}
	for kind, v := range views {
		k := c.kinds[kind]
		k.view.Store(v)
		k.known = v.head
		if k.sealing > 0 {
			k.during = append(k.during, decided[kind]...)
		}
	}
	if redacted { // perhaps by another program: which events held a text is not known any more
		s.texts.forget()
	}
	if next.leaf != nil {
		c.past.Store(next)
	}
	c.head.Store(upTo)
	s.recent.columnedUpTo(upTo)
	s.wakeSealer()
	return nil
}

// extent is up to where every kind is complete, and up to where the one that is
// furthest.
func (c *columns) extent() (least, most int64) {
	least = math.MaxInt64
	for _, k := range c.kinds {
		least, most = min(least, k.known, k.view.Load().head), max(most, k.known)
	}
	return least, most
}

// news is what a stretch of the ledger is about.
type news struct {
	created map[audit.Kind]idRange // where the ids of events lie that were recorded
	decided map[audit.Kind]bool    // of which kinds something was decided
}

type idRange struct{ lo, hi int64 }

// newsOf looks at the entries after one seq and up to another, so that nothing has to
// be read of a kind without news, nor of times without them.
func newsOf(ctx context.Context, tx sqlx.QueryerContext, after, upTo int64) (news, error) {
	n := news{map[audit.Kind]idRange{}, map[audit.Kind]bool{}}
	err := eachRow(ctx, tx, "SELECT kind, CASE WHEN entry = 'created' THEN 1 ELSE 0 END AS created, min(id), max(id) FROM ledger WHERE seq > ? AND seq <= ? GROUP BY 1, 2",
		[]any{after, upTo}, func(r scanner) error {
			var kind audit.Kind
			var created int
			var ids idRange
			err := r.Scan(&kind, &created, &ids.lo, &ids.hi)
			if created == 1 {
				n.created[kind] = ids
			} else {
				n.decided[kind] = true
			}
			return err
		})
	return n, err
}

const spreadKey = "spread:" // and the kind, in meta

func readSpreads(ctx context.Context, tx sqlx.QueryerContext) (map[audit.Kind]int64, error) {
	spreads := map[audit.Kind]int64{}
	err := eachRow(ctx, tx, "SELECT key, value FROM meta WHERE key BETWEEN ? AND ?", []any{spreadKey, spreadKey + "~"}, func(r scanner) error {
		var key, value string
		err := r.Scan(&key, &value)
		spreads[audit.Kind(strings.TrimPrefix(key, spreadKey))], _ = strconv.ParseInt(value, 10, 64)
		return err
	})
	return spreads, err
}

// builderRows is how many events are gathered for one segment: a power of two,
// so that a few of them fill one to the brim.
const builderRows = 1 << 14

// pieceWords is after how many bytes of words fewer events are gathered, and what is in
// memory is written to a file: each may have audit.MaxField of them.
const pieceWords = 32 << 20

// read adds to a view the events recorded after known, up to a seq, whose ids lie
// within a range, and returns how many they are.
func (k *kindColumns) read(ctx context.Context, tx sqlx.QueryerContext, v *view, known, upTo int64, ids idRange) (n int64, err error) {
	names := ""
	for _, n := range k.exprs {
		names += ", " + n
	}
	for _, n := range k.numbers {
		names += ", e." + n
	}
	// The sum keeps every engine from going through all events to look for the entry
	// of each: it is the other way round.
	statement := "SELECT e.id, e.seq, e.timestamp" + names + " FROM ledger l JOIN " + string(k.kind) + " e ON e.id = l.id AND e.seq = l.seq + 0" +
		" WHERE l.seq > ? AND l.seq <= ? AND l.kind = ? AND l.entry = 'created' AND e.id BETWEEN ? AND ? ORDER BY l.seq"
	values := make([]sql.RawBytes, len(k.exprs)+len(k.numbers))
	var id, seq int64
	var timestamp sql.RawBytes
	dest := []any{&id, &seq, &timestamp}
	for i := range values {
		dest = append(dest, &values[i])
	}
	b := k.builder(v)
	err = eachRow(ctx, tx, statement, []any{known, upTo, k.kind, ids.lo, ids.hi}, func(r scanner) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		b.add(id, seq, timestamp, values)
		n++
		return nil
	})
	if err != nil {
		return n, err
	}
	b.build(upTo)
	return n, nil
}

// take is read for events that are at hand.
func (k *kindColumns) take(v *view, fresh []recentRow, upTo int64) {
	b := k.builder(v)
	values := make([]sql.RawBytes, len(k.exprs)+len(k.numbers))
	var timestamp sql.RawBytes
	for _, row := range fresh {
		for i, t := range k.layout.Texts {
			if name, is := strings.CutPrefix(t.Name, filled); !is {
				values[i] = append(values[i][:0], row.read(k.kind, t.Name)...)
			} else if row.read(k.kind, name) != "" {
				values[i] = append(values[i][:0], '1')
			} else {
				values[i] = append(values[i][:0], '0')
			}
		}
		for i, name := range k.numbers {
			at := len(k.exprs) + i
			values[at] = append(values[at][:0], row.read(k.kind, name)...)
		}
		timestamp = append(timestamp[:0], row.read(k.kind, "timestamp")...)
		b.add(row.id, row.seq, timestamp, values)
	}
	b.build(upTo)
}

// viewBuilder adds pieces to a view.
type viewBuilder struct {
	*segment.Builder
	k  *kindColumns
	v  *view
	lo int64
}

func (k *kindColumns) builder(v *view) *viewBuilder {
	b := &viewBuilder{Builder: segment.NewBuilder(k.layout), k: k, v: v}
	if n := len(v.segments); n > 0 {
		b.lo = v.segments[n-1].hi
	}
	return b
}

// build makes a piece of what was added, which is up to hi.
func (b *viewBuilder) build(hi int64) {
	if made := b.Build(); made != nil {
		b.v.add(&piece{Segment: made, lo: b.lo, hi: hi}, b.k.sealing, b.k.words)
		b.lo = hi
	}
}

// add adds an event by the values of its columns, numbers last.
func (b *viewBuilder) add(id, seq int64, timestamp sql.RawBytes, values []sql.RawBytes) {
	micros := id >> idBits
	if b.v.spread > 0 {
		if t, err := audit.ParseTime(string(timestamp)); err == nil {
			micros = t.UnixMicro()
		}
	}
	b.Add(id, seq, micros)
	for i := range b.k.exprs {
		b.Text(i, values[i])
	}
	for i := range b.k.numbers {
		n, err := strconv.ParseInt(string(values[len(b.k.exprs)+i]), 10, 64)
		b.Number(i, n, err == nil)
	}
	if b.Len() == builderRows || b.TextBytes() >= b.k.words {
		b.build(seq)
	}
}

// add adds a piece to the end of the view, and makes one piece of the last ones
// where they are about as large, so that there are few of them however events
// come in. What lies in files, or is on its way there, is left to the sealer.
func (v *view) add(p *piece, sealing, words int64) {
	v.segments = slices.Clone(v.segments)
	v.count += p.Count()
	for len(v.segments) > 0 {
		last := v.segments[len(v.segments)-1]
		if last.file != "" || last.hi <= sealing || last.Len()+p.Len() > builderRows || last.Len() > 2*p.Len() || last.TextBytes()+p.TextBytes() > words {
			break
		}
		p = &piece{Segment: segment.Merge(last.Segment, p.Segment), lo: last.lo, hi: p.hi, erase: last.erase || p.erase}
		v.segments = v.segments[:len(v.segments)-1]
	}
	v.segments = append(v.segments, p)
}

// decision is what an entry of the ledger changed in the columns.
type decision struct {
	from, to, seq     int64 // the ids it is about, and its own place
	deleted, redacted bool
	texts             map[int]string // unless deleted: what columns say now
}

// readDecisions reads what was decided after known, up to head. A decision may
// be in the rows read already; it is the same then.
func (k *kindColumns) readDecisions(ctx context.Context, tx sqlx.QueryerContext, v *view, known, head int64) ([]decision, error) {
	if known == 0 || known == head {
		return nil, nil // the rows read from the tables have them in
	}
	var all []decision
	var entries []string
	err := eachRow(ctx, tx, "SELECT seq, id, entry FROM ledger WHERE kind = ? AND seq > ? AND seq <= ? AND entry <> 'created' ORDER BY seq",
		[]any{k.kind, known, head}, func(r scanner) error {
			var d decision
			var entry string
			if err := r.Scan(&d.seq, &d.to, &entry); err != nil {
				return err
			}
			d.from = d.to
			switch entry {
			case "deleted", "purged":
				d.deleted = true
			case "redacted":
				d.redacted = true
			case "resolved", "reopened":
			default:
				return nil
			}
			all, entries = append(all, d), append(entries, entry)
			return nil
		})
	if err != nil {
		return nil, err
	}
	for i := range all {
		switch {
		case entries[i] == "purged":
			err := sqlx.GetContext(ctx, tx, &all[i].from, "SELECT from_id FROM purge WHERE seq = ?", all[i].seq)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return nil, err
			}
		case all[i].deleted || !v.misses(all[i].to, all[i].seq):
		default:
			if err := k.readChanged(ctx, tx, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// misses reports whether some piece that may hold an event does not have the
// decisions up to seq in it.
func (v *view) misses(id, seq int64) bool {
	return slices.ContainsFunc(v.segments, func(p *piece) bool {
		return p.decided < seq && p.Len() > 0 && p.MinID() <= id && p.MaxID() >= id
	})
}

// readChanged reads what the columns of one event say now.
func (k *kindColumns) readChanged(ctx context.Context, tx sqlx.QueryerContext, d *decision) error {
	names := ""
	values := make([]sql.RawBytes, len(k.exprs))
	var dest []any
	for i, n := range k.exprs {
		names += ", " + n
		dest = append(dest, &values[i])
	}
	d.deleted = true // unless there is a row
	return eachRow(ctx, tx, "SELECT "+names[2:]+" FROM "+string(k.kind)+" e WHERE e.id = ?", []any{d.to}, func(r scanner) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		d.deleted, d.texts = false, map[int]string{}
		for i, v := range values {
			d.texts[i] = string(v)
		}
		return nil
	})
}

// change applies decisions to the view.
func (v *view) change(decisions []decision) {
	if len(decisions) == 0 {
		return
	}
	changes, first := make([][]segment.Change, len(v.segments)), make([]int64, len(v.segments))
	for _, d := range decisions {
		for i, p := range v.segments {
			if p.lo >= d.seq || p.decided >= d.seq || p.Len() == 0 || p.MinID() > d.to || p.MaxID() < d.from {
				continue
			}
			for row := p.Search(d.from); row < p.Len() && p.ID(row) <= d.to; row++ {
				if p.Seq(row) > d.seq || !p.Alive(row) {
					continue
				}
				if changes[i] == nil {
					first[i] = d.seq
				}
				if d.deleted {
					changes[i] = append(changes[i], segment.Change{Row: row, Deleted: true})
				}
				for column, text := range d.texts {
					changes[i] = append(changes[i], segment.Change{Row: row, Column: column, Text: text, Erase: d.redacted})
				}
			}
		}
	}
	v.segments = slices.Clone(v.segments)
	for i, some := range changes {
		if len(some) == 0 {
			continue
		}
		p := *v.segments[i]
		v.count -= p.Count()
		p.Segment = p.With(some)
		if p.pending == 0 {
			p.since = first[i]
		}
		p.pending += len(some)
		for _, ch := range some {
			p.erase = p.erase || ch.Deleted || ch.Erase
		}
		v.count += p.Count()
		v.segments[i] = &p
	}
}

// rowPlace is a row of a view.
type rowPlace struct{ segment, row int }

func (p rowPlace) id(v *view) int64  { return v.segments[p.segment].ID(p.row) }
func (p rowPlace) seq(v *view) int64 { return v.segments[p.segment].Seq(p.row) }

// bySeq finds a living row by its place in the ledger.
func (v *view) bySeq(seq int64) (rowPlace, bool) {
	i, _ := slices.BinarySearchFunc(v.segments, seq, func(p *piece, seq int64) int {
		switch {
		case p.hi < seq:
			return -1
		case p.lo >= seq:
			return 1
		}
		return 0
	})
	if i == len(v.segments) {
		return rowPlace{}, false
	}
	row, ok := v.segments[i].RowOf(seq)
	return rowPlace{i, row}, ok && v.segments[i].Alive(row)
}

// rowsAfter counts the rows recorded after seq, as far as limit.
func (v *view) rowsAfter(seq int64, limit int) int {
	n := 0
	for i := len(v.segments) - 1; i >= 0 && n <= limit && v.segments[i].hi > seq; i-- {
		n += v.segments[i].RecordedCount(seq + 1)
	}
	return n
}
