package db

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
	"github.com/auditadmin/auditadmin/internal/query"
)

// noon is the time that tests take place at.
var noon = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func openTest(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "audit.db"))
}

func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), address(t, path), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: func() time.Time { return noon }, Trace: trace()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// event makes an audit log; pairs are fields and values that replace the usual ones.
func event(t testing.TB, pairs ...string) *audit.Event {
	t.Helper()
	return eventOf(t, audit.KindAuditLog, append([]string{"timestamp", "2026-03-01T12:00:00Z", "action", "UPDATE", "username", "alice"}, pairs...)...)
}

func eventOf(t testing.TB, kind audit.Kind, pairs ...string) *audit.Event {
	t.Helper()
	e := audit.NewEvent(kind)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "event_id" {
			e.EventID = pairs[i+1]
		} else {
			e.Set(pairs[i], pairs[i+1])
		}
	}
	if err := e.Normalize(noon); err != nil {
		t.Fatal(err)
	}
	return e
}

func mustAppend(t testing.TB, s *Store, events ...*audit.Event) Appended {
	t.Helper()
	got, err := s.Append(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func mustSelect(t testing.TB, s *Store, kind audit.Kind, q string) *Selection {
	t.Helper()
	f, err := query.Parse(kind, q, query.Options{Now: noon})
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	sel, err := s.Select(t.Context(), f)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return sel
}

func mustList(t testing.TB, sel *Selection, p Page) *List {
	t.Helper()
	list, err := sel.List(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// texts returns one field of each item.
func texts(list *List, field string) []string {
	all := []string{}
	for _, it := range list.Items {
		all = append(all, it.Get(field))
	}
	return all
}

func TestAppendGivesIDsInOrderOfTimeAndRecording(t *testing.T) {
	s := openTest(t)
	var events []*audit.Event
	for i := range 2500 { // more than one microsecond has room for
		events = append(events, event(t, "object_id", strconv.Itoa(i)))
	}
	events = append(events, event(t, "timestamp", "2026-03-01T12:00:00.000001Z", "object_id", "after"))
	events = append(events, event(t, "timestamp", "2026-03-01T11:59:59Z", "object_id", "before"))
	mustAppend(t, s, events...)

	list := mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 1000})
	// The id is the order: what ran over stands among the microseconds after it.
	if got, want := list.Items[0].ID, noonID(t, "2026-03-01T12:00:00.000002Z"); got < want {
		t.Errorf("newest id %d, want at least %d: 2,500 events take three microseconds", got, want)
	}
	for i, q := range []struct {
		q    string
		want int64
	}{
		{"after:2026-03-01T12:00:00Z before:2026-03-01T12:00:00.000001Z", 2500},
		{"after:2026-03-01T12:00:00.000001Z", 1},
		{"before:2026-03-01T12:00:00.000001Z", 2501},
		{"before:2026-03-01T12:00:00Z", 1},
	} {
		c, err := mustSelect(t, s, audit.KindAuditLog, q.q).Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Value != q.want || !c.Exact {
			t.Errorf("%d. %s: got %+v, want %d exactly", i, q.q, c, q.want)
		}
	}
}

func noonID(t testing.TB, timestamp string) int64 {
	at, err := audit.ParseTime(timestamp)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro() << idBits
}

func TestTwins(t *testing.T) {
	s := openTest(t)
	a := func(pairs ...string) *audit.Event { return event(t, append([]string{"event_id", "a1"}, pairs...)...) }
	for i, step := range []struct {
		give []*audit.Event
		want Appended
	}{
		{[]*audit.Event{a()}, Appended{Accepted: 1}},
		{[]*audit.Event{a()}, Appended{Duplicates: 1}},
		{[]*audit.Event{a("reason", "other")}, Appended{Duplicates: 1, Conflicts: 1}},
		{[]*audit.Event{a("timestamp", "2026-03-01T12:00:01Z")}, Appended{Accepted: 1}},
		{[]*audit.Event{event(t, "event_id", "b"), event(t, "event_id", "b"), event(t, "event_id", "b", "reason", "x")}, Appended{Accepted: 1, Duplicates: 2, Conflicts: 1}},
		{[]*audit.Event{event(t), event(t)}, Appended{Accepted: 2}}, // without a name, two are two
		{[]*audit.Event{eventOf(t, audit.KindLoginAttempt, "timestamp", "2026-03-01T12:00:00Z", "username", "x", "status", "FAILED", "event_id", "a1")}, Appended{Accepted: 1}},
	} {
		if got := mustAppend(t, s, step.give...); got != step.want {
			t.Errorf("step %d: got %+v, want %+v", i, got, step.want)
		}
	}
}

func TestDeletedTwinStaysDuplicate(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "event_id", "a1", "reason", "secret canary"))
	st := mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 1}).Items[0]
	if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{st.ID}, "asked to"); err != nil {
		t.Fatal(err)
	}
	if got, want := mustAppend(t, s, event(t, "event_id", "a1")), (Appended{Duplicates: 1}); got != want {
		t.Errorf("twin of a deleted event: got %+v, want %+v", got, want)
	}
	mustAppend(t, s, event(t, "reason", "another at the same time"))
	for _, it := range mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 10}).Items {
		if it.ID == st.ID {
			t.Errorf("id %d of a deleted event was given again", st.ID)
		}
	}
}

// ASVS:V2.3.3 ASVS:V16.4.2
func TestDeleteLeavesTraces(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "reason", "canary-4711"), event(t, "reason", "stays"))
	if err := s.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	victim := mustList(t, mustSelect(t, s, audit.KindAuditLog, "canary-4711"), Page{Limit: 10}).Items[0]
	n, err := s.Delete(t.Context(), Actor{Name: "root", AccountID: 1, Address: "192.0.2.1"}, audit.KindAuditLog, []int64{victim.ID}, "holds a card number")
	if err != nil || n != 1 {
		t.Fatalf("deleted %d, %v; want 1", n, err)
	}

	var gone *DeletedError
	if _, err := s.Get(t.Context(), audit.KindAuditLog, victim.ID); !errors.As(err, &gone) || gone.DeletedBy != "root" || gone.Reason != "holds a card number" {
		t.Errorf("get after deletion: %v, want who deleted it and why", err)
	}
	if c, err := mustSelect(t, s, audit.KindAuditLog, "canary-4711").Count(t.Context()); err != nil || c.Value != 0 {
		t.Errorf("search after deletion: %+v, %v; want none", c, err)
	}
	list := mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 10})
	if len(list.Tombstones) != 1 || list.Tombstones[0].ID != victim.ID {
		t.Errorf("tombstones on the page: %+v, want the one of %d", list.Tombstones, victim.ID)
	}
	trace := mustList(t, mustSelect(t, s, audit.KindAuditLog, "module:auditadmin action:DELETE"), Page{Limit: 10})
	if len(trace.Items) != 1 {
		t.Fatalf("%d traces of the deletion, want 1", len(trace.Items))
	}
	if got, want := trace.Items[0].Get("object_id")+trace.Items[0].Get("reason")+trace.Items[0].Get("ip_address"), strconv.FormatInt(victim.ID, 10)+"holds a card number192.0.2.1"; got != want {
		t.Errorf("trace says %q, want %q", got, want)
	}
	if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{trace.Items[0].ID}, "cover up"); !errors.Is(err, ErrProtected) {
		t.Errorf("deleting the trace: %v, want ErrProtected", err)
	}
	forged := event(t, "action", "DELETE", "content_type", "auditadmin.audit_log", "object_id", "1", "module", "auditadmin", "object_repr", "forged")
	forged.Source = Self
	mustAppend(t, s, forged)
	fake := mustList(t, mustSelect(t, s, audit.KindAuditLog, "repr:forged"), Page{Limit: 1}).Items[0]
	if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{fake.ID}, "looks like a trace"); err != nil {
		t.Errorf("deleting an imported event that looks like a trace: %v", err)
	}
	if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{victim.ID}, "again"); !errors.Is(err, ErrDeleted) {
		t.Errorf("deleting twice: %v, want ErrDeleted", err)
	}
	if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{12345}, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleting what never was: %v, want ErrNotFound", err)
	}
	for _, name := range []string{s.path, s.path + "-wal"} { // while it is open
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), "canary-4711") {
			t.Errorf("the deleted text is still in %s", filepath.Base(name))
		}
	}
}

// ASVS:V16.4.2
func TestGuards(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t), eventOf(t, audit.KindSystemEvent, "timestamp", "2026-03-01T12:00:00Z", "event_type", "ERROR", "title", "x"))
	for _, statement := range []string{
		"UPDATE audit_log SET username = 'mallory'",
		"DELETE FROM audit_log",
		"UPDATE system_event SET title = 'nothing'",
		"DELETE FROM ledger",
		"UPDATE ledger SET actor = 'mallory'",
	} {
		if _, err := s.rw.Exec(statement); err == nil {
			t.Errorf("%s: went through", statement)
		}
	}
	if _, err := s.ro.Exec("INSERT INTO meta (key, value) VALUES ('x', 'y')"); err == nil {
		t.Error("the readers' pool can write")
	}
}

func TestResolveAndReopen(t *testing.T) {
	s := openTest(t)
	boom := func(title string) *audit.Event {
		return eventOf(t, audit.KindSystemEvent, "timestamp", "2026-03-01T12:00:00Z", "event_type", "ERROR", "title", title)
	}
	mustAppend(t, s, boom("one"), boom("two"), boom("three"))
	count := func(q string) int64 {
		c, err := mustSelect(t, s, audit.KindSystemEvent, q).Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.Value
	}
	if got := count("is:unresolved"); got != 3 {
		t.Fatalf("%d unresolved, want 3", got)
	}
	one := mustList(t, mustSelect(t, s, audit.KindSystemEvent, "title:one"), Page{Limit: 1}).Items[0]
	actor := Actor{Name: "ines", AccountID: 3}
	if n, err := s.Resolve(t.Context(), actor, []int64{one.ID}, "replaced the disk"); n != 1 || err != nil {
		t.Fatalf("resolve: %d, %v", n, err)
	}
	if _, err := s.Resolve(t.Context(), actor, []int64{one.ID}, "again"); !errors.Is(err, ErrConflict) {
		t.Errorf("resolve twice: %v, want ErrConflict", err)
	}
	if r, u, by := count("is:resolved"), count("is:unresolved"), count("resolved-by:ines"); r != 1 || u != 2 || by != 1 {
		t.Errorf("after resolving: %d resolved, %d unresolved, %d by ines; want 1, 2, 1", r, u, by)
	}
	got, err := s.Get(t.Context(), audit.KindSystemEvent, one.ID)
	if err != nil || got.Get("resolved") != "true" || got.Get("resolution_note") != "replaced the disk" || got.Get("resolved_by") != "ines" {
		t.Errorf("resolved event: %v %v", got, err)
	}
	if err := s.Reopen(t.Context(), actor, one.ID, "it came back"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(t.Context(), actor, one.ID, "x"); !errors.Is(err, ErrConflict) {
		t.Errorf("reopen twice: %v, want ErrConflict", err)
	}
	story, err := s.Decisions(t.Context(), audit.KindSystemEvent, one.ID)
	if err != nil || len(story) != 2 || story[0].Note != "replaced the disk" || story[1].Entry != "reopened" {
		t.Errorf("history: %+v, %v", story, err)
	}
	if got := countAll(t, s, audit.KindAuditLog, "module:auditadmin action:UPDATE type:auditadmin.system_event"); got != 2 {
		t.Errorf("%d audit logs of the decisions, want 2", got)
	}

	sel := mustSelect(t, s, audit.KindSystemEvent, "is:unresolved")
	mustAppend(t, s, boom("four, after the page was shown"))
	if _, err := s.ResolveSelection(t.Context(), actor, sel.Filter(), sel.UpTo(), 2, "x"); !errors.Is(err, ErrConflict) {
		t.Errorf("confirming a wrong number: %v, want ErrConflict", err)
	}
	if n, err := s.ResolveSelection(t.Context(), actor, sel.Filter(), sel.UpTo(), 3, "all of them"); n != 3 || err != nil {
		t.Errorf("resolve what was seen: %d, %v; want 3", n, err)
	}
	if got := count("is:unresolved"); got != 1 {
		t.Errorf("%d unresolved, want the one that came after the page", got)
	}
	if ids, err := s.ResolvedSince(t.Context(), sel.UpTo()); len(ids) != 3 || !slices.Contains(ids, one.ID) || err != nil {
		t.Errorf("resolved since the page: %v, %v; want 3, with %d", ids, err, one.ID)
	}
}

func countAll(t testing.TB, s *Store, kind audit.Kind, q string) int64 {
	t.Helper()
	c, err := mustSelect(t, s, kind, q).Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !c.Exact {
		t.Fatalf("%s: not exact: %+v", q, c)
	}
	return c.Value
}

func TestTwoPrograms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	a, b := openAt(t, path), openAt(t, path)
	var wg sync.WaitGroup
	for i, s := range []*Store{a, b} {
		wg.Go(func() {
			for n := range 40 {
				if _, err := s.Append(context.Background(), []*audit.Event{
					event(t, "username", fmt.Sprintf("writer%d", i), "object_id", strconv.Itoa(n), "event_id", fmt.Sprintf("%d-%d", i, n)),
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range []*Store{a, b} {
		if got := countAll(t, s, audit.KindAuditLog, ""); got != 80 {
			t.Errorf("%d events, want 80", got)
		}
	}
	var gaps int
	if err := a.ro.Get(&gaps, "SELECT max(seq) - count(*) FROM ledger"); err != nil || gaps != 0 {
		t.Errorf("%d gaps in the ledger, %v", gaps, err)
	}
}

func TestManyCallersOneCommit(t *testing.T) {
	s := openTest(t)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for n := range 10 {
				if _, err := s.Append(t.Context(), []*audit.Event{event(t, "event_id", fmt.Sprintf("%d-%d", i, n))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := countAll(t, s, audit.KindAuditLog, ""); got != 640 {
		t.Errorf("%d events, want 640", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("these are notes, not a database\n", 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	other, err := sqlx.Open("sqlite3", foreign)
	if err != nil {
		t.Fatal(err)
	}
	other.MustExec("CREATE TABLE mine (x)")
	other.Close()
	newer := filepath.Join(dir, "newer.db")
	s := openAt(t, newer)
	if _, err := s.rw.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	before, _ := os.ReadFile(foreign)
	for _, c := range []struct {
		path string
		want error
	}{{text, ErrForeign}, {foreign, ErrForeign}, {newer, ErrNewer}, {filepath.Join(dir, "none", "audit.db"), fs.ErrNotExist}} {
		if s, err := Open(t.Context(), c.path, Options{Schema: auditadmin.Schema}); !errors.Is(err, c.want) {
			if err == nil {
				s.Close()
			}
			t.Errorf("open %s: %v, want %v", filepath.Base(c.path), err, c.want)
		}
	}
	if after, _ := os.ReadFile(foreign); string(after) != string(before) {
		t.Error("the foreign database was changed")
	}
}

// The power goes while SQLite writes the first page of a new file: whatever sectors
// of it are there, the journal beside it says that there was none before, and the
// database is made anew. A journal of a file that had pages says no such thing.
func TestOpenAfterHalfAPage(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	openAt(t, whole).Close()
	page, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	page = page[:8192]
	const sector = 512
	journal := func(pages uint32) []byte {
		b := make([]byte, sector)
		copy(b, "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
		binary.BigEndian.PutUint32(b[16:], pages)
		binary.BigEndian.PutUint32(b[20:], sector)
		binary.BigEndian.PutUint32(b[24:], uint32(len(page)))
		return b
	}
	without := func(from, to int) []byte {
		torn := slices.Clone(page)
		clear(torn[from:to])
		return torn
	}
	for _, c := range []struct {
		name    string
		file    []byte
		journal []byte
		want    error
	}{
		{"without its first sector", without(0, sector), journal(0), nil},
		{"with its first sector alone", without(sector, len(page)), journal(0), nil},
		{"cut off", page[:sector], journal(0), nil},
		{"cut off before its name", without(0, sector)[:50], journal(0), nil},
		{"of a file that had pages", without(0, sector), journal(1), ErrForeign},
		{"without a journal", without(0, sector), nil, ErrForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.db")
			err := os.WriteFile(path, c.file, 0o600)
			if err == nil && c.journal != nil {
				err = os.WriteFile(path+"-journal", c.journal, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), path, Options{Schema: auditadmin.Schema, Now: func() time.Time { return noon }})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want != nil {
				if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.file) {
					t.Errorf("the file was changed, %v", err)
				}
				return
			}
			defer s.Close()
			mustAppend(t, s, event(t))
			if got := countAll(t, s, audit.KindAuditLog, ""); got != 1 {
				t.Errorf("got %d events, want 1", got)
			}
		})
	}
}

// history imports the real history files once for the tests that need them.
func history(t testing.TB, s *Store, names ...string) {
	t.Helper()
	for _, name := range names {
		f, err := os.Open(need.Shared(t, "data/"+name+"/events.ndjson.gz"))
		if err != nil {
			t.Fatal(err)
		}
		zip, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(zip)
		lines.Buffer(nil, 1<<24)
		var batch []*audit.Event
		flush := func() {
			mustAppend(t, s, batch...)
			batch = nil
		}
		for lines.Scan() {
			e, err := audit.DecodeEvent(lines.Bytes(), audit.DecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Normalize(noon); err != nil {
				t.Fatal(err)
			}
			if batch = append(batch, e); len(batch) == 1000 {
				flush()
			}
		}
		flush()
		f.Close()
	}
	if err := s.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRealHistory(t *testing.T) {
	s := openTest(t)
	history(t, s, "history-sp500", "history-simple-icons")
	var facts struct {
		Events    int64            `json:"events"`
		ByAction  map[string]int64 `json:"by_action"`
		TopActors [][]any          `json:"top_actors"`
		ByMonth   map[string]int64 `json:"by_month"`
	}
	b, err := os.ReadFile(need.Shared(t, "data/history-simple-icons/events.facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &facts); err != nil {
		t.Fatal(err)
	}
	sel := mustSelect(t, s, audit.KindAuditLog, "module:simple-icons")
	if got := countAll(t, s, audit.KindAuditLog, "module:simple-icons"); got != facts.Events {
		t.Errorf("%d events, want %d", got, facts.Events)
	}
	actions, err := sel.Facet(t.Context(), "action", 100)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, v := range actions.Values {
		got[v.Value] = v.Count
	}
	if diff := cmp.Diff(facts.ByAction, got); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	users, err := sel.Facet(t.Context(), "user", 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range users.Values {
		if want := facts.TopActors[i]; v.Value != want[0] || float64(v.Count) != want[1] {
			t.Errorf("user %d: %+v, want %v", i, v, want)
		}
	}
	months, err := sel.Timeline(t.Context(), ByMonth)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range months.Buckets {
		if want, ok := facts.ByMonth[b.Start.Format("2006-01")]; ok && want != b.Count {
			t.Errorf("%s: %d, want %d", b.Start.Format("2006-01"), b.Count, want)
		}
	}
}

func TestDownloadsAreCountedInTheLedger(t *testing.T) {
	s := openTest(t)
	export := eventOf(t, audit.KindDataExport, "timestamp", "2026-03-01T12:00:00Z", "export_type", "Orders", "event_id", "export-7")
	download := func(name string) *audit.Event {
		return event(t, "action", "EXPORT", "content_type", "data_export", "object_id", "export-7", "username", name, "event_id", name, "metadata", `{"download":true}`)
	}
	mustAppend(t, s, export)
	mustAppend(t, s, download("alice"), download("bob"), event(t, "action", "EXPORT", "content_type", "data_export", "object_id", "export-7"))
	mustAppend(t, s, download("alice")) // told twice
	got := mustList(t, mustSelect(t, s, audit.KindDataExport, ""), Page{Limit: 1}).Items[0]
	if n := got.Get("download_count"); n != "2" {
		t.Errorf("download_count %q, want 2", n)
	}
	story, err := s.Decisions(t.Context(), audit.KindDataExport, got.ID)
	if err != nil || len(story) != 2 || story[0].Entry != "downloaded" || story[1].Actor != "bob" {
		t.Errorf("history: %+v, %v; want the downloads of alice and bob", story, err)
	}
	if got := mustAppend(t, s, export); got != (Appended{Duplicates: 1}) {
		t.Errorf("the export again: %+v, want a duplicate without conflict", got)
	}
	var gaps int
	if err := s.ro.Get(&gaps, "SELECT max(seq) - count(*) FROM ledger"); err != nil || gaps != 0 {
		t.Errorf("%d gaps in the ledger, %v", gaps, err)
	}
}
