package db

import (
	"context"
	"errors"
	"fmt"
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
		if s.served && !checked {
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
		if sealing, err := s.sealNow(s.closing, false); sealing {
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
	_, err := s.sealNow(ctx, all)
	return err
}

// sealNow is seal that also reports whether it is this program that does it.
func (s *Store) sealNow(ctx context.Context, all bool) (sealing bool, err error) {
	f := s.sealed
	if !f.ready.Load() {
		return false, nil
	}
	f.work.Lock()
	defer f.work.Unlock()
	if !s.served {
		f.cede()
	}
	if f.lock == nil {
		return false, nil
	}
	return true, s.sealAll(ctx, all)
}

// sealAll is seal for whoever holds work and the folder's lock.
func (s *Store) sealAll(ctx context.Context, all bool) error {
	f := s.sealed
	changed, removing := false, s.removing(ctx)
	for _, kind := range audit.Kinds() {
		k := s.columns.kinds[kind]
		for ctx.Err() == nil {
			some, err := s.sealNext(ctx, k, all)
			if err != nil {
				return fmt.Errorf("seal %s: %w", kind.Plural(), err)
			}
			if !some {
				break
			}
			changed = true
		}
		if removing {
			continue
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

// sealNext writes the next pieces of a kind that are worth a file as one, and
// reports whether there were any.
func (s *Store) sealNext(ctx context.Context, k *kindColumns, all bool) (bool, error) {
	return s.sealPieces(ctx, k, func(v *view) (from, to int) { return k.toSeal(v, s.sealed, all) }, nil)
}

// closeSealed writes what is left, so that the next start finds it, and lets
// other programs write.
func (s *Store) closeSealed() error {
	s.sealed.work.Lock()
	lock := s.sealed.lock
	s.sealed.work.Unlock()
	if lock == nil {
		return nil
	}
	defer lock.release()
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

// toSeal chooses the next pieces of a view to write as one, from from up to to,
// which is not included.
func (k *kindColumns) toSeal(v *view, f *sealed, all bool) (from, to int) {
	n := len(v.segments)
	first := n // of the pieces in memory
	for first > 0 && v.segments[first-1].file == "" {
		first--
	}
	rows, bytes, end := 0, int64(0), first
	for ; end < n && rows+v.segments[end].Len() <= segment.MaxRows && (end == first || bytes+v.segments[end].TextBytes() <= segment.MaxTextBytes); end++ {
		rows += v.segments[end].Len()
		bytes += v.segments[end].TextBytes()
	}
	if rows >= f.least || bytes >= k.words {
		return k.withFormer(v, first, end, rows, bytes)
	}
	if rows > 0 && (v.head-v.segments[first].lo >= sealSpan || all && rows >= f.leastAtEnd) {
		return k.withFormer(v, first, end, rows, bytes)
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
func (k *kindColumns) withFormer(v *view, first, end, rows int, bytes int64) (from, to int) {
	for first > 0 {
		former := v.segments[first-1]
		if former.erase || former.Len() > 3*rows || former.Len()+rows > segment.MaxRows || former.TextBytes()+bytes > segment.MaxTextBytes {
			break
		}
		rows += former.Len()
		bytes += former.TextBytes()
		first--
	}
	return first, end
}

// errViewChanged says that what was written is not of the pieces there are.
var errViewChanged = errors.New("the columns changed while they were written; they are written anew")

// sealPieces writes the pieces that choose chooses as one, without what erase takes
// away where keep is not nil, and puts it in their place. It reports whether there
// were any. Pages go on meanwhile. The caller holds work.
func (s *Store) sealPieces(ctx context.Context, k *kindColumns, choose func(v *view) (from, to int), keep func(column int, word string) bool) (some bool, err error) {
	if err := s.sealed.removeLeft(); err != nil {
		return false, err
	}
	old, head := s.takePieces(k, choose)
	if len(old) == 0 {
		return false, nil
	}
	var made *piece
	in := false
	defer func() { // whatever went wrong
		if !in {
			s.dropMade(k, made)
		}
	}()
	if made, err = s.sealNew(ctx, k, old, head, keep); err != nil {
		return true, err
	}
	if err = s.putMade(k, old, made); err != nil {
		return true, err
	}
	in = true
	for _, p := range old {
		if p.file != "" {
			s.sealed.remove(p.file)
		}
	}
	return true, nil
}

// takePieces has pieces chosen in the view as it is, and from then on notes what is
// decided about them: a refresh between the two would merge them. It returns how
// far the view goes, too.
func (s *Store) takePieces(k *kindColumns, choose func(v *view) (from, to int)) (old []*piece, head int64) {
	s.columns.mu.Lock()
	defer s.columns.mu.Unlock()
	v := k.view.Load()
	from, to := choose(v)
	if from == to {
		return nil, 0
	}
	old = v.segments[from:to:to]
	k.sealing, k.during = old[len(old)-1].hi, nil
	return old, v.head
}

// putMade puts what was made of pieces in their place.
func (s *Store) putMade(k *kindColumns, old []*piece, made *piece) error {
	c := s.columns
	c.mu.Lock()
	defer c.mu.Unlock()
	next := *k.view.Load()
	at := slices.IndexFunc(next.segments, func(p *piece) bool { return p.lo == old[0].lo })
	end := at + len(old)
	if at < 0 || end > len(next.segments) || next.segments[end-1].hi != old[len(old)-1].hi {
		return errViewChanged
	}
	gone := map[*segment.Segment]bool{}
	for _, p := range next.segments[at:end] {
		gone[p.Segment] = true
	}
	for _, p := range old {
		gone[p.Segment] = true
	}
	next.segments = slices.Concat(next.segments[:at:at], []*piece{made}, next.segments[end:])
	next.change(k.during)
	next.count = 0
	for _, p := range next.segments {
		next.count += p.Count()
	}
	k.sealing, k.during = 0, nil
	k.view.Store(&next)
	for _, n := range k.names {
		n.own(next.segments)
	}
	c.marks.forget(gone)
	return nil
}

// dropMade ends a try that has come to nothing: its file must not be found by the
// next start, since its numbers are given out again.
func (s *Store) dropMade(k *kindColumns, made *piece) {
	s.columns.mu.Lock()
	defer s.columns.mu.Unlock()
	k.sealing, k.during = 0, nil
	for _, n := range k.names {
		n.forget()
	}
	if made != nil {
		s.sealed.remove(made.file)
	}
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
		part, of := &filed, p.Segment
		if p.file == "" {
			part = &fresh
			if p.erase { // deleted before it came into any file
				of = of.Without(func(int, string) bool { return false })
			}
		}
		if *part == nil {
			*part = of
		} else {
			*part = segment.Merge(*part, of)
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
	if err != nil {
		f.remove(p.file) // it may be there all the same
		return nil, err
	}
	return p, nil
}
