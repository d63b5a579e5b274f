//go:build linux

package torture

import (
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestR16Restart restarts the server under load, as an upgrade does: 3 times, in
// the long form 30.
func TestR16Restart(t *testing.T) {
	beside(t)
	times := size(3, 30)
	pg := pgtest.New(t)
	url := pg.Database(t, "")
	c := newClinic(t, finding{Fault: "R16", What: "PostgreSQL restarts", Times: times}, url, url, 161)
	for range times {
		pg.Stop(t)
		before := c.acknowledged()
		pg.Start(t)
		c.back(before)
		c.goOn(32)
	}
	c.close("")
}

// TestR16Kill ends every process of the server by SIGKILL, 5 to 500 ms after it
// was back: 5 times, in the long form 200.
func TestR16Kill(t *testing.T) {
	beside(t)
	times := size(5, 200)
	own := random(t, 162)
	pg := pgtest.New(t)
	url := pg.Database(t, "")
	c := newClinic(t, finding{Fault: "R16", What: "kill -9 of PostgreSQL", Times: times}, url, url, 163)
	for range times {
		time.Sleep(time.Duration(5+own.IntN(495)) * time.Millisecond) // the fault, not a wait for something
		pg.Kill(t)
		before := c.acknowledged()
		pg.Start(t)
		c.back(before)
	}
	c.close("")
}

// TestR16Control kills a server whose commits do not wait for the disk, which its
// address asks for. What is acknowledged is lost then, or the harness could see no
// loss at all.
func TestR16Control(t *testing.T) {
	beside(t)
	times := size(1, 5)
	f := finding{Fault: "R16", What: "control: synchronous_commit=off", Times: times}
	began := time.Now()
	for i := range times {
		pg := pgtest.New(t, "wal_writer_delay=10s", "wal_writer_flush_after=1GB", "wal_buffers=16MB")
		address := pg.Database(t, "")
		c := newClinic(t, f, address, address+"&synchronous_commit=off", uint64(1650+i))
		c.goOn(64)
		pg.Kill(t)
		c.crowd.leave()
		c.watch.leave()
		c.server.kill()
		pg.Start(t)
		f.Lost += examinePostgres(t, c.house, address, c.journal).lost
	}
	f.Took, f.Note = time.Since(began), "has to lose"
	report(t, f)
	if f.Lost == 0 {
		t.Error("the control lost nothing: the harness is blind")
	}
}
