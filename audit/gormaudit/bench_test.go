package gormaudit_test

import (
	"path/filepath"
	"testing"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/auditadmin/auditadmin/audit/gormaudit"
	"github.com/auditadmin/auditadmin/audit/sqltrack"
)

// BenchmarkWrite says what recording costs a write: each of them without it, by
// the plugin and by triggers. Nothing waits for the disk (synchronous=NORMAL),
// which would hide the cost of all three.
func BenchmarkWrite(b *testing.B) {
	writes := []struct {
		name string
		do   func(s *shop, i int) error
	}{
		{"create", func(s *shop, i int) error { return s.Create(&Order{Quantity: i}).Error }},
		{"update", func(s *shop, i int) error { return s.Model(&Order{ID: 1}).Update("quantity", i+100).Error }},
		{"update of 100 rows", func(s *shop, i int) error { return s.Model(&Tag{}).Where("id <= 100").UpdateColumn("name", i).Error }},
	}
	triggers := func(s *shop) error {
		_, err := sqltrack.Apply(b.Context(), s.raw, sqltrack.Options{Dialect: sqltrack.SQLite})
		return err
	}
	recorders := []struct {
		name    string
		prepare bool
		begin   func(s *shop) error
	}{
		{"unrecorded", false, func(*shop) error { return nil }},
		{"gormaudit", false, func(s *shop) error { return s.Use(gormaudit.New(s.recorder)) }},
		{"sqltrack", false, triggers},
		{"sqltrack and PrepareStmt", true, triggers},
	}
	for _, w := range writes {
		for _, r := range recorders {
			b.Run(w.name+"/"+r.name, func(b *testing.B) {
				s := newShop(b, sqlite.Open(file(filepath.Join(b.TempDir(), "shop.db"))+"&_synchronous=NORMAL"), &gorm.Config{PrepareStmt: r.prepare})
				must(b, s.plain("INSERT INTO tags (name) WITH RECURSIVE n(i) AS (VALUES (3) UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i FROM n"))
				must(b, r.begin(s))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					must(b, w.do(s, i))
				}
			})
		}
	}
}
