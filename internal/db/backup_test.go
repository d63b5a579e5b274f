package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestBackupUnderLoad copies a database again and again while four writers fill
// it: each copy is whole up to a moment, and its evidence holds.
func TestBackupUnderLoad(t *testing.T) {
	s := openTest(t)
	folder := t.TempDir()
	mustAppend(t, s, event(t))
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := s.Append(t.Context(), []*audit.Event{event(t, "event_id", strconv.Itoa(w)+"-"+strconv.Itoa(n))}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	last := int64(0)
	for n := range 5 {
		path := filepath.Join(folder, strconv.Itoa(n)+".db")
		calls := 0
		b, err := s.Backup(t.Context(), Actor{Name: "ines"}, path, func(string, int64, int64) { calls++ })
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() != b.Size || info.Mode().Perm() != 0o600 {
			t.Errorf("the copy is %v, %v, want %d bytes for its owner alone", info, err, b.Size)
		}
		if !b.Verdict.Holds() || b.Entries <= last || calls == 0 {
			t.Errorf("copy %d: %d entries after %d, problems %v, %d calls", n, b.Entries, last, b.Verdict.Problems, calls)
		}
		last = b.Entries
		copied := openAt(t, path)
		var events, created int64
		if err := errors.Join(copied.ro.Get(&events, "SELECT count(*) FROM audit_log"),
			copied.ro.Get(&created, "SELECT count(*) FROM ledger WHERE entry = 'created' AND kind = 'audit_log'")); err != nil || events != created {
			t.Errorf("copy %d has %d events and %d entries for them, %v", n, events, created, err)
		}
	}
	stop()
	work.Wait()
	if got := countAll(t, s, audit.KindAuditLog, "action:BACKUP user:ines"); got != 5 {
		t.Errorf("%d backups are recorded, want 5", got)
	}
	health, err := s.Health(t.Context())
	if err != nil || health.Backup.At.IsZero() || health.Backup.Size == 0 {
		t.Errorf("the health knows of backup %+v, %v", health.Backup, err)
	}
}

// TestBackupLeavesNothing refuses to overwrite, and leaves no file behind when it
// is broken off.
func TestBackupLeavesNothing(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t))
	folder := t.TempDir()
	there := filepath.Join(folder, "there.db")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), Actor{}, there, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a file that is there: %v, want fs.ErrExist", err)
	}
	if text, err := os.ReadFile(there); string(text) != "mine" {
		t.Errorf("the file that was there is now %q, %v", text, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Backup(ctx, Actor{}, filepath.Join(folder, "broken.db"), func(string, int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v, want context.Canceled", err)
	}
	if _, err := s.Backup(t.Context(), Actor{}, filepath.Join(folder, "no", "such.db"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no folder: %v, want fs.ErrNotExist", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind are %v, %v, want only there.db", entries, err)
	}
}

// TestBackupIntoAStrangeName: a backup is recorded whatever the bytes of its name are.
func TestBackupIntoAStrangeName(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t))
	for _, name := range []string{"a\x01\u200bb.db", "\xff\xfe.db", `"quoted".db`} {
		if _, err := s.Backup(t.Context(), ines, filepath.Join(t.TempDir(), name), nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := countAll(t, s, audit.KindAuditLog, "action:BACKUP user:ines"); got != 3 {
		t.Errorf("%d backups are recorded, want 3", got)
	}
}

// TestBackupIsRestored puts an old copy in the place of the database: it goes on
// under another name, and a checkpoint that was kept elsewhere shows exactly
// which entries are not in it.
func TestBackupIsRestored(t *testing.T) {
	ctx, folder := t.Context(), t.TempDir()
	s := openAt(t, filepath.Join(folder, "audit.db"))
	if _, err := s.BeginEvidence(ctx); err != nil {
		t.Fatal(err)
	}
	mixture(t, s, 50, 1)
	if _, err := s.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "copy.db")
	b, err := s.Backup(ctx, Actor{Name: "ines"}, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	mixture(t, s, 30, 2)
	later, err := s.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := s.BeginEvidence(ctx); err != nil || fresh != nil {
		t.Errorf("got %+v, %v after a backup, want the database itself to go on as it was", fresh, err)
	}
	keys, err := os.ReadFile(KeyPath(s.Path()))
	if err == nil {
		err = os.WriteFile(KeyPath(path), keys, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	copied := openAt(t, path)
	fresh, err := copied.BeginEvidence(ctx)
	if err != nil || fresh == nil || !strings.HasPrefix(fresh.Reason, "restored from the backup of "+audit.FormatTime(noon)) || fresh.Seq != b.Entries+1 {
		t.Fatalf("got %+v, %v, want a new incarnation from entry %d", fresh, err, b.Entries+1)
	}
	mixture(t, copied, 60, 3) // more than the entries that are not there
	public, err := copied.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	v, err := copied.Verify(ctx, VerifyOptions{PublicKeys: public})
	if err != nil || !v.Holds() || len(v.Restored) != 1 {
		t.Errorf("got %+v, %v, want a copy that holds and says that it is one", v, err)
	}
	v, err = copied.Verify(ctx, VerifyOptions{PublicKeys: public, Saved: []string{later.Note}})
	if err != nil {
		t.Fatal(err)
	}
	gap := fmt.Sprintf("entries %d to %d of then are not in it", b.Entries+1, later.Size)
	if len(v.Problems) != 1 || v.Problems[0].Trouble != Rolled || v.Problems[0].Seq != b.Entries+1 || !strings.HasSuffix(v.Problems[0].Detail, gap) {
		t.Errorf("got %q, want one problem that ends in %q", v.Problems, gap)
	}
	if again, err := copied.BeginEvidence(ctx); err != nil || again != nil {
		t.Errorf("got %+v, %v the second time, want no new incarnation", again, err)
	}
}
