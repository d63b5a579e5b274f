package gormaudit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// rawWrite is what can be told of a statement of raw SQL by reading it.
type rawWrite struct {
	action string // CREATE, UPDATE or DELETE
	table  string // as it is called in the database; "" where it cannot be told
	reason string // why its rows cannot be told one by one; "" where they can

	uncounted bool // the database does not say how many rows it changed
	alone     bool // it may not be run within a transaction of ours

	from  string // of an UPDATE or DELETE: the table as written, with its alias
	where string // and its condition; "" is none
	vars  []any  // of the condition

	rowid   bool     // of an INSERT: the rows can be found by their numbers
	columns []string // of an INSERT: those that it names
}

// writing are the words with which a statement that changes rows begins, by the
// action that they stand for.
var writing = map[string]string{
	"INSERT": "CREATE", "REPLACE": "CREATE", "COPY": "CREATE", "LOAD": "CREATE",
	"UPDATE": "UPDATE", "MERGE": "UPDATE", "CALL": "UPDATE", "DO": "UPDATE", "EXECUTE": "UPDATE",
	"DELETE": "DELETE", "TRUNCATE": "DELETE",
}

// parseRaw says what a text of SQL changes, and nil where that is nothing: a
// query, or a change of the schema.
func parseRaw(sql, dialect string, vars []any) *rawWrite {
	if !mayWrite(sql) {
		return nil
	}
	var writes []*rawWrite
	statements := split(tokens(sql, dialect))
	alone := false
	body := false // of a trigger that is created, which changes nothing yet
	for _, s := range statements {
		alone = alone || !body && slices.Contains(transacting, s[0].text)
		switch {
		case createsTrigger(s):
			body = true
		case body:
			body = s[0].text != "END"
		default:
			if w := parseStatement(sql, s, dialect, vars); w != nil {
				writes = append(writes, w)
			}
		}
	}
	if len(writes) == 0 {
		return nil
	}
	w := writes[0]
	w.alone = alone
	if len(statements) > 1 {
		w.reason = fmt.Sprintf("one of %d statements in one text", len(statements))
		w.uncounted = true // but for the last one
	}
	return w
}

// transacting are the words with which statements begin that end or begin a
// transaction, or refuse to be in one.
var transacting = []string{"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "VACUUM", "PRAGMA", "ATTACH", "DETACH", "CALL", "DO"}

// createsTrigger reports whether a statement is the first part of a CREATE
// TRIGGER, whose body has semicolons.
func createsTrigger(s []token) bool {
	return s[0].text == "CREATE" && slices.ContainsFunc(s[:min(len(s), 4)], func(t token) bool { return t.kind == word && t.text == "TRIGGER" }) &&
		slices.ContainsFunc(s, func(t token) bool { return t.kind == word && t.text == "BEGIN" })
}

// mayWrite is a quick look for any of the words, which spares queries the rest.
func mayWrite(sql string) bool {
	begin := strings.ToUpper(strings.TrimLeft(sql, " \t\r\n(;"))
	if strings.HasPrefix(begin, "SELECT") || strings.HasPrefix(begin, "SAVEPOINT") || strings.HasPrefix(begin, "CREATE") || strings.HasPrefix(begin, "PRAGMA") {
		return strings.Contains(sql, ";")
	}
	return true
}

// split divides tokens into statements.
func split(all []token) [][]token {
	var statements [][]token
	start := 0
	for i, t := range all {
		last := i == len(all)-1
		if t.kind != sign || t.text != ";" {
			if last {
				statements = append(statements, all[start:])
			}
			continue
		}
		if i > start {
			statements = append(statements, all[start:i])
		}
		start = i + 1
	}
	return statements
}

func parseStatement(sql string, s []token, dialect string, vars []any) *rawWrite {
	if s[0].kind != word {
		return nil
	}
	if s[0].text == "WITH" {
		for i, t := range s {
			if action := writing[t.text]; t.kind == word && action != "" && t.text != "DO" && t.text != "REPLACE" && !(t.text == "UPDATE" && locks(s[i-1])) {
				return &rawWrite{action: action, table: target(s[i:]), reason: "it begins with WITH"}
			}
		}
		return nil
	}
	action := writing[s[0].text]
	if action == "" {
		return nil
	}
	w := &rawWrite{action: action, table: target(s)}
	switch s[0].text {
	case "UPDATE", "DELETE":
		w.derive(sql, s, dialect, vars)
	case "INSERT":
		w.deriveInsert(s, dialect)
	default:
		w.reason, w.uncounted = s[0].text+" names no rows", true
	}
	if isAutoMigrate(w, s) {
		return nil
	}
	return w
}

// locks reports whether an UPDATE after t is that of SELECT … FOR UPDATE, or of
// DO UPDATE in an upsert.
func locks(t token) bool {
	return t.kind == word && slices.Contains([]string{"FOR", "KEY", "DO", "ON"}, t.text)
}

// isAutoMigrate recognizes how GORM's migrator copies a table of SQLite whose
// columns it changes: INSERT INTO `orders__temp`(…) SELECT … FROM `orders`.
func isAutoMigrate(w *rawWrite, s []token) bool {
	source, copied := strings.CutSuffix(w.table, "__temp")
	if !copied || s[0].text != "INSERT" || len(s) < 2 {
		return false
	}
	last := s[len(s)-1]
	return last.kind == name && last.text == source && s[len(s)-2].text == "FROM"
}

// target is the table that a statement changes: the first name that is no word
// of the statement itself.
func target(s []token) string {
	end := ""
	for i := 1; i < len(s); i++ {
		t := s[i]
		if t.kind == word && slices.Contains([]string{"OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK", "INTO", "FROM", "ONLY", "TABLE"}, t.text) && end == "" {
			continue
		}
		if t.kind != word && t.kind != name {
			break
		}
		end = t.text
		if t.kind == word {
			end = strings.ToLower(t.text)
		}
		if i+1 >= len(s) || s[i+1].text != "." || s[i+1].kind != sign { // the next one of schema.table
			break
		}
		i++
	}
	return end
}

// derive finds the condition of an UPDATE or DELETE, by which its rows can be
// read before it runs.
func (w *rawWrite) derive(sql string, s []token, dialect string, vars []any) {
	begin, set, where, end := 1, -1, -1, len(s)
	for i, t := range s[1:] {
		i++
		if t.kind != word || t.depth != s[0].depth {
			continue
		}
		switch t.text {
		case "OR":
			if i == 1 {
				begin = 3 // UPDATE OR IGNORE
				if len(s) > 2 && s[2].text == "REPLACE" {
					w.reason = "OR REPLACE may take other rows away"
					return
				}
			}
		case "FROM":
			if s[0].text == "DELETE" && i == 1 {
				begin = 2
				continue
			}
			if where < 0 {
				w.reason = "it joins other tables"
				return
			}
		case "SET":
			if set < 0 {
				set = i
			}
		case "USING", "JOIN":
			w.reason = "it joins other tables"
			return
		case "WHERE":
			if where < 0 {
				where = i
			}
		case "CURRENT":
			w.reason = "it changes where a cursor is"
			return
		case "ORDER", "LIMIT":
			w.reason = "it changes the first rows of an order"
			return
		case "RETURNING":
			end = min(end, i)
		}
	}
	until := set
	if s[0].text == "DELETE" {
		if until = where; until < 0 {
			until = end
		}
	}
	if until <= begin || w.table == "" {
		w.reason = "it was not understood"
		return
	}
	w.from = sql[s[begin].start:s[until-1].end]
	if where >= 0 && where+1 < end {
		w.condition(sql, s[:where+1], s[where+1:end], dialect, vars)
	}
}

// condition takes the condition out of the statement, with its variables.
func (w *rawWrite) condition(sql string, before, tokens []token, dialect string, vars []any) {
	next := 0
	for _, t := range before {
		if t.kind == parameter {
			next++
		}
	}
	var b strings.Builder
	end := tokens[0].start
	for _, t := range tokens {
		if t.kind != parameter {
			continue
		}
		index := next
		next++
		switch {
		case t.text == "?":
		case dialect == "postgres" && t.text[0] == '$':
			n, err := strconv.Atoi(t.text[1:])
			if err != nil {
				w.reason = "its parameters were not understood"
				return
			}
			index = n - 1
		default:
			w.reason = "its parameters have names"
			return
		}
		if index < 0 || index >= len(vars) {
			w.reason = "its parameters were not understood"
			return
		}
		w.vars = append(w.vars, vars[index])
		b.WriteString(sql[end:t.start])
		if dialect == "postgres" {
			b.WriteString("$" + strconv.Itoa(len(w.vars)))
		} else {
			b.WriteByte('?')
		}
		end = t.end
	}
	b.WriteString(sql[end:tokens[len(tokens)-1].end])
	w.where = b.String()
}

// deriveInsert tells whether the rows of an INSERT can be found by their numbers,
// which only SQLite has.
func (w *rawWrite) deriveInsert(s []token, dialect string) {
	for i, t := range s {
		if t.kind == word && (t.text == "CONFLICT" || t.text == "OR" && i == 1) {
			w.reason = "it may have changed rows that were there"
			return
		}
	}
	if w.rowid = dialect == "sqlite" && w.table != ""; !w.rowid {
		w.reason = "the keys of its rows are not known"
		return
	}
	open := slices.IndexFunc(s, func(t token) bool { return t.kind == sign && t.text == "(" })
	for i := open + 1; open >= 0 && i < len(s) && s[i].depth > s[open].depth; i++ {
		if s[i].kind == word && s[i].text == "SELECT" {
			w.columns = nil // INSERT INTO t (SELECT …)
			return
		}
		if s[i].kind == word || s[i].kind == name {
			w.columns = append(w.columns, s[i].text)
		}
	}
	if open > 0 && s[open-1].kind == word && s[open-1].text == "VALUES" {
		w.columns = nil
	}
}

// beforeRaw sees db.Exec.
func (p *Plugin) beforeRaw(db *gorm.DB) { p.beforeStatement(db, false) }

// beforeQuery sees what db.Raw sends to change rows and get some back. A query
// that GORM makes itself has no text yet.
func (p *Plugin) beforeQuery(db *gorm.DB) {
	if db.Statement.SQL.Len() > 0 {
		p.beforeStatement(db, true)
	}
}

func (p *Plugin) parse(db *gorm.DB) *write {
	if p.silent(db) {
		return nil
	}
	raw := parseRaw(db.Statement.SQL.String(), p.dialect, db.Statement.Vars)
	if raw == nil || raw.table != "" && p.skips(raw.table) {
		return nil
	}
	w := &write{action: raw.action, table: raw.table, reason: raw.reason, raw: raw, text: redacted(db.Statement.SQL.String(), p.dialect)}
	if s, ok := p.schemas.Load(raw.table); ok {
		w.schema = s.(*schema.Schema)
	}
	return w
}

func (p *Plugin) beforeStatement(db *gorm.DB, returned bool) {
	w := p.parse(db)
	if w == nil {
		return
	}
	w.returned = returned || w.raw.uncounted
	p.begin(db, w)
	if db.Error != nil || w.reason != "" {
		return
	}
	err := p.lock(db)
	if err == nil {
		w.key, err = p.keyOf(db, w.table)
	}
	switch {
	case err != nil:
	case w.raw.rowid && len(w.key) == 0:
		w.reason = "the table has no primary key"
	case w.raw.rowid:
		w.reread = p.readInserted
	default:
		statement := "SELECT * FROM " + w.raw.from
		if w.raw.where != "" {
			statement += " WHERE " + w.raw.where
		}
		statement += " LIMIT " + strconv.Itoa(p.maxRows+1)
		if p.dialect == "postgres" {
			statement += " FOR UPDATE"
		}
		w.old, err = w.readRows(db.Statement.Context, db.Statement.ConnPool, statement, w.raw.vars...)
		if err == nil {
			p.rereadOld(db, w)
		}
	}
	p.fail(db, w, err)
}

// readInserted reads what an INSERT added to a table of SQLite: the rows with the
// last numbers, which follow each other unless the statement gave them itself.
func (p *Plugin) readInserted(db *gorm.DB, w *write) ([]row, error) {
	pool, ctx := db.Statement.ConnPool, db.Statement.Context
	var last int64
	if err := pool.QueryRowContext(ctx, "SELECT last_insert_rowid(), changes()").Scan(&last, &w.affected); err != nil {
		return nil, err
	}
	w.returned = false // it is counted now
	if w.affected > int64(p.maxRows) || w.affected > 1 && !w.raw.numbered(w.key) {
		return nil, nil
	}
	statement := fmt.Sprintf("SELECT * FROM %s WHERE rowid > ? AND rowid <= ? ORDER BY rowid", quoteName(w.table))
	rows, err := w.readRows(ctx, pool, statement, last-w.affected, last)
	if err != nil || int64(len(rows)) != w.affected {
		return nil, nil // a table WITHOUT ROWID: nothing is claimed, and all rows count as not found
	}
	return rows, nil
}

// numbered reports whether SQLite numbered the rows of an INSERT itself.
func (w *rawWrite) numbered(key []string) bool {
	return len(w.columns) > 0 && !slices.ContainsFunc(append([]string{"rowid", "_rowid_", "oid"}, key...), func(name string) bool {
		return slices.ContainsFunc(w.columns, func(c string) bool { return strings.EqualFold(c, name) })
	})
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// beforeRow sees db.Raw(…).Rows(), whose statement is still running when GORM is
// done with it. What it changes is recorded before, as not told one by one.
func (p *Plugin) beforeRow(db *gorm.DB) {
	if db.Statement.SQL.Len() == 0 {
		return
	}
	w := p.parse(db)
	if w == nil {
		return
	}
	event := p.unattributed(w, "its rows are read while it runs", "", nil)
	p.fail(db, w, p.recorder.RecordTx(db.Statement.Context, db.Statement.ConnPool, event))
}
