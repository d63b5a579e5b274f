package format

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/need"
)

func benchmarkImport(b *testing.B, format, path string, o ImportOptions) {
	path = need.Shared(b, path)
	var events int64
	for b.Loop() {
		s, _, err := importInto(forget{}, format, o, path)
		if err != nil {
			b.Fatal(err)
		}
		events += s.Stored
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkImport(b *testing.B) {
	for _, test := range []struct {
		format, path string
	}{
		{"ndjson", "data/history-endoflife/events.ndjson.gz"},
		{"sshd", "data/elastic-examples/ssh-auth.log.gz"},
		{"django", "data/django-dbs/replay-simple-icons.sqlite3.gz"},
		{"cloudtrail", "data/invictus-cloudtrail/cloudtrail-records.ndjson.gz"},
	} {
		b.Run(test.format, func(b *testing.B) { benchmarkImport(b, test.format, test.path, ImportOptions{}) })
		b.Run(test.format+"/masked", func(b *testing.B) {
			m := audit.NewMasker([]byte(strings.Repeat("k", 32)))
			benchmarkImport(b, test.format, test.path, ImportOptions{Mask: func(e *audit.Event) { m.Mask(e) }})
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	s := &db.Stored{ID: 1 << 60, Seq: 1, RecordedAt: testNow, Event: sampleEvent()}
	for _, name := range Writable() {
		b.Run(name, func(b *testing.B) {
			w, err := NewWriter(name, io.Discard, s.Kind)
			if err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			rows := 0
			for b.Loop() {
				if err := w.Write(s); err != nil {
					b.Fatal(err)
				}
				rows++
			}
			b.ReportMetric(float64(rows)/time.Since(start).Seconds(), "rows/s")
		})
	}
}

// sampleEvent is an ordinary audit log with every field that usually is there.
func sampleEvent() *audit.Event {
	e := audit.NewEvent(audit.KindAuditLog)
	e.EventID, e.Source = "simple-icons-141", "import:ndjson"
	for field, value := range map[string]string{
		"timestamp": "2026-03-01T12:00:00.123456Z", "user_id": "7", "username": "alice", "action": "UPDATE",
		"content_type": "shop.order", "object_id": "42", "object_repr": `Order "42", gift`, "reason": "Merge pull request",
		"changes":    `{"hex":{"old":"F4BD27","new":"008373"},"source":{"old":"https://commons.wikimedia.org/wiki/File:Bing_logo_(2013).svg","new":null}}`,
		"ip_address": "203.0.113.9", "user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "module": "shop", "metadata": `{"path":"a.json"}`,
	} {
		e.Set(field, value)
	}
	return e
}
