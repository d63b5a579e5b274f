// Package pgtest is a small laboratory of PostgreSQL for tests: throw-away
// servers on free ports of the loopback interface, with fresh databases, replicas
// and crashes, and a [Proxy] that breaks connections at chosen moments. It is the
// only package that knows the driver, which no program of ours needs.
//
//	db, url := pgtest.Start(t)                       // one server with an empty database
//	s := pgtest.New(t, "fsync=on")                   // one to play with
//	url := s.Database(t, "")                         // an empty database on it
//	replica := s.Replica(t)                          // one that follows it
//
// Whatever is started ends with its test, also where that fails, and with the
// process of the test, also where that is killed. Where there is no PostgreSQL,
// the test is skipped by internal/need.
package pgtest

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Start starts a server with an empty database, and returns the database and its
// address as a URL. Both end with the test.
func Start(t testing.TB) (db *sql.DB, url string) {
	t.Helper()
	s := New(t)
	return Open(t, s.URL()), s.URL()
}

// New starts a server with settings like "fsync=on", which go before those of a
// test server: fsync=off and 16 MB of shared buffers. It ends with the test.
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := create(t, settings)
	t.Cleanup(func() {
		s.remove()
		if t.Failed() {
			t.Logf("the server on port %d said:\n%s", s.port, s.said)
		}
	})
	s.Start(t)
	return s
}

// Open opens a database, which is closed at the end of the test.
func Open(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// shared is the server that the tests of a package have in common. A server is
// dear and a database is cheap, so a package with many tests takes one server.
var shared struct {
	sync.Mutex
	running bool // Main waits for the tests
	server  *Server
}

// Main is the TestMain of a package whose tests use [Shared]:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M) {
	shared.Lock()
	shared.running = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.remove()
		if code != 0 {
			fmt.Fprintf(os.Stderr, "the shared server said:\n%s\n", shared.server.said)
		}
	}
	os.Exit(code)
}

// Shared returns the server that the tests of the package have in common, with
// the settings of a test server, and starts it for the first of them. A test takes
// a [Server.Database] of it, and leaves the server as it is.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.running {
		t.Fatal("pgtest.Shared needs a TestMain that calls pgtest.Main, which ends the server")
	}
	if shared.server == nil {
		s := create(t, nil)
		defer func() {
			if shared.server == nil { // it did not start
				s.remove()
			}
		}()
		s.Start(t)
		shared.server = s
	}
	return shared.server
}

// withHost returns the address of a database with another host and port.
func withHost(t testing.TB, address, host string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = host
	return u.String()
}
