package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// wakeSealer tells the sealer that there may be something to do. It never
// blocks.
func (s *Store) wakeSealer() {
	select {
	case s.sealed.wake <- struct{}{}:
	default:
	}
}

// sealPause is how often the sealer looks at what other programs recorded.
const sealPause = 500 * time.Millisecond

// sealRest is how long the sealer rests between two looks, so that what comes in
// event by event is not read event by event.
const sealRest = 100 * time.Millisecond

// preparePause is how long after the columns were opened the sealer begins to
// make what pages can do without.
const preparePause = 300 * time.Millisecond

// sealLoop keeps the columns close behind the ledger and writes what is complete
// to files. Its pace changes no answer.
func (s *Store) sealLoop() {
	tick := time.NewTicker(sealPause)
	defer tick.Stop()
	checked := false
	for first := true; ; first = false {
		if !first {
			select {
			case <-s.closing.Done():
				return
			case <-time.After(sealRest):
			}
		}
		select {
		case <-s.closing.Done():
			return
		case <-tick.C:
		case <-s.sealed.wake:
		}
		if s.refresh(s.closing) != nil {
			continue // the next page says why
		}
		if !checked {
			checked = true
			select { // the first page comes first
			case <-time.After(preparePause):
			case <-s.closing.Done():
				return
			}
			for _, kind := range audit.Kinds() {
				s.columns.kinds[kind].prepare()
			}
		}
		if err := s.seal(s.closing, false); s.sealed.lock != nil {
			s.sealed.report(err)
		}
	}
}

// prepare makes what the first pages would have to wait for.
func (k *kindColumns) prepare() {
	v := k.view.Load()
	few := slices.Clone(k.names)
	slices.SortFunc(few, func(a, b *names) int { return a.len() - b.len() })
	for _, n := range few {
		n.build()
	}
	for _, by := range counted(k.kind) {
		if by.Class != query.ClassValue || len(by.Columns) != 1 {
			continue
		}
		for _, of := range counted(k.kind) {
			if x := k.crossed(k.index[by.Columns[0]], k.index[of.Columns[0]], v); x != nil {
				x.release()
			}
		}
	}
}

// seal writes to files what is large enough, or all of it, and takes out of the
// files what was deleted. It does nothing where another program does it.
func (s *Store) seal(ctx context.Context, all bool) error {
	f := s.sealed
	if f.lock == nil || !f.ready.Load() {
		return nil
	}
	f.work.Lock()
	defer f.work.Unlock()
	changed := false
	for _, kind := range audit.Kinds() {
		k := s.columns.kinds[kind]
		for ctx.Err() == nil {
			from, to := k.toSeal(f, all)
			if from == to {
				break
			}
			if err := s.sealPieces(ctx, k, from, to, nil); err != nil {
				return fmt.Errorf("seal %s: %w", kind.Plural(), err)
			}
			changed = true
		}
		erased, err := s.erase(ctx, k)
		if err != nil {
			return fmt.Errorf("erase from the columns of %s: %w", kind.Plural(), err)
		}
		changed = changed || erased
	}
	if changed {
		f.at.Store(s.now().UnixMicro())
	} else if s.columns.head.Load()-f.saved < refreshStep {
		return ctx.Err()
	}
	return f.saveKnown(ctx, s)
}

// closeSealed writes what is left, so that the next start finds it, and lets
// other programs write.
func (s *Store) closeSealed() error {
	if s.sealed.lock == nil {
		return nil
	}
	defer s.sealed.lock.release()
	if s.isSuperseded() != nil {
		return nil // what there is is of another history
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeDeadline)
	defer cancel()
	return s.seal(ctx, true)
}

// sealSpan is over how many entries of the ledger the unsealed events of a rare
// kind may be strewn: a start looks through them.
const sealSpan = 4 * refreshStep

// sealPending is how many decisions may be missing in a file: a start reads them.
const sealPending = 512

// toSeal chooses the next pieces to write as one, from to up to to, which is not
// included.
func (k *kindColumns) toSeal(f *sealed, all bool) (from, to int) {
	v := k.view.Load()
	n := len(v.segments)
	first := n // of the pieces in memory
	for first > 0 && v.segments[first-1].file == "" {
		first--
	}
	rows, end := 0, first
	for ; end < n && rows+v.segments[end].Len() <= segment.MaxRows; end++ {
		rows += v.segments[end].Len()
	}
	if rows >= f.least {
		return k.withFormer(v, first, end, rows)
	}
	if rows > 0 && (v.head-v.segments[first].lo >= sealSpan || all && rows >= f.leastAtEnd) {
		return k.withFormer(v, first, end, rows)
	}
	for i, p := range v.segments[:first] {
		if p.pending > 0 && (p.pending >= sealPending || v.head-p.since >= sealSpan) && !p.erase || all && p.pending >= 64 && !p.erase {
			return i, i + 1
		}
	}
	return 0, 0
}

// withFormer adds to the pieces from first to end the ones in files before them
// that are about as large, as long as they fit into one.
func (k *kindColumns) withFormer(v *view, first, end, rows int) (from, to int) {
	for first > 0 {
		former := v.segments[first-1]
		if former.erase || former.Len() > 3*rows || former.Len()+rows > segment.MaxRows {
			break
		}
		rows += former.Len()
		first--
	}
	return first, end
}

// sealPieces writes pieces as one, without what erase takes away where it is not
// nil, and puts it in their place. Pages go on meanwhile.
func (s *Store) sealPieces(ctx context.Context, k *kindColumns, from, to int, keep func(column int, word string) bool) error {
	c := s.columns
	c.mu.Lock()
	v := k.view.Load()
	old := v.segments[from:to:to]
	k.sealing, k.during = old[len(old)-1].hi, nil
	c.mu.Unlock()
	made, err := s.sealNew(ctx, k, old, v.head, keep)

	c.mu.Lock()
	defer c.mu.Unlock()
	during := k.during
	k.sealing, k.during = 0, nil
	if err != nil {
		for _, n := range k.names {
			n.forget()
		}
		return err
	}
	next := *k.view.Load()
	at := slices.IndexFunc(next.segments, func(p *piece) bool { return p.lo == old[0].lo })
	end := at + len(old)
	if at < 0 || end > len(next.segments) || next.segments[end-1].hi != old[len(old)-1].hi {
		panic("db: the pieces of a view changed while they were sealed")
	}
	gone := map[*segment.Segment]bool{}
	for _, p := range next.segments[at:end] {
		gone[p.Segment] = true
	}
	for _, p := range old {
		gone[p.Segment] = true
	}
	next.segments = slices.Concat(next.segments[:at:at], []*piece{made}, next.segments[end:])
	next.change(during)
	next.count = 0
	for _, p := range next.segments {
		next.count += p.Count()
	}
	k.view.Store(&next)
	for _, n := range k.names {
		n.own(next.segments)
	}
	c.marks.forget(gone)
	for _, p := range old {
		if p.file != "" {
			os.Remove(p.file)
		}
	}
	return nil
}

// sealNew makes the one piece, in a file.
func (s *Store) sealNew(ctx context.Context, k *kindColumns, old []*piece, decided int64, keep func(column int, word string) bool) (*piece, error) {
	f := s.sealed
	assign := func(g *segment.Segment) *segment.Segment {
		var all []*assigner
		for _, n := range k.names {
			all = append(all, &assigner{n: n})
		}
		return g.Assign(func(i int) uint32 { return all[i].base() }, func(i int, word string) uint32 { return all[i].assign(word) })
	}
	// What lies in files has its numbers; the rest gets them in one go.
	var filed, fresh *segment.Segment
	for _, p := range old {
		part := &filed
		if p.file == "" {
			part = &fresh
		}
		if *part == nil {
			*part = p.Segment
		} else {
			*part = segment.Merge(*part, p.Segment)
		}
	}
	whole := filed
	if fresh != nil {
		whole = assign(fresh)
		if filed != nil {
			whole = segment.Merge(filed, whole)
		}
	}
	if keep != nil {
		whole = whole.Without(keep)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &piece{lo: old[0].lo, hi: old[len(old)-1].hi, decided: decided}
	mark, err := s.ledgerMark(ctx, p.hi)
	if err == nil {
		err = s.sameHistory(ctx) // or the mark is of another one
	}
	if err != nil {
		return nil, err
	}
	if mark == "" {
		return nil, errors.New("the ledger has lost its end")
	}
	p.file = filepath.Join(f.folder, fmt.Sprintf("%s-%012d-%d", k.kind, p.hi, time.Now().UnixNano()))
	p.Segment, err = whole.Write(p.file, k.layout, map[string]string{
		stampOwner: f.owner, stampKind: string(k.kind), stampMark: mark,
		stampLo: strconv.FormatInt(p.lo, 10), stampHi: strconv.FormatInt(p.hi, 10), stampDecided: strconv.FormatInt(decided, 10),
	})
	return p, err
}
