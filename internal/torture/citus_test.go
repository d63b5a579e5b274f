//go:build linux

package torture

import (
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestR17 kills the machines of a Citus cluster by turns, workers and the coordinator,
// at any moment, and starts them again: 6 times, in the long form 60. A worker that
// comes back after it had prepared what was committed hears of that from the
// coordinator.
func TestR17(t *testing.T) {
	beside(t)
	times := size(6, 60)
	own := random(t, 173)
	machines := pgtest.Cluster(t, 2)
	url := machines[0].URL()
	s, err := db.Open(t.Context(), url, db.Options{Schema: auditadmin.Schema, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if done, err := db.Distribute(t.Context(), url, 8); err != nil || len(done) != len(audit.Kinds()) {
		t.Fatalf("got %v, %v of distributing", done, err)
	}
	c := newClinic(t, finding{Fault: "R17", What: "kill -9 of a machine of a Citus cluster", Times: times}, url, url, 174)
	for i := range times {
		time.Sleep(time.Duration(5+own.IntN(495)) * time.Millisecond) // the fault, not a wait for something
		machine := machines[(i+1)%len(machines)]
		machine.Kill(t)
		before := c.acknowledged()
		machine.Start(t)
		c.back(before)
	}
	c.close("the workers and the coordinator by turns")
}
