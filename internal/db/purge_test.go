package db

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

var ines = Actor{Name: "ines", AccountID: 1}

// yearOfEvents appends n audit logs spread over 2025 by alice and bob in turn,
// each with an event_id.
func yearOfEvents(t *testing.T, s *Store, n int) []*audit.Event {
	t.Helper()
	var all []*audit.Event
	for i := range n {
		at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * (365 * 24 * time.Hour / time.Duration(n)))
		all = append(all, event(t, "timestamp", audit.FormatTime(at), "event_id", fmt.Sprint("e", i), "username", []string{"alice", "bob"}[i%2], "object_repr", fmt.Sprintf("Order %d of the year", i)))
	}
	mustAppend(t, s, all...)
	return all
}

func july() time.Time { return time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC) }

func TestPurge(t *testing.T) {
	s := openTest(t)
	events := yearOfEvents(t, s, 3650)
	if err := s.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := 0
	for _, e := range events {
		if e.Time().Before(july()) {
			old++
		}
	}
	var archived []string
	job := PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "kept for half a year", ArchiveName: "old.ndjson.gz",
		Archive: func(part PurgePart) error {
			for _, st := range part.Events {
				archived = append(archived, st.EventID)
			}
			return nil
		}}
	dry := job
	dry.DryRun = true
	if got, err := s.Purge(t.Context(), ines, dry); err != nil || got.Events != int64(old) || len(archived) != 0 {
		t.Fatalf("got %+v, %v of a dry run, %d archived; want %d events", got, err, len(archived), old)
	}
	if got := countAll(t, s, audit.KindAuditLog, ""); got != 3650 {
		t.Fatalf("got %d events after a dry run, want all", got)
	}
	got, err := s.Purge(t.Context(), ines, job)
	if err != nil || got.Events != int64(old) || len(archived) != old || got.First != events[0].Time() || got.Last != events[old-1].Time() {
		t.Fatalf("got %+v, %v, %d archived; want %d events from %v to %v", got, err, len(archived), old, events[0].Time(), events[old-1].Time())
	}
	if got := countAll(t, s, audit.KindAuditLog, "-action:PURGE"); got != int64(3650-old) {
		t.Errorf("got %d events after the purge, want %d", got, 3650-old)
	}
	if got := countAll(t, s, audit.KindAuditLog, `action:PURGE reason:"half a year" user:ines`); got != 1 {
		t.Errorf("got %d audit logs of the purge, want 1", got)
	}
	checkLots(t, s, "Order 12 of", "order 3600", "of the year")
	verdict, err := s.Verify(t.Context(), VerifyOptions{})
	if err != nil || len(verdict.Problems) != 0 {
		t.Errorf("after a purge the evidence has the problems %+v, %v", verdict, err)
	}
	// Twins of purged events stay duplicates, others of their time are stored.
	if got := mustAppend(t, s, events...); got.Accepted != 0 || got.Duplicates != 3650 {
		t.Errorf("got %+v of all events again, want them to be duplicates", got)
	}
	late := event(t, "timestamp", events[3].Get("timestamp"), "event_id", "another")
	if got := mustAppend(t, s, late); got.Accepted != 1 {
		t.Errorf("got %+v of a late event among the purged ones, want it accepted", got)
	}
	if got := countAll(t, s, audit.KindAuditLog, "on:2025-01"); got != 1 {
		t.Errorf("got %d events in January, want the late one", got)
	}
	if s.dialect.embedded() { // elsewhere it is the rights of roles that keep it
		if _, err := s.rw.Exec("DELETE FROM audit_log WHERE event_id = 'another'"); err == nil {
			t.Error("an event that came after a purge of its time can be deleted by hand")
		}
	}
	if again, err := s.Purge(t.Context(), ines, job); err != nil || again.Events != 1 {
		t.Errorf("got %+v, %v of a second purge, want the late event", again, err)
	}
	if verdict, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || len(verdict.Problems) != 0 {
		t.Errorf("after two purges of one time the evidence has the problems %+v, %v", verdict, err)
	}
	// A reader that starts now sees the same.
	path := s.Path()
	s.Close()
	s = openAt(t, path)
	if got := countAll(t, s, audit.KindAuditLog, "-action:PURGE"); got != int64(3650-old) {
		t.Errorf("got %d events after a restart, want %d", got, 3650-old)
	}
}

// TestPurgeLeavesNothing looks for a purged text in every file of the database.
func TestPurgeLeavesNothing(t *testing.T) {
	s := openTest(t)
	const canary = "kanarienvogel-4711"
	mustAppend(t, s, event(t, "timestamp", "2025-01-02T00:00:00Z", "username", canary, "object_repr", canary, "changes", `{"bird":{"old":null,"new":"`+canary+`"}}`))
	mustAppend(t, s, event(t, "timestamp", "2025-09-02T00:00:00Z"))
	countAll(t, s, audit.KindAuditLog, "user:"+canary)
	if err := s.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "old"}); err != nil || got.Events != 1 {
		t.Fatalf("got %+v, %v, want one event", got, err)
	}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(s.Path() + suffix)
		if err == nil && strings.Contains(string(b), canary) {
			t.Errorf("audit.db%s still has the purged text", suffix)
		}
	}
	var postings int
	if err := s.ro.Get(&postings, "SELECT count(*) FROM search_lot WHERE first = 1"); err != nil {
		t.Fatal(err)
	}
	if found, _, err := s.candidates(t.Context(), audit.KindAuditLog, trigramKeys(canary), true, 0, math.MaxInt64, 10); err != nil || len(found) != 0 {
		t.Errorf("the text index still finds %v, %v", found, err)
	}
}

func TestHolds(t *testing.T) {
	s := openTest(t)
	yearOfEvents(t, s, 200)
	hold, err := s.Hold(t.Context(), ines, audit.KindAuditLog, "user:alice on:2025-03", "case 12")
	if err != nil {
		t.Fatal(err)
	}
	covered := countAll(t, s, audit.KindAuditLog, "user:alice on:2025-03")
	st := mustList(t, mustSelect(t, s, audit.KindAuditLog, "user:alice on:2025-03"), Page{Limit: 1}).Items[0]
	free := mustList(t, mustSelect(t, s, audit.KindAuditLog, "user:bob on:2025-03"), Page{Limit: 1}).Items[0]
	var held *HeldError
	if _, err := s.Delete(t.Context(), ines, audit.KindAuditLog, []int64{free.ID, st.ID}, "x"); !errors.As(err, &held) || held.Hold.ID != hold || held.ID != st.ID || !strings.Contains(err.Error(), "case 12") {
		t.Errorf("got %v, want the hold with its reason, and the event", err)
	}
	if _, err := s.Get(t.Context(), audit.KindAuditLog, free.ID); err != nil {
		t.Errorf("an event beside a held one is gone: %v", err)
	}
	got, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "old"})
	if err != nil || got.Held != covered {
		t.Errorf("got %+v, %v, want %d held", got, err, covered)
	}
	if left := countAll(t, s, audit.KindAuditLog, "before:2025-07-01"); left != covered {
		t.Errorf("got %d events before July, want the %d that are held", left, covered)
	}
	if verdict, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || len(verdict.Problems) != 0 {
		t.Errorf("after a purge around a hold the evidence has the problems %+v, %v", verdict, err)
	}
	if err := s.Release(t.Context(), ines, hold, "case closed"); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context(), ines, hold, "again"); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v of a second release, want ErrConflict", err)
	}
	if err := s.Release(t.Context(), ines, 99, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v of a hold that is not there, want ErrNotFound", err)
	}
	all, err := s.Holds(t.Context())
	if err != nil || len(all) != 1 || all[0].ReleasedBy != "ines" || all[0].ReleaseReason != "case closed" || all[0].HeldBy != "ines" {
		t.Errorf("got %+v, %v, want the one hold, released", all, err)
	}
	if n, err := s.Delete(t.Context(), ines, audit.KindAuditLog, []int64{st.ID}, "x"); err != nil || n != 1 {
		t.Errorf("got %d, %v of a deletion after the release, want it done", n, err)
	}
	if _, err := s.Hold(t.Context(), ines, audit.KindAuditLog, "user:x last:7d", "x"); err == nil {
		t.Error("a hold on the last seven days was placed")
	}
	for _, q := range []string{"is:unresolved", "event:ERROR -resolved-by:mallory", `resolved-by:""`} {
		if _, err := s.Hold(t.Context(), ines, audit.KindSystemEvent, q, "x"); err == nil {
			t.Errorf("a hold on %s was placed, which whoever resolves the events would end", q)
		}
	}
	if _, err := s.Hold(t.Context(), ines, "", "type:shop.order", "x"); err == nil {
		t.Error("a hold on all kinds was placed with a key that only one has")
	}
	if got := countAll(t, s, audit.KindAuditLog, "action:HOLD,RELEASE user:ines"); got != 2 {
		t.Errorf("got %d audit logs of holds, want 2", got)
	}
	var entries []string
	if err := s.ro.Select(&entries, "SELECT entry FROM ledger WHERE kind = 'hold' ORDER BY seq"); err != nil || !slices.Equal(entries, []string{"held", "released"}) {
		t.Errorf("got %v, %v in the ledger, want held and released", entries, err)
	}
}

// TestHoldsThatCannotBeRead: where nobody can say under the lock what is held, the error
// says why, and not that something changed.
func TestHoldsThatCannotBeRead(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t))
	id := mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 1}).Items[0].ID
	if n, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, nil, "nothing"); n != 0 || err != nil {
		t.Errorf("got %d, %v of nothing to delete", n, err)
	}
	if _, err := s.rw.Exec("CREATE TEMP VIEW hold AS SELECT 1 AS id"); err != nil { // for the connection that writes alone
		t.Fatal(err)
	}
	_, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{id}, "a look at it fails")
	if err == nil || errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "released_at") {
		t.Errorf("got %v, want what is wrong with the holds", err)
	}
	if s.dialect.embedded() { // whose writers share the connection with the view
		_, err = s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: noon.Add(time.Hour), Reason: "it fails, and is not tried again and again"})
		if err == nil || !strings.Contains(err.Error(), "released_at") {
			t.Errorf("got %v of a purge, want what is wrong with the holds", err)
		}
	}
	if n := countAll(t, s, audit.KindAuditLog, ""); n != 1 {
		t.Errorf("%d events are there, want the one", n)
	}
}

// TestPurgeKeepsFreshTraces keeps the audit logs of deletions for thirty days.
func TestPurgeKeepsFreshTraces(t *testing.T) {
	s := openTest(t)
	events := yearOfEvents(t, s, 10)
	id := mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 1}).Items[0].ID
	if _, err := s.Delete(t.Context(), ines, audit.KindAuditLog, []int64{id}, "asked for"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: noon.Add(time.Hour), Reason: "everything"})
	if err != nil || got.Events != 9 || got.Traces != 1 {
		t.Errorf("got %+v, %v, want 9 events gone and the trace kept", got, err)
	}
	if got := mustAppend(t, s, events...); got.Duplicates != 10 {
		t.Errorf("got %+v of all events again, the deleted one too; want them to be duplicates", got)
	}
}

// TestPurgeStops is told to stop after the first slice, and goes on later.
func TestPurgeStops(t *testing.T) {
	s := openTest(t)
	yearOfEvents(t, s, 3000)
	broken := errors.New("the archive is full")
	slices := 0
	job := PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "old", Archive: func(PurgePart) error {
		if slices++; slices > 1 {
			return broken
		}
		return nil
	}}
	first, err := s.Purge(t.Context(), ines, job)
	if !errors.Is(err, broken) || first.Events == 0 || first.Events == 3000 {
		t.Fatalf("got %+v, %v, want some events gone and why it stopped", first, err)
	}
	if left := countAll(t, s, audit.KindAuditLog, "-action:PURGE"); left != 3000-first.Events {
		t.Errorf("got %d events, want %d", left, 3000-first.Events)
	}
	job.Archive = nil
	if _, err := s.Purge(t.Context(), ines, job); err != nil {
		t.Error(err)
	}
	if left := countAll(t, s, audit.KindAuditLog, "before:2025-07-01"); left != 0 {
		t.Errorf("got %d events before July, want none", left)
	}
}

// TestPurgedIDsAreNobodys lets other events come in at the very times of purged
// ones.
func TestPurgedIDsAreNobodys(t *testing.T) {
	s := openTest(t)
	at := func(name string) (all []*audit.Event) {
		for i := range 6 {
			all = append(all, event(t, "timestamp", fmt.Sprintf("2024-03-01T12:00:0%dZ", i/2), "event_id", fmt.Sprint(name, i), "username", name))
		}
		return all
	}
	mustAppend(t, s, at("alice")...)
	old := everything(t, s, audit.KindAuditLog)
	if got, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "old"}); err != nil || got.Events != 6 {
		t.Fatalf("got %+v, %v, want 6 events purged", got, err)
	}
	mustAppend(t, s, at("bob")...)
	ids := map[int64]bool{}
	for _, st := range old {
		ids[st.ID] = true
		var deleted *DeletedError
		if _, err := s.Get(t.Context(), audit.KindAuditLog, st.ID); !errors.As(err, &deleted) || deleted.DeletedBy != ines.Name || deleted.Reason != "old" {
			t.Errorf("the purged event %d: got %v, want who purged it and why", st.ID, err)
		}
	}
	for _, st := range everything(t, s, audit.KindAuditLog) {
		if ids[st.ID] {
			t.Errorf("%s has the id of a purged event", st.Get("username"))
		}
	}
	if n := countAll(t, s, audit.KindAuditLog, "on:2024-03"); n != 6 {
		t.Errorf("got %d events, want the 6 of bob", n)
	}
	if v, err := s.Verify(t.Context(), VerifyOptions{}); err != nil || !v.Holds() {
		t.Errorf("got %+v, %v, want evidence that holds", v, err)
	}
	agreesWithRows(t, s, "after the purge")
}

// TestPurgeNamesWhatHasNone by its content, the same whether the engine joined the rows
// or each was read by itself.
func TestPurgeNamesWhatHasNone(t *testing.T) {
	s := openTest(t)
	events := []*audit.Event{event(t, "event_id", "named")}
	for i := range 2 * joinedRows {
		e := event(t, "object_id", strconv.Itoa(i), "object_repr", "a lamp that is said to be \"№ "+strconv.Itoa(i%7)+"\"", "timestamp", "2026-03-01T12:00:00.000001Z")
		if i == joinedRows/2 {
			e.Set("reason", strings.Repeat("long ", sqliteLong/4))
		}
		events = append(events, e)
	}
	mustAppend(t, s, events...)
	sl, err := s.nextPurge(t.Context(), PurgeJob{Kind: audit.KindAuditLog, Before: noon.Add(time.Hour)}, -1, math.MaxInt64, len(events))
	if err != nil || len(sl.gone) != len(events) {
		t.Fatalf("got a slice of %d, %v, want all", len(sl.gone), err)
	}
	var nameless []*purgeRow
	for _, row := range sl.gone {
		if !row.named {
			t.Fatalf("event %d has no name", row.id)
		}
		if row.name != purgedName(row.timestamp, "named") {
			nameless = append(nameless, &purgeRow{id: row.id, timestamp: row.timestamp})
		}
	}
	if len(nameless) != len(events)-1 {
		t.Fatalf("%d have no event_id, want all but one", len(nameless))
	}
	tx, end, err := begin(t.Context(), s.worker())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if all, err := s.nameJoined(t.Context(), tx, audit.KindAuditLog, nameless[:joinedRows]); all || err != nil {
		t.Errorf("got %t, %v of rows with a long one, want them left to be read one by one", all, err)
	}
	if all, err := s.nameJoined(t.Context(), tx, audit.KindAuditLog, nameless[joinedRows:]); !all || err != nil {
		t.Errorf("got %t, %v, want all of them named", all, err)
	}
	joined := map[int64][nameSize]byte{}
	for _, row := range nameless[joinedRows:] {
		joined[row.id] = row.name
	}
	if err := nameEach(t.Context(), tx, audit.KindAuditLog, nameless); err != nil {
		t.Fatal(err)
	}
	by := map[int64]*purgeRow{}
	for _, row := range nameless {
		by[row.id] = row
	}
	for _, row := range sl.gone {
		if at := by[row.id]; at != nil && at.name != row.name {
			t.Fatalf("event %d has the name %x, read by itself %x", row.id, row.name, at.name)
		}
	}
	for id, name := range joined {
		if by[id].name != name {
			t.Fatalf("event %d is named %x joined and %x by itself", id, name, by[id].name)
		}
	}
}

// TestHeldWithoutTheTextIndex empties the text index, as a failing disk or another
// program can: what a hold covers is still held, and the evidence is as before.
func TestHeldWithoutTheTextIndex(t *testing.T) {
	s := openTest(t)
	var events []*audit.Event
	for i := range 40 {
		e := event(t, "username", "alice", "reason", "because of "+strconv.Itoa(i%4)+" refunds", "timestamp", audit.FormatTime(july().Add(-time.Duration(i+1)*time.Hour)))
		events = append(events, e)
	}
	mustAppend(t, s, events...)
	if err := s.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`"of 2 refunds"`, `-"because of" "of 2 refunds"`, `user:alice reason:"of 3 refunds"`} {
		if _, err := s.Hold(t.Context(), ines, audit.KindAuditLog, q, "case 12"); err != nil {
			t.Fatal(err)
		}
	}
	held := mustList(t, mustSelect(t, s, audit.KindAuditLog, `user:alice "of 2 refunds"`), Page{Limit: 20}).Items
	if _, err := s.rw.Exec("DELETE FROM search_part"); err != nil {
		t.Fatal(err)
	}
	s.texts.forget()
	if n := int(countAll(t, s, audit.KindAuditLog, `user:alice "of 2 refunds"`)); n == len(held) || len(held) != 10 {
		t.Fatalf("the emptied index still finds %d of %d", n, len(held))
	}
	for _, st := range held {
		var by *HeldError
		if _, err := s.Delete(t.Context(), ines, audit.KindAuditLog, []int64{st.ID}, "x"); !errors.As(err, &by) {
			t.Errorf("a deletion: got %v, want the hold", err)
		}
	}
	got, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: july(), Reason: "old"})
	if err != nil || got.Held != 20 || got.Events != 20 {
		t.Errorf("a purge: got %+v, %v, want 20 of 40 held", got, err)
	}
}
