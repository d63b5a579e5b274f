package db

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// line is an event as one line, with all that its row says.
func line(text []byte, row *Stored) []byte {
	text = audit.AppendJSON(text, row.Event, &audit.Recorded{ID: row.ID, Seq: row.Seq, RecordedAt: row.RecordedAt, Checked: true})
	return append(append(text, strings.Join(row.Damaged, ",")...), '\n')
}

// sameByEveryWay fails where the rows of a selection, read column by column, are
// not those that Each and Encode give. It returns how many they are.
func sameByEveryWay(t *testing.T, sel *Selection, ids []int64) int {
	t.Helper()
	var want, each, encoded []byte
	n := 0
	if err := sel.store.eachByID(t.Context(), sel.filter.Kind, ids, func(row *Stored) error { want = line(want, row); n++; return nil }); err != nil {
		t.Fatal(err)
	}
	var kept []*Stored // which are whoever's who asked for them
	if err := sel.Each(t.Context(), func(row *Stored) error { kept = append(kept, row); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, row := range kept {
		each = line(each, row)
	}
	given := 0
	err := sel.Encode(t.Context(), line, func(text []byte, events int) error {
		if events != bytes.Count(text, []byte("\n")) {
			t.Errorf("%d lines are said to be %d events", bytes.Count(text, []byte("\n")), events)
		}
		encoded, given = append(encoded, text...), given+events
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(each, want) {
		t.Errorf("%s: Each gives other rows than there are: %d bytes, want %d", sel.filter, len(each), len(want))
	}
	if !bytes.Equal(encoded, want) || given != n {
		t.Errorf("%s: Encode gives other rows than there are: %d events and %d bytes, want %d and %d", sel.filter, given, len(encoded), n, len(want))
	}
	return n
}

// TestEveryRowByEveryWay reads events of every kind, short ones and huge ones, in
// every way there is, while others are recorded between them and deleted: each way
// gives those of the selection that are still there, with every field.
func TestEveryRowByEveryWay(t *testing.T) {
	s := openTest(t)
	mixture(t, s, 3000, 11)
	decisions(t, s)
	at := func(i int) string { return audit.FormatTime(noon.Add(time.Duration(i-3600) * time.Second)) }
	var large []*audit.Event
	for i := range 40 {
		size := []int{100, 16_000, 17_000, 250_000}[i%4]
		large = append(large, event(t, "timestamp", at(90*i), "reason", strings.Repeat("ä", size/2), "changes", `{"a":{"old":null,"new":"`+strings.Repeat("b", size)+`"}}`,
			"metadata", `{"c":"`+strings.Repeat("\\u00e9", size/6)+`"}`, "user_agent", strings.Repeat("d", size), "object_repr", strings.Repeat("e", size)))
	}
	mustAppend(t, s, large...)
	type picked struct {
		sel *Selection
		ids []int64
	}
	var all []picked
	for _, kind := range audit.Kinds() {
		for _, q := range []string{"", "user:alice", "source:orders", "-source:orders", "nothing-has-this-in-it"} {
			sel := mustSelect(t, s, kind, q)
			all = append(all, picked{sel, walk(t, sel, 1000)})
			if n := sameByEveryWay(t, sel, all[len(all)-1].ids); n != len(all[len(all)-1].ids) || (n == 0) != (q == "nothing-has-this-in-it") {
				t.Errorf("%s %q: read %d events", kind, q, n)
			}
		}
	}
	// Then many come late into one stretch, and some go.
	var late []*audit.Event
	for i := range 1500 {
		late = append(late, event(t, "timestamp", audit.FormatTime(noon.Add(-30*time.Minute).Add(time.Duration(i)*time.Microsecond)), "username", "alice"))
	}
	mustAppend(t, s, late...)
	ids, gone := all[0].ids, all[1].ids
	for _, id := range []int64{gone[0], gone[1], gone[100], gone[len(gone)-1]} {
		if _, err := s.Delete(t.Context(), ines, audit.KindAuditLog, []int64{id}, "a test"); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range all {
		if n := sameByEveryWay(t, p.sel, p.ids); i == 0 && n != len(p.ids)-4 {
			t.Errorf("read %d of %d events, want all but 4", n, len(p.ids))
		}
	}
	everything := walk(t, mustSelect(t, s, audit.KindAuditLog, ""), 1000)
	if n := sameByEveryWay(t, mustSelect(t, s, audit.KindAuditLog, ""), everything); n != len(ids)+1500 || // with four traces for four events
		!slices.IsSortedFunc(everything, func(a, b int64) int { return cmp.Compare(b, a) }) {
		t.Errorf("read %d events in the end, want %d", n, len(ids)+1500)
	}
}

// TestEachPanicsWhereItWasCalled: what goes wrong in a goroutine of Each or Encode
// reaches its caller, who recovers, instead of ending the process.
func TestEachPanicsWhereItWasCalled(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "event_id", "one"))
	sel := mustSelect(t, s, audit.KindAuditLog, "")
	defer func() {
		if p := recover(); p != "rotten" {
			t.Errorf("got the panic %v, want the one of the reading", p)
		}
	}()
	err := sel.Encode(t.Context(), func([]byte, *Stored) []byte { panic("rotten") }, func([]byte, int) error { return nil })
	t.Errorf("got %v, want a panic", err)
}
