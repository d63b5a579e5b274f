//go:build linux

package torture

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/need"
)

// TestR19Backup backs up twice, in the long form 100, while 16 programs send,
// and ends every second backup with SIGKILL. What has the name of a backup is
// one: everything that was acknowledged before it began is in it, nothing is
// there twice, its evidence holds, and it goes on recording. What was killed
// leaves no file of that name.
func TestR19Backup(t *testing.T) {
	beside(t)
	f := finding{Fault: "R19", What: "backup while serving, every second one killed", Times: size(2, 100)}
	began := time.Now()
	h := newHouse(t, t.TempDir())
	if !offers(t, h, "backup") {
		need.Skip(t, "this program has no command backup")
	}
	j := newJournal()
	s := h.open()
	own := random(t, 19)
	c := gather(h, j, 16, 20, own)
	c.at(s)
	whole := 0
	for i := range f.Times {
		want := c.batches.Load() + 16
		if _, err := until(t.Context(), func() bool { return c.batches.Load() >= want || c.wrong.Load() > 0 }); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), fmt.Sprintf("copy-%d.db", i))
		before := j.copy()
		cmd := h.command("backup", file)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		killed := i%2 == 1
		if killed {
			time.Sleep(time.Duration(own.IntN(120)) * time.Millisecond) // the fault, not a wait for something
			_ = cmd.Process.Kill()
		}
		err := cmd.Wait()
		if !killed && err != nil {
			f.Wrong++
			t.Errorf("backup %d: %v", i, err)
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			if !killed {
				f.Wrong++
				t.Errorf("backup %d: there is no file", i)
			}
			continue
		}
		whole++
		before.sent = j.copy().sent
		v := examine(t.Context(), file, before)
		f.add(v)
		for _, w := range v.wrong {
			t.Errorf("backup %d: %s", i, w)
		}
	}
	c.leave()
	if a := s.get("/readyz"); a.status != http.StatusOK {
		f.Wrong++
		t.Errorf("/readyz afterwards: got %d, want 200: %s", a.status, a.body)
	}
	s.healthy()
	s.stop()
	f.add(examine(t.Context(), h.db(), j))
	f.Wrong += int(c.wrong.Load())
	f.Took, f.Note = time.Since(began), fmt.Sprintf("%d whole copies examined", whole)
	judge(t, f)
}
