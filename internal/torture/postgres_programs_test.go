//go:build linux

package torture

import (
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestR16TwoServers lets two programs append to one database, and kills one of
// them again and again, whose senders go to the other then: 4 times, in the long
// form 50.
func TestR16TwoServers(t *testing.T) {
	beside(t)
	times := size(4, 50)
	own := random(t, 171)
	pg := pgtest.New(t)
	url := pg.Database(t, "")
	c := newClinic(t, finding{Fault: "R16", What: "one of two programs is killed", Times: times}, url, url, 172)
	second := c.house.serve()
	others := gather(c.house, c.journal, 16, 100, own)
	others.next.Store(1 << 20) // numbers of their own
	for range times {
		others.at(second)
		want := others.batches.Load() + 16
		if _, err := until(t.Context(), func() bool { return others.batches.Load() >= want || others.wrong.Load() > 0 }); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(own.IntN(200)) * time.Millisecond) // the fault
		second.kill()
		second.healthy()
		c.back(c.acknowledged())
		others.at(c.server)
		c.goOn(32)
		second = c.house.serve()
	}
	others.leave()
	second.stop()
	c.found.Wrong += int(others.wrong.Load())
	c.close(fmt.Sprintf("%d batches of its senders", others.batches.Load()))
}
