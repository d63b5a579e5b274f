package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// lotTest is a store whose indexer is the test, step by step, in the order in which
// several programs would get in each other's way.
type lotTest struct {
	*testing.T
	s     *Store
	at    string
	clock time.Time
}

func newLotTest(t *testing.T) *lotTest {
	l := &lotTest{T: t, at: address(t, filepath.Join(t.TempDir(), "audit.db")), clock: noon}
	l.s = l.again()
	return l
}

// again opens the database, once more when it is closed.
func (l *lotTest) again() *Store {
	l.Helper()
	s, err := Open(l.Context(), l.at, Options{Schema: auditadmin.Schema, StateDir: stateDir(l), Now: func() time.Time { return l.clock }, Trace: trace()})
	l.must(err)
	l.Cleanup(func() { s.Close() })
	s.close()
	s.workers.Wait()
	return s
}

func (l *lotTest) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lotTest) changed(err error) {
	l.Helper()
	if !errors.Is(err, errChanged) {
		l.Fatalf("got %v, want that the index has changed meanwhile", err)
	}
}

// add records events that hold a word, and returns their ids.
func (l *lotTest) add(n int, word string) (ids []int64) {
	l.Helper()
	var events []*audit.Event
	for i := range n {
		events = append(events, event(l, "object_repr", word, "reason", "because of an okapi", "object_id", fmt.Sprint(i)))
	}
	l.must(l.s.write(l.Context(), "append", func(tx *writeTx) error { _, err := tx.append(events); return err }))
	l.must(l.s.ro.Select(&ids, "SELECT id FROM audit_log WHERE object_repr = ? ORDER BY seq", word))
	return ids
}

// lot puts what was recorded last into a lot of its own.
func (l *lotTest) lot() {
	l.Helper()
	var b trigram.Builder
	_, err := l.s.indexLot(l.Context(), audit.KindAuditLog, &b)
	l.must(err)
}

func (l *lotTest) write(fn func(tx *writeTx) error) {
	l.Helper()
	l.must(l.s.writeAsSuperuser(l.Context(), "test", fn))
}

// exec changes the text index as nobody should.
func (l *lotTest) exec(statement string, args ...any) {
	l.Helper()
	l.write(func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx, statement, args...)
		return err
	})
}

func (l *lotTest) count(statement string, args ...any) (n int) {
	l.Helper()
	l.must(l.s.ro.Get(&n, statement, args...))
	return n
}

// found is how many events the lots have for a word.
func (l *lotTest) found(word string) int {
	l.Helper()
	found, _, err := l.s.candidates(l.Context(), audit.KindAuditLog, trigramKeys(query.Fold(word)), false, 0, math.MaxInt64, 1<<20)
	l.must(err)
	return len(found)
}

// TestTextTakenWhileItIsIndexed: what was taken away after it was read for the index,
// by somebody who found nothing of it there, does not get into it.
func TestTextTakenWhileItIsIndexed(t *testing.T) {
	for name, take := range map[string]func(l *lotTest, id int64) error{
		"deleted": func(l *lotTest, id int64) error {
			_, err := l.s.Delete(l.Context(), Actor{Name: "ines"}, audit.KindAuditLog, []int64{id}, "asked for")
			return err
		},
		"redacted": func(l *lotTest, id int64) error {
			return l.s.Redact(l.Context(), Actor{Name: "ines"}, audit.KindAuditLog, id, "object_repr", "asked for")
		},
		"purged": func(l *lotTest, _ int64) error {
			got, err := l.s.Purge(l.Context(), Actor{Name: "ines"}, PurgeJob{Kind: audit.KindAuditLog, Before: noon, Reason: "old"})
			if got.Events != 2 {
				return fmt.Errorf("%d events are purged, want 2: %w", got.Events, err)
			}
			return nil // the error is that it cannot be recorded: with the indexer the recorder is at rest
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLotTest(t)
			ids := l.add(2, "quagga")
			mark, head, rows, err := l.s.unindexed(t.Context(), audit.KindAuditLog, lotRows)
			l.must(err)
			l.must(take(l, ids[1]))
			if n := l.count("SELECT count(*) FROM search_stale"); n != 0 {
				t.Fatalf("%d runs are still to be taken out: this is not the case it should be", n)
			}
			var b trigram.Builder
			if done, err := l.s.indexRows(t.Context(), audit.KindAuditLog, &b, mark, head, rows); done || err != nil {
				t.Errorf("got %v, %v, want that it has to look again", done, err)
			}
			l.must(l.s.Index(t.Context()))
			left := l.count("SELECT count(*) FROM audit_log WHERE object_repr = 'quagga'")
			if got := l.found("quagga"); got != left {
				t.Errorf("%d events are found by their text, want %d", got, left)
			}
		})
	}
	t.Run("another one", func(t *testing.T) {
		l := newLotTest(t)
		ids := l.add(1, "bongo")
		l.lot()
		l.add(1, "quagga")
		mark, head, rows, err := l.s.unindexed(t.Context(), audit.KindAuditLog, lotRows)
		l.must(err)
		_, err = l.s.Delete(t.Context(), Actor{Name: "ines"}, audit.KindAuditLog, ids, "asked for")
		l.must(err)
		var b trigram.Builder
		if done, err := l.s.indexRows(t.Context(), audit.KindAuditLog, &b, mark, head, rows); !done || err != nil || l.found("quagga") != 1 {
			t.Errorf("got %v, %v, want it indexed: nothing of it was taken away", done, err)
		}
	})
}

// TestTextsOfALongLedger: texts that are strewn over the ledger are read in their order
// and without a gap, by statements that look through a bounded stretch of it.
func TestTextsOfALongLedger(t *testing.T) {
	l := newLotTest(t)
	attempt := eventOf(l, audit.KindLoginAttempt, "username", "dodo", "status", "FAILED", "timestamp", "2026-03-01T10:00:00Z")
	for i := range 40 { // 2, 1, 0, 0 of each four entries are what is looked for
		events := []*audit.Event{attempt, attempt, attempt, attempt}
		for at := range max(0, 2-i%4) {
			events[at] = event(l, "object_repr", fmt.Sprint("okapi ", i, at))
		}
		l.must(l.s.write(t.Context(), "append", func(tx *writeTx) error { _, err := tx.append(events); return err }))
	}
	l.s.recent = newRecent() // as after a start
	want := l.count("SELECT count(*) FROM audit_log")
	var seqs []int64
	for _, limit := range []int{1, 3, 7, 1000} {
		tx, end, err := begin(t.Context(), l.s.worker())
		l.must(err)
		seqs = nil
		for after := int64(0); ; after = seqs[len(seqs)-1] {
			rows, err := l.s.textsAfter(t.Context(), tx, audit.KindAuditLog, after, 160, limit)
			l.must(err)
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				seqs = append(seqs, row.seq)
			}
			if len(rows) < limit && len(seqs) < want {
				t.Fatalf("got %d rows of %d, and there are more", len(rows), limit)
			}
		}
		end()
		if len(seqs) != want || !slices.IsSorted(seqs) {
			t.Errorf("got %d rows, %d at a time, want %d in the order of the ledger", len(seqs), limit, want)
		}
	}
	l.lot()
	if n := l.found("okapi"); n != want {
		t.Errorf("%d of %d events are in the index", n, want)
	}
	if onPostgres == nil {
		return
	}
	onPostgres.seen.Range(func(key, _ any) bool {
		statement := key.(string)
		if strings.HasPrefix(statement, "SELECT l.seq, l.id") && !strings.Contains(statement, "l.seq <= ") && !strings.Contains(statement, "l.seq BETWEEN ") {
			t.Errorf("a cluster would send the rest of the ledger for %s", statement)
		}
		return true
	})
}

// TestTextTakenWhileItIsTakenOut: of an event that something else was taken from after
// it was read for its lot, the lot does not keep that.
func TestTextTakenWhileItIsTakenOut(t *testing.T) {
	l := newLotTest(t)
	id := l.add(2, "quagga")[0]
	l.lot()
	redact := func(field string) {
		l.write(func(tx *writeTx) error {
			kind := audit.KindAuditLog
			return tx.redact(Actor{Name: "ines"}, tables[kind], id, kind.Fields()[kind.Index(field)], "asked for")
		})
	}
	redact("object_repr")
	n, err := l.s.scrubbed(t.Context(), audit.KindAuditLog)
	l.must(err)
	redact("reason")
	l.changed(l.s.putLot(t.Context(), n))
	l.must(l.s.scrubText(t.Context()))
	if a, b := l.found("quagga"), l.found("because of an okapi"); a != 1 || b != 1 {
		t.Errorf("%d and %d events are found by what one of two says still", a, b)
	}
}

// TestLotOfNothing: a lot all of whose events are gone goes itself.
func TestLotOfNothing(t *testing.T) {
	l := newLotTest(t)
	ids := l.add(2, "quagga")
	l.lot()
	_, err := l.s.Delete(t.Context(), Actor{Name: "ines"}, audit.KindAuditLog, ids, "asked for")
	l.must(err)
	if lots, parts := l.count("SELECT count(*) FROM search_lot"), l.count("SELECT count(*) FROM search_part"); lots != 0 || parts != 0 {
		t.Errorf("%d lots and %d parts are left", lots, parts)
	}
}

// TestLotOfNothingThatIsMerged: it may be part of another lot by then, and is taken out
// of that.
func TestLotOfNothingThatIsMerged(t *testing.T) {
	l := newLotTest(t)
	ids := l.add(40, "quagga")
	l.lot()
	l.add(40, "bongo")
	l.lot()
	l.write(func(tx *writeTx) error {
		for _, id := range ids {
			if err := tx.delete(Actor{Name: "ines"}, audit.KindAuditLog, id, "asked for"); err != nil {
				return err
			}
		}
		return nil
	})
	n, err := l.s.scrubbed(t.Context(), audit.KindAuditLog)
	l.must(err)
	if len(n.seqs) != 0 || len(n.old) != 1 {
		t.Fatalf("%d lots get %d rows: this is not the case it should be", len(n.old), len(n.seqs))
	}
	l.must(l.s.mergeLots(t.Context(), audit.KindAuditLog))
	l.changed(l.s.putLot(t.Context(), n))
	l.must(l.s.scrubText(t.Context()))
	if gone, there := l.found("quagga"), l.found("bongo"); gone != 0 || there != 40 {
		t.Errorf("%d events that are gone are found, and %d of 40 others", gone, there)
	}
}

// TestDamagedLots: a lot that something else wrote into is made anew from the rows, and
// somebody is told.
func TestDamagedLots(t *testing.T) {
	l := newLotTest(t)
	ids := l.add(40, "quagga")
	l.lot()
	l.add(40, "quagga")
	l.lot()
	told := func(n int) {
		t.Helper()
		if all := l.s.mended.take(); len(all) != n || n > 0 && !errors.Is(all[0], errLotDamaged) {
			t.Errorf("somebody is told %v, want of %d lots", all, n)
		}
	}
	l.exec("UPDATE search_lot SET seqs = ?", []byte{})
	l.must(l.s.mergeLots(t.Context(), audit.KindAuditLog))
	ended, end := context.WithCancel(t.Context())
	end()
	said := 0
	l.s.KeepEvidence(ended, time.Hour, nil, func(err error) {
		if errors.Is(err, errLotDamaged) {
			said++
		}
	})
	if said != 2 {
		t.Errorf("who keeps the evidence says so of %d lots, want 2", said)
	}
	if lots, found := l.count("SELECT count(*) FROM search_lot"), l.found("quagga"); lots != 1 || found != 80 {
		t.Errorf("%d events are found in %d lots, want 80 in one", found, lots)
	}
	for i, rows := range []int{39, 41} {
		_, err := l.s.Delete(t.Context(), Actor{Name: "ines"}, audit.KindAuditLog, ids[i:i+1], "asked for")
		l.must(err)
		l.exec("UPDATE search_lot SET rows = ?, seqs = ?", rows, slices.Repeat([]byte{1}, 40))
		l.write(func(tx *writeTx) error { return tx.goneText(audit.KindAuditLog, 1, 100) })
		l.must(l.s.scrubText(t.Context()))
		told(1)
		if left, found := l.count("SELECT count(*) FROM search_stale"), l.found("quagga"); left != 0 || found != 79-i {
			t.Errorf("%d events are found and %d runs are left, want %d and none", found, left, 79-i)
		}
	}
	checkLots(t, l.s, "quagga", "okapi")
}

// TestTakenWhileALotIsMadeAnew: what was taken away after its row was read for a lot that
// is made anew does not get into it.
func TestTakenWhileALotIsMadeAnew(t *testing.T) {
	l := newLotTest(t)
	ids := l.add(40, "quagga")
	l.lot()
	l.exec("UPDATE search_lot SET seqs = ?", []byte{})
	l.write(func(tx *writeTx) error { return tx.goneText(audit.KindAuditLog, 1, 1) })
	n, err := l.s.scrubbed(t.Context(), audit.KindAuditLog)
	l.must(err)
	l.write(func(tx *writeTx) error { return tx.delete(ines, audit.KindAuditLog, ids[1], "asked for") })
	l.exec("DELETE FROM search_stale") // somebody else took it out of what he found
	l.changed(l.s.putLot(t.Context(), n))
	l.write(func(tx *writeTx) error { return tx.goneText(audit.KindAuditLog, 1, 1) })
	l.must(l.s.scrubText(t.Context()))
	if found := l.found("quagga"); found != 39 {
		t.Errorf("%d events are found, want 39", found)
	}
}

// TestDamagedLotsStopNothingElse: where lots of one kind are damaged and cannot be made
// anew just now, what is new is taken in all the same, and merged with what is whole, and
// what is gone of other kinds is taken out.
func TestDamagedLotsStopNothingElse(t *testing.T) {
	l := newLotTest(t)
	for i := range 2 {
		l.add(20, "quagga")
		var hidden int64
		l.must(l.s.write(t.Context(), "append", func(tx *writeTx) error { // and leave a place before it
			tx.seq++
			hidden = tx.seq
			_, err := tx.append([]*audit.Event{event(l, "object_repr", "quagga")})
			return err
		}))
		l.add(19, "quagga")
		l.lot()
		l.exec("INSERT INTO ledger (seq, entry, kind, id, recorded_at, leaf) VALUES (?, 'created', 'audit_log', ?, ?, ?)",
			hidden, 5+i, audit.FormatTime(l.clock), make([]byte, 32)) // of an event that a machine does not show
	}
	l.s.dialect = onCluster{l.s.dialect}
	l.exec("UPDATE search_lot SET seqs = ?", []byte{})
	l.add(lotRows+40, "okapi")
	attempts := []*audit.Event{eventOf(l, audit.KindLoginAttempt, "username", "dodo", "status", "FAILED", "timestamp", "2026-03-01T10:00:00Z"),
		eventOf(l, audit.KindLoginAttempt, "username", "moa", "status", "FAILED", "timestamp", "2026-03-01T10:00:00Z")}
	l.must(l.s.write(t.Context(), "append", func(tx *writeTx) error { _, err := tx.append(attempts); return err }))
	for range 3 {
		if err := l.s.Index(t.Context()); err == nil {
			t.Error("nobody is told that lots are damaged")
		}
		l.add(40, "okapi")
	}
	l.write(func(tx *writeTx) error { return tx.goneText(audit.KindAuditLog, 1, 40) })
	l.write(func(tx *writeTx) error { return tx.goneText(audit.KindLoginAttempt, 1, 1_000_000) })
	if err := l.s.Index(t.Context()); err == nil {
		t.Error("nobody is told that lots are damaged")
	}
	head := l.count("SELECT max(seq) FROM ledger")
	for _, kind := range audit.Kinds() {
		if mark, err := searchMark(t.Context(), l.s.ro, kind); err != nil || mark != int64(head) {
			t.Errorf("the index of %s goes up to %d, %v, and the ledger to %d", kind, mark, err, head)
		}
	}
	if n := l.count("SELECT count(*) FROM search_lot WHERE kind = 'audit_log' AND rows = 80"); n != 2 {
		t.Errorf("%d lots were made of two that are whole, behind the damaged ones, want 2", n)
	}
	if n := l.count("SELECT count(*) FROM search_lot WHERE kind = 'login_attempt'"); n != 0 {
		t.Errorf("%d lots of what is gone are there", n)
	}
	l.clock = l.clock.Add(settling + time.Second) // what is missing is given up
	_ = l.s.Index(t.Context())                    // and what is missing in the second one is waited for
	l.clock = l.clock.Add(settling + time.Second)
	l.must(l.s.Index(t.Context()))
	if found := l.found("quagga"); found != 80 {
		t.Errorf("%d events are found when the lots are made anew, want 80", found)
	}
}

// TestStaleRunOverTwoLots: what is left of a run that reaches over the end of a lot may
// be a run already.
func TestStaleRunOverTwoLots(t *testing.T) {
	l := newLotTest(t)
	var seqs []int64
	for _, n := range []int{2, 1} {
		l.add(n, "quagga")
		l.lot()
	}
	l.must(l.s.ro.Select(&seqs, "SELECT seq FROM audit_log WHERE object_repr = 'quagga' ORDER BY seq"))
	l.write(func(tx *writeTx) error {
		return errors.Join(tx.goneText(audit.KindAuditLog, seqs[0], seqs[2]), tx.staleText(audit.KindAuditLog, seqs[2], seqs[2]))
	})
	if _, err := l.s.scrubLot(t.Context(), audit.KindAuditLog); err != nil {
		t.Fatal(err)
	}
	var left []staleRun
	l.must(l.s.ro.Select(&left, "SELECT first, last, gone FROM search_stale"))
	if want := []staleRun{{seqs[2], seqs[2], true}}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
	l.must(l.s.scrubText(t.Context()))
	if found, left := l.found("quagga"), l.count("SELECT count(*) FROM search_stale"); found != 0 || left != 0 {
		t.Errorf("%d events are found and %d runs are left, want none", found, left)
	}
}

// slowLot is a lot that takes three slices.
func slowLot() *newLot {
	n := &newLot{kind: audit.KindAuditLog, seqs: []int64{1, 2}}
	for key := range trigram.Key(3) {
		n.parts = append(n.parts, trigram.Part{First: key, Data: make([]byte, partSlice)})
	}
	return n
}

func (l *lotTest) slice(n *newLot) error {
	l.Helper()
	_, err := l.s.putSlice(l.Context(), n)
	return err
}

// TestLotThatTakesLong: a lot stays its maker's as long as it grows. Who rests too long
// loses it, knows that before anybody sees it, and never meets another one in its place.
func TestLotThatTakesLong(t *testing.T) {
	l := newLotTest(t)
	ctx := context.WithoutCancel(t.Context())
	state := func(n *newLot) string {
		var ready []int
		l.must(l.s.ro.Select(&ready, "SELECT ready FROM search_lot WHERE lot = ?", n.number))
		return fmt.Sprint(ready, l.count("SELECT count(*) FROM search_part WHERE id >= ? AND id < ?", partID(n.number, 0), partID(n.number+1, 0)))
	}
	steady := slowLot()
	for range 3 {
		l.must(l.slice(steady))
		l.clock = l.clock.Add(lotLease * 3 / 4)
		l.must(l.s.dropStale(ctx))
	}
	if got := state(steady); got != "[1] 3" {
		t.Errorf("the state and the parts of a lot made steadily are %s", got)
	}
	l.must(l.s.dropLots(ctx, []int64{steady.number}))
	if got := state(steady); got != "[1] 3" {
		t.Errorf("taken away as nobody's, those of a lot in use are %s", got)
	}

	slow := slowLot()
	l.must(l.slice(slow))
	l.clock = l.clock.Add(2 * lotLease)
	l.must(l.s.dropStale(ctx))
	next := slowLot()
	l.must(l.slice(next))
	if next.number == slow.number {
		t.Error("two lots have one number")
	}
	l.changed(l.s.putLot(ctx, slow))
	l.must(l.s.putLot(ctx, next))
	if a, b := state(slow), state(next); a != "[] 0" || b != "[1] 3" {
		t.Errorf("after the next one those of the slow one are %s and of the next %s", a, b)
	}

	// Whoever takes it away has begun and is not done.
	taken := slowLot()
	l.must(l.slice(taken))
	l.write(func(tx *writeTx) error { return tx.changeLot(taken.number, lotMade, lotLeaving) })
	l.changed(l.s.putLot(ctx, taken))
	if got := state(taken); got != "[] 0" {
		t.Errorf("those of one that was being taken away are %s", got)
	}
}

// TestLotNumbers: none is given twice, also where a database is older than the note of
// them, and has parts that a lot left behind.
func TestLotNumbers(t *testing.T) {
	l := newLotTest(t)
	number := func() int64 {
		t.Helper()
		n := slowLot()
		l.must(l.slice(n))
		return n.number
	}
	a := number()
	l.must(l.s.dropLots(t.Context(), []int64{a}))
	if b := number(); b != a+1 {
		t.Errorf("after lot %d comes %d", a, b)
	}
	l.exec("DELETE FROM meta WHERE key = ?", lotNumbers)
	if c := number(); c != a+2 {
		t.Errorf("of an older database, after lot %d comes %d", a+1, c)
	}
	l.exec("DELETE FROM meta WHERE key = ?", lotNumbers)
	l.exec("INSERT INTO search_part (id, data) VALUES (?, ?)", partID(41, 7), []byte{1})
	if d := number(); d != 42 {
		t.Errorf("after parts of lot 41 comes %d", d)
	}
}
