package sqltrack_test

import (
	"database/sql"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/sqltrack"
	"github.com/auditadmin/auditadmin/internal/need"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

func TestPostgres(t *testing.T) {
	db, url := pgtest.Start(t)
	db.SetMaxOpenConns(1) // one session, with its settings
	run(t, db, "SET timezone = 'Asia/Tokyo'",
		`CREATE TABLE v (id bigint PRIMARY KEY, n numeric, f float8, t text, b bytea, j jsonb, paid boolean, "at" timestamptz, l text[], twice bigint GENERATED ALWAYS AS (id % 7) STORED)`,
		`CREATE TABLE "order" ("select" text, "it's ""quoted""" int, "ä b" text, PRIMARY KEY ("select", "it's ""quoted"""))`,
		"CREATE TABLE bare (name text)", "CREATE TABLE session_x (v int)", "CREATE TABLE parts (id int, v int) PARTITION BY RANGE (id)",
		"CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)")
	apply := func(o sqltrack.Options, want ...string) {
		t.Helper()
		o.Dialect = sqltrack.Postgres
		p, err := sqltrack.Apply(t.Context(), db, o)
		must(t, err)
		var got []string
		for _, table := range p.Tables {
			got = append(got, strings.TrimSpace(table.Name+" "+table.State+" "+table.Reason))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("wrong states (-want +got):\n%s", diff)
		}
	}
	skip := sqltrack.Options{Prefix: "shop.", Skip: []string{"Session_*"}}
	apply(skip, "bare added", "order added", "parts added", "session_x skipped as the options say", "v added")
	apply(skip, "bare tracked", "order tracked", "parts tracked", "session_x skipped as the options say", "v tracked")

	t.Run("values", func(t *testing.T) {
		run(t, db, `INSERT INTO v VALUES (9223372036854775807, 12.50, 0.1::float8 + 0.2::float8, E'a"b\\\n<ä😀>', '\x00ff', '{"a":[1,null]}', true, '2026-03-01 12:00:00+00', '{a,b}')`,
			"UPDATE v SET n = 'NaN', f = 'Infinity', t = repeat('x', 20000), b = NULL, paid = false", "UPDATE v SET n = n", "DELETE FROM v")
		got := recorded(t, db)
		if len(got) != 3 {
			t.Fatalf("got %d events, want 3: %q", len(got), got)
		}
		want := []string{`CREATE shop.v 9223372036854775807 (v 9223372036854775807) {"b": {"new": {"$blob": {"start": "00ff", "length": 2}}, "old": null}, "f": {"new": 0.30000000000000004, "old": null}, ` +
			`"j": {"new": {"a": [1, null]}, "old": null}, "l": {"new": ["a", "b"], "old": null}, "n": {"new": 12.50, "old": null}, "t": {"new": "a\"b\\\n<ä😀>", "old": null}, "at": {"new": "2026-03-01T12:00:00+00:00", "old": null}, ` +
			`"id": {"new": 9223372036854775807, "old": null}, "paid": {"new": true, "old": null}}`,
			`UPDATE shop.v 9223372036854775807 (v 9223372036854775807) {"b": {"new": null, "old": {"$blob": {"start": "00ff", "length": 2}}}, "f": {"new": "Infinity", "old": 0.30000000000000004}, "n": {"new": "NaN", "old": 12.50}, ` +
				`"t": {"new": {"$text": {"start": "` + strings.Repeat("x", 1000) + `", "length": 20000}}, "old": "a\"b\\\n<ä😀>"}, "paid": {"new": false, "old": true}}`}
		if diff := cmp.Diff(want, got[:2]); diff != "" {
			t.Errorf("wrong events (-want +got):\n%s", diff)
		}
	})
	t.Run("names and keys", func(t *testing.T) {
		run(t, db, `INSERT INTO "order" VALUES ('a', 1, 'x')`, `UPDATE "order" SET "ä b" = 'y'`, "INSERT INTO bare VALUES ('Ada')", "INSERT INTO parts VALUES (1, 2)", "UPDATE parts SET v = 3")
		check(t, db, `CREATE shop.order it's "quoted"=1,select=a (order it's "quoted"=1,select=a) {"ä b": {"new": "x", "old": null}, "select": {"new": "a", "old": null}, "it's \"quoted\"": {"new": 1, "old": null}}`,
			`UPDATE shop.order it's "quoted"=1,select=a (order it's "quoted"=1,select=a) {"ä b": {"new": "y", "old": "x"}}`,
			`CREATE shop.bare  (Ada) {"name": {"new": "Ada", "old": null}}`,
			`CREATE shop.parts  (parts ) {"v": {"new": 2, "old": null}, "id": {"new": 1, "old": null}}`,
			`UPDATE shop.parts  (parts ) {"v": {"new": 3, "old": 2}}`)
	})
	t.Run("upsert, truncate and rollback", func(t *testing.T) {
		run(t, db, "INSERT INTO v (id) VALUES (1)", "INSERT INTO v (id) VALUES (1) ON CONFLICT (id) DO NOTHING", "INSERT INTO v (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET paid = true",
			"DO 'BEGIN DELETE FROM v; RAISE EXCEPTION $$no$$; EXCEPTION WHEN OTHERS THEN END'", "TRUNCATE v")
		check(t, db, `CREATE shop.v 1 (v 1) {"id": {"new": 1, "old": null}}`, `UPDATE shop.v 1 (v 1) {"paid": {"new": true, "old": null}}`,
			`DELETE shop.v  (all rows, unattributed) {"statement": "TRUNCATE", "unattributed": "TRUNCATE names no rows"}`)
	})
	t.Run("actor", func(t *testing.T) {
		alice := audit.WithUser(t.Context(), audit.User{ID: "7", Name: `al"ice`})
		add := func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO bare VALUES ('x')")
			return err
		}
		must(t, sqltrack.Tx(alice, db, sqltrack.Postgres, add))
		run(t, db, "INSERT INTO bare VALUES ('y')", "SELECT set_config('auditadmin.context', 'no JSON', false)", "INSERT INTO bare VALUES ('z')", "SELECT set_config('auditadmin.context', '', false)")
		no := errors.New("no")
		if err := sqltrack.Tx(alice, db, sqltrack.Postgres, func(tx *sql.Tx) error { return errors.Join(add(tx), no) }); !errors.Is(err, no) {
			t.Errorf("got %v, want the error of the function", err)
		}
		check(t, db, `CREATE shop.bare  (x) by al"ice {"name": {"new": "x", "old": null}}`, `CREATE shop.bare  (y) {"name": {"new": "y", "old": null}}`, `CREATE shop.bare  (z) {"name": {"new": "z", "old": null}}`)
	})
	t.Run("a writer without rights", func(t *testing.T) {
		run(t, db, "CREATE ROLE clerk", "GRANT INSERT ON bare TO clerk", "SET ROLE clerk", "INSERT INTO bare VALUES ('c')", "RESET ROLE")
		check(t, db, `CREATE shop.bare  (c) {"name": {"new": "c", "old": null}}`)
	})
	t.Run("schema changes", func(t *testing.T) {
		run(t, db, "ALTER TABLE bare ADD id serial PRIMARY KEY", "INSERT INTO bare VALUES ('k', 70)")
		if got := recorded(t, db); len(got) != 1 || !strings.Contains(got[0], `"id": {"new": 70`) {
			t.Errorf("got %q, want the new column without another Apply", got)
		}
		apply(sqltrack.Options{Prefix: "shop.", Tables: []string{"bare"}}, "bare changed")
		run(t, db, "UPDATE bare SET name = 'K' WHERE id = 70", "ALTER TABLE bare DROP COLUMN name", "DELETE FROM bare WHERE id = 70")
		check(t, db, `UPDATE shop.bare 70 (k) {"name": {"new": "K", "old": "k"}}`, `DELETE shop.bare 70 (bare 70) {"id": {"new": null, "old": 70}}`)
	})
	t.Run("psql", func(t *testing.T) {
		psql, err := exec.LookPath("psql")
		if err != nil {
			need.Skip(t, "there is no psql here: apt-get install postgresql-client")
		}
		pipe := func(script string) string {
			c := exec.Command(psql, "-v", "ON_ERROR_STOP=1", "-qAtX", url)
			c.Stdin = strings.NewReader(script)
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return string(out)
		}
		if got := pipe(sqltrack.Script(skip, false)); !strings.Contains(got, "v|tracked|") {
			t.Errorf("got %s, want it tracked", got)
		}
		if got := pipe(sqltrack.Script(skip, true)); !strings.Contains(got, "v|removed|") {
			t.Errorf("got %s, want it removed", got)
		}
		run(t, db, "INSERT INTO v (id) VALUES (2)")
		check(t, db)
	})
	if _, err := sqltrack.Apply(t.Context(), db, sqltrack.Options{Dialect: sqltrack.Postgres, Tables: []string{"nowhere"}}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v, want an error that names the table", err)
	}
}
