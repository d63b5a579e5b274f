package auditadmin_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/asvs.md anew; then read what changed")

// tests is every test and fuzz target of the repository, by "directory name",
// with its doc comment.
func tests(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				all[filepath.ToSlash(filepath.Dir(path))+" "+f.Name.Name] = f.Doc.Text()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// item is one requirement of OWASP ASVS 5.0 at level 1 or 2, in our words.
type item struct {
	id, level, text string
	note            string // "" where a test covers it; else "document: FILE#HEADING", "n/a: why" or "open: why"
	tests           []string
}

// TestASVS keeps the table of OWASP ASVS 5.0, level 2, in step with the tests:
// a test says in its doc comment which items would make it fail. What no test
// covers has a sentence in docs/asvs.tsv, and a document is where it says it is.
func TestASVS(t *testing.T) {
	content, err := os.ReadFile("docs/asvs.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var items []*item
	byID := map[string]*item{}
	for line := range strings.Lines(string(content)) {
		fields := append(strings.Split(strings.TrimSuffix(line, "\n"), "\t"), "")
		if len(fields) < 4 || len(fields) > 5 {
			t.Fatalf("docs/asvs.tsv: %q", line)
		}
		it := &item{id: fields[0], level: fields[1], text: fields[2], note: fields[3]}
		items, byID[it.id] = append(items, it), it
	}
	tag := regexp.MustCompile(`ASVS:(V\d+\.\d+\.\d+)`)
	for name, doc := range tests(t) {
		for _, found := range tag.FindAllStringSubmatch(doc, -1) {
			if it := byID[found[1]]; it == nil {
				t.Errorf("%s covers %s, which docs/asvs.tsv does not have", name, found[1])
			} else if !slices.Contains(it.tests, name) {
				it.tests = append(it.tests, name)
			}
		}
	}
	count := map[string]int{}
	for _, it := range items {
		kind, _, _ := strings.Cut(it.note, ":")
		switch {
		case len(it.tests) > 0 && it.note == "":
			kind = "test"
		case len(it.tests) > 0:
			t.Errorf("%s has tests and the note %q: drop one", it.id, it.note)
		case kind == "document":
			where := strings.TrimPrefix(it.note, "document: ")
			path, heading, _ := strings.Cut(where, "#")
			if page, err := os.ReadFile(path); err != nil || !strings.Contains(string(page), "## "+heading+"\n") {
				t.Errorf("%s: %s has no heading %q: %v", it.id, path, heading, err)
			}
		case kind != "n/a" && kind != "open":
			t.Errorf("%s (%s): no test covers it, and docs/asvs.tsv has no sentence why", it.id, it.text)
		}
		if it.level == "3" {
			kind = "beyond"
		}
		count[kind]++
		slices.Sort(it.tests)
	}
	if len(items)-count["beyond"] != 253 || count["test"] < 150 {
		t.Errorf("got %d items, %d covered by tests; want 253 and at least 150", len(items), count["test"])
	}
	page := table(items, count)
	if *update {
		if err := os.WriteFile("docs/asvs.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("docs/asvs.md")
	if err != nil || string(have) != page {
		t.Errorf("docs/asvs.md is not what the tags say (%v): go test -run TestASVS -update . writes it", err)
	}
	t.Log(count)
}

// table writes the page.
func table(items []*item, count map[string]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# OWASP ASVS 5.0, level 2

The 253 requirements of levels 1 and 2 of the OWASP Application Security Verification Standard 5.0.0, in our words under its
numbers. %d do not apply to this program; of the %d that do, **%d are covered by tests** that fail where the requirement is
violated, %d are documents, and %d are open, each with a sentence. %d of level 3 are held by tests, too.

This page is written from tags in the doc comments of tests by `+"`go test -tags sqlite_fts5 -run TestASVS -update .`"+`; the same test
keeps the two in step. `+"`docs/asvs.tsv`"+` holds the items.

| item | level | requirement | how it is held |
| --- | --- | --- | --- |
`, count["n/a"], 253-count["n/a"], count["test"], count["document"], count["open"], count["beyond"])
	for _, it := range items {
		how := it.note
		if path, is := strings.CutPrefix(how, "document: docs/"); is {
			path, heading, _ := strings.Cut(path, "#")
			how = fmt.Sprintf("[%s](%s)", heading, path)
		}
		if len(it.tests) > 0 {
			names := make([]string, len(it.tests))
			for i, name := range it.tests {
				names[i] = "`" + name + "`"
			}
			how = strings.Join(names, ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", it.id, it.level, it.text, how)
	}
	return b.String()
}
