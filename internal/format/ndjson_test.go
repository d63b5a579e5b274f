package format

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/need"
)

func TestNDJSONRealHistories(t *testing.T) {
	for _, name := range []string{"history-endoflife", "history-simple-icons", "history-sp500"} {
		t.Run(name, func(t *testing.T) {
			path := need.Shared(t, "data/"+name+"/events.ndjson.gz")
			raw, err := os.ReadFile(need.Shared(t, "data/"+name+"/events.facts.json"))
			if err != nil {
				t.Fatal(err)
			}
			var facts struct {
				Events   int64
				ByAction map[string]int `json:"by_action"`
			}
			if err := json.Unmarshal(raw, &facts); err != nil {
				t.Fatal(err)
			}
			store, summary, bad := testImport(t, "ndjson", ImportOptions{}, path)
			t.Log(summary)
			if summary.Stored != facts.Events || len(bad) > 0 {
				t.Errorf("got %s and bad lines %q, want %d stored and none", summary, bad, facts.Events)
			}
			for action, want := range facts.ByAction {
				if got := store.count(audit.KindAuditLog, "action="+action); got != want {
					t.Errorf("%s: got %d, want %d", action, got, want)
				}
			}
			again(t, store, "ndjson", ImportOptions{}, path)
		})
	}
}

// What is written can be read, and no field is another.
func TestNDJSONRoundTrip(t *testing.T) {
	store, _, bad := testImport(t, "ndjson", ImportOptions{}, filepath.Join("testdata", "events.ndjson"))
	if want := []string{`events.ndjson:5: the field "usrname" of an audit_log is not known: did you mean "username"?`,
		"events.ndjson:6: the field \"action\" of an audit_log is missing"}; fmt.Sprint(bad) != fmt.Sprint(want) {
		t.Errorf("bad lines: got %q, want %q", bad, want)
	}
	var out bytes.Buffer
	w, err := NewWriter("ndjson", &out, audit.KindAuditLog)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	for i, e := range store.events {
		if err := w.Write(&db.Stored{Event: e, ID: int64(i+1) << 40, Seq: int64(i + 1), RecordedAt: testNow}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	second, _, bad := testImport(t, "ndjson", ImportOptions{}, testFile(t, "out", out.Bytes()))
	if len(bad) > 0 || len(second.events) != len(store.events) {
		t.Fatalf("got %d events and bad lines %q, want %d and none", len(second.events), bad, len(store.events))
	}
	for i, e := range store.events {
		got, want := string(audit.AppendJSON(nil, second.events[i], nil))+second.events[i].Source, string(audit.AppendJSON(nil, e, nil))+e.Source
		if got != want {
			t.Errorf("event %d\ngot  %s\nwant %s", i, got, want)
		}
	}
	if first, _, _ := strings.Cut(out.String(), "\n"); !strings.HasPrefix(first, `{"kind":"audit_log","id":"1099511627776","seq":1,"recorded_at":"2026-09-01T12:00:00.000000Z","source":"import:ndjson","event_id":"a1"`) {
		t.Errorf("the first line begins %s", first)
	}
}

// A file of any size takes the same memory.
func TestImportInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads 64 MiB")
	}
	used := func(size int64) uint64 {
		f, _ := Lookup("ndjson")
		o := ImportOptions{Stdin: &endless{line: fmt.Sprintf(event, strings.Repeat("x", 500)) + "\n", left: size}}
		var most uint64
		look := int64(4 << 20)
		o.Progress = func(n, _ int64) {
			if n >= look {
				look += 4 << 20
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		if _, err := Import(context.Background(), f, []string{"-"}, o, forget{}); err != nil {
			t.Fatal(err)
		}
		return most
	}
	small, large := used(8<<20), used(64<<20)
	if large > small+16<<20 {
		t.Errorf("got %d MiB for 64 MiB of input and %d MiB for 8, want about the same", large>>20, small>>20)
	}
}

func FuzzNDJSON(f *testing.F) {
	sample, err := os.ReadFile(filepath.Join("testdata", "events.ndjson"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte("\xEF\xBB\xBF{}\r\n\x00\n"))
	f.Fuzz(func(t *testing.T, text []byte) { accounted(t, readNDJSON, text) })
}
