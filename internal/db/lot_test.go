package db

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// checkLots compares what the text index finds with the rows themselves: up to
// its mark every event that holds a word is found, and nothing is found that is
// no event.
func checkLots(t *testing.T, s *Store, words ...string) {
	t.Helper()
	ctx := t.Context()
	mark, err := searchMark(ctx, s.ro, audit.KindAuditLog)
	if err != nil {
		t.Fatal(err)
	}
	tx, end, err := begin(ctx, s.ro)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.textRows(ctx, tx, audit.KindAuditLog, "l.seq <= ?", mark)
	end()
	if err != nil {
		t.Fatal(err)
	}
	there := map[int64]bool{}
	for _, r := range rows {
		there[r.seq] = true
	}
	for _, word := range words {
		folded := query.Fold(word)
		found, _, err := s.candidates(ctx, audit.KindAuditLog, trigramKeys(folded), true, 0, math.MaxInt64, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(found, func(a, b int64) int { return int(b - a) }) {
			t.Errorf("%q: what was found is not in order, newest first", word)
		}
		for _, seq := range found {
			if !there[seq] {
				t.Errorf("%q: entry %d is found, and is no event", word, seq)
			}
		}
		for _, r := range rows {
			if strings.Contains(string(r.text), folded) && !slices.Contains(found, r.seq) {
				t.Errorf("%q: entry %d holds it and is not found", word, r.seq)
			}
		}
		if len(found) > 3 {
			some, _, err := s.candidates(ctx, audit.KindAuditLog, trigramKeys(folded), true, found[3], math.MaxInt64, 2)
			if err != nil || !slices.Equal(some, found[:2]) {
				t.Errorf("%q: the newest two after %d are %v, %v; want %v", word, found[3], some, err, found[:2])
			}
		}
	}
}

// TestLotsFollowTheLedger appends, deletes and indexes at random.
func TestLotsFollowTheLedger(t *testing.T) {
	s := openTest(t)
	s.close() // the indexer: this test is in its place
	s.workers.Wait()
	r := rand.New(rand.NewPCG(3, 3))
	syllables := strings.Fields("ka lo mi ra tu ver son grün 日本 42 -x")
	word := func() string {
		w := ""
		for range 2 + r.IntN(3) {
			w += syllables[r.IntN(len(syllables))]
		}
		return w
	}
	n := 0
	for range 60 {
		var events []*audit.Event
		for range 1 + r.IntN(120) {
			n++
			events = append(events, event(t, "timestamp", fmt.Sprintf("2026-03-01T12:%02d:00Z", r.IntN(60)), "object_repr", word()+" "+word()))
		}
		err := s.write(t.Context(), "append", func(tx *writeTx) error { _, err := tx.append(events); return err })
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.IntN(4) == 0 {
			var ids []int64
			if err := s.ro.Select(&ids, "SELECT id FROM audit_log WHERE source <> 'auditadmin' ORDER BY random() LIMIT ?", 1+r.IntN(30)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Delete(t.Context(), Actor{Name: "ines"}, audit.KindAuditLog, ids, "asked for"); err != nil {
				t.Fatal(err)
			}
		}
	}
	checkLots(t, s, word(), word(), syllables[0]+syllables[1], "grün日本", "nowhere at all")
	all, err := lots(t.Context(), s.ro, audit.KindAuditLog, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > 40 {
		t.Errorf("%d events are in %d lots; want them merged", n, len(all))
	}
	var left int
	if err := s.ro.Get(&left, "SELECT (SELECT count(*) FROM search_stale) + (SELECT count(*) FROM search_lot WHERE ready <> 1)"+
		" + (SELECT count(*) FROM search_part p WHERE NOT EXISTS (SELECT 1 FROM search_lot WHERE lot = p.id >> 19))"); err != nil || left != 0 {
		t.Errorf("%d rows of the text index are left over, %v; want none", left, err)
	}
}

// TestLotLeftBehind finds what a killed program left, and leaves alone what
// another one makes at the moment.
func TestLotLeftBehind(t *testing.T) {
	s := openTest(t)
	var b trigram.Builder
	b.Add([]byte("half made"))
	half := b.Build(1)
	for number, at := range map[int64]string{7: audit.FormatTime(noon.Add(-2 * lotLease)), 8: audit.FormatTime(noon)} {
		err := s.write(t.Context(), "test", func(tx *writeTx) error {
			_, err := tx.ExecContext(tx.ctx, "INSERT INTO search_lot (lot, kind, first, last, rows, ready, changed_at, seqs) VALUES (?, 'audit_log', 1, 1, 1, 0, ?, ?)", number, at, []byte{1})
			if err != nil {
				return err
			}
			return putParts(tx, number, half)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Index(context.Background()); err != nil {
		t.Fatal(err)
	}
	var left []int64
	if err := s.ro.Select(&left, "SELECT DISTINCT id >> 19 FROM search_part"); err != nil || !slices.Equal(left, []int64{8}) {
		t.Errorf("got parts of the lots %v, %v; want those of 8 alone, which may be in the making", left, err)
	}
}

func TestToMerge(t *testing.T) {
	for _, c := range []struct {
		rows []int
		want []int // of them, first and last
	}{
		{nil, nil},
		{[]int{65536, 4096, 4096}, nil},
		{[]int{30, 30}, nil},
		{[]int{30, 30, 4}, []int{0, 2}},
		{[]int{65536, 63, 1}, []int{1, 2}},
		{[]int{5000, 63, 5000, 1}, nil},
		{[]int{4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096}, []int{0, 11}},
		{[]int{40000, 40000, 40000}, nil},
	} {
		var all []lot
		for i, n := range c.rows {
			all = append(all, lot{Number: int64(i), Rows: n})
		}
		got := toMerge(all)
		switch {
		case c.want == nil && got != nil, c.want != nil && (len(got) == 0 || got[0].Number != int64(c.want[0]) || got[len(got)-1].Number != int64(c.want[1])):
			t.Errorf("%v: got %v, want from and to %v", c.rows, got, c.want)
		}
	}
}

// TestManyStaleRuns: what a purge leaves of events that were never indexed is
// forgotten at once, and what came meanwhile is not.
func TestManyStaleRuns(t *testing.T) {
	s := openTest(t)
	s.close() // the indexer: this test is in its place
	s.workers.Wait()
	ctx := t.Context()
	var runs []staleRun
	for i := range int64(3 * fewRuns) {
		runs = append(runs, staleRun{First: 1000 + 10*i, Last: 1003 + 10*i, Gone: true})
	}
	put := func(runs ...staleRun) {
		t.Helper()
		err := s.write(ctx, "mark runs", func(tx *writeTx) error {
			for _, r := range runs {
				if err := tx.goneText(audit.KindAuditLog, r.First, r.Last); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	left := func() (n int) {
		t.Helper()
		if err := s.ro.GetContext(ctx, &n, "SELECT count(*) FROM search_stale"); err != nil {
			t.Fatal(err)
		}
		return n
	}
	forget := func(some []staleRun) (done bool) {
		t.Helper()
		err := s.write(ctx, "forget runs", func(tx *writeTx) (err error) {
			done, err = tx.forgetRuns(audit.KindAuditLog, some)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	put(runs...)
	put(staleRun{First: 1005, Last: 1005, Gone: true}) // after the runs were read
	if forget(runs) || left() != len(runs)+1 {
		t.Errorf("with another run between them, %d are left of %d", left(), len(runs)+1)
	}
	if whole := wholeRuns(runs, runs[9].Last); len(whole) != 10 || len(wholeRuns(runs, runs[10].Last-1)) != 10 || len(wholeRuns(runs, 1<<40)) != len(runs) {
		t.Errorf("up to the tenth run there are %d", len(whole))
	}
	if !forget(runs[1:]) || left() != 2 {
		t.Errorf("%d are left, want the first and the one behind it", left())
	}
	put(runs...)
	if err := s.scrubText(ctx); err != nil || left() != 0 {
		t.Errorf("%d are left of what is in no lot, %v", left(), err)
	}
	var b trigram.Builder
	b.Add([]byte("quagga"))
	if err := s.putLot(ctx, &newLot{kind: audit.KindAuditLog, seqs: []int64{5000}, parts: b.Build(1)}); err != nil {
		t.Fatal(err)
	}
	put(runs...)
	put(staleRun{First: 4990, Last: 5010, Gone: true})
	if done, err := s.scrubLot(ctx, audit.KindAuditLog); done || err != nil || left() != 1 {
		t.Errorf("%d are left after one look at what is before the first lot, want the rest of the last one: %t, %v", left(), done, err)
	}
	if err := s.scrubText(ctx); err != nil || left() != 0 {
		t.Errorf("%d are left, %v", left(), err)
	}
}
