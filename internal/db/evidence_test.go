package db

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// mixture appends n events of every kind, the same for the same seed, some of
// them late, resolved elsewhere, or in the same microsecond.
func mixture(t testing.TB, s *Store, n int, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	word := func() string {
		return []string{"alice", "bob", "Grüße aus Köln", "", "a\u2400b", "orders", "x", strings.Repeat("long ", r.IntN(300))}[r.IntN(8)]
	}
	at := noon.Add(-time.Hour)
	var events []*audit.Event
	for i := range n {
		if at = at.Add(time.Duration(r.IntN(3)) * time.Microsecond); r.IntN(20) == 0 {
			at = at.Add(-time.Duration(r.IntN(1000)) * time.Millisecond)
		}
		kind := audit.Kinds()[[]int{0, 0, 0, 1, 2, 3}[r.IntN(6)]]
		e := audit.NewEvent(kind)
		e.SetTime(at)
		e.Source = word()
		if r.IntN(3) == 0 {
			e.EventID = fmt.Sprintf("e%d-%d", seed, i)
		}
		for _, f := range kind.Fields() {
			switch {
			case f.Name == "timestamp" || f.Mutable:
			case f.Type == audit.Word:
				e.Set(f.Name, "UPDATE")
			case f.Type == audit.Choice:
				e.Set(f.Name, f.Choices[r.IntN(len(f.Choices))])
			case f.Type == audit.Address:
				e.Set(f.Name, fmt.Sprintf("203.0.113.%d", r.IntN(256)))
			case f.Type == audit.Integer && r.IntN(2) == 0:
				e.Set(f.Name, fmt.Sprint(r.Int64()>>r.IntN(64)))
			case f.Type == audit.JSON && r.IntN(2) == 0:
				e.Set(f.Name, fmt.Sprintf(`{"total":{"old":"%d","new":%q}}`, r.IntN(100), word()))
			case f.Type == audit.Text:
				e.Set(f.Name, word())
			}
			if f.Required && e.Get(f.Name) == "" && !f.EmptyAllowed {
				e.Set(f.Name, "something")
			}
		}
		if kind == audit.KindSystemEvent && r.IntN(4) == 0 {
			e.Set("resolved", "true")
			e.Set("resolved_at", audit.FormatTime(at.Add(time.Second)))
			e.Set("resolved_by", "carol")
			e.Set("resolution_note", word())
		}
		if kind == audit.KindDataExport && r.IntN(4) == 0 {
			e.Set("download_count", fmt.Sprint(r.IntN(3)))
		}
		if err := e.Normalize(noon); err != nil {
			t.Fatal(err)
		}
		if events = append(events, e); len(events) == 500 || i == n-1 {
			if got := mustAppend(t, s, events...); got.Accepted != len(events) {
				t.Fatalf("got %d events accepted, want %d", got.Accepted, len(events))
			}
			events = events[:0]
		}
	}
}

// decisions resolves, reopens and deletes some of what is there.
func decisions(t testing.TB, s *Store) {
	t.Helper()
	ctx := t.Context()
	who := Actor{Name: "ines", AccountID: 1}
	var open, closed []int64
	list := mustList(t, mustSelect(t, s, audit.KindSystemEvent, "is:unresolved"), Page{Limit: 10})
	for _, e := range list.Items {
		open = append(open, e.ID)
	}
	for _, e := range mustList(t, mustSelect(t, s, audit.KindSystemEvent, "is:resolved"), Page{Limit: 3}).Items {
		closed = append(closed, e.ID)
	}
	if len(open) > 3 {
		if _, err := s.Resolve(ctx, who, open[:3], "seen"); err != nil {
			t.Fatal(err)
		}
		if err := s.Reopen(ctx, who, open[0], "again"); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range closed {
		if err := s.Reopen(ctx, who, id, "not done"); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range audit.Kinds() {
		var ids []int64
		for i, e := range mustList(t, mustSelect(t, s, kind, ""), Page{Limit: 20}).Items {
			if i%7 == 3 && e.Source != Self {
				ids = append(ids, e.ID)
			}
		}
		if len(ids) > 0 {
			if _, err := s.Delete(ctx, who, kind, ids, "asked for"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// vouched is a database with something of everything, at rest.
func vouched(t testing.TB, n int, seed uint64) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.db")
	s := openAt(t, path)
	if _, err := s.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	mixture(t, s, n/2, seed)
	if _, err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	decisions(t, s)
	mixture(t, s, n-n/2, seed+1)
	if err := s.growTree(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// verify opens a database for reading, verifies it and closes it.
func verify(t testing.TB, path string, o VerifyOptions) *Verdict {
	t.Helper()
	if onPostgres != nil {
		s := openAt(t, path)
		defer s.Close()
		var err error
		if o.PublicKeys == nil {
			if o.PublicKeys, err = s.PublicKeys(); err != nil {
				t.Fatal(err)
			}
		}
		v, err := s.Verify(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v, err := tryVerify(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tryVerify(ctx context.Context, path string, o VerifyOptions) (*Verdict, error) {
	s, err := Open(ctx, path, Options{Schema: auditadmin.Schema, ReadOnly: true, Now: func() time.Time { return noon }})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if o.PublicKeys == nil {
		if o.PublicKeys, err = s.PublicKeys(); err != nil {
			return nil, err
		}
	}
	return s.Verify(ctx, o)
}

func TestVerifyFindsNothingWhereNothingIsWrong(t *testing.T) {
	path := vouched(t, 3000, 1)
	v := verify(t, path, VerifyOptions{})
	for _, p := range v.Problems {
		t.Errorf("got %v, want no problem", p)
	}
	if v.Checkpoints != 2 || v.Signed != 2 || v.UpTo != v.Entries || v.Events < 2900 || v.Gone == 0 {
		t.Errorf("got %+v", v)
	}
	since := verify(t, path, VerifyOptions{SinceCheckpoint: true})
	if len(since.Problems) > 0 || since.Root != v.Root || since.UpTo != v.UpTo {
		t.Errorf("since the last checkpoint: got %+v, want root %v", since, v.Root)
	}
}

func TestTheTreeIsThatOfTheLibrary(t *testing.T) {
	s := openTest(t)
	for step, n := range []int{1, 255, 1, 700, 67000} {
		_, err := s.rw.Exec(`WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?)
			INSERT INTO ledger (seq, entry, kind, id, recorded_at, leaf)
			SELECT (SELECT coalesce(max(seq), 0) FROM ledger) + n, 'verified', '', 0, '', randomblob(32) FROM more`, n)
		if err != nil {
			t.Fatal(err)
		}
		if step != 2 { // once without the tiles
			if err := s.growTree(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var leaves [][]byte
		if err := s.ro.Select(&leaves, "SELECT leaf FROM ledger ORDER BY seq"); err != nil {
			t.Fatal(err)
		}
		naive := naiveTree{}
		for i, leaf := range leaves {
			stored, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(leaf), &naive)
			if err != nil {
				t.Fatal(err)
			}
			naive.hashes = append(naive.hashes, stored...)
		}
		sizes := []int64{0, 1, int64(len(leaves)), int64(len(leaves)) - 1, int64(len(leaves)) / 2, 256, 257, 65536}
		for _, size := range sizes {
			if size > int64(len(leaves)) {
				continue
			}
			want, err := tlog.TreeHash(size, &naive)
			if err != nil {
				t.Fatal(err)
			}
			got, err := newTreeReader(t.Context(), s.ro).root(size)
			if err != nil || size > 0 && got != want {
				t.Errorf("got root %v of %d entries (%v), want %v", got, size, err, want)
			}
		}
		size := int64(len(leaves))
		for range 20 {
			at := rand.Int64N(size)
			proof, err := tlog.ProveRecord(size, at, newTreeReader(t.Context(), s.ro))
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := tlog.ProveRecord(size, at, &naive); !slices.Equal(proof, want) {
				t.Errorf("got proof %v of leaf %d of %d, want %v", proof, at, size, want)
			}
			old := 1 + rand.Int64N(size)
			between, err := s.Consistency(t.Context(), old, size)
			if err != nil {
				t.Fatal(err)
			}
			th, _ := tlog.TreeHash(size, &naive)
			oh, _ := tlog.TreeHash(old, &naive)
			if old < size {
				if err := tlog.CheckTree(between, size, th, old, oh); err != nil {
					t.Errorf("consistency from %d to %d: %v", old, size, err)
				}
			}
		}
	}
}

type naiveTree struct{ hashes []tlog.Hash }

func (n *naiveTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = n.hashes[x]
	}
	return out, nil
}

// ASVS:V11.6.1 ASVS:V11.2.2
func TestCheckpointsGoOn(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "audit.db")
	s := openAt(t, path)
	if _, err := s.Checkpoint(ctx); err == nil || !strings.Contains(err.Error(), "auditadmin serve") {
		t.Errorf("got error %v without a key, want one that names 'auditadmin serve'", err)
	}
	if fresh, err := s.BeginEvidence(ctx); err != nil || fresh != nil {
		t.Fatalf("got %v, %v, want no new incarnation", fresh, err)
	}
	mixture(t, s, 10, 1)
	first, err := s.Checkpoint(ctx)
	if err != nil || first.Size < 10 {
		t.Fatalf("got %+v, %v", first, err)
	}
	again, err := s.Checkpoint(ctx)
	if err != nil || again.Note != first.Note {
		t.Errorf("got another checkpoint %v (%v) without news, want the same", again, err)
	}
	if fresh, err := s.BeginEvidence(ctx, &first.Checkpoint); err != nil || fresh != nil {
		t.Errorf("got %v, %v after a checkpoint of ours, want no new incarnation", fresh, err)
	}
	before, _ := s.PublicKeys()
	both, err := s.RotateKey(ctx, Actor{Name: "ines"})
	if err != nil {
		t.Fatal(err)
	}
	after, _ := s.PublicKeys()
	if len(after) != 2 || after[1] != before[0] {
		t.Errorf("got public keys %q after a rotation, want a new one before %q", after, before)
	}
	for _, keys := range [][]string{before, after[:1]} {
		if _, signed, err := evidence.OpenCheckpoint(both.Note, keys); err != nil || len(signed) != 1 {
			t.Errorf("got %v, %v with %q, want the checkpoint of a rotation signed by both", signed, err, keys)
		}
	}
	// A checkpoint of a ledger that was longer means that this one is older.
	ahead := first.Checkpoint
	ahead.Size += 100
	fresh, err := s.BeginEvidence(ctx, &ahead)
	if err != nil || fresh == nil || !strings.Contains(fresh.Reason, "110 entries") {
		t.Errorf("got %+v, %v beside a checkpoint of more entries, want a new incarnation that names them", fresh, err)
	}
	next, err := s.Checkpoint(ctx)
	if err != nil || next.Incarnation == first.Incarnation {
		t.Errorf("got %+v, %v, want a checkpoint of the new incarnation", next, err)
	}
	v, err := s.Verify(ctx, VerifyOptions{PublicKeys: after})
	if err != nil || !v.Holds() || len(v.Restored) != 1 {
		t.Errorf("got %+v, %v, want a restored database without problems", v, err)
	}
	if err := os.Chmod(KeyPath(s.Beside()), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checkpoint(ctx); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got error %v with a key file that others may read, want one that says chmod 600", err)
	}
}

// BenchmarkVerify is a full verification of 100,000 events.
//
//	go test -tags sqlite_fts5 -run - -bench Verify ./internal/db
func BenchmarkVerify(b *testing.B) {
	s := openTest(b)
	mixture(b, s, 100_000, 1)
	if err := s.growTree(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			var events int64
			for b.Loop() {
				v, err := s.Verify(b.Context(), VerifyOptions{Workers: workers})
				if err != nil || !v.Holds() {
					b.Fatal(v, err)
				}
				events += v.Events
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// A server verifies what is there when it starts, and goes on with what comes.
func TestVerifiedUpTo(t *testing.T) {
	s := openAt(t, vouched(t, 200, 5))
	if v := s.VerifiedUpTo(t.Context()); !v.At.IsZero() {
		t.Errorf("got %+v before anything was verified, want no time", v)
	}
	step := func() Verified {
		t.Helper()
		if err := s.verifyNews(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.VerifiedUpTo(t.Context())
	}
	first := step()
	if first.Since != 1 || first.UpTo < 200 || !first.Verdict.Holds() {
		t.Errorf("got %+v, want everything verified", first)
	}
	mixture(t, s, 30, 77)
	second := step()
	if second.Since != 1 || second.UpTo < first.UpTo+30 || second.Verdict.From != first.UpTo+1 || second.Verdict.Events != 30 {
		t.Errorf("got %+v after 30 events more, want those verified", second)
	}
	if s.dialect.embedded() {
		if _, err := s.rw.Exec("DROP TRIGGER login_attempt_fixed; DROP TRIGGER audit_log_fixed; DROP TRIGGER system_event_fixed; DROP TRIGGER data_export_fixed"); err != nil {
			t.Fatal(err)
		}
	}
	mixture(t, s, 30, 78)
	if _, err := s.rw.Exec("UPDATE audit_log SET username = 'mallory' WHERE seq = (SELECT max(seq) FROM audit_log)"); err != nil {
		t.Fatal(err)
	}
	if third := step(); third.Verdict.Holds() || third.Verdict.Problems[0].Fields[0] != "username" {
		t.Errorf("got %+v after an event was altered, want it named", third.Verdict)
	}
	mixture(t, s, 3, 79)
	if fourth := step(); fourth.Verdict.Holds() {
		t.Error("a problem is forgotten with the next news")
	}
}

// A large database is verified from its end when its server starts, and from the
// beginning soon after, while what comes is verified too.
func TestEverythingIsVerifiedInTime(t *testing.T) {
	s := openAt(t, vouched(t, 600, 5))
	old := Problem{Trouble: Altered, Table: "audit_log", Seq: 3, Detail: "it was put right since"}
	s.verified.Store(&Verified{UpTo: 590, Since: 500, At: noon, Verdict: &Verdict{UpTo: 590, Problems: []Problem{old}}})
	ctx, stop := context.WithCancel(t.Context())
	var keeper sync.WaitGroup
	keeper.Go(func() { s.KeepEvidence(ctx, time.Hour, nil, func(err error) { t.Error(err) }) })
	for deadline := time.Now().Add(20 * time.Second); s.VerifiedUpTo(ctx).Since != 1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	seen := s.VerifiedUpTo(ctx)
	stop()
	keeper.Wait()
	if seen.Since != 1 || seen.UpTo < 600 || !seen.Verdict.Holds() {
		t.Errorf("got %+v, want everything verified and nothing wrong", seen)
	}
	later := Problem{Trouble: Altered, Table: "audit_log", Seq: seen.UpTo + 5, Detail: "it came after"}
	s.verified.Store(&Verified{UpTo: seen.UpTo + 10, Since: 500, At: noon, Verdict: &Verdict{Problems: []Problem{old, later}}})
	s.verifiedAll(&Verdict{From: 1, UpTo: seen.UpTo})
	if got := s.VerifiedUpTo(ctx); got.Since != 1 || got.UpTo != seen.UpTo+10 || len(got.Verdict.Problems) != 1 || got.Verdict.Problems[0].Seq != later.Seq {
		t.Errorf("got %+v, want all verified but for the problem that came after", got)
	}
}

// TestOneVerificationAtATime: where it takes longer than a day to verify everything,
// the next one begins when that is over.
func TestOneVerificationAtATime(t *testing.T) {
	s := openAt(t, vouched(t, 60, 6))
	var mu sync.Mutex
	clock, looks, running := noon, 0, 0
	over := make(chan struct{})
	s.now = func() time.Time { // a day later whenever somebody asks
		mu.Lock()
		clock = clock.Add(25 * time.Hour)
		now := clock
		looks++
		stack := string(debug.Stack())
		whole := strings.Contains(stack, ".verifyAll(")
		if whole {
			running++
		}
		mu.Unlock()
		if whole {
			<-over
		}
		return now
	}
	ctx, stop := context.WithCancel(t.Context())
	var keeper sync.WaitGroup
	keeper.Go(func() { s.KeepEvidence(ctx, time.Millisecond, nil, func(error) {}) })
	seen := func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return looks, running
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if n, begun := seen(); begun > 1 || begun == 1 && n > 200 {
			break
		}
	}
	if _, begun := seen(); begun != 1 {
		t.Errorf("%d verifications of everything go on at the same time, want one", begun)
	}
	stop()
	close(over)
	keeper.Wait()
}

// TestCheckpointsAreThinned makes one every half hour for forty days.
func TestCheckpointsAreThinned(t *testing.T) {
	ctx := t.Context()
	var clock atomic.Int64 // the seconds of noon that are gone
	at := func() time.Time { return noon.Add(time.Duration(clock.Load()) * time.Second) }
	clock.Store(-40 * 24 * 3600)
	s, err := Open(ctx, address(t, filepath.Join(t.TempDir(), "audit.db")), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: at, Trace: trace()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.BeginEvidence(ctx); err != nil {
		t.Fatal(err)
	}
	witnessed := map[int64]bool{}
	for n := 0; at().Before(noon); n++ {
		mustAppend(t, s, event(t))
		c, err := s.Checkpoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n%300 == 7 {
			if err := s.cosigned(ctx, c, "— witness.example/w AAAAAAAA\n"); err != nil {
				t.Fatal(err)
			}
			witnessed[c.Size] = true
		}
		clock.Add(1800)
	}
	for range 2 { // the second time nothing is left to do
		if err := s.ThinCheckpoints(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var sizes []int64
	var made []string
	if err := errors.Join(s.ro.Select(&sizes, "SELECT size FROM checkpoint"), s.ro.Select(&made, "SELECT created_at FROM checkpoint WHERE note NOT LIKE '%witness%' ORDER BY size")); err != nil {
		t.Fatal(err)
	}
	perDay := map[string]int{}
	for _, at := range made {
		perDay[at[:10]]++
	}
	for days, want := range map[int]int{39: 1, 32: 1, 20: 24, 3: 24} {
		if got := perDay[noon.AddDate(0, 0, -days).Format(time.DateOnly)]; got < want-1 || got > want {
			t.Errorf("%d days ago: got %d checkpoints, want %d", days, got, want)
		}
	}
	if last := made[len(made)-47]; last < audit.FormatTime(noon.Add(-25*time.Hour)) {
		t.Errorf("got %s, want all of the last day", last)
	}
	for _, size := range sizes {
		delete(witnessed, size)
	}
	if len(witnessed) > 0 {
		t.Errorf("got none of %v, want each that a witness signed", witnessed)
	}
	keys, err := s.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Verify(ctx, VerifyOptions{PublicKeys: keys}); err != nil || !v.Holds() || v.Checkpoints != len(sizes) {
		t.Errorf("got %+v, %v, want it to hold against %d checkpoints", v, err, len(sizes))
	}
}

// TestSignaturesOfWitnessesStay: servers that make a checkpoint of the same entries at
// the same time, or change the key, take nobody's signature away.
func TestSignaturesOfWitnessesStay(t *testing.T) {
	l := newLotTest(t)
	_, err := l.s.BeginEvidence(t.Context())
	l.must(err)
	l.add(2, "quagga")
	keys, err := l.s.keys()
	l.must(err)
	head, err := l.s.treeHead(t.Context()) // of one server, while another one
	l.must(err)
	first, err := l.s.Checkpoint(t.Context())
	l.must(err)
	another := *first
	l.must(l.s.cosigned(t.Context(), first, "— witness.example/w AAAAAAAA\n"))
	l.must(l.s.cosigned(t.Context(), &another, "— witness.example/v AAAAAAAA\n"))
	head.At = head.At.Add(time.Second)
	kept, err := l.s.keepCheckpoint(t.Context(), head, keys.Signer())
	l.must(err)
	next, err := keys.Rotate(cryptorand.Reader)
	l.must(err)
	rotated, err := l.s.keepCheckpoint(t.Context(), head, keys.Signer(), next.Signer())
	l.must(err)
	last, err := l.s.LastCheckpoint(t.Context())
	l.must(err)
	for what, c := range map[string]*SignedCheckpoint{"the other server": kept, "a change of the key": rotated, "all": last} {
		for _, witness := range []string{"/w", "/v"} {
			if !strings.Contains(c.Note, "\n— witness.example"+witness+" AAAAAAAA\n") {
				t.Errorf("after %s the signature of %s is gone from\n%s", what, witness, c.Note)
			}
		}
		if _, signed, err := evidence.OpenCheckpoint(c.Note, next.Public()); err != nil || len(signed) == 0 {
			t.Errorf("after %s: got %v, %v, want what is signed by the key", what, signed, err)
		}
	}
	if strings.Count(last.Note, "\n— ") != 4 {
		t.Errorf("want the signatures of two keys and two witnesses:\n%s", last.Note)
	}
}
