package audit_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
)

// nowhere is a sink that costs nothing, so that only the recorder is measured.
type nowhere struct{ err error }

func (s nowhere) Append(_ context.Context, events []*audit.Event) (audit.Appended, error) {
	return audit.Appended{Accepted: len(events)}, s.err
}

func benchmarkContext() context.Context {
	q := &audit.RequestInfo{ID: "r1", SessionKey: "s1", Path: "/orders/42", UserAgent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", Address: netip.MustParseAddr("203.0.113.9"), Start: time.Now()}
	ctx := audit.WithRequest(context.Background(), q)
	audit.SetUser(ctx, audit.User{ID: "7", Name: "alice"})
	return ctx
}

var benchmarkLog = audit.AuditLog{Action: "UPDATE", ContentType: "shop.order", ObjectID: "42", ObjectRepr: "Order 42",
	Changes: audit.Changes{"total": {Old: "10.00", New: "12.50"}, "status": {Old: "open", New: "paid"}}}

func record(b *testing.B, parallel bool, sink audit.Sink, options ...audit.Option) {
	b.Helper()
	r, err := audit.New(sink, options...)
	if err != nil {
		b.Fatal(err)
	}
	ctx := benchmarkContext()
	b.ReportAllocs()
	b.ResetTimer()
	if parallel {
		b.SetParallelism(100)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := r.LogAuditEvent(ctx, benchmarkLog); err != nil {
					b.Error(err)
				}
			}
		})
	} else {
		for b.Loop() {
			if err := r.LogAuditEvent(ctx, benchmarkLog); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	done, cancel := context.WithCancel(ctx)
	cancel()
	_ = r.Close(done)
}

func openBenchmark(b *testing.B) *auditdb.DB {
	b.Helper()
	db, err := auditdb.Open(context.Background(), filepath.Join(b.TempDir(), "audit.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// BenchmarkRecordStrict is one event: the recorder alone, and with a database
// that has made it durable, for one caller and for many at once.
func BenchmarkRecordStrict(b *testing.B) {
	b.Run("recorder", func(b *testing.B) { record(b, false, nowhere{}, audit.Strict()) })
	b.Run("database", func(b *testing.B) { record(b, false, openBenchmark(b), audit.Strict()) })
	b.Run("database-200-callers", func(b *testing.B) { record(b, true, openBenchmark(b), audit.Strict()) })
}

// BenchmarkRecordSpool is one event while the sink is there, and while it is
// away and the spool makes it durable.
func BenchmarkRecordSpool(b *testing.B) {
	away := nowhere{context.DeadlineExceeded}
	b.Run("there", func(b *testing.B) { record(b, false, nowhere{}, audit.SpoolDir(b.TempDir())) })
	b.Run("away", func(b *testing.B) { record(b, false, away, audit.SpoolDir(b.TempDir())) })
	b.Run("away-200-callers", func(b *testing.B) { record(b, true, away, audit.SpoolDir(b.TempDir())) })
}

func BenchmarkDiff(b *testing.B) {
	type order struct {
		ID     int       `json:"id"`
		Status string    `json:"status"`
		Total  string    `json:"total"`
		Note   *string   `json:"note"`
		At     time.Time `json:"at"`
	}
	before := order{1, "open", "10.00", nil, time.Unix(0, 0)}
	after := before
	after.Status = "paid"
	b.ReportAllocs()
	for b.Loop() {
		if len(audit.Diff(&before, &after)) != 1 {
			b.Fatal("want one change")
		}
	}
}
