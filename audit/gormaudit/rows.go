package gormaudit

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// column is a column of a result.
type column struct {
	name string
	kind string // as the database calls its type, in capitals; "" where it does not say
}

// boolean is the kind of a column whose 0 and 1 mean false and true.
const boolean = "BOOLEAN"

// row is a row as it was at one moment.
type row struct {
	columns []column // shared by all rows of one result
	values  []any    // as the driver gave them, or a digest
	names   []string // of the columns of the primary key, shared and sorted
	key     []any    // their values; nil where the table has none
}

// id is the object_id of a row, as [audit.Track] makes it: the key's value, or
// "line=1,order_id=42" where the key has several columns.
func (r row) id() string {
	if len(r.key) == 1 {
		return textOf(r.key[0])
	}
	parts := make([]string, len(r.key))
	for i, v := range r.key {
		parts[i] = r.names[i] + "=" + textOf(v)
	}
	return strings.Join(parts, ",")
}

// get returns the value of a column, by its name in whatever case.
func (r row) get(name string) (any, bool) {
	for i, c := range r.columns {
		if strings.EqualFold(c.name, name) {
			return r.values[i], true
		}
	}
	return nil, false
}

// query is what of the statement's table is to be read.
type query struct {
	clauses []clause.Clause
	limit   int  // 0 is none
	lock    bool // until the end of the transaction, where the database can
}

// keysInQuery is how many rows one query looks for, below every database's limit
// of variables.
const keysInQuery = 200

// read returns the rows of the statement's table.
func (p *Plugin) read(db *gorm.DB, w *write, q query) ([]row, error) {
	given := db.Statement
	s := &gorm.Statement{
		DB: db.Session(&gorm.Session{NewDB: true, SkipHooks: true}), Context: given.Context, ConnPool: given.ConnPool,
		Table: given.Table, TableExpr: given.TableExpr, Schema: given.Schema, Model: given.Model, Clauses: map[string]clause.Clause{},
	}
	if w.raw != nil {
		s.Table = w.table
	}
	s.AddClause(clause.Select{})
	s.AddClause(clause.From{})
	if q.limit > 0 {
		s.AddClause(clause.Limit{Limit: &q.limit})
	}
	if q.lock && p.dialect == "postgres" {
		s.AddClause(clause.Locking{Strength: "UPDATE"})
	}
	for _, c := range q.clauses {
		s.Clauses[c.Name] = c
	}
	s.Build("SELECT", "FROM", "WHERE", "ORDER BY", "LIMIT", "FOR")
	if s.DB.Error != nil {
		return nil, s.DB.Error
	}
	return w.readRows(s.Context, s.ConnPool, s.SQL.String(), s.Vars...)
}

// readByKeys returns the rows whose columns have one of the values. The order is
// that of the values, as far as one query goes.
func (p *Plugin) readByKeys(db *gorm.DB, w *write, columns []string, keys [][]any) (all []row, err error) {
	for some := range slices.Chunk(keys, keysInQuery) {
		var where clause.Expression
		if len(columns) == 1 {
			in := clause.IN{Column: clause.Column{Name: columns[0]}}
			for _, key := range some {
				in.Values = append(in.Values, key[0])
			}
			where = in
		} else {
			var any []clause.Expression
			for _, key := range some {
				var all []clause.Expression
				for i, name := range columns {
					all = append(all, clause.Eq{Column: clause.Column{Name: name}, Value: key[i]})
				}
				any = append(any, clause.And(all...))
			}
			where = clause.Or(any...)
		}
		rows, err := p.read(db, w, query{clauses: []clause.Clause{{Name: "WHERE", Expression: clause.Where{Exprs: []clause.Expression{where}}}}})
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// readRows runs a query and keeps what it returns.
func (w *write) readRows(ctx context.Context, pool gorm.ConnPool, statement string, args ...any) (all []row, err error) {
	rows, err := pool.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	columns := make([]column, len(types))
	isKey := make([]int, len(types)) // 1 + the place in the key
	for i, t := range types {
		columns[i] = column{t.Name(), strings.ToUpper(t.DatabaseTypeName())}
		if w.schema != nil {
			if f := w.schema.FieldsByDBName[t.Name()]; f != nil && f.DataType == schema.Bool {
				columns[i].kind = boolean // which SQLite has not, and GORM calls numeric there
			}
		}
		isKey[i] = 1 + slices.Index(w.key, t.Name())
	}
	places := make([]any, len(types))
	for rows.Next() {
		r := row{columns: columns, values: make([]any, len(types))}
		if len(w.key) > 0 {
			r.names, r.key = w.key, make([]any, len(w.key))
		}
		for i := range places {
			places[i] = &r.values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		for i, v := range r.values {
			if isKey[i] > 0 {
				r.key[isKey[i]-1] = v
			}
			r.values[i] = shorten(columns[i], v)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// addRows adds the rows that are not among all yet.
func addRows(all, rows []row) []row {
	have := make(map[string]bool, len(all))
	for _, r := range all {
		have[r.id()] = true
	}
	for _, r := range rows {
		if !have[r.id()] {
			have[r.id()] = true
			all = append(all, r)
		}
	}
	return all
}

// digest stands for a value that is too big to be kept, as JSON.
type digest string

// maxText is how many bytes of a text are recorded as they are; of a longer one,
// and of every blob, it is the length and the SHA-256.
const (
	maxText   = 10000
	textStart = 1000
)

// shorten returns what is kept of a value.
func shorten(c column, v any) any {
	switch v := v.(type) {
	case []byte:
		if c.textual() {
			return shorten(c, string(v))
		}
		return digest(fmt.Sprintf(`{"$blob":{"length":%d,"sha256":"%s"}}`, len(v), sum(v)))
	case string:
		if len(v) > maxText {
			start := strings.ToValidUTF8(v[:textStart], "")
			return digest(fmt.Sprintf(`{"$text":{"length":%d,"sha256":"%s","start":%s}}`, len(v), sum([]byte(v)), quoted(start)))
		}
	}
	return v
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// textual reports whether bytes of the column are text, which drivers do not
// always tell apart. It is only asked of PostgreSQL, as SQLite gives text as
// text.
func (c column) textual() bool {
	switch c.kind {
	case "JSON", "JSONB", "TEXT", "VARCHAR", "NUMERIC", "UUID", "BPCHAR", "NAME":
		return true
	}
	return false
}

// plainValues are values as the database gets them. What only the database can
// compute is unknown here, and stands as NULL.
func plainValues(values []any) []any {
	plain := make([]any, len(values))
	for i, v := range values {
		if _, computed := v.(clause.Expression); !computed {
			plain[i], _ = driver.DefaultParameterConverter.ConvertValue(v)
		}
	}
	return plain
}

// keyOf returns the columns of a table's primary key, sorted. There may be none.
func (p *Plugin) keyOf(db *gorm.DB, table string) ([]string, error) {
	if key, ok := p.keys.Load(table); ok {
		return key.([]string), nil
	}
	statement, name := "SELECT name FROM pragma_table_info(?) WHERE pk > 0", table
	if p.dialect == "postgres" {
		statement = `SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
			WHERE i.indrelid = to_regclass($1) AND i.indisprimary`
		if !strings.Contains(table, ".") {
			name = `"` + strings.ReplaceAll(table, `"`, `""`) + `"`
		}
	} else if i := strings.LastIndexByte(table, '.'); i >= 0 {
		name = table[i+1:] // main.orders
	}
	rows, err := db.Statement.ConnPool.QueryContext(db.Statement.Context, statement, name)
	if err != nil {
		return nil, fmt.Errorf("look for its primary key: %w", err)
	}
	defer rows.Close()
	var key []string
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			return nil, fmt.Errorf("look for its primary key: %w", err)
		}
		key = append(key, column)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for its primary key: %w", err)
	}
	slices.Sort(key)
	p.keys.Store(table, key)
	return key, nil
}
