package pgtest_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// value reads one value, and must read.
func value(t *testing.T, db *sql.DB, query string, args ...any) (text string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name     string
		settings []string
		show     map[string]string
	}{
		{"none", nil, map[string]string{"fsync": "off", "synchronous_commit": "on", "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}},
		{"some", []string{"fsync=on", "synchronous_commit=off", "max_connections=9", "max_wal_senders=3", "application_name=it's me"},
			map[string]string{"fsync": "on", "synchronous_commit": "off", "max_connections": "9", "application_name": "it's me"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db := pgtest.Open(t, pgtest.New(t, test.settings...).URL())
			for name, want := range test.show {
				expect(t, name, value(t, db, "SELECT current_setting($1)", name), want)
			}
		})
	}
}

// TestDatabases holds that a test gets a database of its own, as it was prepared,
// and leaves none behind.
func TestDatabases(t *testing.T) {
	s := pgtest.Shared(t)
	s.Template(t, "prepared", func(url string) {
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		execute(t, db, "CREATE TABLE v (v int)", "INSERT INTO v VALUES (1)")
	})
	s.Template(t, "prepared", func(string) { t.Error("it was made before") })
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.Open(t, s.Database(t, "prepared"))
			expect(t, "rows", value(t, db, "SELECT count(*) FROM v"), "1")
			execute(t, db, "INSERT INTO v VALUES (2)")
			empty := pgtest.Open(t, s.Database(t, ""))
			expect(t, "tables", value(t, empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0")
		})
	}
	db := pgtest.Open(t, s.URL())
	expect(t, "databases", value(t, db, "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"), "postgres prepared template0 template1")
}

// TestLives holds what a stop, a restart and a crash do to what was committed and
// what was not, and that new settings hold when Set returns.
func TestLives(t *testing.T) {
	s := pgtest.New(t)
	db := pgtest.Open(t, s.URL())
	execute(t, db, "CREATE TABLE v (v int)")
	ends := []struct {
		name string
		end  func()
	}{
		{"restart", func() { s.Restart(t) }},
		{"stop and start", func() { s.Stop(t); s.Start(t) }},
		{"kill and start", func() { s.Kill(t); s.Start(t) }},
		{"kill twice", func() { s.Kill(t); s.Start(t); s.Kill(t); s.Start(t) }},
	}
	for _, test := range ends {
		t.Run(test.name, func(t *testing.T) {
			execute(t, db, "TRUNCATE v", "INSERT INTO v VALUES (1)")
			open, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open.Exec("INSERT INTO v VALUES (2)"); err != nil {
				t.Fatal(err)
			}
			started := value(t, db, "SELECT pg_postmaster_start_time()::text")
			test.end()
			if err := open.Commit(); err == nil {
				t.Error("a transaction outlived its server")
			}
			fresh := pgtest.Open(t, s.URL())
			expect(t, "rows", value(t, fresh, "SELECT string_agg(v::text, ' ') FROM v"), "1")
			if again := value(t, fresh, "SELECT pg_postmaster_start_time()::text"); again == started {
				t.Error("it is the server from before")
			}
		})
	}
	for _, want := range []string{"7s", "8s"} {
		s.Set(t, "statement_timeout", want)
		expect(t, "statement_timeout", value(t, pgtest.Open(t, s.URL()), "SHOW statement_timeout"), want)
	}
}

// TestNothingStays holds that the processes and files of a server are gone with
// its test, also after a crash and where the test forgot a connection.
func TestNothingStays(t *testing.T) {
	own := t.TempDir()
	if err := os.Chmod(filepath.Dir(own), 0o755); err != nil { // the server is somebody else
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", own)
	var pid string
	for _, killed := range []bool{false, true} {
		t.Run("", func(t *testing.T) {
			s := pgtest.New(t)
			forgotten, err := sql.Open("pgx", s.URL())
			if err != nil {
				t.Fatal(err)
			}
			pid = value(t, forgotten, "SELECT pg_backend_pid()")
			s.Replica(t)
			if killed {
				s.Kill(t)
			}
		})
		left, err := filepath.Glob(filepath.Join(own, "*"))
		if err != nil || len(left) > 0 {
			t.Errorf("killed %v: got %q, %v, want no files", killed, left, err)
		}
		if line, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && strings.HasPrefix(string(line), "postgres") {
			t.Errorf("killed %v: the session's process %s still runs", killed, pid)
		}
	}
}

func TestReplica(t *testing.T) {
	s := pgtest.New(t)
	db := pgtest.Open(t, s.URL())
	execute(t, db, "CREATE TABLE v (v int)", "INSERT INTO v VALUES (1)")
	replica := s.Replica(t)
	behind := pgtest.Open(t, replica.URL())
	expect(t, "rows at once", value(t, behind, "SELECT count(*) FROM v"), "1")
	execute(t, db, "INSERT INTO v SELECT generate_series(2, 1000)")
	replica.CatchUp(t, s.LSN(t))
	expect(t, "rows after waiting", value(t, behind, "SELECT count(*) FROM v"), "1000")
	if _, err := behind.Exec("INSERT INTO v VALUES (0)"); err == nil || !strings.Contains(err.Error(), "25006") {
		t.Errorf("got %v, want that the replica only reads", err)
	}

	// A synchronous commit waits while there is no replica, and no other does.
	s.Synchronous(t, true)
	execute(t, db, "INSERT INTO v VALUES (1001)")
	replica.Stop(t)
	ctx, cancel := context.WithCancel(t.Context())
	var commit sync.WaitGroup
	commit.Go(func() {
		if _, err := db.ExecContext(ctx, "INSERT INTO v VALUES (1002)"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want a commit that waited until it was called off", err)
		}
	})
	watch := pgtest.Open(t, s.URL())
	for value(t, watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "1" {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	commit.Wait()
	s.Synchronous(t, false)
	execute(t, db, "INSERT INTO v VALUES (1003)")
	replica.Start(t)
	replica.CatchUp(t, s.LSN(t))
	s.Synchronous(t, true)
	execute(t, db, "INSERT INTO v VALUES (1004)")

	// What was acknowledged by both survives the death of the one.
	s.Kill(t)
	replica.Promote(t)
	promoted := pgtest.Open(t, replica.URL())
	expect(t, "the last row", value(t, promoted, "SELECT max(v) FROM v"), "1004")
	execute(t, promoted, "INSERT INTO v VALUES (1005)")
}

// TestKilledTest holds that a server ends with the process of its test, however
// that ends.
func TestKilledTest(t *testing.T) {
	const child = "PGTEST_CHILD"
	if os.Getenv(child) != "" {
		db := pgtest.Open(t, pgtest.New(t).URL())
		fmt.Println("server", value(t, db, "SELECT pg_backend_pid()"))
		select {}
	}
	own := t.TempDir() // what it leaves of files is ours to take away
	if err := os.Chmod(filepath.Dir(own), 0o755); err != nil {
		t.Fatal(err)
	}
	test := exec.Command(os.Args[0], "-test.run=^TestKilledTest$")
	test.Env = append(os.Environ(), child+"=1", "TMPDIR="+own)
	test.Stderr = os.Stderr
	out, err := test.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := test.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for lines := bufio.NewScanner(out); pid == "" && lines.Scan(); {
		pid, _ = strings.CutPrefix(lines.Text(), "server ")
		if pid == lines.Text() {
			t.Log(pid)
			pid = ""
		}
	}
	_ = test.Process.Kill()
	_ = test.Wait() // it was killed
	if pid == "" {
		t.Fatal("the test within did not start a server")
	}
	for range 1000 {
		if line, err := os.ReadFile("/proc/" + pid + "/cmdline"); err != nil || !strings.HasPrefix(string(line), "postgres") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the session's process %s still runs", pid)
}
