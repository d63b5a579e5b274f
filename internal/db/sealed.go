package db

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	folder string
	ready  atomic.Bool
	mu     sync.Mutex  // held while it is opened
	work   sync.Mutex  // held while files are written
	lock   *folderLock // nil where another program holds it; once it is open, of whoever holds work
	owner  string      // names the database in each file
	wake   chan struct{}
	at     atomic.Int64 // when something was sealed last, in microseconds

	trouble atomic.Pointer[error] // why nothing is written just now, where something should be

	patience time.Duration // with a replica that does not show yet what lies in the files

	leftMu sync.Mutex
	left   map[string]bool         // files that are to go and could not be removed
	unlink func(name string) error // os.Remove

	saved             int64 // the head when the file of what is known was written last; of whoever holds work
	least, leastAtEnd int   // events that are worth a file, while open and when it is closed
}

// lockFile is the file in the folder that is locked by whoever writes there.
const lockFile = "lock"

func newSealed(beside string) *sealed {
	return &sealed{folder: beside + "-columns", wake: make(chan struct{}, 1), patience: replicaWait, left: map[string]bool{}, unlink: os.Remove, least: builderRows, leastAtEnd: 256}
}

// report keeps why the last try to write files failed, or that it did not.
func (f *sealed) report(err error) {
	switch {
	case err == nil:
		f.trouble.Store(nil)
	case !errors.Is(err, context.Canceled):
		f.trouble.Store(&err)
	}
}

// remove removes a file that the next start must not believe: the numbers of its words
// are given out again.
func (f *sealed) remove(name string) { _ = f.removed(name) }

// removed is remove, and says why the file is still there.
func (f *sealed) removed(name string) error {
	err := f.unlink(name)
	f.leftMu.Lock()
	defer f.leftMu.Unlock()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(f.left, name)
		return nil
	}
	f.left[name] = true
	return fmt.Errorf("a file of columns that is not to be believed cannot be removed: %w; remove it, until then nothing is written there", err)
}

// removeLeft removes what could not be removed before. While some of it is there, no
// file may be written: what is in the old one would be read by the numbers of the new.
func (f *sealed) removeLeft() (err error) {
	f.leftMu.Lock()
	left := slices.Sorted(maps.Keys(f.left))
	f.leftMu.Unlock()
	for _, name := range left {
		err = errors.Join(err, f.removed(name))
	}
	return err
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
	if s.rw != nil && f.lock == nil {
		f.lock, err = f.acquire(ctx, s.served)
		f.report(err)
	}
	s.columns.mu.Lock()
	defer s.columns.mu.Unlock()
	for start := time.Now(); ; {
		err := f.openKinds(ctx, s)
		if err == nil {
			break
		}
		if !errors.Is(err, errLags) {
			return err
		}
		if time.Since(start) >= f.patience {
			// Pages are shown what the replica has. Of the files, which are of the same
			// history, none may be removed, nor written beside what lies in them.
			f.lock.release()
			f.lock = nil
			f.report(fmt.Errorf("%s is so far behind that the files of columns are ahead of it; start this program again when it has caught up", s.readPath))
			continue
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.ready.Store(true)
	return nil
}

func (f *sealed) openKinds(ctx context.Context, s *Store) error {
	for _, kind := range audit.Kinds() {
		if err := f.openKind(ctx, s, s.columns.kinds[kind]); err != nil {
			return err
		}
	}
	return nil
}

// errLags says that a file is of the same history, and the replica that is read does not
// show its end yet.
var errLags = errors.New("the replica is behind the files of columns")

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
	found, changed := f.find(k)
	for tries := 0; changed && tries < 5; tries++ {
		found, changed = f.find(k) // somebody merged files just then
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(b.hi, a.hi), cmp.Compare(b.decided, a.decided))
	})
	v := &view{}
	decided := int64(math.MaxInt64)
	for _, c := range found {
		if c.lo != v.head {
			continue
		}
		if ours, err := f.ofThisHistory(ctx, s, c); err != nil {
			return err
		} else if !ours {
			break
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
				f.remove(c.file)
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

// ofThisHistory reports whether the ledger has the entry up to which a file goes: that of
// a restored backup is shorter, or has another one there. Its error is errLags where a
// replica is read, and only the database it follows has that entry; it is asked for by
// whoever holds the lock, since he removes what is not of this history.
func (f *sealed) ofThisHistory(ctx context.Context, s *Store, c candidate) (bool, error) {
	mark, err := s.ledgerMark(ctx, c.hi)
	if err != nil {
		return false, err
	}
	if mark != "" || f.lock == nil || s.near == nil {
		return mark == c.mark, nil
	}
	if mark, err = markOf(ctx, s.near, c.hi); err != nil {
		return false, s.dialect.classify(err)
	}
	if mark == c.mark {
		return false, errLags
	}
	return false, nil
}

// find opens the files of a kind, and reports whether some of them went away
// meanwhile.
func (f *sealed) find(k *kindColumns) (all []candidate, changed bool) {
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		return nil, false
	}
	var mu sync.Mutex
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
			c, err := f.openFile(k, name)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				all = append(all, c)
			case errors.Is(err, fs.ErrNotExist):
				changed = true
			case f.lock != nil:
				f.remove(name) // whatever is wrong with it: the numbers of its words are given out again
			}
		})
	}
	wg.Wait()
	return all, changed
}

// openFile opens a file and reads it through before anybody believes it: rotten
// bits would be wrong counts, or the end of the process. Ten million events take
// a few tenths of a second, or as long as the disk needs.
func (f *sealed) openFile(k *kindColumns, name string) (candidate, error) {
	made, stamp, err := segment.Open(name, k.layout)
	if err == nil {
		err = made.Check()
	}
	if err == nil && (stamp[stampOwner] != f.owner || stamp[stampKind] != string(k.kind)) {
		err = errors.New("it belongs to another database")
	}
	if err != nil {
		return candidate{}, err
	}
	c := candidate{&piece{Segment: made, file: name}, stamp[stampMark]}
	c.lo, _ = strconv.ParseInt(stamp[stampLo], 10, 64)
	c.hi, _ = strconv.ParseInt(stamp[stampHi], 10, 64)
	c.decided, _ = strconv.ParseInt(stamp[stampDecided], 10, 64)
	return c, nil
}

// ledgerMark is what an entry of the ledger is known by; "" if it is not there.
func (s *Store) ledgerMark(ctx context.Context, seq int64) (string, error) {
	return markOf(ctx, s.ro, seq)
}

func markOf(ctx context.Context, q queryer, seq int64) (string, error) {
	var recordedAt, kind string
	var id int64
	var leaf []byte
	err := q.QueryRowxContext(ctx, "SELECT recorded_at, kind, id, leaf FROM ledger WHERE seq = ?", seq).Scan(&recordedAt, &kind, &id, &leaf)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %X", recordedAt, kind, id, leaf))
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
		if err == nil {
			err = s.sameHistory(ctx) // or the mark is of another one
		}
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
