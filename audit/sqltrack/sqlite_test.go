package sqltrack_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/sqltrack"
	"github.com/auditadmin/auditadmin/internal/need"
)

// open makes a database with the schema.
func open(t *testing.T, schema string) (db *sql.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_busy_timeout=5000")
	must(t, err)
	t.Cleanup(func() { db.Close() })
	run(t, db, schema)
	return db, path
}

func track(t *testing.T, db *sql.DB, o sqltrack.Options) *sqltrack.Plan {
	t.Helper()
	o.Dialect = sqltrack.SQLite
	p, err := sqltrack.Apply(t.Context(), db, o)
	must(t, err)
	return p
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// recorded takes what the triggers wrote, without what all of it has in common.
func recorded(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.Query("SELECT event FROM auditadmin_inbox ORDER BY id")
	must(t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		// As the drain does, which knows the time from another column.
		e, err := audit.DecodeEvent([]byte(`{"timestamp":"2026-03-01T12:00:00.000000Z",`+line[1:]), audit.DecodeOptions{Import: true})
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Source != "trigger" {
			t.Errorf("got the source %q, want trigger: %s", e.Source, line)
		}
		text := e.Get("action") + " " + e.Get("content_type") + " " + e.Get("object_id") + " (" + e.Get("object_repr") + ")"
		if u := e.Get("username"); u != "" {
			text += " by " + u
		}
		all = append(all, strings.TrimRight(text+" "+e.Get("changes")+e.Get("metadata"), " "))
	}
	must(t, rows.Err())
	must(t, rows.Close())
	run(t, db, "DELETE FROM auditadmin_inbox")
	return all
}

func check(t *testing.T, db *sql.DB, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, recorded(t, db)); diff != "" {
		t.Errorf("wrong events (-want +got):\n%s", diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteValues(t *testing.T) {
	tests := []struct{ sql, want string }{
		{"NULL", ""},
		{"9223372036854775807", "9223372036854775807"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"0.1", "0.1"}, {"5.0", "5.0"}, {"1e300", "1.0e+300"}, {"0.1 + 0.2", "0.30000000000000004"}, {"-1.5", "-1.5"}, {"9e999", `"Inf"`},
		{`'a"b\c'`, `"a\"b\\c"`}, {"'it''s <ä€😀>'", `"it's <ä€😀>"`}, {"'a' || char(10, 1, 0) || 'b'", `"a\n\u0001\u0000b"`},
		{"''", `""`}, {"'12'", `"12"`}, {"json('{\"a\": 1}')", `"{\"a\":1}"`},
		{"x'00ff'", `{"$blob":{"length":2,"start":"00ff"}}`}, {"zeroblob(100)", `{"$blob":{"length":100,"start":"` + strings.Repeat("00", 32) + `"}}`},
		{"printf('%.20000c', 'x')", `{"$text":{"length":20000,"start":"` + strings.Repeat("x", 1000) + `"}}`},
	}
	db, _ := open(t, "CREATE TABLE v (id INTEGER PRIMARY KEY, v, paid BOOLEAN)")
	track(t, db, sqltrack.Options{})
	for _, test := range tests {
		t.Run(test.sql[:min(len(test.sql), 20)], func(t *testing.T) {
			run(t, db, "INSERT INTO v VALUES (1, "+test.sql+", 1)", "UPDATE v SET paid = 0", "DELETE FROM v")
			created, deleted := `,"v":{"old":null,"new":`+test.want+`}`, `,"v":{"old":`+test.want+`,"new":null}`
			if test.want == "" {
				created, deleted = "", ""
			}
			check(t, db, `CREATE v 1 (v 1) {"id":{"old":null,"new":1}`+created+`,"paid":{"old":null,"new":true}}`,
				`UPDATE v 1 (v 1) {"paid":{"old":true,"new":false}}`,
				`DELETE v 1 (v 1) {"id":{"old":1,"new":null}`+deleted+`,"paid":{"old":false,"new":null}}`)
		})
	}
}

func TestSQLiteChanges(t *testing.T) {
	db, _ := open(t, "CREATE TABLE c (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, any, twice AS (id * 2))")
	track(t, db, sqltrack.Options{Prefix: "shop."})
	run(t, db, "INSERT INTO c (id, name, any) VALUES (1, 'ada', 1), (2, 'ben', '1')")
	recorded(t, db)
	tests := []struct {
		name, sql string
		want      []string
	}{
		{"to the same", "UPDATE c SET name = name, any = any", nil},
		{"case under NOCASE", "UPDATE c SET name = 'Ada' WHERE id = 1", []string{`UPDATE shop.c 1 (ada) {"name":{"old":"ada","new":"Ada"}}`}},
		{"number to text", "UPDATE c SET any = '1' WHERE id = 1", []string{`UPDATE shop.c 1 (Ada) {"any":{"old":1,"new":"1"}}`}},
		{"to NULL", "UPDATE c SET any = NULL WHERE id = 1", []string{`UPDATE shop.c 1 (Ada) {"any":{"old":"1","new":null}}`}},
		{"many at once", "UPDATE c SET any = id", []string{`UPDATE shop.c 1 (Ada) {"any":{"old":null,"new":1}}`, `UPDATE shop.c 2 (ben) {"any":{"old":"1","new":2}}`}},
		{"the key", "UPDATE c SET id = 7 WHERE id = 2", []string{`UPDATE shop.c 2 (ben) {"id":{"old":2,"new":7}}`}},
		{"upsert", "INSERT INTO c (id, name) VALUES (7, 'x') ON CONFLICT (id) DO UPDATE SET name = 'Bob'", []string{`UPDATE shop.c 7 (ben) {"name":{"old":"ben","new":"Bob"}}`}},
		{"delete all", "DELETE FROM c", []string{`DELETE shop.c 1 (Ada) {"id":{"old":1,"new":null},"name":{"old":"Ada","new":null},"any":{"old":1,"new":null}}`,
			`DELETE shop.c 7 (Bob) {"id":{"old":7,"new":null},"name":{"old":"Bob","new":null},"any":{"old":2,"new":null}}`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run(t, db, test.sql)
			check(t, db, test.want...)
		})
	}
}

// TestSQLiteReplace holds that what INSERT OR REPLACE takes away is recorded,
// which SQLite does not tell triggers.
func TestSQLiteReplace(t *testing.T) {
	created := func(id, email, name string) string {
		return fmt.Sprintf(`CREATE c %s (%s) {"id":{"old":null,"new":%s},"email":{"old":null,"new":"%s"},"name":{"old":null,"new":"%s"}}`, id, name, id, email, name)
	}
	deleted := func(id, email, name string) string {
		return fmt.Sprintf(`DELETE c %s (%s) {"id":{"old":%s,"new":null},"email":{"old":"%s","new":null},"name":{"old":"%s","new":null}}`, id, name, id, email, name)
	}
	tests := []struct {
		name string
		sql  []string
		want []string
	}{
		{"by the key", []string{"REPLACE INTO c VALUES (1, 'a@x', 'Ada 2')"}, []string{deleted("1", "a@x", "Ada"), created("1", "a@x", "Ada 2")}},
		{"by another unique column", []string{"INSERT OR REPLACE INTO c VALUES (9, 'a@x', 'Ada 2')"}, []string{deleted("1", "a@x", "Ada"), created("9", "a@x", "Ada 2")}},
		{"two at once", []string{"INSERT OR REPLACE INTO c VALUES (1, 'b@x', 'Both')"}, []string{deleted("1", "a@x", "Ada"), deleted("2", "b@x", "Ben"), created("1", "b@x", "Both")}},
		{"none", []string{"INSERT OR REPLACE INTO c VALUES (3, 'c@x', 'Cleo')"}, []string{created("3", "c@x", "Cleo")}},
		{"ignored", []string{"INSERT OR IGNORE INTO c VALUES (1, 'z@x', 'Z')"}, nil},
		{"ignored, then another", []string{"INSERT OR IGNORE INTO c VALUES (1, 'z@x', 'Z')", "INSERT INTO c VALUES (3, 'c@x', 'Cleo')"}, []string{created("3", "c@x", "Cleo")}},
		{"ignored, then deleted and added", []string{"INSERT OR IGNORE INTO c VALUES (1, 'z@x', 'Z')", "DELETE FROM c WHERE id = 1", "INSERT INTO c VALUES (1, 'n@x', 'N')"},
			[]string{deleted("1", "a@x", "Ada"), created("1", "n@x", "N")}},
		{"updated, then another", []string{"INSERT INTO c VALUES (1, 'a@x', 'Z') ON CONFLICT (id) DO UPDATE SET name = 'A2'", "INSERT INTO c VALUES (3, 'c@x', 'Cleo')"},
			[]string{`UPDATE c 1 (Ada) {"name":{"old":"Ada","new":"A2"}}`, created("3", "c@x", "Cleo")}},
		{"with recursive triggers", []string{"PRAGMA recursive_triggers = on; REPLACE INTO c VALUES (1, 'a@x', 'Ada 2')"}, []string{deleted("1", "a@x", "Ada"), created("1", "a@x", "Ada 2")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, _ := open(t, "CREATE TABLE c (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT); INSERT INTO c VALUES (1, 'a@x', 'Ada'), (2, 'b@x', 'Ben')")
			track(t, db, sqltrack.Options{})
			run(t, db, test.sql...)
			check(t, db, test.want...)
		})
	}
}

func TestSQLiteNames(t *testing.T) {
	db, _ := open(t, `
		CREATE TABLE "order" ("select" TEXT, "it's ""quoted""" INTEGER, "ä b" TEXT, PRIMARY KEY ("select", "it's ""quoted""")) WITHOUT ROWID;
		CREATE TABLE "o'clock:""x""" (rowid TEXT, v);
		CREATE TABLE "100%" (v);
		CREATE TABLE blobs (k BLOB PRIMARY KEY, v)`)
	track(t, db, sqltrack.Options{})
	run(t, db, `INSERT INTO "order" VALUES ('a', 1, 'x')`, `UPDATE "order" SET "ä b" = 'y'`,
		`INSERT INTO "o'clock:""x""" VALUES ('r', 1)`, `UPDATE "o'clock:""x""" SET v = 2`, `INSERT INTO "100%" VALUES (1)`, `DELETE FROM "100%"`,
		"INSERT INTO blobs VALUES (x'ff00', 1)", "UPDATE blobs SET v = 2")
	check(t, db,
		`CREATE order it's "quoted"=1,select=a (order it's "quoted"=1,select=a) {"select":{"old":null,"new":"a"},"it's \"quoted\"":{"old":null,"new":1},"ä b":{"old":null,"new":"x"}}`,
		`UPDATE order it's "quoted"=1,select=a (order it's "quoted"=1,select=a) {"ä b":{"old":"x","new":"y"}}`,
		`CREATE o'clock:"x" 1 (o'clock:"x" 1) {"rowid":{"old":null,"new":"r"},"v":{"old":null,"new":1}}`,
		`UPDATE o'clock:"x" 1 (o'clock:"x" 1) {"v":{"old":1,"new":2}}`,
		`CREATE 100% 1 (100% 1) {"v":{"old":null,"new":1}}`,
		`DELETE 100% 1 (100% 1) {"v":{"old":1,"new":null}}`,
		`CREATE blobs ff00 (blobs ff00) {"k":{"old":null,"new":{"$blob":{"length":2,"start":"ff00"}}},"v":{"old":null,"new":1}}`,
		`UPDATE blobs ff00 (blobs ff00) {"v":{"old":1,"new":2}}`)
}

func TestSQLiteApplyAgain(t *testing.T) {
	db, _ := open(t, "CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, v); CREATE TABLE session_x (v); CREATE TABLE goose_db_version (v); CREATE VIRTUAL TABLE f USING fts5(v)")
	states := func(p *sqltrack.Plan) (all []string) {
		for _, table := range p.Tables {
			all = append(all, strings.TrimSpace(table.Name+" "+table.State+" "+table.Reason))
		}
		return all
	}
	expect := func(o sqltrack.Options, statements bool, want ...string) {
		t.Helper()
		p := track(t, db, o)
		if diff := cmp.Diff(want, states(p)); diff != "" {
			t.Errorf("wrong states (-want +got):\n%s", diff)
		}
		if got := len(p.Statements) > 0; got != statements {
			t.Errorf("got statements %q, want some: %v", p.Statements, statements)
		}
	}
	skip := sqltrack.Options{Skip: []string{"Session_*", "f*"}}
	rest := []string{"f skipped as the options say", "f_config skipped as the options say", "f_content skipped as the options say", "f_data skipped as the options say", "f_docsize skipped as the options say", "f_idx skipped as the options say",
		"goose_db_version skipped bookkeeping", "session_x skipped as the options say"}
	list := func(a, b string) []string { return append([]string{"a " + a, "b " + b}, rest...) }
	expect(skip, true, list("added", "added")...)
	expect(skip, false, list("tracked", "tracked")...)
	run(t, db, "ALTER TABLE a ADD COLUMN w")
	expect(skip, true, list("changed", "tracked")...)
	expect(skip, false, list("tracked", "tracked")...)
	run(t, db, "INSERT INTO a VALUES (1, 2, 3)")
	check(t, db, `CREATE a 1 (a 1) {"id":{"old":null,"new":1},"v":{"old":null,"new":2},"w":{"old":null,"new":3}}`)
	expect(sqltrack.Options{Tables: []string{"B"}}, false, "b tracked")
	expect(sqltrack.Options{Tables: []string{"b"}, Skip: []string{"b"}}, true, "b removed as the options say")
	run(t, db, "INSERT INTO b VALUES (1, 2)", "ALTER TABLE a RENAME TO z")
	check(t, db)
	expect(sqltrack.Options{Tables: []string{"z"}}, true, "z changed")
	run(t, db, "UPDATE z SET v = 3")
	check(t, db, `UPDATE z 1 (z 1) {"v":{"old":2,"new":3}}`)
	p, err := sqltrack.Remove(t.Context(), db, sqltrack.Options{Dialect: sqltrack.SQLite})
	must(t, err)
	if diff := cmp.Diff([]string{"z removed"}, states(p)); diff != "" {
		t.Errorf("wrong states (-want +got):\n%s", diff)
	}
	run(t, db, "UPDATE z SET v = 4")
	check(t, db)
	if _, err := sqltrack.Apply(t.Context(), db, sqltrack.Options{Dialect: sqltrack.SQLite, Tables: []string{"nowhere"}}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v, want an error that names the table", err)
	}
}

func TestSQLiteActor(t *testing.T) {
	db, _ := open(t, "CREATE TABLE a (id INTEGER PRIMARY KEY, v)")
	track(t, db, sqltrack.Options{})
	alice := audit.WithUser(t.Context(), audit.User{ID: "7", Name: `al"ice`})
	write := func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO a (v) VALUES (1)")
		return err
	}
	must(t, sqltrack.Tx(alice, db, sqltrack.SQLite, write))
	run(t, db, "INSERT INTO a (v) VALUES (2)")
	no := errors.New("no")
	if err := sqltrack.Tx(alice, db, sqltrack.SQLite, func(tx *sql.Tx) error { return errors.Join(write(tx), no) }); !errors.Is(err, no) {
		t.Errorf("got %v, want the error of the function", err)
	}
	run(t, db, "INSERT INTO a (v) VALUES (3)")
	must(t, sqltrack.Tx(context.Background(), db, sqltrack.SQLite, write))
	check(t, db,
		`CREATE a 1 (a 1) by al"ice {"id":{"old":null,"new":1},"v":{"old":null,"new":1}}`,
		`CREATE a 2 (a 2) {"id":{"old":null,"new":2},"v":{"old":null,"new":2}}`,
		`CREATE a 3 (a 3) {"id":{"old":null,"new":3},"v":{"old":null,"new":3}}`,
		`CREATE a 4 (a 4) {"id":{"old":null,"new":4},"v":{"old":null,"new":1}}`)
}

// TestSQLiteShell holds that a writer who knows nothing of us is recorded.
func TestSQLiteShell(t *testing.T) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		need.Skip(t, "there is no sqlite3 shell here: apt-get install sqlite3")
	}
	db, path := open(t, "CREATE TABLE a (id INTEGER PRIMARY KEY, v REAL)")
	track(t, db, sqltrack.Options{})
	if out, err := exec.Command(shell, path, "INSERT INTO a VALUES (1, 0.1), (2, 0.3); UPDATE a SET v = v * 3; BEGIN; DELETE FROM a; ROLLBACK;").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, db,
		`CREATE a 1 (a 1) {"id":{"old":null,"new":1},"v":{"old":null,"new":0.1}}`,
		`CREATE a 2 (a 2) {"id":{"old":null,"new":2},"v":{"old":null,"new":0.3}}`,
		`UPDATE a 1 (a 1) {"v":{"old":0.1,"new":0.30000000000000004}}`,
		`UPDATE a 2 (a 2) {"v":{"old":0.3,"new":0.89999999999999991}}`)
}

// TestSQLiteInserts holds that what an application learns of its own writes is
// what it was without triggers.
func TestSQLiteInserts(t *testing.T) {
	db, _ := open(t, "CREATE TABLE a (id INTEGER PRIMARY KEY, v)")
	track(t, db, sqltrack.Options{})
	done, err := db.Exec("INSERT INTO a (v) VALUES (1), (2), (3)")
	must(t, err)
	id, err := done.LastInsertId()
	must(t, err)
	n, err := done.RowsAffected()
	must(t, err)
	if id != 3 || n != 3 {
		t.Errorf("got the last id %d and %d rows, want 3 and 3", id, n)
	}
}
