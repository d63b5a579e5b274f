package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/demo"
	"github.com/auditadmin/auditadmin/internal/handlers"
)

// benchEvents invents more than 100,000 audit logs and what goes with them.
const benchEvents = 135_000

// BenchmarkPages asks for each sort of page as somebody who is signed in, over
// a real connection, and reports the median and the slowest answer.
func BenchmarkPages(b *testing.B) {
	ctx := b.Context()
	store, err := db.Open(ctx, filepath.Join(b.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	now := time.Now()
	began, audits := now, 0
	var batch []*audit.Event
	for e := range demo.Generate(1, benchEvents, now) {
		if e.Kind == audit.KindAuditLog {
			audits++
		}
		if batch = append(batch, e); len(batch) == 1000 {
			if _, err := store.Append(ctx, batch); err != nil {
				b.Fatal(err)
			}
			batch = nil
		}
	}
	if err := store.Index(ctx); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d events, %d of them audit logs, stored in %.1f s", benchEvents, audits, time.Since(began).Seconds())

	site, err := handlers.New(ctx, handlers.Config{Store: store, Version: version, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(site)
	defer server.Close()
	get := signedInClient(b, store, server.URL)

	newest := func(kind audit.Kind, query string) string {
		var list struct{ Items []struct{ ID string } }
		if err := json.Unmarshal(get("/"+kind.Path()+".json?limit=1&q="+url.QueryEscape(query)), &list); err != nil || len(list.Items) == 0 {
			b.Fatalf("no %s matches %s: %v", kind, query, err)
		}
		return "/" + kind.Path() + "/" + list.Items[0].ID
	}
	list := func(query string) string { return "/audit-logs?q=" + url.QueryEscape(query) }
	for _, page := range []struct{ name, path string }{
		{"overview", "/"},
		{"list", "/audit-logs"},
		{"one filter", list("action:UPDATE")},
		{"two filters", list("action:UPDATE module:catalog")},
		{"rare combination", list("user:nina.rossi action:DELETE module:promotions")},
		{"a month", list("on:" + now.AddDate(0, -1, 0).Format("2006-01"))},
		{"a network", list("ip:2001:db8::/32 -module:auth")},
		{"search rare", list("casserole")},
		{"search frequent", list("example")},
		{"search absent", list("zeppelin")},
		{"text in a field", list("field:price new:18.90")},
		{"login attempts", "/login-attempts?q=status%3AFAILED"},
		{"unresolved", "/system-events?q=is%3Aunresolved"},
		{"event", newest(audit.KindAuditLog, "field:description action:UPDATE")},
		{"stack trace", newest(audit.KindSystemEvent, "event:ERROR")},
		{"object", "/objects?type=catalog.product&id=347"},
		{"user", "/users?name=maria.keller"},
		{"list as JSON", "/audit-logs.json?q=action%3AUPDATE"},
	} {
		b.Run(strings.ReplaceAll(page.name, " ", "-"), func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				get(page.path)
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "ms-p50")
			b.ReportMetric(ms(took[len(took)*99/100]), "ms-p99")
		})
	}
}

// signedInClient returns what fetches a page as a superuser.
func signedInClient(b *testing.B, store *db.Store, base string) func(path string) []byte {
	b.Helper()
	const name, password = "bench", "quince tart with 3 spoons"
	hash, err := authz.NewPasswords(nil).New(b.Context(), name, password)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := store.CreateAccount(b.Context(), db.CommandLine("bench"), name, db.RoleSuperuser, hash); err != nil {
		b.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	answer, err := client.PostForm(base+"/login", url.Values{"username": {name}, "password": {password}})
	if err != nil {
		b.Fatal(err)
	}
	answer.Body.Close()
	return func(path string) []byte {
		answer, err := client.Get(base + path)
		if err != nil {
			b.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", answer.Status)
		}
		if err != nil {
			b.Fatalf("%s: %v", path, err)
		}
		return body
	}
}
