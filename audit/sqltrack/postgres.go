package sqltrack

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

//go:embed postgres.sql
var postgresSQL string

// postgresReport reads what the script says it has done.
const postgresReport = "SELECT name, state, reason FROM pg_temp.auditadmin_report ORDER BY name"

// Script returns what Apply runs on PostgreSQL, or Remove, as one text for psql:
// it looks at the schema by itself, does everything in one transaction, and
// prints what it did.
func Script(o Options, remove bool) string {
	return "BEGIN;\n" + strings.Join(postgresScript(o, remove), ";\n\n") + ";\n\n" + postgresReport + ";\nCOMMIT;\n"
}

// postgresScript returns the statements, each without its semicolon.
func postgresScript(o Options, remove bool) []string {
	var skip, tables []string
	for _, s := range o.Skip {
		begin, open := strings.CutSuffix(strings.ToLower(s), "*")
		s = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(begin)
		if open {
			s += "%"
		}
		skip = append(skip, s)
	}
	for _, s := range o.Tables {
		tables = append(tables, strings.ToLower(s))
	}
	text := strings.NewReplacer(
		"@prefix@", literal(o.Prefix),
		"@tables@", array(tables), "@skip@", array(skip),
		"@reprColumns@", array(reprColumns), "@remove@", fmt.Sprint(remove),
		"@maxText@", fmt.Sprint(maxText), "@maxDocument@", fmt.Sprint(maxDocument), "@textStart@", fmt.Sprint(textStart), "@blobStart@", fmt.Sprint(blobStart), "@maxRepr@", fmt.Sprint(maxRepr),
	).Replace(postgresSQL)
	all := []string{audit.InboxSchema(Postgres)}
	for _, s := range strings.Split(text, "\n\n") {
		all = append(all, strings.TrimSuffix(strings.TrimSpace(s), ";"))
	}
	return all
}

// array writes texts as an array of PostgreSQL.
func array(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = literal(s)
	}
	return "ARRAY[" + strings.Join(quoted, ", ") + "]::text[]"
}

func (p *Plan) has(table string) bool {
	return slices.ContainsFunc(p.Tables, func(t Table) bool { return strings.EqualFold(t.Name, table) })
}
