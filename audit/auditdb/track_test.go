package auditdb_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

func TestTrack(t *testing.T) {
	none := func() error { return nil }
	for _, test := range []struct {
		name  string
		table string
		key   func(new *int64) any
		run   func(tx *sql.Tx, new *int64) func() error
		want  []string // action, object_id, object_repr, changes
	}{
		{"update", "orders", id(1), sets("UPDATE orders SET status = 'paid', total = 12.5 WHERE id = 1"),
			[]string{`UPDATE 1 "First" {"status":{"old":"open","new":"paid"},"total":{"old":10,"new":12.5}}`}},
		{"an update that changes nothing", "orders", id(1), sets("UPDATE orders SET status = status"), nil},
		{"nothing", "orders", id(1), func(*sql.Tx, *int64) func() error { return none }, nil},
		{"no such row", "orders", id(99), sets("UPDATE orders SET status = 'x' WHERE id = 99"), nil},
		{"delete", "orders", id(2), sets("DELETE FROM orders WHERE id = 2"),
			[]string{`DELETE 2 "orders 2" {"id":{"old":2,"new":null},"status":{"old":"open","new":null},"total":{"old":20,"new":null}}`}},
		{"create with a key that is known", "orders", id(7), sets("INSERT INTO orders (id, status) VALUES (7, 'new')"),
			[]string{`CREATE 7 "orders 7" {"id":{"old":null,"new":7},"status":{"old":null,"new":"new"}}`}},
		{"create with a key of the database", "orders", func(new *int64) any { return new }, func(tx *sql.Tx, new *int64) func() error {
			return func() (err error) {
				result, err := tx.ExecContext(ctx, "INSERT INTO orders (status, name) VALUES ('new', 'Third')")
				if err == nil {
					*new, err = result.LastInsertId()
				}
				return err
			}
		}, []string{`CREATE 3 "Third" {"id":{"old":null,"new":3},"name":{"old":null,"new":"Third"},"status":{"old":null,"new":"new"}}`}},
		{"key of two columns", "lines", func(*int64) any { return audit.Key{"order_id": 1, "line": 2} }, sets("UPDATE lines SET quantity = 9"),
			[]string{`UPDATE line=2,order_id=1 "lines line=2,order_id=1" {"quantity":{"old":1,"new":9}}`}},
		{"several rows", "orders", func(*int64) any { return audit.Keys{1, audit.Key{"id": 2}, 99} }, sets("UPDATE orders SET status = 'paid'"),
			[]string{`UPDATE 1 "First" {"status":{"old":"open","new":"paid"}}`, `UPDATE 2 "orders 2" {"status":{"old":"open","new":"paid"}}`}},
		{"secrets", "orders", id(1), sets("UPDATE orders SET password = 'hunter2'"),
			[]string{`UPDATE 1 "First" {"password":{"old":null,"new":"***"}}`}},
		{"schema", "main.orders", id(1), sets("UPDATE orders SET status = 'paid'"),
			[]string{`UPDATE 1 "First" {"status":{"old":"open","new":"paid"}}`}},
		{"skipped", "schema_migrations", id(1), func(*sql.Tx, *int64) func() error { return none }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			shop := openShop(t)
			execute(t, shop, "INSERT INTO orders (id, status, total, name) VALUES (1, 'open', 10, 'First'), (2, 'open', 20, NULL)")
			execute(t, shop, "INSERT INTO lines VALUES (1, 2, 1)")
			sink := &faulty{Sink: openAudit(t)}
			r := newRecorder(t, sink)
			tx, err := shop.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			var created int64
			if err := audit.Track(ctx, r, tx, test.table, test.key(&created), test.run(tx, &created)); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Drain(ctx, shop); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range sink.events {
				changes := e.Get("changes")
				if at := strings.Index(changes, audit.Mask); at >= 0 { // the key of the fingerprint is random
					changes = changes[:at+3] + changes[at+15:]
				}
				got = append(got, e.Get("action")+" "+e.Get("object_id")+` "`+e.Get("object_repr")+`" `+changes)
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func id(n int) func(*int64) any { return func(*int64) any { return n } }

func sets(query string) func(*sql.Tx, *int64) func() error {
	return func(tx *sql.Tx, _ *int64) func() error {
		return func() error {
			_, err := tx.ExecContext(ctx, query)
			return err
		}
	}
}

func TestTrackFollowsTheTransactionOfSqlx(t *testing.T) {
	shop := openShop(t)
	execute(t, shop, "INSERT INTO orders (id, status) VALUES (1, 'open')")
	sink := &faulty{Sink: openAudit(t)}
	r := newRecorder(t, sink)
	db := sqlx.NewDb(shop, "sqlite3")
	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTxx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = audit.Track(audit.WithUser(ctx, audit.User{Name: "alice"}), r, tx, "orders", 1, func() error {
			_, err := tx.NamedExecContext(ctx, "UPDATE orders SET status = :status", map[string]any{"status": "paid"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.Drain(ctx, shop); n != 1 || err != nil || sink.events[0].Get("username") != "alice" {
		t.Errorf("got %d, %v, want the one update of alice that was committed", n, err)
	}
}

func TestTrackRefuses(t *testing.T) {
	errOwn := errors.New("the application's own error")
	ran := false
	for _, test := range []struct {
		name  string
		table string
		key   any
		fn    func() error
		want  string
		runs  bool
	}{
		{"an error of fn as it is", "orders", 1, func() error { return errOwn }, errOwn.Error(), true},
		{"a table that is none", `orders" WHERE 1=1 --`, 1, nil, "not the name of a table", false},
		{"a column that is none", "orders", audit.Key{`id" OR "1`: 1}, nil, "not the name of a table or column", false},
		{"an unknown column", "orders", audit.Key{"nonsense": 1}, nil, `no column "nonsense"`, false},
		{"an unknown table", "nonsense", 1, nil, "nonsense", false},
		{"no key", "orders", audit.Key{}, nil, "every row", false},
		{"a key of several rows", "orders", audit.Key{"status": "open"}, nil, "more than one row", false},
		{"a key that is never set", "orders", new(int64), nil, "set what it points to", true},
		{"a value that is SQL", "orders", "1 OR 1=1", nil, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			shop := openShop(t)
			execute(t, shop, "INSERT INTO orders (id, status) VALUES (1, 'open'), (2, 'open')")
			r := newRecorder(t, openAudit(t))
			ran = false
			err := audit.Track(ctx, r, shop, test.table, test.key, func() error {
				ran = true
				if test.fn != nil {
					return test.fn()
				}
				return nil
			})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) || ran != test.runs {
				t.Errorf("got %v, ran %t, want %q, %t", err, ran, test.want, test.runs)
			}
			if n := count(t, shop, "SELECT count(*) FROM auditadmin_inbox"); n != 0 {
				t.Errorf("got %d events, want none", n)
			}
		})
	}
}

func TestTrackIsSilentWhilePaused(t *testing.T) {
	shop := openShop(t)
	r := newRecorder(t, openAudit(t))
	ran := false
	if err := audit.Track(audit.Paused(ctx), r, nil, "orders", 1, func() error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("got %v, ran %t, want only fn to run", err, ran)
	}
	if n := count(t, shop, "SELECT count(*) FROM auditadmin_inbox"); n != 0 {
		t.Errorf("got %d events, want none", n)
	}
}
