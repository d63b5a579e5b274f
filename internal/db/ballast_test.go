package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
)

// smallDisk names the folder in which TestFullDisk finds a disk that it may
// fill. Where it is not given the test makes one, in a namespace of its own.
const smallDisk = "AUDITADMIN_TEST_FULL_DISK"

// TestFullDisk fills a disk of eight megabytes with events: what was
// acknowledged is there, reading, signing in and deleting work, the full disk is
// recorded once, and events are taken again within seconds of there being room.
func TestFullDisk(t *testing.T) {
	folder := os.Getenv(smallDisk)
	if folder == "" {
		onSmallDisk(t)
		return
	}
	ctx := t.Context()
	path := filepath.Join(folder, "audit.db")
	s, err := Open(ctx, path, Options{Schema: auditadmin.Schema, Now: func() time.Time { return noon }, Served: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	waitUntil(t, "there is a ballast", func() bool { info, err := os.Stat(path + "-ballast"); return err == nil && info.Size() >= ballastLeast })
	filling := filepath.Join(folder, "filling")
	if err := reserve(filling, 3<<20); err != nil {
		t.Fatal(err)
	}
	by := Actor{Name: "sam"}
	acknowledged := fill8(t, s, "first")
	if acknowledged == 0 {
		t.Fatal("no event was stored at all")
	}
	if h := s.Hindrance(); h == nil || !errors.Is(h.Err, ErrFull) {
		t.Fatalf("got hindrance %v, want a full disk", h)
	}
	if got := countAll(t, s, audit.KindAuditLog, "module:test"); got != int64(acknowledged) {
		t.Errorf("%d events are there, and %d were acknowledged", got, acknowledged)
	}
	if _, err := s.CreateAccount(ctx, by, "sam", RoleSuperuser, "hash"); err != nil {
		t.Errorf("make an account on a full disk: %v", err)
	}
	if err := s.Record(ctx, by, eventOf(t, audit.KindLoginAttempt, "timestamp", audit.FormatTime(noon), "username", "sam", "status", "FAILED")); err != nil {
		t.Errorf("record an event of the program's own on a full disk: %v", err)
	}
	victim := newestID(t, s)
	if _, err := s.Delete(ctx, by, audit.KindAuditLog, []int64{victim}, "test"); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	}
	if got := fill8(t, s, "while it is full"); got != 0 {
		t.Errorf("%d events were stored on a full disk, want none: the ballast is for people", got)
	}
	if err := os.Remove(filling); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	waitUntil(t, "events are taken again", func() bool { return s.Hindrance() == nil })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("events were taken again after %v, want 5 s at most", took)
	}
	if _, err := s.Append(ctx, []*audit.Event{event(t, "event_id", "again")}); err != nil {
		t.Errorf("append when there is room again: %v", err)
	}
	if _, err := os.Stat(path + "-ballast"); err != nil {
		t.Errorf("no new ballast: %v", err)
	}
	if got := countAll(t, s, audit.KindSystemEvent, `title:"disk is full"`); got != 1 {
		t.Errorf("the full disk was recorded %d times, want once", got)
	}
}

// fill8 appends until a refusal or about eight megabytes, and returns how many
// events were acknowledged.
func fill8(t *testing.T, s *Store, name string) int {
	t.Helper()
	stored := 0
	text := strings.Repeat("filling the disk ", 200)
	for n := range 200 {
		var events []*audit.Event
		for i := range 20 {
			events = append(events, event(t, "module", "test", "event_id", fmt.Sprint(name, n, " ", i), "reason", text+strconv.Itoa(n)))
		}
		done, err := s.Append(t.Context(), events)
		if errors.Is(err, ErrFull) {
			return stored
		}
		if err != nil {
			t.Fatal(err)
		}
		stored += done.Accepted
	}
	t.Fatal("the disk does not become full")
	return 0
}

func newestID(t *testing.T, s *Store) int64 {
	t.Helper()
	var id int64
	if err := s.ro.Get(&id, "SELECT max(id) FROM audit_log WHERE module = 'test'"); err != nil {
		t.Fatal(err)
	}
	return id
}

// waitUntil looks at a state until it is so, for ten seconds.
func waitUntil(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited ten seconds until %s", what)
		}
	}
}

// onSmallDisk runs the test again in a mount namespace with a small disk.
func onSmallDisk(t *testing.T) {
	if exec.Command("unshare", "-Urm", "true").Run() != nil {
		t.Skip("this needs unshare, to mount a small disk for itself")
	}
	folder := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "-Urm", "sh", "-c",
		`mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" -test.run "^$3\$" -test.v`, "sh", folder, os.Args[0], t.Name())
	c.Env = append(os.Environ(), smallDisk+"="+folder)
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("on a small disk: %v\n%s", err, out)
	}
}

// TestServedForReading counts wrong passwords where nothing can be written.
func TestServedForReading(t *testing.T) {
	made := openTest(t)
	ctx := t.Context()
	if _, err := made.CreateAccount(ctx, Actor{Name: "x"}, "vera", RoleViewer, "hash"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, made, event(t))
	s, err := Open(ctx, made.Path(), Options{Schema: auditadmin.Schema, ReadOnly: true, Served: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if h := s.Hindrance(); h == nil || !errors.Is(h.Err, ErrReadOnly) {
		t.Errorf("got hindrance %v, want that it cannot be written", h)
	}
	if _, charged, err := s.ChargeThrottle(ctx, "k", func(Throttle) (Throttle, bool) { return Throttle{Failures: 3}, true }); err != nil || !charged {
		t.Errorf("charge the throttle: %v, %v", charged, err)
	}
	if th, err := s.Throttle(ctx, "k"); err != nil || th.Failures != 3 {
		t.Errorf("got %+v, %v, want 3 failures", th, err)
	}
	if th, err := made.Throttle(ctx, "k"); err != nil || th.Failures != 0 {
		t.Errorf("got %+v, %v in the file, want nothing", th, err)
	}
	if err := s.Record(ctx, Actor{}, event(t)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("record: %v, want ErrReadOnly", err)
	}
}
