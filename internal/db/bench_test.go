package db

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/demo"
	"github.com/auditadmin/auditadmin/internal/query"
)

// BenchmarkPage is all that the database does for one page of a list, over the
// 83,327 real row changes: page, count, facets and timeline.
//
//	go test -tags sqlite_fts5 -run - -bench Page ./internal/db
func BenchmarkPage(b *testing.B) {
	s := openTest(b)
	history(b, s, "history-sp500", "history-simple-icons", "history-endoflife")
	for _, q := range []string{"", "action:DELETE", "user:nemo", "module:sp500 action:UPDATE", "on:2024-03", "type:endoflife.release user:d* -action:CREATE",
		"user:nobody-at-all", "object:alpinelinux/v3.14", "python", "github", "kubernetes", "the", "zzzzzzz", "field:eol new:2025", "python user:nemo", "-python", "al"} {
		for _, mode := range []string{"first", "again"} {
			b.Run(mode+" "+q, func(b *testing.B) {
				for b.Loop() {
					if mode == "first" {
						s.texts.forget()
					}
					page(b, s, q)
				}
			})
		}
	}
}

func page(b testing.TB, s *Store, q string) {
	ctx := context.Background()
	f, err := query.Parse(audit.KindAuditLog, q, query.Options{Now: noon})
	if err != nil {
		b.Fatal(err)
	}
	sel, err := s.Select(ctx, f)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := sel.Count(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := sel.List(ctx, Page{Limit: 100}); err != nil {
		b.Fatal(err)
	}
	if _, err := sel.Facets(ctx, 10); err != nil {
		b.Fatal(err)
	}
	if _, err := sel.Timeline(ctx, ByMonth); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen is how long a command waits for its first answer.
func BenchmarkOpen(b *testing.B) {
	s := openTest(b)
	history(b, s, "history-sp500", "history-simple-icons", "history-endoflife")
	for b.Loop() {
		again, err := Open(b.Context(), s.Path(), Options{ReadOnly: true, Now: func() time.Time { return noon }})
		if err != nil {
			b.Fatal(err)
		}
		page(b, again, "user:nemo")
		again.Close()
	}
}

// benchEvents are invented events, ready to be appended.
func benchEvents(b *testing.B, n int) []*audit.Event {
	b.Helper()
	all := make([]*audit.Event, 0, n)
	for e := range demo.Generate(1, n, noon) {
		if err := e.Normalize(noon); err != nil {
			b.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// BenchmarkAppend is how fast decoded events are stored, each one durable on
// return, and what share that is of the bare rows in the same order of batches.
// "indexed" counts until the text index has caught up as well. The naive design
// has the same rows with six indexes, counters by trigger and two full-text
// indexes.
//
//	go test -tags sqlite_fts5 -run - -bench 'Append' -benchtime 1x ./internal/db
func BenchmarkAppend(b *testing.B) {
	const batch = 1000
	events := benchEvents(b, 100_000)
	rate := func(n int, start time.Time) float64 { return float64(n) / time.Since(start).Seconds() }
	for b.Loop() {
		bare := rate(len(events), bareInserts(b, events, batch, nil))
		some := events[:len(events)/4]
		naive := rate(len(some), bareInserts(b, some, batch, naiveSchema))

		s := openTest(b)
		start := time.Now()
		for part := range slices.Chunk(events, batch) {
			mustAppend(b, s, part...)
		}
		acknowledged := rate(len(events), start)
		if err := s.Index(b.Context()); err != nil {
			b.Fatal(err)
		}
		indexed := rate(len(events), start)
		s.Close()

		b.ReportMetric(bare, "bare/s")
		b.ReportMetric(naive, "naive/s")
		b.ReportMetric(acknowledged, "events/s")
		b.ReportMetric(indexed, "indexed/s")
		b.ReportMetric(100*indexed/bare, "%ofbare")
		b.ReportMetric(indexed/naive, "xnaive")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAppendSingly is 64 callers with one event at a time, alone and beside
// another program that fills the same file.
func BenchmarkAppendSingly(b *testing.B) {
	events := benchEvents(b, 60_000)
	for _, beside := range []string{"alone", "beside another program"} {
		b.Run(beside, func(b *testing.B) {
			for b.Loop() {
				s := openTest(b)
				ctx, stop := context.WithCancel(b.Context())
				var others, callers sync.WaitGroup
				if beside != "alone" {
					other, err := Open(ctx, s.Path(), Options{Schema: auditadmin.Schema, Now: s.now})
					if err != nil {
						b.Fatal(err)
					}
					others.Go(func() {
						defer other.Close()
						for part := range slices.Chunk(events[40_000:], 1000) {
							if _, err := other.Append(ctx, part); err != nil {
								return // told to stop
							}
						}
					})
				}
				const each = 40_000 / 64
				took := make([]time.Duration, 64*each)
				start := time.Now()
				for c := range 64 {
					callers.Go(func() {
						for i := c; i < len(took); i += 64 { // what happens at the same time
							began := time.Now()
							if _, err := s.Append(b.Context(), events[i:i+1]); err != nil {
								b.Error(err)
								return
							}
							took[i] = time.Since(began)
						}
					})
				}
				callers.Wait()
				b.ReportMetric(float64(len(took))/time.Since(start).Seconds(), "events/s")
				stop()
				others.Wait()
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				s.Close()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkPurge is how fast the older half goes, alone and beside a caller that
// records one event after another, and how long such a caller waits at most.
//
//	go test -tags sqlite_fts5 -run - -bench 'Purge' -benchtime 3x ./internal/db
func BenchmarkPurge(b *testing.B) {
	events := benchEvents(b, 250_000)
	for _, beside := range []string{"alone", "beside a writer"} {
		b.Run(beside, func(b *testing.B) {
			for b.Loop() {
				s := openTest(b)
				for part := range slices.Chunk(events[:200_000], 2000) {
					mustAppend(b, s, part...)
				}
				if err := s.Index(b.Context()); err != nil {
					b.Fatal(err)
				}
				var writer sync.WaitGroup
				var longest time.Duration
				done := make(chan struct{})
				if beside != "alone" {
					writer.Go(func() {
						for i := 200_000; i < len(events); i++ {
							select {
							case <-done:
								return
							default:
							}
							began := time.Now()
							if _, err := s.Append(b.Context(), events[i:i+1]); err != nil {
								b.Error(err)
								return
							}
							longest = max(longest, time.Since(began))
						}
					})
				}
				start := time.Now()
				got, err := s.Purge(b.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: events[100_000].Time(), Reason: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				took := time.Since(start)
				close(done)
				writer.Wait()
				b.ReportMetric(float64(got.Events)/took.Seconds(), "events/s")
				b.ReportMetric(float64(got.Pause.Microseconds())/1000, "pause-ms")
				b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
				s.Close()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// naiveSchema is what one would write first.
var naiveSchema = func() []string {
	var all []string
	for _, columns := range []string{"timestamp", "action, timestamp", "module, timestamp", "user_id, timestamp", "ip_address, timestamp", "content_type, object_id, timestamp"} {
		all = append(all, "CREATE INDEX naive_"+strings.NewReplacer(", ", "_").Replace(columns)+" ON audit_log ("+columns+")")
	}
	const searched = "username, object_repr, reason, changes"
	all = append(all,
		"CREATE VIRTUAL TABLE naive_words USING fts5("+searched+", content='audit_log', content_rowid='id')",
		"CREATE VIRTUAL TABLE naive_parts USING fts5("+searched+", content='audit_log', content_rowid='id', tokenize='trigram')",
		"CREATE TABLE naive_count (hour TEXT, what TEXT, value TEXT, n INTEGER, PRIMARY KEY (hour, what, value)) WITHOUT ROWID")
	body := ""
	for _, what := range []string{"action", "module", "username", "content_type"} {
		body += "INSERT INTO naive_count VALUES (substr(NEW.timestamp, 1, 13), '" + what + "', NEW." + what + ", 1) ON CONFLICT DO UPDATE SET n = n + 1; "
	}
	for _, index := range []string{"naive_words", "naive_parts"} {
		body += "INSERT INTO " + index + " (rowid, " + searched + ") VALUES (NEW.id, NEW.username, NEW.object_repr, NEW.reason, NEW.changes); "
	}
	return append(all, "CREATE TRIGGER naive AFTER INSERT ON audit_log BEGIN "+body+"END")
}()

// bareInserts stores the same rows and nothing else, as durably, and returns when
// it began.
func bareInserts(b *testing.B, events []*audit.Event, batch int, schema []string) time.Time {
	b.Helper()
	s := openTest(b)
	s.close()
	s.workers.Wait()
	for _, statement := range schema {
		s.rw.MustExec(statement)
	}
	start := time.Now()
	id := int64(0)
	for part := range slices.Chunk(events, batch) {
		tx := s.rw.MustBegin()
		rows := map[audit.Kind][]any{}
		for _, e := range part {
			id++
			t := tables[e.Kind]
			args := t.arguments(rows[e.Kind], id, id, e.Get("timestamp"), e, nil)
			if len(args) == insertRows[0]*t.width {
				tx.MustExec(t.inserts[0], args...)
				args = args[:0]
			}
			rows[e.Kind] = args
		}
		for kind, args := range rows {
			for row := range slices.Chunk(args, tables[kind].width) {
				tx.MustExec(tables[kind].inserts[len(insertRows)-1], row...)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { s.Close() })
	return start
}
