package audit

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Key is the key of a row that has more than one column, or another than id.
type Key map[string]any

// Keys are the keys of several rows, each as Track takes one.
type Keys []any

// Track runs fn and records what it changed in the rows of a table that have the
// key: a CREATE where there was no row before, a DELETE where there is none
// after, else an UPDATE with the columns that differ, and nothing where none
// does. The rows are read before and after through tx, the caller's transaction,
// and the events are written with [Recorder.RecordTx]: they are stored if and
// only if it is committed. tx may be of database/sql or of sqlx, on SQLite or
// PostgreSQL; the database has the inbox that [InboxSchema] creates.
//
//	err := audit.Track(ctx, recorder, tx, "orders", 42, func() error {
//		_, err := tx.ExecContext(ctx, "UPDATE orders SET status = 'paid' WHERE id = 42")
//		return err
//	})
//
// The key is the value of the column id, a [Key], or [Keys] for several rows. It
// may be a pointer to a value that fn sets, as for an id that the database
// gives: a row whose key is zero before is not looked for then. Table and
// columns are names exactly as the database has them; a dot separates a schema.
//
// An error of fn is returned as it is, and nothing is recorded. Where ctx is
// [Paused] or the table is skipped, only fn runs.
func Track(ctx context.Context, r *Recorder, tx Queryer, table string, key any, fn func() error) error {
	if IsPaused(ctx) || r.SkipsType(table) {
		return fn()
	}
	rows, err := trackedRows(table, key)
	if err != nil {
		return fmt.Errorf("track %s: %w", table, err)
	}
	for i := range rows {
		if rows[i].before, err = rows[i].read(ctx, tx, true); err != nil {
			return fmt.Errorf("track %s: read before: %w", table, err)
		}
	}
	if err := fn(); err != nil {
		return err
	}
	var events []*Event
	for i := range rows {
		after, err := rows[i].read(ctx, tx, false)
		if err != nil {
			return fmt.Errorf("track %s: read after: %w", table, err)
		}
		e, err := rows[i].event(r, after)
		if err != nil {
			return fmt.Errorf("track %s: %w", table, err)
		}
		if e != nil {
			events = append(events, e)
		}
	}
	return r.RecordTx(ctx, tx, events...)
}

// tracked is one row that is looked at twice.
type tracked struct {
	table   string
	columns []string // of the key
	values  []any    // of the key, or pointers to them
	query   string
	before  map[string]any
}

func trackedRows(table string, key any) ([]tracked, error) {
	from, err := quoteName(table)
	if err != nil {
		return nil, err
	}
	keys, several := key.(Keys)
	if !several {
		keys = Keys{key}
	}
	rows := make([]tracked, len(keys))
	for i, k := range keys {
		columns, ok := k.(Key)
		if !ok {
			columns = Key{"id": k}
		}
		if len(columns) == 0 {
			return nil, fmt.Errorf("a key without columns would be every row")
		}
		row := tracked{table: table, columns: slices.Sorted(maps.Keys(columns))}
		var where []string
		for n, column := range row.columns {
			quoted, err := quoteName(column)
			if err != nil {
				return nil, err
			}
			where = append(where, fmt.Sprintf("%s = $%d", quoted, n+1))
			row.values = append(row.values, columns[column])
		}
		row.query = "SELECT * FROM " + from + " WHERE " + strings.Join(where, " AND ")
		rows[i] = row
	}
	return rows, nil
}

// quoteName quotes the name of a table or column, which has to be a plain one:
// what is anything else was not written by a programmer.
func quoteName(name string) (string, error) {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		for _, c := range part {
			if c != '_' && c != '$' && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
				return "", fmt.Errorf("%q is not the name of a table or column", name)
			}
		}
		if part == "" {
			return "", fmt.Errorf("%q is not the name of a table or column", name)
		}
		parts[i] = `"` + part + `"`
	}
	return strings.Join(parts, "."), nil
}

// key returns the values of the key as they are now. known is false where one of
// them is nil, or a pointer to what has not been set.
func (t *tracked) key() (values []any, known bool) {
	known = true
	for _, given := range t.values {
		v := reflect.ValueOf(given)
		if v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
			known = known && !v.IsZero()
			given = v.Interface()
		} else if !v.IsValid() || v.Kind() == reflect.Pointer {
			known, given = false, nil
		}
		values = append(values, given)
	}
	return values, known
}

// read returns the row, or nil where there is none.
func (t *tracked) read(ctx context.Context, tx Queryer, before bool) (map[string]any, error) {
	values, known := t.key()
	if !known {
		if before {
			return nil, nil
		}
		return nil, fmt.Errorf("the key has no value: set what it points to")
	}
	rows, err := tx.QueryContext(ctx, t.query, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	// SQLite takes an unknown column in quotes for a text, and finds nothing.
	for _, k := range t.columns {
		if !slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, k) }) {
			return nil, fmt.Errorf("the table has no column %q", k)
		}
	}
	var row map[string]any
	for rows.Next() {
		if row != nil {
			return nil, fmt.Errorf("the key %s is of more than one row", t.id(values))
		}
		if row, err = scanRow(rows, columns); err != nil {
			return nil, err
		}
	}
	return row, rows.Err()
}

func scanRow(rows *sql.Rows, columns []string) (map[string]any, error) {
	values := make([]any, len(columns))
	targets := make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, err
	}
	row := make(map[string]any, len(columns))
	for i, c := range columns {
		row[c] = plain(values[i])
	}
	return row, nil
}

// id is the key in words: "42", or "line=1,order_id=42".
func (t *tracked) id(values []any) string {
	if len(values) == 1 {
		return fmt.Sprint(plain(values[0]))
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprintf("%s=%v", t.columns[i], plain(v))
	}
	return strings.Join(words, ",")
}

// event says what happened to the row, or nil where nothing did.
func (t *tracked) event(r *Recorder, after map[string]any) (*Event, error) {
	a := AuditLog{ContentType: t.table, Changes: r.Diff(anyMap(t.before), anyMap(after))}
	switch {
	case t.before == nil && after == nil:
		return nil, nil
	case t.before == nil:
		a.Action = "CREATE"
	case after == nil:
		a.Action = "DELETE"
	case len(a.Changes) == 0:
		return nil, nil
	default:
		a.Action = "UPDATE"
	}
	values, _ := t.key()
	a.ObjectID = t.id(values)
	row := after
	if row == nil {
		row = t.before
	}
	a.ObjectRepr = cmp.Or(rowText(row), t.table+" "+a.ObjectID)
	return a.Event()
}

// anyMap keeps a row that is not there from being an empty one.
func anyMap(row map[string]any) any {
	if row == nil {
		return nil
	}
	return row
}

// rowText is what people call a row, by the columns that usually say it.
func rowText(row map[string]any) string {
	for _, column := range []string{"name", "title", "label", "username", "email", "number", "code", "slug"} {
		if s, ok := row[column].(string); ok && s != "" {
			return s
		}
	}
	return ""
}
