package gormaudit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/auditadmin/auditadmin/audit"
)

// write is a statement that changes rows, from before it runs until after.
type write struct {
	action string // CREATE, UPDATE or DELETE
	table  string
	schema *schema.Schema // nil where GORM knows no model
	key    []string       // the columns of the primary key, sorted, if it has one

	old []row
	// reread returns the rows as they are after the statement. It is nil where
	// they cannot be found again, for the reason given.
	reread   func(db *gorm.DB, w *write) ([]row, error)
	reason   string
	text     string    // the statement itself, without the values in it
	raw      *rawWrite // what a statement of raw SQL says; nil for GORM's own
	affected int64     // how many rows it changed
	returned bool      // GORM counts the rows it got back, not those it changed

	began bool          // in a transaction of ours
	pool  gorm.ConnPool // to be given back after it
}

// running is the key under which a statement's write waits for it to be done.
type running struct{ statement *gorm.Statement }

// begin makes sure that the statement and its events are in one transaction, and
// keeps the write for after.
func (p *Plugin) begin(db *gorm.DB, w *write) {
	if _, within := db.Statement.ConnPool.(gorm.TxCommitter); !within && (w.raw == nil || !w.raw.alone) {
		tx := db.Begin()
		switch tx.Error {
		case nil:
			w.began, w.pool = true, db.Statement.ConnPool
			db.Statement.ConnPool = tx.Statement.ConnPool
		case gorm.ErrInvalidTransaction: // a pool of the application's own, that has none
		default:
			db.Error = tx.Error
			return
		}
	}
	db.Statement.Settings.Store(running{db.Statement}, w)
}

// lock keeps other writers away before we read what the statement changes. On
// SQLite a transaction that begins with a read fails at once where somebody else
// wrote in between, instead of waiting for its turn; so it begins with a write of
// nothing.
func (p *Plugin) lock(db *gorm.DB) error {
	if p.dialect != "sqlite" {
		return nil
	}
	_, err := db.Statement.ConnPool.ExecContext(db.Statement.Context, "DELETE FROM "+audit.InboxTable+" WHERE 0")
	return err
}

// after records what the statement changed, and ends our transaction.
func (p *Plugin) after(db *gorm.DB) {
	found, ok := db.Statement.Settings.LoadAndDelete(running{db.Statement})
	if !ok {
		return
	}
	w := found.(*write)
	if db.Error == nil {
		w.affected = db.RowsAffected
		if err := p.record(db, w); err != nil {
			db.AddError(fmt.Errorf("gormaudit: record %s of %s: %w", w.action, w.table, err))
		}
	}
	if !w.began {
		return
	}
	tx := db.Statement.ConnPool.(gorm.TxCommitter)
	if db.Error != nil {
		_ = tx.Rollback() // the error that led here is the one to tell
	} else {
		db.AddError(tx.Commit())
	}
	db.Statement.ConnPool = w.pool
}

// fail ends a write that must not happen because it could not be recorded.
func (p *Plugin) fail(db *gorm.DB, w *write, err error) {
	if err != nil {
		db.AddError(fmt.Errorf("gormaudit: read what %s of %s is going to change: %w", w.action, w.table, err))
	}
}

// of begins the write of a statement that GORM has made itself.
func (p *Plugin) of(db *gorm.DB, action string) *write {
	s := db.Statement
	if p.silent(db) {
		return nil
	}
	table := tableOf(s)
	if p.skips(table) {
		return nil
	}
	w := &write{action: action, table: table, schema: s.Schema}
	if s.Schema != nil {
		w.key = slices.Sorted(slices.Values(s.Schema.PrimaryFieldDBNames))
		if s.Schema.Table == table {
			p.schemas.LoadOrStore(table, s.Schema)
		}
	}
	p.begin(db, w)
	if db.Error == nil && len(w.key) == 0 {
		var err error
		w.key, err = p.keyOf(db, w.table)
		p.fail(db, w, err)
	}
	if db.Error != nil {
		return nil
	}
	return w
}

// tableOf is the table of a statement, also where that gives it an alias.
func tableOf(s *gorm.Statement) string {
	if s.TableExpr == nil {
		return s.Table
	}
	if s.Schema != nil {
		return s.Schema.Table
	}
	// The first word of "orders AS o", which GORM has not quoted.
	return strings.Trim(strings.SplitN(s.TableExpr.SQL+" ", " ", 2)[0], "`\"")
}

// build lets GORM write the statement without running it. It does not write it
// again afterwards, so what we look at is what will run.
func build(db *gorm.DB, handler func(*gorm.DB)) {
	config := *db.Config
	config.DryRun = true
	given := db.Config
	db.Config = &config
	handler(db)
	db.Config = given
}

func (p *Plugin) beforeUpdate(db *gorm.DB) {
	if w := p.of(db, "UPDATE"); w != nil {
		build(db, db.Callback().Update().Get("gorm:update"))
		p.readOld(db, w)
	}
}

func (p *Plugin) beforeDelete(db *gorm.DB) {
	if w := p.of(db, "DELETE"); w != nil {
		build(db, db.Callback().Delete().Get("gorm:delete"))
		p.readOld(db, w)
	}
}

// readOld reads the rows that an UPDATE or DELETE is going to change.
func (p *Plugin) readOld(db *gorm.DB, w *write) {
	s := db.Statement
	if db.Error != nil || s.SQL.Len() == 0 {
		return // it is refused, or changes nothing
	}
	if from, ok := s.Clauses["FROM"].Expression.(clause.From); ok && (len(from.Tables) > 0 || len(from.Joins) > 0) {
		w.reason, w.text = "it joins other tables", redacted(s.SQL.String(), p.dialect)
		return
	}
	q := query{limit: p.maxRows + 1, lock: true}
	for _, name := range []string{"WHERE", "ORDER BY"} {
		if c, ok := s.Clauses[name]; ok && (name == "WHERE" || slices.Contains(s.BuildClauses, name)) {
			q.clauses = append(q.clauses, c)
		}
	}
	if limit, ok := s.Clauses["LIMIT"].Expression.(clause.Limit); ok && limit.Limit != nil && slices.Contains(s.BuildClauses, "LIMIT") {
		q.limit = min(q.limit, *limit.Limit)
	}
	err := p.lock(db)
	if err == nil {
		w.old, err = p.read(db, w, q)
	}
	p.fail(db, w, err)
	p.rereadOld(db, w)
}

// rereadOld has the rows read again by their keys, if they are not too many.
func (p *Plugin) rereadOld(db *gorm.DB, w *write) {
	switch {
	case len(w.old) > p.maxRows:
		w.reason = fmt.Sprintf("more than %d rows", p.maxRows)
	case len(w.key) == 0 && w.action == "UPDATE":
		w.reason = "the table has no primary key"
	case len(w.key) == 0: // without a key nothing can be found again; a DELETE leaves nothing
		w.reread = func(*gorm.DB, *write) ([]row, error) { return nil, nil }
	default:
		w.reread = func(db *gorm.DB, w *write) ([]row, error) {
			var keys [][]any
			for _, r := range w.old {
				keys = append(keys, r.key)
			}
			return p.readByKeys(db, w, w.key, keys)
		}
	}
	if w.reason != "" {
		w.old = nil
		w.text = redacted(db.Statement.SQL.String(), p.dialect)
	}
}

func (p *Plugin) beforeCreate(db *gorm.DB) {
	w := p.of(db, "CREATE")
	if w == nil {
		return
	}
	s := db.Statement
	_, upsert := s.Clauses["ON CONFLICT"]
	if insert, ok := s.Clauses["INSERT"].Expression.(clause.Insert); ok && insert.Modifier != "" {
		upsert = true // OR REPLACE, OR IGNORE
	}
	if !upsert {
		w.reread = p.readCreated
		return
	}
	build(db, db.Callback().Create().Get("gorm:create"))
	if db.Error != nil {
		return
	}
	lookups := w.lookups(s)
	read := func(db *gorm.DB, w *write) (all []row, err error) {
		for _, l := range lookups {
			rows, err := p.readByKeys(db, w, l.columns, l.values)
			if err != nil {
				return nil, err
			}
			all = addRows(all, rows)
		}
		return all, nil
	}
	err := p.lock(db)
	if err == nil {
		w.old, err = read(db, w)
	}
	p.fail(db, w, err)
	w.reread = func(db *gorm.DB, w *write) ([]row, error) {
		all, err := read(db, w)
		if err != nil {
			return nil, err
		}
		created, err := p.readByKeys(db, w, w.key, createdKeys(db, w))
		return addRows(all, created), err
	}
}

// readCreated reads the rows of a plain INSERT by the keys that GORM got back.
// Where it got none, what it sent is all there is to tell.
func (p *Plugin) readCreated(db *gorm.DB, w *write) ([]row, error) {
	keys := createdKeys(db, w)
	rows, err := p.readByKeys(db, w, w.key, keys)
	if err != nil || len(rows) > 0 {
		return rows, err
	}
	values, _ := db.Statement.Clauses["VALUES"].Expression.(clause.Values)
	var columns []column
	for _, c := range values.Columns {
		columns = append(columns, column{name: c.Name})
	}
	for _, v := range values.Values {
		rows = append(rows, row{columns: columns, values: plainValues(v)})
	}
	return rows, nil
}

// lookup is rows to look for by columns that are unique together.
type lookup struct {
	columns []string
	values  [][]any
}

// lookups are by which existing rows may stand in the way of an upsert: by the
// primary key, the columns it names, and all else that is unique.
func (w *write) lookups(s *gorm.Statement) []lookup {
	var unique [][]string
	add := func(columns []string) {
		if len(columns) > 0 && !slices.ContainsFunc(unique, func(have []string) bool { return slices.Equal(have, columns) }) {
			unique = append(unique, columns)
		}
	}
	add(w.key)
	if on, ok := s.Clauses["ON CONFLICT"].Expression.(clause.OnConflict); ok {
		var columns []string
		for _, c := range on.Columns {
			columns = append(columns, c.Name)
		}
		add(columns)
	}
	if w.schema != nil {
		for _, f := range w.schema.Fields {
			if f.Unique && f.DBName != "" {
				add([]string{f.DBName})
			}
		}
		for _, index := range w.schema.ParseIndexes() {
			var columns []string
			for _, f := range index.Fields {
				if f.Field == nil || f.DBName == "" || index.Class != "UNIQUE" || index.Where != "" {
					columns = nil
					break
				}
				columns = append(columns, f.DBName)
			}
			add(columns)
		}
	}
	values, _ := s.Clauses["VALUES"].Expression.(clause.Values)
	var all []lookup
	for _, columns := range unique {
		if l := lookupIn(values, columns); len(l.values) > 0 {
			all = append(all, l)
		}
	}
	return all
}

// lookupIn takes the values of the columns out of what is to be inserted.
func lookupIn(values clause.Values, columns []string) lookup {
	l := lookup{columns: columns}
	for _, v := range values.Values {
		key := make([]any, 0, len(columns))
		for _, name := range columns {
			i := slices.IndexFunc(values.Columns, func(c clause.Column) bool { return c.Name == name })
			if i < 0 || i >= len(v) || v[i] == nil {
				break
			}
			if _, computed := v[i].(clause.Expression); computed {
				break
			}
			key = append(key, v[i])
		}
		if len(key) == len(columns) {
			l.values = append(l.values, key)
		}
	}
	return l
}

// createdKeys are the keys of the rows given to Create, as far as they are known
// now that it is done.
func createdKeys(db *gorm.DB, w *write) (keys [][]any) {
	if len(w.key) == 0 {
		return nil
	}
	add := func(value func(column string) (v any, zero bool)) {
		key := make([]any, len(w.key))
		known := false
		for i, column := range w.key {
			v, zero := value(column)
			key[i] = v
			known = known || !zero
		}
		if known {
			keys = append(keys, key)
		}
	}
	addMap := func(m map[string]any) {
		add(func(column string) (any, bool) {
			names := []string{column, "@id"}
			if w.schema != nil {
				if f := w.schema.FieldsByDBName[column]; f != nil {
					names = append(names, f.Name)
				}
			}
			for _, name := range names {
				if v, ok := m[name]; ok && v != nil && (name != "@id" || len(w.key) == 1) {
					return v, false
				}
			}
			return nil, true
		})
	}
	switch dest := db.Statement.Dest.(type) {
	case map[string]any:
		addMap(dest)
	case *map[string]any:
		addMap(*dest)
	case []map[string]any:
		for _, m := range dest {
			addMap(m)
		}
	case *[]map[string]any:
		for _, m := range *dest {
			addMap(m)
		}
	default:
		each(db.Statement.ReflectValue, func(v reflect.Value) {
			add(func(column string) (any, bool) {
				if w.schema == nil || w.schema.FieldsByDBName[column] == nil {
					return nil, true
				}
				return w.schema.FieldsByDBName[column].ValueOf(db.Statement.Context, v)
			})
		})
	}
	return keys
}

// each calls fn with the struct, or each struct of the slice, that v is.
func each(v reflect.Value, fn func(reflect.Value)) {
	switch v = reflect.Indirect(v); v.Kind() {
	case reflect.Struct:
		fn(v)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if item := reflect.Indirect(v.Index(i)); item.Kind() == reflect.Struct {
				fn(item)
			}
		}
	}
}
