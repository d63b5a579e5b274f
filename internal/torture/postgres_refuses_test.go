//go:build linux

package torture

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestR16NoConnectionLeft restarts a server whose connections are taken by others
// as soon as there are any: once for a second, in the long form 5 times for 5.
func TestR16NoConnectionLeft(t *testing.T) {
	beside(t)
	times, length := size(1, 5), time.Second
	if shop.scale > 0 {
		length = 5 * time.Second
	}
	pg := pgtest.New(t, "max_connections=24", "superuser_reserved_connections=3")
	url := pg.Database(t, "")
	proxy := pgtest.NewProxy(t, pg)
	pg.Exec(t, "CREATE ROLE hog LOGIN")
	c := newClinic(t, finding{Fault: "R16", What: "others take all connections", Times: times}, url, proxy.URL(t, url), 167)
	for range times {
		proxy.Refuse(t, true)
		proxy.Cut()
		leave := crowdOut(t, url)
		proxy.Refuse(t, false)
		time.Sleep(length) // the fault
		before := c.acknowledged()
		leave()
		c.back(before)
		c.goOn(32)
	}
	if says := strings.Join(c.watch.sentences(), "\n"); !strings.Contains(says, "no connection left") {
		t.Errorf("no page said that no connection is left:\n%s", says)
	}
	c.close("")
}

// crowdOut takes every connection that a server has left, and returns what gives
// them back.
func crowdOut(t testing.TB, address string) (leave func()) {
	t.Helper()
	type hog struct {
		*sql.DB
		conns []*sql.Conn
	}
	var hogs []*hog
	for _, user := range []string{"hog", "postgres"} { // also those kept for superusers, as whom the program comes
		h := &hog{DB: pgtest.Open(t, strings.Replace(address, "postgres@", user+"@", 1))}
		hogs = append(hogs, h)
		if _, err := until(t.Context(), func() bool {
			conn, err := h.Conn(t.Context())
			if err == nil {
				h.conns = append(h.conns, conn)
			}
			return err != nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, h := range hogs {
			h.Close()
			for _, conn := range h.conns {
				conn.Close()
			}
		}
	}
}

// TestR16HeadLocked lets somebody hold the row that every append locks: once for a
// second, in the long form also for 6 and for 20.
func TestR16HeadLocked(t *testing.T) {
	beside(t)
	locks := []time.Duration{time.Second}
	if shop.scale > 0 {
		locks = append(locks, 6*time.Second, 20*time.Second)
	}
	pg := pgtest.New(t)
	url := pg.Database(t, "")
	c := newClinic(t, finding{Fault: "R16", What: "the ledger's head is locked", Times: len(locks)}, url, url, 168)
	other := pgtest.Open(t, url)
	for _, lock := range locks {
		tx, err := other.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "SELECT seq FROM head WHERE id = 1 FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lock) // the fault
		before := c.acknowledged()
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		c.back(before)
		c.goOn(32)
	}
	c.close("")
}

// TestR16Cancelled ends what the program does just now again and again, statements
// and whole sessions by turns, on a server that gives a statement a millisecond
// unless a program says otherwise: 20 times, in the long form 500.
func TestR16Cancelled(t *testing.T) {
	beside(t)
	times := size(20, 500)
	pg := pgtest.New(t)
	address := pg.Database(t, "")
	c := newClinic(t, finding{Fault: "R16", What: "statements and sessions are ended", Times: times}, address, address, 169)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	pg.Exec(t, "ALTER DATABASE "+strings.TrimPrefix(u.Path, "/")+" SET statement_timeout = '1ms'")
	other := pgtest.Open(t, pg.URL())
	for i := range times {
		end := "pg_cancel_backend"
		if i%2 == 1 {
			end = "pg_terminate_backend"
		}
		if _, err := other.ExecContext(t.Context(), "SELECT "+end+"(pid) FROM pg_stat_activity WHERE application_name = 'auditadmin' AND state <> 'idle'"); err != nil {
			t.Fatal(err)
		}
		c.back(c.crowd.batches.Load())
	}
	c.close("")
}

// TestR16ReadOnly makes the server refuse to write for a while: twice, in the long
// form 20 times. Pages go on.
func TestR16ReadOnly(t *testing.T) {
	beside(t)
	times := size(2, 20)
	pg := pgtest.New(t)
	url := pg.Database(t, "")
	c := newClinic(t, finding{Fault: "R16", What: "the server is read-only", Times: times}, url, url, 170)
	for range times {
		pg.Set(t, "default_transaction_read_only", "on")
		before := c.acknowledged()
		for range 20 {
			if a, err := c.watch.person.get("/audit-logs"); err != nil || a.status != http.StatusOK {
				c.found.Wrong++
				t.Errorf("a page while nothing can be written: got %d, %v, want 200", a.status, err)
			}
		}
		pg.Set(t, "default_transaction_read_only", "off")
		c.back(before)
		c.goOn(32)
	}
	c.close("")
}
