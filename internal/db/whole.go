package db

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// wholeTable is how one table is read and written as a whole. All of its SQL is
// made once, from the names of its columns.
type wholeTable struct {
	name    string
	columns []string
	key     []string   // a number, or a kind and a number; any other is read at once
	kind    audit.Kind // "" where it holds no events
	where   string     // "" for all rows
	paged   bool       // whether the key is one of the first two
	order   []int      // the places of the key's columns
	query   string     // a page of it where paged, else all
	inserts inserts
}

// wholeTables are the tables that a copy has of its source. The others are derived,
// or belong to the place where people signed in. bulk are those of them that are
// copied page by page, the ledger last.
var wholeTables, bulk = func() (all, bulk []*wholeTable) {
	add := func(name, key string, columns ...string) *wholeTable {
		t := newWholeTable(name, key, "", columns)
		all = append(all, t)
		return t
	}
	for _, kind := range audit.Kinds() {
		t := add(string(kind), "id", tables[kind].inserted...)
		t.kind = kind
		bulk = append(bulk, t)
	}
	bulk = append(bulk,
		add("tombstone", "kind id", "kind", "id", "seq", "timestamp", "event_id_hash", "deleted_at", "deleted_by", "reason"),
		add("redaction", "kind id", "kind", "id", "seq", "kept"),
		add("purge", "seq", "seq", "kind", "from_id", "to_id", "events", "first", "last", "root", "names", "ids", "purged_at", "purged_by", "reason", "archive"),
		add("ledger", "seq", "seq", "entry", "kind", "id", "recorded_at", "actor", "note", "leaf", "subject"))
	add("hold", "id", "id", "kind", "query", "reason", "held_at", "held_by", "released_at", "released_by", "release_reason")
	add("incarnation", "seq", "seq", "name", "started_at", "reason")
	for _, t := range loose {
		all = append(all, t)
	}
	return all, bulk
}()

// loose are the tables whose changes no entry of the ledger tells of, in an order
// in which each finds what it refers to. They are few rows, and copied at once.
var loose = []*wholeTable{
	newWholeTable("setting", "key", "", []string{"key", "value", "changed_at", "changed_by"}),
	newWholeTable("account", "id", "", []string{"id", "name", "name_folded", "role", "password_hash", "disabled", "created_at", "last_login_at", "issuer", "subject",
		"code_secret", "code_counter", "code_since"}),
	newWholeTable("recovery_code", "code_hash", "", []string{"code_hash", "account_id", "used_at"}),
	newWholeTable("token", "id", "", []string{"id", "name", "scope", "secret_hash", "created_at", "created_by", "expires_at", "revoked_at", "used_at"}),
	newWholeTable("checkpoint", "size", "", []string{"size", "root", "note", "created_at"}),
	// But for what is the place's own: what is derived and how far, what was written
	// to try a disk, when a backup was made.
	newWholeTable("meta", "key", "key NOT LIKE 'search:%' AND key NOT IN ('application', 'schema', 'upgrade', 'written', '"+metaBackup+"', '"+
		metaCopy+"', '"+metaCopying+"', '"+metaCopied+"')", []string{"key", "value"}),
}

// wholeRows and wholeBytes bound a page, and wholeRows also how many entries of the
// ledger one transaction of a copy goes over.
const (
	wholeRows  = 4096
	wholeBytes = 8 << 20
)

func newWholeTable(name, key, where string, columns []string) *wholeTable {
	t := &wholeTable{name: name, columns: columns, key: strings.Fields(key), where: where}
	for _, k := range t.key {
		t.order = append(t.order, slices.Index(columns, k))
	}
	by := strings.Join(t.key, ", ")
	t.query = "SELECT " + strings.Join(columns, ", ") + " FROM " + name
	switch limit := " ORDER BY " + by + " LIMIT ?"; {
	case len(t.key) == 2:
		t.paged, t.query = true, t.query+" WHERE ("+by+") > (?, ?)"+limit
	case key == "id" || key == "seq":
		t.paged, t.query = true, t.query+" WHERE "+key+" > ? AND "+key+" <= ?"+limit
	case where != "":
		t.query += " WHERE " + where + " ORDER BY " + by
	default:
		t.query += " ORDER BY " + by
	}
	t.inserts = insertsOf("INSERT INTO "+name+" ("+strings.Join(columns, ", ")+") VALUES ", "(?"+strings.Repeat(", ?", len(columns)-1)+")")
	return t
}

// tableNamed returns the table of that name, which there is.
func tableNamed(name string) *wholeTable {
	return wholeTables[slices.IndexFunc(wholeTables, func(t *wholeTable) bool { return t.name == name })]
}

// at is the place of a column.
func (t *wholeTable) at(column string) int { return slices.Index(t.columns, column) }

// keyOf is the key of a row of a table that is read in pages.
func (t *wholeTable) keyOf(row []any) (kind string, number int64) {
	if len(t.order) == 2 {
		kind, _ = row[t.order[0]].(string)
	}
	number, _ = row[t.order[len(t.order)-1]].(int64)
	return kind, number
}

// nameOf names a row for a message.
func (t *wholeTable) nameOf(row []any) string {
	var parts []string
	for _, at := range t.order {
		if b, is := row[at].([]byte); is {
			parts = append(parts, fmt.Sprintf("%x", b))
		} else {
			parts = append(parts, fmt.Sprint(row[at]))
		}
	}
	return strings.Join(parts, " ")
}

// rowPage is some rows of a table, one behind the other. A value is nil, an int64, a
// string or a []byte, on every engine.
type rowPage struct {
	args []any
	rows int
	err  error // where there are no rows
}

func (p rowPage) row(t *wholeTable, i int) []any {
	return p.args[i*len(t.columns) : (i+1)*len(t.columns)]
}

// numbers are the ids of the page's rows.
func (p rowPage) numbers(t *wholeTable) []int64 {
	ids := make([]int64, p.rows)
	for i := range ids {
		_, ids[i] = t.keyOf(p.row(t, i))
	}
	return ids
}

// moment gives a transaction to read a page in, and what ends it.
type moment func() (tx *sqlx.Tx, end func(), err error)

// moments are all different: each page is read as the database is just then.
func (s *Store) moments(ctx context.Context) moment {
	return func() (*sqlx.Tx, func(), error) {
		tx, end, err := begin(ctx, s.back)
		if err != nil {
			return nil, nil, err
		}
		if err := s.dialect.inOrder(ctx, tx); err != nil {
			end()
			return nil, nil, err
		}
		return tx, end, nil
	}
}

// pages reads a table from behind a key on, in its order, up to size rows at a time.
// Whoever reads them cancels the context or takes all of them; when the channel is
// closed nobody reads any more.
func (t *wholeTable) pages(ctx context.Context, at moment, size int, kind string, after, upTo int64) <-chan rowPage {
	out := make(chan rowPage, 1)
	go func() {
		defer close(out)
		for {
			p, whole := t.page(ctx, at, size, t.from(kind, after, upTo, size))
			if p.err != nil || p.rows > 0 {
				select {
				case out <- p:
				case <-ctx.Done():
					return
				}
			}
			if p.err != nil || whole {
				return
			}
			kind, after = t.keyOf(p.row(t, p.rows-1))
		}
	}()
	return out
}

// from are the arguments of the query, for up to size rows behind a key.
func (t *wholeTable) from(kind string, after, upTo int64, size int) []any {
	switch {
	case len(t.key) == 2:
		return []any{kind, after, size}
	case t.paged:
		return []any{after, upTo, size}
	}
	return nil
}

// page reads the next rows, and reports whether they are the last ones.
func (t *wholeTable) page(ctx context.Context, at moment, most int, args []any) (p rowPage, whole bool) {
	tx, end, err := at()
	if err != nil {
		return rowPage{err: err}, true
	}
	defer end()
	p.args, p.err = t.read(ctx, tx, t.query, args, t.paged)
	p.rows = len(p.args) / len(t.columns)
	size := 0
	for _, v := range p.args {
		size += valueSize(v)
	}
	return p, p.err != nil || !t.paged || p.rows < most && size <= wholeBytes
}

func valueSize(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	}
	return 0
}

// read reads the rows of a statement that selects all columns; where bounded is set,
// only up to the one that makes them too many for a page.
func (t *wholeTable) read(ctx context.Context, q sqlx.QueryerContext, query string, args []any, bounded bool) (values []any, err error) {
	width := len(t.columns)
	dest := make([]any, width)
	size := 0
	rows, err := q.QueryxContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for (size <= wholeBytes || !bounded) && rows.Next() {
		at := len(values)
		values = slices.Grow(values, width)[:at+width]
		for i := range dest {
			values[at+i] = nil
			dest[i] = &values[at+i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		for i := at; i < len(values); i++ {
			size += valueSize(values[i])
			switch values[i].(type) {
			case nil, int64, string, []byte:
			default:
				return nil, fmt.Errorf("%s %s holds a value of type %T in %s: %w", t.name, t.nameOf(values[at:]), values[i], t.columns[i-at], ErrDamaged)
			}
		}
	}
	return values, rows.Err()
}

// encode appends a row in the form that checksums are made of.
func encodeRow(b []byte, row []any) []byte {
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = append(b, 'i')
			b = strconv.AppendInt(b, v, 10)
		case string:
			b = append(b, 's')
			b = strconv.AppendInt(b, int64(len(v)), 10)
			b = append(append(b, ':'), v...)
		case []byte:
			b = append(b, 'b')
			b = strconv.AppendInt(b, int64(len(v)), 10)
			b = append(append(b, ':'), v...)
		}
	}
	return append(b, '\n')
}

// leafOf is the leaf of a row of the ledger, or of nothing.
func leafOf(t *wholeTable, row []any) evidence.Hash {
	b, _ := row[t.at("leaf")].([]byte)
	h, _ := parseRoot(b)
	return h
}
