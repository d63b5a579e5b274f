package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/auditadmin/auditadmin/internal/need"
)

// patience is how long anything may take that a server does for a test.
const patience = time.Minute

// Server is a PostgreSQL server with one superuser, postgres, whom it lets in
// without a password. Its methods fail the test they are given.
type Server struct {
	bin  string              // the folder of its programs
	who  *syscall.Credential // who runs it; nil is whoever runs the test
	dir  string              // data, and what the server says
	port int
	said string // the end of what it said, once it was removed

	process   *os.Process   // nil while it does not run
	ended     chan struct{} // closed when the process is gone
	killed    bool          // it had no time to clean up
	databases atomic.Int64
	replicas  int
}

// settings are those of a test server. What New is given stands behind them, and
// wins.
const settings = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
fsync = off
log_checkpoints = off
`

// create makes a server that does not run yet.
func create(t testing.TB, more []string) *Server {
	t.Helper()
	s := place(t, binaries(t), credential(t))
	var conf strings.Builder
	conf.WriteString(settings)
	for _, line := range more {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("the setting %q has no value: write it as name=value", line)
		}
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	if err := theImage.unpack(s.bin, s.data(), s.who, conf.String()); err != nil {
		s.remove()
		t.Fatal(err)
	}
	return s
}

// place makes the folder of a server and finds a port.
func place(t testing.TB, bin string, who *syscall.Credential) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	if err := give(dir, who); err != nil {
		t.Fatal(err)
	}
	return &Server{bin: bin, who: who, dir: dir, port: freePort(t)}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

// Address is where the server listens, also while it does not run.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the address of the server's first database, postgres.
func (s *Server) URL() string { return s.url("postgres") }

func (s *Server) url(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", s.Address(), database)
}

// Start starts a server that was stopped or killed, and returns when it answers:
// after a crash, when it has recovered.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.process != nil {
		t.Fatalf("start the server on port %d: it runs", s.port)
	}
	deadline := time.Now().Add(patience)
	for {
		err := s.start(deadline)
		if err == nil {
			return
		}
		if time.Now().After(deadline) || !strings.Contains(tail(s.log()), "Address already in use") {
			t.Fatalf("start the server on port %d: %v; it said:\n%s", s.port, err, tail(s.log()))
		}
		time.Sleep(100 * time.Millisecond) // somebody passes through the port
		if err := os.Truncate(s.log(), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *Server) start(deadline time.Time) error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	server := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port))
	server.SysProcAttr = &syscall.SysProcAttr{Credential: s.who, Pdeathsig: syscall.SIGQUIT}
	server.Dir, server.Stdout, server.Stderr = s.dir, log, log
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		// The signal of our death comes when the thread ends that started the
		// server, so that thread stays.
		runtime.LockOSThread()
		err := server.Start()
		started <- err
		if err == nil {
			_ = server.Wait() // how it ended is in its log
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.ended, s.killed = server.Process, ended, false
	for {
		if err = s.ask(func(context.Context, *pgx.Conn) error { return nil }); err == nil {
			return nil
		}
		select {
		case <-ended:
			s.process = nil
			return fmt.Errorf("it ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// Stop ends the server in order: sessions are cut, what is written is on disk.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.signal(syscall.SIGINT); err != nil {
		t.Fatalf("stop the server on port %d: %v", s.port, err)
	}
}

// Restart stops the server and starts it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

// Kill ends the server and every process of it at once by SIGKILL, as a crash
// does, and returns when they are gone. Start recovers it.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if s.process == nil {
		t.Fatalf("kill the server on port %d: it does not run", s.port)
	}
	// It is stopped first, so that it starts no other process meanwhile.
	if err := s.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await(t, "the server to stand still", func() (bool, error) {
		state, _, ok := stat(s.process.Pid)
		return !ok || state == "T", nil
	})
	children, err := childrenOf(s.process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
	}
	if err := s.signal(syscall.SIGKILL); err != nil {
		t.Fatalf("kill the server on port %d: %v", s.port, err)
	}
	s.killed = true
	for _, pid := range children {
		await(t, fmt.Sprintf("the process %d of the server to be gone", pid), func() (bool, error) { return !alive(pid), nil })
	}
}

// signal sends a signal that ends the server, and waits until it has ended.
func (s *Server) signal(sig os.Signal) error {
	if s.process == nil {
		return fmt.Errorf("it does not run")
	}
	if err := s.process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.ended:
		s.process = nil
		return nil
	case <-time.After(patience):
		return fmt.Errorf("it has not ended %v after %v", patience, sig)
	}
}

// remove ends the server and takes its files away.
func (s *Server) remove() {
	if s.killed && s.process == nil {
		// What a killed server has left in shared memory is taken away by the next
		// one. Where that does not start, nobody can.
		_ = s.start(time.Now().Add(patience))
	}
	if s.process != nil && s.signal(syscall.SIGQUIT) != nil { // at once
		_ = s.signal(syscall.SIGKILL)
	}
	s.said = tail(s.log())
	_ = os.RemoveAll(s.dir)
}

// Database makes a database for the test, and returns its address. The template
// is the name of another one, made by [Server.Template], that it is a copy of; ""
// makes an empty one. It is dropped at the end of the test.
func (s *Server) Database(t testing.TB, template string) (url string) {
	t.Helper()
	if template == "" {
		template = "template1"
	}
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	s.Exec(t, "CREATE DATABASE "+name+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
	t.Cleanup(func() {
		// A server that is down or follows another one is removed as a whole.
		_ = s.ask(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			return err
		})
	})
	return s.url(name)
}

// Template makes a database that others are copies of, where there is none of
// that name yet, and lets fill put into it what they begin with. It lives as long
// as the server. Nobody may have it open when it is copied: sessions that fill
// leaves open are ended.
func (s *Server) Template(t testing.TB, name string, fill func(url string)) {
	t.Helper()
	if s.text(t, "SELECT count(*)::text FROM pg_database WHERE datname = $1", name) != "0" {
		return
	}
	making := fmt.Sprintf("template_%d", s.databases.Add(1)) // never half made under its own name
	s.Exec(t, "CREATE DATABASE "+making)
	fill(s.url(making))
	s.text(t, "SELECT count(pg_terminate_backend(pid, 10000))::text FROM pg_stat_activity WHERE datname = $1", making)
	s.Exec(t, "ALTER DATABASE "+making+" RENAME TO "+pgx.Identifier{name}.Sanitize())
}

// Exec runs statements in the database postgres, over a connection of their own.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := s.ask(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, statement)
			return err
		}); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Set changes a setting of the running server, and returns when new sessions have
// it, and the processes that write and send the log. A setting that needs a restart
// takes effect with the next one.
func (s *Server) Set(t testing.TB, name, value string) {
	t.Helper()
	before := s.text(t, "SELECT clock_timestamp()::text")
	s.Exec(t, "ALTER SYSTEM SET "+pgx.Identifier{name}.Sanitize()+" = '"+strings.ReplaceAll(value, "'", "''")+"'", "SELECT pg_reload_conf()")
	await(t, "the server to read its settings", func() (ok bool, err error) {
		return s.text(t, "SELECT (pg_conf_load_time() > $1::timestamptz)::text", before) == "true", nil
	})
	// The checkpointer says what a commit has to wait for; it reads its settings
	// before it does what it is asked.
	if s.text(t, "SELECT pg_is_in_recovery()::text") == "false" {
		s.Exec(t, "CHECKPOINT")
	}
}

// text asks for one text, over a connection of its own.
func (s *Server) text(t testing.TB, query string, args ...any) (answer string) {
	t.Helper()
	if err := s.ask(func(ctx context.Context, c *pgx.Conn) error { return c.QueryRow(ctx, query, args...).Scan(&answer) }); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// ask does something over a connection of its own, which is closed then: none of
// ours is in the way of a test that counts them, or of a copy of a database.
func (s *Server) ask(do func(ctx context.Context, c *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	return do(ctx, c)
}

// await waits for something that comes by itself.
func await(t testing.TB, what string, come func() (bool, error)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		ok, err := come()
		if ok {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("wait for %s: not within %v: %v", what, patience, err)
		}
	}
}

// binaries is where the newest server of this machine is.
func binaries(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		need.Skip(t, "there is no PostgreSQL server here: apt-get install postgresql")
	}
	return filepath.Dir(initdb)
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb)))) // what is no number comes first
	return n
}

// credential is who runs the server: ourselves, but not root, whom it refuses.
func credential(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid) // numbers, on every system with PostgreSQL packages
			gid, _ := strconv.Atoi(u.Gid)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	need.Skip(t, "PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}

// give makes a file or folder that of whoever runs the server.
func give(path string, who *syscall.Credential) error {
	if who == nil {
		return nil
	}
	return os.Chown(path, int(who.Uid), int(who.Gid))
}

// ports counts what freePort has given out.
var ports atomic.Int64

// freePort finds a port that nobody has, and that nobody gets while the server is
// down: below those that the system gives to connections, and another one for each
// server of this process.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + (os.Getpid()*16+int(ports.Add(1)))%22000
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("found no free port between 10000 and 32000")
	return 0
}

// childrenOf returns the processes that a process has started.
func childrenOf(parent int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return nil, fmt.Errorf("find the processes of the server: no /proc/*/stat: %v", err)
	}
	var all []int
	for _, path := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if _, of, ok := stat(pid); ok && of == parent {
			all = append(all, pid)
		}
	}
	return all, nil
}

// alive reports whether a process runs. One that ended and was not waited for
// does not.
func alive(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != "Z" && state != "X"
}

// stat reads the state of a process and who started it.
func stat(pid int) (state string, parent int, ok bool) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(line[strings.LastIndex(string(line), ")")+1:])) // a name may hold anything
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent, true
}

// tail is the end of a file.
func tail(path string) string {
	content, _ := os.ReadFile(path) // what is not there has said nothing
	return string(content[max(0, len(content)-20_000):])
}
