package sqltrack_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
	"github.com/auditadmin/auditadmin/audit/sqltrack"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// trail is an audit database, and the database of an application whose tables are
// tracked into it.
type trail struct {
	t     *testing.T
	app   *sql.DB
	url   string // of the application's database
	audit *auditdb.DB
	path  string
}

const trailSchema = `
	CREATE TABLE items (id int PRIMARY KEY, name text, quantity int, doc json);
	CREATE TABLE old_items (LIKE items INCLUDING ALL);
	CREATE TABLE lines (id int PRIMARY KEY, item int REFERENCES items ON DELETE CASCADE);
	CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
	CREATE TABLE parts_2 PARTITION OF parts DEFAULT;`

func newTrail(t *testing.T, s *pgtest.Server) *trail {
	t.Helper()
	c := &trail{t: t, url: s.Database(t, ""), path: filepath.Join(t.TempDir(), "audit.db")}
	c.app = pgtest.Open(t, c.url)
	run(t, c.app, trailSchema)
	_, err := sqltrack.Apply(t.Context(), c.app, sqltrack.Options{Dialect: sqltrack.Postgres})
	must(t, err)
	c.audit, err = auditdb.Open(t.Context(), c.path)
	must(t, err)
	t.Cleanup(func() { c.audit.Close() })
	return c
}

// drainer returns what moves events from the application's database, by way of a
// connection of its own.
func (c *trail) drainer(sink audit.Sink, url string) func(ctx context.Context) error {
	c.t.Helper()
	r, err := audit.New(sink, audit.Strict())
	must(c.t, err)
	c.t.Cleanup(func() { _ = r.Close(context.Background()) })
	db := pgtest.Open(c.t, url)
	return func(ctx context.Context) error {
		_, err := r.Drain(ctx, db)
		return err
	}
}

// told is an audit log as far as it tells of a change.
type told struct{ action, table, id, changes, metadata string }

// events returns what the audit database holds, in the order of recording, with
// nothing left in the inbox.
func (c *trail) events() []told {
	c.t.Helper()
	must(c.t, c.drainer(c.audit, c.url)(c.t.Context()))
	var left int
	must(c.t, c.app.QueryRow("SELECT count(*) FROM auditadmin_inbox").Scan(&left))
	if left != 0 {
		var problem string
		must(c.t, c.app.QueryRow("SELECT coalesce(max(problem), '') FROM auditadmin_inbox").Scan(&problem))
		c.t.Errorf("%d entries are left in the inbox: %s", left, problem)
	}
	db, err := sql.Open("sqlite3", "file:"+c.path+"?mode=ro")
	must(c.t, err)
	defer db.Close()
	rows, err := db.Query("SELECT action, content_type, object_id, coalesce(changes, '{}'), coalesce(metadata, '{}'), event_id FROM audit_log ORDER BY seq")
	must(c.t, err)
	defer rows.Close()
	var all []told
	seen := map[string]bool{}
	for rows.Next() {
		var e told
		var eventID string
		must(c.t, rows.Scan(&e.action, &e.table, &e.id, &e.changes, &e.metadata, &eventID))
		if seen[eventID] {
			c.t.Errorf("%s is there twice", eventID)
		}
		seen[eventID] = true
		all = append(all, e)
	}
	must(c.t, rows.Err())
	return all
}

// tables is what tables hold: rows by table and key, as JSON.
type tables map[string]map[string]any

// rows reads what the application's tables hold.
func (c *trail) rows() tables {
	c.t.Helper()
	all := tables{}
	for _, table := range []string{"items", "old_items", "lines", "parts"} {
		rows, err := c.app.Query("SELECT id::text, to_jsonb(t)::text FROM " + table + " t")
		must(c.t, err)
		defer rows.Close()
		for rows.Next() {
			var id, text string
			must(c.t, rows.Scan(&id, &text))
			var row map[string]any
			must(c.t, json.Unmarshal([]byte(text), &row))
			maps.DeleteFunc(row, func(_ string, v any) bool { return v == nil })
			if all[table] == nil {
				all[table] = map[string]any{}
			}
			all[table][id] = row
		}
		must(c.t, rows.Err())
	}
	return all
}

// replay makes of events the tables that they tell of. What an event says was there
// before has to be what the events before it say. TRUNCATE names no rows and leaves
// none.
func (c *trail) replay(events []told) tables {
	c.t.Helper()
	all := tables{}
	for _, e := range events {
		table, id := e.table, e.id
		if all[table] == nil {
			all[table] = map[string]any{}
		}
		if id == "" {
			delete(all, table)
			continue
		}
		row, _ := all[table][id].(map[string]any)
		if (row == nil) != (e.action == "CREATE") {
			c.t.Errorf("%s of %s %s, which was there before: %v", e.action, table, id, row != nil)
		}
		row = maps.Clone(row)
		if row == nil {
			row = map[string]any{}
		}
		var changes map[string]struct{ Old, New any }
		must(c.t, json.Unmarshal([]byte(e.changes), &changes))
		for field, change := range changes {
			if !cmp.Equal(row[field], change.Old) {
				c.t.Errorf("%s of %s %s: %s was %v, and the event says %v", e.action, table, id, field, row[field], change.Old)
			}
			if row[field] = change.New; change.New == nil {
				delete(row, field)
			}
		}
		if all[table][id] = row; e.action == "DELETE" {
			delete(all[table], id)
		}
		if len(all[table]) == 0 {
			delete(all, table)
		}
	}
	return all
}

// TestPostgresBulk holds that every way to change many rows at once is recorded row
// by row and drained once: the events tell the whole story of the tables.
func TestPostgresBulk(t *testing.T) {
	const fill = "INSERT INTO items SELECT n, 'item ' || n, n % 7, json_build_object('n', n) FROM generate_series(1, 1200) n"
	insert := func(table string, n int) func(c *trail) {
		return func(c *trail) {
			conn, err := c.app.Conn(c.t.Context())
			must(c.t, err)
			defer conn.Close()
			must(c.t, conn.Raw(func(driver any) error {
				_, err := driver.(*stdlib.Conn).Conn().CopyFrom(c.t.Context(), pgx.Identifier{table}, []string{"id", "quantity"},
					pgx.CopyFromSlice(n, func(i int) ([]any, error) { return []any{i, i * i}, nil }))
				return err
			}))
		}
	}
	tests := []struct {
		name  string
		first string // recorded as well
		sql   string
		do    func(c *trail)
		want  map[string]int // what comes to that: events by action and table
	}{
		{"UPDATE of all", fill, "UPDATE items SET quantity = quantity + 1, doc = NULL", nil, map[string]int{"UPDATE items": 1200}},
		{"UPDATE of none and to the same", fill, "UPDATE items SET quantity = 5 WHERE id < 0; UPDATE items SET quantity = quantity", nil, map[string]int{}},
		{"UPDATE from another table", fill, "UPDATE items SET name = v.name FROM (VALUES (1, 'a'), (2, 'b')) v (id, name) WHERE items.id = v.id", nil, map[string]int{"UPDATE items": 2}},
		{"INSERT … SELECT", fill, "INSERT INTO old_items SELECT * FROM items", nil, map[string]int{"CREATE old_items": 1200}},
		{"DELETE in a CTE", fill, "WITH gone AS (DELETE FROM items WHERE id % 3 = 0 RETURNING *) INSERT INTO old_items SELECT * FROM gone", nil, map[string]int{"DELETE items": 400, "CREATE old_items": 400}},
		{"DELETE that cascades", fill + "; INSERT INTO lines SELECT n, n % 10 + 1 FROM generate_series(1, 500) n", "DELETE FROM items WHERE id <= 5", nil, map[string]int{"DELETE items": 5, "DELETE lines": 250}},
		{"COPY", "", "", insert("items", 1200), map[string]int{"CREATE items": 1200}},
		{"ON CONFLICT DO UPDATE", fill, "INSERT INTO items (id, name) SELECT n, 'new' FROM generate_series(701, 1700) n ON CONFLICT (id) DO UPDATE SET name = excluded.name", nil,
			map[string]int{"UPDATE items": 500, "CREATE items": 500}},
		{"ON CONFLICT DO NOTHING", fill, "INSERT INTO items (id) SELECT generate_series(701, 1700) ON CONFLICT DO NOTHING", nil, map[string]int{"CREATE items": 500}},
		{"MERGE", fill, "MERGE INTO items i USING generate_series(1190, 1210) n ON i.id = n WHEN MATCHED AND n < 1195 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'm' WHEN NOT MATCHED THEN INSERT (id) VALUES (n)", nil,
			map[string]int{"DELETE items": 5, "UPDATE items": 6, "CREATE items": 10}},
		{"one row again and again", "INSERT INTO items (id, quantity) VALUES (1, 0)", "DO 'BEGIN FOR n IN 1..1000 LOOP UPDATE items SET quantity = n; END LOOP; END'", nil, map[string]int{"UPDATE items": 1000}},
		{"a function, rolled back in part", fill, "DO 'BEGIN UPDATE items SET quantity = 100 WHERE id <= 10; BEGIN DELETE FROM items; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END; END'", nil, map[string]int{"UPDATE items": 10}},
		{"TRUNCATE", fill, "TRUNCATE items CASCADE", nil, map[string]int{"DELETE items": 1, "DELETE lines": 1}},
		{"TRUNCATE and INSERT", fill, "BEGIN; TRUNCATE old_items, items, lines; INSERT INTO items (id) VALUES (1); COMMIT", nil, map[string]int{"DELETE items": 1, "DELETE lines": 1, "DELETE old_items": 1, "CREATE items": 1}},
		{"TRUNCATE, rolled back", fill, "BEGIN; TRUNCATE items CASCADE; ROLLBACK", nil, map[string]int{}},
		{"rows that move to another partition", "INSERT INTO parts SELECT n, n FROM generate_series(1, 150) n", "UPDATE parts SET id = id + 1000 WHERE id BETWEEN 90 AND 110", nil,
			map[string]int{"DELETE parts": 10, "CREATE parts": 10, "UPDATE parts": 11}},
		{"a partition by its own name", "INSERT INTO parts_1 SELECT n, n FROM generate_series(1, 50) n", "UPDATE parts_1 SET v = 0; DELETE FROM parts_1 WHERE id = 1", nil, map[string]int{"UPDATE parts": 50, "DELETE parts": 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newTrail(t, pgtest.Shared(t))
			conn := pgtest.Open(t, c.url+"&default_query_exec_mode=simple_protocol") // several statements in one text
			run(t, conn, test.first)
			before := len(c.events())
			run(t, conn, test.sql)
			if test.do != nil {
				test.do(c)
			}
			events := c.events()
			got := map[string]int{}
			for _, e := range events[before:] {
				got[e.action+" "+e.table]++
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wrong events (-want +got):\n%s", diff)
			}
			if test.name == "rows that move to another partition" {
				return // an UPDATE of a key tells of the row under its old name
			}
			if diff := cmp.Diff(c.rows(), c.replay(events)); diff != "" {
				t.Errorf("the events tell of other tables (-rows +events):\n%s", diff)
			}
		})
	}
}

// TestPostgresTruncatedPartition: who empties a partition by its own name is
// recorded, too.
func TestPostgresTruncatedPartition(t *testing.T) {
	c := newTrail(t, pgtest.Shared(t))
	run(t, c.app, "INSERT INTO parts VALUES (1, 1), (200, 2)")
	c.events()
	run(t, c.app, "TRUNCATE parts_1")
	events := c.events()
	last := events[len(events)-1]
	if len(events) != 3 || last.action+last.table != "DELETEparts" || !strings.Contains(last.metadata, "parts_1") {
		t.Errorf("got %d events, the last %v, want one that names the partition", len(events), last)
	}
	run(t, c.app, "TRUNCATE parts")
	if events = c.events(); len(events) != 6 {
		t.Errorf("got %d events, want one more for the table and each of its partitions", len(events))
	}
	run(t, c.app, "CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (1000) TO (2000)")
	p, err := sqltrack.Apply(t.Context(), c.app, sqltrack.Options{Dialect: sqltrack.Postgres, Tables: []string{"parts"}})
	must(t, err)
	if len(p.Tables) != 1 || p.Tables[0].State != sqltrack.Changed {
		t.Errorf("got %+v, want the table changed for its new partition", p.Tables)
	}
	run(t, c.app, "TRUNCATE parts_3")
	if events = c.events(); len(events) != 7 {
		t.Errorf("got %d events, want one more", len(events))
	}
	_, err = sqltrack.Remove(t.Context(), c.app, sqltrack.Options{Dialect: sqltrack.Postgres})
	must(t, err)
	var left int
	must(t, c.app.QueryRow("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").Scan(&left))
	if left != 0 {
		t.Errorf("%d triggers are left", left)
	}
}

// TestPostgresOddJSON holds that no value keeps a writer from writing, or its event
// from being drained.
func TestPostgresOddJSON(t *testing.T) {
	c := newTrail(t, pgtest.Shared(t))
	run(t, c.app, "CREATE TABLE odd (id int PRIMARY KEY, j json, js json[], b jsonb, t text)", "CREATE DOMAIN doc AS json", "CREATE TABLE odder (id int PRIMARY KEY, d doc)")
	_, err := sqltrack.Apply(t.Context(), c.app, sqltrack.Options{Dialect: sqltrack.Postgres})
	must(t, err)
	tests := []struct{ name, sql, want string }{
		{"U+0000 in JSON", `INSERT INTO odd (id, j, t) VALUES (1, '{"a": "x\u0000\u0000y\\u0000z\\\u0000"}', '\u0000')`,
			`{"j": {"new": {"a": "x␀␀y\\u0000z\\␀"}, "old": null}, "t": {"new": "\\u0000", "old": null}, "id": {"new": 1, "old": null}}`},
		{"U+0000 in an array", `INSERT INTO odd (id, js) VALUES (2, ARRAY['"\u0000"'::json])`, `{"id": {"new": 2, "old": null}, "js": {"new": ["␀"], "old": null}}`},
		{"U+0000 in a domain", `INSERT INTO odder VALUES (3, '["\u0000"]')`, `{"d": {"new": ["␀"], "old": null}, "id": {"new": 3, "old": null}}`},
		{"half a pair", `INSERT INTO odd (id, j) VALUES (5, '["\ud83d\ude00", "\ud83d", "\ude00x", "\ud83d\u0000"]')`, `{"j": {"new": ["😀", "�", "�x", "�␀"], "old": null}, "id": {"new": 5, "old": null}}`},
		{"and gone again", "DELETE FROM odd WHERE id = 5", `{"j": {"new": null, "old": ["😀", "�", "�x", "�␀"]}, "id": {"new": null, "old": 5}}`},
		{"a large document", `INSERT INTO odd (id, b) VALUES (4, jsonb_build_object('k', repeat('x', 400000)))`,
			`{"b": {"new": {"$text": {"length": 400009, "sha256": "` + fmt.Sprintf("%x", sha256.Sum256([]byte(`{"k": "`+strings.Repeat("x", 400000)+`"}`))) + `"}}, "old": null}, "id": {"new": 4, "old": null}}`},
		{"a document that is whole", `INSERT INTO odd (id, b) VALUES (6, jsonb_build_object('k', repeat('x', 20000), 'password', 'hunter2'))`,
			`{"b": {"new": {"k": "` + strings.Repeat("x", 20000) + `", "password": "***`}, // and a fingerprint
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run(t, c.app, test.sql)
			events := c.events()
			if got := events[len(events)-1].changes; !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestPostgresOutOfOrder holds that what is committed late is drained although what
// came after it was drained before.
func TestPostgresOutOfOrder(t *testing.T) {
	c := newTrail(t, pgtest.Shared(t))
	var open []*sql.Tx
	for i := range 5 {
		tx, err := c.app.BeginTx(t.Context(), nil)
		must(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("INSERT INTO items (id) SELECT generate_series($1::int, $1::int + 599)", i*1000)
		must(t, err)
		open = append(open, tx)
	}
	for n, i := range []int{4, 1, 3, 0, 2} {
		must(t, open[i].Commit())
		if events := c.events(); len(events) != 600*(n+1) {
			t.Errorf("after the commit of %d: got %d events, want %d", i, len(events), 600*(n+1))
		}
	}
	if diff := cmp.Diff(c.rows(), c.replay(c.events())); diff != "" {
		t.Errorf("the events tell of other tables (-rows +events):\n%s", diff)
	}
}

// TestPostgresLostCommit loses a commit of the application, or its answer: the change
// and its event are there together, or neither is.
func TestPostgresLostCommit(t *testing.T) {
	s := pgtest.Shared(t)
	for _, answer := range []bool{false, true} {
		t.Run(fmt.Sprint("answer ", answer), func(t *testing.T) {
			c := newTrail(t, s)
			p := pgtest.NewProxy(t, s)
			app := pgtest.Open(t, p.URL(t, c.url))
			lose := p.LoseRequest
			if answer {
				lose = p.LoseAnswer
			}
			lost := lose(pgtest.Commit)
			if err := sqltrack.Tx(t.Context(), app, sqltrack.Postgres, func(tx *sql.Tx) error {
				_, err := tx.Exec("INSERT INTO items (id) SELECT generate_series(1, 700)")
				return err
			}); err == nil {
				t.Error("the commit succeeded")
			}
			<-lost
			want := 0
			if answer {
				want = 700
			}
			if events, rows := c.events(), c.rows(); len(events) != want || len(rows["items"]) != want {
				t.Errorf("got %d events and %d rows, want %d", len(events), len(rows["items"]), want)
			}
		})
	}
}

// TestPostgresBrokenDrain breaks a drain at each of its steps, by what the network
// and the server do to it. It goes on where it was, and nothing is stored twice.
func TestPostgresBrokenDrain(t *testing.T) {
	s := pgtest.Shared(t)
	read, remove := pgtest.Statement("SELECT id, event"), pgtest.Statement("DELETE FROM auditadmin_inbox")
	for _, test := range []struct {
		name string
		harm func(p *pgtest.Proxy) <-chan struct{}
	}{
		{"before it reads", func(p *pgtest.Proxy) <-chan struct{} { return p.LoseRequest(read) }},
		{"what it reads is lost", func(p *pgtest.Proxy) <-chan struct{} { return p.LoseAnswer(read) }},
		{"between delivering and deleting", func(p *pgtest.Proxy) <-chan struct{} { return p.LoseRequest(remove) }},
		{"it does not know that it deleted", func(p *pgtest.Proxy) <-chan struct{} { return p.LoseAnswer(remove) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newTrail(t, s)
			p := pgtest.NewProxy(t, s)
			run(t, c.app, "INSERT INTO items (id, quantity) SELECT n, n FROM generate_series(1, 1300) n")
			drain := c.drainer(c.audit, p.URL(t, c.url))
			for range 3 { // in its first, second and third batch, or attempt
				lost := test.harm(p)
				if err := drain(t.Context()); err == nil {
					t.Fatal("the drain did not notice")
				}
				<-lost
			}
			must(t, drain(t.Context()))
			if events := c.events(); len(events) != 1300 {
				t.Errorf("got %d events, want 1300", len(events))
			}
			if diff := cmp.Diff(c.rows(), c.replay(c.events())); diff != "" {
				t.Errorf("the events tell of other tables (-rows +events):\n%s", diff)
			}
		})
	}
}

// losing is a sink that stores and then now and then says that it did not.
type losing struct {
	audit.Sink
	calls atomic.Int64
}

func (s *losing) Append(ctx context.Context, events []*audit.Event) (audit.Appended, error) {
	a, err := s.Sink.Append(ctx, events)
	if s.calls.Add(1)%5 == 0 {
		return audit.Appended{}, errors.New("the answer was lost")
	}
	return a, err
}

// TestPostgresEverythingAtOnce lets writers change the same rows while several
// drainers are broken in every way and the server is killed. What was committed is
// recorded, once and in order: the events tell the whole story.
func TestPostgresEverythingAtOnce(t *testing.T) {
	s := pgtest.New(t, "deadlock_timeout=20ms") // writers meet in every order
	c := newTrail(t, s)
	p := pgtest.NewProxy(t, s)
	const writers, drainers, rounds = 4, 3, 60
	var writing, draining sync.WaitGroup
	var committed, broken atomic.Int64
	var killed atomic.Bool
	done := make(chan struct{})
	for w := range writers {
		dice := rand.New(rand.NewPCG(uint64(w), 1))
		writing.Go(func() {
			for n := 0; n < rounds || !killed.Load(); n++ {
				tx, err := c.app.BeginTx(t.Context(), nil)
				if err != nil {
					time.Sleep(10 * time.Millisecond) // it is down
					continue
				}
				for range 1 + dice.IntN(3) {
					if err == nil {
						id := dice.IntN(40)
						_, err = tx.Exec([]string{
							"INSERT INTO items (id, quantity) SELECT n, $1 FROM generate_series($1::int, $1::int + 20) n ON CONFLICT (id) DO UPDATE SET quantity = items.quantity + 1",
							"UPDATE items SET name = 'w' || $1, quantity = quantity + 1 WHERE id >= $1",
							"DELETE FROM items WHERE id = $1",
							"WITH gone AS (DELETE FROM items WHERE id < $1 AND id % 5 = 0 RETURNING *) INSERT INTO old_items SELECT * FROM gone ON CONFLICT (id) DO UPDATE SET quantity = excluded.quantity",
						}[dice.IntN(4)], id)
					}
				}
				if err == nil && dice.IntN(5) > 0 {
					if tx.Commit() == nil {
						committed.Add(1)
					}
				} else {
					_ = tx.Rollback() // a deadlock, the server, or the dice
				}
			}
		})
	}
	sink := &losing{Sink: c.audit}
	for range drainers {
		drain := c.drainer(sink, p.URL(t, c.url))
		draining.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := drain(t.Context()); err != nil {
					broken.Add(1)
					if strings.Contains(err.Error(), "deadlock") {
						t.Errorf("drainers are in each other's way: %v", err)
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	draining.Go(func() {
		remove := pgtest.Statement("DELETE FROM auditadmin_inbox")
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
			switch i % 4 {
			case 0:
				p.LoseRequest(remove)
			case 1:
				p.LoseAnswer(remove)
			case 2:
				p.Cut()
			}
			if i == 10 {
				s.Kill(t)
				s.Start(t)
				killed.Store(true)
			}
		}
	})
	writing.Wait()
	close(done)
	draining.Wait()
	events := c.events()
	if diff := cmp.Diff(c.rows(), c.replay(events)); diff != "" {
		t.Errorf("the events tell of other tables (-rows +events):\n%s", diff)
	}
	if committed.Load() < 20 || broken.Load() < 5 {
		t.Errorf("%d transactions, and %d broken drains: too few to tell anything", committed.Load(), broken.Load())
	}
	t.Logf("%d transactions were committed, %d drains broken, %d events drained once", committed.Load(), broken.Load(), len(events))
}
