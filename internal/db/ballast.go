package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// The ballast is a file beside the database that takes up space for the day on
// which the disk is full. It is given up then, so that people can still sign in
// and delete; events wait until there is space for them and for a new ballast.
const (
	ballastLeast = 1 << 20
	ballastMost  = 16 << 20
	ballastShare = 100 // one part in so many of what is free

	// headroom is how much has to be free beside the ballast before events are
	// taken again, so that a disk on the brink does not go to and fro.
	headroom = 512 << 10
	// probeEvery is how often a database that cannot be written is tried again.
	probeEvery = time.Second
	// fullAgain is how long after a full disk was recorded another one is news.
	fullAgain = time.Hour
)

// Hindrance says why nothing can be recorded just now, and since when.
type Hindrance struct {
	Err   error // wraps ErrFull, ErrReadOnly, ErrMoved, ErrAway or ErrUnsure
	Since time.Time
}

// Hindrance returns what keeps the store from recording, and nil where nothing
// does. It is found out by a write that failed, and looked at again every
// second until one succeeds.
func (s *Store) Hindrance() *Hindrance { return s.guard.now() }

// guard knows whether the database can be written.
type guard struct {
	watches bool          // what is found is looked at again until it is over
	path    string        // of the ballast; "" where there is none
	wake    chan struct{} // holds at most one call for the watch

	mu    sync.Mutex
	found *Hindrance
	told  time.Time // when a full disk was last recorded

	broke     *Hindrance // a failure of the disk that is not recorded yet
	toldBroke time.Time  // when one was last recorded
}

func newGuard() *guard { return &guard{wake: make(chan struct{}, 1)} }

func (g *guard) now() *Hindrance {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.found
}

// hindered notes why a write failed, and reports whether it may succeed if it is
// tried once more: where the ballast was given up just now.
func (g *guard) hindered(err error, at time.Time) (again bool) {
	if g.path != "" && errors.Is(err, ErrDisk) {
		g.failed(err, at)
		return false
	}
	if !g.watches || !slices.ContainsFunc(hindrances, func(h error) bool { return errors.Is(err, h) }) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found == nil {
		g.found = &Hindrance{Err: err, Since: at}
	}
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return errors.Is(err, ErrFull) && g.path != "" && os.Remove(g.path) == nil
}

// hindrances are what a write that fails with them means for those after it.
var hindrances = []error{ErrFull, ErrReadOnly, ErrMoved, ErrAway, ErrUnsure}

// failed notes that the disk failed, to be recorded once it can be.
func (g *guard) failed(err error, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broke != nil || !g.toldBroke.IsZero() && at.Sub(g.toldBroke) < fullAgain {
		return
	}
	g.broke = &Hindrance{Err: err, Since: at}
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// untold returns a failure of the disk that is yet to be recorded, or nil.
func (g *guard) untold() *Hindrance {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broke
}

// ballast takes the space again. It reports false where there is too little.
func (g *guard) ballast(folder string) bool {
	if info, err := os.Stat(g.path); err == nil && info.Size() >= ballastLeast {
		return true
	}
	free, known := diskSpace(folder)
	size := int64(ballastLeast)
	if known > 0 {
		if free < ballastLeast+headroom {
			return false
		}
		size = min(max(free/ballastShare, ballastLeast), ballastMost)
	}
	if err := reserve(g.path, size); err != nil {
		os.Remove(g.path)
		return false
	}
	return true
}

// reserve makes a file that takes up so many bytes of the disk.
func reserve(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = allocate(f, size)
	return errors.Join(err, f.Sync(), f.Close())
}

// fill writes so many zeros, for where the system cannot reserve space by itself.
func fill(f *os.File, size int64) error {
	zeros := make([]byte, 64<<10)
	for size > 0 {
		n, err := f.Write(zeros[:min(size, int64(len(zeros)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

// guardLoop keeps the ballast, and looks after a database that cannot be written
// until it can.
func (s *Store) guardLoop() {
	folder := filepath.Dir(s.path)
	if s.guard.path != "" {
		s.guard.ballast(folder)
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		var again <-chan time.Time
		if s.guard.untold() != nil {
			again = tick.C
		}
		select {
		case <-s.guard.wake:
		case <-again:
		case <-s.closing.Done():
			return
		}
		if b := s.guard.untold(); b != nil && s.Hindrance() == nil {
			s.tellBroken(b)
		}
		if s.Hindrance() == nil {
			continue
		}
		s.makeRoomOnDisk(true)
		for h := s.Hindrance(); h != nil; h = s.Hindrance() {
			s.tellFull(h)
			select {
			case <-tick.C:
			case <-s.closing.Done():
				return
			}
			if s.guard.path != "" {
				_ = s.dialect.pauseLog(s.closing, s.rw, true) // again: the connection may be another one
			}
			s.probe(folder, h)
		}
		s.makeRoomOnDisk(false)
	}
}

// makeRoomOnDisk gives back what the log takes up, where that is on a disk of ours,
// and keeps the engine from writing it back by itself while pause is set.
func (s *Store) makeRoomOnDisk(pause bool) {
	if s.guard.path == "" {
		return
	}
	_ = s.dialect.pauseLog(s.closing, s.rw, pause)
	s.scrub(s.closing)
}

// mayReclaim reports whether there is room to write the log back into the
// database and empty it. Where the database outgrew the disk in the middle, the
// log would stay and the room, the ballast's perhaps, be gone.
func (s *Store) mayReclaim(ctx context.Context) bool {
	free, known := diskSpace(filepath.Dir(s.path))
	if known == 0 {
		return true
	}
	grows, err := s.dialect.growth(ctx, s.rw, s.path)
	return err == nil && grows < free/2
}

// probe ends a hindrance if the ballast can be taken again and a write succeeds.
func (s *Store) probe(folder string, h *Hindrance) {
	if errors.Is(h.Err, ErrFull) && s.guard.path != "" && !s.guard.ballast(folder) {
		return
	}
	ctx, cancel := context.WithTimeout(s.closing, writeDeadline)
	defer cancel()
	err := s.writeTo(ctx, s.rw, "try whether the database can be written", func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES ('written', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			audit.FormatTime(tx.now))
		return err
	})
	if err != nil {
		if errors.Is(err, ErrFull) && s.guard.path != "" {
			os.Remove(s.guard.path)
		}
		return
	}
	s.guard.mu.Lock()
	s.guard.found = nil
	s.guard.mu.Unlock()
	s.tellFull(h) // where there was no room even for that
	s.wakeIndexer()
}

// tellFull records, once, that the disk was full. Where even that does not fit
// it is tried again later.
func (s *Store) tellFull(h *Hindrance) {
	if !errors.Is(h.Err, ErrFull) || !s.guard.told.IsZero() && h.Since.Sub(s.guard.told) < fullAgain {
		return
	}
	if s.tell(h, "The disk is full: nothing could be recorded",
		"Events are refused until there is space again. Reading, signing in and deleting still work. Make room where the database is.") {
		s.guard.told = s.now()
	}
}

// tellBroken records that the disk failed. Where that fails too, it is tried
// again later.
func (s *Store) tellBroken(h *Hindrance) {
	if !s.tell(h, "The disk failed: something could not be recorded",
		"Whoever sent it was told so. The connection was opened anew, and nothing was acknowledged that the disk does not have. Look at the disk and at the log of the system. "+h.Err.Error()) {
		return
	}
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	s.guard.broke, s.guard.toldBroke = nil, s.now()
}

// tell records what happened to the disk, and reports whether it could.
func (s *Store) tell(h *Hindrance, title, description string) bool {
	e := audit.NewEvent(audit.KindSystemEvent)
	e.SetTime(h.Since)
	e.Set("event_type", "ERROR")
	e.Set("title", title)
	e.Set("description", description)
	e.Set("module", Self)
	ctx, cancel := context.WithTimeout(s.closing, writeDeadline)
	defer cancel()
	return s.writeTo(ctx, s.rw, "record what happened to the disk", func(tx *writeTx) error { return tx.record(e) }) == nil
}

// removeBallast gives the space back when the store is closed.
func (g *guard) removeBallast() error {
	if g.path == "" {
		return nil
	}
	if err := os.Remove(g.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("give up the ballast: %w", err)
	}
	return nil
}
