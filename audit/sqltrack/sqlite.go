package sqltrack

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// Bounds of what a trigger writes of one value.
const (
	maxText     = 10000 // characters of a text that is recorded as it is
	textStart   = 1000  // characters that are recorded of a longer one
	maxDocument = 50000 // characters of a JSON document that is recorded as it is, on PostgreSQL
	blobStart   = 32    // bytes that are recorded of a blob
	maxRepr     = 200   // characters of object_repr
)

// sqliteTables are what triggers need besides the inbox. A trigger of the main
// schema cannot see a temporary table, and a function of the connection would
// break every writer that does not have it; a table is seen by all, and by
// nobody else before the commit, because SQLite has one writer at a time.
var sqliteTables = []struct{ name, schema string }{
	{audit.InboxTable, audit.InboxSchema(SQLite)},
	{"auditadmin_context", `CREATE TABLE auditadmin_context (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    fields TEXT NOT NULL CHECK (json_type(fields) = 'object')  -- of every event until the row is deleted: {"username":"alice"}
)`},
	{"auditadmin_replaced", `CREATE TABLE auditadmin_replaced (
    content_type TEXT NOT NULL,
    object_id    TEXT NOT NULL,
    event        TEXT NOT NULL,  -- what is recorded if an INSERT OR REPLACE takes the row away
    PRIMARY KEY (content_type, object_id)
) WITHOUT ROWID`},
}

// sqliteTable is what a trigger has to know of a table.
type sqliteTable struct {
	name    string
	columns []sqliteColumn
	key     []string   // the columns of the primary key, or the row's number
	unique  [][]string // the columns of each other unique key
}

type sqliteColumn struct {
	name    string
	boolean bool
}

// trigger is one statement, by the name that it creates.
type trigger struct{ name, table, statement string }

// triggerPrefix begins the names of all our triggers.
const triggerPrefix = "auditadmin:"

func planSQLite(ctx context.Context, db audit.Queryer, o Options, remove bool) (*Plan, error) {
	existing, err := existingTriggers(ctx, db)
	if err != nil {
		return nil, err
	}
	tables, skipped, err := sqliteSchema(ctx, db, o)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	var wanted []trigger
	if !remove {
		if err := p.addTables(ctx, db); err != nil {
			return nil, err
		}
		for _, t := range tables {
			wanted = append(wanted, t.triggers(o.Prefix+t.name)...)
		}
	}
	had, dropped, created := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, e := range existing {
		if !o.names(e.table) {
			continue
		}
		had[e.table] = true
		if !slices.Contains(wanted, e) {
			p.Statements = append(p.Statements, "DROP TRIGGER "+identifier(e.name))
			dropped[e.table] = true
		}
	}
	for _, w := range wanted {
		if !slices.Contains(existing, w) {
			p.Statements = append(p.Statements, w.statement)
			created[w.table] = true
		}
	}
	for _, t := range tables {
		state := Tracked
		switch {
		case remove && !had[t.name]:
			continue
		case remove:
			state = Removed
		case !had[t.name]:
			state = Added
		case dropped[t.name] || created[t.name]:
			state = Changed
		}
		p.Tables = append(p.Tables, Table{Name: t.name, State: state})
	}
	for _, t := range skipped {
		if had[t.Name] {
			t.State = Removed
		} else if remove {
			continue
		}
		p.Tables = append(p.Tables, t)
	}
	return p, nil
}

// addTables plans the tables that are missing.
func (p *Plan) addTables(ctx context.Context, db audit.Queryer) error {
	have, err := texts(ctx, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'auditadmin\\_%' ESCAPE '\\'")
	if err != nil {
		return fmt.Errorf("look for the inbox: %w", err)
	}
	for _, t := range sqliteTables {
		if !slices.Contains(have, t.name) {
			p.Statements = append(p.Statements, t.schema)
		}
	}
	return nil
}

func existingTriggers(ctx context.Context, db audit.Queryer) ([]trigger, error) {
	rows, err := db.QueryContext(ctx, "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length($1)) = $1 ORDER BY tbl_name, name", triggerPrefix)
	if err != nil {
		return nil, fmt.Errorf("read the triggers: %w", err)
	}
	defer rows.Close()
	var all []trigger
	for rows.Next() {
		var t trigger
		if err := rows.Scan(&t.name, &t.table, &t.statement); err != nil {
			return nil, fmt.Errorf("read the triggers: %w", err)
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// sqliteSchema reads the tables that the options name, and says why others are
// skipped.
func sqliteSchema(ctx context.Context, db audit.Queryer, o Options) (tables []sqliteTable, skipped []Table, err error) {
	names, err := pairs(ctx, db, "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'view' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'auditadmin\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return nil, nil, fmt.Errorf("read the tables: %w", err)
	}
	for _, want := range o.Tables {
		if !slices.ContainsFunc(names, func(p [2]string) bool { return strings.EqualFold(p[0], want) }) {
			return nil, nil, fmt.Errorf("there is no table %s", want)
		}
	}
	for _, n := range names {
		name, kind := n[0], n[1]
		if !o.names(name) {
			continue
		}
		reason := o.skips(name)
		if kind != "table" && reason == "" {
			reason = "a " + kind + " table has no triggers"
		}
		if reason != "" {
			skipped = append(skipped, Table{Name: name, State: Skipped, Reason: reason})
			continue
		}
		t, err := readSQLiteTable(ctx, db, name)
		if err != nil {
			return nil, nil, fmt.Errorf("read the table %s: %w", name, err)
		}
		tables = append(tables, t)
	}
	return tables, skipped, nil
}

func readSQLiteTable(ctx context.Context, db audit.Queryer, name string) (t sqliteTable, err error) {
	t.name = name
	columns, err := pairs(ctx, db, "SELECT name, type FROM pragma_table_xinfo($1) WHERE hidden = 0 ORDER BY cid", name)
	if err != nil {
		return t, err
	}
	for _, c := range columns {
		t.columns = append(t.columns, sqliteColumn{name: c[0], boolean: strings.HasPrefix(strings.ToLower(c[1]), "bool")})
	}
	if t.key, err = texts(ctx, db, "SELECT name FROM pragma_table_xinfo($1) WHERE pk > 0 ORDER BY name", name); err != nil {
		return t, err
	}
	if len(t.key) == 0 {
		t.key = []string{t.rowid()}
	}
	// What is unique only where a condition holds, or by an expression, is left
	// out: it would have to be said again in the trigger.
	indexes, err := texts(ctx, db, `SELECT l.name FROM pragma_index_list($1) l WHERE l."unique" AND NOT l.partial AND l.origin <> 'pk'
		AND NOT EXISTS (SELECT 1 FROM pragma_index_info(l.name) i WHERE i.name IS NULL) ORDER BY l.name`, name)
	if err != nil {
		return t, err
	}
	for _, index := range indexes {
		columns, err := texts(ctx, db, "SELECT name FROM pragma_index_info($1) ORDER BY seqno", index)
		if err != nil {
			return t, err
		}
		t.unique = append(t.unique, columns)
	}
	return t, nil
}

// rowid is a name of the row's number that is not the name of a column.
func (t sqliteTable) rowid() string {
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		if !slices.ContainsFunc(t.columns, func(c sqliteColumn) bool { return strings.EqualFold(c.name, name) }) {
			return name
		}
	}
	return "rowid" // a column then, and as good a name for the row as there is
}

// triggers are the statements that track a table.
func (t sqliteTable) triggers(contentType string) []trigger {
	on := func(event, what, body string) trigger {
		name := triggerPrefix + t.name + ":" + what
		return trigger{name, t.name, "CREATE TRIGGER " + identifier(name) + " " + event + " ON " + identifier(t.name) + " FOR EACH ROW" + body}
	}
	put := func(statement string) string { return "INSERT INTO auditadmin_inbox (event) " + statement + ";\n" }
	kind, table := literal(contentType), identifier(t.name)
	// SQLite fires no trigger for a row that INSERT OR REPLACE takes away, unless
	// recursive_triggers is on. So what stands in the way of a new row is put
	// aside before, and recorded after: an INSERT that went through in spite of it
	// has replaced it. Where it did not, because it was to ignore or to update,
	// what was put aside is overwritten before it is ever looked at.
	aside := " WHEN EXISTS (SELECT 1 FROM " + table + " AS existing WHERE " + t.conflict() + ")\nBEGIN\n" +
		"DELETE FROM auditadmin_replaced WHERE content_type = " + kind + ";\n" +
		"INSERT INTO auditadmin_replaced (content_type, object_id, event) SELECT " + kind + ", " + t.id("existing") + ", (" +
		t.event("DELETE", contentType, "existing", "existing", "") + ") FROM " + table + " AS existing WHERE " + t.conflict() + ";\nEND"
	replaced := "content_type = " + kind + " AND (object_id = " + t.id("NEW") +
		" OR NOT EXISTS (SELECT 1 FROM " + table + " AS existing WHERE " + t.id("existing") + " = object_id))"
	return []trigger{
		on("BEFORE INSERT", "replace", aside),
		on("AFTER INSERT", "insert", "\nBEGIN\n"+
			put("SELECT event FROM auditadmin_replaced WHERE "+replaced)+
			"DELETE FROM auditadmin_replaced WHERE content_type = "+kind+";\n"+
			put(t.event("CREATE", contentType, "NEW", "", "NEW"))+"END"),
		on("AFTER UPDATE", "update", "\nBEGIN\n"+put(t.event("UPDATE", contentType, "OLD", "OLD", "NEW"))+"END"),
		on("AFTER DELETE", "delete", "\nBEGIN\n"+put(t.event("DELETE", contentType, "OLD", "OLD", ""))+
			"DELETE FROM auditadmin_replaced WHERE content_type = "+kind+" AND object_id = "+t.id("OLD")+";\nEND"),
	}
}

// conflict is the condition under which the row "existing" stands in the way of NEW.
func (t sqliteTable) conflict() string {
	var any []string
	for _, key := range append([][]string{t.key}, t.unique...) {
		var all []string
		for _, c := range key {
			all = append(all, "existing."+identifier(c)+" = NEW."+identifier(c))
		}
		any = append(any, strings.Join(all, " AND "))
	}
	return strings.Join(any, " OR ")
}

// event is a query of one row, or none where nothing has changed: the event as a
// line of NDJSON. The row's name comes from the row "of"; old and new are the
// rows before and after, "" where there is none.
func (t sqliteTable) event(action, contentType, of, old, new string) string {
	var b strings.Builder
	b.WriteString(`SELECT '{"kind":"audit_log","source":"trigger","action":"` + action + `","content_type":` +
		strings.ReplaceAll(asJSON(contentType), "'", "''") + `,"object_id":' || json_quote(` + t.id(of) + `)`)
	b.WriteString(` || ',"object_repr":' || json_quote(` + t.repr(of) + `)`)
	b.WriteString("\n || coalesce((SELECT ',' || substr(json(fields), 2, length(json(fields)) - 2) FROM auditadmin_context WHERE json(fields) <> '{}'), '')")
	changes := "coalesce(changes, '')" // a row of nothing but NULL
	if action == "UPDATE" {
		changes = "changes"
	}
	b.WriteString("\n || ',\"changes\":{' || " + changes + " || '}}' FROM (\n")
	// The first row gives the columns their names, and is never one that differs.
	b.WriteString(`SELECT group_concat(json_quote(field) || ':{"old":' || ` + valueSQL("was") + ` || ',"new":' || ` + valueSQL("now") +
		` || '}') AS changes FROM (SELECT '' AS field, 0 AS boolean, NULL AS was, NULL AS now UNION ALL VALUES`)
	for i, c := range t.columns {
		if i > 0 {
			b.WriteByte(',')
		}
		boolean := "0"
		if c.boolean {
			boolean = "1"
		}
		b.WriteString("\n(" + literal(c.name) + ", " + boolean + ", " + field(old, c.name) + ", " + field(new, c.name) + ")")
	}
	// Without collation and affinity: a change of case is one under NOCASE, too, and
	// one from 1 to '1' as well.
	b.WriteString(") WHERE +was IS NOT +now COLLATE BINARY)")
	if action == "UPDATE" {
		b.WriteString(" WHERE changes IS NOT NULL")
	}
	return b.String()
}

// field is a column of a row, or NULL where there is no row.
func field(row, column string) string {
	if row == "" {
		return "NULL"
	}
	return row + "." + identifier(column)
}

// valueSQL writes a value as JSON. Numbers keep every digit; a REAL is written
// with 15 digits where they are all of it, and with 17 otherwise. The || ” takes
// away the mark by which SQLite knows a result of its JSON functions, which would
// be left unquoted.
func valueSQL(x string) string {
	return strings.NewReplacer("@x@", x, "@maxText@", fmt.Sprint(maxText), "@textStart@", fmt.Sprint(textStart), "@blobStart@", fmt.Sprint(blobStart)).Replace(
		`CASE typeof(@x@) WHEN 'null' THEN 'null'
 WHEN 'integer' THEN CASE WHEN boolean AND @x@ IN (0, 1) THEN iif(@x@, 'true', 'false') ELSE CAST(@x@ AS TEXT) END
 WHEN 'real' THEN CASE WHEN @x@ = 9e999 THEN '"Inf"' WHEN @x@ = -9e999 THEN '"-Inf"' WHEN CAST(printf('%!.15g', @x@) AS REAL) = @x@ THEN printf('%!.15g', @x@) ELSE printf('%!.17g', @x@) END
 WHEN 'text' THEN iif(length(@x@) <= @maxText@, json_quote(@x@ || ''), '{"$text":{"length":' || length(@x@) || ',"start":' || json_quote(substr(@x@, 1, @textStart@)) || '}}')
 ELSE '{"$blob":{"length":' || length(@x@) || ',"start":"' || lower(hex(substr(@x@, 1, @blobStart@))) || '"}}' END`)
}

// id is the object_id of a row, as [audit.Track] makes it: the key's value, or
// "line=1,order_id=42" where the key has several columns.
func (t sqliteTable) id(row string) string {
	var parts []string
	for i, c := range t.key {
		x := row + "." + identifier(c)
		value := "CASE typeof(" + x + ") WHEN 'blob' THEN lower(hex(" + x + ")) ELSE coalesce(CAST(" + x + " AS TEXT), '') END"
		if len(t.key) > 1 {
			comma := ""
			if i > 0 {
				comma = ","
			}
			value = literal(comma+c+"=") + " || " + value
		}
		parts = append(parts, value)
	}
	return strings.Join(parts, " || ")
}

// reprColumns are the columns that usually say what a row is called, as
// [audit.Track] has them.
var reprColumns = []string{"name", "title", "label", "username", "email", "number", "code", "slug"}

// repr is what a row is called: by the first of the columns that is not empty, or
// else by its table and key.
func (t sqliteTable) repr(row string) string {
	var parts []string
	for _, name := range reprColumns {
		for _, c := range t.columns {
			if strings.EqualFold(c.name, name) {
				x := row + "." + identifier(c.name)
				parts = append(parts, "CASE WHEN typeof("+x+") = 'text' THEN nullif("+x+", '') END")
			}
		}
	}
	parts = append(parts, literal(t.name+" ")+" || "+t.id(row))
	if len(parts) == 1 {
		return parts[0]
	}
	return fmt.Sprintf("substr(coalesce(%s), 1, %d)", strings.Join(parts, ", "), maxRepr)
}

// asJSON writes a text as JSON.
func asJSON(text string) string {
	b, _ := json.Marshal(text) // a string can always be written
	return string(b)
}

// texts returns the first column of a query.
func texts(ctx context.Context, db audit.Queryer, query string, args ...any) ([]string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// pairs returns the first two columns of a query.
func pairs(ctx context.Context, db audit.Queryer, query string, args ...any) ([][2]string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][2]string
	for rows.Next() {
		var p [2]string
		if err := rows.Scan(&p[0], &p[1]); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}
