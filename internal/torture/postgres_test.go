//go:build linux

package torture

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/pgtest"
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

// onlooker is somebody who is signed in and looks at pages without end. Each
// answer is the page, or 503 with a sentence that says why there is none.
type onlooker struct {
	t      testing.TB
	person *person
	stop   chan struct{}
	work   sync.WaitGroup

	mutex   sync.Mutex
	shown   int
	refused int
	slowest time.Duration
	wrong   int
	said    map[string]bool
}

func watch(t testing.TB, s *server) *onlooker {
	t.Helper()
	someone, err := s.signIn()
	if err != nil {
		t.Fatal(err)
	}
	o := &onlooker{t: t, person: someone, stop: make(chan struct{}), said: map[string]bool{}}
	o.work.Go(func() {
		for {
			for _, path := range []string{"/audit-logs", "/", "/login-attempts?q=user:user3", "/system-events.json?q=boom", "/audit-logs/facets.json", "/readyz"} {
				select {
				case <-o.stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				o.look(path)
			}
		}
	})
	return o
}

var (
	lead = regexp.MustCompile(`(?s)<h1>(.*?)</h1>.*?<p class="lead">(.*?)</p>`)
	tag  = regexp.MustCompile(`(?s)<[^>]*>`)
	// insides are words that only somebody would use who speaks of the program's
	// inside.
	insides = regexp.MustCompile(`SQLSTATE|SELECT |INSERT |pgx|pgconn|FATAL|goroutine|\.go:|127\.0\.0\.1|` + secretWord)
)

func (o *onlooker) look(path string) {
	a, err := o.person.get(path)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.slowest = max(o.slowest, a.took)
	complain := func(format string, args ...any) {
		if o.wrong++; o.wrong < 5 {
			o.t.Errorf("GET %s: %s", path, fmt.Sprintf(format, args...))
		}
	}
	switch {
	case err != nil:
		complain("%v", err)
	case a.status == http.StatusOK:
		o.shown++
	case a.status != http.StatusServiceUnavailable:
		complain("got %d, want 200 or 503; the server said:\n%s", a.status, strings.Join(regexp.MustCompile(`.*status=5(?:00|01).*`).FindAllString(o.person.server.log(), 3), "\n"))
	default:
		o.refused++
		says := a.body
		if m := lead.FindStringSubmatch(a.body); m != nil {
			says = m[1] + ": " + m[2]
		} else if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			complain("a page without a sentence: %.2000s", a.body)
			return
		}
		says = strings.Join(strings.Fields(tag.ReplaceAllString(says, "")), " ")
		says = regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(says, "")
		if path != "/readyz" && a.header.Get("Retry-After") == "" {
			complain("503 does not say when to come again")
		}
		if found := insides.FindString(says); found != "" || strings.Contains(a.body, secretWord) {
			complain("says %q: %s", found, says)
		}
		o.said[says] = true
	}
}

func (o *onlooker) leave() {
	close(o.stop)
	o.work.Wait()
}

func (o *onlooker) note() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return fmt.Sprintf("%d pages and %d refusals within %d ms", o.shown, o.refused, o.slowest.Milliseconds())
}

func (o *onlooker) sentences() []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var all []string
	for says := range o.said {
		all = append(all, says)
	}
	slices.Sort(all)
	return all
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
