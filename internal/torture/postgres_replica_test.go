//go:build linux

package torture

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestR16Promotion kills a server under load and promotes its synchronous replica,
// once, in the long form 10 times. The address names both, and the program is not
// told.
func TestR16Promotion(t *testing.T) {
	beside(t)
	times := size(1, 10)
	found := finding{Fault: "R16", What: "a synchronous replica is promoted", Times: times}
	began := time.Now()
	var notes []string
	for i := range times {
		pg := pgtest.New(t)
		first := pg.Database(t, "")
		replica := pg.Replica(t)
		pg.Synchronous(t, true)
		second := strings.Replace(first, pg.Address(), replica.Address(), 1)
		both := strings.Replace(first, pg.Address(), pg.Address()+","+replica.Address(), 1) + "&target_session_attrs=read-write"
		c := newClinic(t, finding{Fault: "R16", What: "a promotion", Times: 1}, second, both, uint64(1600+i))
		c.goOn(64)
		pg.Kill(t)
		before := c.acknowledged()
		replica.Promote(t)
		c.back(before)
		c.goOn(32)
		f := c.end("")
		found.Lost, found.Phantom, found.Doubled, found.Wrong = found.Lost+f.Lost, found.Phantom+f.Phantom, found.Doubled+f.Doubled, found.Wrong+f.Wrong
		notes = append(notes, fmt.Sprint(c.slowest.Milliseconds()))
	}
	found.Took, found.Note = time.Since(began), "stored again after "+strings.Join(notes, ", ")+" ms"
	judge(t, found)
}

// TestR16Unreplicated stops the replica that commits wait for and ends those that
// wait, statements and sessions by turns. The server has stored them then, and says so,
// but the replica has not: nobody may be told that they are safe. Then the server is
// gone, and the replica takes its place. Once, in the long form 10 times.
func TestR16Unreplicated(t *testing.T) {
	beside(t)
	times := size(1, 10)
	found := finding{Fault: "R16", What: "commits that wait for a replica are ended", Times: times}
	began, all := time.Now(), 0
	for i := range times {
		pg := pgtest.New(t)
		first := pg.Database(t, "")
		replica := pg.Replica(t)
		pg.Synchronous(t, true)
		second := strings.Replace(first, pg.Address(), replica.Address(), 1)
		both := strings.Replace(first, pg.Address(), pg.Address()+","+replica.Address(), 1) + "&target_session_attrs=read-write"
		c := newClinic(t, finding{Fault: "R16", What: "commits that wait", Times: 1}, second, both, uint64(1700+i))
		replica.Stop(t)
		before := c.acknowledged()
		other := pgtest.Open(t, pg.URL())
		waited, ended := 0, 0
		for j := range 20 {
			end := "pg_cancel_backend"
			if j%2 == 1 {
				end = "pg_terminate_backend"
			}
			if _, err := until(t.Context(), func() bool { // somebody waits
				var n int
				err := other.QueryRowContext(t.Context(), "SELECT count(*), count(CASE WHEN "+end+"(pid) THEN 1 END) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&waited, &n)
				ended += n
				return err == nil && n > 0
			}); err != nil {
				t.Fatal(err)
			}
		}
		if now := c.acknowledged(); now != before {
			c.found.Wrong++
			t.Errorf("%d batches were acknowledged that no replica has", now-before)
		}
		pg.Kill(t)
		replica.Start(t)
		replica.Promote(t)
		c.back(before)
		c.goOn(32)
		f := c.end(fmt.Sprintf("%d commits were ended", ended))
		all += ended
		found.Lost, found.Phantom, found.Doubled, found.Wrong = found.Lost+f.Lost, found.Phantom+f.Phantom, found.Doubled+f.Doubled, found.Wrong+f.Wrong
	}
	found.Took, found.Note = time.Since(began), fmt.Sprintf("%d commits", all)
	judge(t, found)
}

// TestR16Behind promotes a replica that nobody waited for and that does not have the
// last events: once, in the long form 5 times. Those are lost, as they have to be, which
// shows that the harness can see it. What the program shows then is what there is, and
// not what it knew before.
func TestR16Behind(t *testing.T) {
	beside(t)
	times := size(1, 5)
	f := finding{Fault: "R16", What: "control: a replica that is behind is promoted", Times: times}
	began := time.Now()
	var slowest time.Duration
	for i := range times {
		pg := pgtest.New(t)
		first := pg.Database(t, "")
		replica := pg.Replica(t)
		second := strings.Replace(first, pg.Address(), replica.Address(), 1)
		both := strings.Replace(first, pg.Address(), pg.Address()+","+replica.Address(), 1) + "&target_session_attrs=read-write"
		c := newClinic(t, f, second, both, uint64(1800+i))
		replica.Stop(t)
		c.goOn(64) // which the replica never gets
		pg.Kill(t)
		before := c.acknowledged()
		replica.Start(t)
		replica.Promote(t)
		c.back(before)
		c.goOn(64)
		c.crowd.leave()
		c.watch.leave()
		raw := pgtest.Open(t, second)
		for _, kind := range audit.Kinds() {
			var there, shown int64
			if err := raw.QueryRowContext(t.Context(), "SELECT count(*) FROM "+string(kind)).Scan(&there); err != nil {
				t.Fatal(err)
			}
			var list struct{ Count struct{ Value int64 } }
			if err := json.Unmarshal([]byte(c.server.get("/"+kind.Path()+".json").body), &list); err != nil {
				t.Error(err)
			}
			if shown = list.Count.Value; shown != there {
				f.Wrong++
				t.Errorf("pages count %d %s, and there are %d", shown, kind.Plural(), there)
			}
		}
		c.server.healthy()
		c.server.stop()
		v := examinePostgres(t, c.house, second, c.journal)
		f.Lost, f.Phantom, f.Doubled = f.Lost+v.lost, f.Phantom+v.phantom, f.Doubled+v.doubled
		f.Wrong += c.watch.wrong + int(c.crowd.wrong.Load())
		slowest = max(slowest, c.slowest)
	}
	f.Took, f.Note = time.Since(began), fmt.Sprintf("has to lose; stored again after %d ms at worst", slowest.Milliseconds())
	report(t, f)
	if f.Lost == 0 {
		t.Error("the control lost nothing: the harness is blind")
	}
	if f.Phantom+f.Doubled+f.Wrong > 0 {
		t.Errorf("got %d phantom, %d doubled, %d wrong, want none", f.Phantom, f.Doubled, f.Wrong)
	}
}
