//go:build linux

package torture

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// TestR12ServerAway keeps an application recording while its server is down:
// 2,000 events, in the long form 1,200,000, which is ten minutes at 2,000 a
// second. Each is durable in the spool before the application goes on. When the
// server is back, and killed twice while the spool drains, all of them arrive,
// once, and in their order.
func TestR12ServerAway(t *testing.T) {
	beside(t)
	f := finding{Fault: "R12", What: "server away: recorded to the spool", Times: size(2000, 1200000)}
	began := time.Now()
	h := newHouse(t, t.TempDir())
	h.open().stop()
	proxy := newCutter(t, "127.0.0.1:1") // where nobody listens
	remote, err := audit.NewRemote("http://"+proxy.Addr().String(), h.token, audit.RemoteAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := audit.New(remote, audit.SpoolDir(filepath.Join(t.TempDir(), "spool")))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	const at = 100 // events in one call, as from a busy application
	acked := 0
	var slowest time.Duration
	for acked < f.Times {
		events := make([]*audit.Event, min(at, f.Times-acked))
		for i := range events {
			e := audit.NewEvent(audit.KindAuditLog)
			e.Set("action", "UPDATE")
			e.Set("content_type", "shop.order")
			e.Set("object_id", strconv.Itoa(acked+i))
			events[i] = e
		}
		start := time.Now()
		if err := recorder.Record(ctx, events...); err != nil {
			t.Fatalf("record %d while the server is away: %v", acked, err)
		}
		slowest = max(slowest, time.Since(start))
		acked += len(events)
	}
	spooled := recorder.Stats().SpoolBytes
	drain := time.Now()
	var s *server
	for life := range 3 {
		s = h.serve()
		proxy.redirect(s.url[len("http://"):])
		want := int64(f.Times) * int64(life+1) / 3
		for recorder.Stats().Stored < want {
			if time.Since(drain) > patience+time.Duration(f.Times)*time.Millisecond {
				t.Fatalf("%d of %d events came through: %+v", recorder.Stats().Stored, f.Times, recorder.Stats())
			}
			time.Sleep(5 * time.Millisecond)
		}
		if life < 2 {
			s.kill()
		}
	}
	if err := recorder.Close(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(drain)
	s.stop()
	raw, err := sql.Open("sqlite3", "file:"+h.db()+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	seen := make([]int, f.Times)
	last := -1
	err = each(ctx, raw, "SELECT object_id FROM audit_log WHERE source = ? AND content_type = 'shop.order' ORDER BY seq", []any{source}, func(rows *sql.Rows) error {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		n, err := strconv.Atoi(id)
		if err != nil || n >= f.Times {
			f.Phantom++
			return nil
		}
		if seen[n]++; seen[n] > 1 {
			f.Doubled++
		}
		if n < last {
			f.Wrong++
		}
		last = n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range seen {
		if n == 0 {
			f.Lost++
		}
	}
	f.Took = time.Since(began)
	f.Note = fmt.Sprintf("%d KB spooled, %d events a second drained, slowest call of %d events %d ms", spooled>>10, int(float64(f.Times)/took.Seconds()), at, slowest.Milliseconds())
	judge(t, f)
}
