//go:build linux

package torture

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// places are up to most of the numbers below n: the first third of them and the
// last one by one, and others at even distances between.
func places(n, most int) (all []int) {
	if n <= most {
		most = n
	}
	edge := most / 3
	for i := range most {
		switch {
		case n == most || i < edge:
			all = append(all, i)
		case i >= most-edge:
			all = append(all, n-most+i)
		default:
			all = append(all, edge+(i-edge)*(n-2*edge)/(most-2*edge))
		}
	}
	return all
}

// TestR14HalfUpgraded upgrades a database of version 1 and ends the program with
// SIGKILL at one call to the disk, or lets that call fail: 4 of the calls, in the
// long form 300, from the first to the last. The next start finishes the upgrade,
// and everything is there.
func TestR14HalfUpgraded(t *testing.T) {
	beside(t)
	f := finding{Fault: "R14", What: "upgrade ended half-way"}
	began := time.Now()
	base := fast(t)
	old, j := oldHouse(t, base, size(500, 12000))
	// once upgrades a copy, where one call after those before it does not succeed or
	// times is 0, and returns how many calls there were and how many did not.
	once := func(name string, before, times, action uint32) (calls, failed int, v verdict) {
		dir := filepath.Join(base, name)
		if err := os.CopyFS(filepath.Join(dir, "house"), os.DirFS(old.dir)); err != nil {
			v.complain("%v", err)
			return 0, 0, v
		}
		r := newRecorder(t, dir)
		r.control.fail(callWrite|callSync|callTruncate|callUnlink, syscall.EIO, before+1, times, action)
		cmd := r.command("token", "create", "reader", "--scope", "read")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		err := cmd.Run()
		calls, failed = r.control.seen(), r.control.failed()
		r.control.heal()
		v = examine(t.Context(), r.db(), j)
		if failed == 0 && err != nil || strings.Contains(errs.String(), "goroutine ") {
			v.complain("%v: %.2000s", err, errs.String())
		}
		if err := os.RemoveAll(dir); err != nil {
			v.complain("%v", err)
		}
		return calls, failed, v
	}
	calls, _, v := once("whole", 0, 0, failCall)
	for _, w := range v.wrong {
		t.Errorf("an upgrade that nothing disturbs: %s", w)
	}
	type way struct {
		name   string
		action uint32
		before int
	}
	var ways []way
	for _, before := range places(calls, size(4, 300)) {
		ways = append(ways, way{"SIGKILL", failKills, before}, way{"EIO", failCall, before})
	}
	f.Times = len(ways)
	var mutex sync.Mutex
	interrupted := 0
	spread(len(ways), func(i int) {
		_, failed, v := once(fmt.Sprint("run", i), uint32(ways[i].before), 1, ways[i].action)
		mutex.Lock()
		defer mutex.Unlock()
		interrupted += failed
		f.add(v)
		for _, w := range v.wrong {
			t.Errorf("%s after %d calls: %s", ways[i].name, ways[i].before, w)
		}
	})
	f.Took, f.Note = time.Since(began), fmt.Sprintf("%d of them interrupted; %d calls in all", interrupted, calls)
	judge(t, f)
	if interrupted < f.Times*9/10 {
		t.Errorf("%d of %d upgrades were interrupted: this proves little", interrupted, f.Times)
	}
}
