//go:build linux

package torture

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestR06Locked holds the write lock as another program would, for 1 s, and for
// 1, 5 and 30 s in the long form, while 16 programs send. They are told 503 and
// when to send again, or wait and are stored; pages answer meanwhile; nothing is
// lost; and all of it is stored within 2 s of the lock's end.
func TestR06Locked(t *testing.T) {
	beside(t)
	locks := []time.Duration{time.Second}
	if shop.scale > 0 {
		locks = append(locks, 5*time.Second, 30*time.Second)
	}
	f := finding{Fault: "R6", What: "locked by another program", Times: len(locks)}
	began := time.Now()
	h := newHouse(t, t.TempDir())
	j := newJournal()
	s := h.open()
	someone, err := s.signIn()
	if err != nil {
		t.Fatal(err)
	}
	c := gather(h, j, 16, 20, random(t, 6))
	c.at(s)
	var reading, drained time.Duration
	for _, lock := range locks {
		other, err := sql.Open("sqlite3", "file:"+h.db()+"?_txlock=exclusive&_busy_timeout=10000")
		if err != nil {
			t.Fatal(err)
		}
		tx, err := other.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(lock); time.Now().Before(until); {
			for _, path := range []string{"/audit-logs", "/system-events?q=boom"} {
				a, err := someone.get(path)
				if err != nil || a.status != http.StatusOK {
					f.Wrong++
					t.Errorf("GET %s while locked: got %d, %v, want 200", path, a.status, err)
				}
				reading = max(reading, a.took)
			}
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		other.Close()
		want := c.batches.Load() + 32
		waited, err := until(t.Context(), func() bool { return c.batches.Load() >= want || c.wrong.Load() > 0 })
		if err != nil || waited > 2*time.Second {
			f.Wrong++
			t.Errorf("after a lock of %s: went on after %s, %v, want within 2 s", lock, waited, err)
		}
		drained = max(drained, waited)
	}
	c.leave()
	s.healthy()
	s.stop()
	v := examine(t.Context(), h.db(), j)
	f.add(v)
	f.Wrong += int(c.wrong.Load())
	for _, w := range v.wrong {
		t.Error(w)
	}
	f.Took = time.Since(began)
	f.Note = fmt.Sprintf("%d refused, pages within %d ms, went on after %d ms", c.refused.Load(), reading.Milliseconds(), drained.Milliseconds())
	judge(t, f)
}

// TestR18FewFilesLittleMemory serves with 64 open files and a memory limit of
// 128 MiB to 32 senders and 200 connections that say nothing, 3 times, in the
// long form 30. It may refuse, and it loses nothing and is well when they are
// gone.
func TestR18FewFilesLittleMemory(t *testing.T) {
	beside(t)
	f := finding{Fault: "R18", What: "64 open files, 128 MiB", Times: size(3, 30)}
	began := time.Now()
	h := newHouse(t, t.TempDir())
	h.open().stop()
	h.env = append(h.env, "GOMEMLIMIT=128MiB")
	serve := h.command("serve", "--addr", "127.0.0.1:0")
	cmd := exec.Command("/bin/sh", append([]string{"-c", `ulimit -n 64 && exec "$0" "$@"`, serve.Path}, serve.Args[1:]...)...)
	cmd.Env = serve.Env
	s, err := h.launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	j := newJournal()
	c := gather(h, j, 32, 1000, random(t, 18))
	c.at(s)
	for range f.Times {
		var silent []net.Conn
		for range 200 {
			if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), time.Second); err == nil {
				silent = append(silent, conn)
			}
		}
		for _, conn := range silent {
			conn.Close()
		}
		want := c.batches.Load() + 64
		if _, err := until(t.Context(), func() bool { return c.batches.Load() >= want || c.wrong.Load() > 0 }); err != nil {
			f.Wrong++
			t.Errorf("after 200 silent connections: %v\n%s", err, s.log())
			break
		}
	}
	c.leave()
	peak := memory(t, s, "VmHWM")
	// The last try to write may have met no file, and the server looks again by itself.
	var last answer
	if _, err := until(t.Context(), func() bool { last = s.get("/readyz"); return last.status == http.StatusOK }); err != nil {
		f.Wrong++
		t.Errorf("/readyz afterwards: got %d, want 200: %s", last.status, last.body)
	}
	s.healthy()
	s.stop()
	v := examine(context.WithoutCancel(t.Context()), h.db(), j)
	f.add(v)
	for _, w := range v.wrong {
		t.Error(w)
	}
	f.Wrong += int(c.wrong.Load())
	if peak > 256<<20 {
		f.Wrong++
		t.Errorf("it took %d MiB, want less than 256", peak>>20)
	}
	f.Took, f.Note = time.Since(began), fmt.Sprintf("%d events, at most %d MiB resident", v.present, peak>>20)
	judge(t, f)
}

// memory reads one of the sizes in /proc of a server, in bytes.
func memory(t testing.TB, s *server, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), name+":")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		t.Fatalf("/proc does not say %s", name)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
