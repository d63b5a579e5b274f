//go:build linux

package torture

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store
)

// secretWord is the password in the address of the database. The server of the
// tests asks for none, so that nothing but the program could tell it.
const secretWord = "geheim-4711"

// recoveryLimit is how soon the plan wants the first event stored after the
// database is back. It is reported; a machine that is busy with other things may
// take up to slowLimit.
const (
	recoveryLimit = 5 * time.Second
	slowLimit     = 20 * time.Second
)

// clinic is a program on a server of PostgreSQL under the load of senders, whom
// somebody watches that looks at pages all the while.
type clinic struct {
	t       *testing.T
	house   *house
	direct  string // the address of the database, by no way round
	journal *journal
	server  *server
	crowd   *crowd
	watch   *onlooker
	found   finding
	began   time.Time

	slowest, sum  time.Duration // of the recoveries
	recoveries    int
	slowestToPage time.Duration
}

// newClinic starts the program on the database at direct, which it reaches at
// address, and the senders.
func newClinic(t *testing.T, f finding, direct, address string, stream uint64) *clinic {
	t.Helper()
	h := newHouse(t, t.TempDir())
	h.address = secretly(t, address)
	h.env = append(h.env, "AUDITADMIN_STATE_DIR="+filepath.Join(h.dir, "state"))
	c := &clinic{t: t, house: h, direct: direct, journal: newJournal(), found: f, began: time.Now()}
	c.server = h.open()
	c.watch = watch(t, c.server)
	c.crowd = gather(h, c.journal, 16, 100, random(t, stream))
	c.crowd.at(c.server)
	c.goOn(16)
	return c
}

// secretly puts a password into an address.
func secretly(t testing.TB, address string) string {
	t.Helper()
	before, after, found := strings.Cut(address, "postgres@")
	if !found {
		t.Fatalf("%s names no user", address)
	}
	return before + "postgres:" + secretWord + "@" + after
}

// goOn waits until so many batches more were acknowledged.
func (c *clinic) goOn(batches int64) {
	c.t.Helper()
	want := c.crowd.batches.Load() + batches
	if _, err := until(c.t.Context(), func() bool { return c.crowd.batches.Load() >= want || c.crowd.wrong.Load() > 0 }); err != nil {
		c.found.Wrong++
		c.t.Errorf("%d of %d batches: %v\n%s", c.crowd.batches.Load(), want, err, c.server.log())
	}
}

// acknowledged is how many batches there are when no more come, because nothing
// can be stored just now.
func (c *clinic) acknowledged() int64 {
	for n := c.crowd.batches.Load(); ; {
		time.Sleep(20 * time.Millisecond) // answers that were on their way
		if now := c.crowd.batches.Load(); now == n {
			return n
		} else {
			n = now
		}
	}
}

// back is called when the database can be used again, and measures how soon an
// event is stored and a page is shown. before is how many batches were acknowledged
// when nothing could be.
func (c *clinic) back(before int64) {
	c.t.Helper()
	c.stored(before)
	shown, err := until(c.t.Context(), func() bool {
		a, err := c.watch.person.get("/audit-logs")
		return err == nil && a.status == http.StatusOK
	})
	if err != nil || shown > slowLimit {
		c.found.Wrong++
		c.t.Errorf("after the database was back a page was shown after %s, %v, want within %s\n%s", shown, err, slowLimit, c.server.log())
	}
	c.slowestToPage = max(c.slowestToPage, shown)
}

// stored is back for events alone.
func (c *clinic) stored(before int64) {
	c.t.Helper()
	took, err := until(c.t.Context(), func() bool { return c.crowd.batches.Load() > before || c.crowd.wrong.Load() > 0 })
	if err != nil || took > slowLimit {
		c.found.Wrong++
		c.t.Errorf("after the database was back an event was stored after %s, %v, want within %s\n%s", took, err, slowLimit, c.server.log())
	}
	c.slowest, c.sum, c.recoveries = max(c.slowest, took), c.sum+took, c.recoveries+1
}

// close ends all of it, holds the database against the journal and reports.
func (c *clinic) close(note string) {
	c.t.Helper()
	judge(c.t, c.end(note))
}

// end is close without a line of its own in the table.
func (c *clinic) end(note string) finding {
	t := c.t
	t.Helper()
	c.goOn(16)
	c.crowd.leave()
	c.watch.leave()
	if c.watch.slowest > slowLimit {
		c.found.Wrong++
		t.Errorf("a page took %s", c.watch.slowest)
	}
	c.server.healthy()
	if strings.Contains(c.server.log(), secretWord) {
		c.found.Wrong++
		t.Errorf("the log tells the password:\n%s", c.server.log())
	}
	c.server.stop()
	if out := c.house.run("", "verify"); out == "" {
		t.Error("verify said nothing")
	}
	v := examinePostgres(t, c.house, c.direct, c.journal)
	c.found.add(v)
	for _, w := range v.wrong {
		t.Error(w)
	}
	c.found.Wrong += int(c.crowd.wrong.Load()) + c.watch.wrong
	c.found.Took = time.Since(c.began)
	c.found.Note = fmt.Sprintf("%d events, %d refused, %d sent again; %s", v.present, c.crowd.refused.Load(), c.crowd.again.Load(), c.watch.note())
	if c.recoveries > 0 {
		c.found.Note += fmt.Sprintf("; stored again after %d ms, at worst %d ms", (c.sum / time.Duration(c.recoveries)).Milliseconds(), c.slowest.Milliseconds())
		if c.slowest > recoveryLimit {
			c.found.Note += " (the plan says 5 s)"
		}
		if c.slowestToPage > 0 {
			c.found.Note += fmt.Sprintf(", a page after %d ms at worst", c.slowestToPage.Milliseconds())
		}
	}
	if note != "" {
		c.found.Note += "; " + note
	}
	for _, says := range c.watch.sentences() {
		t.Logf("pages said: %s", says)
	}
	t.Log(c.found.Note)
	return c.found
}

// examinePostgres is examine for a database on a server.
func examinePostgres(t testing.TB, h *house, address string, j *journal) verdict {
	t.Helper()
	raw, err := sql.Open("pgx", address+"&statement_timeout=0")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	return examineWith(context.WithoutCancel(t.Context()), address, filepath.Join(h.dir, "state"), raw, j)
}
