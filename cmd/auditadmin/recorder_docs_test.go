package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
)

// blocks returns the blocks of a language in a document.
func blocks(t *testing.T, document, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(need.Root(t), document))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// compile builds a program as if it stood in the folder examples/name.
func compile(t *testing.T, name, program string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(need.Root(t), "examples", name, "main.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-tags", "sqlite_fts5", "-overlay", filepath.Join(dir, "overlay.json"), "-o", filepath.Join(dir, name), "./examples/"+name)
	build.Dir = need.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return filepath.Join(dir, name)
}

// start runs a program until the test ends, and waits until it answers.
func start(t *testing.T, dir, address, program string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	c := exec.Command(program, args...)
	c.Dir, c.Stdout, c.Stderr = dir, &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	t.Cleanup(sync.OnceFunc(func() {
		_ = c.Process.Kill()
		<-ended
	}))
	for end := time.Now().Add(20 * time.Second); ; {
		if w, err := http.Get("http://" + address + "/healthz"); err == nil {
			w.Body.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, out.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer at %s", program, address)
		}
	}
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// found waits until a query finds as many events.
func found(t *testing.T, db string, kind audit.Kind, q string, want int) {
	t.Helper()
	var out bytes.Buffer
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		out.Reset()
		code := run(context.Background(), []string{"search", "--db", db, "--kind", string(kind), "--format", "ndjson", q}, nil, nil, &out, &out)
		if code == exitDone && bytes.Count(out.Bytes(), []byte("\n")) == want {
			return
		}
	}
	t.Errorf("%s: got\n%swant %d events", q, out.String(), want)
}

// TestRecorderPrograms builds and runs the programs of the documents, asks them
// for something, and looks for it in the audit database.
func TestRecorderPrograms(t *testing.T) {
	for _, test := range []struct {
		document, name, path, query string
	}{
		{"README.md", "readme", "/orders?customer=Lea", `user:alice action:CREATE type:shop.order new:Lea new:12.50`},
		{"docs/recorder.md", "ten-lines", "/orders/42/pay", `user:alice action:UPDATE type:tea.order object:42 field:status new:paid ip:127.0.0.1 source:tea -request:""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			ran := 0
			for _, program := range blocks(t, test.document, "go") {
				if !strings.HasPrefix(program, "package main") {
					continue
				}
				ran++
				address, dir := free(t), t.TempDir()
				start(t, dir, address, compile(t, test.name, strings.ReplaceAll(program, "127.0.0.1:8090", address)))
				w, err := http.Post("http://"+address+test.path, "text/plain", nil)
				if err != nil || w.StatusCode != http.StatusOK {
					t.Fatalf("POST %s: got %v, %v", test.path, w, err)
				}
				w.Body.Close()
				w, err = http.Get("http://" + address + "/wp-login.php?x=../../etc/passwd")
				if err != nil {
					t.Fatal(err)
				}
				w.Body.Close()
				found(t, filepath.Join(dir, "audit.db"), audit.KindAuditLog, test.query, 1)
				found(t, filepath.Join(dir, "audit.db"), audit.KindSystemEvent, "event:SECURITY code:system-file", 1)
			}
			if ran != 1 {
				t.Errorf("%s has %d programs, want 1", test.document, ran)
			}
		})
	}
}

// TestRecorderFragments compiles what else of Go is in the document.
func TestRecorderFragments(t *testing.T) {
	program := `package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/geo"
)

var (
	_ = errors.Join
	_ = fmt.Sprint
	_ = slog.Default
	_ = netip.MustParsePrefix
	_ = os.Getenv
	_ = time.Second
	_ = geo.Open
)

func migrate(context.Context) error { return nil }

func main() {}
`
	n := 0
	for _, fragment := range blocks(t, "docs/recorder.md", "go") {
		if strings.HasPrefix(fragment, "package ") {
			continue
		}
		n++
		given := "ctx context.Context, w http.ResponseWriter, db *sql.DB, sink audit.Sink"
		if !strings.Contains(fragment, "recorder, err :=") {
			given += ", recorder *audit.Recorder"
		}
		program += fmt.Sprintf("\nfunc fragment%d(%s) error {\n%s", n, given, fragment)
		if !regexp.MustCompile(`(?m)^return .*\n\z`).MatchString(fragment) {
			program += "return nil\n"
		}
		program += "}\n"
	}
	// A sink of its own is fine where the fragment makes one.
	program = strings.ReplaceAll(program, "sink audit.Sink, recorder", "_ audit.Sink, recorder")
	program = regexp.MustCompile(`sink audit\.Sink\) error \{\nsink, err`).ReplaceAllString(program, "_ audit.Sink) error {\nsink, err")
	if n < 6 {
		t.Fatalf("got %d fragments", n)
	}
	compile(t, "fragments", program)
}

// TestRecorderCommands runs what docs/recorder.md tells people to type, and its
// Python, against a server.
func TestRecorderCommands(t *testing.T) {
	curl, python := need.Program(t, "install it with: sudo apt-get install curl", "curl"), need.Program(t, "install Python 3", "python3")
	_ = curl
	dir, address := t.TempDir(), free(t)
	db := filepath.Join(dir, "audit.db")
	var secret string
	sent := 0
	for _, block := range blocks(t, "docs/recorder.md", "sh") {
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			switch words := strings.Fields(line); {
			case words[0] == "go" && words[1] == "get", words[0] == "export":
			case words[0] == "auditadmin" && words[1] == "serve":
				start(t, dir, address, "auditadmin", append(words[1:], "--addr", address)...)
			case words[0] == "auditadmin" && words[1] == "token":
				out := shell(t, dir, nil, "sh", "-c", line)
				secret = strings.TrimSpace(out)
			case words[0] == "curl":
				out := shell(t, dir, []string{"AUDIT_URL=http://" + address, "AUDIT_TOKEN=" + secret}, "sh", "-c", line)
				if want := `{"accepted":1,"conflicts":0,"duplicates":0}`; strings.TrimSpace(out) != want {
					t.Errorf("curl: got %s, want %s", out, want)
				}
				sent++
			default:
				t.Errorf("docs/recorder.md says %q and no test knows how to run it", line)
			}
		}
	}
	for _, program := range blocks(t, "docs/recorder.md", "python") {
		shell(t, dir, []string{"AUDIT_URL=http://" + address, "AUDIT_TOKEN=" + secret}, python, "-c", program)
		sent++
		if lines := strings.Count(strings.TrimSpace(program), "\n") + 1; lines > 12 {
			t.Errorf("the ten lines of Python are %d", lines)
		}
	}
	if sent != 2 {
		t.Errorf("%d ways to send events were tried, want curl and Python", sent)
	}
	found(t, db, audit.KindAuditLog, "user:alice object:42 new:paid source:tea", 1)
	found(t, db, audit.KindLoginAttempt, "user:bob status:FAILED ip:203.0.113.9 source:tea", 1)
}

// shell runs a command that has to succeed and returns what it prints.
func shell(t *testing.T, dir string, environ []string, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), environ...)
	var failed bytes.Buffer
	c.Stderr = &failed
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", args[len(args)-1], err, out, failed.String())
	}
	return string(out)
}

// TestRecorderFields holds the table of fields to the fields there are.
func TestRecorderFields(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(need.Root(t), "docs/recorder.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range audit.Kinds() {
		row := "| `" + string(kind) + "` |"
		for _, f := range kind.Fields() {
			row += " `" + f.Name
			if f.Required {
				row += "*"
			}
			row += "`"
		}
		if !strings.Contains(string(text), row+" |\n") {
			t.Errorf("docs/recorder.md does not have the line %s |", row)
		}
	}
}

// TestEquivalents holds the table of the Django Audit Library to the tests it
// names.
func TestEquivalents(t *testing.T) {
	root := need.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, there := strings.Cut(string(text), "| Django Audit Library |")
	table, _, _ = strings.Cut(table, "\n\n")
	named := regexp.MustCompile("`([a-z/.]+)` (Test[A-Za-z0-9_]+)").FindAllStringSubmatch(table, -1)
	if !there || len(named) < 15 {
		t.Fatalf("README.md has no table, or names %d tests", len(named))
	}
	for _, row := range strings.Split(table, "\n")[2:] {
		if !strings.Contains(row, " Test") {
			t.Errorf("no test shows this line: %s", row)
		}
	}
	for _, m := range named {
		files, err := filepath.Glob(filepath.Join(root, m[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			source, err := os.ReadFile(file)
			return err == nil && bytes.Contains(source, []byte("func "+m[2]+"(t *testing.T"))
		}) {
			t.Errorf("README.md names %s in %s, and there is no such test", m[2], m[1])
		}
	}
}
