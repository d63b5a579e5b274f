//go:build linux

package torture

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// buildSpooler builds an application with a recorder whose spool is the real one,
// save that its calls go through the C library: Go's own bypass the shim.
func buildSpooler(dir string) (string, error) {
	source := filepath.Join(root(), "audit", "spool.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	changed := string(text)
	for call, libc := range map[string]string{"os.OpenFile(": "libcOpenFile(", "os.Remove(": "libcRemove(", "syncDir(": "libcSyncDir("} {
		if !strings.Contains(changed, call) {
			return "", fmt.Errorf("%s no longer calls %s) as the recorder of its calls expects", source, call)
		}
		changed = strings.ReplaceAll(changed, call, libc)
	}
	for _, call := range []string{"os.Create", "os.WriteFile", "os.Rename", "os.Truncate"} {
		if strings.Contains(changed, call) {
			return "", fmt.Errorf("%s calls %s, which the recorder of its calls does not know", source, call)
		}
	}
	file, overlay := filepath.Join(dir, "spool.go"), filepath.Join(dir, "spooler.json")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		return "", err
	}
	calls, err := os.ReadFile(filepath.Join(root(), "internal", "torture", "testdata", "libc.go.txt"))
	if err != nil {
		return "", err
	}
	libc := filepath.Join(dir, "libc.go")
	if err := os.WriteFile(libc, calls, 0o600); err != nil {
		return "", err
	}
	replace := fmt.Appendf(nil, `{"Replace":{%q:%q,%q:%q}}`, source, file, filepath.Join(root(), "audit", "libc.go"), libc)
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return "", err
	}
	to := filepath.Join(dir, "spooler")
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", to, "./internal/torture/testdata/spooler")
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the application: %w\n%s", err, out)
	}
	return to, nil
}

// spooled records an application at work, in two lives on one spool. Where syncs
// fail, it may refuse, and what it acknowledged holds all the same.
func spooled(t testing.TB, events int, failing *rand.Rand) []operation {
	t.Helper()
	program, shim := built(t, shop.spooler), theShim(t)
	base := fast(t)
	dir, path := filepath.Join(base, "spool"), filepath.Join(base, "recording")
	c := newControl(t, filepath.Join(base, "control"))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for life := range 2 {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		cmd := exec.CommandContext(ctx, program, dir, path, strconv.Itoa(life*10*events), strconv.Itoa(events))
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+shim, "TORTURE_DIR="+dir, "TORTURE_LOG="+path, "TORTURE_CONTROL="+c.path)
		done := make(chan struct{})
		var work sync.WaitGroup
		if failing != nil {
			work.Go(func() {
				for {
					c.fail(callSync, syscall.EIO, uint32(1+failing.IntN(9)), 1, failCall)
					select {
					case <-done:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			})
		}
		out, err := cmd.CombinedOutput()
		close(done)
		work.Wait()
		c.heal()
		if err != nil {
			t.Fatalf("the application: %v\n%s", err, out)
		}
	}
	ops, err := readRecording(path)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// TestR12SpoolPowerCut cuts the power while an application records to its spool
// and its sink comes and goes, once with a disk that fails syncs: 300 cuts, in
// the long form 20,000. Whatever was acknowledged is with the sink, or a recorder
// that starts on what the disk has delivers it, or finds that it was set aside. In
// the control the disk only pretends to sync, and has to lose.
func TestR12SpoolPowerCut(t *testing.T) {
	beside(t)
	recordings, cuts := size(2, 20), size(300, 20000)
	var all, control cutting
	failed := 0
	for i := range recordings {
		began := time.Now()
		own := random(t, uint64(1200+i))
		var failing *rand.Rand
		if i%2 == 1 {
			failing = random(t, uint64(1250+i))
		}
		ops := spooled(t, 1200, failing)
		for _, o := range ops {
			if o.op == 'S' && o.failed {
				failed++
			}
		}
		all.join(cutSpool(t, ops, cuts/recordings, own, nil))
		all.Took += time.Since(began)
		began = time.Now()
		control.join(cutSpool(t, ops, max(40, cuts/recordings/20), own, func(operation) bool { return true }))
		control.Took += time.Since(began)
	}
	all.Fault, all.What = "R12", "power cut of a spool"
	all.Note = fmt.Sprintf("%d cuts through open writes, %d acknowledged events looked for, %d syncs failed", all.bare, all.acked, failed)
	judge(t, all.finding)
	if all.first != "" {
		t.Error(all.first)
	}
	if all.bare < cuts/10 || all.acked < cuts || failed == 0 {
		t.Errorf("got %d cuts through open writes, %d acknowledged events and %d failed syncs, want more: this proves little", all.bare, all.acked, failed)
	}
	control.Fault, control.What, control.Note = "R12", "control: a spool on a disk that lies", "had to lose, and did"
	mustLose(t, control)
}

// cutSpool rebuilds the spool as power cuts would leave it, and starts a recorder
// on each.
func cutSpool(t testing.TB, ops []operation, cuts int, own *rand.Rand, deaf func(operation) bool) (c cutting) {
	t.Helper()
	at := make([]int, cuts)
	for i := range at {
		at[i] = own.IntN(len(ops) + 1)
	}
	slices.Sort(at)
	d, known, done := newDisk(), newJournal(), 0
	d.deaf = deaf
	dir := fast(t)
	for _, place := range at {
		for ; done < place; done++ {
			known.learn(ops[done], d)
		}
		for _, n := range d.current {
			if len(n.pending)+len(n.doubtful) > 0 {
				c.bare++
				break
			}
		}
		var v verdict
		if err := writeImage(dir, d.image(own)); err != nil {
			v.complain("write the image: %v", err)
		} else {
			v = examineSpool(t.Context(), dir, known)
		}
		c.add(v)
		c.acked += len(known.acked)
		if c.first == "" && (v.lost+v.phantom+v.doubled+len(v.wrong) > 0) {
			c.first = fmt.Sprintf("cut at operation %d of %d: %+v", place, len(ops), v)
		}
	}
	c.Times = cuts
	return c
}

// examineSpool starts a recorder on a spool, lets it deliver, and looks for what
// was acknowledged: with the sink of before, with the one of now, or set aside.
func examineSpool(ctx context.Context, dir string, j *journal) (v verdict) {
	found := map[int]int{}
	s := &taking{found: found}
	r, err := audit.New(s, audit.SpoolDir(dir), audit.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		v.complain("start on what the disk has: %v", err)
		return v
	}
	if _, err := until(ctx, func() bool { return r.Stats().Waiting == 0 }); err != nil {
		v.complain("deliver what the disk has: %v, %+v", err, r.Stats())
	}
	if err := r.Close(ctx); err != nil {
		v.complain("close: %v", err)
	}
	aside, _ := os.ReadFile(filepath.Join(dir, "rejected.ndjson"))
	for line := range bytes.Lines(aside) {
		if e, err := audit.DecodeEvent(bytes.TrimSpace(line), audit.DecodeOptions{Import: true}); err == nil {
			if n, err := strconv.Atoi(e.Get("object_id")); err == nil && found[n] == 0 {
				found[n]++ // a segment that is delivered again sets it aside again
			}
		}
	}
	for n, times := range found {
		if !j.sent[n] {
			v.phantom++
		}
		if times > 1 {
			v.doubled++
		}
	}
	for n := range j.acked {
		if found[n] == 0 && !j.deleted[n] {
			v.lost++
		}
	}
	v.present = len(found)
	return v
}

// taking is a sink that takes everything.
type taking struct {
	mutex sync.Mutex
	found map[int]int
}

func (s *taking) Append(_ context.Context, events []*audit.Event) (audit.Appended, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, e := range events {
		if n, err := strconv.Atoi(e.Get("object_id")); err == nil && e.Kind == audit.KindAuditLog {
			s.found[n]++
		}
	}
	return audit.Appended{Accepted: len(events)}, nil
}
