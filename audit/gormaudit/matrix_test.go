package gormaudit_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/gormaudit"
	"github.com/auditadmin/auditadmin/audit/sqltrack"
	"github.com/auditadmin/auditadmin/internal/need"
)

// way is one way to write to a database.
type way struct {
	by, name string
	do       func(s *shop) error
	raw      bool // more than can be told row by row: it has to be counted
}

// ways are the ways to write that the matrix has, by what records them.
var ways = []way{
	{by: "gormaudit", name: "Create", do: func(s *shop) error { return s.Create(&Order{Quantity: 5}).Error }},
	{by: "gormaudit", name: "Create of a slice", do: func(s *shop) error { return s.Create([]Order{{Quantity: 5}, {Quantity: 6}}).Error }},
	{by: "gormaudit", name: "CreateInBatches", do: func(s *shop) error { return s.CreateInBatches([]Tag{{Name: "a"}, {Name: "b"}, {Name: "c"}}, 2).Error }},
	{by: "gormaudit", name: "Create from a map", do: func(s *shop) error { return s.Model(&Tag{}).Create(map[string]any{"Name": "a"}).Error }},
	{by: "gormaudit", name: "Save", do: func(s *shop) error {
		var o Order
		err := s.First(&o, 1).Error
		o.Quantity = 9
		return errors.Join(err, s.Save(&o).Error)
	}},
	{by: "gormaudit", name: "Update", do: func(s *shop) error { return s.Model(&Order{ID: 1}).Update("status", "x").Error }},
	{by: "gormaudit", name: "Updates with a struct", do: func(s *shop) error { return s.Model(&Order{ID: 1}).Updates(Order{Status: "x", Quantity: 7}).Error }},
	{by: "gormaudit", name: "Updates with a map", do: func(s *shop) error { return s.Model(&Order{ID: 1}).Updates(map[string]any{"status": "x"}).Error }},
	{by: "gormaudit", name: "Update by an expression", do: func(s *shop) error {
		return s.Model(&Order{ID: 1}).Update("quantity", gorm.Expr("quantity + 1")).Error
	}},
	{by: "gormaudit", name: "UpdateColumn", do: func(s *shop) error { return s.Model(&Order{ID: 1}).UpdateColumn("status", "x").Error }},
	{by: "gormaudit", name: "Update of many by a condition", do: func(s *shop) error { return s.Model(&Order{}).Where("quantity > 1").Update("status", "x").Error }},
	{by: "gormaudit", name: "Table without a model", do: func(s *shop) error {
		return s.Table("orders").Where("id = ?", 1).Updates(map[string]any{"status": "x"}).Error
	}},
	{by: "gormaudit", name: "SkipHooks", do: func(s *shop) error {
		return s.Session(&gorm.Session{SkipHooks: true}).Model(&Order{ID: 1}).Update("status", "x").Error
	}},
	{by: "gormaudit", name: "SkipDefaultTransaction", do: func(s *shop) error {
		return s.Session(&gorm.Session{SkipDefaultTransaction: true}).Model(&Order{ID: 1}).Update("status", "x").Error
	}},
	{by: "gormaudit", name: "PrepareStmt", do: func(s *shop) error {
		return s.Session(&gorm.Session{PrepareStmt: true}).Model(&Order{ID: 1}).Update("status", "x").Error
	}},
	{by: "gormaudit", name: "Generics", do: func(s *shop) error {
		_, err := gorm.G[Order](s.DB).Where("id = ?", 1).Update(alice, "status", "x")
		return err
	}},
	{by: "gormaudit", name: "soft Delete", do: func(s *shop) error { return s.Delete(&Order{ID: 1}).Error }},
	{by: "gormaudit", name: "Unscoped Delete of many", do: func(s *shop) error { return s.Unscoped().Where("quantity > 1").Delete(&Order{}).Error }},
	{by: "gormaudit", name: "Association Append, many2many", do: func(s *shop) error { return s.Model(&Order{ID: 1}).Association("Tags").Append(&Tag{ID: 1}) }},
	{by: "gormaudit", name: "Association Clear, has many", do: func(s *shop) error { return s.Model(&Customer{ID: 1}).Association("Orders").Clear() }},
	{by: "gormaudit", name: "Create with associations", do: func(s *shop) error {
		return s.Create(&Customer{Name: "Cleo", Email: "c@example.com", Orders: []Order{{Tags: []Tag{{Name: "new"}}}}}).Error
	}},
	{by: "gormaudit", name: "FirstOrCreate", do: func(s *shop) error { return s.FirstOrCreate(&Tag{}, Tag{Name: "new"}).Error }},
	{by: "gormaudit", name: "OnConflict", do: func(s *shop) error {
		return s.Clauses(clause.OnConflict{UpdateAll: true}).Create([]Tag{{ID: 1, Name: "RED"}, {ID: 9, Name: "new"}}).Error
	}},
	{by: "gormaudit", name: "nested Transaction, inner rolled back", do: func(s *shop) error {
		return s.Transaction(func(tx *gorm.DB) error {
			_ = tx.Transaction(func(in *gorm.DB) error {
				return errors.Join(in.Delete(&Order{ID: 2}).Error, errors.New("no"))
			})
			return tx.Delete(&Order{ID: 1}).Error
		})
	}},
	{by: "gormaudit", name: "Transaction, rolled back", do: func(s *shop) error {
		_ = s.Transaction(func(tx *gorm.DB) error { return errors.Join(tx.Delete(&Order{ID: 1}).Error, errors.New("no")) })
		return nil
	}},
	{by: "gormaudit", name: "Exec UPDATE", do: func(s *shop) error { return s.Exec("UPDATE orders SET status = ? WHERE quantity > ?", "x", 1).Error }},
	{by: "gormaudit", name: "Exec DELETE", do: func(s *shop) error { return s.Exec("DELETE FROM tags").Error }},
	{by: "gormaudit", name: "Exec INSERT", do: func(s *shop) error { return s.Exec("INSERT INTO tags (name) VALUES ('a'), ('b')").Error }},
	{by: "gormaudit", name: "Raw UPDATE … RETURNING, Find", do: func(s *shop) error {
		return s.Raw("UPDATE tags SET name = 'x' WHERE id = 1 RETURNING *").Find(&[]Tag{}).Error
	}},
	{by: "gormaudit", name: "Raw UPDATE … RETURNING, Scan", raw: true, do: func(s *shop) error {
		return s.Raw("UPDATE tags SET name = 'x' WHERE id = 1 RETURNING *").Scan(&[]Tag{}).Error
	}},
	{by: "gormaudit", name: "Exec UPDATE … FROM", raw: true, do: func(s *shop) error {
		return s.Exec("UPDATE orders SET status = c.name FROM customers c WHERE c.id = customer_id").Error
	}},
	{by: "gormaudit", name: "Exec INSERT … ON CONFLICT", raw: true, do: func(s *shop) error {
		return s.Exec("INSERT INTO tags (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'x'").Error
	}},
	{by: "gormaudit", name: "Exec WITH … DELETE", raw: true, do: func(s *shop) error {
		return s.Exec("WITH few AS (SELECT 1 AS id) DELETE FROM tags WHERE id IN (SELECT id FROM few)").Error
	}},
	{by: "gormaudit", name: "Exec of two statements", raw: true, do: func(s *shop) error { return s.Exec("DELETE FROM tags; DELETE FROM lines").Error }},

	{by: "audit.Track", name: "database/sql UPDATE", do: func(s *shop) error {
		return s.within(func(tx *sql.Tx) error {
			return audit.Track(alice, s.recorder, tx, "orders", 1, exec(tx, "UPDATE orders SET status = 'x' WHERE id = 1"))
		})
	}},
	{by: "audit.Track", name: "database/sql INSERT", do: func(s *shop) error {
		return s.within(func(tx *sql.Tx) error {
			var id int64
			return audit.Track(alice, s.recorder, tx, "tags", &id, func() error {
				return tx.QueryRow("INSERT INTO tags (name) VALUES ('a') RETURNING id").Scan(&id)
			})
		})
	}},
	{by: "audit.Track", name: "database/sql DELETE", do: func(s *shop) error {
		return s.within(func(tx *sql.Tx) error {
			return audit.Track(alice, s.recorder, tx, "lines", audit.Key{"order_id": 1, "sku": "A"}, exec(tx, "DELETE FROM lines WHERE order_id = 1 AND sku = 'A'"))
		})
	}},
	{by: "audit.Track", name: "database/sql, several rows", do: func(s *shop) error {
		return s.within(func(tx *sql.Tx) error {
			return audit.Track(alice, s.recorder, tx, "orders", audit.Keys{1, 2, 3}, exec(tx, "UPDATE orders SET status = 'x' WHERE quantity > 1"))
		})
	}},
	{by: "audit.Track", name: "database/sql, prepared", do: func(s *shop) error {
		return s.within(func(tx *sql.Tx) error {
			stmt, err := tx.Prepare("UPDATE orders SET status = ? WHERE id = ?")
			if err != nil {
				return err
			}
			defer stmt.Close()
			return audit.Track(alice, s.recorder, tx, "orders", 1, func() error { _, err := stmt.Exec("x", 1); return err })
		})
	}},
	{by: "audit.Track", name: "database/sql, rolled back", do: func(s *shop) error {
		_ = s.within(func(tx *sql.Tx) error {
			return errors.Join(audit.Track(alice, s.recorder, tx, "orders", 1, exec(tx, "UPDATE orders SET status = 'x' WHERE id = 1")), errors.New("no"))
		})
		return nil
	}},
	{by: "audit.Track", name: "sqlx Exec", do: func(s *shop) error {
		return s.withinX(func(tx *sqlx.Tx) error {
			return audit.Track(alice, s.recorder, tx, "orders", 1, func() error { _, err := tx.Exec("UPDATE orders SET status = 'x' WHERE id = 1"); return err })
		})
	}},
	{by: "audit.Track", name: "sqlx NamedExec", do: func(s *shop) error {
		return s.withinX(func(tx *sqlx.Tx) error {
			return audit.Track(alice, s.recorder, tx, "tags", 1, func() error {
				_, err := tx.NamedExec("UPDATE tags SET name = :name WHERE id = :id", Tag{ID: 1, Name: "x"})
				return err
			})
		})
	}},
	{by: "audit.Track", name: "sqlx Get … RETURNING", do: func(s *shop) error {
		return s.withinX(func(tx *sqlx.Tx) error {
			var id int64
			return audit.Track(alice, s.recorder, tx, "tags", &id, func() error { return tx.Get(&id, "INSERT INTO tags (name) VALUES ('a') RETURNING id") })
		})
	}},
	{by: "audit.Track", name: "sqlx In, several rows", do: func(s *shop) error {
		return s.withinX(func(tx *sqlx.Tx) error {
			query, args, err := sqlx.In("DELETE FROM tags WHERE id IN (?)", []int{1, 2})
			if err != nil {
				return err
			}
			return audit.Track(alice, s.recorder, tx, "tags", audit.Keys{1, 2}, func() error { _, err := tx.Exec(tx.Rebind(query), args...); return err })
		})
	}},

	{by: "sqltrack", name: "database/sql UPDATE of many", do: func(s *shop) error { return s.plain("UPDATE orders SET status = 'x'") }},
	{by: "sqltrack", name: "database/sql INSERT of many", do: func(s *shop) error { return s.plain("INSERT INTO tags (name) SELECT name FROM customers") }},
	{by: "sqltrack", name: "database/sql DELETE of all", do: func(s *shop) error { return s.plain("DELETE FROM lines") }},
	{by: "sqltrack", name: "INSERT OR REPLACE", do: func(s *shop) error {
		return s.plain("INSERT OR REPLACE INTO customers (id, name, email) VALUES (9, 'x', 'ada@example.com')")
	}},
	{by: "sqltrack", name: "INSERT … ON CONFLICT", do: func(s *shop) error {
		return s.plain("INSERT INTO tags (id, name) VALUES (1, 'x'), (9, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name")
	}},
	{by: "sqltrack", name: "UPDATE … FROM", do: func(s *shop) error {
		return s.plain("UPDATE orders SET status = c.name FROM customers c WHERE c.id = customer_id")
	}},
	{by: "sqltrack", name: "two statements in one text", do: func(s *shop) error { return s.plain("DELETE FROM tags; DELETE FROM lines") }},
	{by: "sqltrack", name: "a transaction with an actor", do: func(s *shop) error {
		return sqltrack.Tx(alice, s.raw, sqltrack.SQLite, func(tx *sql.Tx) error { return exec(tx, "UPDATE orders SET status = 'x'")() })
	}},
	{by: "sqltrack", name: "a savepoint, rolled back", do: func(s *shop) error {
		return s.plain("BEGIN; UPDATE tags SET name = 'x' WHERE id = 1; SAVEPOINT a; DELETE FROM tags; ROLLBACK TO a; COMMIT")
	}},
	{by: "sqltrack", name: "a cascade of the database", do: func(s *shop) error {
		return s.plain("CREATE TRIGGER cascade AFTER DELETE ON tags BEGIN DELETE FROM lines WHERE count = OLD.id; END; DELETE FROM tags")
	}},
	{by: "sqltrack", name: "GORM, without the plugin", do: func(s *shop) error { return s.Model(&Order{}).Where("quantity > 1").UpdateColumn("status", "x").Error }},
}

// plain runs statements as a writer does who knows nothing of us.
func (s *shop) plain(statements string) error {
	_, err := s.raw.Exec(statements)
	return err
}

func (s *shop) within(fn func(tx *sql.Tx) error) error {
	tx, err := s.raw.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *shop) withinX(fn func(tx *sqlx.Tx) error) error {
	tx, err := sqlx.NewDb(s.raw, "sqlite3").Beginx()
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func exec(tx *sql.Tx, statement string) func() error {
	return func() error { _, err := tx.Exec(statement); return err }
}

// TestMatrix holds that every way to write is recorded exactly once a row, or
// counted as what could not be told; and that docs/tracking.md says so. What was
// really changed is seen by looking at all the rows before and after. With
// UPDATE_DOCS=1, it writes the matrix into the document.
func TestMatrix(t *testing.T) {
	matrix := "| recorded by | way to write | rows changed | recorded | unattributed |\n| --- | --- | ---: | ---: | ---: |\n"
	count := map[string]int{}
	for _, w := range ways {
		t.Run(w.by+" "+w.name, func(t *testing.T) {
			s := newShop(t, sqlite.Open(file(filepath.Join(t.TempDir(), "shop.db"))), &gorm.Config{})
			switch w.by {
			case "gormaudit":
				must(t, s.Use(gormaudit.New(s.recorder)))
			case "sqltrack":
				_, err := sqltrack.Apply(t.Context(), s.raw, sqltrack.Options{Dialect: sqltrack.SQLite})
				must(t, err)
			default:
				must(t, s.plain(audit.InboxSchema("sqlite")))
			}
			changed, told, counted := s.try(t, w, w.raw)
			count[w.by]++
			matrix += fmt.Sprintf("| `%s` | %s | %d | %d | %d |\n", w.by, w.name, changed, told, counted)
		})
	}
	if total := len(ways); total < 24 || count["gormaudit"] < 12 || count["audit.Track"] < 10 || count["sqltrack"] < 2 {
		t.Errorf("got %d ways: %v, want at least 24: 12 of GORM, 10 of database/sql and sqlx, 2 of triggers", total, count)
	}
	t.Log("\n" + matrix)
	document := filepath.Join(need.Root(t), "docs", "tracking.md")
	text, err := os.ReadFile(document)
	must(t, err)
	begin, rest, ok := strings.Cut(string(text), "<!-- matrix -->\n")
	_, end, closed := strings.Cut(rest, "<!-- /matrix -->")
	if !ok || !closed {
		t.Fatalf("%s has no place for the matrix", document)
	}
	if wanted := begin + "<!-- matrix -->\n" + matrix + "<!-- /matrix -->" + end; wanted != string(text) {
		if os.Getenv("UPDATE_DOCS") == "" {
			t.Errorf("%s has another matrix; UPDATE_DOCS=1 writes this one into it", document)
		} else if err := os.WriteFile(document, []byte(wanted), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// try writes in one way and checks that all of it is told, or counted if it is
// too much to be told. It returns how many rows were changed, how many of them
// told, and how many events count what could not be told.
func (s *shop) try(t *testing.T, w way, tooMuch bool) (rows, told, counted int) {
	t.Helper()
	before := s.rows(t)
	must(t, w.do(s))
	changed := differences(before, s.rows(t))
	stored := &sink{}
	recorder, err := audit.New(stored, audit.Strict())
	must(t, err)
	for range 2 { // the second time there is nothing to move
		_, err = recorder.Drain(t.Context(), s.raw)
		must(t, err)
	}
	objects := map[string]int{}
	for _, e := range stored.take() {
		if unattributed(e) {
			counted++
		} else {
			objects[e.Get("content_type")+" "+e.Get("object_id")]++
		}
	}
	switch {
	case tooMuch && (len(objects) > 0 || counted != 1):
		t.Errorf("got %v told and %d counted, want one that is counted", objects, counted)
	case !tooMuch && (counted > 0 || !maps.Equal(objects, changed)):
		t.Errorf("got %v told and %d counted, want exactly what was changed: %v", objects, counted, changed)
	}
	return len(changed), len(objects), counted
}

// rows are all rows of the shop, each by its table and key.
func (s *shop) rows(t testing.TB) map[string]string {
	t.Helper()
	keys := map[string]string{"customers": "id", "orders": "id", "tags": "id", "settings": "key", "lines": "'order_id=' || order_id || ',sku=' || sku", "order_tags": "'order_id=' || order_id || ',tag_id=' || tag_id"}
	all := map[string]string{}
	for table, key := range keys {
		rows, err := sqlx.NewDb(s.raw, "sqlite3").QueryxContext(context.Background(), "SELECT *, "+key+" AS the_key FROM "+table)
		must(t, err)
		for rows.Next() {
			row := map[string]any{}
			must(t, rows.MapScan(row))
			text, err := json.Marshal(row)
			must(t, err)
			all[fmt.Sprintf("%s %v", table, row["the_key"])] = string(text)
		}
		must(t, rows.Err())
		must(t, rows.Close())
	}
	return all
}

// differences are the rows that are not the same before and after, each once.
func differences(before, after map[string]string) map[string]int {
	changed := map[string]int{}
	for key, row := range before {
		if after[key] != row {
			changed[key] = 1
		}
	}
	for key := range after {
		if _, was := before[key]; !was {
			changed[key] = 1
		}
	}
	return changed
}
