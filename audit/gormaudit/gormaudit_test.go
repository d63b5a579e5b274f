package gormaudit_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/gormaudit"
)

// created is the changes of a new order.
func created(id, customer, quantity string) string {
	if customer != "" {
		customer = `"customer_id":{"old":null,"new":` + customer + `},`
	}
	return `{"id":{"old":null,"new":` + id + `},` + customer + `"status":{"old":null,"new":"open"},"quantity":{"old":null,"new":` + quantity +
		`},"total":{"old":null,"new":0},"paid":{"old":null,"new":false},"password":{"old":null,"new":""},"updated_at":{"old":null,"new":"2026-03-01T12:00:00Z"}}`
}

func TestWrites(t *testing.T) {
	one := uint(1)
	tests := []struct {
		name string
		do   func(db *gorm.DB) error
		want []string
	}{
		{"create", func(db *gorm.DB) error { return db.Create(&Order{CustomerID: &one, Quantity: 5}).Error },
			[]string{"CREATE orders 4 " + created("4", "1", "5")}},
		{"create a slice", func(db *gorm.DB) error { return db.Create([]*Order{{Quantity: 5}, {Quantity: 6}}).Error },
			[]string{"CREATE orders 4 " + created("4", "", "5"), "CREATE orders 5 " + created("5", "", "6")}},
		{"create in batches", func(db *gorm.DB) error {
			return db.CreateInBatches([]Tag{{Name: "a"}, {Name: "b"}, {Name: "c"}}, 2).Error
		},
			[]string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`, `CREATE tags 4 {"id":{"old":null,"new":4},"name":{"old":null,"new":"b"}}`, `CREATE tags 5 {"id":{"old":null,"new":5},"name":{"old":null,"new":"c"}}`}},
		{"create from a map", func(db *gorm.DB) error { return db.Model(&Tag{}).Create(map[string]any{"Name": "a"}).Error },
			[]string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`}},
		{"create from maps", func(db *gorm.DB) error {
			return db.Table("tags").Create([]map[string]any{{"name": "a"}, {"name": "b"}}).Error
		},
			[]string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`, `CREATE tags 4 {"id":{"old":null,"new":4},"name":{"old":null,"new":"b"}}`}},
		{"create in a table without a model", func(db *gorm.DB) error { return db.Table("tags").Create(map[string]any{"name": "a"}).Error },
			[]string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`}},
		{"create what a hook changes", func(db *gorm.DB) error { return db.Create(&Setting{Key: "k", Value: "on"}).Error },
			[]string{`CREATE settings k {"key":{"old":null,"new":"k"},"value":{"old":null,"new":"ON"}}`}},
		{"create without hooks", func(db *gorm.DB) error {
			return db.Session(&gorm.Session{SkipHooks: true}).Create(&Setting{Key: "k", Value: "on"}).Error
		},
			[]string{`CREATE settings k {"key":{"old":null,"new":"k"},"value":{"old":null,"new":"on"}}`}},
		{"save", func(db *gorm.DB) error {
			var o Order
			db.First(&o, 1)
			o.Quantity, o.Paid = 9, true
			return db.Save(&o).Error
		}, []string{`UPDATE orders 1 {"quantity":{"old":1,"new":9},"paid":{"old":false,"new":true}}`}},
		{"save what is the same", func(db *gorm.DB) error {
			var o Order
			db.First(&o, 1)
			return db.Save(&o).Error
		}, nil},
		{"save what is new", func(db *gorm.DB) error { return db.Save(&Tag{ID: 9, Name: "a"}).Error },
			[]string{`CREATE tags 9 {"id":{"old":null,"new":9},"name":{"old":null,"new":"a"}}`}},
		{"save a slice", func(db *gorm.DB) error { return db.Save([]Tag{{ID: 1, Name: "RED"}, {Name: "a"}}).Error },
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"RED"}}`, `CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"a"}}`}},
		{"update", func(db *gorm.DB) error { return db.Model(&Order{ID: 1}).Update("status", "shipped").Error },
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"shipped"}}`}},
		{"update to the same", func(db *gorm.DB) error { return db.Model(&Order{ID: 1}).Update("status", "open").Error }, nil},
		{"update what is not there", func(db *gorm.DB) error { return db.Model(&Order{ID: 99}).Update("status", "x").Error }, nil},
		{"updates with a struct", func(db *gorm.DB) error {
			return db.Model(&Order{ID: 1}).Updates(Order{Status: "shipped", Quantity: 4}).Error
		},
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"shipped"},"quantity":{"old":1,"new":4}}`}},
		{"updates with a map", func(db *gorm.DB) error {
			return db.Model(&Order{ID: 1}).Updates(map[string]any{"status": "shipped", "paid": true}).Error
		},
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"shipped"},"paid":{"old":false,"new":true}}`}},
		{"updates of what is selected", func(db *gorm.DB) error {
			return db.Model(&Order{ID: 1}).Select("quantity").Updates(Order{Status: "shipped", Quantity: 0}).Error
		},
			[]string{`UPDATE orders 1 {"quantity":{"old":1,"new":0}}`}},
		{"updates but what is omitted", func(db *gorm.DB) error {
			return db.Model(&Order{ID: 1}).Omit("status").Updates(map[string]any{"status": "x", "quantity": 7}).Error
		},
			[]string{`UPDATE orders 1 {"quantity":{"old":1,"new":7}}`}},
		{"update by an expression", func(db *gorm.DB) error {
			return db.Model(&Order{ID: 2}).Update("quantity", gorm.Expr("quantity * ? + 1", 3)).Error
		},
			[]string{`UPDATE orders 2 {"quantity":{"old":2,"new":7}}`}},
		{"update column", func(db *gorm.DB) error { return db.Model(&Order{ID: 1}).UpdateColumn("status", "shipped").Error },
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"shipped"}}`}},
		{"update columns", func(db *gorm.DB) error {
			return db.Model(&Order{ID: 1}).UpdateColumns(map[string]any{"status": "x", "total": 1.5}).Error
		},
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"x"},"total":{"old":10,"new":1.5}}`}},
		{"update many", func(db *gorm.DB) error {
			return db.Model(&Order{}).Where("quantity >= ?", 2).Update("status", "late").Error
		},
			[]string{`UPDATE orders 2 {"status":{"old":"open","new":"late"}}`, `UPDATE orders 3 {"status":{"old":"open","new":"late"}}`}},
		{"update many by what changes", func(db *gorm.DB) error {
			return db.Model(&Order{}).Where("status = ?", "open").Update("status", "late").Error
		},
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"late"}}`, `UPDATE orders 2 {"status":{"old":"open","new":"late"}}`, `UPDATE orders 3 {"status":{"old":"open","new":"late"}}`}},
		{"update a table without a model", func(db *gorm.DB) error {
			return db.Table("orders").Where("id = ?", 1).Updates(map[string]any{"status": "x"}).Error
		},
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"x"}}`}},
		{"update a table with an alias", func(db *gorm.DB) error {
			return db.Table("orders AS o").Where("o.id = ?", 1).Updates(map[string]any{"status": "x"}).Error
		},
			[]string{`UPDATE orders 1 {"status":{"old":"open","new":"x"}}`}},
		{"update by a subquery", func(db *gorm.DB) error {
			return db.Model(&Order{}).Where("customer_id IN (?)", db.Model(&Customer{}).Select("id").Where("name = ?", "Ben")).Update("status", "x").Error
		},
			[]string{`UPDATE orders 3 {"status":{"old":"open","new":"x"}}`}},
		{"update the key", func(db *gorm.DB) error { return db.Model(&Tag{ID: 1}).Update("id", 50).Error },
			[]string{`UPDATE tags 1 {"unattributed":"the primary key was changed"}`}},
		{"update with a key of two columns", func(db *gorm.DB) error { return db.Model(&Line{OrderID: 1, SKU: "A"}).Update("count", 5).Error },
			[]string{`UPDATE lines order_id=1,sku=A {"count":{"old":1,"new":5}}`}},
		{"update and return", func(db *gorm.DB) error {
			var all []Order
			return db.Model(&all).Clauses(clause.Returning{}).Where("quantity > 1").Update("status", "x").Error
		}, []string{`UPDATE orders 2 {"status":{"old":"open","new":"x"}}`, `UPDATE orders 3 {"status":{"old":"open","new":"x"}}`}},
		{"soft delete", func(db *gorm.DB) error { return db.Delete(&Order{ID: 1}).Error },
			[]string{`DELETE orders 1 {"deleted_at":{"old":null,"new":"2026-03-01T12:00:00Z"}}`}},
		{"soft delete twice", func(db *gorm.DB) error {
			return errors.Join(db.Delete(&Order{}, 1).Error, db.Delete(&Order{}, 1).Error)
		},
			[]string{`DELETE orders 1 {"deleted_at":{"old":null,"new":"2026-03-01T12:00:00Z"}}`}},
		{"delete for good", func(db *gorm.DB) error { return db.Unscoped().Delete(&Tag{}, []int{1, 2}).Error },
			[]string{`DELETE tags 1 {"id":{"old":1,"new":null},"name":{"old":"red","new":null}}`, `DELETE tags 2 {"id":{"old":2,"new":null},"name":{"old":"blue","new":null}}`}},
		{"delete many", func(db *gorm.DB) error { return db.Where("count > 1").Delete(&Line{}).Error },
			[]string{`DELETE lines order_id=1,sku=B {"order_id":{"old":1,"new":null},"sku":{"old":"B","new":null},"count":{"old":2,"new":null}}`}},
		{"delete nothing", func(db *gorm.DB) error { return db.Where("count > 100").Delete(&Line{}).Error }, nil},
		{"append to many2many", func(db *gorm.DB) error { return db.Model(&Order{ID: 1}).Association("Tags").Append(&Tag{ID: 1}) },
			[]string{`CREATE order_tags order_id=1,tag_id=1 {"order_id":{"old":null,"new":1},"tag_id":{"old":null,"new":1}}`}},
		{"append to many2many twice", func(db *gorm.DB) error {
			return errors.Join(db.Model(&Order{ID: 1}).Association("Tags").Append(&Tag{ID: 1}), db.Model(&Order{ID: 1}).Association("Tags").Append(&Tag{ID: 1}))
		},
			[]string{`CREATE order_tags order_id=1,tag_id=1 {"order_id":{"old":null,"new":1},"tag_id":{"old":null,"new":1}}`}},
		{"replace in many2many", func(db *gorm.DB) error {
			o := db.Model(&Order{ID: 1})
			return errors.Join(o.Association("Tags").Append(&Tag{ID: 1}), db.Model(&Order{ID: 1}).Association("Tags").Replace(&Tag{ID: 2}))
		}, []string{`CREATE order_tags order_id=1,tag_id=1 {"order_id":{"old":null,"new":1},"tag_id":{"old":null,"new":1}}`,
			`CREATE order_tags order_id=1,tag_id=2 {"order_id":{"old":null,"new":1},"tag_id":{"old":null,"new":2}}`,
			`DELETE order_tags order_id=1,tag_id=1 {"order_id":{"old":1,"new":null},"tag_id":{"old":1,"new":null}}`}},
		{"clear has many", func(db *gorm.DB) error { return db.Model(&Customer{ID: 2}).Association("Orders").Clear() },
			[]string{`UPDATE orders 3 {"customer_id":{"old":2,"new":null}}`}},
		{"create with associations", func(db *gorm.DB) error {
			return db.Create(&Customer{Name: "Cleo", Email: "c@example.com", Orders: []Order{{Quantity: 8}}}).Error
		}, []string{`CREATE customers 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"Cleo"},"email":{"old":null,"new":"c@example.com"}}`, "CREATE orders 4 " + created("4", "3", "8")}},
		{"first or create", func(db *gorm.DB) error {
			var a, b Tag
			return errors.Join(db.FirstOrCreate(&a, Tag{Name: "new"}).Error, db.FirstOrCreate(&b, Tag{Name: "new"}).Error)
		}, []string{`CREATE tags 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"new"}}`}},
		{"first or create with assign", func(db *gorm.DB) error {
			return db.Where(Tag{Name: "red"}).Assign(Tag{Name: "crimson"}).FirstOrCreate(&Tag{}).Error
		},
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"crimson"}}`}},
		{"upsert that inserts", func(db *gorm.DB) error {
			return db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&Customer{Name: "Cleo", Email: "c@example.com"}).Error
		},
			[]string{`CREATE customers 3 {"id":{"old":null,"new":3},"name":{"old":null,"new":"Cleo"},"email":{"old":null,"new":"c@example.com"}}`}},
		{"upsert that updates", func(db *gorm.DB) error {
			return db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "email"}}, DoUpdates: clause.AssignmentColumns([]string{"name"})}).
				Create(&Customer{Name: "Adele", Email: "ada@example.com"}).Error
		}, []string{`UPDATE customers 1 {"name":{"old":"Ada","new":"Adele"}}`}},
		{"upsert that does nothing", func(db *gorm.DB) error {
			return db.Clauses(clause.OnConflict{DoNothing: true}).Create(&Customer{Name: "X", Email: "ada@example.com"}).Error
		}, nil},
		{"insert or replace", func(db *gorm.DB) error {
			return db.Clauses(clause.Insert{Modifier: "OR REPLACE"}).Create(&Customer{ID: 9, Name: "X", Email: "ada@example.com"}).Error
		}, []string{`DELETE customers 1 {"id":{"old":1,"new":null},"name":{"old":"Ada","new":null},"email":{"old":"ada@example.com","new":null}}`,
			`CREATE customers 9 {"id":{"old":null,"new":9},"name":{"old":null,"new":"X"},"email":{"old":null,"new":"ada@example.com"}}`}},
		{"refused", func(db *gorm.DB) error {
			if db.Create(&Customer{Email: "ada@example.com"}).Error == nil {
				return errors.New("got no error, want that of the unique column")
			}
			return nil
		}, nil},
		{"without a condition", func(db *gorm.DB) error {
			if err := db.Delete(&Order{}).Error; !errors.Is(err, gorm.ErrMissingWhereClause) {
				return err
			}
			return nil
		}, nil},
		{"update all", func(db *gorm.DB) error {
			return db.Session(&gorm.Session{AllowGlobalUpdate: true}).Model(&Tag{}).Update("name", "x").Error
		},
			[]string{`UPDATE tags 1 {"name":{"old":"red","new":"x"}}`, `UPDATE tags 2 {"name":{"old":"blue","new":"x"}}`}},
		{"dry run", func(db *gorm.DB) error {
			return db.Session(&gorm.Session{DryRun: true}).Model(&Tag{ID: 1}).Update("name", "x").Error
		}, nil},
		{"paused", func(db *gorm.DB) error {
			return db.WithContext(audit.Paused(alice)).Model(&Tag{ID: 1}).Update("name", "x").Error
		}, nil},
		{"a secret", func(db *gorm.DB) error { return db.Model(&Order{ID: 1}).Update("password", "hunter2").Error }, []string{"masked"}},
	}
	for _, mode := range []struct {
		name   string
		config func() *gorm.Config
	}{
		{"", func() *gorm.Config { return &gorm.Config{} }},
		{"no default transaction", func() *gorm.Config { return &gorm.Config{SkipDefaultTransaction: true} }},
		{"prepared", func() *gorm.Config { return &gorm.Config{PrepareStmt: true} }},
	} {
		for _, test := range tests {
			t.Run(strings.TrimSpace(mode.name+" "+test.name), func(t *testing.T) {
				s := openShop(t, mode.config())
				must(t, test.do(s.DB))
				got := s.recorded(t)
				if len(got) == 1 && len(test.want) == 1 && test.want[0] == "masked" {
					if strings.Contains(got[0], "hunter2") || !strings.Contains(got[0], `"password":{"old":"","new":"***`) {
						t.Errorf("got %s, want the password masked", got[0])
					}
					return
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("wrong events (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestNames(t *testing.T) {
	s := openShop(t, &gorm.Config{}, gormaudit.App("shop"))
	must(t, s.Model(&Order{ID: 1}).Update("status", "x").Error)
	must(t, s.Exec("UPDATE customers SET name = ? WHERE id = 1", strings.Repeat("ä", 300)).Error)
	must(t, s.Model(&Line{OrderID: 1, SKU: "A"}).Update("sku", "a,b").Error)
	must(t, s.Model(&Line{}).Where("sku = ?", "a,b").Update("count", 3).Error)
	must(t, s.Exec("UPDATE orders SET status = c.name FROM customers c").Error)
	var got []string
	for _, e := range s.events(t) {
		got = append(got, e.Get("content_type")+" "+e.Get("object_id")+" "+e.Get("object_repr"))
	}
	want := []string{"shop.order 1 Order 1", "shop.customer 1 " + strings.Repeat("ä", 200), "shop.line order_id=1,sku=A unattributed", "shop.line order_id=1,sku=a,b lines order_id=1,sku=a,b", "shop.order  3 rows, unattributed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong names (-want +got):\n%s", diff)
	}
}

func TestMaxRows(t *testing.T) {
	s := openShop(t, &gorm.Config{}, gormaudit.MaxRows(2))
	must(t, s.Model(&Order{}).Where("id <= 2").Update("status", "x").Error)
	if got := s.recorded(t); len(got) != 2 {
		t.Errorf("got %d events for 2 rows, want 2: %q", len(got), got)
	}
	must(t, s.Model(&Order{}).Where("id <= 3").Update("status", "y").Error)
	must(t, s.Unscoped().Where("id <= 3").Delete(&Order{}).Error)
	want := []string{"UPDATE orders  {\"unattributed\":\"more than 2 rows\",\"rows\":3,\"statement\":\"UPDATE `orders` SET `status`=?,`updated_at`=? WHERE id <= ? AND `orders`.`deleted_at` IS NULL\"}",
		"DELETE orders  {\"unattributed\":\"more than 2 rows\",\"rows\":3,\"statement\":\"DELETE FROM `orders` WHERE id <= ?\"}"}
	if diff := cmp.Diff(want, s.recorded(t)); diff != "" {
		t.Errorf("wrong events (-want +got):\n%s", diff)
	}
	if got := s.recorder.Stats().Unattributed; got != 2 {
		t.Errorf("got %d counted as unattributed, want 2", got)
	}
}

// TestMigrations changes a column, for which the migrator copies the table.
func TestMigrations(t *testing.T) {
	s := openShop(t, &gorm.Config{})
	must(t, s.Migrator().AlterColumn(&widerTag{}, "Name"))
	must(t, s.AutoMigrate(&Customer{}, &Order{}, &Line{}, &widerTag{}))
	if got := s.recorded(t); len(got) > 0 {
		t.Errorf("got %q of a migration, want nothing", got)
	}
	var n int64
	must(t, s.Table("tags").Count(&n).Error)
	if n != 2 {
		t.Errorf("got %d tags after the migration, want 2", n)
	}
}

type widerTag struct {
	ID   uint
	Name string `gorm:"type:varchar(500)"`
}

func (widerTag) TableName() string { return "tags" }

// TestUnrecordable holds that a change that cannot be recorded is not made.
func TestUnrecordable(t *testing.T) {
	s := openShop(t, &gorm.Config{})
	must(t, s.Exec("DROP TABLE auditadmin_inbox").Error)
	if err := s.Model(&Tag{ID: 1}).Update("name", "x").Error; err == nil || !strings.Contains(err.Error(), audit.InboxTable) {
		t.Errorf("got %v, want an error that names the inbox", err)
	}
	var tag Tag
	must(t, s.First(&tag, 1).Error)
	if tag.Name != "red" {
		t.Errorf("got the name %q, want it unchanged", tag.Name)
	}
}

// TestValues holds what becomes of the values of a column.
func TestValues(t *testing.T) {
	s := openShop(t, &gorm.Config{})
	must(t, s.Exec("CREATE TABLE v (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, j, l TEXT)").Error)
	tenth := 0.1
	must(t, s.Table("v").Create(map[string]any{"id": 1, "i": int64(9223372036854775807), "r": tenth + 0.2, "t": "a\"<\x00é", "b": []byte{0, 255}, "j": nil, "l": strings.Repeat("x", 20000)}).Error)
	long := sha256.Sum256([]byte(strings.Repeat("x", 20000)))
	want := []string{`CREATE v 1 {"id":{"old":null,"new":1},"i":{"old":null,"new":9223372036854775807},"r":{"old":null,"new":0.30000000000000004},"t":{"old":null,"new":"a\"<\u2400é"},` +
		`"b":{"old":null,"new":{"$blob":{"length":2,"sha256":"06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8"}}},` +
		`"l":{"old":null,"new":{"$text":{"length":20000,"sha256":"` + hex.EncodeToString(long[:]) + `","start":"` + strings.Repeat("x", 1000) + `"}}}}`}
	if diff := cmp.Diff(want, s.recorded(t)); diff != "" {
		t.Errorf("wrong event (-want +got):\n%s", diff)
	}
}

// TestConcurrent holds that recording makes nobody fail who would have waited:
// on SQLite a transaction that reads first and writes later does.
func TestConcurrent(t *testing.T) {
	s := openShop(t, &gorm.Config{})
	const writers, writes = 8, 25
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := range writes {
				err = errors.Join(err, s.Model(&Order{ID: 1}).Update("quantity", gorm.Expr("quantity + ?", 1)).Error,
					s.Exec("UPDATE tags SET name = ? WHERE id = 1", fmt.Sprint(w, i)).Error)
			}
			failed <- err
		}()
	}
	for range writers {
		must(t, <-failed)
	}
	quantity := 1
	for _, e := range s.events(t) {
		if e.Get("content_type") != "orders" {
			continue
		}
		want := fmt.Sprintf(`{"quantity":{"old":%d,"new":%d}}`, quantity, quantity+1)
		if got := e.Get("changes"); got != want {
			t.Fatalf("got %s, want %s: each change from what it really was", got, want)
		}
		quantity++
	}
	if want := 1 + writers*writes; quantity != want {
		t.Errorf("got events up to the quantity %d, want %d", quantity, want)
	}
}

// TestManyRows changes more rows than one query looks for.
func TestManyRows(t *testing.T) {
	s := openShop(t, &gorm.Config{})
	var lines []Line
	for i := range 1000 {
		lines = append(lines, Line{OrderID: uint(i), SKU: "X", Count: 1})
	}
	must(t, s.CreateInBatches(lines, 300).Error)
	must(t, s.Model(&Line{}).Where("sku = ?", "X").Update("count", 2).Error)
	must(t, s.Exec("DELETE FROM lines WHERE sku = ?", "X").Error)
	count := map[string]int{}
	for _, e := range s.events(t) {
		count[e.Get("action")]++
	}
	if diff := cmp.Diff(map[string]int{"CREATE": 1000, "UPDATE": 1000, "DELETE": 1000}, count); diff != "" {
		t.Errorf("wrong events (-want +got):\n%s", diff)
	}
}
