package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/handlers"
	"github.com/auditadmin/auditadmin/internal/query"
)

// want is what one day in the shop leaves in the audit database: queries as
// somebody types them, and how many events each finds.
var want = []struct {
	kind  audit.Kind
	query string
	count int64
	what  string
}{
	// Changes, seen by the plugin.
	{audit.KindAuditLog, "action:CREATE type:shop.order user:ben module:shop", 3, "orders taken; the one that failed left nothing"},
	{audit.KindAuditLog, `action:CREATE type:shop.order new:"Lea Martin" repr:"Order 1"`, 1, "with its values"},
	{audit.KindAuditLog, "action:UPDATE type:shop.order user:ben field:status", 3, "changes of a status"},
	{audit.KindAuditLog, `action:UPDATE type:shop.order reason:"found it cheaper" new:refunded`, 1, "with its reason"},
	{audit.KindAuditLog, `action:UPDATE type:shop.product user:ben field:stock`, 3, "stock, by an expression in SQL"},
	{audit.KindAuditLog, `action:UPDATE type:shop.product user:anna field:price reason:"tariff of the potter"`, 5, "five products by one statement of raw SQL"},
	{audit.KindAuditLog, `action:DELETE type:shop.order user:ben reason:"ordered twice"`, 1, "a soft deletion"},
	{audit.KindAuditLog, "type:shop.order_line", 0, "a type that is skipped"},
	{audit.KindAuditLog, "action:CREATE type:shop.staff", 0, "what the shop began with was paused"},
	// What the application says.
	{audit.KindAuditLog, "action:VIEW type:shop.order user:ben", 1, "a view"},
	{audit.KindAuditLog, "action:PERMISSION_CHANGE user:anna object:3 reason:June", 2, "roles"},
	{audit.KindAuditLog, "action:LOGOUT", 2, "sign-outs"},
	{audit.KindAuditLog, "type:shop.staff field:password_hash user:anna", 1, "a password"},
	{audit.KindAuditLog, "type:shop.staff old:*** new:***", 1, "which is masked"},
	{audit.KindAuditLog, "bcrypt", 0, ""},
	{audit.KindAuditLog, `"4111 1111"`, 0, "the number of a card is masked"},
	{audit.KindAuditLog, "source:shop ip:198.51.100.0/24 user:ben action:CREATE,UPDATE,DELETE", 10, "from where, behind the proxy"},
	{audit.KindAuditLog, `request:"" -module:auditadmin`, 0, "every event knows its request"},
	// Sign-ins.
	{audit.KindLoginAttempt, "user:ben status:SUCCESS", 1, ""},
	{audit.KindLoginAttempt, "user:ben status:FAILED", 1, ""},
	{audit.KindLoginAttempt, "user:carla status:FAILED ip:192.0.2.66 agent:requests", 5, "guesses"},
	{audit.KindLoginAttempt, "user:carla status:BLOCKED", 2, ""},
	// Exports.
	{audit.KindDataExport, "user:anna format:CSV export:Orders rows:2 size:>50", 1, "everything that is not deleted"},
	{audit.KindDataExport, "user:anna rows:1", 1, "those that were sent"},
	// System events.
	{audit.KindSystemEvent, `event:ERROR user:anna "nil pointer"`, 1, "the page that panics"},
	{audit.KindSystemEvent, "event:PERFORMANCE user:anna", 1, "the slow page"},
	{audit.KindSystemEvent, "event:ERROR code:WAREHOUSE_TIMEOUT user:ben checkStock", 1, "an error in the log"},
	{audit.KindSystemEvent, `event:WARNING user:ben "page of managers"`, 1, "a warning in the log"},
	{audit.KindSystemEvent, "event:SECURITY ip:203.0.113.24,198.51.100.7", 0, "staff are no attackers"},
}

// TestShop has everybody's day in the shop, with the events in a file, and with
// them sent to a server; then it looks for each.
func TestShop(t *testing.T) {
	for _, way := range []string{"file", "server"} {
		t.Run(way, func(t *testing.T) {
			ctx := t.Context()
			path := filepath.Join(t.TempDir(), "audit.db")
			c := config{database: filepath.Join(t.TempDir(), "shop.db"), spool: filepath.Join(t.TempDir(), "spool"), slowRequest: 500 * time.Millisecond}
			source := "shop"
			if way == "file" {
				sink, err := auditdb.Open(ctx, path)
				if err != nil {
					t.Fatal(err)
				}
				defer sink.Close()
				c.sink = sink
			} else {
				c.sink = serve(t, path)
				source = "tea" // the name of the token
			}
			s, err := open(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			web := httptest.NewServer(s.routes())
			defer web.Close()
			if err := visit(ctx, web.URL); err != nil {
				t.Fatal(err)
			}
			web.Close()
			if err := s.close(ctx); err != nil {
				t.Fatal(err)
			}

			store, err := db.Open(ctx, path, db.Options{Schema: auditadmin.Schema})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			if err := store.Index(ctx); err != nil {
				t.Fatal(err)
			}
			for _, w := range want {
				q := strings.Replace(w.query, "source:shop", "source:"+source, 1)
				if got := count(t, store, w.kind, q); got != w.count {
					t.Errorf("%s %s: got %d events, want %d (%s)", w.kind, q, got, w.count, w.what)
				}
			}
			if got := count(t, store, audit.KindSystemEvent, "event:SECURITY ip:192.0.2.200"); got < 3 {
				t.Errorf("got %d events about the attacker, want several", got)
			}
			stats := s.recorder.Stats()
			if stats.Failed != 0 || stats.Rejected != 0 || stats.Waiting != 0 || stats.Dropped != 0 {
				t.Errorf("the recorder lost something: %+v", stats)
			}
			summary, err := store.Summary(ctx, 30, "anna")
			if err != nil {
				t.Fatal(err)
			}
			if summary.Logins != 1 || summary.Updates < 8 {
				t.Errorf("anna's summary: got %+v", summary)
			}
		})
	}
}

func count(t *testing.T, store *db.Store, kind audit.Kind, q string) int64 {
	t.Helper()
	f, err := query.Parse(kind, q, query.Options{Now: time.Now()})
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	selection, err := store.Select(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	n, err := selection.Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n.Value
}

// serve starts an audit server over a database and returns the way to it.
func serve(t *testing.T, path string) audit.Sink {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	store, err := db.Open(ctx, path, db.Options{Schema: auditadmin.Schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	secret, hash := authz.NewToken()
	if _, err := store.CreateToken(ctx, db.CommandLine("tester"), "tea", authz.ScopeIngest, hash, time.Time{}); err != nil {
		t.Fatal(err)
	}
	site, err := handlers.New(ctx, handlers.Config{Store: store, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	remote, err := audit.NewRemote(server.URL, secret)
	if err != nil {
		t.Fatal(err)
	}
	return remote
}

// TestSecondStart opens a shop again that was there before.
func TestSecondStart(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	for range 2 {
		sink, err := auditdb.Open(ctx, filepath.Join(dir, "audit.db"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := open(ctx, config{database: filepath.Join(dir, "shop.db"), spool: filepath.Join(dir, "spool"), sink: sink, slowRequest: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		web := &http.Server{Handler: s.routes()}
		go web.Serve(listener)
		v := newVisitor("http://"+listener.Addr().String(), "203.0.113.24", firefox)
		v.signIn(ctx, "anna", staffPassword)
		if next := v.get(ctx, "/admin"); next != "" || v.err != nil {
			t.Errorf("the administration leads to %q, %v", next, v.err)
		}
		web.Close()
		if err := s.close(ctx); err != nil {
			t.Error(err)
		}
		sink.Close()
	}
}
