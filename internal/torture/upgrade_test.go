//go:build linux

package torture

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// oldHouse is a house with a database of version 1 and so many events.
func oldHouse(t testing.TB, dir string, events int) (*house, *journal) {
	t.Helper()
	h := newHouse(t, dir)
	schema, err := os.ReadFile(filepath.Join(root(), "internal", "db", "testdata", "schema-1.sql"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("sqlite3", "file:"+h.db()+"?_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ctx := t.Context()
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			t.Fatalf("%.200s: %v", query, err)
		}
	}
	exec(string(schema))
	exec("INSERT INTO meta (key, value) VALUES ('mask_key', ?)", strings.Repeat("ab", 32))
	j := newJournal()
	recorded := audit.FormatTime(firstEvent.AddDate(0, 2, 0))
	for n := range events {
		e, err := audit.DecodeEvent(bytes.TrimSpace(line(n)), audit.DecodeOptions{})
		if err == nil {
			err = e.Normalize(firstEvent.AddDate(0, 1, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
		id, seq := timeOf(n).UnixMicro()<<10|int64(n%4), int64(n+1)
		names := []string{"id", "seq", "recorded_at", "source", "event_id"}
		values := []any{id, seq, recorded, source, e.EventID}
		for _, f := range e.Kind.Fields() {
			names = append(names, f.Name)
			value := any(e.Get(f.Name))
			switch {
			case f.Type == audit.Boolean:
				value = e.Get(f.Name) == "true"
			case (f.Type == audit.JSON || f.Type == audit.Integer || f.Type == audit.Time) && value == "":
				value = nil
			}
			values = append(values, value)
		}
		exec("INSERT INTO "+string(e.Kind)+" ("+strings.Join(names, ", ")+") VALUES (?"+strings.Repeat(", ?", len(names)-1)+")", values...)
		exec("INSERT INTO ledger (seq, entry, kind, id, recorded_at) VALUES (?, 'created', ?, ?, ?)", seq, e.Kind, id, recorded)
		j.mark(j.sent, n)
		j.mark(j.acked, n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return h, j
}

// TestR14HalfUpgraded upgrades a database of version 1 and ends the program with
// SIGKILL at one call to the disk after another, a few of them, in the long form
// every one there is up to 300; or lets that call fail. The next start finishes
// the upgrade, and everything is there.
func TestR14HalfUpgraded(t *testing.T) {
	f := finding{Fault: "R14", What: "upgrade ended half-way"}
	began := time.Now()
	base := fast(t)
	old, j := oldHouse(t, base, size(500, 12000))
	most := 300
	step := 80
	if shop.scale > 0 {
		step = max(1, int(1/shop.scale))
	}
	interrupted := 0
	for _, way := range []struct {
		action uint32
		name   string
	}{{failKills, "SIGKILL"}, {failCall, "EIO"}} {
		for n := 1; n <= most; n += step {
			dir := filepath.Join(base, "run")
			if err := os.CopyFS(filepath.Join(dir, "house"), os.DirFS(old.dir)); err != nil {
				t.Fatal(err)
			}
			r := newRecorder(t, dir)
			r.control.fail(callWrite|callSync|callTruncate|callUnlink, syscall.EIO, uint32(n), 1, way.action)
			cmd := r.command("token", "create", "reader", "--scope", "read")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			err := cmd.Run()
			hit := r.control.failed() > 0
			if strings.Contains(errs.String(), "goroutine ") || !hit && err != nil {
				f.Wrong++
				t.Errorf("%s at call %d: %v: %.2000s", way.name, n, err, errs.String())
			}
			if hit {
				interrupted++
			}
			r.control.heal()
			v := examine(t.Context(), r.db(), j)
			f.add(v)
			f.Times++
			for _, w := range v.wrong {
				t.Errorf("%s at call %d: %s", way.name, n, w)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if !hit {
				break // there are no more calls
			}
		}
	}
	f.Took, f.Note = time.Since(began), fmt.Sprintf("%d of them interrupted", interrupted)
	judge(t, f)
	if interrupted < f.Times/2 {
		t.Errorf("%d of %d upgrades were interrupted: this proves little", interrupted, f.Times)
	}
}
