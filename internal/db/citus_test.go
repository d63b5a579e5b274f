package db

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// readyTables are the tables of events as far as their form matters, some with more
// than the least that they have to have and is allowed.
const readyTables = `
	CREATE TABLE audit_log (id bigint PRIMARY KEY, seq bigint NOT NULL, action text COLLATE "C", double bigint GENERATED ALWAYS AS (seq * 2) STORED) PARTITION BY RANGE (id);
	CREATE TABLE audit_log_1 PARTITION OF audit_log FOR VALUES FROM (0) TO (1000);
	CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
	CREATE INDEX ON audit_log (action, id);
	CREATE UNIQUE INDEX ON audit_log (seq, id);
	CREATE TABLE login_attempt (id bigint PRIMARY KEY, CHECK (id > 0)) PARTITION BY RANGE (id);
	CREATE TABLE note (audit_id bigint REFERENCES audit_log, text text);
	CREATE TABLE data_export (id bigint PRIMARY KEY, name text NOT NULL DEFAULT '') PARTITION BY RANGE (id);
	CREATE TABLE data_export_default PARTITION OF data_export DEFAULT;
	CREATE TABLE system_event (id bigint PRIMARY KEY, at timestamptz DEFAULT now()) PARTITION BY RANGE (id);`

// TestReadiness prints each fault that a table can have, and none of one that has
// none.
func TestReadiness(t *testing.T) {
	s := pgtest.New(t)
	function := "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
	tests := []struct {
		name, sql string
		want      []string
	}{
		{"ready", "", nil},
		{"no table", "DROP TABLE system_event", []string{"system_event: there is no such table"}},
		{"a plain table", "DROP TABLE system_event; CREATE TABLE system_event (id bigint PRIMARY KEY)", []string{"system_event: is no partitioned table"}},
		{"no id", "DROP TABLE system_event; CREATE TABLE system_event (n bigint PRIMARY KEY) PARTITION BY RANGE (n)",
			[]string{"system_event: has no column id of type bigint", "system_event: is not partitioned by range of id alone", "system_event: the primary key is not id alone"}},
		{"another type", "DROP TABLE system_event; CREATE TABLE system_event (id numeric PRIMARY KEY) PARTITION BY RANGE (id)", []string{"system_event: has no column id of type bigint"}},
		{"partitioned by time", "DROP TABLE system_event; CREATE TABLE system_event (id bigint, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
			[]string{"system_event: is not partitioned by range of id alone", "system_event: the primary key is not id alone"}},
		{"partitioned by hash", "DROP TABLE system_event; CREATE TABLE system_event (id bigint PRIMARY KEY) PARTITION BY HASH (id)", []string{"system_event: is not partitioned by range of id alone"}},
		{"no key", "DROP TABLE system_event; CREATE TABLE system_event (id bigint) PARTITION BY RANGE (id)", []string{"system_event: the primary key is not id alone"}},
		{"unique in a partition", "CREATE UNIQUE INDEX once ON audit_log_1 (seq); CREATE UNIQUE INDEX twice ON audit_log_1 (seq) INCLUDE (id); CREATE UNIQUE INDEX folded ON audit_log_1 (lower(action), id); CREATE UNIQUE INDEX part ON audit_log_1 ((id + 1)) WHERE seq > 0",
			[]string{"audit_log, partition audit_log_1: unique index once lacks id", "audit_log, partition audit_log_1: unique index part lacks id", "audit_log, partition audit_log_1: unique index twice lacks id"}},
		{"exclusion", "ALTER TABLE audit_log_1 ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =)", []string{"audit_log, partition audit_log_1: exclusion constraint apart"}},
		{"triggers", function + "CREATE TRIGGER guard BEFORE DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION f(); CREATE TRIGGER whole AFTER TRUNCATE ON login_attempt EXECUTE FUNCTION f(); CREATE TRIGGER own AFTER INSERT ON data_export_default FOR EACH ROW EXECUTE FUNCTION f()",
			[]string{"audit_log: trigger guard", "data_export, partition data_export_default: trigger own", "login_attempt: trigger whole"}},
		{"foreign keys", "CREATE TABLE user_ (id bigint PRIMARY KEY); ALTER TABLE audit_log ADD CONSTRAINT who FOREIGN KEY (seq) REFERENCES user_; ALTER TABLE login_attempt ADD CONSTRAINT same FOREIGN KEY (id) REFERENCES audit_log;",
			[]string{"audit_log: foreign key who lacks id"}},
		{"foreign keys of others", "ALTER TABLE system_event ADD v bigint, ADD UNIQUE (v, id); CREATE TABLE a (v bigint REFERENCES audit_log ON DELETE SET NULL); CREATE TABLE b (v bigint CONSTRAINT c REFERENCES system_event ON UPDATE CASCADE); CREATE TABLE d (v bigint, i bigint, FOREIGN KEY (v, i) REFERENCES system_event (v, id) ON DELETE CASCADE)",
			[]string{"audit_log: foreign key a_v_fkey of a sets what refers to id", "system_event: foreign key c of b sets what refers to id"}},
		{"identity and sequences", "ALTER TABLE data_export ADD s bigserial; CREATE SEQUENCE n; ALTER TABLE audit_log ALTER seq SET DEFAULT 1 + nextval('n'); DROP TABLE login_attempt; CREATE TABLE login_attempt (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY) PARTITION BY RANGE (id)",
			[]string{"audit_log, partition audit_log_1: sequence n for seq", "audit_log, partition audit_log_default: sequence n for seq", "audit_log: sequence n for seq",
				"data_export, partition data_export_default: sequence data_export_s_seq for s", "data_export: sequence data_export_s_seq for s", "login_attempt: identity on id"}},
		{"partitions of partitions", "CREATE TABLE system_event_1 PARTITION OF system_event FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (id); CREATE TABLE system_event_2 PARTITION OF system_event_1 DEFAULT",
			[]string{"system_event, partition system_event_1: is partitioned itself"}},
		{"a foreign partition", "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; DROP TABLE system_event; CREATE TABLE system_event (id bigint) PARTITION BY RANGE (id); CREATE FOREIGN TABLE far PARTITION OF system_event DEFAULT SERVER s",
			[]string{"system_event, partition far: is a foreign table", "system_event: the primary key is not id alone"}},
		{"another storage", "CREATE ACCESS METHOD columnar TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE old PARTITION OF system_event FOR VALUES FROM (0) TO (9) USING columnar",
			[]string{"system_event, partition old: is stored as columnar, not as heap"}},
		{"inheritance", "DROP TABLE system_event; CREATE TABLE base (id bigint); CREATE TABLE system_event (PRIMARY KEY (id)) INHERITS (base); CREATE TABLE sub () INHERITS (system_event)",
			[]string{"system_event: inherits from base", "system_event: is no partitioned table", "system_event: sub inherits from it"}},
		{"a part of another table", "CREATE TABLE everything (LIKE system_event) PARTITION BY RANGE (id); ALTER TABLE everything ATTACH PARTITION system_event DEFAULT", []string{"system_event: is a partition of everything"}},
		{"policies", "CREATE POLICY own ON audit_log USING (action <> 'X'); CREATE POLICY other ON audit_log USING (seq IN (SELECT audit_id FROM note))", []string{"audit_log: policy other asks another table"}},
		{"generated id", "DROP TABLE system_event; CREATE TABLE system_event (n bigint, id bigint GENERATED ALWAYS AS (n) STORED)",
			[]string{"system_event: id is generated", "system_event: is no partitioned table", "system_event: the primary key is not id alone"}},
		{"a namesake elsewhere", "CREATE SCHEMA other; CREATE TABLE other.audit_log (id serial UNIQUE)", nil},
	}
	s.Template(t, "events", func(url string) {
		if _, err := pgtest.Open(t, url).Exec(readyTables); err != nil {
			t.Fatal(err)
		}
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := pgtest.Open(t, s.Database(t, "events"))
			if _, err := conn.Exec(test.sql); err != nil {
				t.Fatal(err)
			}
			got, err := Readiness(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wrong lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadinessOfEveryKind holds that no kind of event is forgotten.
func TestReadinessOfEveryKind(t *testing.T) {
	empty, _ := pgtest.Start(t)
	var want []string
	for _, kind := range audit.Kinds() {
		want = append(want, fmt.Sprintf("%s: there is no such table", kind))
	}
	got, err := Readiness(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	less := func(a, b string) bool { return strings.Compare(a, b) < 0 }
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(less)); diff != "" {
		t.Errorf("wrong lines (-want +got):\n%s", diff)
	}
}
