package diff

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
)

func TestStateAt(t *testing.T) {
	steps := []Step{
		{"UPDATE", `{"early":{"old":"x","new":"y"}}`},
		{"CREATE", `{"status":{"old":null,"new":"new"},"total":{"old":null,"new":"10.00"},"key":{"old":null,"new":"***0123456789ab"}}`},
		{"VIEW", `{"status":{"old":"?","new":"?"}}`},
		{"UPDATE", `{"status":{"old":"new","new":"paid"},"note":{"old":"by hand","new":"n"}}`},
		{"UPDATE", `{"total":{"old":"11.00","new":"12.50"},"key":{"old":"***","new":"***ba9876543210"}}`},
		{"UPDATE", `{"key":{"old":"***0123456789ab","new":"***0123456789ab"},"seed":"v"}`},
		{"DELETE", `{"status":{"old":"paid","new":null},"total":{"old":"12.50"}}`},
		{"CREATE", `{"status":{"new":"again"}}`},
	}
	say := func(s ObjectState) string {
		var all []string
		for _, f := range s.Fields {
			all = append(all, fmt.Sprintf("%s=%s@%d", f.Field, say(f.Value), f.Step))
		}
		for _, m := range s.MissingWrites {
			all = append(all, fmt.Sprintf("missing %s@%d: %s after %s@%d", m.Field, m.Step, say(m.Found), say(m.Recorded), m.Last))
		}
		return fmt.Sprintf("%s deleted=%t", strings.Join(all, ", "), s.Deleted)
	}
	for n, want := range map[int]string{
		0: " deleted=false",
		1: "early=y@0 deleted=false",
		3: "status=new@1, total=10.00@1, key=***0123456789ab@1 deleted=false",
		4: "status=paid@3, total=10.00@1, key=***0123456789ab@1, note=n@3, missing note@3: by hand after <missing>@1 deleted=false",
		7: "status=paid@3, total=12.50@4, key=***0123456789ab@5, note=n@3, seed=v@5, missing note@3: by hand after <missing>@1, " +
			"missing total@4: 11.00 after 10.00@1, missing key@5: ***0123456789ab after ***ba9876543210@4 deleted=true",
	} {
		if got := say(StateAt(steps[:n])); got != want {
			t.Errorf("after %d steps:\ngot  %s\nwant %s", n, got, want)
		}
	}
	again := StateAt(steps)
	if got := say(ObjectState{Fields: again.Fields, Deleted: again.Deleted}); got != "status=again@7 deleted=false" {
		t.Errorf("created again: got %s", got)
	}
}

// TestRealHistories compares every change of three real histories, in which no
// write is missing: SOURCE.md beside them says so.
func TestRealHistories(t *testing.T) {
	for _, name := range []string{"history-endoflife", "history-simple-icons", "history-sp500"} {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open(need.Shared(t, "data/"+name+"/events.ndjson.gz"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			zr, err := gzip.NewReader(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(zr)
			lines.Buffer(nil, audit.MaxImportLine)
			objects := map[string][]Step{}
			var took []time.Duration
			for lines.Scan() {
				e, err := audit.DecodeEvent(lines.Bytes(), audit.DecodeOptions{Import: true})
				if err != nil {
					t.Fatal(err)
				}
				changes := e.Get("changes")
				start := time.Now()
				table := New(changes)
				took = append(took, time.Since(start))
				check(t, changes, table)
				if len(table.Rows) == 0 {
					t.Fatalf("no rows for %s", changes)
				}
				id := e.Get("content_type") + "|" + e.Get("object_id")
				objects[id] = append(objects[id], Step{e.Get("action"), changes})
			}
			if err := lines.Err(); err != nil {
				t.Fatal(err)
			}
			for id, steps := range objects {
				state := StateAt(steps)
				if len(state.MissingWrites) > 0 {
					t.Errorf("%s: got missing writes %+v, want none", id, state.MissingWrites)
				}
				if !state.Begun {
					t.Errorf("%s: got no creation", id)
				}
			}
			slices.Sort(took)
			t.Logf("%d tables: median %s, slowest %s; %d objects", len(took), took[len(took)/2], took[len(took)-1], len(objects))
		})
	}
}

func FuzzStateAt(f *testing.F) {
	f.Add(`{"a":{"old":1,"new":2}}`, `{"a":{"old":3},"b":[]}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		state := StateAt([]Step{{"CREATE", first}, {"UPDATE", second}, {"DELETE", first}})
		for _, m := range state.MissingWrites {
			if m.Last < 0 || m.Last >= m.Step {
				t.Fatalf("got %+v", m)
			}
		}
	})
}
