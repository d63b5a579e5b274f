package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/demo"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 9)) }

// decoded are events as they come from a decoder, happening now.
func decoded(seed uint64, count int) ([]*audit.Event, error) {
	now := time.Now()
	var all []*audit.Event
	for e := range demo.Generate(seed, max(count, 60_000), now) {
		if e.Kind != audit.KindAuditLog {
			continue
		}
		e.SetTime(now.Add(time.Duration(len(all)) * time.Microsecond))
		e.Source = "bench"
		if err := e.Normalize(now); err != nil {
			return nil, err
		}
		if all = append(all, e); len(all) == count {
			break
		}
	}
	return all, nil
}

// append measures the store's append in this process, with everything on: in
// batches, and from 64 callers with one event each.
func (b *bench) append(ctx context.Context) error {
	b.stop()
	store, err := db.Open(ctx, b.file, db.Options{Schema: auditadmin.Schema, MustExist: true})
	if err != nil {
		return err
	}
	defer store.Close()
	events, err := decoded(55, 200_000)
	if err != nil {
		return err
	}
	if b.onServer() {
		if err := b.plain(ctx); err != nil {
			return err
		}
	}
	start := time.Now()
	for from := 0; from < len(events); from += 1000 {
		if _, err := store.Append(ctx, events[from:from+1000]); err != nil {
			return err
		}
	}
	acknowledged := time.Since(start)
	if err := store.Index(ctx); err != nil {
		return err
	}
	b.run.add(figure{Name: "append in batches of 1,000, durable", Unit: "events/s", Goal: "40,000", Value: float64(len(events)) / acknowledged.Seconds()})
	b.run.add(figure{Name: "the same until all of it is indexed", Unit: "events/s", Value: float64(len(events)) / time.Since(start).Seconds()})

	rate, took, err := singles(ctx, store, events, 64, 4*time.Second)
	if err != nil {
		return err
	}
	f := timing("", "", took)
	b.run.add(figure{Name: "append by 64 callers, one event each", Unit: "events/s", Goal: "15,000", Value: rate})
	b.run.add(figure{Name: "the same, p99 of a caller", Unit: "ms", Goal: "50", Value: percentile(took, 99), Most: f.Most})

	file := filepath.Join(b.dir, "import.ndjson")
	defer os.Remove(file)
	if err := writeTrail(file, 91, 60_000, time.Now(), nil); err != nil {
		return err
	}
	done := make(chan error, 1)
	importing, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	go func() {
		_, err := b.command(importing, "", "import", "--format", "ndjson", "--no-mask", "--db", b.file, file)
		done <- err
	}()
	rate, took, err = singles(ctx, store, events, 64, 4*time.Second)
	if err != nil {
		return err
	}
	b.run.add(figure{Name: "64 callers beside an import into the same file", Unit: "events/s", Goal: "15,000", Value: rate})
	timing("", "", took)
	b.run.add(figure{Name: "the same, p99 of a caller, beside an import", Unit: "ms", Goal: "50", Value: percentile(took, 99)})
	return <-done
}

// singles appends one event after another from many callers for a while.
func singles(ctx context.Context, store *db.Store, events []*audit.Event, callers int, length time.Duration) (rate float64, took []time.Duration, err error) {
	var all sync.Mutex
	var work sync.WaitGroup
	end := time.Now().Add(length)
	for i := range callers {
		work.Go(func() {
			var own []time.Duration
			for n := i; time.Now().Before(end); n += callers {
				start := time.Now()
				if _, failed := store.Append(ctx, events[n%len(events):n%len(events)+1]); failed != nil {
					all.Lock()
					err = failed
					all.Unlock()
					return
				}
				own = append(own, time.Since(start))
			}
			all.Lock()
			took = append(took, own...)
			all.Unlock()
		})
	}
	work.Wait()
	return float64(len(took)) / length.Seconds(), took, err
}

// writeTrail writes invented events as NDJSON, with each of them changed first.
func writeTrail(file string, seed uint64, count int, until time.Time, change func(*audit.Event)) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	var line []byte
	for e := range demo.Generate(seed, count, until) {
		if change != nil {
			change(e)
		}
		line = append(audit.AppendJSON(line, e, nil), '\n')
		if len(line) > 1<<20 {
			if _, err := out.Write(line); err != nil {
				return err
			}
			line = line[:0]
		}
	}
	if _, err := out.Write(line); err != nil {
		return err
	}
	return out.Close()
}
