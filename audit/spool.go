package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A spool keeps events on disk, in order, until they are delivered.
//
// It is a directory of segments, files of lines that are only ever appended to.
// A line is framed: the length of the event and the CRC-32C of it, each in eight
// hexadecimal digits, and the event as NDJSON:
//
//	0000009c 5be3a1f0 {"kind":"audit_log",…}
//
// A line that was cut off by a crash does not pass, and was never acknowledged.
// A segment is deleted after all of it was delivered. Where exactly delivery
// stood is not kept: after a crash the oldest segment is delivered once more,
// and the sink recognises what it has by its event_id.
type spool struct {
	dir         string
	limit       int64
	atLimit     AtLimit
	segmentSize int64
	lock        io.Closer
	create      func(path string) (segmentFile, error) // tests put a disk that fails here

	active atomic.Bool // events go through the spool; else straight to the sink
	// gate is held for reading around an append, and for writing while the last
	// events are delivered and active becomes false: no event can fall between.
	gate sync.RWMutex

	mu       sync.Mutex
	pending  *group      // is filled while the one before it is written
	segments []*segment  // oldest first
	file     segmentFile // of the last segment, nil where the next append begins one
	number   int         // of the last segment there was
	waiting  int64       // events
	bytes    int64       // on disk or reserved
	since    time.Time   // when the first of them came
	room     chan struct{}
	shut     bool
	kick     chan struct{} // wakes the writer; holds at most one wake-up
	wake     chan struct{} // wakes delivery; holds at most one wake-up
	writer   sync.WaitGroup
}

// segmentFile is a segment that is written to.
type segmentFile interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// segment is one file of the spool.
type segment struct {
	path   string
	end    int64 // as far as it is durable
	read   int64 // as far as it was delivered
	size   int64 // what it counts for in bytes
	sealed bool  // nothing more is appended
}

// group is what several callers append with one write and one fsync.
type group struct {
	frames []byte
	events int64
	done   chan struct{}
	err    error
}

const (
	spoolSuffix    = ".spool"
	maxSegment     = 8 << 20
	minSegment     = 64 << 10
	rejectedFile   = "rejected.ndjson" // events that the sink refused for good
	damagedFile    = "damaged.txt"     // lines that did not pass, in front of ones that did
	deliveryEvents = 500
	deliveryBytes  = 1 << 20
)

func openSpool(dir string, limit int64, then AtLimit) (*spool, error) {
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("make the spool: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("lock the spool %s: %w", dir, err)
	}
	s := &spool{dir: dir, limit: limit, atLimit: then, lock: lock, create: createSegment,
		segmentSize: min(max(limit/8, minSegment), maxSegment),
		room:        make(chan struct{}), kick: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	if err := s.recover(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("read the spool %s: %w", dir, err)
	}
	if len(s.segments) > 0 {
		s.active.Store(true)
		s.wake <- struct{}{}
	}
	s.writer.Go(s.writeLoop)
	return s, nil
}

// makeDir makes a directory and those above it that are missing, whose names are
// durable too: what is in a directory is gone when its name is.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if above := filepath.Dir(dir); above != dir {
		if err := makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// createSegment makes a file whose name is durable too.
func createSegment(path string) (segmentFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// recover finds what an earlier process left.
func (s *spool) recover() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "*"+spoolSuffix))
	if err != nil {
		return err
	}
	slices.Sort(names) // their numbers have a fixed width
	for _, path := range names {
		if _, err := fmt.Sscanf(filepath.Base(path), "%d", &s.number); err != nil {
			return fmt.Errorf("%s is no segment of a spool: move it away", path)
		}
		seg := &segment{path: path, sealed: true}
		if err := s.scan(seg); err != nil {
			return err
		}
		if seg.end == 0 { // nothing in it was ever acknowledged
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		s.segments = append(s.segments, seg)
		s.bytes += seg.size
	}
	return nil
}

// scan counts the events of a segment and finds its end: behind the last line
// that passes. What follows was torn, and never acknowledged.
func (s *spool) scan(seg *segment) error {
	f, err := os.Open(seg.path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		seg.size += int64(len(line))
		if payload := parseFrame(line); payload != nil {
			seg.end = seg.size
			s.waiting++
			if s.since.IsZero() {
				s.since = spooledAt(payload)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// reserve makes sure that n bytes fit.
func (s *spool) reserve(ctx, closing context.Context, n int64) error {
	for {
		s.mu.Lock()
		if s.bytes+n <= s.limit {
			s.bytes += n
			s.mu.Unlock()
			return nil
		}
		room := s.room
		s.mu.Unlock()
		if s.atLimit == Refuse || n > s.limit {
			return fmt.Errorf("%w: %d bytes in %s", ErrSpoolFull, s.limit, s.dir)
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("%w: %d bytes in %s: %w", ErrSpoolFull, s.limit, s.dir, ctx.Err())
		case <-closing.Done():
			return fmt.Errorf("%w: %d bytes in %s: %w", ErrSpoolFull, s.limit, s.dir, ErrClosed)
		}
	}
}

// release gives room back; s.mu is held.
func (s *spool) release(n int64) {
	s.bytes -= n
	close(s.room)
	s.room = make(chan struct{})
}

// append makes frames durable, for which room was reserved. The gate is held.
func (s *spool) append(frames []byte, events int, now time.Time) error {
	s.mu.Lock()
	if s.shut {
		s.release(int64(len(frames)))
		s.mu.Unlock()
		return ErrClosed
	}
	g := s.pending
	if g == nil {
		g = &group{done: make(chan struct{})}
		s.pending = g
	}
	g.frames = append(g.frames, frames...)
	g.events += int64(events)
	if s.since.IsZero() {
		s.since = now
	}
	s.mu.Unlock()
	poke(s.kick)
	<-g.done
	return g.err
}

// poke wakes whoever listens, once.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// writeLoop writes one group after the other; callers that come meanwhile make
// the next group.
func (s *spool) writeLoop() {
	for range s.kick {
		s.mu.Lock()
		g := s.pending
		s.pending = nil
		s.mu.Unlock()
		if g == nil {
			continue
		}
		if g.err = s.write(g); g.err != nil {
			g.err = fmt.Errorf("write to the spool: %w", g.err)
		}
		close(g.done)
		poke(s.wake)
	}
}

// write makes a group durable, at the end of the last segment or in a new one.
func (s *spool) write(g *group) (err error) {
	size := int64(len(g.frames))
	defer func() {
		if err != nil {
			s.mu.Lock()
			s.release(size)
			s.mu.Unlock()
		}
	}()
	if s.file == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	last := s.segments[len(s.segments)-1] // it is not removed before it is sealed, or the gate is closed
	s.mu.Unlock()
	if _, err := s.file.Write(g.frames); err != nil {
		// What is half there must not stand in front of what comes next.
		if s.file.Truncate(last.end) != nil {
			s.seal(last)
		}
		return err
	}
	if err := s.file.Sync(); err != nil {
		// The system may have thrown the pages away, and would say yes at the next
		// attempt: this file cannot be trusted any further.
		_ = s.file.Truncate(last.end)
		s.seal(last)
		return err
	}
	s.mu.Lock()
	last.end += size
	last.size += size
	s.waiting += g.events
	full := last.end >= s.segmentSize
	s.mu.Unlock()
	if full {
		s.seal(last)
	}
	return nil
}

func (s *spool) begin() error {
	s.mu.Lock()
	s.number++
	path := filepath.Join(s.dir, fmt.Sprintf("%010d%s", s.number, spoolSuffix))
	s.mu.Unlock()
	f, err := s.create(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.file = f
	s.segments = append(s.segments, &segment{path: path})
	s.mu.Unlock()
	return nil
}

// seal ends a segment: nothing more is appended to it.
func (s *spool) seal(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.file.Close() // everything acknowledged is synced
	s.file = nil
	seg.sealed = true
}

// delivery is some events in the order in which they came.
type delivery struct {
	segment *segment
	to      int64 // where the segment goes on behind them
	lines   int64
	events  []*Event
	damaged [][]byte // lines that do not pass, or are no events
}

// next reads what is to be delivered next: nothing where all was.
func (s *spool) next() (*delivery, error) {
	s.mu.Lock()
	for len(s.segments) > 0 && s.segments[0].sealed && s.segments[0].read >= s.segments[0].end {
		if err := s.drop(); err != nil {
			s.mu.Unlock()
			return nil, err
		}
	}
	if len(s.segments) == 0 || s.segments[0].read >= s.segments[0].end {
		s.mu.Unlock()
		return nil, nil
	}
	seg := s.segments[0]
	from, end := seg.read, seg.end
	s.mu.Unlock()

	f, err := os.Open(seg.path)
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.NewSectionReader(f, from, end-from), 64<<10)
	d := &delivery{segment: seg, to: from}
	for d.to < end && len(d.events) < deliveryEvents && d.to-from < deliveryBytes {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) || len(line) == 0 {
			return nil, fmt.Errorf("read the spool %s: %w", seg.path, err)
		}
		d.to += int64(len(line))
		payload := parseFrame(line)
		if payload == nil {
			d.damaged = append(d.damaged, line)
			continue
		}
		d.lines++
		e, err := DecodeEvent(payload, DecodeOptions{Import: true})
		if err != nil {
			d.damaged = append(d.damaged, line)
			continue
		}
		d.events = append(d.events, e)
	}
	return d, nil
}

// delivered takes off what the sink has.
func (s *spool) delivered(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.segment.read = d.to
	s.waiting -= d.lines
}

// drop deletes the oldest segment; s.mu is held.
func (s *spool) drop() error {
	seg := s.segments[0]
	if err := os.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete a delivered segment of the spool: %w", err)
	}
	s.segments = s.segments[1:]
	s.release(seg.size)
	return nil
}

// empty deletes what is left of the spool, all of which was delivered. The gate
// is held for writing: nobody appends.
func (s *spool) empty() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
	for len(s.segments) > 0 {
		if err := s.drop(); err != nil {
			return err
		}
	}
	s.since = time.Time{}
	s.active.Store(false)
	return nil
}

// setAside keeps lines that cannot be delivered in a file of the spool.
func (s *spool) setAside(name string, lines []byte) error {
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("set events aside: %w", err)
	}
	_, err = f.Write(lines)
	if err := errors.Join(err, f.Sync(), f.Close(), syncDir(s.dir)); err != nil {
		return fmt.Errorf("set events aside: %w", err)
	}
	return nil
}

func (s *spool) state() (waiting, size int64, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting, s.bytes, s.since
}

// close ends the spool; what is in it stays.
func (s *spool) close() error {
	s.gate.Lock() // every append is through
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	s.gate.Unlock()
	close(s.kick)
	s.writer.Wait()
	var err error
	if s.file != nil {
		err = s.file.Close()
	}
	return errors.Join(err, s.lock.Close())
}
