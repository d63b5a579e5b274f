package auditadmin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is asked of the source as a whole. Each rule is one table here; what is
// not in it fails.

// source is every file of the program as it is built, by its path from the root,
// without tests.
func source(t *testing.T, ends ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{"audit", "cmd", "internal", "web", "embed.go", "schema.go", "auditadmin.go"} {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") || !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(path, end) }) {
				return err
			}
			content, err := os.ReadFile(path)
			all[filepath.ToSlash(path)] = string(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no source of %q", ends)
	}
	return all
}

// parsed is the tree of each Go file of the program.
func parsed(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set, all := token.NewFileSet(), map[string]*ast.File{}
	for path, text := range source(t, ".go") {
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = file
	}
	return set, all
}

// guarded are imports that are dangerous or weak, with the only places that may
// have them and why. The server is not built from any of them.
var guarded = map[string]struct {
	places string // prefixes of paths, or "" for nowhere
	why    string
}{
	"os/exec":               {"internal/need internal/pgtest internal/bench internal/torture", "tests and measurements start programs"},
	"plugin":                {"", ""},
	"encoding/gob":          {"", ""},
	"encoding/xml":          {"", ""},
	"text/template":         {"internal/bench", "draws a measurement"},
	"html/template":         {"", ""},
	"net/smtp":              {"", ""},
	"net/rpc":               {"", ""},
	"net/http/cgi":          {"", ""},
	"net/http/pprof":        {"", ""},
	"expvar":                {"", ""},
	"crypto/md5":            {"", ""},
	"crypto/sha1":           {"internal/authz/totp.go", "RFC 6238 is HMAC-SHA-1 in every authenticator, where collisions do not matter"},
	"crypto/des":            {"", ""},
	"crypto/rc4":            {"", ""},
	"crypto/dsa":            {"", ""},
	"crypto/elliptic":       {"", ""},
	"crypto/x509/pkix":      {"", ""},
	"math/rand":             {"", ""},
	"math/rand/v2":          {"internal/demo internal/bench internal/torture audit/remote.go internal/powercut", "invented events, measurements, and when to try again"},
	"unsafe":                {"internal/segment internal/trigram", "mapped columns, bounded by their header"},
	"golang.org/x/net/html": {"", ""},
}

// TestGuardedImports holds what the program is not built from: it starts no other
// program, reads no XML and no serialized objects, makes no template from data,
// and uses no weak or home-made cryptography.
//
// ASVS:V1.2.5 ASVS:V1.3.2 ASVS:V1.5.1 ASVS:V1.5.2 ASVS:V11.3.1 ASVS:V11.4.1 ASVS:V13.4.2 ASVS:V1.4.1
func TestGuardedImports(t *testing.T) {
	_, files := parsed(t)
	for path, file := range files {
		for _, spec := range file.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			rule, is := guarded[name]
			if is && !slices.ContainsFunc(strings.Fields(rule.places), func(place string) bool { return strings.HasPrefix(path, place) }) {
				t.Errorf("%s imports %s, which only %q may (%s)", path, name, rule.places, rule.why)
			}
		}
	}
	// Nor does the binary hold them by way of a package of ours.
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{join .Imports \" \"}}{{end}}", "./cmd/auditadmin").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		if len(names) > 0 && strings.HasPrefix(names[0], module) {
			for _, forbidden := range []string{"os/exec", "net/http/pprof", "expvar", "encoding/xml", "encoding/gob"} {
				if slices.Contains(names[1:], forbidden) {
					t.Errorf("%s is in the binary and imports %s", names[0], forbidden)
				}
			}
		}
	}
}

// TestSQLIsNeverFormatted: no statement is made with a verb of fmt, so no value
// can become a part of one. What is joined to statements are names from tables of
// the program.
//
// ASVS:V1.2.4
func TestSQLIsNeverFormatted(t *testing.T) {
	statement := regexp.MustCompile(`(?is)\b(select\b.+\bfrom|insert\s+into|update\s+\w+\s+set|delete\s+from|order\s+by|where\s+[\w.]+\s*(=|<|>|in\s*\(|like\s|between\s))`)
	set, files := parsed(t)
	seen := 0
	for path, file := range files {
		if strings.HasPrefix(path, "audit/") {
			continue // follows an application's own tables, whose names it quotes: TestNames and TestSQLiteNames
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING && statement.MatchString(n.Value) && strings.HasPrefix(path, "internal/db/") {
					seen++
				}
			case *ast.CallExpr:
				called, _ := n.Fun.(*ast.SelectorExpr)
				if called == nil || !slices.Contains([]string{"Sprintf", "Fprintf", "Appendf"}, called.Sel.Name) {
					return true
				}
				for _, argument := range n.Args {
					if text, ok := argument.(*ast.BasicLit); ok && statement.MatchString(text.Value) && strings.Contains(text.Value, "%") {
						t.Errorf("%s: a statement made with %s: %s", set.Position(n.Pos()), called.Sel.Name, text.Value)
					}
				}
			}
			return true
		})
	}
	if seen < 50 {
		t.Errorf("saw %d statements, want at least 50: the pattern is wrong", seen)
	}
}

// TestSecretsAreNotComparedEarly: nothing that proves who somebody is, is
// compared by an operator that stops at the first difference. Hashes of secrets
// are looked up by an index, which is why the database holds nothing else.
//
// ASVS:V15.3.5
func TestSecretsAreNotComparedEarly(t *testing.T) {
	secret := regexp.MustCompile(`(?i)(secret|password|passwd|mac|signature|sig|bearer|nonce|verifier|totp|otp|code)$`)
	// Comparisons of such names that prove nobody's identity, with the reason.
	harmless := regexp.MustCompile(`chosen|error_code|ErrorCode|StatusCode|\.Code\b|statusCode|exitCode|fieldCode`)
	name := func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.Ident:
			return e.Name
		case *ast.SelectorExpr:
			return e.Sel.Name
		}
		return ""
	}
	constant := func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.BasicLit:
			return true
		case *ast.Ident:
			return e.Name == "nil" || e.Name == "true" || e.Name == "false"
		}
		return false
	}
	set, files := parsed(t)
	looked := 0
	for path, file := range files {
		if !strings.HasPrefix(path, "internal/authz/") && !strings.HasPrefix(path, "internal/handlers/") && !strings.HasPrefix(path, "internal/db/") {
			continue
		}
		text := source(t, path)[path]
		lines := strings.Split(text, "\n")
		ast.Inspect(file, func(n ast.Node) bool {
			var a, b ast.Expr
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					a, b = n.X, n.Y
				}
			case *ast.CallExpr:
				if called, ok := n.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "Equal" && len(n.Args) == 2 && name(called.X) == "bytes" {
					a, b = n.Args[0], n.Args[1]
				}
			}
			if a == nil || constant(a) || constant(b) {
				return true
			}
			looked++
			at := set.Position(n.Pos())
			if (secret.MatchString(name(a)) || secret.MatchString(name(b))) && !harmless.MatchString(lines[at.Line-1]) {
				t.Errorf("%s: compare with crypto/subtle: %s", at, strings.TrimSpace(lines[at.Line-1]))
			}
			return true
		})
	}
	if looked < 100 {
		t.Errorf("looked at %d comparisons, want at least 100", looked)
	}
}

// TestScriptsAreHarmless: our JavaScript makes text of text, keeps nothing in the
// browser, talks to nobody but the server it came from, and listens to no other
// window.
//
// ASVS:V3.2.2 ASVS:V1.3.2 ASVS:V14.3.3 ASVS:V14.2.3 ASVS:V3.7.1 ASVS:V15.3.6 ASVS:V1.2.3
func TestScriptsAreHarmless(t *testing.T) {
	dangerous := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\(|new Function|setTimeout\("|localStorage|sessionStorage|indexedDB|document\.cookie|postMessage|addEventListener\("message"|__proto__|importScripts|WebSocket|EventSource|sendBeacon|navigator\.serviceWorker|window\.name|<applet|ActiveX|https?://`)
	for path, text := range source(t, ".js", ".css") {
		for i, line := range strings.Split(text, "\n") {
			if found := dangerous.FindString(line); found != "" && !strings.Contains(line, "http://www.w3.org/") {
				t.Errorf("%s:%d: %s", path, i+1, found)
			}
		}
	}
}

// TestTemplatesEscape: no template takes a value for markup, for a script or for
// a trusted address, none holds a script or a handler of its own, and every field
// for a password hides what is typed and lets a password manager work.
//
// ASVS:V1.2.1 ASVS:V1.3.7 ASVS:V6.2.6 ASVS:V6.2.7 ASVS:V3.7.2
func TestTemplatesEscape(t *testing.T) {
	dangerous := regexp.MustCompile(`templ\.Raw|templ\.SafeURL|templ\.URL\(|templ\.SafeCSS|templ\.JSFuncCall|templ\.JSONScript|templ\.OnceHandle|unsafe|(?i)\son[a-z]+=|\sstyle=|<script(\s*>|[^>]*[^/]>[^<])|javascript:|target="_blank"(>| [^r])|onpaste|http-equiv`)
	password := regexp.MustCompile(`<input[^>]*name="(password|current|again|new)[^>]*>`)
	passwords := 0
	for path, text := range source(t, ".templ") {
		for _, found := range dangerous.FindAllString(text, -1) {
			if !strings.HasPrefix(found, "<script") || !strings.Contains(found, "src=") {
				t.Errorf("%s: %s", path, found)
			}
		}
		for _, field := range password.FindAllString(text, -1) {
			passwords++
			if !strings.Contains(field, `type="password"`) || !strings.Contains(field, "autocomplete=") || strings.Contains(field, "maxlength") || strings.Contains(field, `autocomplete="off"`) {
				t.Errorf("%s: %s", path, field)
			}
		}
	}
	if passwords < 3 {
		t.Errorf("saw %d fields for passwords, want at least 3", passwords)
	}
	for path, text := range source(t, ".go") {
		if !strings.HasSuffix(path, "_templ.go") && regexp.MustCompile(`templ\.(Raw|SafeURL|SafeCSS)\(|template\.(HTML|JS|URL)\(`).MatchString(text) {
			t.Errorf("%s takes a value for markup", path)
		}
	}
}

// TestNoSecretInTheSource: nothing in the repository opens anything.
//
// ASVS:V13.3.1 ASVS:V6.3.2 ASVS:V13.2.3
func TestNoSecretInTheSource(t *testing.T) {
	secret := regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]|AKIA[0-9A-Z]{16}|aat_[A-Za-z0-9_-]{43}|ghp_[A-Za-z0-9]{36}|PRIVATE\+KEY\+[a-z]`)
	files, err := exec.Command("git", "ls-files").Output()
	paths := strings.Fields(string(files))
	if err != nil || len(paths) == 0 { // an archive without its history
		for path := range source(t, ".go", ".sql", ".templ", ".js") {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil || strings.Contains(path, "testdata") || strings.HasSuffix(path, "_test.go") {
			continue
		}
		if found := secret.Find(content); found != nil {
			t.Errorf("%s holds %.20s…", path, found)
		}
	}
}

// TestTLSIsNotWeakened: no connection skips the check of a certificate, and no
// server or client of ours offers what is older than TLS 1.2.
//
// ASVS:V12.3.2
func TestTLSIsNotWeakened(t *testing.T) {
	for path, text := range source(t, ".go") {
		if found := regexp.MustCompile(`InsecureSkipVerify|VersionTLS10|VersionTLS11|VersionSSL|InsecureCipherSuites|CipherSuites:`).FindString(text); found != "" {
			t.Errorf("%s: %s", path, found)
		}
	}
}

// speakers are the only files that speak to another server, each with one that
// whoever runs the program named, and none follows it to another one.
var speakers = []string{"internal/authz/issuer.go", "audit/remote.go", "cmd/auditadmin/sinks.go"}

// TestTheProgramCallsNobodyElse: no value of an event and no field of a form
// steers a request of ours, because nothing but these files makes one.
//
// ASVS:V1.3.6 ASVS:V13.2.4 ASVS:V15.3.2 ASVS:V14.2.3
func TestTheProgramCallsNobodyElse(t *testing.T) {
	calls := regexp.MustCompile(`http\.(Client\{|Get\(|Post\(|PostForm\(|Head\(|DefaultClient|DefaultTransport|NewRequest)|net\.(Dial|Lookup|Dialer)|tls\.(Dial|Client\()|smtp\.|rpc\.Dial`)
	for path, text := range source(t, ".go") {
		if strings.HasPrefix(path, "internal/bench/") || strings.HasPrefix(path, "internal/pgtest/") || strings.HasPrefix(path, "internal/torture/") {
			continue // measure and torture, and are in no binary
		}
		switch found := calls.FindString(text); {
		case found == "":
		case !slices.Contains(speakers, path):
			t.Errorf("%s speaks to another server: %s", path, found)
		case !strings.Contains(text, "http.ErrUseLastResponse"):
			t.Errorf("%s follows redirects", path)
		}
	}
}

// TestCryptographyIsNotHomeMade: packages that hash, sign, encrypt or draw
// random numbers take them from the standard library and golang.org/x alone.
//
// ASVS:V11.2.1
func TestCryptographyIsNotHomeMade(t *testing.T) {
	known := regexp.MustCompile(`^(crypto/|golang\.org/x/crypto/|golang\.org/x/mod/sumdb/|hash/|github\.com/coreos/go-oidc|golang\.org/x/oauth2|github\.com/go-jose/)`)
	cryptic := regexp.MustCompile(`(?i)crypt|cipher|argon|bcrypt|scrypt|blake|ed25519|jose|jwt|otp|sha[0-9]|hmac|/rand$|/hash$`)
	_, files := parsed(t)
	uses := 0
	for path, file := range files {
		for _, spec := range file.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			if known.MatchString(name) {
				uses++
			} else if cryptic.MatchString(name) && !strings.HasPrefix(name, module) && name != "math/rand/v2" && name != "math/rand" {
				t.Errorf("%s takes cryptography from %s", path, name)
			}
		}
	}
	if uses < 20 {
		t.Errorf("saw %d imports of cryptography, want at least 20", uses)
	}
}

// TestNoFormatFromData: what fmt takes for a format is written in the program.
//
// ASVS:V1.3.10
func TestNoFormatFromData(t *testing.T) {
	at := map[string]int{"Sprintf": 0, "Errorf": 0, "Printf": 0, "Fprintf": 1, "Appendf": 1}
	set, files := parsed(t)
	looked := 0
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			called, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, _ := called.X.(*ast.Ident)
			i, formats := at[called.Sel.Name]
			if pkg == nil || pkg.Name != "fmt" || !formats || len(call.Args) <= i {
				return true
			}
			looked++
			switch format := call.Args[i].(type) {
			case *ast.BasicLit, *ast.BinaryExpr: // pieces that are joined are constants, or vet says so
			case *ast.Ident:
				if len(call.Args) > i+1 && !call.Ellipsis.IsValid() && format.Obj == nil {
					t.Errorf("%s: the format is %s", set.Position(n.Pos()), format.Name)
				}
			case *ast.CallExpr, *ast.IndexExpr:
				t.Errorf("%s: the format is computed", set.Position(n.Pos()))
			}
			return true
		})
	}
	if looked < 200 {
		t.Errorf("looked at %d calls, want at least 200", looked)
	}
}
