package db

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// years is what the property test appends: live, late and at the same instant.
func years(t testing.TB, r *rand.Rand, clock *int64, n int) []*audit.Event {
	t.Helper()
	var all []*audit.Event
	same := time.UnixMicro(1_600_000_000_000_000 + *clock)
	for range n {
		*clock += r.Int64N(5_000_000_000)
		at := time.UnixMicro(1_600_000_000_000_000 + *clock)
		switch r.IntN(6) {
		case 0:
			at = at.Add(-time.Duration(r.Int64N(int64(900 * 24 * time.Hour)))) // late
		case 1:
			at = same
		}
		word := func(words ...string) string { return words[r.IntN(len(words))] }
		if r.IntN(4) == 0 {
			all = append(all, eventOf(t, audit.KindSystemEvent, "timestamp", audit.FormatTime(at), "event_type", word("ERROR", "WARNING", "INFO"),
				"title", word("deadlock", "slow page", "disk"), "module", word("shop", "auth"), "username", word("", "alice"), "request_id", fmt.Sprint("r", r.IntN(60))))
			continue
		}
		all = append(all, eventOf(t, audit.KindAuditLog, "timestamp", audit.FormatTime(at), "action", word("CREATE", "UPDATE", "DELETE", "VIEW"),
			"username", word("", "alice", "Alice", "bob", "Ünal"), "user_id", word("", "7", "8", "bob"), "content_type", word("shop.order", "shop.item"), "object_id", fmt.Sprint(r.IntN(500)),
			"module", word("shop", "auth", ""), "ip_address", word("", "10.0.0.1", "10.2.3.4", "192.0.2.7", "2001:db8::5"),
			"session_key", fmt.Sprint("s", r.IntN(40)), "request_id", fmt.Sprint("r", *clock/20_000_000_000), "reason", word("", "a refund"), "object_repr", "Order "+fmt.Sprint(r.IntN(500))))
	}
	return all
}

// agreesWithRows asks a store many questions and answers them from its rows.
func agreesWithRows(t *testing.T, s *Store, where string) {
	t.Helper()
	for kind, queries := range map[audit.Kind][]string{
		audit.KindAuditLog: {"", "action:DELETE", "user:alice", "user:bob -action:VIEW", `user:""`, "-user:alice,8", "ip:10.0.0.0/8", "ip:2001:db8::/32 action:UPDATE", `-ip:""`, "module:s*",
			"object:42", "object:4*", "request:r3", "request:r1* -module:shop", "session:s7,s8", "on:2021-03", "after:2020-11 before:2021-02 action:CREATE", "-on:2020", `reason:""`, "refund user:alice", "source:test", "\"Order 42\""},
		audit.KindSystemEvent: {"", "is:unresolved", "is:resolved module:shop", "event:ERROR,INFO", "resolved-by:ines", `-resolved-by:""`, "user:alice is:unresolved", "deadlock", "request:r5"},
	} {
		all := everything(t, s, kind)
		byID := map[int64]*Stored{}
		for _, st := range all {
			byID[st.ID] = st
		}
		for _, q := range queries {
			f, err := query.Parse(kind, q, query.Options{Now: noon})
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			want := oracle(t, all, f)
			sel := mustSelect(t, s, kind, q)
			if got := walk(t, sel, 300); !slices.Equal(got, want) && len(got)+len(want) > 0 {
				t.Fatalf("%s: %s %q: pages hold %d events, the rows %d", where, kind, q, len(got), len(want))
			}
			if got := walkBack(t, sel, 300); !slices.Equal(got, want) && len(got)+len(want) > 0 {
				t.Fatalf("%s: %s %q: pages backwards hold %d events, the rows %d", where, kind, q, len(got), len(want))
			}
			for _, field := range query.Fields(kind) {
				if !field.Facet {
					continue
				}
				facet, err := sel.Facet(t.Context(), field.Key, allValues)
				if err != nil {
					t.Fatal(err)
				}
				wanted := facetOf(t, byID, oracle(t, all, without(f, field.Key)), field)
				got := map[string]int64{}
				for _, v := range facet.Values {
					got[v.Value] = v.Count
				}
				if !maps.Equal(got, wanted) {
					t.Fatalf("%s: %s %q: facet %s is %v, the rows say %v", where, kind, q, field.Key, got, wanted)
				}
				top, err := mustSelect(t, s, kind, q).Facet(t.Context(), field.Key, 3)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(top.Values, facet.Values[:min(3, len(facet.Values))]) || len(top.Values)+top.More != len(wanted) {
					t.Fatalf("%s: %s %q: the top of facet %s is %v and %d more, of all %v", where, kind, q, field.Key, top.Values, top.More, facet.Values)
				}
			}
			for _, by := range []Step{ByYear, ByDay} {
				wanted := map[int64]int64{}
				for _, id := range want {
					wanted[by.Start(byID[id].Time()).UnixMicro()]++
				}
				tl, err := sel.Timeline(t.Context(), by)
				if err != nil {
					t.Fatal(err)
				}
				got := map[int64]int64{}
				for _, b := range tl.Buckets {
					got[b.Start.UnixMicro()] = b.Count
				}
				if !maps.Equal(got, wanted) {
					t.Fatalf("%s: %s %q: the timeline by %s is %v, the rows say %v", where, kind, q, by, got, wanted)
				}
			}
		}
	}
}

func without(f *query.Filter, key string) *query.Filter {
	g := *f
	g.Terms = slices.DeleteFunc(slices.Clone(f.Terms), func(t query.Term) bool { return t.Field.Key == key })
	return &g
}

func facetOf(t *testing.T, byID map[int64]*Stored, ids []int64, field query.Field) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	for _, id := range ids {
		st, text := byID[id], ""
		for _, column := range field.Columns {
			if text == "" {
				if text = st.Get(column); column == "source" {
					text = st.Source
				}
			}
		}
		if field.Class == query.ClassState {
			text = map[string]string{"true": "resolved", "": "unresolved"}[text]
		}
		counts[text]++
	}
	return counts
}

// TestSealedSegmentsAgreeWithTheRows lets events come in as they do, decides
// about some, deletes some, seals and kills in between, and asks everything after
// every step.
func TestSealedSegmentsAgreeWithTheRows(t *testing.T) {
	seeds := uint64(4)
	if os.Getenv("AUDITADMIN_TORTURE") != "" {
		seeds = 60
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 4))
		folder := t.TempDir()
		path := filepath.Join(folder, "audit.db")
		open := func() *Store {
			s := openAt(t, path)
			s.sealed.least, s.sealed.leastAtEnd = 150, 1+r.IntN(40)
			return s
		}
		s := open()
		clock := int64(0)
		var steps []string
		for range 14 {
			step := []string{"append", "append", "append many", "delete", "resolve", "resolve", "seal", "seal", "close", "kill"}[r.IntN(10)]
			steps = append(steps, step)
			switch step {
			case "append", "append many":
				n := 1 + r.IntN(60)
				if step == "append many" {
					n *= 8
				}
				mustAppend(t, s, years(t, r, &clock, n)...)
			case "delete":
				for _, kind := range []audit.Kind{audit.KindAuditLog, audit.KindSystemEvent} {
					all := everything(t, s, kind)
					var ids []int64
					for _, st := range all {
						if r.IntN(12) == 0 && st.Source != Self {
							ids = append(ids, st.ID)
						}
					}
					if len(ids) > 0 {
						if _, err := s.Delete(t.Context(), Actor{Name: "root"}, kind, ids, "a test"); err != nil {
							t.Fatal(err)
						}
					}
				}
			case "resolve":
				for _, st := range everything(t, s, audit.KindSystemEvent) {
					var err error
					switch {
					case r.IntN(4) > 0:
					case st.Get("resolved") == "":
						_, err = s.Resolve(t.Context(), Actor{Name: []string{"ines", "otto"}[r.IntN(2)]}, []int64{st.ID}, "done")
					default:
						err = s.Reopen(t.Context(), Actor{Name: "ines"}, st.ID, "again")
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			case "seal":
				if err := s.refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.seal(t.Context(), r.IntN(2) == 0); err != nil {
					t.Fatal(err)
				}
			case "close":
				s.Close()
				s = open()
			case "kill":
				// What a killed program leaves is what lies on the disk at that moment.
				folder = t.TempDir()
				err := s.write(t.Context(), "copy", func(*writeTx) error {
					copyFolder(t, filepath.Dir(path), folder) // while nobody moves the log into the file
					return errCopied
				})
				if !errors.Is(err, errCopied) {
					t.Fatal(err)
				}
				s.Close()
				path = filepath.Join(folder, "audit.db")
				s = open()
			}
			agreesWithRows(t, s, fmt.Sprintf("seed %d after %s", seed, strings.Join(steps, ", ")))
		}
		s.Close()
	}
}

var errCopied = errors.New("copied")

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := os.Mkdir(filepath.Join(to, e.Name()), 0o700); err != nil {
				t.Fatal(err)
			}
			copyFolder(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, e.Name()))
		if os.IsNotExist(err) {
			continue // it was of the moment
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeletedWordsAreInNoFile looks for what was deleted in every byte of every
// file, where the words of an event lie in the segments of others too.
func TestDeletedWordsAreInNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	s := openAt(t, path)
	s.sealed.least = 20
	var marked []int64
	seal := func() {
		t.Helper()
		if err := errors.Join(s.refresh(t.Context()), s.seal(t.Context(), true), s.Index(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	// The words first stand in the first segment, which owns their numbers, and in
	// the third one again.
	for part := range 4 {
		for i := range 300 {
			pairs := []string{"timestamp", audit.FormatTime(noon.Add(time.Duration(part*300+i-2000) * time.Second)), "request_id", fmt.Sprint("req-", part*300+i)}
			if i == 7 && part%2 == 0 {
				pairs = append(pairs, "username", "canary-user", "request_id", "canary-request", "object_id", "canary-object", "object_repr", "the canary-repr", "ip_address", "203.0.113.213",
					"session_key", "canary-session", "changes", `{"note":{"old":null,"new":"canary-change"}}`)
			}
			mustAppend(t, s, event(t, pairs...))
		}
		seal()
	}
	for _, st := range everything(t, s, audit.KindAuditLog) {
		if st.Get("username") == "canary-user" {
			marked = append(marked, st.ID)
		}
	}
	holding := func() (names []string) {
		t.Helper()
		err := filepath.WalkDir(filepath.Dir(s.Beside()), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			if bytes.Contains(content, []byte("canary-")) || bytes.Contains(content, []byte("203.0.113.213")) {
				names = append(names, filepath.Base(name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	least := 1 // of columns, and where that is a file the database
	if s.dialect.embedded() {
		least = 2
	}
	if len(marked) != 2 || len(holding()) < least {
		t.Fatalf("%d events are marked, and the files %v hold their words: the test shows nothing", len(marked), holding())
	}
	for _, id := range marked {
		if _, err := s.Delete(t.Context(), Actor{Name: "root"}, audit.KindAuditLog, []int64{id}, "erasure"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Index(t.Context()); err != nil { // what Delete leaves to the indexer
		t.Fatal(err)
	}
	s.scrub(t.Context())
	if names := holding(); len(names) > 0 {
		t.Errorf("%v still hold what was deleted", names)
	}
	agreesWithRows(t, s, "after the deletions")
}
