package db

import (
	"context"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
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

// BenchmarkAppend stores real row changes in batches of a thousand, each one
// durable on return, while the text index follows.
//
//	go test -tags sqlite_fts5 -run - -bench Append ./internal/db
func BenchmarkAppend(b *testing.B) {
	for b.Loop() {
		start := time.Now()
		s := openTest(b)
		history(b, s, "history-sp500", "history-simple-icons", "history-endoflife")
		n := countAll(b, s, audit.KindAuditLog, "")
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "events/s")
		s.Close()
	}
}
