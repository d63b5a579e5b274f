//go:build linux

package torture

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// fill stores so many events in a house nobody serves.
func fill(t testing.TB, h *house, events int) *journal {
	t.Helper()
	store, err := db.Open(t.Context(), h.db(), db.Options{Schema: auditadmin.Schema})
	if err != nil {
		t.Fatal(err)
	}
	j := newJournal()
	for next := 0; next < events; {
		var batch []*audit.Event
		for range min(1000, events-next) {
			e, err := audit.DecodeEvent(bytes.TrimSpace(line(next)), audit.DecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Normalize(firstEvent.AddDate(0, 1, 0)); err != nil {
				t.Fatal(err)
			}
			e.Source = source
			batch = append(batch, e)
			j.mark(j.sent, next)
			j.mark(j.acked, next)
			next++
		}
		if _, err := store.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(store.Index(t.Context()), store.Close()); err != nil {
		t.Fatal(err)
	}
	return j
}

// damages are values that no column should have, as SQL. What another program,
// a restored dump or a failing disk leaves in a row is none of our choosing.
var damages = []string{
	"NULL", "''", "x'00ff41'", "CAST(x'fffe41' AS TEXT)", "'a' || char(0) || 'b'", `'{"a": '`, `'[1, 2'`, "'[]'", "'null'", "'no number'", "9223372036854775807", "-1", "0.5", "9e999",
	"'0000-00-00T00:00:00.000000Z'", "'9999-12-31T23:59:59.999999Z'", "'2026-02-30T25:00:00.000000Z'", `'{"x":{"old":1}}'`, `'{"x":5}'`, `'{"":{"old":null,"new":[[[]]]}}'`,
}

// damageRows copies rows and puts each damage into each column of a copy. The
// tables would not take them: they are told to for the moment.
func damageRows(t testing.TB, path string) (damaged map[audit.Kind][]int64) {
	t.Helper()
	ctx := t.Context()
	pool, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	raw, err := pool.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := raw.ExecContext(ctx, query, args...); err != nil {
			t.Fatalf("%.200s: %v", query, err)
		}
	}
	columns := func(table string) (names []string) {
		rows, err := raw.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		return names
	}
	exec("CREATE TEMP TABLE kept AS SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
	exec("PRAGMA writable_schema = ON")
	exec("UPDATE sqlite_schema SET sql = replace(replace(sql, ') STRICT', ')'), 'NOT NULL', '') WHERE type = 'table' AND name IN ('audit_log', 'login_attempt', 'data_export', 'system_event')")
	exec("PRAGMA writable_schema = RESET")
	damaged = map[audit.Kind][]int64{}
	exec("BEGIN IMMEDIATE")
	ledger := columns("ledger")
	for _, kind := range audit.Kinds() {
		all := columns(string(kind))
		at := 0
		for _, column := range all {
			if column == "id" || column == "seq" {
				continue
			}
			here := damages
			if column == "metadata" {
				here = append(slices.Clone(damages), "hex(zeroblob(2500000))")
			}
			for _, damage := range here {
				at++
				var seq, id, from int64
				if err := raw.QueryRowContext(ctx, "SELECT (SELECT max(seq) + 1 FROM ledger), id + 1, seq FROM "+string(kind)+" e WHERE source = ? AND NOT EXISTS (SELECT 1 FROM "+string(kind)+
					" n WHERE n.id = e.id + 1) LIMIT 1 OFFSET ?", source, at%50).Scan(&seq, &id, &from); err != nil {
					t.Fatal(err)
				}
				exec("INSERT INTO "+string(kind)+" ("+strings.Join(all, ", ")+") SELECT "+copied(all, map[string]string{
					"id": fmt.Sprint(id), "seq": fmt.Sprint(seq), "event_id": "NULL", column: damage})+" FROM "+string(kind)+" WHERE seq = ?", from)
				exec("INSERT INTO ledger ("+strings.Join(ledger, ", ")+") SELECT "+copied(ledger, map[string]string{
					"id": fmt.Sprint(id), "seq": fmt.Sprint(seq)})+" FROM ledger WHERE seq = ?", from)
				damaged[kind] = append(damaged[kind], id)
			}
		}
	}
	exec("COMMIT")
	exec("PRAGMA writable_schema = ON")
	exec("UPDATE sqlite_schema SET sql = (SELECT k.sql FROM kept k WHERE k.name = sqlite_schema.name) WHERE type = 'table' AND name IN ('audit_log', 'login_attempt', 'data_export', 'system_event')")
	exec("PRAGMA writable_schema = RESET")
	return damaged
}

// copied lists columns for a copy of a row, some of them with other values.
func copied(columns []string, other map[string]string) string {
	list := slices.Clone(columns)
	for i, name := range columns {
		if value, is := other[name]; is {
			list[i] = value
		}
	}
	return strings.Join(list, ", ")
}

// TestR07DamagedRows puts twenty kinds of rubbish into every column of every
// kind: wrong types, broken JSON, invalid UTF-8, NULs, nothing where something
// must be, years 0 and 9999, 5 MB of text. Every list, filter, detail and export
// answers with 200, and nothing panics; the quick form asks for a part of them.
func TestR07DamagedRows(t *testing.T) {
	beside(t)
	began := time.Now()
	h := newHouse(t, fast(t))
	h.open().stop()
	fill(t, h, size(2000, 20000))
	damaged := damageRows(t, h.db())
	s := h.serve()
	someone, err := s.signIn()
	if err != nil {
		t.Fatal(err)
	}
	f := finding{Fault: "R7", What: "damaged rows: pages answered"}
	look := func(get func(string) (answer, error), path string) {
		f.Times++
		a, err := get(path)
		if err != nil || a.status != http.StatusOK {
			f.Wrong++
			if f.Wrong < 20 {
				t.Errorf("GET %s: got %d, %v, want 200: %.300s", path, a.status, err, a.body)
			}
		}
	}
	program := func(path string) (answer, error) { return s.get(path), nil }
	rows := 0
	look(someone.get, "/")
	look(someone.get, "/users?name=user3")
	look(someone.get, "/objects?type=shop.order&id=3")
	for kind, ids := range damaged {
		path := "/" + kind.Path()
		for i, q := range []string{"", "user:user3", "boom", "xxx", "user:\"\"", "-user:user3", "last:30d", "after:2026-01-01", "before:2026-01-01"} {
			if shop.scale == 0 && i > 2 {
				break
			}
			q = strings.NewReplacer(" ", "+", "\"", "%22", ":", "%3A").Replace(q)
			look(someone.get, path+"?q="+q)
			look(program, path+".json?limit=1000&q="+q)
			look(program, path+"/facets.json?q="+q)
			for _, by := range []string{"year", "hour"} {
				look(program, path+"/timeline.json?by="+by+"&q="+q)
			}
		}
		look(program, path+".csv?q=")
		look(program, path+".ndjson?q=")
		for i, id := range ids {
			rows++
			if shop.scale == 0 && i%25 != 0 {
				continue
			}
			look(someone.get, fmt.Sprintf("%s/%d", path, id))
			look(program, fmt.Sprintf("%s/%d.json", path, id))
		}
		// The whole list is walked to its end: no page breaks off at a damaged row.
		seen := 0
		for after := ""; ; {
			var list struct {
				Items []json.RawMessage
				Next  string
			}
			a := s.get(path + ".json?limit=500&after=" + after)
			f.Times++
			if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK {
				f.Wrong++
				t.Errorf("GET %s.json after %q: got %d, %v", path, after, a.status, err)
				break
			}
			seen += len(list.Items)
			if after = list.Next; after == "" {
				break
			}
		}
		if seen < len(ids) {
			f.Wrong++
			t.Errorf("the list of %s showed %d events, want more than the %d damaged ones", kind.Plural(), seen, len(ids))
		}
	}
	s.healthy()
	s.stop()
	f.Took, f.Note = time.Since(began), fmt.Sprintf("%d damaged rows", rows)
	judge(t, f)
}

// TestR08DamagedPages flips, zeroes and cuts off random pages of the database
// file and of what stands beside it, 8 times, in the long form 500, and lets
// each command look at what is left. A command may fail and say so. It never
// crashes, and never hangs.
func TestR08DamagedPages(t *testing.T) {
	beside(t)
	f := finding{Fault: "R8", What: "damaged pages: commands run", Times: 0}
	began := time.Now()
	base := fast(t)
	whole := newHouse(t, base)
	whole.open().stop()
	fill(t, whole, 3000)
	commands := [][]string{{"search", "boom"}, {"export", "--format", "ndjson", "user:user3"}, {"summary"}}
	for _, optional := range []string{"verify", "salvage"} {
		if offers(t, whole, optional) {
			commands = append(commands, []string{optional})
		}
	}
	var mutex sync.Mutex
	refused := 0
	wrong := func(format string, args ...any) {
		mutex.Lock()
		defer mutex.Unlock()
		f.Wrong++
		t.Errorf(format, args...)
	}
	spread(size(8, 500), func(i int) {
		h := &house{t: t, program: whole.program, dir: filepath.Join(base, fmt.Sprint("damaged", i)), probe: "/healthz", reading: whole.reading, token: whole.token}
		if err := os.CopyFS(h.dir, os.DirFS(whole.dir)); err != nil {
			t.Error(err)
			return
		}
		damageFiles(t, h.dir, random(t, uint64(8000+i)))
		ran, said := 0, 0
		for _, args := range commands {
			ran++
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			cmd := exec.CommandContext(ctx, h.program, withDB(h, args)...)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			err := cmd.Run()
			cancel()
			if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 || strings.Contains(errs.String(), "goroutine ") {
				wrong("damage %d: auditadmin %s: %v, want 0 or 1: %.2000s", i, strings.Join(args, " "), err, errs.String())
			} else if code == 1 {
				said++
			}
		}
		if i%4 == 0 {
			ran++
			s, err := h.start()
			if err == nil {
				for _, path := range []string{"/audit-logs.json", "/audit-logs/facets.json?q=", "/system-events.json?q=boom", "/audit-logs.csv", "/login-attempts/timeline.json?by=hour&q="} {
					if _, err := do(&http.Client{Timeout: patience}, must(http.NewRequest(http.MethodGet, s.url+path, nil))); err != nil && s.ended() {
						wrong("damage %d: GET %s: %v\n%.2000s", i, path, err, s.log())
					}
				}
				_, _, _, _ = send(&http.Client{Timeout: patience}, s.url, h.token, line(9000))
			}
			if s != nil {
				s.healthy()
				s.kill()
			}
		}
		mutex.Lock()
		f.Times, refused = f.Times+ran, refused+said
		mutex.Unlock()
		if err := os.RemoveAll(h.dir); err != nil {
			t.Error(err)
		}
	})
	f.Took, f.Note = time.Since(began), fmt.Sprintf("%d said that they could not", refused)
	judge(t, f)
}

// offers reports whether this program has a command.
func offers(t testing.TB, h *house, command string) bool {
	out, err := exec.Command(h.program, "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(out), "\n  "+command+" ")
}

// withDB names the database as each command wants it.
func withDB(h *house, args []string) []string {
	if args[0] == "salvage" {
		return []string{"salvage", h.db(), filepath.Join(h.dir, "salvaged.db")}
	}
	return slices.Insert(slices.Clone(args), 1, "--db", h.db())
}

// damageFiles changes a few pages of what is in a folder.
func damageFiles(t testing.TB, dir string, own *rand.Rand) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil && info.Size() > 0 {
				files = append(files, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for range 1 + own.IntN(8) {
		path := filepath.Join(dir, "audit.db")
		if own.IntN(3) == 0 {
			path = files[own.IntN(len(files))]
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			continue
		}
		at := own.IntN((len(data)+page-1)/page) * page
		here := data[at:min(at+page, len(data))]
		switch own.IntN(5) {
		case 0:
			clear(here)
		case 1:
			copy(here, rubbish(own, len(here)))
		case 2:
			for range 1 + own.IntN(8) {
				here[own.IntN(len(here))] ^= 1 << own.IntN(8)
			}
		case 3: // one page's content at another's place
			from := own.IntN((len(data)+page-1)/page) * page
			copy(here, data[from:])
		case 4:
			if own.IntN(4) == 0 {
				data = data[:at+own.IntN(len(here)+1)]
			} else {
				copy(here, rubbish(own, 100)) // the head of a page says how it is to be read
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
