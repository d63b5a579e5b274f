package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// server is a running auditadmin.
type server struct {
	cmd  *exec.Cmd
	url  string
	mu   sync.Mutex
	said bytes.Buffer
	done chan struct{}
}

var listening = regexp.MustCompile(`at (https?://\S+)`)

// startServer runs auditadmin serve in the folder of a script, and returns when
// it answers.
func startServer(ts *testscript.TestScript, args ...string) *server {
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if candidate := filepath.Join(dir, "auditadmin"); path == "" {
			if _, err := os.Stat(candidate); err == nil {
				path = candidate
			}
		}
	}
	s := &server{cmd: exec.Command(path, append([]string{"serve"}, args...)...), done: make(chan struct{})}
	s.cmd.Dir = ts.MkAbs(".")
	stderr, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ts.Defer(func() { _ = s.cmd.Process.Kill() })

	began := make(chan string, 1)
	go func() {
		defer close(s.done)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.mu.Lock()
			s.said.WriteString(lines.Text() + "\n")
			s.mu.Unlock()
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case began <- m[1]:
				default:
				}
			}
		}
	}()
	select {
	case s.url = <-began:
	case <-s.done:
		ts.Fatalf("the server ended before it answered:\n%s", s.said.String())
	}
	return s
}

// stop interrupts the server and returns what it said on stderr.
func (s *server) stop(ts *testscript.TestScript) string {
	ts.Check(s.cmd.Process.Signal(os.Interrupt))
	<-s.done
	if err := s.cmd.Wait(); err != nil {
		ts.Fatalf("the server ended with %v:\n%s", err, s.said.String())
	}
	return s.said.String()
}

// runServer is the command of scripts that serves, fetches addresses, and
// compares what the server says: server PATTERN… -- FLAG…, where a pattern that
// begins with a slash is a path to fetch and "status".
func runServer(ts *testscript.TestScript, _ bool, args []string) {
	var expect, flags []string
	for i, a := range args {
		if a == "--" {
			expect, flags = args[:i], args[i+1:]
			break
		}
	}
	s := startServer(ts, flags...)
	var patterns []string
	for _, e := range expect {
		path, status, fetch := strings.Cut(e, "=>")
		if !fetch {
			patterns = append(patterns, e)
			continue
		}
		// Without following redirects: they are answers, too.
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Get(s.url + path)
		ts.Check(err)
		resp.Body.Close()
		if got := fmt.Sprint(resp.StatusCode); got != status {
			ts.Fatalf("GET %s: got %s, want %s", path, got, status)
		}
	}
	said := s.stop(ts)
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(said) {
			ts.Fatalf("the server did not say %q, but:\n%s", p, said)
		}
	}
	ts.Logf("[server]\n%s", said)
}
