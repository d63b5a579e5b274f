//go:build linux

package torture

import (
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestR16CommitCut breaks the connection at a commit, by turns before the server
// has it and before its answer arrives: 50 times, in the long form 1,000.
func TestR16CommitCut(t *testing.T) {
	beside(t)
	times := size(50, 1000)
	pg := pgtest.New(t)
	url := pg.Database(t, "")
	proxy := pgtest.NewProxy(t, pg)
	c := newClinic(t, finding{Fault: "R16", What: "connection cut at COMMIT", Times: times}, url, proxy.URL(t, url), 164)
	for i := range times {
		lose := proxy.LoseRequest
		if i%2 == 1 {
			lose = proxy.LoseAnswer
		}
		lost := lose(pgtest.Commit)
		select {
		case <-lost:
		case <-time.After(patience):
			t.Fatal("nobody commits")
		}
		c.stored(c.crowd.batches.Load())
	}
	c.close("half of them the request, half the answer")
}

// TestR16Silence lets the network swallow everything for a while: once for a
// second, in the long form also for 5 and for 20. Connections stay open, and
// nobody is told anything.
func TestR16Silence(t *testing.T) {
	beside(t)
	silences := []time.Duration{time.Second}
	if shop.scale > 0 {
		silences = append(silences, 5*time.Second, 20*time.Second)
	}
	pg := pgtest.New(t)
	url := pg.Database(t, "")
	proxy := pgtest.NewProxy(t, pg)
	c := newClinic(t, finding{Fault: "R16", What: "the network is silent", Times: len(silences)}, url, proxy.URL(t, url), 165)
	for _, silence := range silences {
		proxy.Silence(true)
		time.Sleep(silence) // the fault
		before := c.acknowledged()
		proxy.Silence(false)
		c.back(before)
		c.goOn(32)
	}
	c.close("")
}

// TestR16Stranded lets every connection fall silent for ever, as when a machine is
// gone or a firewall has forgotten them, while new ones go through: once, in the
// long form 5 times.
func TestR16Stranded(t *testing.T) {
	beside(t)
	times := size(1, 5)
	pg := pgtest.New(t, "max_connections=300") // whose sessions do not hear of it either
	url := pg.Database(t, "")
	proxy := pgtest.NewProxy(t, pg)
	c := newClinic(t, finding{Fault: "R16", What: "connections fall silent for ever", Times: times}, url, proxy.URL(t, url), 166)
	for range times {
		proxy.Strand()
		c.back(c.acknowledged())
		c.goOn(32)
	}
	c.close("")
}
