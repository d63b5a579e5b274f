package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// sealed is the folder beside the database in which segments lie as files, so
// that a start reads next to nothing and memory holds only what is new. All of
// it is derived: a file that is missing, damaged or of another history is made
// again from the rows. One program at a time writes there; the others read.
type sealed struct {
	folder string // "" where there is none
	ready  atomic.Bool
	mu     sync.Mutex // held while it is opened
	work   sync.Mutex // held while files are written
	lock   *folderLock
	owner  string // names the database in each file
	wake   chan struct{}
	at     atomic.Int64 // when something was sealed last, in microseconds

	saved             int64 // the head when the file of what is known was written last; of whoever holds work
	least, leastAtEnd int   // events that are worth a file, while open and when it is closed
}

func newSealed(path string) *sealed {
	return &sealed{folder: path + "-columns", wake: make(chan struct{}, 1), least: builderRows, leastAtEnd: 256}
}

// The keys of a file's stamp.
const (
	stampOwner   = "database"
	stampKind    = "kind"
	stampLo      = "lo"
	stampHi      = "hi"
	stampMark    = "mark"    // what the ledger's entry hi is known by
	stampDecided = "decided" // decisions up to here are in it
)

// open opens the files there are, once.
func (f *sealed) open(ctx context.Context, s *Store) error {
	if f.ready.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ready.Load() {
		return nil
	}
	key, err := s.MaskKey(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(key)
	f.owner = hex.EncodeToString(sum[:8])
	if s.rw != nil && f.folder != "" {
		if err := os.MkdirAll(f.folder, 0o700); err == nil {
			f.lock = lockFolder(f.folder)
		}
	}
	s.columns.mu.Lock()
	defer s.columns.mu.Unlock()
	for _, kind := range audit.Kinds() {
		if err := f.openKind(ctx, s, s.columns.kinds[kind]); err != nil {
			return err
		}
	}
	f.ready.Store(true)
	return nil
}

// candidate is a file that may be part of a kind's chain.
type candidate struct {
	*piece
	mark string
}

// openKind makes a kind's view of the files that follow one another from the
// beginning of the ledger, and brings what they say up to date.
func (f *sealed) openKind(ctx context.Context, s *Store, k *kindColumns) error {
	known, err := f.knownOf(ctx, s, k.kind)
	if err != nil {
		return err
	}
	found := f.find(k)
	slices.SortFunc(found, func(a, b candidate) int {
		switch {
		case a.lo != b.lo:
			return int(a.lo - b.lo)
		case a.hi != b.hi:
			return int(b.hi - a.hi)
		}
		return int(b.decided - a.decided)
	})
	v := &view{}
	decided := int64(math.MaxInt64)
	for _, c := range found {
		if c.lo != v.head {
			continue
		}
		if mark, err := s.ledgerMark(ctx, c.hi); err != nil {
			return err
		} else if mark != c.mark {
			break // of another history: a restored backup has a shorter one
		}
		v.segments = append(v.segments, c.piece)
		v.head = c.hi
		v.count += c.Count()
		c.piece.decided = max(c.decided, known.Decided[filepath.Base(c.file)])
		decided = min(decided, c.decided)
	}
	if f.lock != nil {
		for _, c := range found {
			if !slices.Contains(v.segments, c.piece) {
				os.Remove(c.file)
			}
		}
	}
	if known.Sealed && known.End == v.head {
		v.head = known.Head
	}
	if len(v.segments) > 0 {
		var head int64
		if err := s.ro.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
			return err
		}
		changes, err := k.readDecisions(ctx, s.ro, v, decided, head)
		if err != nil {
			return err
		}
		v.change(changes)
	}
	for _, n := range k.names {
		n.own(v.segments)
	}
	k.known = v.head
	k.view.Store(v)
	return nil
}

// find opens the files of a kind.
func (f *sealed) find(k *kindColumns) []candidate {
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	var all []candidate
	var wg sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, e := range entries {
		name := filepath.Join(f.folder, e.Name())
		if !strings.HasPrefix(e.Name(), string(k.kind)+"-") {
			if strings.HasPrefix(e.Name(), ".new-") && f.lock != nil {
				os.Remove(name) // left by a program that was killed
			}
			continue
		}
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			if c, ok := f.openFile(k, name); ok {
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
			} else if f.lock != nil {
				os.Remove(name)
			}
		})
	}
	wg.Wait()
	return all
}

// openFile opens a file and reads it through before anybody believes it: rotten
// bits would be wrong counts, or the end of the process. Ten million events take
// a few tenths of a second, or as long as the disk needs.
func (f *sealed) openFile(k *kindColumns, name string) (candidate, bool) {
	made, stamp, err := segment.Open(name, k.layout)
	if err == nil {
		err = made.Check()
	}
	if err != nil || stamp[stampOwner] != f.owner || stamp[stampKind] != string(k.kind) {
		return candidate{}, false
	}
	c := candidate{&piece{Segment: made, file: name}, stamp[stampMark]}
	c.lo, _ = strconv.ParseInt(stamp[stampLo], 10, 64)
	c.hi, _ = strconv.ParseInt(stamp[stampHi], 10, 64)
	c.decided, _ = strconv.ParseInt(stamp[stampDecided], 10, 64)
	return c, true
}

// ledgerMark is what an entry of the ledger is known by; "" if it is not there.
func (s *Store) ledgerMark(ctx context.Context, seq int64) (string, error) {
	var marks []string
	err := s.ro.SelectContext(ctx, &marks, "SELECT recorded_at || ' ' || kind || ' ' || id || ' ' || hex(leaf) FROM ledger WHERE seq = ?", seq)
	if err != nil || len(marks) == 0 {
		return "", err
	}
	sum := sha256.Sum256([]byte(marks[0]))
	return hex.EncodeToString(sum[:12]), nil
}

// knownFile says what was known of each kind when something was sealed last, so
// that a start need not look for it in the ledger again.
const knownFile = "known.json"

// knownKind is what it says of a kind.
type knownKind struct {
	Head int64  // of the ledger, at that time
	Mark string // what that entry is known by
	End  int64  // of the last file
	// Sealed is whether there is nothing of the kind from End to Head.
	Sealed bool
	// Decided says of files up to where they have every decision in them.
	Decided map[string]int64
}

type knownKinds struct {
	Owner string
	Kinds map[audit.Kind]knownKind
}

// knownOf reads what was known of a kind. Of another history it knows nothing.
func (f *sealed) knownOf(ctx context.Context, s *Store, kind audit.Kind) (knownKind, error) {
	text, err := os.ReadFile(filepath.Join(f.folder, knownFile))
	var known knownKinds
	if err != nil || json.Unmarshal(text, &known) != nil || known.Owner != f.owner {
		return knownKind{}, nil
	}
	k := known.Kinds[kind]
	mark, err := s.ledgerMark(ctx, k.Head)
	if err != nil || mark == "" || mark != k.Mark {
		return knownKind{}, err
	}
	return k, nil
}

// saveKnown writes the file.
func (f *sealed) saveKnown(ctx context.Context, s *Store) error {
	known := knownKinds{f.owner, map[audit.Kind]knownKind{}}
	for kind, k := range s.columns.kinds {
		v := k.view.Load()
		mark, err := s.ledgerMark(ctx, v.head)
		if err != nil {
			return err
		}
		as := knownKind{Head: v.head, Mark: mark, Sealed: true, Decided: map[string]int64{}}
		for _, p := range v.segments {
			switch {
			case p.file == "":
				as.Sealed = false
				continue
			case p.pending > 0:
				as.Decided[filepath.Base(p.file)] = p.since - 1
			default:
				as.Decided[filepath.Base(p.file)] = v.head
			}
			as.End = p.hi
		}
		known.Kinds[kind] = as
	}
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	f.saved = s.columns.head.Load()
	name := filepath.Join(f.folder, knownFile)
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

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

// sealLoop keeps the columns close behind the ledger and writes what is complete
// to files. Its pace changes no answer.
func (s *Store) sealLoop() {
	tick := time.NewTicker(sealPause)
	defer tick.Stop()
	checked := false
	for {
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
			for _, kind := range audit.Kinds() {
				for _, n := range s.columns.kinds[kind].names {
					n.build()
				}
			}
		}
		s.seal(s.closing, false)
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
