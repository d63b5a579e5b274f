package db

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// oracle answers a filter from the events themselves, one by one.
func oracle(t testing.TB, all []*Stored, f *query.Filter) []int64 {
	t.Helper()
	var ids []int64
	for _, st := range all {
		ok := true
		for _, term := range f.Terms {
			hit := false
			for _, v := range term.Values {
				hit = hit || holds(st, term, v)
			}
			ok = ok && hit != term.Not
		}
		if ok {
			ids = append(ids, st.ID)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids
}

func holds(st *Stored, term query.Term, v query.Value) bool {
	fields := term.Field.Columns
	if term.Field.Class == query.ClassFree {
		fields = query.Searchable(st.Kind)
	}
	switch term.Field.Class {
	case query.ClassTime:
		m := st.Time().UnixMicro()
		return m >= v.Lo && m < v.Hi
	case query.ClassState:
		return (v.Folded == "resolved") == (st.Get(fields[0]) == "true")
	case query.ClassAddress:
		a, err := netip.ParseAddr(st.Get(fields[0]))
		return v.Text == "" && st.Get(fields[0]) == "" || v.Text != "" && err == nil && v.Net.Contains(a)
	case query.ClassValue:
		if v.Text == "" { // all of the columns are empty
			return !slices.ContainsFunc(fields, func(f string) bool { return st.Get(f) != "" })
		}
		for _, f := range fields {
			text := st.Get(f)
			if f == "source" {
				text = st.Source
			}
			if folded := query.Fold(text); folded == v.Folded || v.Prefix && strings.HasPrefix(folded, v.Folded) {
				return true
			}
		}
		return false
	}
	if term.Field.Class == query.ClassText && v.Text == "" {
		return st.Get(fields[0]) == ""
	}
	for _, f := range fields {
		text := st.Get(f)
		if f == "changes" {
			text = ""
			for _, c := range audit.ParseChanges(st.Get("changes")) {
				switch term.Field.Key {
				case "field":
					text += "\x1f" + c.Field
				case "old":
					text += string(appendJSONText(nil, c.Old))
				case "new":
					text += string(appendJSONText(nil, c.New))
				default:
					text += "\x1f" + c.Field + string(appendJSONText(nil, c.Old)) + string(appendJSONText(nil, c.New))
				}
			}
		}
		if strings.Contains(query.Fold(text), v.Folded) {
			return true
		}
	}
	return false
}

func everything(t testing.TB, s *Store, kind audit.Kind) []*Stored {
	t.Helper()
	var all []*Stored
	err := eachRow(t.Context(), s.ro, "SELECT "+tables[kind].columns+" FROM "+string(kind)+" e", nil, func(r scanner) error {
		st, err := tables[kind].scan(r)
		all = append(all, st)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSelectionsAgreeWithTheRows asks the same questions of the columns, the
// text index and of the rows themselves, walking over every page both ways.
func TestSelectionsAgreeWithTheRows(t *testing.T) {
	s := openTest(t)
	history(t, s, "history-sp500", "history-simple-icons")
	for _, id := range []int{5, 500, 5000} {
		all := everything(t, s, audit.KindAuditLog)
		if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{all[id].ID}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, s, event(t, "object_repr", "Not indexed yet: Zażółć gęślą", "changes", `{"näme":{"old":"a\nb","new":{"deep":["Łódź",12.50]}}}`))
	all := everything(t, s, audit.KindAuditLog)
	for _, q := range []string{
		"", "action:DELETE", "-action:UPDATE,CREATE", "module:sp500", "module:simple-icons -user:\"Dan Leech\"", "user:\"dan leech\"", "user:d*",
		"on:2020", "after:2020-03 before:2020-05", "-on:2020", "icon", "github", "zażółć", "ŁÓDŹ", "12.50", "field:hex", "old:0099e5", "new:0099E5",
		"-github action:UPDATE", "repr:google", "reason:merge type:simple-icons.icon", "old:null", "nothing-has-this-in-it", "github google", "field:source new:github -repr:git",
		"action:CREATE on:2015-10", "object:android", "type:simple*", "reason:update -reason:merge", `user:""`, `-module:""`, "xy", "action:UPDATE ab",
		`reason:""`, `-reason:""`, `-agent:""`, `repr:""`, "icen", "-icen", "icen github", "field:source", "field:source -new:http", "new:http -github",
	} {
		f, err := query.Parse(audit.KindAuditLog, q, query.Options{Now: noon})
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		want := oracle(t, all, f)
		sel := mustSelect(t, s, audit.KindAuditLog, q)
		if first := mustList(t, sel, Page{Limit: 100}); first.Partial && !strings.Contains(" xy ab ", " "+q[max(len(q)-2, 0):]+" ") {
			t.Errorf("%s: the first page has %d events and should not have stopped before it was full", q, len(first.Items))
		}
		if got := walk(t, sel, 700); !slices.Equal(got, want) {
			t.Errorf("%s: pages hold %d events, the rows %d", q, len(got), len(want))
		}
		if got := walkBack(t, sel, 700); !slices.Equal(got, want) {
			t.Errorf("%s: pages backwards hold %d events, the rows %d", q, len(got), len(want))
		}
		var each []int64
		if err := sel.Each(t.Context(), func(st *Stored) error { each = append(each, st.ID); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(each, want) {
			t.Errorf("%s: an export holds %d events, the rows %d", q, len(each), len(want))
		}
		c, err := mustSelect(t, s, audit.KindAuditLog, q).Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Exact && c.Value != int64(len(want)) || !c.Exact && c.Value > int64(len(want)) {
			t.Errorf("%s: counted %+v, the rows say %d", q, c, len(want))
		}
		tl, err := sel.Timeline(t.Context(), ByMonth)
		if err != nil {
			t.Fatal(err)
		}
		var total int64
		for _, b := range tl.Buckets {
			total += b.Count
		}
		if own, err := sel.Count(t.Context()); err != nil || total != own.Value {
			t.Errorf("%s: the timeline holds %d, the count says %d, %v", q, total, own.Value, err)
		}
	}
}

// walk returns the ids of all pages from the newest on.
func walk(t testing.TB, sel *Selection, limit int) []int64 {
	t.Helper()
	ids := []int64{}
	for p := (Page{Limit: limit}); ; {
		list := mustList(t, sel, p)
		for _, it := range list.Items {
			ids = append(ids, it.ID)
		}
		if list.Next == 0 {
			return ids
		}
		p = Page{After: list.Next, Limit: limit}
	}
}

// walkBack does the same from the oldest on.
func walkBack(t testing.TB, sel *Selection, limit int) []int64 {
	t.Helper()
	ids := []int64{}
	for p := (Page{Before: 1, Limit: limit}); ; {
		list := mustList(t, sel, p)
		var page []int64
		for _, it := range list.Items {
			page = append(page, it.ID)
		}
		ids = append(page, ids...)
		if list.Previous == 0 {
			return ids
		}
		p = Page{Before: list.Previous, Limit: limit}
	}
}

func TestLateEventsStandWhereTheyBelong(t *testing.T) {
	s := openTest(t)
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]bool{}
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for batch := range 30 {
		var events []*audit.Event
		for i := range 100 {
			at := start.Add(time.Duration(random.IntN(1000)) * time.Second)
			id := fmt.Sprintf("%d-%d", batch, i)
			events = append(events, event(t, "timestamp", audit.FormatTime(at), "object_id", id))
			want[id] = true
		}
		mustAppend(t, s, events...)
		countAll(t, s, audit.KindAuditLog, "") // so that each batch is loaded by itself
	}
	sel := mustSelect(t, s, audit.KindAuditLog, "")
	var last *Stored
	n := 0
	for p := (Page{Limit: 333}); ; {
		list := mustList(t, sel, p)
		for _, it := range list.Items {
			if last != nil && (it.ID >= last.ID || it.Time().After(last.Time())) {
				t.Fatalf("%s stands after %s", it.Get("timestamp"), last.Get("timestamp"))
			}
			if !want[it.Get("object_id")] {
				t.Fatalf("event %s twice", it.Get("object_id"))
			}
			delete(want, it.Get("object_id"))
			last = it
			n++
		}
		if list.Next == 0 {
			break
		}
		p = Page{After: list.Next, Limit: 333}
	}
	if n != 3000 {
		t.Errorf("%d events, want 3000", n)
	}
	if got := countAll(t, s, audit.KindAuditLog, "after:2025-01-01T00:05 before:2025-01-01T00:10"); got == 0 {
		t.Error("no events in five of the minutes")
	}
}

func TestCursorsAtTheEnds(t *testing.T) {
	s := openTest(t)
	for i := range 10 {
		mustAppend(t, s, event(t, "timestamp", audit.FormatTime(noon.Add(time.Duration(i-100)*time.Minute)), "object_id", strconv.Itoa(i)))
	}
	sel := mustSelect(t, s, audit.KindAuditLog, "")
	first := mustList(t, sel, Page{Limit: 4})
	if first.Previous != 0 || first.Next == 0 {
		t.Errorf("first page: previous %d, next %d; want none and one", first.Previous, first.Next)
	}
	second := mustList(t, sel, Page{After: first.Next, Limit: 4})
	if diff := cmp.Diff([]string{"5", "4", "3", "2"}, texts(second, "object_id")); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
	back := mustList(t, sel, Page{Before: second.Previous, Limit: 4})
	if diff := cmp.Diff(texts(first, "object_id"), texts(back, "object_id")); diff != "" || back.Previous != 0 || back.Next == 0 {
		t.Errorf("back to the first page (-want +got), previous %d, next %d:\n%s", back.Previous, back.Next, diff)
	}
	past := mustList(t, sel, Page{After: 1, Limit: 4})
	if len(past.Items) != 0 || past.Next != 0 || past.Previous == 0 {
		t.Errorf("past the end: %+v, want nothing and a way back", past)
	}
}

func TestFacetLeavesOutItsOwnTerms(t *testing.T) {
	s := openTest(t)
	for i, user := range []string{"alice", "alice", "bob", "carol"} {
		mustAppend(t, s, event(t, "username", user, "module", []string{"shop", "billing"}[i%2]))
	}
	sel := mustSelect(t, s, audit.KindAuditLog, "user:alice -module:shop")
	for key, want := range map[string][]FacetValue{
		"user":   {{"alice", 1}, {"carol", 1}},
		"module": {{"billing", 1}, {"shop", 1}},
		"action": {{"UPDATE", 1}},
	} {
		facet, err := sel.Facet(t.Context(), key, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, facet.Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

func TestSieveNamesTheFilter(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "username", "alice", "module", "shop"), event(t, "username", "bob", "module", "shop"))
	sieve, err := mustSelect(t, s, audit.KindAuditLog, "user:alice module:billing").Sieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sieve.Total != 2 || sieve.Steps[0].Left.Value != 1 || sieve.Steps[1].Left.Value != 0 || sieve.Steps[1].Without.Value != 1 || sieve.Steps[0].Without.Value != 0 {
		t.Errorf("got %+v, want 2, then 1 by alice, 0 in billing, and 1 without billing", sieve)
	}
}

func TestTimelineFollowsTheZone(t *testing.T) {
	s := openTest(t)
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"2025-12-31T22:59:59Z", "2025-12-31T23:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"} {
		mustAppend(t, s, event(t, "timestamp", at))
	}
	for _, c := range []struct {
		by   Step
		want string
	}{
		{ByYear, "2025-01-01T00:00+01:00 3, 2026-01-01T00:00+01:00 3"},
		{ByDay, "2025-10-26T00:00+02:00 2, 2025-12-31T00:00+01:00 1, 2026-01-01T00:00+01:00 1, 2026-03-29T00:00+01:00 2"},
		{ByHour, "2025-10-26T02:00+02:00 1, 2025-10-26T02:00+01:00 1, 2025-12-31T23:00+01:00 1, 2026-01-01T00:00+01:00 1, 2026-03-29T01:00+01:00 1, 2026-03-29T03:00+02:00 1"},
	} {
		sel, err := s.Select(t.Context(), &query.Filter{Kind: audit.KindAuditLog, Zone: paris})
		if err != nil {
			t.Fatal(err)
		}
		tl, err := sel.Timeline(t.Context(), c.by)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range tl.Buckets {
			got = append(got, b.Start.Format("2006-01-02T15:04-07:00")+" "+strconv.FormatInt(b.Count, 10))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("by %s:\n got %s\nwant %s", c.by, strings.Join(got, ", "), c.want)
		}
	}
}

func TestSummaryCounts(t *testing.T) {
	s := openTest(t)
	recent := audit.FormatTime(noon.Add(-time.Hour))
	mustAppend(t, s,
		event(t, "timestamp", recent, "action", "CREATE"), event(t, "timestamp", recent, "action", "VIEW", "username", "bob"),
		event(t, "timestamp", "2020-01-01T00:00:00Z", "action", "DELETE"),
		eventOf(t, audit.KindLoginAttempt, "timestamp", recent, "username", "alice", "status", "SUCCESS"),
		eventOf(t, audit.KindLoginAttempt, "timestamp", recent, "username", "alice", "status", "FAILED"),
		eventOf(t, audit.KindLoginAttempt, "timestamp", recent, "username", "alice", "status", "BLOCKED"),
		eventOf(t, audit.KindSystemEvent, "timestamp", recent, "event_type", "ERROR", "title", "x"),
		eventOf(t, audit.KindSystemEvent, "timestamp", recent, "event_type", "INFO", "title", "y", "resolved", "true"))
	got, err := s.Summary(t.Context(), 30, "")
	if err != nil {
		t.Fatal(err)
	}
	want := Summary{TotalActions: 2, Creates: 1, Views: 1, Logins: 1, FailedLogins: 1, SystemErrors: 1, UnresolvedEvents: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("everybody (-want +got):\n%s", diff)
	}
	if got, err = s.Summary(t.Context(), 30, "bob"); err != nil || got.TotalActions != 1 || got.Logins != 0 {
		t.Errorf("bob: %+v, %v", got, err)
	}
}

func TestNeighbours(t *testing.T) {
	s := openTest(t)
	for i := range 5 {
		mustAppend(t, s, event(t, "timestamp", audit.FormatTime(noon.Add(time.Duration(i-60)*time.Minute)), "content_type", "shop.order", "object_id", "42",
			"session_key", "s1", "username", []string{"alice", "bob"}[i%2]))
	}
	mid := mustList(t, mustSelect(t, s, audit.KindAuditLog, ""), Page{Limit: 5}).Items[2]
	all, err := s.Neighbours(t.Context(), mid)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, n := range all {
		got[n.Shared] = fmt.Sprintf("%d: -%s +%s", n.Count.Value, mid.Time().Sub(n.Earlier.Time()), n.Later.Time().Sub(mid.Time()))
	}
	want := map[string]string{"object": "5: -1m0s +1m0s", "user": "3: -2m0s +2m0s", "session": "5: -1m0s +1m0s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
