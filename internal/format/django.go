package format

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	_ "github.com/mattn/go-sqlite3" // reads the files of Django sites
)

// readDjango reads the SQLite file of a Django site: whatever it has of the
// tables in djangoTables. The file is never written. Rows are read in slices,
// so that a site which is running can go on writing in between.
func readDjango(ctx context.Context, in *Input, o Options, emit func(Record) error) error {
	path, remove, err := in.unpackedFile(ctx)
	if err != nil {
		return err
	}
	defer remove()
	site, err := openSite(ctx, path)
	if err != nil {
		return err
	}
	defer site.db.Close()
	if err := site.count(ctx, in); err != nil {
		return fmt.Errorf("count the rows: %w", err)
	}
	found := false
	for i := range djangoTables {
		table := &djangoTables[i]
		if !site.tables[table.name] {
			continue
		}
		found = true
		if err := site.read(ctx, table, emit); err != nil {
			return fmt.Errorf("table %s: %w", table.name, err)
		}
	}
	if !found {
		names := make([]string, len(djangoTables))
		for i, t := range djangoTables {
			names[i] = t.name
		}
		return fmt.Errorf("it is a SQLite database without any table that is known here: there is none of %s", strings.Join(names, ", "))
	}
	return nil
}

const sqliteMagic = "SQLite format 3\x00"

// likeDjango reports whether a text begins like a SQLite file.
func likeDjango(head []byte) bool { return bytes.HasPrefix(head, []byte(sqliteMagic)) }

// unpackedFile returns the path of a file with the input's content: its own, or
// that of a temporary copy if it is packed or comes from standard input.
func (in *Input) unpackedFile(ctx context.Context) (path string, remove func(), err error) {
	head, err := in.reader.Peek(len(sqliteMagic))
	if err != nil && err != io.EOF {
		return "", nil, cut(err)
	}
	if string(head) != sqliteMagic {
		return "", nil, errors.New("it is not a SQLite database; give the file named under DATABASES in the site's settings")
	}
	if in.Path != "" && !in.Packed {
		return in.Path, func() {}, nil
	}
	file, err := os.CreateTemp("", "auditadmin-import-*.sqlite3")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.Remove(file.Name()) }
	_, err = io.Copy(file, in.reader)
	if err = errors.Join(err, file.Close(), ctx.Err()); err != nil {
		remove()
		return "", nil, fmt.Errorf("unpack into a temporary file: %w", cut(err))
	}
	return file.Name(), remove, nil
}

// site is the database of a Django site.
type site struct {
	db     *sql.DB
	tables map[string]bool
	types  map[string]contentType // by id
	users  *sql.Stmt              // name of a user by primary key; nil if no table of users is known
	names  map[string]string      // some names of users by primary key

	progress func() // told after each row
}

// contentType is a row of django_content_type.
type contentType struct{ app, model string }

// maxNames is how many names of users are remembered at a time.
const maxNames = 10_000

func openSite(ctx context.Context, path string) (*site, error) {
	query := url.Values{"mode": {"ro"}, "_busy_timeout": {"5000"}, "_query_only": {"true"}}
	if wal, err := isQuietWAL(path); err != nil {
		return nil, err
	} else if wal {
		// Without a log beside it nobody is writing, and this spares making one.
		query.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite3", fileURI(path, query.Encode()))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(2) // one reads rows, one looks up names
	s := &site{db: db, tables: map[string]bool{}, types: map[string]contentType{}, names: map[string]string{}}
	if err := s.look(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("read the database: %w", err)
	}
	return s, nil
}

// isQuietWAL reports whether a SQLite file is in WAL mode and has no log.
func isQuietWAL(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	var head [20]byte
	if _, err := io.ReadFull(file, head[:]); err != nil {
		return false, fmt.Errorf("the SQLite database is cut off: %w", err)
	}
	if head[18] != 2 {
		return false, nil
	}
	info, err := os.Stat(path + "-wal")
	return err != nil || info.Size() == 0, nil
}

// look finds out which tables there are, the content types, and where the
// names of users stand.
func (s *site) look(ctx context.Context) error {
	err := s.each(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table'`, nil, func(r row) error {
		s.tables[r.text("name")] = true
		return nil
	})
	if err != nil {
		return err
	}
	if s.tables["django_content_type"] {
		err := s.each(ctx, `SELECT CAST(id AS TEXT) AS id, app_label, model FROM django_content_type LIMIT 100000`, nil, func(r row) error {
			s.types[r.text("id")] = contentType{r.text("app_label"), r.text("model")}
			return nil
		})
		if err != nil {
			return err
		}
	}
	table, key, err := s.userTable(ctx)
	if err != nil || table == "" {
		return err
	}
	columns, err := s.columns(ctx, table)
	if err != nil {
		return err
	}
	for _, name := range []string{"username", "email", "name", "phone", "phone_number", "mobile"} {
		if columns[name] {
			s.users, err = s.db.PrepareContext(ctx, `SELECT CAST(`+identifier(name)+` AS TEXT) FROM `+identifier(table)+` WHERE `+identifier(key)+` = ?`)
			return err
		}
	}
	return nil
}

// userTable returns the table to which the logs point for who acted, and its
// key: auth_user, or that of a site with users of its own. Where no log says it,
// it is auth_user, or else the one table that has what every user of Django has.
func (s *site) userTable(ctx context.Context) (table, key string, err error) {
	for _, log := range djangoTables {
		if !s.tables[log.name] {
			continue
		}
		err = s.each(ctx, `SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)`, []any{log.name}, func(r row) error {
			switch r.text("from") {
			case "user_id", "actor_id", "resolved_by_id":
				table, key = r.text("table"), r.text("to")
			}
			return nil
		})
		if err != nil {
			return "", "", err
		}
		if s.tables[table] {
			if key == "" {
				key = "id"
			}
			return table, key, nil
		}
	}
	if s.tables["auth_user"] {
		return "auth_user", "id", nil
	}
	var like []string
	err = s.each(ctx, `SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c ON c.name IN ('id', 'password', 'last_login')
		WHERE t.type = 'table' GROUP BY t.name HAVING count(*) = 3`, nil, func(r row) error {
		like = append(like, r.text("name"))
		return nil
	})
	if err != nil || len(like) != 1 {
		return "", "", err
	}
	return like[0], "id", nil
}

// user returns the name of a user, and "" if it is not known.
func (s *site) user(ctx context.Context, id string) (string, error) {
	if id == "" || s.users == nil {
		return "", nil
	}
	if name, ok := s.names[id]; ok {
		return name, nil
	}
	var name sql.NullString
	if err := s.users.QueryRowContext(ctx, id).Scan(&name); err != nil && err != sql.ErrNoRows {
		return "", err
	}
	if len(s.names) >= maxNames {
		clear(s.names)
	}
	s.names[id] = visible(name.String)
	return s.names[id], nil
}

// columns returns the names of a table's columns.
func (s *site) columns(ctx context.Context, table string) (map[string]bool, error) {
	names := map[string]bool{}
	err := s.each(ctx, `SELECT name FROM pragma_table_info(?)`, []any{table}, func(r row) error {
		names[r.text("name")] = true
		return nil
	})
	return names, err
}

// count prepares telling progress by rows, in bytes of the file. A packed file
// has told it while it was unpacked.
func (s *site) count(ctx context.Context, in *Input) error {
	s.progress = func() {}
	if in.Packed || in.Path == "" || in.passed == nil {
		return nil
	}
	var done, total int64
	for _, table := range djangoTables {
		if !s.tables[table.name] {
			continue
		}
		var n int64
		if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM `+identifier(table.name)).Scan(&n); err != nil {
			return err
		}
		total += n
	}
	s.progress = func() {
		done++
		in.passed(int64(float64(in.Size) * float64(done) / float64(max(total, done))))
	}
	return nil
}

// slice is how many rows are read at a time, while the file is locked against
// writers.
const slice = 500

// read makes events of every row of a table.
func (s *site) read(ctx context.Context, table *djangoTable, emit func(Record) error) error {
	// All values come as text: the driver would read times by itself, and makes
	// year 1 of what it does not understand.
	var list []string
	key := "rowid"
	err := s.each(ctx, `SELECT name, pk FROM pragma_table_info(?)`, []any{table.name}, func(r row) error {
		list = append(list, `CAST(`+identifier(r.text("name"))+` AS TEXT) AS `+identifier(r.text("name")))
		if r.text("pk") == "1" {
			key = r.text("name")
		}
		return nil
	})
	if err != nil {
		return err
	}
	const place = "auditadmin rowid" // no column of Django is called so
	query := `SELECT CAST(rowid AS TEXT) AS ` + identifier(place) + `, ` + strings.Join(list, ", ") +
		` FROM ` + identifier(table.name) + ` WHERE rowid > ? ORDER BY rowid LIMIT ?`
	after := "-9223372036854775808"
	for {
		rows := 0
		err := s.each(ctx, query, []any{after, slice}, func(r row) error {
			rows++
			s.progress()
			after = r.text(place)
			id := r.text(key)
			if key == "rowid" {
				id = after
			}
			r = r[1:]
			name := table.name + ":" + id
			record := s.record(ctx, table, name, r)
			record.Row = name
			return emit(record)
		})
		if err != nil || rows < slice {
			return err
		}
	}
}

// record makes of one row what its table says.
func (s *site) record(ctx context.Context, table *djangoTable, name string, r row) Record {
	if size := r.size(); size > maxLine {
		return Record{Err: fmt.Errorf("the row has more than %d MiB", maxLine>>20)}
	}
	entry := &djangoEntry{site: s, table: table, row: r}
	if err := table.read(ctx, entry); err != nil {
		return Record{Err: err}
	}
	if entry.ignored != "" {
		return Record{Ignored: entry.ignored}
	}
	for i, e := range entry.events {
		e.EventID = name
		if i > 0 {
			e.EventID += ":" + itoa(i+1)
		}
		e.Source = "import:django:" + table.name
	}
	return Record{Events: entry.events}
}

// row is one row of a table: columns in their order.
type row []column

type column struct {
	name string
	text string
	null bool
}

// text returns the value of a column, and "" if it is NULL or not there.
func (r row) text(names ...string) string {
	for _, name := range names {
		for _, c := range r {
			if c.name == name && c.text != "" {
				return c.text
			}
		}
	}
	return ""
}

func (r row) size() int {
	n := 0
	for _, c := range r {
		n += len(c.text)
	}
	return n
}

// has reports whether there is a column of that name.
func (r row) has(name string) bool {
	for _, c := range r {
		if c.name == name {
			return true
		}
	}
	return false
}

// each calls fn with each row of a query.
func (s *site) each(ctx context.Context, query string, args []any, fn func(row) error) error {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]sql.NullString, len(names))
	targets := make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		r := make(row, len(names))
		for i, v := range values {
			r[i] = column{names[i], visible(v.String), !v.Valid}
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// identifier quotes the name of a table or column of somebody else's database.
func identifier(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
