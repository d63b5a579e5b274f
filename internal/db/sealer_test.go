package db

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// appendSome appends events whose object and request nobody else has.
func appendSome(t *testing.T, s *Store, from, n int, pairs ...string) {
	t.Helper()
	var some []*audit.Event
	for i := from; i < from+n; i++ {
		some = append(some, event(t, append([]string{"object_id", fmt.Sprint("o", i), "request_id", fmt.Sprint("r", i)}, pairs...)...))
	}
	mustAppend(t, s, some...)
}

// waitsInSealPieces reports whether some goroutine waits there for a lock.
func waitsInSealPieces() bool {
	stacks := make([]byte, 4<<20)
	for one := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(one, "sync.(*Mutex).Lock") && strings.Contains(one, ".sealPieces(") {
			return true
		}
	}
	return false
}

// TestPiecesMergeBeforeTheyAreSealed lets a page's refresh merge pieces while the
// sealer waits to take the same ones.
func TestPiecesMergeBeforeTheyAreSealed(t *testing.T) {
	s := openTest(t)
	k := s.columns.kinds[audit.KindAuditLog]
	for _, n := range []int{40, 15, 7} { // each less than half as long as the one before
		appendSome(t, s, 1000*n, n)
		if err := s.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(k.view.Load().segments); n != 3 {
		t.Fatalf("there are %d pieces, want 3: the test shows nothing", n)
	}
	s.sealed.work.Lock() // this test is the sealer
	defer s.sealed.work.Unlock()
	defer func(least int) { s.sealed.least = least }(s.sealed.least)
	s.sealed.least = 50
	s.columns.mu.Lock()
	sealed := make(chan error, 1)
	go func() {
		some, err := s.sealNext(t.Context(), k, false)
		if err == nil && !some {
			err = errors.New("nothing was sealed")
		}
		sealed <- err
	}()
	waitUntil(t, "the sealer waits for the view", waitsInSealPieces)
	appendSome(t, s, 90_000, 4)
	if err := s.refreshOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(k.view.Load().segments); n != 1 {
		t.Fatalf("the refresh left %d pieces, want 1: the test shows nothing", n)
	}
	s.columns.mu.Unlock()
	if err := <-sealed; err != nil {
		t.Fatal(err)
	}
	v := k.view.Load()
	if len(v.segments) != 1 || v.segments[0].file == "" || v.count != 66 || v.segments[0].Len() != 66 {
		t.Errorf("%d events in %d pieces, want 66 in one file", v.count, len(v.segments))
	}
}

// columnFiles are the names of the files of columns.
func columnFiles(t *testing.T, s *Store) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.sealed.folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), string(audit.KindAuditLog)+"-") {
			names = append(names, filepath.Join(s.sealed.folder, e.Name()))
		}
	}
	slices.Sort(names)
	return names
}

// TestWhatDoesNotFitIsNotKept lets the pieces be others when they were written: what
// was written must not be believed by the next start, nor stand in the way of the
// next try.
func TestWhatDoesNotFitIsNotKept(t *testing.T) {
	s := openTest(t)
	k := s.columns.kinds[audit.KindAuditLog]
	s.sealed.work.Lock() // this test is the sealer
	defer s.sealed.work.Unlock()
	appendSome(t, s, 0, 300)
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := func(v *view) (from, to int) { return 0, len(v.segments) }
	if _, err := s.sealPieces(t.Context(), k, all, nil); err != nil {
		t.Fatal(err)
	}
	before := columnFiles(t, s)
	id := k.view.Load().segments[0].ID(7)
	whole := *k.view.Load()
	whole.change([]decision{{from: id, to: id, seq: whole.head + 1, deleted: true}})
	k.view.Store(&whole)
	first := func(v *view) (from, to int) { return 0, 1 }
	for _, what := range []string{"changed", "panicked", "is as it was"} {
		some, err, panicked, changed := false, error(nil), any(nil), view{head: whole.head}
		func() {
			defer func() { panicked = recover() }()
			some, err = s.sealPieces(t.Context(), k, first, func(int, string) bool {
				switch what {
				case "changed":
					k.view.Store(&changed)
				case "panicked":
					panic(what)
				}
				return false
			})
		}()
		k.view.CompareAndSwap(&changed, &whole)
		if !s.columns.mu.TryLock() {
			t.Fatalf("%s: the lock is held", what)
		}
		sealing := k.sealing
		s.columns.mu.Unlock()
		switch after := columnFiles(t, s); {
		case sealing != 0:
			t.Fatalf("%s: pieces up to %d are still being sealed", what, sealing)
		case what == "is as it was":
			if !some || err != nil || len(after) != 1 || slices.Equal(after, before) {
				t.Errorf("%s: %t, %v, and files %v after %v", what, some, err, after, before)
			}
		case what == "changed" && !errors.Is(err, errViewChanged) || what == "panicked" && panicked != what:
			t.Errorf("%s: got the error %v and the panic %v", what, err, panicked)
		case !slices.Equal(after, before):
			t.Errorf("%s: there are the files %v, want %v", what, after, before)
		}
	}
}

// TestDeletedBeforeTheyAreSealed deletes an event while it is in memory alone: its
// words must not come into a file.
func TestDeletedBeforeTheyAreSealed(t *testing.T) {
	s := openTest(t)
	s.sealed.least = 20
	appendSome(t, s, 0, 1, "username", "canary-user", "request_id", "canary-request")
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := s.columns.kinds[audit.KindAuditLog].view.Load().segments[0].ID(0)
	if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{id}, "erasure"); err != nil {
		t.Fatal(err)
	}
	appendSome(t, s, 1, 30)
	if err := errors.Join(s.refresh(t.Context()), s.seal(t.Context(), true)); err != nil {
		t.Fatal(err)
	}
	names := columnFiles(t, s)
	for _, name := range names {
		if content, err := os.ReadFile(name); err != nil || bytes.Contains(content, []byte("canary-")) {
			t.Errorf("%s still holds what was deleted, or cannot be read: %v", filepath.Base(name), err)
		}
	}
	if len(names) == 0 {
		t.Error("nothing was sealed: the test shows nothing")
	}
	agreesWithRows(t, s, "after the deletion")
}

// TestNamesAreAskedWhileATryFails asks for the number of a word when a seal that
// came to nothing has just dropped the table.
func TestNamesAreAskedWhileATryFails(t *testing.T) {
	n := newNames(0)
	n.build()
	n.forget()
	n.lockTable()
	defer n.mu.RUnlock()
	if _, ok := n.find("alice", nil); ok {
		t.Error("a word has a number that was given to none")
	}
}

// TestSearchPanicsWhereItWasCalled: what goes wrong in a goroutine of check reaches
// its caller, who recovers, instead of ending the process.
func TestSearchPanicsWhereItWasCalled(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t))
	v := mustSelect(t, s, audit.KindAuditLog, "").view
	defer func() {
		if recover() == nil {
			t.Error("got no panic, want that of a needle that is not there")
		}
	}()
	_, err := s.check(t.Context(), v, nil, []rowPlace{{0, 0}})
	t.Errorf("got %v, want a panic", err)
}

// TestLongTextsAreSealedEarly: events with long texts are no burden on the memory until
// there are many of them, and no file takes in more of them than it can count.
func TestLongTextsAreSealedEarly(t *testing.T) {
	s := openTest(t)
	k := s.columns.kinds[audit.KindAuditLog]
	const each, n = 256 << 10, 300
	for from := 0; from < n; from += 20 {
		var some []*audit.Event
		for i := from; i < from+20; i++ {
			some = append(some, event(t, "object_id", fmt.Sprintf("o%d-%s", i, strings.Repeat("x", each))))
		}
		mustAppend(t, s, some...)
		if err := errors.Join(s.refresh(t.Context()), s.seal(t.Context(), false)); err != nil {
			t.Fatal(err)
		}
		inMemory := int64(0)
		for _, p := range k.view.Load().segments {
			if p.file == "" {
				inMemory += p.TextBytes()
			}
		}
		if inMemory > pieceWords {
			t.Fatalf("%d bytes of texts are in memory after %d events, want at most %d", inMemory, from+20, pieceWords)
		}
	}
	files := 0
	for _, p := range k.view.Load().segments {
		if p.file != "" {
			files++
		}
		if p.TextBytes() > segment.MaxTextBytes {
			t.Errorf("a piece has %d bytes of texts", p.TextBytes())
		}
	}
	if files < 1 {
		t.Error("nothing was written to a file: the test shows nothing")
	}
	for i := range 3 {
		q := fmt.Sprintf("object:o%d-*", 7+i*100)
		if got := countAll(t, s, audit.KindAuditLog, q); got != 1 {
			t.Errorf("got %d events for %s, want 1", got, q)
		}
	}
}

// TestNothingIsWrittenBesideABadFile: where a file that is not believed any more cannot
// be removed, the next start finds it. None may lie there by then whose words have the
// same numbers.
func TestNothingIsWrittenBesideABadFile(t *testing.T) {
	l := newLotTest(t)
	s, k := l.s, l.s.columns.kinds[audit.KindAuditLog]
	k.words = 1 // each event is a piece
	var some []*audit.Event
	for _, name := range []string{"alice", "carol", "alice", "bob"} {
		some = append(some, event(t, "username", name))
	}
	l.must(s.write(t.Context(), "append", func(tx *writeTx) error { _, err := tx.append(some); return err }))
	s.recent = newRecent()
	l.must(s.refresh(t.Context()))
	first := func(v *view) (from, to int) { return 0, 2 }
	_, err := s.sealPieces(t.Context(), k, first, nil)
	l.must(err)
	_, err = s.sealPieces(t.Context(), k, func(v *view) (from, to int) { return 1, 3 }, nil)
	l.must(err)
	files := columnFiles(t, s)
	if len(files) != 2 {
		t.Fatalf("there are the files %v, want two", files)
	}
	l.write(func(tx *writeTx) error { // alice is nobody's first word any more
		return tx.redact(ines, tables[audit.KindAuditLog], k.view.Load().segments[0].ID(0), audit.KindAuditLog.Fields()[audit.KindAuditLog.Index("username")], "asked for")
	})
	l.must(s.Close())
	content, err := os.ReadFile(files[0])
	l.must(err)
	content[len(content)/2]++
	l.must(os.WriteFile(files[0], content, 0o600))
	s = l.again()
	s.sealed.unlink = func(name string) error { return &os.PathError{Op: "remove", Path: name, Err: os.ErrPermission} }
	k = s.columns.kinds[audit.KindAuditLog]
	k.words = 1
	l.must(s.refresh(t.Context()))
	if _, err := s.sealPieces(t.Context(), k, first, nil); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v, want that the bad files are in the way", err)
	}
	k.words = pieceWords
	s.Close()

	s = l.again()
	l.must(s.refresh(t.Context()))
	agreesWithRows(t, s, "after the bad file was found again")
	_, err = s.sealPieces(t.Context(), s.columns.kinds[audit.KindAuditLog], func(v *view) (from, to int) { return 0, len(v.segments) }, nil)
	l.must(err)
}

// TestFilesAheadOfAReplica: where a replica does not show yet what lies in the files, that
// is no other history. They stay, and are used when it has caught up.
func TestFilesAheadOfAReplica(t *testing.T) {
	l := newLotTest(t)
	l.add(2, "quagga")
	l.must(l.s.Close())
	content, err := os.ReadFile(l.s.path)
	l.must(err)
	before := filepath.Join(t.TempDir(), "before.db")
	l.must(os.WriteFile(before, content, 0o600))
	l.s = l.again()
	l.add(2, "okapi")
	l.must(l.s.refresh(t.Context()))
	all := func(v *view) (from, to int) { return 0, len(v.segments) }
	_, err = l.s.sealPieces(t.Context(), l.s.columns.kinds[audit.KindAuditLog], all, nil)
	l.must(err)
	files := columnFiles(t, l.s)
	l.must(l.s.Close())

	l.s = l.again()
	s, replica := l.s, openAt(t, before)
	s.near, s.ro, s.readPath = s.ro, replica.ro, "the replica"
	s.back.Close()
	s.back = replica.back
	s.sealed.patience = 0
	if n := countAll(t, s, audit.KindAuditLog, ""); n != 2 {
		t.Errorf("%d events are shown, want the 2 that the replica has", n)
	}
	l.must(s.seal(t.Context(), true))
	if trouble := s.sealed.trouble.Load(); trouble == nil {
		t.Error("nobody is told that nothing is written")
	}
	l.must(s.Close())
	if got := columnFiles(t, s); len(files) == 0 || !slices.Equal(got, files) {
		t.Fatalf("there are the files %v, want %v", got, files)
	}
	l.s = l.again()
	l.must(l.s.refresh(t.Context()))
	if v := l.s.columns.kinds[audit.KindAuditLog].view.Load(); v.count != 4 || v.segments[0].file != files[0] {
		t.Errorf("%d events are there, the first ones in %q, want 4 in %q", v.count, v.segments[0].file, files[0])
	}
}
