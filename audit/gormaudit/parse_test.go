package gormaudit

import (
	"strings"
	"testing"
)

// FuzzParseRaw holds that no text of SQL makes us fail, that what is derived is
// part of it, and that no value of it is recorded.
func FuzzParseRaw(f *testing.F) {
	for _, seed := range []string{
		"UPDATE t SET a = ? WHERE b = 'x;y' RETURNING *", "UPDATE OR", "UPDATE OR REPLACE t SET a = 1", "DELETE FROM main.\"t t\" AS x WHERE a IN (SELECT b FROM c WHERE d = $1)",
		"INSERT INTO t (a, [b]) VALUES (1, $$x$$)", "INSERT INTO t (SELECT 1)", "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a FOR UPDATE",
		"CREATE TRIGGER x AFTER UPDATE ON t BEGIN UPDATE u SET a = 1; END; UPDATE v SET b = 2", "-- x\n/* y */ UPDATE", "E'\\'' UPDATE", "$a$", "?1 @ : $", "UPDATE t SET a='", ";;",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, sql string, sqlite bool) {
		dialect := "postgres"
		if sqlite {
			dialect = "sqlite"
		}
		if w := parseRaw(sql, dialect, []any{1, "two"}); w != nil {
			if !strings.Contains(sql, w.from) {
				t.Errorf("got the table %q, which is not in %q", w.from, sql)
			}
			if w.action == "" {
				t.Errorf("got no action of %q", sql)
			}
		}
		for _, token := range tokens(redacted(sql, dialect), dialect) {
			if token.kind == text {
				t.Errorf("got the value %s in what is recorded of %q", token.text, sql)
			}
		}
	})
}
