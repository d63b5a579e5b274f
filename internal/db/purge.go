package db

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	// Archive takes the events of one slice, in the order of their ids, and returns
	// when they are durable; only then are they taken away. It may be given an
	// event more than once. Nil archives nothing.
	Archive func([]*Stored) error
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
	purgePause = 40 * time.Millisecond
)

// Purge takes old events away for good: from their table, the text index and the
// columns. It goes in slices, between which appends pass, so it can be stopped
// and started again at any time. What a hold covers stays, and so does the audit
// log of a deletion for TraceKept. For each run of ids the ledger gets one entry
// 'purged', and for the whole an audit log of the actor.
//
// An error leaves what was taken away until then, which the returned value says.
func (s *Store) Purge(ctx context.Context, actor Actor, job PurgeJob) (Purged, error) {
	var total Purged
	after, rows := int64(-1), purgeRows
	var err error
	s.purging.Add(1)
	for {
		var sl *purgeSlice
		if sl, err = s.nextPurge(ctx, job, after, rows); err != nil || sl == nil {
			break
		}
		took := time.Duration(0)
		if !job.DryRun && len(sl.events) > 0 {
			if job.Archive != nil {
				if err = job.Archive(sl.events); err != nil {
					err = fmt.Errorf("archive: %w", err)
					break
				}
			}
			took, err = s.purgeSlice(ctx, actor, job, sl)
			if errors.Is(err, errHoldsChanged) {
				continue
			}
			if err != nil {
				break
			}
		}
		total.add(sl, took)
		if job.Progress != nil {
			job.Progress(total)
		}
		after = sl.last
		if took > 0 {
			rows = min(max(int(float64(len(sl.events))*float64(purgePause)/float64(took)), 100), 2*rows, purgeMost)
		} else {
			rows = min(2*rows, purgeMost)
		}
	}
	s.purging.Add(-1)
	if err == nil {
		err = ctx.Err()
	}
	if !job.DryRun && total.Events > 0 {
		// Also after an interruption: what was done is told, and its text goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, s.recordPurge(ctx, actor, job, total))
		s.eraseText(ctx)
	}
	if err != nil {
		err = fmt.Errorf("purge %s: %w", job.Kind.Plural(), s.dialect.classify(err))
	}
	return total, err
}

func (p *Purged) add(sl *purgeSlice, took time.Duration) {
	p.Events += int64(len(sl.events))
	p.Held += sl.held
	p.Traces += sl.traces
	p.Pause = max(p.Pause, took)
	for _, st := range sl.events {
		if p.First.IsZero() || st.Time().Before(p.First) {
			p.First = st.Time()
		}
		if st.Time().After(p.Last) {
			p.Last = st.Time()
		}
	}
}

// purgeSlice is one slice of a purge: its events, in runs between which something
// stays.
type purgeSlice struct {
	events []*Stored
	runs   [][]*Stored
	leaves map[int64]evidence.Hash // by id: the evidence.Gone of its entry
	holds  *held
	last   int64 // the highest id looked at
	held   int64
	traces int64
}

// nextPurge reads the next slice after an id, or nil where there is none.
func (s *Store) nextPurge(ctx context.Context, job PurgeJob, after int64, limit int) (*purgeSlice, error) {
	t := tables[job.Kind]
	sl := &purgeSlice{last: after, leaves: map[int64]evidence.Hash{}}
	tx, end, err := begin(ctx, s.back)
	if err != nil {
		return nil, err
	}
	defer end()
	spread, err := readSpread(ctx, tx, job.Kind)
	if err != nil {
		return nil, err
	}
	var all []*Stored
	before := audit.FormatTime(job.Before)
	size := 0
	err = eachRow(ctx, tx, "SELECT "+t.columns+", l.recorded_at, l.leaf FROM "+string(job.Kind)+" e JOIN ledger l ON l.seq = e.seq"+
		" WHERE e.id > ? AND e.id < ? ORDER BY e.id LIMIT ?", []any{after, (job.Before.UnixMicro() + spread) << idBits, limit},
		func(r scanner) error {
			var recordedAt string
			var leaf []byte
			st, err := t.scan(scanRest{r, []any{&recordedAt, &leaf}})
			if err != nil {
				return err
			}
			hash, ok := parseRoot(leaf)
			if !ok {
				return fmt.Errorf("entry %d of the ledger has no leaf: run 'auditadmin verify'", st.Seq)
			}
			sl.leaves[st.ID] = evidence.Gone(string(job.Kind), st.ID, st.Seq, recordedAt, &hash)
			all = append(all, st)
			if size += st.size(); size > 4*readBytes {
				return errEnough
			}
			return nil
		})
	if err != nil && !errors.Is(err, errEnough) || len(all) == 0 {
		return nil, err
	}
	// After the rows, so that all of them are known to whoever looks for holds.
	first, last := all[0].ID>>idBits-spread, all[len(all)-1].ID>>idBits+1
	if sl.holds, err = s.heldOf(ctx, job.Kind, timeTerm(job.Kind, "after", first), timeTerm(job.Kind, "before", last)); err != nil {
		return nil, err
	}
	traces, err := s.freshTraces(ctx, tx, all)
	if err != nil {
		return nil, err
	}
	var run []*Stored
	cut := func() {
		if len(run) > 0 {
			sl.runs = append(sl.runs, run)
			run = nil
		}
	}
	for _, st := range all {
		sl.last = st.ID
		switch {
		case st.Get("timestamp") >= before: // its id ran ahead of it, or it ran ahead of its id
			cut()
		case sl.holds.by[st.ID] != nil:
			sl.held++
			cut()
		case traces[st.ID]:
			sl.traces++
			cut()
		default:
			run = append(run, st)
			sl.events = append(sl.events, st)
		}
	}
	cut()
	return sl, nil
}

// errEnough ends a reading early.
var errEnough = errors.New("enough")

// scanRest scans a row of which the last columns go elsewhere.
type scanRest struct {
	scanner
	rest []any
}

func (r scanRest) Scan(dest ...any) error {
	return r.scanner.Scan(append(slices.Clip(dest), r.rest...)...)
}

// timeTerm bounds a filter by a time, in microseconds since 1970.
func timeTerm(kind audit.Kind, key string, micros int64) query.Term {
	return query.ValueTerm(kind, key, false, false, audit.FormatTime(time.UnixMicro(max(micros, 0))))
}

// freshTraces returns which of the events say what was deleted lately.
func (s *Store) freshTraces(ctx context.Context, q queryer, all []*Stored) (map[int64]bool, error) {
	since := s.now().Add(-TraceKept)
	traces := map[int64]bool{}
	for _, st := range all {
		if st.Source != Self || st.RecordedAt.Before(since) {
			continue
		}
		trace, err := isTrace(ctx, q, st)
		if err != nil {
			return nil, err
		}
		if trace {
			traces[st.ID] = true
		}
	}
	return traces, nil
}

// purgeSlice takes the events of a slice away, all of them or on an error none,
// and returns how long that held the lock. The error is errHoldsChanged where the
// slice is no longer what was read.
func (s *Store) purgeSlice(ctx context.Context, actor Actor, job PurgeJob, sl *purgeSlice) (took time.Duration, err error) {
	var start time.Time
	err = s.write(ctx, "take a slice away", func(tx *writeTx) error {
		start = time.Now()
		if same, err := sl.holds.stillTrue(tx); err != nil || !same {
			return errors.Join(errHoldsChanged, err)
		}
		for _, run := range sl.runs {
			if err := tx.purgeRun(actor, job, sl, run); err != nil {
				return err
			}
		}
		return nil
	})
	return time.Since(start), err
}

// purgeRun takes a run of events away between which nothing stays.
func (tx *writeTx) purgeRun(actor Actor, job PurgeJob, sl *purgeSlice, run []*Stored) error {
	from, to := run[0].ID, run[len(run)-1].ID
	bySeq := slices.Clone(run)
	slices.SortFunc(bySeq, func(a, b *Stored) int { return cmp.Compare(a.Seq, b.Seq) })
	var tree evidence.Frontier
	var names [][nameSize]byte
	first, last := run[0].Get("timestamp"), run[0].Get("timestamp")
	for i, st := range bySeq {
		tree.Add(sl.leaves[st.ID])
		if st.EventID != "" {
			names = append(names, purgedName(st.Get("timestamp"), st.EventID))
		}
		first, last = min(first, st.Get("timestamp")), max(last, st.Get("timestamp"))
		if i == 0 || st.Seq != bySeq[i-1].Seq+1 {
			j := i
			for j+1 < len(bySeq) && bySeq[j+1].Seq == bySeq[j].Seq+1 {
				j++
			}
			if err := tx.goneText(job.Kind, st.Seq, bySeq[j].Seq); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(names, func(a, b [nameSize]byte) int { return bytes.Compare(a[:], b[:]) })
	packed := make([]byte, 0, nameSize*len(names))
	for i := range names {
		packed = append(packed, names[i][:]...)
	}
	root, at := tree.Root(), audit.FormatTime(tx.now)
	subject := purgeSubject(job.Kind, from, to, int64(len(run)), first, last, root[:], packed, at, actor.Name, job.Reason, job.ArchiveName)
	if err := tx.decide(evidence.Purged, job.Kind, to, actor.Name, job.Reason, subject); err != nil {
		return err
	}
	_, err := tx.ExecContext(tx.ctx, "INSERT INTO purge (seq, kind, from_id, to_id, events, first, last, root, names, purged_at, purged_by, reason, archive)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		tx.seq, job.Kind, from, to, len(run), first, last, root[:], packed, at, actor.Name, job.Reason, job.ArchiveName)
	if err != nil {
		return err
	}
	result, err := tx.ExecContext(tx.ctx, "DELETE FROM "+string(job.Kind)+" WHERE id BETWEEN ? AND ?", from, to)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != int64(len(run)) {
		return errors.Join(errHoldsChanged, err) // an event came late, or went
	}
	return nil
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
