package db

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
)

// openFile opens a file, whatever engine the other tests have.
func openFile(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{Schema: auditadmin.Schema, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// someOfAll are events of every kind, with what reads differently in a table.
func someOfAll(t testing.TB, r *rand.Rand, n int) (all []*audit.Event) {
	t.Helper()
	at := func() string {
		return audit.FormatTime(noon.Add(-time.Duration(r.Int64N(int64(1000 * time.Hour)))))
	}
	for i := range n {
		switch r.IntN(4) {
		case 0:
			all = append(all, event(t, "timestamp", at(), "event_id", fmt.Sprint("e", i), "object_repr", "Order Ünal "+fmt.Sprint(i), "ip_address", "::ffff:10.0.0.1",
				"changes", `{"a":{"old":null,"new":"Straße \u0041"},"b":{"old":1.50},"c":[true,{"d":"x"}]}`, "metadata", `{"k":"v"}`, "reason", "why"))
		case 1:
			all = append(all, eventOf(t, audit.KindLoginAttempt, "timestamp", at(), "username", "", "status", "FAILED", "failure_reason", "No such user"))
		case 2:
			all = append(all, eventOf(t, audit.KindDataExport, "timestamp", at(), "export_type", "ORDERS", "record_count", "0012", "filters_applied", `["A",1]`))
		case 3:
			all = append(all, eventOf(t, audit.KindSystemEvent, "timestamp", at(), "event_type", "ERROR", "title", "Deadlock", "line_number", "17", "stack_trace", "at A\nat B"))
		}
		all[i].Source = "test" + fmt.Sprint(i%3)
	}
	return all
}

// What is held reads like the rows, for the text index and for the columns.
func TestRecentReadsLikeTheRows(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "audit.db"))
	s.close() // the indexer and the sealer
	s.workers.Wait()
	r := rand.New(rand.NewPCG(3, 4))
	events := someOfAll(t, r, 3000)
	for part := range slices.Chunk(events, 700) {
		if err := s.write(t.Context(), "append", func(tx *writeTx) error { _, err := tx.append(part); return err }); err != nil {
			t.Fatal(err)
		}
	}
	held := s.recent
	for _, e := range events {
		for i := range e.Values() {
			e.Values()[i] = "changed by the one who gave it"
		}
	}
	const from, to = 500, 2900
	tx, end, err := begin(t.Context(), s.ro)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	for _, kind := range audit.Kinds() {
		fresh, ok := held.since(kind, from, to, 3000)
		if !ok {
			t.Fatalf("%s: what was recorded is not held", kind)
		}
		want, err := s.textRows(t.Context(), tx, kind, "l.seq > ? AND l.seq <= ? ORDER BY l.seq", from, to)
		if err != nil {
			t.Fatal(err)
		}
		got := freshTexts(kind, fresh)
		if len(got) < 300 {
			t.Fatalf("%s: %d rows", kind, len(got))
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(textRow{})); diff != "" {
			t.Errorf("the text of %s (-rows +held):\n%s", kind, diff)
		}
		for _, spread := range []int64{0, 5} {
			k := newColumns().kinds[kind]
			read, taken := &view{spread: spread}, &view{spread: spread}
			if _, err := k.read(t.Context(), tx, read, from, to, idRange{0, math.MaxInt64}); err != nil {
				t.Fatal(err)
			}
			k.readRecent(taken, fresh, to)
			if len(read.segments) == 0 || !reflect.DeepEqual(read.segments, taken.segments) {
				t.Errorf("the columns of %s with a spread of %d differ: %d pieces of rows, %d of what is held", kind, spread, len(read.segments), len(taken.segments))
			}
		}
	}
}

func TestRecentIsARun(t *testing.T) {
	row := func(seq int64, text string) newRow {
		return newRow{id: seq << 10, seq: seq, event: event(t, "reason", text)}
	}
	one := func(rows ...newRow) map[audit.Kind][]newRow {
		return map[audit.Kind][]newRow{audit.KindAuditLog: rows}
	}
	seqs := func(rows []recentRow) (all []int64) {
		for _, r := range rows {
			all = append(all, r.seq)
		}
		return all
	}
	check := func(r *recent, after, upTo, head int64, want string) {
		t.Helper()
		rows, ok := r.since(audit.KindAuditLog, after, upTo, head)
		if got := fmt.Sprint(seqs(rows), ok); got != want {
			t.Errorf("since %d up to %d of %d: got %s, want %s", after, upTo, head, got, want)
		}
	}
	r := newRecent()
	check(r, 0, 0, 0, "[] true")
	check(r, 0, 1, 1, "[] false")
	r.extend(0, 2, one(row(2, "b"), row(1, "a"))) // as they are inserted: by id
	r.extend(2, 3, one(row(3, "c")))
	check(r, 0, 3, 3, "[1 2 3] true")
	check(r, 1, 2, 3, "[2] true")
	check(r, 1, 2, 2, "[2] true")
	check(r, 0, 3, 4, "[] false") // somebody else recorded something
	if rows, ok := r.since(audit.KindLoginAttempt, 0, 3, 3); !ok || len(rows) != 0 {
		t.Errorf("got %v, %t, want no attempts", rows, ok)
	}
	r.indexedUpTo(audit.KindAuditLog, 3)
	check(r, 0, 3, 3, "[1 2 3] true") // the columns need them
	r.columnedUpTo(2)
	check(r, 2, 3, 3, "[3] true")
	if r.size < recentRowSize || r.size > 2*recentRowSize {
		t.Errorf("%d bytes for one row", r.size)
	}
	r.extend(3, 5, one(row(4, "d"))) // and an entry that is no event
	check(r, 3, 5, 5, "[] false")
	check(r, 5, 5, 5, "[] true")
	r.extend(5, 6, one(row(6, "f")))
	check(r, 5, 6, 6, "[6] true")
	r.extend(8, 9, one(row(9, "i"))) // after two of another program
	check(r, 5, 9, 9, "[] false")
	check(r, 8, 9, 9, "[9] true")
	check(r, 6, 9, 9, "[] false")

	big := strings.Repeat("x", 1<<20)
	for seq := int64(10); seq < 200; seq++ {
		r.extend(seq-1, seq, one(row(seq, big)))
		if r.size > recentMost {
			t.Fatalf("%d bytes are held, and %d are most", r.size, recentMost)
		}
	}
	rows, ok := r.since(audit.KindAuditLog, 190, 199, 199)
	if !ok || len(rows) != 9 {
		t.Errorf("got %v, %t, want the last nine", seqs(rows), ok)
	}
	check(r, 100, 199, 199, "[] false")
	r.extend(199, 200, one(row(200, strings.Repeat(big, 40)))) // too large for half of the room
	check(r, 199, 200, 200, "[] false")
	check(r, 200, 200, 200, "[] true")
}

// Events that come newest first, as in an export, keep the order in which they came.
func TestAppendNewestFirst(t *testing.T) {
	s := openTest(t)
	var events []*audit.Event
	for i := range 1500 {
		events = append(events, event(t, "timestamp", audit.FormatTime(noon.Add(-time.Duration(i/2)*time.Second)), "object_id", fmt.Sprint(i), "event_id", fmt.Sprint("e", i)))
	}
	mustAppend(t, s, events[:100]...)
	mustAppend(t, s, events...) // a hundred of them are there
	all := everything(t, s, audit.KindAuditLog)
	if len(all) != len(events) {
		t.Fatalf("%d events, want %d", len(all), len(events))
	}
	slices.SortFunc(all, func(a, b *Stored) int { return int(a.Seq - b.Seq) })
	for i, st := range all {
		if st.Seq != int64(i+1) || st.Get("object_id") != fmt.Sprint(i) || st.ID>>idBits != st.Time().UnixMicro() || st.ID&(1<<idBits-1) != int64(i%2) {
			t.Fatalf("entry %d: got seq %d, id %d, %s at %s", i+1, st.Seq, st.ID, st.Get("object_id"), st.Get("timestamp"))
		}
	}
}
