package db

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
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
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/auditadmin/auditadmin/internal/query"
)

// TraceKept is how long the audit log of a deletion is kept from being purged.
const TraceKept = 30 * 24 * time.Hour

// PurgeJob is what is to be purged: the events of a kind that happened before a
// time.
type PurgeJob struct {
	Kind   audit.Kind
	Before time.Time
	Reason string
	// Archive takes the events of one slice, in the order of their ids, with their
	// proof, and returns when they are durable; only then are they taken away. A part
	// takes the place of all parts before that end after it begins: those were not
	// taken away after all. Nil archives nothing.
	Archive func(PurgePart) error
	// ArchiveName is what the ledger says of where they went; "" for nowhere.
	ArchiveName string
	// DryRun counts and takes nothing away.
	DryRun bool
	// Progress is told after each slice; it may be nil.
	Progress func(Purged)
}

// Purged is what a purge did, or of a dry run what it would do.
type Purged struct {
	Events int64     // taken away
	Held   int64     // left because of a hold
	Traces int64     // left because they say what was deleted lately
	First  time.Time // of what was taken away
	Last   time.Time
	Pause  time.Duration // the longest time writers had to wait for one slice
}

// The bounds of a slice, and how long it may hold the lock.
const (
	purgeRows  = 1000 // to begin with
	purgeMost  = 10_000
	purgePause = 25 * time.Millisecond
)

// Purge takes old events away for good: from their table, the text index and the
// columns. It goes in slices, between which appends pass, so it can be stopped
// and started again at any time. A part of a table that goes whole, or holds
// nothing, is dropped. What a hold covers stays, and so does the audit log of a
// deletion for TraceKept. For each run of ids the ledger gets one entry 'purged', and
// for the whole an audit log of the actor.
//
// An error leaves what was taken away until then, which the returned value says.
func (s *Store) Purge(ctx context.Context, actor Actor, job PurgeJob) (Purged, error) {
	job.Reason, job.ArchiveName = stored(job.Reason), stored(job.ArchiveName)
	p := &purger{store: s, actor: actor, job: job, after: -1, rows: purgeRows}
	if job.Archive != nil && !job.DryRun {
		var err error
		if p.prover, err = s.prover(ctx); err != nil {
			return p.total, fmt.Errorf("purge %s: prove what is archived: %w", job.Kind.Plural(), err)
		}
	}
	s.purging.Add(1)
	err := p.run(ctx)
	s.purging.Add(-1)
	if err == nil {
		err = ctx.Err()
	}
	if !job.DryRun && p.total.Events > 0 {
		// Also after an interruption: what was done is told, and its text goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, s.recordPurge(ctx, actor, job, p.total))
		s.eraseText(ctx)
	}
	if err != nil {
		err = fmt.Errorf("purge %s: %w", job.Kind.Plural(), s.dialect.classify(err))
	}
	return p.total, err
}

// purger is a purge on its way.
type purger struct {
	store  *Store
	actor  Actor
	job    PurgeJob
	prover *purgeProver // nil where nothing is archived
	total  Purged
	after  int64 // all ids up to it were looked at
	rows   int   // of the next slice
}

// run takes away what lies before the time: parts of the table whole, and what lies
// between them, or does not go whole, in slices.
func (p *purger) run(ctx context.Context) error {
	var parts []tablePart
	if !p.job.DryRun {
		var err error
		if parts, err = p.store.dialect.parts(ctx, p.store.worker(), p.job.Kind); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if part.to > p.job.Before.UnixMicro()<<idBits {
			break
		}
		if err := p.slices(ctx, part.from); err != nil {
			return err
		}
		gone, err := p.takePart(ctx, part)
		if err != nil {
			return err
		}
		if gone {
			p.after = max(p.after, part.to-1)
		}
	}
	return p.slices(ctx, math.MaxInt64)
}

// slices takes away what lies below an id, slice by slice. The next one is read while
// one is taken away: if that changes what was read, it is found when its turn comes.
func (p *purger) slices(ctx context.Context, below int64) error {
	sl, err := p.read(ctx, p.after, below)
	for err == nil && sl != nil {
		var next *purgeSlice
		var took time.Duration
		var taking, reading error
		_ = together(2, func(i int) error {
			if i == 0 {
				took, taking = p.take(ctx, sl)
				p.store.GiveWay(ctx, took)
			} else {
				next, reading = p.read(ctx, sl.last, below)
			}
			return nil
		})
		if errors.Is(taking, errHoldsChanged) {
			sl, err = p.read(ctx, p.after, below)
			continue
		}
		if taking != nil {
			return taking
		}
		p.total.Held += sl.held
		p.total.Traces += sl.traces
		p.done(sl.runs, took)
		p.after = sl.last
		if took > 0 {
			p.rows = min(max(int(float64(sl.rows)*float64(purgePause)/float64(took)), 100), 2*p.rows, purgeMost)
		} else {
			p.rows = min(2*p.rows, purgeMost)
		}
		sl, err = next, reading
	}
	return err
}

// read reads the next slice after an id and below another one, or nil.
func (p *purger) read(ctx context.Context, after, below int64) (*purgeSlice, error) {
	if after+1 >= below {
		return nil, nil
	}
	return p.store.nextPurge(ctx, p.job, after, below, p.rows)
}

// take archives the events of a slice and takes them away, and returns how long others
// had to wait for that.
func (p *purger) take(ctx context.Context, sl *purgeSlice) (took time.Duration, err error) {
	if p.job.DryRun || len(sl.runs) == 0 {
		return 0, nil
	}
	if err := p.archive(ctx, sl); err != nil {
		return 0, err
	}
	return p.store.purgeSlice(ctx, p.actor, p.job, sl)
}

// archive hands over the events of a slice.
func (p *purger) archive(ctx context.Context, sl *purgeSlice) error {
	if p.job.Archive == nil {
		return nil
	}
	part, err := p.prover.part(ctx, p.job.Kind, sl.gone)
	if err == nil {
		err = p.job.Archive(part)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	return nil
}

var errArchive = errors.New("archive")

// done adds what was taken away to the whole, and tells it.
func (p *purger) done(runs []*purgeRun, took time.Duration) {
	p.total.add(runs, took)
	if p.job.Progress != nil {
		p.job.Progress(p.total)
	}
}

func (p *Purged) add(runs []*purgeRun, took time.Duration) {
	p.Pause = max(p.Pause, took)
	for _, run := range runs {
		p.Events += run.events
		first, _ := audit.ParseTime(run.first)
		last, _ := audit.ParseTime(run.last)
		if p.First.IsZero() || first.Before(p.First) {
			p.First = first
		}
		if last.After(p.Last) {
			p.Last = last
		}
	}
}

// purgeSlice is one slice of a purge, with all that can be known before anybody
// has to wait for it.
type purgeSlice struct {
	runs   []*purgeRun
	stale  []staleRun  // the places of its events in the ledger
	gone   []*purgeRow // its events, in the order of their ids
	holds  *held
	rows   int   // looked at
	last   int64 // the highest id looked at
	held   int64
	traces int64
}

// purgeRun is a run of events between which nothing stays.
type purgeRun struct {
	from, to    int64 // ids
	events      int64
	first, last string // timestamps
	tree        evidence.Frontier
	names       [][nameSize]byte
	ids         []byte // packed
}

// purgeRow is what has to be known of one event.
type purgeRow struct {
	id, seq   int64
	timestamp string
	named     bool
	name      [nameSize]byte
	own       bool    // the program's own and lately recorded: it may be a trace
	stored    *Stored // for the archive, with the next two; nil without one
	seed      []byte
	kept      []byte
	leaf      evidence.Hash
	gone      evidence.Hash // what stays of the leaf
	run       *purgeRun
}

// nextPurge reads the next slice after an id and below another one, or nil where
// there is none.
func (s *Store) nextPurge(ctx context.Context, job PurgeJob, after, below int64, limit int) (*purgeSlice, error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return nil, err
	}
	defer end()
	spreads, err := readSpreads(ctx, tx)
	if err != nil {
		return nil, err
	}
	spread := spreads[job.Kind]
	all, err := s.purgeRows(ctx, tx, job, after, min(below, (job.Before.UnixMicro()+spread)<<idBits), limit)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	sl := &purgeSlice{rows: len(all)}
	// After the rows, so that all of them are known to whoever looks for holds.
	first, last := all[0].id>>idBits-spread, all[len(all)-1].id>>idBits+1
	if sl.holds, err = s.heldOf(ctx, job.Kind, timeTerm(job.Kind, "after", first), timeTerm(job.Kind, "before", last)); err != nil {
		return nil, err
	}
	before := audit.FormatTime(job.Before)
	var run *purgeRun
	for i := range all {
		row := &all[i]
		sl.last = row.id
		trace := false
		if row.own {
			if trace, err = s.rowIsTrace(ctx, tx, job.Kind, row.id); err != nil {
				return nil, err
			}
		}
		switch {
		case row.timestamp >= before: // its id ran ahead of it, or it ran ahead of its id
			run = nil
		case sl.holds.by[row.id] != nil:
			sl.held++
			run = nil
		case trace:
			sl.traces++
			run = nil
		default:
			if run == nil {
				run = &purgeRun{from: row.id, first: row.timestamp, last: row.timestamp}
				sl.runs = append(sl.runs, run)
			}
			run.add(row)
			sl.gone = append(sl.gone, row)
		}
	}
	if job.DryRun {
		return sl, nil
	}
	return sl, s.readGone(ctx, tx, job, sl)
}

// readGone reads what has to be recorded, and archived, of the events of a slice that go.
func (s *Store) readGone(ctx context.Context, tx *sqlx.Tx, job PurgeJob, sl *purgeSlice) (err error) {
	if err := s.readContents(ctx, tx, job.Kind, sl.gone); err != nil {
		return err
	}
	if job.Archive != nil {
		if err := s.readSalts(ctx, tx, job.Kind, sl.gone); err != nil {
			return err
		}
	}
	for _, row := range sl.gone {
		if row.named {
			row.run.names = append(row.run.names, row.name)
		}
	}
	for _, run := range sl.runs {
		slices.SortFunc(run.names, func(a, b [nameSize]byte) int { return bytes.Compare(a[:], b[:]) })
	}
	sl.stale, err = s.purgeLeaves(ctx, tx, job.Kind, slices.Clone(sl.gone))
	return err
}

func (r *purgeRun) add(row *purgeRow) {
	row.run = r
	if r.events == 0 {
		r.to = r.from
	}
	r.ids = binary.AppendUvarint(r.ids, uint64(row.id-r.to))
	r.to = row.id
	r.events++
	r.first, r.last = min(r.first, row.timestamp), max(r.last, row.timestamp)
}

// purgeRows reads the next events after an id and before another one: whole where
// they are archived, else only their places and names.
func (s *Store) purgeRows(ctx context.Context, tx *sqlx.Tx, job PurgeJob, after, before int64, limit int) ([]purgeRow, error) {
	t := tables[job.Kind]
	since := audit.FormatTime(s.now().Add(-TraceKept))
	all := make([]purgeRow, 0, limit)
	size := 0
	columns := "e.id, e.seq, e.timestamp, e.recorded_at, e.source, e.event_id"
	read := func(r scanner) error {
		var row purgeRow
		var timestamp nullText // which a damaged row may lack
		var recordedAt, source, eventID sql.RawBytes
		if err := r.Scan(&row.id, &row.seq, &timestamp, &recordedAt, &source, &eventID); err != nil {
			return err
		}
		row.timestamp = string(timestamp)
		row.own = string(source) == Self && string(recordedAt) >= since
		if row.named = len(eventID) > 0; row.named {
			row.name = purgedName(row.timestamp, eventID)
		}
		all = append(all, row)
		return nil
	}
	if job.Archive != nil {
		columns = t.columns
		read = func(r scanner) error {
			st, err := t.scan(r)
			if err != nil {
				return err
			}
			row := purgeRow{id: st.ID, seq: st.Seq, timestamp: st.Get("timestamp"), named: st.EventID != "", stored: st,
				own: st.Source == Self && audit.FormatTime(st.RecordedAt) >= since}
			if row.named {
				row.name = purgedName(row.timestamp, st.EventID)
			}
			all = append(all, row)
			if size += st.size(); size > 4*readBytes {
				return errEnough
			}
			return nil
		}
	}
	err := eachRow(ctx, tx, "SELECT "+columns+" FROM "+string(job.Kind)+" e WHERE e.id > ? AND e.id < ? ORDER BY e.id LIMIT ?", []any{after, before, limit}, read)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return all, err
}

// purgeLeaves adds to the tree of each row's run what stays of its leaf, in the
// order of the ledger, and returns the rows' places there in runs.
func (s *Store) purgeLeaves(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, rows []*purgeRow) (stale []staleRun, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	slices.SortFunc(rows, func(a, b *purgeRow) int { return cmp.Compare(a.seq, b.seq) })
	first, last := rows[0].seq, rows[len(rows)-1].seq
	chosen, args := "l.seq BETWEEN ? AND ?", []any{kind, first, last}
	dense := last-first < int64(8*len(rows)+1000)
	if !dense { // what was recorded at very different times
		seqs := make([]int64, len(rows))
		for i, row := range rows {
			seqs[i] = row.seq
		}
		condition, among := s.dialect.among("l.seq", seqs)
		chosen, args = condition, append([]any{kind}, among...)
	}
	n := 0
	open := false // the last run may go on
	err = eachRow(ctx, tx, "SELECT l.seq, l.recorded_at, l.leaf FROM ledger l WHERE l.kind = ? AND l.entry = 'created' AND "+chosen+" ORDER BY l.seq", args,
		func(r scanner) error {
			var seq int64
			var recordedAt string
			var leaf sql.RawBytes
			if err := r.Scan(&seq, &recordedAt, &leaf); err != nil {
				return err
			}
			if n == len(rows) || seq < rows[n].seq {
				open = false // another event of the kind, which stays or is gone already
				return nil
			}
			row := rows[n]
			hash, ok := parseRoot(leaf)
			if !ok || seq != row.seq {
				return errNoLeaf(row.seq)
			}
			row.leaf, row.gone = hash, evidence.Gone(string(kind), row.id, seq, recordedAt, &hash)
			row.run.tree.Add(row.gone)
			if n++; open && (dense || seq == stale[len(stale)-1].Last+1) {
				stale[len(stale)-1].Last = seq
			} else {
				stale = append(stale, staleRun{seq, seq, true})
			}
			open = true
			return nil
		})
	if err == nil && n < len(rows) {
		err = errNoLeaf(rows[n].seq)
	}
	return stale, err
}

func errNoLeaf(seq int64) error {
	return fmt.Errorf("entry %d of the ledger has no leaf: run 'auditadmin verify'", seq)
}

// errEnough ends a reading early.
var errEnough = errors.New("enough")

// timeTerm bounds a filter by a time, in microseconds since 1970.
func timeTerm(kind audit.Kind, key string, micros int64) query.Term {
	return query.ValueTerm(kind, key, false, false, audit.FormatTime(time.UnixMicro(max(micros, 0))))
}

// rowIsTrace reports whether an event says what was deleted.
func (s *Store) rowIsTrace(ctx context.Context, q queryer, kind audit.Kind, id int64) (bool, error) {
	st, err := tables[kind].scan(q.QueryRowxContext(ctx, tables[kind].byID, id))
	if err != nil {
		return false, err
	}
	return isTrace(ctx, q, st)
}

// purgeSlice takes the events of a slice away, all of them or on an error none,
// and returns how long that held the lock. The error is errHoldsChanged where the
// slice is no longer what was read.
func (s *Store) purgeSlice(ctx context.Context, actor Actor, job PurgeJob, sl *purgeSlice) (took time.Duration, err error) {
	var start time.Time
	err = s.writeAsSuperuser(ctx, "take a slice away", func(tx *writeTx) error {
		start = time.Now()
		if err := sl.holds.stillTrue(tx); err != nil {
			return err
		}
		for _, run := range sl.stale {
			if err := tx.goneText(job.Kind, run.First, run.Last); err != nil {
				return err
			}
		}
		for _, run := range sl.runs {
			if err := tx.purgeRun(actor, job, run); err != nil {
				return err
			}
		}
		return nil
	})
	return time.Since(start), err
}

// purgeRun takes a run of events away.
func (tx *writeTx) purgeRun(actor Actor, job PurgeJob, run *purgeRun) error {
	subject, insert := run.record(actor, job, audit.FormatTime(tx.now))
	if err := tx.decide(evidence.Purged, job.Kind, run.to, actor.Name, job.Reason, subject); err != nil {
		return err
	}
	if err := insert(tx.ctx, tx, tx.seq); err != nil {
		return err
	}
	result, err := tx.ExecContext(tx.ctx, "DELETE FROM "+string(job.Kind)+" WHERE id BETWEEN ? AND ?", run.from, run.to)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n != run.events {
		return errHoldsChanged // an event came late, or went
	}
	_, err = tx.ExecContext(tx.ctx, "DELETE FROM redaction WHERE kind = ? AND id BETWEEN ? AND ?", job.Kind, run.from, run.to)
	return err
}

// record returns what the entry of a run vouches for, and what inserts its row in
// purge under the number of that entry.
func (r *purgeRun) record(actor Actor, job PurgeJob, at string) (subject evidence.Hash, insert func(ctx context.Context, q queryer, seq int64) error) {
	names := make([]byte, 0, nameSize*len(r.names))
	for i := range r.names {
		names = append(names, r.names[i][:]...)
	}
	root := r.tree.Root()
	subject = purgeSubject(job.Kind, r.from, r.to, r.events, r.first, r.last, root[:], names, at, actor.Name, job.Reason, job.ArchiveName)
	return subject, func(ctx context.Context, q queryer, seq int64) error {
		_, err := q.ExecContext(ctx, "INSERT INTO purge (seq, kind, from_id, to_id, events, first, last, root, names, ids, purged_at, purged_by, reason, archive)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			seq, job.Kind, r.from, r.to, r.events, r.first, r.last, root[:], names, r.ids, at, actor.Name, job.Reason, job.ArchiveName)
		return err
	}
}

// recordPurge leaves the audit log of a purge.
func (s *Store) recordPurge(ctx context.Context, actor Actor, job PurgeJob, p Purged) error {
	name := fmt.Sprintf("%d %s before %s", p.Events, job.Kind.Plural(), audit.FormatTime(job.Before))
	e := actor.deed("PURGE", object{Self + "." + string(job.Kind), "", name}, nil)
	e.Set("reason", job.Reason)
	facts := []string{`"events":` + strconv.FormatInt(p.Events, 10), `"held":` + strconv.FormatInt(p.Held, 10),
		`"before":` + strconv.Quote(audit.FormatTime(job.Before)), `"first":` + strconv.Quote(audit.FormatTime(p.First)), `"last":` + strconv.Quote(audit.FormatTime(p.Last))}
	if job.ArchiveName != "" {
		facts = append(facts, `"archive":`+strconv.Quote(job.ArchiveName))
	}
	e.Set("metadata", "{"+strings.Join(facts, ",")+"}")
	return s.Record(ctx, actor, e)
}
