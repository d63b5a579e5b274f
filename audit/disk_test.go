package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// badDisk fails as it is told.
type badDisk struct {
	*os.File
	write, sync, truncate func() error
	half                  bool // a write that fails has written half
}

func (d *badDisk) Write(p []byte) (int, error) {
	if err := d.write(); err != nil {
		n := 0
		if d.half {
			n, _ = d.File.Write(p[:len(p)/2])
		}
		return n, err
	}
	return d.File.Write(p)
}

func (d *badDisk) Sync() error {
	if err := d.sync(); err != nil {
		return err
	}
	return d.File.Sync()
}

func (d *badDisk) Truncate(size int64) error {
	if err := d.truncate(); err != nil {
		return err
	}
	return d.File.Truncate(size)
}

// TestFailingDisk has every call fail now and then, in every combination, and
// looks whether what was acknowledged, and nothing else, is delivered.
func TestFailingDisk(t *testing.T) {
	errDisk := errors.New("the disk failed")
	every := func(n int) func() error {
		calls := 0
		return func() error {
			if calls++; n > 0 && calls%n == 0 {
				return errDisk
			}
			return nil
		}
	}
	for _, test := range []struct{ create, write, sync, truncate int }{
		{0, 3, 0, 0}, {0, 0, 3, 0}, {0, 3, 0, 1}, {0, 3, 4, 2}, {2, 3, 0, 1}, {2, 0, 2, 1},
	} {
		for _, half := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v half=%t", test, half), func(t *testing.T) {
				dir := t.TempDir()
				sink := &memory{away: errAway}
				r := spooling(t, sink, dir)
				write, sync, truncate, create := every(test.write), every(test.sync), every(test.truncate), every(test.create)
				r.spool.create = func(path string) (segmentFile, error) {
					if err := create(); err != nil {
						return nil, err
					}
					f, err := createSegment(path)
					if err != nil {
						return nil, err
					}
					return &badDisk{File: f.(*os.File), write: write, sync: sync, truncate: truncate, half: half}, nil
				}
				var acknowledged []int
				for i := range 60 {
					if err := r.Record(context.Background(), anAudit(i)); err == nil {
						acknowledged = append(acknowledged, i)
					} else if !errors.Is(err, errDisk) || !errors.Is(err, errAway) {
						t.Fatalf("got %v, want what failed: the disk and the sink", err)
					}
				}
				if len(acknowledged) == 0 || len(acknowledged) == 60 {
					t.Fatalf("%d of 60 were acknowledged: this tests nothing", len(acknowledged))
				}
				_ = r.Close(context.Background()) // as a crash would: everything is read again
				sink.setAway(nil)
				r = spooling(t, sink, dir)
				if err := r.Close(context.Background()); err != nil {
					t.Fatal(err)
				}
				events, _ := noticesApart(sink.all())
				got := objects(events)
				for _, n := range acknowledged {
					if !slices.Contains(got, n) {
						t.Errorf("%d was acknowledged and lost", n)
					}
				}
				if !slices.IsSorted(got) {
					t.Errorf("delivered out of order: %v", got)
				}
				// What failed may be there where the disk could not even cut it off.
				if test.truncate == 0 && len(got) != len(acknowledged) {
					t.Errorf("got %d events, want the %d that were acknowledged", len(got), len(acknowledged))
				}
			})
		}
	}
}

// TestFullDisk needs a directory on a small file system of its own, such as
//
//	mount -t tmpfs -o size=256k tmpfs /mnt/small
func TestFullDisk(t *testing.T) {
	small := os.Getenv("AUDIT_TEST_SMALL_DISK")
	if small == "" {
		t.Skip("AUDIT_TEST_SMALL_DISK does not name a directory on a small file system")
	}
	dir := filepath.Join(small, "spool")
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sink := &memory{away: errAway}
	r := spooling(t, sink, dir)
	var acknowledged []int
	for i := range 2000 {
		if err := r.Record(context.Background(), anAudit(i)); err == nil {
			acknowledged = append(acknowledged, i)
		}
	}
	if len(acknowledged) == 2000 {
		t.Fatal("the disk did not become full")
	}
	sink.setAway(nil)
	eventually(t, "the spool is empty", func() bool { return !r.spool.active.Load() })
	events, notices := noticesApart(sink.all())
	if got := objects(events); !slices.Equal(got, acknowledged) || len(notices) != 1 {
		t.Errorf("got %d events and %d notices, want the %d acknowledged, in order, and 1", len(got), len(notices), len(acknowledged))
	}
	t.Logf("%d of 2000 fitted", len(acknowledged))
}

func TestBrokenSpoolIsGoneAround(t *testing.T) {
	sink := &memory{away: errAway}
	r := spooling(t, sink, t.TempDir())
	fill(t, r, 0, 1)
	r.spool.mu.Lock()
	r.spool.seal0()
	r.spool.mu.Unlock()
	// The sink is back before delivery has noticed, and the disk is full.
	r.spool.create = func(string) (segmentFile, error) {
		sink.setAway(nil)
		return nil, errors.New("no space left")
	}
	if err := r.Record(context.Background(), anAudit(1)); err != nil {
		t.Errorf("got %v, want it in the sink, out of order", err)
	}
}

// seal0 ends the only segment.
func (s *spool) seal0() {
	_ = s.file.Close()
	s.file = nil
	s.segments[len(s.segments)-1].sealed = true
}

// TestKilledProcess kills a process that records into a spool, again and again,
// and looks whether everything is there that was acknowledged. The process says
// what was on its standard output, after Record has returned.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv("AUDIT_TEST_SPOOL"); dir != "" {
		recordUntilKilled(dir)
		return
	}
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
		cmd.Env = append(os.Environ(), "AUDIT_TEST_SPOOL="+dir, fmt.Sprint("AUDIT_TEST_ROUND=", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		for n := 0; in.Scan(); n++ {
			acknowledged[in.Text()] = true
			if n == 200+37*round {
				_ = cmd.Process.Kill() // what it has said until then is still read
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process was not killed")
		}
	}
	sink := &memory{}
	r := spooling(t, sink, dir)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events, _ := noticesApart(sink.all())
	got := map[string]bool{}
	for _, e := range events {
		got[e.Get("object_id")] = true
	}
	for id := range acknowledged {
		if !got[id] {
			t.Errorf("%s was acknowledged and lost", id)
		}
	}
	if len(acknowledged) < 1000 || r.Stats().Rejected != 0 {
		t.Errorf("got %d acknowledged and %d rejected, want more than 1000 and 0", len(acknowledged), r.Stats().Rejected)
	}
	t.Logf("%d acknowledged over 5 kills, %d found", len(acknowledged), len(got))
}

func recordUntilKilled(dir string) {
	r, err := New(&memory{away: errAway}, SpoolDir(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				e := anAudit(0)
				e.Set("object_id", fmt.Sprintf("%s-%d-%d", os.Getenv("AUDIT_TEST_ROUND"), g, i))
				e.Set("reason", strings.Repeat("x", i%3000))
				if err := r.Record(context.Background(), e); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(3)
				}
				_, _ = os.Stdout.WriteString(e.Get("object_id") + "\n")
			}
		}()
	}
	select {}
}
