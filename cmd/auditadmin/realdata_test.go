package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/internal/need"
)

// TestRealHistories imports real row changes and compares what the commands say
// with what was counted when they were collected.
func TestRealHistories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	total := 0
	for _, name := range []string{"history-sp500", "history-simple-icons", "history-endoflife"} {
		folder := need.Shared(t, "data/"+name)
		text, err := os.ReadFile(filepath.Join(folder, "events.facts.json"))
		if err != nil {
			t.Fatal(err)
		}
		var facts struct {
			Events   int            `json:"events"`
			ByAction map[string]int `json:"by_action"`
		}
		if err := json.Unmarshal(text, &facts); err != nil {
			t.Fatal(err)
		}
		_, said := command(t, exitDone, "import", "--db", file, "--format", "ndjson", filepath.Join(folder, "events.ndjson.gz"))
		if want := fmt.Sprintf("read %d, stored %d, duplicates 0, skipped 0 ", facts.Events, facts.Events); !strings.Contains(said, want) {
			t.Errorf("%s: got %s, want %s", name, said, want)
		}
		total += facts.Events
		if name == "history-simple-icons" { // the whole is in it by now: two histories
			_, said := command(t, exitDone, "import", "--db", file, "--format", "ndjson", filepath.Join(folder, "events.ndjson.gz"))
			if want := fmt.Sprintf("stored 0, duplicates %d, skipped 0 (conflicts 0)", facts.Events); !strings.Contains(said, want) {
				t.Errorf("%s again: got %s, want %s", name, said, want)
			}
		}
		for action, want := range facts.ByAction {
			if got := count(t, file, "module:"+strings.TrimPrefix(name, "history-")+" action:"+action); got != want {
				t.Errorf("%s: got %d of %s, want %d", name, got, action, want)
			}
		}
	}
	if got := count(t, file, "-module:auditadmin"); got != total {
		t.Errorf("got %d events, want %d", got, total)
	}
	if got := count(t, file, "action:IMPORT module:auditadmin"); got != 4 {
		t.Errorf("got %d records of imports, want 4", got)
	}
}

// command runs the program and returns what it wrote.
func command(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if got := run(t.Context(), args, nil, strings.NewReader(""), &out, &err); got != want {
		t.Fatalf("auditadmin %s: got exit code %d, want %d: %s", strings.Join(args, " "), got, want, &err)
	}
	return out.String(), err.String()
}

// count asks how many audit logs match a query.
func count(t *testing.T, file, query string) int {
	t.Helper()
	text, _ := command(t, exitDone, "search", "--db", file, "--format", "json", "--limit", "1", query)
	var list struct {
		Count struct {
			Value int
			Exact bool
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	if !list.Count.Exact {
		t.Errorf("%s: the count is not exact", query)
	}
	return list.Count.Value
}
