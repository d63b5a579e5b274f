package gormaudit_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"
)

func TestRaw(t *testing.T) {
	tests := []struct {
		name string
		do   func(db *gorm.DB) error
		want []string
	}{
		{"update", func(db *gorm.DB) error {
			return db.Exec("UPDATE orders SET status = ?, quantity = quantity + ? WHERE id = ?", "x", 1, 2).Error
		},
			[]string{`UPDATE orders 2 {"status":{"old":"open","new":"x"},"quantity":{"old":2,"new":3}}`}},
		{"update all", func(db *gorm.DB) error { return db.Exec("update `tags` set name = 'x'").Error },
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"x"}}`, `UPDATE tags 2 {"name":{"old":"blue","new":"x"}}`}},
		{"update with an alias and a comment", func(db *gorm.DB) error {
			return db.Exec("/* why? */ UPDATE main.tags AS t SET name = 'it''s' -- ?\n WHERE t.id IN (?) AND 'WHERE ?' <> ?", []int{1}, "x").Error
		},
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"it's"}}`}},
		{"update with a subquery", func(db *gorm.DB) error {
			return db.Exec("UPDATE tags SET name = (SELECT name FROM customers WHERE id = ?) WHERE id = ?", 1, 2).Error
		},
			[]string{`UPDATE tags 2 {"name":{"old":"blue","new":"Ada"}}`}},
		{"update from", func(db *gorm.DB) error {
			return db.Exec("UPDATE orders SET status = c.name FROM customers c WHERE c.id = customer_id AND total > 15.5").Error
		},
			[]string{`UPDATE orders  {"unattributed":"it joins other tables","rows":2,"statement":"UPDATE orders SET status = c.name FROM customers c WHERE c.id = customer_id AND total > ?"}`}},
		{"update with named parameters", func(db *gorm.DB) error {
			return db.Exec("UPDATE tags SET name = @name WHERE id = @id", map[string]any{"name": "x", "id": 1}).Error
		},
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"x"}}`}},
		{"delete", func(db *gorm.DB) error { return db.Exec("DELETE FROM tags WHERE name = ?", "red").Error },
			[]string{`DELETE tags 1 {"id":{"old":1,"new":null},"name":{"old":"red","new":null}}`}},
		{"insert", func(db *gorm.DB) error { return db.Exec("INSERT INTO tags (name) VALUES (?)", "a").Error },
			[]string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`}},
		{"insert two", func(db *gorm.DB) error { return db.Exec("INSERT INTO tags (name) VALUES (?), (?)", "a", "b").Error },
			[]string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`, `CREATE tags 4 {"id":{"old":null,"new":4},"name":{"old":null,"new":"b"}}`}},
		{"insert two with keys", func(db *gorm.DB) error {
			return db.Exec("INSERT INTO tags (id, name) VALUES (9, ?), (3, ?)", "a", "b").Error
		},
			[]string{`CREATE tags  {"unattributed":"the rows could not be found","rows":2,"statement":"INSERT INTO tags (id, name) VALUES (?, ?), (?, ?)"}`}},
		{"insert what is selected", func(db *gorm.DB) error {
			return db.Exec("INSERT INTO tags (name) SELECT name FROM customers WHERE id < ?", 2).Error
		},
			[]string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"Ada"}}`}},
		{"insert nothing", func(db *gorm.DB) error {
			return db.Exec("INSERT INTO tags (name) SELECT name FROM customers WHERE id > 50").Error
		}, nil},
		{"upsert", func(db *gorm.DB) error {
			return db.Exec("INSERT INTO tags (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'x'").Error
		},
			[]string{`CREATE tags  {"unattributed":"it may have changed rows that were there","rows":1,"statement":"INSERT INTO tags (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = ?"}`}},
		{"with", func(db *gorm.DB) error {
			return db.Exec("WITH a AS (SELECT 1 AS id) UPDATE tags SET name = 'x' WHERE id IN (SELECT id FROM a)").Error
		},
			[]string{`UPDATE tags  {"unattributed":"it begins with WITH","rows":1,"statement":"WITH a AS (SELECT ? AS id) UPDATE tags SET name = ? WHERE id IN (SELECT id FROM a)"}`}},
		{"two statements", func(db *gorm.DB) error { return db.Exec("UPDATE tags SET name = 'x'; DELETE FROM tags").Error },
			[]string{`UPDATE tags  {"unattributed":"one of 2 statements in one text","statement":"UPDATE tags SET name = ?; DELETE FROM tags"}`}},
		{"two statements, the last of which changes nothing", func(db *gorm.DB) error {
			return db.Exec("UPDATE tags SET name = 'x'; DELETE FROM tags WHERE id > 50").Error
		},
			[]string{`UPDATE tags  {"unattributed":"one of 2 statements in one text","statement":"UPDATE tags SET name = ?; DELETE FROM tags WHERE id > ?"}`}},
		{"a transaction of its own", func(db *gorm.DB) error { return db.Exec("BEGIN; UPDATE tags SET name = 'x'; COMMIT").Error },
			[]string{`UPDATE tags  {"unattributed":"one of 3 statements in one text","statement":"BEGIN; UPDATE tags SET name = ?; COMMIT"}`}},
		{"a trigger is created", func(db *gorm.DB) error {
			return db.Exec("CREATE TRIGGER x AFTER UPDATE ON tags BEGIN UPDATE orders SET status = 'x'; DELETE FROM lines; END").Error
		}, nil},
		{"raw with a result", func(db *gorm.DB) error {
			var name string
			return db.Raw("UPDATE tags SET name = upper(name) WHERE id = ? RETURNING name", 1).Find(&name).Error
		}, []string{`UPDATE tags 1 {"name":{"old":"red","new":"RED"}}`}},
		{"insert with a result", func(db *gorm.DB) error {
			var id int
			return db.Raw("INSERT INTO tags (name) VALUES ('a'), ('b') RETURNING id").Find(&id).Error
		}, []string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`, `CREATE tags 4 {"id":{"old":null,"new":4},"name":{"old":null,"new":"b"}}`}},
		{"rows", func(db *gorm.DB) error {
			rows, err := db.Raw("UPDATE tags SET name = 'x' WHERE id = ? RETURNING name", 1).Rows()
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			return rows.Close()
		}, []string{`UPDATE tags  {"unattributed":"its rows are read while it runs","statement":"UPDATE tags SET name = ? WHERE id = ? RETURNING name"}`}},
		{"queries", func(db *gorm.DB) error {
			var n []int
			return errors.Join(db.Raw("SELECT 1").Scan(&n).Error, db.Raw("WITH a AS (SELECT 1) SELECT * FROM a").Scan(&n).Error, db.Exec("PRAGMA optimize").Error)
		}, nil},
		{"changes of the schema", func(db *gorm.DB) error {
			return errors.Join(db.Exec("CREATE TABLE x (y)").Error, db.Exec("ALTER TABLE x ADD z").Error, db.Exec("DROP TABLE x").Error)
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openShop(t, &gorm.Config{})
			must(t, test.do(s.DB))
			if diff := cmp.Diff(test.want, s.recorded(t)); diff != "" {
				t.Errorf("wrong events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTransactions(t *testing.T) {
	no := errors.New("no")
	rename := func(db *gorm.DB, name string) error { return db.Model(&Tag{ID: 1}).Update("name", name).Error }
	tests := []struct {
		name string
		do   func(db *gorm.DB) error
		want []string
	}{
		{"commit", func(db *gorm.DB) error {
			return db.Transaction(func(tx *gorm.DB) error { return errors.Join(rename(tx, "a"), rename(tx, "b")) })
		},
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"a"}}`, `UPDATE tags 1 {"name":{"old":"a","new":"b"}}`}},
		{"rollback", func(db *gorm.DB) error {
			_ = db.Transaction(func(tx *gorm.DB) error { return errors.Join(rename(tx, "a"), tx.Exec("DELETE FROM tags").Error, no) })
			return nil
		}, nil},
		{"panic", func(db *gorm.DB) error {
			defer func() { _ = recover() }()
			return db.Transaction(func(tx *gorm.DB) error { panic(rename(tx, "a")) })
		}, nil},
		{"nested, inner rolled back", func(db *gorm.DB) error {
			return db.Transaction(func(tx *gorm.DB) error {
				_ = tx.Transaction(func(inner *gorm.DB) error { return errors.Join(rename(inner, "a"), no) })
				return rename(tx, "b")
			})
		}, []string{`UPDATE tags 1 {"name":{"old":"red","new":"b"}}`}},
		{"nested, outer rolled back", func(db *gorm.DB) error {
			_ = db.Transaction(func(tx *gorm.DB) error {
				return errors.Join(tx.Transaction(func(inner *gorm.DB) error { return rename(inner, "a") }), no)
			})
			return nil
		}, nil},
		{"nested, both committed", func(db *gorm.DB) error {
			return db.Transaction(func(tx *gorm.DB) error {
				return tx.Transaction(func(inner *gorm.DB) error { return rename(inner, "a") })
			})
		},
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"a"}}`}},
		{"savepoints", func(db *gorm.DB) error {
			tx := db.Begin()
			err := rename(tx, "a")
			tx.SavePoint("here")
			err = errors.Join(err, rename(tx, "b"))
			tx.RollbackTo("here")
			return errors.Join(err, tx.Commit().Error)
		}, []string{`UPDATE tags 1 {"name":{"old":"red","new":"a"}}`}},
		{"a hook that refuses", func(db *gorm.DB) error {
			if db.Create(&refusing{Name: "x"}).Error == nil {
				return errors.New("got no error, want that of the hook")
			}
			return nil
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openShop(t, &gorm.Config{})
			must(t, test.do(s.DB))
			if diff := cmp.Diff(test.want, s.recorded(t)); diff != "" {
				t.Errorf("wrong events (-want +got):\n%s", diff)
			}
		})
	}
}

// refusing is a tag whose hook refuses it after it was written.
type refusing struct {
	ID   uint
	Name string
}

func (refusing) TableName() string { return "tags" }

func (*refusing) AfterCreate(*gorm.DB) error { return errors.New("refused") }
