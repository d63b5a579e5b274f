package query

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

var update = flag.Bool("update", false, "write docs/query.md anew")

// TestTable holds what every entry of the table promises.
func TestTable(t *testing.T) {
	for _, table := range tables {
		seen := map[string]bool{}
		for _, e := range table.entries {
			name := string(table.kind) + " " + e.Key
			if seen[e.Key] {
				t.Errorf("%s: stands there twice", name)
			}
			seen[e.Key] = true
			if e.Label == "" || e.Doc == "" || !strings.Contains(e.is, "%s") || !strings.Contains(e.not, "%s") {
				t.Errorf("%s: has no label, doc or phrase", name)
			}
			f, err := Parse(table.kind, e.Example, testAt)
			if err != nil || len(f.Terms) != 1 || f.Terms[0].Field.Key != e.Key {
				t.Errorf("%s: the example %s is not a term of it: %v", name, e.Example, err)
			}
			for _, column := range e.Columns {
				if table.kind.Index(column) < 0 && !slices.Contains([]string{"source", "id", "recorded_at"}, column) {
					t.Errorf("%s: events have no field %q", name, column)
				}
				if e.Class == ClassText && !slices.Contains(table.searchable, column) {
					t.Errorf("%s: %q is not among the searchable fields, whose index it needs", name, column)
				}
			}
			facet := e.Class == ClassValue || e.Class == ClassAddress || e.Class == ClassState
			if e.Facet != facet {
				t.Errorf("%s: got facet %v, want %v", name, e.Facet, facet)
			}
		}
		for _, column := range table.searchable {
			if table.kind.Index(column) < 0 {
				t.Errorf("%s: searchable is %q, which is not a field", table.kind, column)
			}
		}
	}
	for other, key := range otherNames {
		known := slices.ContainsFunc(tables, func(t table) bool { _, ok := lookup(t.kind, key); return ok })
		if !known {
			t.Errorf("%s is said to mean %s, which is no key", other, key)
		}
	}
}

// TestContractKeys holds the keys that the outer contract names.
func TestContractKeys(t *testing.T) {
	const common = " after before on last recorded source id"
	for kind, want := range map[audit.Kind]string{
		audit.KindAuditLog:     "user action type object module ip session request repr agent reason field old new" + common,
		audit.KindLoginAttempt: "user status ip country city session request agent reason" + common,
		audit.KindDataExport:   "user export format ip rows size session request" + common,
		audit.KindSystemEvent:  "event is module function code user ip session request resolved-by title" + common,
	} {
		var keys []string
		for _, f := range Fields(kind) {
			keys = append(keys, f.Key)
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", kind, got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, kind := range audit.Kinds() {
		keys := 0
		for _, group := range Help(kind) {
			for _, item := range group.Items {
				if item.Key != "" {
					keys++
				}
				if _, err := Parse(kind, item.Term, testAt); err != nil || item.Doc == "" {
					t.Errorf("%s, %s: %s is not a query: %v", kind, group.Title, item.Term, err)
				}
			}
		}
		if want := len(Fields(kind)); keys != want {
			t.Errorf("%s: help for %d keys, want %d", kind, keys, want)
		}
	}
}

// TestDocs holds docs/query.md in step with the table. To write it anew:
//
//	go test -tags sqlite_fts5 ./internal/query -run TestDocs -update
func TestDocs(t *testing.T) {
	const path, mark = "../../docs/query.md", "<!-- from the table of internal/query/fields.go; do not edit below -->\n"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	prose, got, found := strings.Cut(string(old), mark)
	if !found {
		t.Fatalf("%s has no line %s", path, mark)
	}
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(prose+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not what the table says; run this test with -update", path)
	}
	for _, limit := range []int{MaxLength, MaxTerms, MaxValues} {
		if !strings.Contains(prose, fmt.Sprint(limit)) {
			t.Errorf("%s does not name the limit %d", path, limit)
		}
	}
}

// reference writes every key and example as Markdown.
func reference() string {
	var b strings.Builder
	for _, kind := range audit.Kinds() {
		fmt.Fprintf(&b, "\n## %s\n", upperFirst(kind.Plural()))
		for _, group := range Help(kind)[1:] { // how to write a query is said above
			if group.Items[0].Key == "" {
				b.WriteString("\n| query | finds |\n| --- | --- |\n")
			} else {
				fmt.Fprintf(&b, "\n| %s | | for example |\n| --- | --- | --- |\n", strings.ToLower(group.Title))
			}
			for _, item := range group.Items {
				if item.Key == "" {
					fmt.Fprintf(&b, "| `%s` | %s |\n", item.Term, item.Doc)
				} else {
					fmt.Fprintf(&b, "| `%s:` | %s | `%s` |\n", item.Key, item.Doc, item.Term)
				}
			}
		}
		fmt.Fprintf(&b, "\nText without a key is looked for in `%s`.\n", strings.Join(Searchable(kind), "`, `"))
	}
	return b.String()
}
