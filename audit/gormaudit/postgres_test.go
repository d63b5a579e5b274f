package gormaudit_test

import (
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/auditadmin/auditadmin/audit/gormaudit"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestPostgres tries the ways of GORM against a real PostgreSQL.
func TestPostgres(t *testing.T) {
	server, url := pgtest.Start(t)
	for _, w := range ways {
		if w.by != "gormaudit" || w.name == "Exec of two statements" { // which its driver refuses
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			if _, err := server.Exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
				t.Fatal(err)
			}
			s := newShop(t, postgres.Open(url), &gorm.Config{})
			must(t, s.Use(gormaudit.New(s.recorder)))
			// PostgreSQL has no number of a row by which to find what was inserted.
			s.try(t, w, w.raw || w.name == "Exec INSERT")
		})
	}
	t.Run("values", func(t *testing.T) {
		s := newShop(t, postgres.Open(url+"&search_path=pg_temp,public"), &gorm.Config{})
		must(t, s.plain("DROP TABLE IF EXISTS v; CREATE TABLE public.v (id bigint PRIMARY KEY, n numeric, j jsonb, b bytea, u uuid, t text)"))
		must(t, s.Use(gormaudit.New(s.recorder)))
		must(t, s.Table("v").Create(map[string]any{"id": 1, "n": "12.50", "j": `{"a":1}`, "b": []byte{0, 255}, "u": "0b0a3e6c-5f1c-4a49-9e56-4a4b6d0b8a11", "t": "x"}).Error)
		want := `CREATE v 1 {"id":{"old":null,"new":1},"n":{"old":null,"new":12.50},"j":{"old":null,"new":{"a": 1}},"b":{"old":null,"new":{"$blob":{"length":2,"sha256":"06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8"}}},` +
			`"u":{"old":null,"new":"0b0a3e6c-5f1c-4a49-9e56-4a4b6d0b8a11"},"t":{"old":null,"new":"x"}}`
		if got := s.recorded(t); len(got) != 1 || got[0] != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}
