//go:build linux

package torture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds everything that a test waits for. It is no figure: what takes
// so long hangs.
const patience = time.Minute

// house is a folder with a database, and how the program is run on it.
type house struct {
	t       testing.TB
	program string
	dir     string
	address string   // of a database on a server; "" for a file in dir
	env     []string // beside the environment of the test
	probe   string   // what says that a server has started
	token   string   // of scope ingest
	reading string   // a token of scope read
}

const (
	operator = "olga"
	password = "correct horse battery staple"
)

// newHouse makes an empty folder below dir. Nothing is in it before the program
// runs for the first time.
func newHouse(t testing.TB, dir string) *house {
	t.Helper()
	h := &house{t: t, program: theProgram(t), dir: filepath.Join(dir, "house"), probe: "/readyz"}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return h
}

// db is the database: a file in the folder, or the address of one on a server.
func (h *house) db() string {
	if h.address != "" {
		return h.address
	}
	return filepath.Join(h.dir, "audit.db")
}

// command is the program with arguments on the house's database.
func (h *house) command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.program, append(args, "--db", h.db())...)
	cmd.Env = append(os.Environ(), h.env...)
	return cmd
}

// run runs a command that has to succeed and returns what it printed.
func (h *house) run(stdin string, args ...string) string {
	h.t.Helper()
	cmd := h.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		h.t.Fatalf("auditadmin %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// furnish makes an account and the tokens. The database has to be there.
func (h *house) furnish() {
	h.t.Helper()
	h.run(password+"\n", "user", "create", operator, "--role", "superuser", "--password-stdin")
	h.token = strings.TrimSpace(h.run("", "token", "create", source, "--scope", "ingest"))
	h.reading = strings.TrimSpace(h.run("", "token", "create", "reader", "--scope", "read"))
}

// open starts the program for the first time, furnishes the house, and returns
// the running server.
func (h *house) open() *server {
	h.t.Helper()
	s := h.serve()
	h.furnish()
	return s
}

// server is a running auditadmin.
type server struct {
	house *house
	cmd   *exec.Cmd
	url   string
	ready time.Duration // from the start of the process to its first ready answer
	gone  chan struct{} // closed when it has ended

	mutex sync.Mutex
	said  bytes.Buffer
}

var listening = regexp.MustCompile(`at (http://\S+)`)

// serve starts a server that has to become ready.
func (h *house) serve(flags ...string) *server {
	h.t.Helper()
	s, err := h.start(flags...)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// start starts a server on a free port and returns when it is ready.
func (h *house) start(flags ...string) (*server, error) {
	return h.launch(h.command(append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...))
}

func (h *house) launch(cmd *exec.Cmd) (*server, error) {
	s := &server{house: h, cmd: cmd, gone: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h.t.Cleanup(s.kill)
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(stderr)
		for {
			line, err := lines.ReadString('\n')
			s.mutex.Lock()
			if s.said.Len() < 1<<20 {
				s.said.WriteString(line)
			}
			s.mutex.Unlock()
			if m := listening.FindStringSubmatch(line); m != nil {
				select {
				case address <- m[1]:
				default:
				}
			}
			if err != nil {
				break
			}
		}
		_ = cmd.Wait()
		close(s.gone)
	}()
	select {
	case s.url = <-address:
	case <-s.gone:
		return nil, fmt.Errorf("the server ended before it listened: %s\n%s", cmd.ProcessState, s.log())
	case <-time.After(patience):
		s.kill()
		return nil, fmt.Errorf("the server did not listen within %s:\n%s", patience, s.log())
	}
	for {
		resp, err := http.Get(s.url + s.house.probe)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.ready = time.Since(began)
				return s, nil
			}
		}
		if time.Since(began) > patience || s.ended() {
			return s, fmt.Errorf("the server did not become ready: %v\n%s", err, s.log())
		}
	}
}

func (s *server) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

func (s *server) log() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.said.String()
}

// kill ends the process without a word, and waits until it is gone.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.gone
}

// stop asks the server to end and returns how long that took. It fails the test
// where the server does not end well.
func (s *server) stop() time.Duration {
	s.house.t.Helper()
	began := time.Now()
	if code := s.end(); code != 0 {
		s.house.t.Errorf("after SIGTERM the server ended with %s:\n%s", s.cmd.ProcessState, s.log())
	}
	return time.Since(began)
}

// end asks the server to end and returns its exit code.
func (s *server) end() int {
	s.house.t.Helper()
	// A connection without a request may still become one, so the server waits.
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(patience):
		s.kill()
		s.house.t.Fatalf("the server did not end within %s of SIGTERM:\n%s", patience, s.log())
	}
	return s.cmd.ProcessState.ExitCode()
}

// healthy fails the test where the server said what no server should say.
func (s *server) healthy() {
	s.house.t.Helper()
	for _, word := range []string{"panic", "goroutine ", "SIGSEGV", "SIGBUS", "DATA RACE"} {
		if log := s.log(); strings.Contains(log, word) {
			s.house.t.Errorf("the server said %q:\n%.4000s", word, log)
		}
	}
}

// answer is what a request came back with.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

// get fetches an address as a reading program.
func (s *server) get(path string) answer {
	s.house.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.house.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.house.reading)
	a, err := do(&http.Client{Timeout: patience}, req)
	if err != nil {
		s.house.t.Fatalf("GET %s: %v\n%s", path, err, s.log())
	}
	return a
}

func do(client *http.Client, req *http.Request) (answer, error) {
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), time.Since(began)}, err
}

// person is somebody with a browser.
type person struct {
	server *server
	client *http.Client
}

// signIn opens a session of the operator, or says why there is none.
func (s *server) signIn() (*person, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	p := &person{s, &http.Client{Jar: jar, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	a, err := p.post("/login", url.Values{"username": {operator}, "password": {password}})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusSeeOther && a.status != http.StatusFound {
		return nil, fmt.Errorf("sign in: got %d, want a redirect: %.300s", a.status, a.body)
	}
	return p, nil
}

func (p *person) post(path string, form url.Values) (answer, error) {
	req, err := http.NewRequest(http.MethodPost, p.server.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return do(p.client, req)
}

func (p *person) get(path string) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, p.server.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	return do(p.client, req)
}

// until tries something until it is true or patience is at an end, and returns
// how long that took.
func until(ctx context.Context, try func() bool) (time.Duration, error) {
	began := time.Now()
	for !try() {
		if time.Since(began) > patience {
			return 0, errors.New("waited in vain")
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return time.Since(began), nil
}
