//go:build linux

package torture

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// failures are the calls that fail, and with what.
var failures = []struct {
	name   string
	calls  uint32
	err    syscall.Errno
	action uint32
}{
	{"sync EIO", callSync, syscall.EIO, failCall},
	{"write EIO", callWrite, syscall.EIO, failCall},
	{"write ENOSPC, half of it", callWrite, syscall.ENOSPC, failHalf},
	{"truncate EIO", callTruncate, syscall.EIO, failCall},
	{"open EMFILE", callOpen, syscall.EMFILE, failCall},
}

// TestR04FailingCalls lets the n-th call fail, from the start of the process,
// once or seven times in a row: syncs, writes, half writes, truncations and
// opens; in the long form every n from 1 to 200, where there are so many of these
// calls. What is answered meanwhile is an honest no; what was acknowledged is
// there; and it goes on by itself.
func TestR04FailingCalls(t *testing.T) {
	beside(t)
	base := fast(t)
	template := newHouse(t, base)
	template.open().stop()
	f := finding{Fault: "R4", What: "failing sync, write, truncate, open"}
	began := time.Now()
	// run lets a call fail on a copy of the house, or none where times is 0.
	run := func(name string, i, n, times int) (v verdict, failed bool, calls int) {
		dir := filepath.Join(base, name)
		if err := os.CopyFS(filepath.Join(dir, "house"), os.DirFS(template.dir)); err != nil {
			v.complain("%v", err)
			return v, false, 0
		}
		r := newRecorder(t, dir)
		r.token, r.reading = template.token, template.reading
		r.control.fail(failures[i].calls, failures[i].err, uint32(n), uint32(times), failures[i].action)
		v, failed = underFailure(r, rand.New(rand.NewPCG(shop.seed, uint64(n))))
		if err := os.RemoveAll(dir); err != nil {
			v.complain("%v", err)
		}
		return v, failed, r.control.seen()
	}
	type point struct{ failure, n int }
	var all []point
	var mutex sync.Mutex
	counts := make([]string, len(failures))
	spread(len(failures), func(i int) {
		points := []int{1, 5, 13, 34}
		if shop.scale > 0 {
			v, _, calls := run(fmt.Sprint("whole", i), i, 1, 0)
			for _, w := range v.wrong {
				t.Errorf("without a failure: %s", w)
			}
			points = points[:0]
			for n := range min(size(0, 200), calls) {
				points = append(points, n+1)
			}
		}
		mutex.Lock()
		defer mutex.Unlock()
		counts[i] = fmt.Sprintf("%d of %s", len(points), failures[i].name)
		for k, n := range points {
			if shop.scale > 0 || (k+i)%2 == 0 {
				all = append(all, point{i, n})
			}
		}
	})
	reached := 0
	spread(len(all), func(k int) {
		failure, n := failures[all[k].failure].name, all[k].n
		v, failed, _ := run(fmt.Sprint("run", k), all[k].failure, n, 1+n%2*6)
		mutex.Lock()
		defer mutex.Unlock()
		if failed {
			reached++
		}
		f.add(v)
		f.Times++
		for _, w := range v.wrong {
			t.Errorf("%s at call %d: %s", failure, n, w)
		}
		if v.lost+v.phantom+v.doubled > 0 {
			t.Errorf("%s at call %d: %+v", failure, n, v)
		}
	})
	if f.Times < len(all) {
		t.Errorf("%d of %d failures were tried", f.Times, len(all))
	}
	f.Took = time.Since(began)
	f.Note = fmt.Sprintf("%d of the calls were reached", reached)
	if shop.scale > 0 {
		f.Note += ": " + strings.Join(counts, ", ")
	}
	judge(t, f)
	if reached < f.Times/3 || shop.scale > 0 && reached < f.Times*9/10 {
		t.Errorf("%d of %d calls were reached: this proves little", reached, f.Times)
	}
}

// underFailure starts a server whose disk is about to fail, sends 400 events and
// more of them as long as it has not and could, ends it, and examines what is there.
func underFailure(r *recorder, own *rand.Rand) (v verdict, failed bool) {
	j := newJournal()
	r.probe = "/healthz"
	s, err := r.start()
	r.probe = "/readyz"
	if err != nil || s.get("/readyz").status != http.StatusOK {
		// Honest, if it said so and went: started again it works, when the disk is
		// well. Or it serves for reading alone, and goes on by itself then.
		if failed = r.control.failed() > 0; !failed {
			v.complain("start: %v", err)
		}
		r.control.heal()
		if s != nil && !s.ended() {
			s.healthy()
			if waited, err := until(r.t.Context(), func() bool { return s.get("/readyz").status == http.StatusOK }); err != nil || waited > 10*time.Second {
				v.complain("on a disk that is well again it was ready after %s, %v, want within 10 s\n%s", waited, err, s.log())
				s.kill()
				return v, failed
			}
		} else if s, err = r.start(); err != nil {
			v.complain("start on a disk that is well again: %v", err)
			return v, failed
		}
	}
	client := &http.Client{Timeout: patience}
	most := 20
	for next, seen := 0, -1; next < 400 || next < 1000 && r.control.failed() == 0 && r.control.seen() > seen; {
		if next >= 400 {
			seen, most = r.control.seen(), 1
		}
		numbers := make([]int, batchSize(own, most))
		for i := range numbers {
			numbers[i] = next
			next++
		}
		j.mark(j.sent, numbers...)
		began := time.Now()
		for {
			status, _, header, err := send(client, s.url, r.token, body(numbers))
			if err == nil && status == http.StatusOK {
				j.mark(j.acked, numbers...)
				break
			}
			if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
				v.complain("while the disk failed: got %d, %v, Retry-After %q, want 503 and when to try again", status, err, header.Get("Retry-After"))
			}
			if time.Since(began) > 10*time.Second || len(v.wrong) > 10 {
				v.complain("it did not go on after the disk had failed %d times", r.control.failed())
				break
			}
			time.Sleep(10 * time.Millisecond) // as any client would before it tries again
		}
	}
	s.healthy()
	before := r.control.failed()
	if code := s.end(); code != 0 && r.control.failed() == before {
		v.complain("after SIGTERM the server ended with %d:\n%s", code, s.log())
	}
	failed = failed || r.control.failed() > 0
	r.control.heal()
	found := examine(r.t.Context(), r.db(), j)
	found.wrong = append(v.wrong, found.wrong...)
	return found, failed
}

// TestR04NoFilesAtStart starts a server that gets no file to write to, as where
// too many are open: it serves for reading, says so, and records again by itself
// within 10 s after it gets them, at the same address.
//
// ASVS:V16.5.2
func TestR04NoFilesAtStart(t *testing.T) {
	beside(t)
	r := newRecorder(t, fast(t))
	r.open().stop()
	f := finding{Fault: "R4", What: "no files at the start", Times: size(1, 10)}
	began := time.Now()
	j := newJournal()
	client := &http.Client{Timeout: patience}
	var slowest time.Duration
	for n := range f.Times {
		r.control.fail(callOpen, syscall.EMFILE, 1, forEver, failCall)
		r.probe = "/healthz"
		s, err := r.start()
		if err != nil {
			t.Fatal(err)
		}
		j.mark(j.sent, n)
		if status, _, header, err := send(client, s.url, r.token, line(n)); err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			f.Wrong++
			t.Errorf("without files: got %d, %v, Retry-After %q, want 503 and when to try again", status, err, header.Get("Retry-After"))
		}
		if a := s.get("/audit-logs.json"); a.status != http.StatusOK {
			f.Wrong++
			t.Errorf("GET /audit-logs.json without files: got %d, want 200", a.status)
		}
		if !strings.Contains(s.log(), "pages can be read, nothing is recorded") {
			f.Wrong++
			t.Errorf("it does not say so:\n%s", s.log())
		}
		r.control.heal()
		waited, err := until(t.Context(), func() bool {
			status, _, _, err := send(client, s.url, r.token, line(n))
			return err == nil && status == http.StatusOK
		})
		if j.mark(j.acked, n); err != nil || waited > 10*time.Second {
			f.Wrong++
			t.Errorf("recorded again after %s, %v, want within 10 s\n%s", waited, err, s.log())
		}
		slowest = max(slowest, waited)
		s.healthy()
		s.stop()
	}
	f.add(examine(t.Context(), r.db(), j))
	f.Took, f.Note = time.Since(began), fmt.Sprintf("recorded again after %d ms at worst", slowest.Milliseconds())
	judge(t, f)
}

// TestR04DeadDisk fails every sync for as long as it pleases: nothing is
// acknowledged, reading works, and it goes on within 5 s after the disk is well.
func TestR04DeadDisk(t *testing.T) {
	beside(t)
	dir := fast(t)
	r := newRecorder(t, dir)
	s := r.open()
	j := newJournal()
	client := &http.Client{Timeout: patience}
	f := finding{Fault: "R4", What: "every sync fails for a while", Times: size(3, 20)}
	began := time.Now()
	var slowest time.Duration
	next := 0
	for range f.Times {
		r.control.fail(callSync, syscall.EIO, 1, forEver, failCall)
		for range 10 {
			j.mark(j.sent, next)
			if status, _, _, err := send(client, s.url, r.token, line(next)); err != nil || status != http.StatusServiceUnavailable {
				f.Wrong++
				t.Errorf("while no sync works: got %d, %v, want 503", status, err)
			}
			next++
		}
		for _, path := range []string{"/audit-logs.json", "/audit-logs/facets.json?q="} {
			if a := s.get(path); a.status != http.StatusOK {
				f.Wrong++
				t.Errorf("GET %s while no sync works: got %d, want 200", path, a.status)
			}
		}
		r.control.heal()
		waited, err := until(t.Context(), func() bool {
			status, _, _, err := send(client, s.url, r.token, line(next))
			return err == nil && status == http.StatusOK
		})
		j.mark(j.sent, next)
		j.mark(j.acked, next)
		next++
		slowest = max(slowest, waited)
		if err != nil || waited > 5*time.Second {
			f.Wrong++
			t.Errorf("went on after %s, %v, want within 5 s", waited, err)
		}
	}
	s.healthy()
	s.stop()
	f.add(examine(t.Context(), r.db(), j))
	f.Took, f.Note = time.Since(began), fmt.Sprintf("went on after %d ms at worst", slowest.Milliseconds())
	judge(t, f)
}

// TestR04FailedSyncThenPowerCut fails syncs now and then while the server
// ingests, and then cuts the power. What was written before a failed sync is on
// the disk or not, whatever is synced later: a system forgets what it could not
// write. Whoever answers 2xx after a second sync loses here.
func TestR04FailedSyncThenPowerCut(t *testing.T) {
	beside(t)
	cuts := size(60, 2000)
	recordings := size(1, 4)
	var all cutting
	began := time.Now()
	failed := 0
	for i := range recordings {
		own := random(t, uint64(400+i))
		r := newRecorder(t, fast(t))
		s := r.open()
		stop := make(chan struct{})
		var work sync.WaitGroup
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r.control.fail(callSync, syscall.EIO, uint32(1+own.IntN(3)), 1, failCall)
				_, _ = until(t.Context(), func() bool {
					select {
					case <-stop:
						return true
					default:
						return r.control.failed() > 0
					}
				})
				failed++
			}
		})
		client := &http.Client{Timeout: patience}
		for next := 0; next < 600; next += 6 {
			numbers := []int{next, next + 1, next + 2, next + 3, next + 4, next + 5}
			r.note(noteSent, numbers...)
			for range 50 {
				if status, _, _, err := send(client, s.url, r.token, body(numbers)); err == nil && status == http.StatusOK {
					r.note(noteAcked, numbers...)
					break
				}
			}
		}
		close(stop)
		work.Wait()
		r.control.heal()
		s.healthy()
		s.stop()
		rec := r.recording()
		if !slices.ContainsFunc(rec.ops, func(o operation) bool { return o.op == 'S' && o.failed }) {
			t.Error("no sync failed: this proves nothing")
		}
		all.join(rec.cut(t, cuts/recordings, random(t, uint64(450+i)), nil))
	}
	all.Fault, all.What, all.Took = "R4", "failed sync, then a power cut", time.Since(began)
	all.Note = fmt.Sprintf("%d syncs failed, %d acknowledged events looked for", failed, all.acked)
	judge(t, all.finding)
	if all.first != "" {
		t.Error(all.first)
	}
}
