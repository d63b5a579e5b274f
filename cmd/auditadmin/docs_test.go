package main

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/auditadmin/auditadmin/internal/need"
)

// TestDocs runs what the documents tell people to type, in the order in which
// they tell it, in a folder with the files that they speak of.
func TestDocs(t *testing.T) {
	root := need.Root(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts []string
	for _, name := range []string{"README.md", "docs/operations.md", "docs/tracking.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		script := prelude
		for n, command := range shellLines(string(text)) {
			script += fmt.Sprintf("\n# %s, command %d\n%s\n", name, n+1, scripted(t, command, string(makefile)))
		}
		path := filepath.Join(t.TempDir(), strings.ReplaceAll(name, "/", "_")+".txt")
		if err := os.WriteFile(path, []byte(script+files), 0o600); err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, path)
	}
	testscript.Run(t, testscript.Params{
		Files: scripts,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sql": runSQL, "serves": runServe, "gzip": runGzip,
		},
	})
}

// prelude makes what the documents take for granted.
const prelude = `
stdin password.txt
exec auditadmin user create otto --role viewer --password-stdin --db audit.db
sql site.sqlite3 'CREATE TABLE auth_user (id INTEGER PRIMARY KEY, username TEXT); CREATE TABLE django_content_type (id INTEGER PRIMARY KEY, app_label TEXT, model TEXT); CREATE TABLE django_admin_log (id INTEGER PRIMARY KEY, action_time TEXT, object_id TEXT, object_repr TEXT, action_flag INTEGER, change_message TEXT, content_type_id INTEGER, user_id INTEGER); INSERT INTO auth_user VALUES (1, "ada"); INSERT INTO django_content_type VALUES (1, "shop", "order"); INSERT INTO django_admin_log VALUES (1, "2026-03-01 12:00:00", "42", "Order 42", 2, "[]", 1, 1)'
sql shop.db 'CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT); CREATE TABLE sessions (id TEXT PRIMARY KEY)'
gzip trail.json
`

const files = `
-- password.txt --
quince tart with 3 spoons
-- oidc-secret.txt --
the secret of the issuer
-- typed --
quince tart with 3 spoons
quince tart with 3 spoons
-- events.ndjson --
{"kind":"audit_log","timestamp":"2026-03-01T12:00:00.000000Z","username":"alice","action":"DELETE","content_type":"shop.order","object_id":"42"}
-- auth.log --
Mar  1 12:00:00 web1 sshd[311]: Failed password for invalid user admin from 203.0.113.9 port 51022 ssh2
-- trail.json --
{"Records":[{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","userName":"ada","arn":"arn:aws:iam::123456789012:user/ada","accountId":"123456789012"},"eventTime":"2026-03-01T12:00:00Z","eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.9","userAgent":"aws-cli/2.15","eventID":"0b0a3e6c-5f1c-4a49-9e56-4a4b6d0b8a11","eventType":"AwsApiCall","recipientAccountId":"123456789012"}]}
`

// shellLines returns the commands of the sh blocks of a document.
func shellLines(markdown string) []string {
	var all []string
	inside := false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "":
			all = append(all, line)
		}
	}
	return all
}

// scripted is a command of a document as a line of a script. What would change
// the machine is not run, but what it names has to exist.
func scripted(t *testing.T, command, makefile string) string {
	t.Helper()
	words := strings.Fields(command)
	switch words[0] {
	case "make":
		if !strings.Contains(makefile, "\n"+words[1]+":") {
			t.Errorf("a document says %q and the Makefile has no such target", command)
		}
		return ""
	case "git", "cd", "sudo":
		return ""
	case "mkdir":
		return "exec " + command
	case "auditadmin":
		switch {
		case words[1] == "serve":
			return "serves " + strings.Join(words[2:], " ")
		case words[1] == "user" && words[2] == "create" && !strings.Contains(command, "--password-stdin"):
			return "ttyin -stdin typed\nexec " + command
		}
		return "exec sh -c '" + strings.ReplaceAll(command, "'", "''") + "'"
	}
	t.Errorf("a document says %q and no test knows how to run it", command)
	return ""
}

// runServe starts a server on a free port, waits until it answers, and ends it
// as Ctrl-C does: serves FLAG….
func runServe(ts *testscript.TestScript, neg bool, args []string) {
	s := startServer(ts, append([]string{"--addr", "127.0.0.1:0"}, args...)...)
	ts.Logf("[serve]\n%s", s.stop(ts))
}

// runGzip compresses a file in place to a second one: gzip FILE.
func runGzip(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	out, err := os.Create(ts.MkAbs(args[0] + ".gz"))
	ts.Check(err)
	defer out.Close()
	z := gzip.NewWriter(out)
	_, err = z.Write([]byte(text))
	ts.Check(err)
	ts.Check(z.Close())
}

// TestEveryFlagIsDocumented holds the documents to the grammar.
func TestEveryFlagIsDocumented(t *testing.T) {
	root := need.Root(t)
	var text string
	for _, name := range []string{"README.md", "docs/operations.md", "docs/tracking.md"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	var helped bool
	parser, err := kong.New(&grammar{}, options(&process{stdout: t.Output(), stderr: t.Output()}, nil, &helped)...)
	if err != nil {
		t.Fatal(err)
	}
	documented := func(what string) {
		if !strings.Contains(text, what+" ") && !strings.Contains(text, what+"`") && !strings.Contains(text, what+"\n") {
			t.Errorf("neither README.md nor docs/operations.md nor docs/tracking.md speaks of %s", what)
		}
	}
	var flags []string
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		switch n := node.(type) {
		case *kong.Node:
			if n.Type == kong.CommandNode {
				documented(n.Name)
			}
		case *kong.Flag:
			if !n.Hidden && !slices.Contains(flags, n.Name) {
				flags = append(flags, n.Name)
				documented("--" + n.Name)
				if env := n.Tag.Get("environment"); env != "" {
					documented(env)
				}
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(flags) < 15 {
		t.Errorf("got %d flags, want the whole grammar", len(flags))
	}
}
