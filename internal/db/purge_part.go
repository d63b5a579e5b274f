package db

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// A part of a table that goes whole, a month, is dropped. Its rows have to be there
// until then, and gone in the commit that says so, since that is what a row of purge
// means. A month may be more than anybody can write down while writers wait. So all
// of it is written down in a transaction of its own, which may take minutes and which
// nobody waits for, under numbers below zero. The lock of the head is taken at its
// end: under it the rows of purge get their places in the ledger, and the part is
// dropped. Until that commit nothing has happened, whatever ends it.

// Bounds of what is recorded of a part.
const (
	partRun   = 1 << 18 // events of one run: a few megabytes of names and ids
	partStale = 10_000  // runs in the ledger, each of which is a row for the text index
	partTries = 3       // before its rows are taken away one by one
)

// errRowByRow says that a part does not go whole, or not now.
var errRowByRow = errors.New("the part does not go whole")

// takePart takes away a part with all that it holds, or reports false where its rows
// have to be looked at one by one, since some stay, or somebody reads them for long,
// or the role has no right to.
func (p *purger) takePart(ctx context.Context, part tablePart) (gone bool, err error) {
	for range partTries {
		err = p.tryPart(ctx, part)
		if !errors.Is(err, errHoldsChanged) {
			break
		}
	}
	classified := p.store.dialect.classify(err)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errArchive):
		return false, err
	case errors.Is(err, errRowByRow), errors.Is(err, errHoldsChanged), errors.Is(classified, ErrBusy), errors.Is(classified, ErrAway), errors.Is(classified, ErrReadOnly):
		return false, ctx.Err()
	}
	return false, err
}

// tryPart is takePart once. Its error is errHoldsChanged where something changed
// meanwhile, and errRowByRow.
func (p *purger) tryPart(ctx context.Context, part tablePart) error {
	s, kind := p.store, p.job.Kind
	var head int64 // up to which nothing can change any more what is read from here on
	if err := s.worker().GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return err
	}
	holds, err := s.heldOf(ctx, kind, timeTerm(kind, "after", part.from>>idBits), timeTerm(kind, "before", part.to>>idBits))
	if err != nil {
		return err
	}
	if len(holds.by) > 0 {
		return errRowByRow
	}
	a, err := s.dialect.apart(ctx)
	if err != nil {
		return err
	}
	if a == nil {
		return errRowByRow
	}
	defer a.close()
	w := &partWriter{a: a, actor: p.actor, job: p.job, at: audit.FormatTime(s.now())}
	if err := p.writePart(ctx, w, part, holds.stamp); err != nil {
		return err
	}
	// What came while it was read, as far as that can be known before anybody waits.
	unchanged := func(q queryer) error {
		var changes, last int64
		err := q.QueryRowxContext(ctx, "SELECT count(*) FILTER (WHERE kind = ? AND id BETWEEN ? AND ?), coalesce(max(seq), 0) FROM ledger WHERE seq > ?",
			kind, part.from, part.to-1, head).Scan(&changes, &last)
		if err == nil && changes > 0 {
			err = errHoldsChanged
		}
		head = max(head, last)
		return err
	}
	if err := unchanged(s.worker()); err != nil {
		return err
	}
	lock, err := s.dialect.lockPart(ctx, a.tx, kind, part)
	if err != nil {
		return err
	}
	start := time.Now()
	tx := &writeTx{Tx: a.tx, conn: a.conn, ctx: context.WithoutCancel(ctx), store: s, dialect: s.dialect, kinds: map[audit.Kind]*kindTail{}}
	err = s.finishWrite(a.db, tx, lock, a.end, func(tx *writeTx) error {
		if stamp, err := holdStamp(tx.ctx, tx); err != nil {
			return err
		} else if stamp != holds.stamp {
			return errHoldsChanged
		}
		if err := unchanged(tx); err != nil {
			return err
		}
		if err := w.place(tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM redaction WHERE kind = ? AND id BETWEEN ? AND ?", kind, part.from, part.to-1); err != nil {
			return err
		}
		return s.dialect.dropPart(tx.ctx, tx.Tx, kind, part)
	})
	if err != nil {
		return err
	}
	p.done(w.runs, time.Since(start))
	return nil
}

// writePart archives and writes down all that a part holds, as long as the holds are
// those of a stamp.
func (p *purger) writePart(ctx context.Context, w *partWriter, part tablePart, stamp string) error {
	for after := part.from - 1; ; {
		sl, err := p.store.nextPurge(ctx, p.job, after, part.to, purgeMost)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if sl == nil {
			return w.flush(ctx)
		}
		if len(sl.gone) < sl.rows {
			return errRowByRow
		}
		if sl.holds.stamp != stamp {
			return errHoldsChanged
		}
		if err := p.archive(ctx, sl); err != nil {
			return err
		}
		if err := w.add(ctx, sl); err != nil {
			return err
		}
		after = sl.last
	}
}

// partWriter writes down what a part holds, in a transaction that nobody waits for.
type partWriter struct {
	a        *apart
	actor    Actor
	job      PurgeJob
	at       string
	run      *purgeRun // being gathered, with the next one
	leaves   []goneLeaf
	runs     []*purgeRun // written, without what is long of them
	subjects []evidence.Hash
	stale    []staleRun
}

// goneLeaf is what stays of the leaf of an event.
type goneLeaf struct {
	seq  int64
	gone evidence.Hash
}

func (w *partWriter) add(ctx context.Context, sl *purgeSlice) error {
	if w.stale = append(w.stale, sl.stale...); len(w.stale) > partStale {
		return errRowByRow
	}
	for _, row := range sl.gone {
		if w.run == nil {
			w.run = &purgeRun{from: row.id, first: row.timestamp, last: row.timestamp}
		}
		w.run.add(row)
		if row.named {
			w.run.names = append(w.run.names, row.name)
		}
		w.leaves = append(w.leaves, goneLeaf{row.seq, row.gone})
		if w.run.events == partRun {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the run that is being gathered, under a number below zero.
func (w *partWriter) flush(ctx context.Context) error {
	if w.run == nil {
		return nil
	}
	run := w.run
	slices.SortFunc(w.leaves, func(a, b goneLeaf) int { return cmp.Compare(a.seq, b.seq) })
	for i := range w.leaves {
		run.tree.Add(w.leaves[i].gone)
	}
	slices.SortFunc(run.names, func(a, b [nameSize]byte) int { return bytes.Compare(a[:], b[:]) })
	subject, insert := run.record(w.actor, w.job, w.at)
	w.runs, w.subjects = append(w.runs, run), append(w.subjects, subject)
	err := insert(ctx, w.a.tx, -int64(len(w.runs)))
	run.names, run.ids = nil, nil
	w.run, w.leaves = nil, w.leaves[:0]
	return err
}

// place gives what was written its places in the ledger.
func (w *partWriter) place(tx *writeTx) error {
	slices.SortFunc(w.stale, func(a, b staleRun) int { return cmp.Compare(a.First, b.First) })
	if err := tx.goneTexts(w.job.Kind, w.stale); err != nil {
		return err
	}
	before := tx.seq
	for i, run := range w.runs {
		if err := tx.decide(evidence.Purged, w.job.Kind, run.to, w.actor.Name, w.job.Reason, w.subjects[i]); err != nil {
			return err
		}
	}
	return tx.dialect.placePurges(tx, before)
}

// goneTexts is goneText for many runs.
func (tx *writeTx) goneTexts(kind audit.Kind, runs []staleRun) error {
	for _, n := range []int{100, 10, 1} {
		for ; len(runs) >= n; runs = runs[n:] {
			var args []any
			for _, run := range runs[:n] {
				args = append(args, kind, run.First, run.Last)
			}
			_, err := tx.ExecContext(tx.ctx, "INSERT INTO search_stale (kind, first, last, gone) VALUES (?, ?, ?, 1)"+strings.Repeat(", (?, ?, ?, 1)", n-1)+
				" ON CONFLICT (kind, first, last) DO UPDATE SET gone = 1", args...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
