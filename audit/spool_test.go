package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func textLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, nil))
}

func segmentsOf(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+spoolSuffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func spoolText(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range segmentsOf(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// fill records events from..to while the sink is away.
func fill(t *testing.T, r *Recorder, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := r.Record(context.Background(), anAudit(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func objects(events []*Event) []int {
	var all []int
	for _, e := range events {
		n, _ := strconv.Atoi(e.Get("object_id"))
		all = append(all, n)
	}
	return all
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestSpoolTakesOverAndDeliversInOrder(t *testing.T) {
	sink := &memory{}
	dir := filepath.Join(t.TempDir(), "a", "spool")
	r := spooling(t, sink, dir)
	fill(t, r, 0, 10)
	if got := r.Stats(); got.Spooled != 0 || len(segmentsOf(t, dir)) != 0 {
		t.Errorf("got %d spooled while the sink is there, want 0", got.Spooled)
	}
	sink.setAway(errAway)
	const n = 1500
	fill(t, r, 10, n)
	s := r.Stats()
	if s.Waiting != n-10 || s.SpoolBytes == 0 || s.SpooledSince.IsZero() || s.LastError == "" {
		t.Errorf("got %+v, want %d waiting", s, n-10)
	}
	sink.setAway(nil)
	eventually(t, "the spool is empty", func() bool { return !r.spool.active.Load() })
	events, notices := noticesApart(sink.all())
	if got := objects(events); !slices.Equal(got, upTo(n)) {
		t.Errorf("got %d events, want %d in the order in which they were recorded", len(got), n)
	}
	if len(notices) != 1 {
		t.Fatalf("got %d notices, want 1", len(notices))
	}
	if got, want := notices[0].Get("title"), fmt.Sprintf("The audit database was away: %d events waited in the spool", n-10); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := notices[0].Get("metadata"); !strings.Contains(got, `"since":"20`) || !strings.Contains(got, fmt.Sprintf(`"spooled":%d`, n-10)) {
		t.Errorf("the notice does not say since when: %s", got)
	}
	s = r.Stats()
	if s.Waiting != 0 || s.SpoolBytes != 0 || !s.SpooledSince.IsZero() || s.Spooled != n-10 || s.Stored != n+1 || len(segmentsOf(t, dir)) != 0 {
		t.Errorf("got %+v and %d segments, want an empty spool", s, len(segmentsOf(t, dir)))
	}
	fill(t, r, n, n+1)
	if got := r.Stats().Spooled; got != n-10 {
		t.Errorf("got %d spooled, want events to go straight to the sink again", got)
	}
}

func TestNextStartDeliversWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	sink := &memory{away: errAway}
	r := spooling(t, sink, dir)
	fill(t, r, 0, 20)
	if err := r.Close(context.Background()); !errors.Is(err, errAway) || !strings.Contains(err.Error(), "20 events wait") {
		t.Errorf("got %v, want it to say that 20 events wait", err)
	}
	sink.setAway(nil)
	r = spooling(t, sink, dir)
	eventually(t, "the spool is empty", func() bool { return !r.spool.active.Load() })
	events, notices := noticesApart(sink.all())
	if got := objects(events); !slices.Equal(got, upTo(20)) || len(notices) != 1 || events[0].Source != "test" {
		t.Errorf("got %v and %d notices", got, len(notices))
	}
}

func TestCloseDelivers(t *testing.T) {
	sink := &memory{away: errAway}
	r := spooling(t, sink, t.TempDir())
	fill(t, r, 0, 20)
	sink.setAway(nil)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if events, _ := noticesApart(sink.all()); len(events) != 20 {
		t.Errorf("got %d events, want 20", len(events))
	}
}

func TestOneRecorderAtATime(t *testing.T) {
	dir := t.TempDir()
	r := spooling(t, &memory{}, dir)
	if _, err := New(&memory{}, SpoolDir(dir)); !errors.Is(err, ErrSpoolBusy) {
		t.Errorf("got %v, want ErrSpoolBusy", err)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	spooling(t, &memory{}, dir)
}

// TestTornSpool cuts a spool at every byte, and writes what a crash leaves.
func TestTornSpool(t *testing.T) {
	dir := t.TempDir()
	r := spooling(t, &memory{away: errAway}, dir)
	fill(t, r, 0, 3)
	_ = r.Close(context.Background())
	whole := []byte(spoolText(t, dir))
	lines := bytes.SplitAfter(whole, []byte("\n"))
	open := func(t *testing.T, content []byte) *spool {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000007"+spoolSuffix), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openSpool(dir, 1<<20, Refuse)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	read := func(t *testing.T, s *spool) (events, damaged int) {
		t.Helper()
		for {
			d, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if d == nil {
				return events, damaged
			}
			events += len(d.events)
			damaged += len(d.damaged)
			s.delivered(d)
		}
	}
	for cut := range len(whole) + 1 {
		s := open(t, whole[:cut])
		want := bytes.Count(whole[:cut], []byte("\n"))
		waiting, _, _ := s.state()
		if got, damaged := read(t, s); got != want || int(waiting) != want || damaged != 0 {
			t.Fatalf("cut at %d: got %d events, %d waiting and %d damaged, want %d", cut, got, waiting, damaged, want)
		}
		_ = s.close()
	}
	for _, test := range []struct {
		name    string
		content []byte
		events  int
		damaged int
	}{
		{"zeros behind the end", append(slices.Clone(whole), make([]byte, 4096)...), 3, 0},
		{"a flipped bit in the middle", flip(whole, len(lines[0])+40), 2, 1},
		{"a flipped bit in the length", flip(whole, len(lines[0])+3), 2, 1},
		{"a flipped bit in the last", flip(whole, len(lines[0])+len(lines[1])+40), 2, 0},
		{"half a line, and a whole one behind it", slices.Concat(lines[0], lines[1][:30], lines[2]), 1, 0},
		{"half a line, a line feed, and a whole one", slices.Concat(lines[0], lines[1][:30], []byte("\n"), lines[2]), 2, 1},
		{"nothing", nil, 0, 0},
		{"no spool", []byte("hello\n"), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, test.content)
			defer s.close()
			if events, damaged := read(t, s); events != test.events || damaged != test.damaged {
				t.Errorf("got %d events and %d damaged, want %d and %d", events, damaged, test.events, test.damaged)
			}
		})
	}
}

func flip(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

func TestDamagedLinesAreKeptAndSaid(t *testing.T) {
	dir := t.TempDir()
	r := spooling(t, &memory{away: errAway}, dir)
	fill(t, r, 0, 3)
	_ = r.Close(context.Background())
	name := segmentsOf(t, dir)[0]
	whole := []byte(spoolText(t, dir))
	if err := os.WriteFile(name, flip(whole, bytes.IndexByte(whole, '\n')+60), 0o600); err != nil {
		t.Fatal(err)
	}
	sink := &memory{}
	r = spooling(t, sink, dir)
	eventually(t, "the spool is empty", func() bool { return !r.spool.active.Load() })
	events, notices := noticesApart(sink.all())
	if got := objects(events); !slices.Equal(got, []int{0, 2}) || r.Stats().Rejected != 1 {
		t.Errorf("got %v and %d rejected, want 0 and 2, and 1", got, r.Stats().Rejected)
	}
	kept, err := os.ReadFile(filepath.Join(dir, damagedFile))
	if err != nil || bytes.Count(kept, []byte("\n")) != 1 {
		t.Errorf("got %q, %v, want the damaged line", kept, err)
	}
	if len(notices) != 1 || notices[0].Get("event_type") != "ERROR" || !strings.Contains(notices[0].Get("metadata"), `"rejected":1`) {
		t.Errorf("got %v, want a notice of what was rejected", notices)
	}
}

func TestRejectedForGood(t *testing.T) {
	sink := &memory{away: errAway, rejects: func(e *Event) bool { return e.Get("object_id") == "3" || e.Get("object_id") == "700" }}
	dir := t.TempDir()
	r := spooling(t, sink, dir)
	fill(t, r, 0, 800)
	sink.setAway(nil)
	eventually(t, "the spool is empty", func() bool { return !r.spool.active.Load() })
	events, _ := noticesApart(sink.all())
	if want := slices.DeleteFunc(upTo(800), func(n int) bool { return n == 3 || n == 700 }); !slices.Equal(objects(events), want) {
		t.Errorf("got %d events, want all but two, in order", len(events))
	}
	kept, err := os.ReadFile(filepath.Join(dir, rejectedFile))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range bytes.Lines(kept) {
		e, err := DecodeEvent(line, DecodeOptions{Import: true})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.Get("object_id"))
	}
	if !slices.Equal(ids, []string{"3", "700"}) || r.Stats().Rejected != 2 {
		t.Errorf("got %v set aside, %d counted, want 3 and 700", ids, r.Stats().Rejected)
	}
	// Straight to the sink, the caller is told instead.
	if err := r.Record(context.Background(), anAudit(3)); !errors.Is(err, ErrRejected) {
		t.Errorf("got %v, want ErrRejected", err)
	}
}

func TestFullSpoolRefuses(t *testing.T) {
	sink := &memory{away: errAway}
	r := spooling(t, sink, t.TempDir(), SpoolLimit(4096, Refuse))
	stored := 0
	var err error
	for err == nil {
		if err = r.Record(context.Background(), anAudit(stored)); err == nil {
			stored++
		}
	}
	if !errors.Is(err, ErrSpoolFull) || stored == 0 {
		t.Fatalf("got %v after %d events, want ErrSpoolFull", err, stored)
	}
	if s := r.Stats(); s.Failed != 1 || s.SpoolBytes > 4096 {
		t.Errorf("got %d failed and %d bytes, want 1 and at most 4096", s.Failed, s.SpoolBytes)
	}
	sink.setAway(nil)
	eventually(t, "the spool is empty", func() bool { return !r.spool.active.Load() })
	events, notices := noticesApart(sink.all())
	if len(events) != stored || len(notices) != 1 || !strings.Contains(notices[0].Get("metadata"), `"failed":1`) {
		t.Errorf("got %d events, want %d, and a notice that one failed: %v", len(events), stored, notices)
	}
}

func TestFullSpoolBlocks(t *testing.T) {
	sink := &memory{away: errAway}
	r := spooling(t, sink, t.TempDir(), SpoolLimit(4096, Block))
	const n = 100
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := r.Record(context.Background(), anAudit(i)); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the spool is full", func() bool { return r.Stats().SpoolBytes > 3500 })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := r.Record(ctx, anAudit(n)); !errors.Is(err, ErrSpoolFull) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a deadline that passed at a full spool", err)
	}
	sink.setAway(nil)
	all.Wait()
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events, _ := noticesApart(sink.all())
	got := objects(events)
	slices.Sort(got)
	if !slices.Equal(got, upTo(n)) {
		t.Errorf("got %d events, want %d", len(got), n)
	}
}

func TestCloseEndsTheWaitForRoom(t *testing.T) {
	r := spooling(t, &memory{away: errAway}, t.TempDir(), SpoolLimit(1024, Block))
	done := make(chan error)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			err = r.Record(context.Background(), anAudit(i))
		}
		done <- err
	}()
	eventually(t, "the spool is full", func() bool { return r.Stats().SpoolBytes > 700 })
	_ = r.Close(context.Background())
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestSegmentsAreDeletedOnTheWay(t *testing.T) {
	sink := &memory{away: errAway}
	dir := t.TempDir()
	r := spooling(t, sink, dir, SpoolLimit(1<<20, Refuse))
	const n = 1200
	fill(t, r, 0, n)
	if got := len(segmentsOf(t, dir)); got < 3 {
		t.Errorf("got %d segments, want several", got)
	}
	sink.setAway(nil)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events, _ := noticesApart(sink.all())
	if !slices.Equal(objects(events), upTo(n)) || len(segmentsOf(t, dir)) != 0 {
		t.Errorf("got %d events and %d segments, want %d in order and none", len(events), len(segmentsOf(t, dir)), n)
	}
}

func TestGroupsShareAnFsync(t *testing.T) {
	r := spooling(t, &memory{away: errAway}, t.TempDir())
	syncs := 0
	var mu sync.Mutex
	r.spool.create = func(path string) (segmentFile, error) {
		f, err := createSegment(path)
		if err != nil {
			return nil, err
		}
		none := func() error { return nil }
		return &badDisk{File: f.(*os.File), write: none, truncate: none, sync: func() error {
			mu.Lock()
			defer mu.Unlock()
			syncs++
			return nil
		}}, nil
	}
	var all sync.WaitGroup
	const n = 500
	for i := range n {
		all.Go(func() {
			if err := r.Record(context.Background(), anAudit(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if syncs == 0 || syncs > n/2 {
		t.Errorf("got %d fsyncs for %d events, want far fewer", syncs, n)
	}
}

// TestSpoolEmptiesUnderLoad has callers record without a pause while the sink comes
// back: the spool has to become empty all the same.
func TestSpoolEmptiesUnderLoad(t *testing.T) {
	sink := &memory{away: errAway}
	r := spooling(t, sink, t.TempDir())
	stop := make(chan struct{})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := r.Record(context.Background(), anAudit(i*8+g)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	eventually(t, "some events wait", func() bool { return r.Stats().Waiting > 200 })
	sink.setAway(nil)
	eventually(t, "events go straight to the sink again", func() bool { return !r.spool.active.Load() })
	close(stop)
	all.Wait()
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events, _ := noticesApart(sink.all())
	if got := r.Stats().Recorded; int64(len(events)) != got {
		t.Errorf("got %d events, want the %d recorded", len(events), got)
	}
}
