package main

import (
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
	"strconv"
	"strings"
	"syscall"
	"time"
)

// build compiles the program that is measured.
func build(ctx context.Context, dir string) (string, error) {
	program, err := filepath.Abs(filepath.Join(dir, "auditadmin"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags=sqlite_fts5", "-o", program, "github.com/auditadmin/auditadmin/cmd/auditadmin")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build auditadmin: %w", err)
	}
	return program, nil
}

// command runs the program to its end and returns what it printed.
func (b *bench) command(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.program, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("auditadmin %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// The account that asks. The databases are thrown away, so its password is no secret.
const (
	account  = "bench"
	password = "a bench in the park 1931"
)

// site is a running server and a client that is signed in.
type site struct {
	base   string
	server *exec.Cmd
	client *http.Client
	token  string // for programs
	log    bytes.Buffer
}

// serve starts the server on the database, and signs in where nobody is.
func (b *bench) serve(ctx context.Context) error {
	if b.site != nil && b.site.server != nil {
		return nil
	}
	if b.site == nil {
		_, err := b.command(ctx, password+"\n", "user", "create", account, "--role", "superuser", "--password-stdin", "--db", b.file)
		if err != nil && !strings.Contains(err.Error(), "exists") {
			return err
		}
		token, err := b.command(ctx, "", "token", "create", "bench-"+strconv.FormatInt(time.Now().UnixNano(), 36), "--scope", "ingest", "--db", b.file)
		if err != nil {
			return err
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			return err
		}
		b.site = &site{base: "http://" + b.addr, token: strings.TrimSpace(token),
			client: &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	}
	s := b.site
	s.log.Reset()
	s.server = exec.Command(b.program, "serve", "--db", b.file, "--addr", b.addr)
	s.server.Stderr = &s.log
	if err := s.server.Start(); err != nil {
		return err
	}
	for range 3000 {
		if answer, err := s.client.Get(s.base + "/login"); err == nil {
			answer.Body.Close()
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if answer, err := s.client.Get(s.base + "/query-help"); err != nil {
		return fmt.Errorf("the server does not answer: %w: %s", err, s.log.String())
	} else if answer.Body.Close(); answer.Request.URL.Path == "/query-help" {
		return nil // signed in from before
	}
	answer, err := s.client.PostForm(s.base+"/login", url.Values{"username": {account}, "password": {password}, "next": {"/query-help"}})
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Request.URL.Path == "/login" {
		return fmt.Errorf("sign in: %s at %s", answer.Status, answer.Request.URL)
	}
	return nil
}

// stop ends the server, as its administrator would.
func (b *bench) stop() {
	if b.site == nil || b.site.server == nil {
		return
	}
	_ = b.site.server.Process.Signal(syscall.SIGTERM)
	_ = b.site.server.Wait()
	b.site.server = nil
}

// get asks for a page and reads it to its last byte.
func (s *site) get(ctx context.Context, path string) (took time.Duration, size int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	size, err = io.Copy(io.Discard, answer.Body)
	took = time.Since(start)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return took, size, err
}

// read asks for a page and returns it.
func (s *site) read(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// anonymous returns the memory of the server that is not a file's, in MiB, and
// 0 where the system does not say.
func (s *site) anonymous() float64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.server.Process.Pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024
		}
	}
	return 0
}

// cpu is what the server has had of the cores so far, and 0 where the system
// does not say.
func (s *site) cpu() time.Duration { return cpu(s.server.Process.Pid) }

// rest waits until a process that has just started has made what pages can do
// without: it needs hardly any of a core then. It does not wait for longer than a
// minute, nor where the system does not say.
func rest(ctx context.Context, pid int) {
	const step = 500 * time.Millisecond
	before := cpu(pid)
	for range time.Minute / step {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		now := cpu(pid)
		if now-before < step/20 {
			return
		}
		before = now
	}
}

func cpu(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // after the name, which may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // a tick is a hundredth of a second on Linux
}

// beside are all files of a database: the log, the segments, whatever begins
// with its name.
func beside(file string) []string {
	all, _ := filepath.Glob(file + "*")
	return all
}

func remove(file string) {
	for _, f := range beside(file) {
		_ = os.RemoveAll(f)
	}
}

// bytesOf is what the files of a database take on the disk.
func bytesOf(file string) (sum int64) {
	for _, f := range beside(file) {
		_ = filepath.Walk(f, func(_ string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				sum += info.Size()
			}
			return nil
		})
	}
	return sum
}

// copyDatabase copies a database that nobody has open, with what lies beside it.
func copyDatabase(from, to string) error {
	for _, f := range beside(from) {
		if err := exec.Command("cp", "-r", "--reflink=auto", f, to+strings.TrimPrefix(f, from)).Run(); err != nil {
			return fmt.Errorf("copy %s: %w", f, err)
		}
	}
	return nil
}

// fill makes the database, unless it is there.
func (b *bench) fill(ctx context.Context) error {
	if b.onServer() {
		if there, err := b.filled(ctx); err != nil || there {
			return err
		}
	} else if _, err := os.Stat(b.file); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, b.program, "demo", "--events", strconv.Itoa(b.size), "--db", b.file, "--no-serve")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("auditadmin demo: %w", err)
	}
	b.run.add(figure{Name: "auditadmin demo, all of it", Unit: "audit logs/s", Value: float64(b.size) / time.Since(start).Seconds()})
	return nil
}
