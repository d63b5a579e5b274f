package sqllint_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/internal/pgtest"
	"github.com/auditadmin/auditadmin/internal/sqllint"
)

// TestBoundsPrune holds the list of bounds against PostgreSQL itself: with a plan
// made for any value, what the linter takes for a bound on id spares partitions, and
// what it does not take for one spares none.
func TestBoundsPrune(t *testing.T) {
	_, url := pgtest.Start(t)
	db := pgtest.Open(t, url+"&default_query_exec_mode=simple_protocol")
	db.SetMaxOpenConns(1)
	execute := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	const months = 10
	execute("CREATE TABLE audit_log (id bigint PRIMARY KEY, seq bigint, action text) PARTITION BY RANGE (id)")
	execute("CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT")
	execute("CREATE TABLE meta (key text, value bigint)")
	for i := range months {
		execute(fmt.Sprintf("CREATE TABLE audit_log_%d PARTITION OF audit_log FOR VALUES FROM (%d) TO (%d)", i, i*100, i*100+100))
	}
	execute("SET plan_cache_mode = force_generic_plan")
	execute("SET enable_partition_pruning = on")
	scans := regexp.MustCompile(`\bon audit_log_(\d+|default)\b`)
	for _, where := range []string{
		"id = $1", "$1 = id", "id < $1", "id >= $1 AND id < $2", "id BETWEEN $1 AND $2", "id IN ($1, $2)", "(id = $1) OR (id BETWEEN $1 AND $2 AND action = 'x')",
		"id = ANY(ARRAY[$1, $2]::bigint[]) AND id BETWEEN $1 AND $2", "id = (SELECT value FROM meta LIMIT 1)", "id > greatest($1, $2) - 5", "action = 'x' AND (seq = 1 AND id = $1)",

		"action = 'x'", "seq = $1", "id = $1 OR action = 'x'", "NOT id = $1", "id <> $1", "id % 10 = $1", "id::text = $1::text", "abs(id) = $1", "id = seq",
		"(id, seq) < ($1, $2)", "id NOT IN ($1, $2)", "id <> ALL(ARRAY[$1, $2]::bigint[])", "id = ANY($3)",
	} {
		query := "SELECT * FROM audit_log WHERE " + where
		bounded := len(sqllint.Lint(query)) == 0
		execute("PREPARE q (bigint, bigint, bigint[]) AS " + query)
		rows, err := db.Query("EXPLAIN EXECUTE q (150, 160, '{150}')")
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		var plan strings.Builder
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(line + "\n")
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		execute("DEALLOCATE q")
		// What a query finds out while it runs is spared then.
		spared := len(scans.FindAllString(plan.String(), -1)) <= months || strings.Contains(where, "SELECT")
		if bounded != spared {
			t.Errorf("%s: the linter says bounded %v, PostgreSQL spares %v:\n%s", where, bounded, spared, plan.String())
		}
	}
}
