package handlers

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/demo"
	"github.com/auditadmin/auditadmin/internal/query"
)

// BenchmarkPages asks for whole pages over HTTP on loopback, one client, and
// prints the median and the 95th percentile of each in milliseconds. The
// database holds AUDITADMIN_BENCH_EVENTS invented events, 130,000 if unset, of
// which about three quarters are audit logs.
//
//	make bench
func BenchmarkPages(b *testing.B) {
	events := 130_000
	if n, err := strconv.Atoi(os.Getenv("AUDITADMIN_BENCH_EVENTS")); err == nil {
		events = n
	}
	base, client, store := benchSite(b, events)
	for _, p := range benchPages(b, store) {
		b.Run(p.name, func(b *testing.B) {
			var took []time.Duration
			size := int64(0)
			for b.Loop() {
				start := time.Now()
				answer, err := client.Get(base + p.path)
				if err != nil {
					b.Fatal(err)
				}
				size, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				took = append(took, time.Since(start))
				if err != nil || answer.StatusCode != http.StatusOK {
					b.Fatalf("GET %s: %d, %v", p.path, answer.StatusCode, err)
				}
			}
			slices.Sort(took)
			milliseconds := func(share int) float64 { return float64(took[len(took)*share/100].Microseconds()) / 1000 }
			b.ReportMetric(milliseconds(50), "p50-ms")
			b.ReportMetric(milliseconds(95), "p95-ms")
			b.ReportMetric(float64(size)/1024, "KiB/page")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchSite serves a database of invented events to a signed-in client.
func benchSite(b *testing.B, events int) (base string, client *http.Client, store *db.Store) {
	b.Helper()
	ctx := context.Background()
	store, err := db.Open(ctx, filepath.Join(b.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	var batch []*audit.Event
	flush := func() {
		if _, err := store.Append(ctx, batch); err != nil {
			b.Fatal(err)
		}
		batch = batch[:0]
	}
	for e := range demo.Generate(1, events, time.Now()) {
		if err := e.Normalize(time.Now()); err != nil {
			b.Fatal(err)
		}
		if batch = append(batch, e); len(batch) == 1000 {
			flush()
		}
	}
	flush()
	if err := store.Index(ctx); err != nil {
		b.Fatal(err)
	}
	server, err := New(ctx, Config{Store: store, Version: "bench", KDF: quickKDF, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	hash, err := server.gate.Passwords().New(ctx, "vera", password)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := store.CreateAccount(ctx, db.CommandLine("bench"), "vera", db.RoleViewer, hash); err != nil {
		b.Fatal(err)
	}
	site := httptest.NewServer(server)
	b.Cleanup(site.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	client = &http.Client{Jar: jar}
	answer, err := client.PostForm(site.URL+"/login", url.Values{"username": {"vera"}, "password": {password}})
	if err != nil || answer.StatusCode != http.StatusOK {
		b.Fatalf("sign in: %v, %v", answer, err)
	}
	answer.Body.Close()
	return site.URL, client, store
}

type benchPage struct{ name, path string }

// benchPages picks real values, frequent and rare ones, from the database.
func benchPages(b *testing.B, store *db.Store) []benchPage {
	b.Helper()
	ctx := context.Background()
	sel, err := store.Select(ctx, &query.Filter{Kind: audit.KindAuditLog})
	if err != nil {
		b.Fatal(err)
	}
	count, err := sel.Count(ctx)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d audit logs", count.Value)
	users, err := sel.Facet(ctx, "user", 200)
	if err != nil {
		b.Fatal(err)
	}
	modules, err := sel.Facet(ctx, "module", 200)
	if err != nil {
		b.Fatal(err)
	}
	var deep *db.Stored
	n := int64(0)
	err = sel.Each(ctx, func(st *db.Stored) error {
		if n++; n >= count.Value/2 && st.Get("object_id") != "" && st.Get("changes") != "" {
			deep = st
			return io.EOF
		}
		return nil
	})
	if deep == nil {
		b.Fatal(err)
	}
	top, rare := users.Values[0].Value, users.Values[len(users.Values)-1].Value
	module := modules.Values[len(modules.Values)-1].Value
	day := deep.Time().Format("2006-01-02")
	id := strconv.FormatInt(deep.ID, 10)
	list := func(q string) string { return "/audit-logs?q=" + url.QueryEscape(q) }
	return []benchPage{
		{"list", "/audit-logs"},
		{"list deep", "/audit-logs?after=" + id},
		{"user frequent", list("user:" + query.Quote(top))},
		{"user rare", list("user:" + query.Quote(rare))},
		{"day", list("on:" + day)},
		{"three filters", list("action:UPDATE -user:" + query.Quote(top) + " module:" + query.Quote(module))},
		{"three filters, empty", list("action:DELETE user:" + query.Quote(rare) + " module:" + query.Quote(module) + " on:" + day)},
		{"search frequent", list("status")},
		{"search rare", list(query.Quote(deep.Get("object_repr")))},
		{"search absent", list("qqqzzzqqq")},
		{"search and filter", list("order user:" + query.Quote(top))},
		{"detail", "/audit-logs/" + id},
		{"object", "/objects?" + url.Values{"type": {deep.Get("content_type")}, "id": {deep.Get("object_id")}}.Encode()},
		{"user page", "/users?name=" + url.QueryEscape(top)},
		{"dashboard", "/"},
		{"login attempts", "/login-attempts"},
		{"system events", "/system-events?q=is:unresolved"},
		{"list.json", "/audit-logs.json?limit=100"},
		{"facets.json", "/audit-logs/facets.json?q=" + url.QueryEscape("user:"+query.Quote(top))},
		{"timeline.json", "/audit-logs/timeline.json?by=day"},
	}
}
