package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/handlers"
	"github.com/auditadmin/auditadmin/internal/query"
)

// work compares what the server does for a page, from handler to last byte and
// without a network, with the bare access to the data that is on it.
func (b *bench) work(ctx context.Context) error {
	h, err := b.here(ctx)
	if err != nil {
		return err
	}
	defer h.store.Close()
	raw, err := b.bare()
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
			ids, t, err := dataAccess(ctx, h.store, q)
			if err != nil {
				return err
			}
			bare, err := b.selectRows(ctx, raw, ids)
			if err != nil {
				return err
			}
			request := httptest.NewRequestWithContext(ctx, http.MethodGet, list(q), nil)
			runtime.ReadMemStats(&before)
			start := time.Now()
			w := h.serve(request)
			d := time.Since(start)
			runtime.ReadMemStats(&after)
			if err := w.failure(request); err != nil {
				return err
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

// here is the server within this process, and a client that is signed in.
type here struct {
	store  *db.Store
	server *handlers.Server
	jar    *cookiejar.Jar
	url    *url.URL
}

// here opens the database in this process, instead of in a server's.
func (b *bench) here(ctx context.Context) (*here, error) {
	if err := b.ready(ctx); err != nil { // for the account, and for values to ask for
		return nil, err
	}
	b.stop()
	store, err := db.Open(ctx, b.file, db.Options{Schema: auditadmin.Schema, MustExist: true, Served: true})
	if err != nil {
		return nil, err
	}
	h := &here{store: store, url: &url.URL{Scheme: "http", Host: b.addr}}
	if h.server, err = handlers.New(ctx, handlers.Config{Store: store, Version: "bench", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}); err == nil {
		h.jar, err = cookiejar.New(nil)
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	form := httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", strings.NewReader(url.Values{"username": {account}, "password": {password}}.Encode()))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h.jar.SetCookies(h.url, (&http.Response{Header: h.serve(form).header}).Cookies())
	rest(ctx, os.Getpid())
	return h, nil
}

func (h *here) serve(r *http.Request) *quietWriter {
	r.Host, r.RemoteAddr = h.url.Host, "127.0.0.1:40000"
	for _, c := range h.jar.Cookies(h.url) {
		r.AddCookie(c)
	}
	w := &quietWriter{header: http.Header{}}
	h.server.ServeHTTP(w, r)
	return w
}

// profile asks for each class in this process and writes where the time goes:
// go tool pprof -top FILE.
func (b *bench) profile(ctx context.Context) error {
	if b.profiles == "" {
		return nil
	}
	wanted, err := regexp.Compile(b.profiles)
	if err != nil {
		return err
	}
	h, err := b.here(ctx)
	if err != nil {
		return err
	}
	defer h.store.Close()
	for _, c := range classes {
		if !wanted.MatchString(c.name) {
			continue
		}
		for range 10 {
			h.serve(httptest.NewRequestWithContext(ctx, http.MethodGet, c.path(b.draw), nil))
		}
		file := filepath.Join(b.dir, strings.Map(func(r rune) rune {
			if r == ' ' || r == ',' {
				return '-'
			}
			return r
		}, c.name)+"-"+strconv.Itoa(b.size)+".prof")
		out, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		for range b.asks {
			request := httptest.NewRequestWithContext(ctx, http.MethodGet, c.path(b.draw), nil)
			if err = h.serve(request).failure(request); err != nil {
				break
			}
		}
		pprof.StopCPUProfile()
		if closed := out.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "  "+file)
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

func (w *quietWriter) failure(r *http.Request) error {
	if w.status != 0 && w.status != http.StatusOK {
		return fmt.Errorf("GET %s: %d", r.URL, w.status)
	}
	return nil
}

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
func (b *bench) selectRows(ctx context.Context, raw *sql.DB, ids []any) (time.Duration, error) {
	start := time.Now()
	if len(ids) == 0 {
		return time.Since(start), nil
	}
	rows, err := raw.QueryContext(ctx, b.bareRows(len(ids)), ids...)
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
