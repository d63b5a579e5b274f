//go:build linux

package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is many programs that send events, each batch again and again under the
// same event_ids until it is acknowledged.
type crowd struct {
	house   *house
	journal *journal
	base    atomic.Pointer[string] // where the server is just now
	next    atomic.Int64
	batches atomic.Int64 // acknowledged
	refused atomic.Int64 // answered, and not with 200
	again   atomic.Int64 // sent once more
	wrong   atomic.Int64 // answers that no server should give
	stop    chan struct{}
	work    sync.WaitGroup
}

// gather starts the senders. most bounds a batch.
func gather(h *house, j *journal, senders, most int, own *rand.Rand) *crowd {
	c := &crowd{house: h, journal: j, stop: make(chan struct{})}
	for range senders {
		r := rand.New(rand.NewPCG(own.Uint64(), 3))
		c.work.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for c.one(client, r, most) {
			}
		})
	}
	return c
}

// one sends one batch until it is acknowledged, and reports whether to go on.
func (c *crowd) one(client *http.Client, r *rand.Rand, most int) bool {
	n := batchSize(r, most)
	end := int(c.next.Add(int64(n)))
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = end - n + i
	}
	text := body(numbers)
	c.journal.mark(c.journal.sent, numbers...)
	for try := 0; ; try++ {
		select {
		case <-c.stop:
			return false
		default:
		}
		base := c.base.Load()
		if base == nil {
			continue
		}
		if try > 0 {
			c.again.Add(1)
		}
		status, s, header, err := send(client, *base, c.house.token, text)
		switch {
		case err != nil:
			time.Sleep(time.Duration(1+r.IntN(5)) * time.Millisecond) // as any client would before it tries again
			continue
		case status == http.StatusOK && s.Accepted+s.Duplicates == n && s.Conflicts == 0 && (try > 0 || s.Duplicates == 0):
			c.journal.mark(c.journal.acked, numbers...)
			c.batches.Add(1)
			return true
		case status == http.StatusServiceUnavailable && header.Get("Retry-After") != "", status == http.StatusTooManyRequests:
			c.refused.Add(1)
			time.Sleep(time.Duration(5+r.IntN(20)) * time.Millisecond)
		default:
			c.refused.Add(1)
			c.wrong.Add(1)
			c.house.t.Errorf("a batch of %d, try %d: got %d and %+v", n, try, status, s)
			return false
		}
	}
}

func (c *crowd) at(s *server) { c.base.Store(&s.url) }

// leave lets the senders stop where they are.
func (c *crowd) leave() {
	close(c.stop)
	c.work.Wait()
}

// TestR01Kill ends the server with SIGKILL again and again, 5 to 500 ms after it
// became ready, while 32 programs send batches of 1 to 1,000 events and repeat
// under the same event_ids whatever was not acknowledged: 10 kills, in the long
// form 1,000. Nothing may be lost, doubled or invented. How soon a new server is
// ready is reported; the plan says within a second.
func TestR01Kill(t *testing.T) {
	beside(t)
	kills, each := size(10, 1000), 50
	own := random(t, 1)
	f := finding{Fault: "R1", What: "kill -9 during ingest", Times: kills}
	began := time.Now()
	var slowest, all time.Duration
	events := 0
	for done := 0; done < kills; done += each { // a new database now and then, since disks end
		h := newHouse(t, t.TempDir())
		j := newJournal()
		s := h.open()
		c := gather(h, j, 32, 1000, own)
		for range min(each, kills-done) {
			c.at(s)
			time.Sleep(time.Duration(5+own.IntN(495)) * time.Millisecond) // the fault, not a wait for something
			s.kill()
			s.healthy()
			s = h.serve()
			slowest, all = max(slowest, s.ready), all+s.ready
		}
		c.at(s)
		want := c.batches.Load() + 32
		if _, err := until(t.Context(), func() bool { return c.batches.Load() >= want || c.wrong.Load() > 0 }); err != nil {
			t.Errorf("after the last kill: %v", err)
		}
		c.leave()
		s.stop()
		v := examine(t.Context(), h.db(), j)
		f.add(v)
		f.Wrong += int(c.wrong.Load())
		events += v.present
		for _, w := range v.wrong {
			t.Error(w)
		}
	}
	f.Took = time.Since(began)
	f.Note = fmt.Sprintf("%d events; ready after %d ms, at worst %d ms", events, (all / time.Duration(kills)).Milliseconds(), slowest.Milliseconds())
	judge(t, f)
}

// TestR15Restart asks the server to end, under the load of 32 programs: 5 times,
// in the long form 100. It ends by itself within 10 s with exit code 0, and
// nothing that was acknowledged is lost.
func TestR15Restart(t *testing.T) {
	beside(t)
	restarts := size(5, 100)
	own := random(t, 15)
	h := newHouse(t, t.TempDir())
	j := newJournal()
	s := h.open()
	c := gather(h, j, 32, 100, own)
	began := time.Now()
	var slowest time.Duration
	for range restarts {
		c.at(s)
		want := c.batches.Load() + 40
		if _, err := until(t.Context(), func() bool { return c.batches.Load() >= want || c.wrong.Load() > 0 }); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, s.stop())
		s.healthy()
		s = h.serve()
	}
	c.leave()
	s.stop()
	v := examine(t.Context(), h.db(), j)
	f := finding{Fault: "R15", What: "SIGTERM under load", Times: restarts, Took: time.Since(began)}
	f.add(v)
	f.Wrong += int(c.wrong.Load())
	if slowest > 10*time.Second {
		f.Wrong++
	}
	f.Note = fmt.Sprintf("%d events; ended within %d ms at worst", v.present, slowest.Milliseconds())
	judge(t, f)
	for _, w := range v.wrong {
		t.Error(w)
	}
}

// cutter stands between a program and the server and breaks the connection when
// the answer begins: the events are durable, and nobody was told.
type cutter struct {
	net.Listener
	to  atomic.Pointer[string]
	cut atomic.Bool
}

// redirect sends what comes from now on to another address.
func (c *cutter) redirect(to string) { c.to.Store(&to) }

func newCutter(t testing.TB, to string) *cutter {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l}
	c.redirect(to)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.carry(conn)
		}
	}()
	return c
}

func (c *cutter) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", *c.to.Load())
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := near.Read(buf)
			if n > 0 {
				if _, err := far.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := far.Read(buf)
		if c.cut.Load() || err != nil {
			return
		}
		if _, err := near.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestR20AnswerLost breaks the connection after the commit and before the
// answer: 200 times, in the long form 10,000. The program that sends again is
// told that it is a duplicate, the event stands at the same place of the ledger,
// and there is one.
func TestR20AnswerLost(t *testing.T) {
	beside(t)
	times := size(200, 10000)
	own := random(t, 20)
	h := newHouse(t, t.TempDir())
	j := newJournal()
	s := h.open()
	proxy := newCutter(t, s.url[len("http://"):])
	f := finding{Fault: "R20", What: "answer lost after the commit", Times: times}
	began := time.Now()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	next := 0
	place := func(n int) (seq string) {
		var list struct{ Items []struct{ Seq json.Number } }
		path := "/" + kindOf(n).Path() + ".json?q=request:" + markOf(n)
		if err := json.Unmarshal([]byte(s.get(path).body), &list); err != nil || len(list.Items) != 1 {
			t.Fatalf("GET %s: got %d events and %v, want 1", path, len(list.Items), err)
		}
		return list.Items[0].Seq.String()
	}
	for i := range times {
		n := batchSize(own, 20)
		numbers := make([]int, n)
		for i := range numbers {
			numbers[i] = next
			next++
		}
		j.mark(j.sent, numbers...)
		text := body(numbers)
		proxy.cut.Store(true)
		if status, _, _, err := send(client, "http://"+proxy.Addr().String(), h.token, text); err == nil {
			t.Fatalf("got %d through a connection that was cut", status)
		}
		proxy.cut.Store(false)
		look := i%50 == 0
		var before string
		if look {
			before = place(numbers[0])
		}
		status, st, _, err := send(client, "http://"+proxy.Addr().String(), h.token, text)
		if err != nil || status != http.StatusOK || st.Duplicates != n || st.Accepted != 0 || st.Conflicts != 0 {
			f.Wrong++
			t.Errorf("sent again: got %d, %+v, %v, want 200 and %d duplicates", status, st, err, n)
			continue
		}
		if look && place(numbers[0]) != before {
			f.Wrong++
			t.Errorf("event %d has moved in the ledger", numbers[0])
		}
		j.mark(j.acked, numbers...)
	}
	s.stop()
	f.add(examine(context.WithoutCancel(t.Context()), h.db(), j))
	f.Took, f.Note = time.Since(began), fmt.Sprintf("%d events", next)
	judge(t, f)
}
