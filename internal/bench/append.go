package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/demo"
	"github.com/auditadmin/auditadmin/internal/handlers"
	"github.com/auditadmin/auditadmin/internal/query"
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

// work compares what the server does for a page, from handler to last byte and
// without a network, with the bare access to the data that is on it.
func (b *bench) work(ctx context.Context) error {
	if err := b.ready(ctx); err != nil { // for the account, and for values to ask for
		return err
	}
	b.stop()
	store, err := db.Open(ctx, b.file, db.Options{Schema: auditadmin.Schema, MustExist: true})
	if err != nil {
		return err
	}
	defer store.Close()
	server, err := handlers.New(ctx, handlers.Config{Store: store, Version: "bench", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	here := &url.URL{Scheme: "http", Host: b.addr}
	serve := func(r *http.Request) *quietWriter {
		r.Host, r.RemoteAddr = b.addr, "127.0.0.1:40000"
		for _, c := range jar.Cookies(here) {
			r.AddCookie(c)
		}
		w := &quietWriter{header: http.Header{}}
		server.ServeHTTP(w, r)
		return w
	}
	form := httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", strings.NewReader(url.Values{"username": {account}, "password": {password}}.Encode()))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := serve(form)
	jar.SetCookies(here, (&http.Response{Header: answer.header}).Cookies())

	raw, err := sql.Open("sqlite3", "file:"+b.file+"?mode=ro&_query_only=1&_mutex=no&_stmt_cache_size=64")
	if err != nil {
		return err
	}
	defer raw.Close()
	for _, c := range []struct {
		name string
		q    func() string
	}{
		{"a list", func() string { return "" }},
		{"one filter", func() string { return b.draw.terms(1, false) }},
		{"two to four filters", func() string { return b.draw.terms(2+b.draw.IntN(3), false) }},
	} {
		var page, access, rows []time.Duration
		var before, after runtime.MemStats
		mallocs, allocated, written := uint64(0), uint64(0), 0
		for i := range 120 {
			q := c.q()
			ids, t, err := dataAccess(ctx, store, q)
			if err != nil {
				return err
			}
			bare, err := selectRows(ctx, raw, ids)
			if err != nil {
				return err
			}
			request := httptest.NewRequestWithContext(ctx, http.MethodGet, list(q), nil)
			runtime.ReadMemStats(&before)
			start := time.Now()
			w := serve(request)
			d := time.Since(start)
			runtime.ReadMemStats(&after)
			if w.status != 0 && w.status != http.StatusOK {
				return fmt.Errorf("GET %s: %d", request.URL, w.status)
			}
			if i < 20 {
				continue // warm
			}
			mallocs += after.Mallocs - before.Mallocs
			allocated += after.TotalAlloc - before.TotalAlloc
			written += w.size
			page, access, rows = append(page, d), append(access, t), append(rows, bare)
		}
		n := float64(len(page))
		p, a, r := timing("", "", page), timing("", "", access), timing("", "", rows)
		b.run.add(figure{Name: "server work, " + c.name, Unit: "ms", Value: p.Value, P50: p.P50, N: p.N})
		b.run.add(figure{Name: "its rows by SQL alone, " + c.name, Unit: "ms", Value: r.Value, P50: r.P50, N: r.N})
		b.run.add(figure{Name: "all its data from the store, " + c.name, Unit: "ms", Value: a.Value, P50: a.P50, N: a.N})
		b.run.add(figure{Name: "server work over data access, " + c.name, Unit: "times", Goal: "2", Value: p.P50 / a.P50})
		b.run.add(figure{Name: "allocations of a page, " + c.name, Unit: "allocations", Value: float64(mallocs) / n})
		b.run.add(figure{Name: "allocated for a page, " + c.name, Unit: "KiB", Value: float64(allocated) / n / 1024})
		b.run.add(figure{Name: "size of a page, " + c.name, Unit: "KiB", Value: float64(written) / n / 1024})
	}
	return nil
}

// quietWriter counts what is written to it.
type quietWriter struct {
	header http.Header
	status int
	size   int
}

func (w *quietWriter) Header() http.Header         { return w.header }
func (w *quietWriter) WriteHeader(status int)      { w.status = status }
func (w *quietWriter) Write(p []byte) (int, error) { w.size += len(p); return len(p), nil }

// dataAccess asks the store for everything that a list shows, and returns the
// ids of its rows.
func dataAccess(ctx context.Context, store *db.Store, q string) (ids []any, took time.Duration, err error) {
	start := time.Now()
	f, err := query.Parse(audit.KindAuditLog, q, query.Options{Now: start})
	if err != nil {
		return nil, 0, err
	}
	sel, err := store.Select(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	rows, err := sel.List(ctx, db.Page{Limit: 100})
	if err != nil {
		return nil, 0, err
	}
	if _, err := sel.Count(ctx); err != nil {
		return nil, 0, err
	}
	if _, err := sel.Facets(ctx, 8); err != nil {
		return nil, 0, err
	}
	if _, err := sel.Timeline(ctx, db.ByMonth); err != nil {
		return nil, 0, err
	}
	took = time.Since(start)
	for _, st := range rows.Items {
		ids = append(ids, st.ID)
	}
	return ids, took, nil
}

// selectRows reads rows by their ids, and nothing else.
func selectRows(ctx context.Context, raw *sql.DB, ids []any) (time.Duration, error) {
	start := time.Now()
	if len(ids) == 0 {
		return time.Since(start), nil
	}
	rows, err := raw.QueryContext(ctx, "SELECT * FROM audit_log WHERE id IN (?"+strings.Repeat(",?", len(ids)-1)+") ORDER BY id DESC", ids...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	values := make([]sql.RawBytes, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return 0, err
		}
	}
	return time.Since(start), rows.Err()
}
