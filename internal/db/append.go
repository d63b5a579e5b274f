package db

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// idBits is how many bits of an id count the events of one microsecond.
const idBits = 10

// appendRequest is one caller of Append waiting for its commit.
type appendRequest struct {
	events    []*audit.Event
	committed []evidence.Committed // of each event
	result    Appended
	done      chan error
}

// Append stores events, each of which has been through Event.Normalize, and
// returns after they are durable. All of them are stored, or on an error none
// is; the exception is a context that ends first, where the events may or may
// not be stored: give them again, with their event_id.
//
// An event whose kind, event_id and timestamp are stored already is a duplicate
// and is left out. Callers at the same time share one commit.
func (s *Store) Append(ctx context.Context, events []*audit.Event) (Appended, error) {
	if len(events) == 0 {
		return Appended{}, nil
	}
	if s.rw == nil {
		return Appended{}, fmt.Errorf("append %d events: %w", len(events), s.Hindrance().Err)
	}
	committed, err := commitAll(events) // most of the work for the ledger, and nobody waits for it
	if err != nil {
		return Appended{}, err
	}
	s.dialect.makeRoom(ctx, s.side, events)
	req := &appendRequest{events: events, committed: committed, done: make(chan error, 1)}
	select {
	case s.appends <- req:
	case <-ctx.Done():
		return Appended{}, fmt.Errorf("append %d events: %w", len(events), s.dialect.classify(ctx.Err()))
	case <-s.closing.Done():
		return Appended{}, fmt.Errorf("append %d events: the database is closed", len(events))
	}
	select {
	case err := <-req.done:
		return req.result, err
	case <-ctx.Done():
		return Appended{}, fmt.Errorf("append %d events: %w; they may have been stored", len(events), s.dialect.classify(ctx.Err()))
	}
}

// commitEvents bounds the events of one commit, and so how long it holds the
// lock: a few tens of milliseconds.
const commitEvents = 2000

// gatherMost bounds how long a commit waits for callers, and gatherShare is what
// part it may be of how long the one before took.
const (
	gatherMost  = 2 * time.Millisecond
	gatherShare = 8
)

// appendLoop gathers the callers that wait and commits for all of them. Those
// that were answered just now mostly come back at once with their next events: a
// commit that waits a moment for them serves twice as many.
func (s *Store) appendLoop() {
	var group []*appendRequest
	events := 0
	add := func(req *appendRequest) {
		group = append(group, req)
		events += len(req.events)
	}
	drain := func() {
		for events < commitEvents {
			select {
			case req := <-s.appends:
				add(req)
			default:
				return
			}
		}
	}
	expected, patience := 1, time.Duration(0)
	for {
		if len(group) == 0 {
			select {
			case req := <-s.appends:
				add(req)
			case <-s.closing.Done():
				return
			}
		}
		drain()
		if len(group) < expected && events < commitEvents {
			enough := time.NewTimer(patience)
		gather:
			for len(group) < expected && events < commitEvents {
				select {
				case req := <-s.appends:
					add(req)
				case <-enough.C:
					break gather
				}
			}
			enough.Stop()
		}
		start := time.Now()
		var last *writeTx
		err := s.writeLater(context.Background(), fmt.Sprintf("append %d events", events), func(tx *writeTx) error {
			tx.adds, last = true, tx
			return tx.appendGroup(group)
		})
		if err == nil {
			s.tails.keep(last)
		}
		patience = min(time.Since(start)/gatherShare, gatherMost)
		answered := group
		group, events = nil, 0
		drain()
		expected = len(answered) + len(group)
		for _, req := range answered {
			if err != nil {
				req.result = Appended{}
			}
			req.done <- err
		}
	}
}

// append is appendGroup for events that the program makes within a transaction.
func (tx *writeTx) append(events []*audit.Event) (Appended, error) {
	committed, err := commitAll(events)
	if err != nil {
		return Appended{}, err
	}
	req := &appendRequest{events: events, committed: committed}
	err = tx.appendGroup([]*appendRequest{req})
	return req.result, err
}

// appendGroup gives each event its id and stores it with its entry in the ledger,
// leaving out those that are stored already.
func (tx *writeTx) appendGroup(group []*appendRequest) error {
	if err := tx.foresee(group); err != nil {
		return err
	}
	if tx.rows == nil {
		tx.rows = map[audit.Kind][]newRow{}
	}
	in := &insertion{tx: tx, recordedAt: audit.FormatTime(tx.now), rows: map[audit.Kind][]newRow{},
		ledger: rowBuffer{statements: &ledgerInserts, width: ledgerWidth, table: "ledger", columns: ledgerColumns, constant: "created"}, gathers: tx.dialect.gathers()}
	for _, req := range group {
		req.result = Appended{} // of a try before
		for i, e := range req.events {
			if err := in.add(e, &req.committed[i], &req.result); err != nil {
				return err
			}
		}
	}
	return in.finish()
}

// insertion is what one append is about to store.
type insertion struct {
	tx         *writeTx
	recordedAt string
	rows       map[audit.Kind][]newRow
	ledger     rowBuffer
	gathers    bool // all rows are gathered before the first is written
	downloads  []*audit.Event
	states     []stateNews
}

// newRow is one event about to be stored.
type newRow struct {
	id, seq    int64
	recordedAt string
	event      *audit.Event
	committed  *evidence.Committed
}

func (in *insertion) add(e *audit.Event, committed *evidence.Committed, result *Appended) error {
	tx := in.tx
	run, _ := tx.kinds[e.Kind].run(e)
	if e.EventID != "" {
		twin, err := run.twin(tx, e)
		if err != nil {
			return err
		}
		if twin != noTwin {
			result.Duplicates++
			if twin == otherTwin {
				result.Conflicts++
			}
			return nil
		}
	}
	id, err := run.next(tx)
	if err != nil {
		return err
	}
	tx.seq++
	run.added(id, e)
	if isDownload(e) {
		in.downloads = append(in.downloads, e)
	}
	if state, some := stateOf(e.Kind, e.Values()); some {
		in.states = append(in.states, stateNews{id, e, state})
	}
	if tx.store.invented {
		in.recordedAt = audit.FormatTime(e.Time().Add(InventedDelay))
	}
	leaf := committed.Leaf(id, tx.seq, in.recordedAt)
	in.rows[e.Kind] = append(in.rows[e.Kind], newRow{id, tx.seq, in.recordedAt, e, committed})
	in.ledger.args = append(in.ledger.args, tx.seq, string(e.Kind), id, in.recordedAt, leaf[:])
	tx.leaf = leaf
	result.Accepted++
	if in.gathers {
		return nil
	}
	return in.ledger.write(tx, false)
}

// insert writes the rows of a kind in the order of their ids: what was exported
// comes newest first, and a tree that grows at its beginning splits page after page.
func (in *insertion) insert(kind audit.Kind) error {
	all, t := in.rows[kind], tables[kind]
	slices.SortFunc(all, func(a, b newRow) int { return cmp.Compare(a.id, b.id) })
	rows := &rowBuffer{statements: &t.inserts, width: t.width, table: string(kind), columns: t.inserted}
	for _, r := range all {
		rows.args = t.arguments(rows.args, r.id, r.seq, r.recordedAt, r.event, r.committed.AppendSeed(nil))
		if in.gathers {
			continue
		}
		if err := rows.write(in.tx, false); err != nil {
			return err
		}
	}
	in.tx.rows[kind] = append(in.tx.rows[kind], all...)
	return in.write(rows)
}

func (in *insertion) finish() error {
	tx := in.tx
	for _, kind := range audit.Kinds() {
		if len(in.rows[kind]) > 0 {
			if err := in.insert(kind); err != nil {
				return err
			}
		}
	}
	if err := in.write(&in.ledger); err != nil {
		return err
	}
	for _, n := range in.states {
		if err := tx.tellState(n); err != nil {
			return err
		}
	}
	for _, e := range in.downloads {
		if err := tx.downloaded(e); err != nil {
			return err
		}
	}
	for _, kind := range audit.Kinds() {
		if tail := tx.kinds[kind]; tail != nil {
			if err := tail.saveSpread(tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes what is left of some rows.
func (in *insertion) write(rows *rowBuffer) error {
	if in.gathers {
		if done, err := in.tx.dialect.copyIn(in.tx, rows); done || err != nil {
			return err
		}
	}
	return rows.write(in.tx, true)
}

// stateNews is an event that came with a state: a system event that was resolved
// elsewhere, or an export that counts its downloads already.
type stateNews struct {
	id    int64
	event *audit.Event
	state []string
}

// tellState adds the entry of the ledger that vouches for the state an event
// came with, since the event's own entry does not.
func (tx *writeTx) tellState(n stateNews) error {
	entry, actor, note := evidence.Downloaded, n.event.Get("username"), ""
	if n.event.Kind == audit.KindSystemEvent {
		entry, actor, note = evidence.Resolved, n.event.Get("resolved_by"), n.event.Get("resolution_note")
		if n.event.Get("resolved") != "true" {
			entry = evidence.Reopened
		}
	}
	return tx.decide(entry, n.event.Kind, n.id, actor, note, stateSubject(n.event.Kind, n.state...))
}

// ledgerWidth is how many parameters the entry of an event has.
const ledgerWidth = 5

// ledgerColumns are what they stand in, and at the end the one that is always
// 'created'.
var ledgerColumns = []string{"seq", "kind", "id", "recorded_at", "leaf", "entry"}

var ledgerInserts = insertsOf("INSERT INTO ledger (seq, entry, kind, id, recorded_at, leaf) VALUES ", "(?, 'created', ?, ?, ?, ?)")

// rowBuffer gathers the arguments of rows so that one statement inserts many.
type rowBuffer struct {
	statements *inserts
	width      int // arguments of one row
	args       []any
	table      string
	columns    []string // of the arguments, and of the constant
	constant   any      // what stands in the last column of every row; nil for none
}

// write inserts as many rows as the largest statement takes, if there are so
// many, or all.
func (b *rowBuffer) write(tx *writeTx, all bool) error {
	args := b.args
	for i, rows := range insertRows {
		for len(args) >= rows*b.width {
			if err := tx.dialect.insert(tx, b.statements[i], args[:rows*b.width]); err != nil {
				return err
			}
			args = args[rows*b.width:]
		}
		if !all {
			break
		}
	}
	b.args = append(b.args[:0], args...)
	return nil
}
