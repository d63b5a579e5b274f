package sqllint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditadmin/auditadmin/internal/sqllint"
)

func TestLint(t *testing.T) {
	tests := []struct {
		rules string // those that find something, in their order
		sql   string
	}{
		// ctid
		{"ctid", "SELECT ctid FROM meta"},
		{"ctid", `SELECT m."ctid" FROM meta m`},
		{"ctid", "DELETE FROM audit_log WHERE id < $1 AND (tableoid, ctid) IN (SELECT tableoid, ctid FROM audit_log WHERE id < $1 LIMIT 100)"},
		{"", "SELECT 'ctid', $$ctid$$, $x$ ctid $x$, E'\\'ctid' FROM meta -- ctid\n/* ctid /* ctid */ ctid */"},
		{"", "SELECT ctids, myctid, CTID_ FROM meta"},

		// LATERAL
		{"lateral", "SELECT * FROM account a, LATERAL (SELECT * FROM session s WHERE s.account_id = a.id LIMIT 3) s"},
		{"lateral", "SELECT * FROM account a LEFT JOIN LATERAL (SELECT * FROM (SELECT 1 FETCH FIRST ROW ONLY) x) s ON true"},
		{"", "SELECT * FROM account a, LATERAL (SELECT count(*) FROM session s WHERE s.account_id = a.id) s"},
		{"", "SELECT * FROM account a, LATERAL unnest(a.x) WITH ORDINALITY AS u (v, n) LIMIT 5"},

		// GROUPING SETS
		{"grouping sets", "SELECT role, count(*) FROM account GROUP BY GROUPING SETS ((role), ())"},
		{"grouping sets", "SELECT role FROM account GROUP BY CUBE (role, name)"},
		{"grouping sets", "SELECT role FROM account GROUP BY disabled, rollup(role) ORDER BY 1"},
		{"", "SELECT cube(role) AS rollup FROM account GROUP BY role"},
		{"", "SELECT 'GROUPING SETS' FROM account GROUP BY role HAVING count(*) > 1"},

		// FOR UPDATE
		{"for update", "SELECT * FROM account WHERE name = $1 FOR UPDATE"},
		{"for update", "SELECT * FROM account WHERE id > $1 FOR SHARE"},
		{"for update", "SELECT * FROM account WHERE id = $1 OR id = $2 FOR UPDATE"},
		{"for update", "SELECT * FROM account WHERE id IN ($1) FOR NO KEY UPDATE SKIP LOCKED"},
		{"for update", "SELECT * FROM account a WHERE a.id = a.other FOR UPDATE"},
		{"", "SELECT seq FROM head WHERE id = 1 FOR UPDATE"},
		{"", "SELECT * FROM account a WHERE (a.id = $1) AND disabled = 0 FOR UPDATE NOWAIT"},
		{"", "SELECT * FROM account WHERE $1::bigint = id FOR KEY SHARE"},
		{"", "SELECT * FROM head h, account a WHERE h.id = 1 FOR UPDATE OF h"},
		{"for update", "SELECT * FROM head h, account a WHERE h.id = 1 FOR UPDATE"},
		{"", "SELECT substring(name FROM 2 FOR 3) FROM account"},

		// volatile functions
		{"volatile", "DELETE FROM session WHERE expires_at < now()"},
		{"volatile", "UPDATE meta SET value = '' WHERE random() < 0.1"},
		{"volatile", "UPDATE meta SET value = '' WHERE key IN (SELECT key FROM setting WHERE changed_at < clock_timestamp())"},
		{"volatile", "DELETE FROM session USING (SELECT gen_random_uuid() AS u) r WHERE public_id = r.u"},
		{"volatile", "DELETE FROM session WHERE expires_at < CURRENT_TIMESTAMP"},
		{"volatile", "UPDATE audit_log SET reason = '' WHERE id = nextval('s')"},
		{"volatile", "UPDATE meta SET value = '' WHERE pg_try_advisory_xact_lock(1)"},
		{"volatile", "WITH gone AS (DELETE FROM session WHERE seen_at < pg_catalog.now() RETURNING *) SELECT count(*) FROM gone"},
		{"", "UPDATE session SET seen_at = now(), role = random() WHERE id_hash = $1"},
		{"", "SELECT * FROM session WHERE expires_at < now()"},
		{"", "DELETE FROM session WHERE expires_at < $1 AND user_agent <> 'now()' AND now = 1"},
		{"", "INSERT INTO session (seen_at) VALUES (now())"},

		// events beside what is not distributed
		{"correlated", "SELECT t.id, (SELECT count(*) FROM audit_log WHERE id = t.id) FROM tombstone t"},
		{"correlated", "SELECT * FROM ledger l WHERE l.seq > $1 AND NOT CASE WHEN EXISTS (SELECT 1 FROM (SELECT 1) x, audit_log e WHERE e.id = l.id) THEN TRUE END"},
		{"correlated", "DELETE FROM meta m WHERE EXISTS (SELECT 1 FROM audit_log e WHERE e.id = $1 AND e.reason = m.value)"},
		{"", "SELECT t.id, (SELECT count(*) FROM audit_log WHERE id = $1) FROM tombstone t"},
		{"", "SELECT e.id, (SELECT count(*) FROM login_attempt n WHERE n.id = e.id) FROM audit_log e WHERE e.id > $1"},
		{"", "SELECT e.id, (SELECT d.subject FROM ledger d WHERE d.id = e.id) FROM audit_log e WHERE e.id = $1"},
		{"", "WITH t AS MATERIALIZED (SELECT e.seq FROM tombstone t CROSS JOIN audit_log e WHERE e.id = t.id) SELECT * FROM ledger l WHERE l.seq NOT IN (SELECT seq FROM t)"},
		{"shipped", "SELECT e.id, l.leaf FROM audit_log e LEFT JOIN ledger l ON l.seq = e.seq WHERE e.id >= $1 AND e.id <= $2"},
		{"", "SELECT e.id, l.leaf FROM audit_log e LEFT JOIN ledger l ON l.seq = e.seq WHERE e.id = $1"},
		{"", "SELECT e.id, l.leaf FROM (SELECT * FROM audit_log WHERE id >= $1 LIMIT 256) e LEFT JOIN ledger l ON l.seq = e.seq"},
		{"", "SELECT e.id FROM ledger l JOIN audit_log e ON e.id = l.id WHERE l.seq > $1 AND l.seq <= $2"},

		// bounds: none
		{"bound", "SELECT * FROM audit_log"},
		{"bound", "select * from AUDIT_LOG where action = $1"},
		{"bound", `SELECT * FROM public."audit_log" e WHERE e.seq > $1`},
		{"bound", "SELECT count(*) FROM login_attempt"},
		{"bound", "SELECT * FROM data_export ORDER BY id DESC LIMIT 50"},
		{"bound", "SELECT * FROM system_event WHERE 'id = 1' <> '' -- id = 1"},
		{"bound", "SELECT * FROM ONLY audit_log WHERE valid = 1 AND idx = 2 AND kid = $1"},
		{"bound", "UPDATE system_event SET id = 5"},
		{"bound", "DELETE FROM audit_log WHERE seq = $1"},
		{"bound", "TABLE audit_log"},
		{"bound", "COPY audit_log TO STDOUT"},
		{"bound", "COPY (SELECT * FROM audit_log) TO STDOUT"},
		{"bound", "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM audit_log"},
		{"bound", "DECLARE c CURSOR FOR SELECT * FROM audit_log"},
		{"bound", "CREATE TABLE x (v int); SELECT * FROM audit_log"},
		{"bound", "INSERT INTO x SELECT id FROM audit_log ON CONFLICT (id) DO NOTHING RETURNING id"},

		// bounds: each form
		{"", "SELECT * FROM audit_log WHERE id = $1"},
		{"", "SELECT * FROM audit_log WHERE $1 = id"},
		{"", "SELECT * FROM audit_log WHERE id=-5"},
		{"", "SELECT * FROM audit_log e WHERE e.id < $1 ORDER BY e.id DESC LIMIT 100"},
		{"", "SELECT * FROM audit_log AS e WHERE action = $1 AND (e.id >= $2 AND e.id <= $3 + 1024)"},
		{"", "SELECT * FROM audit_log e WHERE e.id BETWEEN ? AND ? AND action = ?"},
		{"", "SELECT * FROM audit_log WHERE action BETWEEN 'A' AND 'B' AND id BETWEEN $1::bigint AND $2"},
		{"", "SELECT * FROM audit_log WHERE id IN ($1, $2, 3)"},
		{"", "SELECT * FROM audit_log WHERE id = ANY($1) AND id BETWEEN $2 AND $3"},
		{"", "SELECT * FROM audit_log WHERE (id BETWEEN $1 AND $2) OR (id > $3 AND action = 'X')"},
		{"", "SELECT * FROM public.audit_log WHERE audit_log.id > (SELECT value FROM meta WHERE key = 'x')"},
		{"", "SELECT * FROM audit_log WHERE id >= CAST($1 AS bigint) AND CASE WHEN action = 'a' OR seq = 1 THEN true ELSE false END"},
		{"", "SELECT * FROM audit_log WHERE id > greatest($1, $2) << 10"},
		{"", `SELECT * FROM audit_log "e f" WHERE "e f".id > $1 AND action IS NOT DISTINCT FROM $2`},
		{"", "UPDATE system_event SET resolved = 1 WHERE id = $1 AND resolved = 0"},
		{"", "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE id BETWEEN $1 AND $2 LIMIT 100) AND id BETWEEN $1 AND $2"},
		{"", "COPY (SELECT * FROM audit_log WHERE id < $1) TO STDOUT"},
		{"", "COPY audit_log (id, seq) FROM STDIN"},
		{"", "INSERT INTO audit_log (id) VALUES ($1) ON CONFLICT (id) DO NOTHING"},
		{"", "SELECT * FROM audit_log_2026_03"},
		{"", "TRUNCATE audit_log; CREATE VIEW v AS SELECT * FROM audit_log; ALTER TABLE audit_log DETACH PARTITION p"},

		// bounds: what looks like one
		{"bound", "SELECT * FROM audit_log WHERE id = $1 OR action = 'X'"},
		{"bound", "SELECT * FROM audit_log WHERE NOT id = $1"},
		{"bound", "SELECT * FROM audit_log WHERE NOT (id BETWEEN $1 AND $2)"},
		{"bound", "SELECT * FROM audit_log WHERE id <> $1"},
		{"bound", "SELECT * FROM audit_log WHERE id = ANY($1)"},
		{"bound", "SELECT * FROM audit_log WHERE id <> ALL($1)"},
		{"bound", "SELECT * FROM audit_log WHERE id NOT IN ($1)"},
		{"bound", "SELECT * FROM audit_log WHERE (id, seq) < ($1, $2)"},
		{"bound", "SELECT * FROM audit_log WHERE id % 10 = 3"},
		{"bound", "SELECT * FROM audit_log WHERE id::text = $1"},
		{"bound", "SELECT * FROM audit_log WHERE abs(id) = $1"},
		{"bound", "SELECT * FROM audit_log WHERE 1 + id > $1 + id"},
		{"bound", "SELECT * FROM audit_log e WHERE e.id = e.seq"},
		{"bound", "SELECT * FROM audit_log WHERE id = seq"},
		{"bound", "SELECT * FROM audit_log e WHERE e.request_id = 'x' AND e.user_id = $1"},
		{"bound", "SELECT * FROM (SELECT * FROM audit_log) e WHERE e.id = $1"},
		{"bound", "SELECT CASE WHEN id = 1 THEN 2 END FROM audit_log"},
		{"bound", "SELECT count(*) FILTER (WHERE id = $1) FROM audit_log"},
		{"bound", "SELECT * FROM audit_log HAVING id > 5"},
		{"bound", "SELECT id FROM audit_log WHERE id = $1 UNION ALL SELECT id FROM login_attempt"},
		{"bound", "WITH e AS (SELECT * FROM audit_log) SELECT * FROM e WHERE id = $1"},
		{"bound", "SELECT (SELECT count(*) FROM audit_log) FROM meta WHERE id = 1"},
		{"correlated bound", "SELECT * FROM meta WHERE EXISTS (SELECT 1 FROM audit_log WHERE action = meta.value)"},
		{"bound", "SELECT * FROM audit_log WHERE id IN (SELECT id FROM ledger)"},

		// bounds: joins
		{"", "SELECT e.id FROM ledger l JOIN audit_log e ON e.id = l.id AND e.seq = l.seq WHERE l.seq > $1 AND l.seq <= $2"},
		{"", "SELECT e.id FROM ledger l, audit_log e WHERE l.id = e.id AND l.seq BETWEEN $1 AND $2"},
		{"shipped bound", "SELECT e.id FROM ledger l JOIN audit_log e ON e.id = l.id AND e.seq = l.seq WHERE l.kind = $1"},
		{"bound", "SELECT e.id FROM ledger l JOIN audit_log e ON e.seq = l.seq WHERE l.seq > $1"},
		{"", "SELECT l.seq, e.id FROM ledger l LEFT JOIN audit_log e ON e.id = l.id WHERE l.seq > $1"},
		{"bound", "SELECT * FROM audit_log e LEFT JOIN meta m ON m.id = e.id AND e.id = $1"},
		{"", "SELECT * FROM audit_log e LEFT JOIN meta m ON m.id = e.id WHERE e.id = $1"},
		{"", "SELECT * FROM meta m RIGHT JOIN audit_log e ON m.key = e.reason JOIN tombstone t ON e.id = t.id"},
		{"bound", "SELECT * FROM meta m RIGHT JOIN audit_log e ON m.id = e.id"},
		{"bound", "SELECT * FROM meta m FULL OUTER JOIN audit_log e ON m.id = e.id"},
		{"", "SELECT * FROM unnest($1::bigint[]) WITH ORDINALITY AS j (value, key) JOIN audit_log e ON e.id BETWEEN j.value AND j.value + $2"},
		{"", "SELECT * FROM audit_log a JOIN system_event b ON a.id = b.id WHERE b.id > $1"},
		{"bound bound", "SELECT * FROM audit_log a JOIN system_event b ON a.id = b.id"},
		{"bound", "SELECT * FROM audit_log a CROSS JOIN system_event b WHERE a.id = $1"},
		{"bound", "SELECT * FROM audit_log a JOIN audit_log b ON b.action = a.action WHERE a.id = $1"},
		{"", "SELECT * FROM audit_log a JOIN tombstone t USING (kind, id)"},
		{"bound", "SELECT * FROM audit_log a JOIN tombstone t USING (seq)"},
		{"", "SELECT * FROM (audit_log a JOIN tombstone t ON t.id = a.id) JOIN meta m ON left(m.key, 1) = a.action"},
		{"", "WITH page AS (SELECT id FROM audit_log WHERE id < $1 LIMIT 100) SELECT e.* FROM page JOIN audit_log e ON e.id = page.id"},
		{"bound", "WITH page AS (SELECT id FROM ledger WHERE kind = 'x') SELECT e.* FROM page JOIN audit_log e ON e.id = page.id"},
		{"", "SELECT * FROM (SELECT id FROM ledger ORDER BY seq DESC LIMIT 10) l JOIN audit_log e ON e.id = l.id"},
		{"correlated", "SELECT * FROM ledger l WHERE l.seq > $1 AND EXISTS (SELECT 1 FROM audit_log WHERE id = l.id AND seq = l.seq)"},
		{"", "SELECT * FROM audit_log e WHERE e.id IN (SELECT l.id FROM ledger l WHERE l.seq > $1)"},
		{"", "UPDATE audit_log e SET reason = '' FROM tombstone t WHERE t.id = e.id AND t.kind = 'audit_log'"},
		{"", "DELETE FROM audit_log e USING unnest($1::bigint[]) AS gone (id) WHERE e.id = gone.id"},
		{"", "WITH RECURSIVE audit_log (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM audit_log) SELECT * FROM audit_log"},

		// the ends of the key
		{"", "SELECT max(id) FROM audit_log"},
		{"", "SELECT min(e.id), coalesce(max(e.id), 0) + 1 AS last FROM audit_log e"},
		{"", "SELECT coalesce((SELECT max(id) FROM audit_log), 0), CAST(1 AS bigint)"},
		{"bound", "SELECT max(seq) FROM audit_log"},
		{"bound", "SELECT max(id), count(*) FROM audit_log"},
		{"bound", "SELECT max(id), action FROM audit_log GROUP BY action"},
		{"bound", "SELECT max(id) FROM audit_log WHERE action = 'X'"},
		{"bound", "SELECT max(id % 5) FROM audit_log"},

		// what is not judged, and what cannot be
		{"", ""}, {"", ";;"}, {"", "-- nothing"}, {"", "BEGIN; SET x = 1; COMMIT; END"}, {"", "SELECT 1"}, {"", "VALUES (1)"}, {"", "(SELECT 1) UNION (SELECT 2) ORDER BY 1"},
		{"unread", "MERGE INTO audit_log USING x ON true WHEN MATCHED THEN DELETE"},
		{"unread", "SELECT 'open"}, {"unread", `SELECT "open`}, {"unread", "SELECT /* open"}, {"unread", "SELECT $a$ open $b$"}, {"unread", "SELECT (1"}, {"unread", "SELECT 1)"},
		{"unread", "SELECT CASE WHEN true THEN 1"}, {"unread", "SELECT (1]"}, {"unread", "nonsense"}, {"unread", strings.Repeat("(", 1000)},

		// several at once
		{"ctid lateral bound for update", "SELECT ctid FROM audit_log e, LATERAL (SELECT 1 LIMIT 1) x FOR UPDATE"},
	}
	for _, test := range tests {
		var got []string
		faults := sqllint.Lint(test.sql)
		for _, f := range faults {
			got = append(got, f.Rule)
			if f.Statement != test.sql || f.Detail == "" || !strings.HasPrefix(f.String(), f.Rule+": ") {
				t.Errorf("%s: a fault that says little: %q", test.sql, f)
			}
		}
		if strings.Join(got, " ") != test.rules {
			t.Errorf("%s\ngot  %v\nwant %s", test.sql, faults, test.rules)
		}
	}
}

func TestCheck(t *testing.T) {
	wrong, other := "SELECT count(*) FROM audit_log", "SELECT max(seq) FROM audit_log"
	statements := []string{wrong, "SELECT 1", wrong, other}
	tests := []struct {
		name   string
		exempt []sqllint.Exemption
		want   []string // rule and statement
	}{
		{"none", nil, []string{"bound " + wrong, "bound " + other}},
		{"one, written otherwise", []sqllint.Exemption{{"select COUNT ( * ) -- all\n FROM audit_log", "an estimate comes"}}, []string{"bound " + other}},
		{"without a reason", []sqllint.Exemption{{wrong, " "}, {other, "rare"}}, []string{"exemption " + wrong}},
		{"not needed", []sqllint.Exemption{{wrong, "rare"}, {other, "rare"}, {"SELECT 1", "rare"}, {"SELECT 2", "rare"}}, []string{"exemption SELECT 1", "exemption SELECT 2"}},
		{"another text", []sqllint.Exemption{{"SELECT count(*) FROM audit_log WHERE 'a' = 'A'", "x"}}, []string{"bound " + wrong, "bound " + other, "exemption SELECT count(*) FROM audit_log WHERE 'a' = 'A'"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, f := range sqllint.Check(statements, test.exempt) {
				got = append(got, f.Rule+" "+f.Statement)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wrong faults (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzLint holds that nothing a statement says makes the linter fail, and that a
// text in quotes is never taken for a part of the statement.
func FuzzLint(f *testing.F) {
	for _, s := range []string{"SELECT * FROM audit_log e JOIN ledger l ON e.id = l.id WHERE l.seq > $1 AND (e.id IN (SELECT 1) OR e.id BETWEEN 1 AND 2) FOR UPDATE OF e",
		"WITH x (a) AS (DELETE FROM audit_log USING y WHERE id = ANY($1) RETURNING *) INSERT INTO z SELECT CASE WHEN a THEN 1 END FROM x ON CONFLICT DO NOTHING",
		"SELECT $a$'$a$, E'\\'', \"q\"\"q\" /* /* */ */ -- \n", "UPDATE a SET b = 1 FROM c LEFT JOIN d USING (id) WHERE a.id = now()", "((((", "SELECT a.b.c.d.id = - 1 FROM", "COPY x TO", "EXPLAIN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		faults := sqllint.Lint(s)
		if again := sqllint.Lint(s); !cmp.Equal(faults, again) {
			t.Errorf("got %v, and then %v", faults, again)
		}
		// As a text in quotes it is harmless, whatever it says.
		if !strings.Contains(s, "\x00") {
			if faults := sqllint.Lint("SELECT '" + strings.ReplaceAll(s, "'", "''") + "' FROM audit_log WHERE id = 1"); len(faults) > 0 {
				t.Errorf("in quotes: %v", faults)
			}
		}
	})
}
