package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/demo"
)

// start is how long a server takes from its start to the last byte of its
// first page, and what it keeps in memory then and later.
func (b *bench) start(ctx context.Context) error {
	if err := b.serve(ctx); err != nil { // to be signed in
		return err
	}
	var took []time.Duration
	for range 5 {
		b.stop()
		begin := time.Now()
		s := b.site
		s.server = exec.Command(b.program, "serve", "--db", b.file, "--addr", b.addr)
		if err := s.server.Start(); err != nil {
			return err
		}
		if err := s.first(ctx); err != nil {
			return err
		}
		if took = append(took, time.Since(begin)); took[0] > 10*time.Second {
			break // one is enough
		}
	}
	slices.Sort(took)
	b.run.add(figure{Name: "from start to the first page", Unit: "ms", Goal: "300", Value: percentile(took, 50)})
	if err := b.ready(ctx); err != nil {
		return err
	}
	events := 0
	for _, kind := range audit.Kinds() {
		n, err := b.count(ctx, kind, "")
		if err != nil {
			return err
		}
		events += n
	}
	if !b.onServer() {
		b.run.add(figure{Name: "all files, by event", Unit: "bytes", Goal: "950", Value: float64(bytesOf(b.file)) / float64(events)})
	}
	rest(ctx, b.site.server.Process.Pid)
	b.run.add(figure{Name: "anonymous memory at rest", Unit: "MiB", Goal: "", Value: b.site.anonymous()})
	return nil
}

// first waits for the first page of a server that was just started.
func (s *site) first(ctx context.Context) error {
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		_, _, err := s.get(ctx, "/audit-logs")
		if err == nil || time.Since(begin) > 5*time.Minute || ctx.Err() != nil {
			return err
		}
	}
}

// mix is the classes that people ask for most.
func (b *bench) mix() []class {
	var mix []class
	for _, c := range classes {
		switch c.name {
		case "list", "next page, any depth", "one filter", "two to four filters", "one day", "one event":
			mix = append(mix, c)
		}
	}
	return mix
}

// clients lets so many clients ask for a mix of pages for a while, and returns how
// many they got and how long each took.
func (b *bench) clients(ctx context.Context, clients int, mix []class, length time.Duration) (took []time.Duration, err error) {
	ctx, stop := context.WithTimeout(ctx, length+time.Minute)
	defer stop()
	var all sync.Mutex
	var work sync.WaitGroup
	end := time.Now().Add(length)
	for i := range clients {
		d := *b.draw
		d.Rand = newRand(uint64(100 + i))
		work.Go(func() {
			var own []time.Duration
			for n := i; time.Now().Before(end); n++ {
				t, _, failed := b.site.get(ctx, mix[n%len(mix)].path(&d))
				if failed != nil {
					all.Lock()
					err = failed
					all.Unlock()
					return
				}
				own = append(own, t)
			}
			all.Lock()
			took = append(took, own...)
			all.Unlock()
		})
	}
	work.Wait()
	return took, err
}

// readers compares two clients with one.
func (b *bench) readers(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	const length = 6 * time.Second
	var rate [3]float64
	for _, n := range []int{1, 2} {
		took, err := b.clients(ctx, n, b.mix(), length)
		if err != nil {
			return err
		}
		rate[n] = float64(len(took)) / length.Seconds()
	}
	b.run.add(figure{Name: "pages a second, one client", Unit: "pages/s", Value: rate[1]})
	b.run.add(figure{Name: "two clients over one", Unit: "times", Goal: "1.9", Value: rate[2] / rate[1]})
	b.run.add(figure{Name: "anonymous memory under load", Unit: "MiB", Goal: map[int]string{100_000: "64", 10_000_000: "400"}[b.size], Value: b.site.anonymous()})
	return nil
}

// bodies are requests with so many events each, for ingest. They have no time,
// so that they happen when they arrive.
func bodies(count, events int) [][]byte {
	var all [][]byte
	var body []byte
	n := 0
	for e := range demo.Generate(77, count*events, time.Now()) {
		if e.Kind != audit.KindAuditLog {
			continue
		}
		e.Set("timestamp", "")
		body = append(audit.AppendJSON(body, e, nil), '\n')
		if n++; n%events == 0 {
			all = append(all, body)
			body = nil
		}
	}
	return all
}

// post sends events to the server.
func (s *site) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/api/v1/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("POST /api/v1/events: %s", answer.Status)
	}
	return nil
}

// writer asks for lists while events arrive as fast as they are taken.
func (b *bench) writer(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	mix := b.mix()[:1]
	const length = 8 * time.Second
	idle, err := b.clients(ctx, 1, mix, length/2)
	if err != nil {
		return err
	}
	quiet := timing("", "", idle)
	load := bodies(60, 1000)
	var sent atomic.Int64
	writing, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for i := 0; writing.Err() == nil; i++ {
			if err := b.site.post(writing, load[i%len(load)]); err != nil {
				if writing.Err() == nil {
					failed <- err
				}
				return
			}
			sent.Add(1000)
		}
	}()
	most := 0.0
	var busy []time.Duration
	for range 4 {
		took, err := b.clients(ctx, 1, mix, length/4)
		if err != nil {
			return err
		}
		busy = append(busy, took...)
		most = max(most, b.site.anonymous())
	}
	stop()
	if err := <-failed; err != nil {
		return err
	}
	beside := timing("list beside a writer at full speed", "", busy)
	b.run.add(beside)
	behind, err := b.clients(ctx, 1, mix, length/4) // as a rule there are some events that no file has yet
	if err != nil {
		return err
	}
	b.run.add(timing("list right after it", "15", behind))
	b.run.add(figure{Name: "list beside a writer over idle, p95", Unit: "times", Goal: "1.6", Value: beside.Value / quiet.Value})
	b.run.add(figure{Name: "events over HTTP meanwhile", Unit: "events/s", Value: float64(sent.Load()) / length.Seconds()})
	b.run.add(figure{Name: "anonymous memory beside a writer", Unit: "MiB", Goal: map[int]string{100_000: "64", 10_000_000: "400"}[b.size], Value: most})
	return nil
}
