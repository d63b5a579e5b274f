package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// TestMain is the shop itself where a test asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("SHOP_RUNS") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestKilled kills the shop with SIGKILL while four clerks take orders, again
// and again. Every order that was acknowledged has its event, every event its
// order, and each once.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	auditFile, shopFile := filepath.Join(dir, "audit.db"), filepath.Join(dir, "shop.db")
	start := func() *exec.Cmd {
		c := exec.Command(os.Args[0], "-addr", address, "-audit", auditFile, "-db", shopFile, "-spool", filepath.Join(dir, "spool"))
		c.Env = append(os.Environ(), "SHOP_RUNS=1")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if w, err := http.Get("http://" + address + "/healthz"); err == nil {
				w.Body.Close()
				return c
			}
			if time.Now().After(end) {
				_ = c.Process.Kill()
				t.Fatal("the shop does not answer")
			}
		}
	}

	var mutex sync.Mutex
	acknowledged := map[string]bool{} // the ids of orders
	for range 3 {
		c := start()
		ctx, stop := context.WithCancel(t.Context())
		var clerks sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for n := range 4 {
			clerks.Go(func() {
				v := newVisitor("http://"+address, fmt.Sprintf("203.0.113.%d", n+1), firefox)
				v.signIn(ctx, []string{"anna", "ben"}[n%2], staffPassword)
				for v.err == nil {
					id, ok := strings.CutPrefix(v.post(ctx, "/orders", "customer", "Lea", "product", "5", "quantity", "1"), "/orders/")
					if ok {
						mutex.Lock()
						acknowledged[id] = true
						mutex.Unlock()
						select {
						case enough <- struct{}{}:
						default:
						}
					}
				}
			})
		}
		for range 60 {
			<-enough
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		stop()
		clerks.Wait()
	}

	// The next start finds what was left in the inbox.
	c := start()
	store, err := db.Open(t.Context(), auditFile, db.Options{Schema: auditadmin.Schema})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	orders := rows(t, shopFile, "SELECT id FROM orders")
	for end := time.Now().Add(20 * time.Second); len(rows(t, shopFile, "SELECT id FROM auditadmin_inbox")) > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("the shop ended with %v", err)
	}
	for id := range acknowledged {
		if !orders[id] {
			t.Errorf("order %s was acknowledged and is not there", id)
		}
	}
	for id := range orders {
		if got := count(t, store, audit.KindAuditLog, "action:CREATE type:shop.order object:"+id); got != 1 {
			t.Errorf("order %s has %d events, want 1", id, got)
		}
	}
	if got := count(t, store, audit.KindAuditLog, "action:CREATE type:shop.order"); got != int64(len(orders)) {
		t.Errorf("%d events about %d orders", got, len(orders))
	}
	t.Logf("killed 3 times: %d orders, %d of them acknowledged, each with one event", len(orders), len(acknowledged))
}

// rows returns the first column of what a query of the shop's database finds.
func rows(t *testing.T, file, statement string) map[string]bool {
	t.Helper()
	pool, err := sql.Open("sqlite3", file+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	found, err := pool.Query(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	all := map[string]bool{}
	for found.Next() {
		var value string
		if err := found.Scan(&value); err != nil {
			t.Fatal(err)
		}
		all[value] = true
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
