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

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
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
func sqliteUpgrade(ctx context.Context, path, schema string, now func() time.Time) error {
	settings := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_txlock": {"immediate"}, "_busy_timeout": {"250"}, "_secure_delete": {"1"}}
	writer := sqliteConnect(path, settings, []string{"PRAGMA writable_schema = ON"}, "PRAGMA synchronous", "2")
	defer writer.Close()
	writer.SetMaxOpenConns(1)
	for wait := time.Now().Add(writeDeadline); ; {
		done, err := sqliteUpgradeOnce(ctx, writer, schema, now)
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
func sqliteUpgradeOnce(ctx context.Context, writer *sqlx.DB, schema string, now func() time.Time) (done bool, err error) {
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
		if done, err = upgradeLedger(ctx, tx, mark); err == nil && done {
			err = errors.Join(upgradeStates(ctx, tx, now()), upgradeGuards(ctx, tx, model))
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

// oldEntry is an entry of a ledger that had no leaves.
type oldEntry struct {
	Seq        int64
	Entry      evidence.Entry
	Kind       audit.Kind
	ID         int64
	RecordedAt string `db:"recorded_at"`
	Actor      string
	Note       string
}

// upgradeLedger is one slice of step 2: it gives the entries of the ledger after
// mark, and their events, what those of version 2 have. An event vouches from
// now on for what it says now; of one that was deleted before, its place is all
// that is known.
func upgradeLedger(ctx context.Context, tx *sqlx.Tx, mark string) (done bool, err error) {
	after, err := strconv.ParseInt(mark, 10, 64)
	if err != nil {
		return false, fmt.Errorf("the mark of the upgrade: %w", err)
	}
	var entries []oldEntry
	if err := tx.SelectContext(ctx, &entries, "SELECT seq, entry, kind, id, recorded_at, coalesce(actor, '') AS actor, coalesce(note, '') AS note"+
		" FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", after, upgradeSlice); err != nil || len(entries) == 0 {
		return true, err
	}
	for _, e := range entries {
		leaf, subject, err := e.upgrade(ctx, tx)
		if err != nil {
			return false, fmt.Errorf("entry %d of the ledger: %w", e.Seq, err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE ledger SET leaf = ?, subject = ? WHERE seq = ?", leaf[:], subject, e.Seq); err != nil {
			return false, err
		}
	}
	_, err = tx.ExecContext(ctx, "UPDATE meta SET value = ? WHERE key = 'upgrade'", strconv.FormatInt(entries[len(entries)-1].Seq, 10))
	return false, err
}

// upgrade returns the leaf of an old entry and the subject it vouches for, which
// is nil where there is none, and gives an event its seed.
func (e *oldEntry) upgrade(ctx context.Context, tx *sqlx.Tx) (leaf evidence.Hash, subject []byte, err error) {
	t := tables[e.Kind]
	if t == nil {
		return leaf, nil, fmt.Errorf("it is about %q, which is no kind of event", e.Kind)
	}
	st, err := t.scan(tx.QueryRowxContext(ctx, t.byID, e.ID))
	gone := errors.Is(err, sql.ErrNoRows)
	if err != nil && !gone {
		return leaf, nil, err
	}
	if e.Entry == evidence.Created {
		if gone || st.Seq != e.Seq {
			return evidence.Unknown(string(e.Kind), e.ID, e.Seq, e.RecordedAt), nil, nil
		}
		committed, err := commitAll([]*audit.Event{st.Event})
		if err != nil {
			return leaf, nil, err
		}
		_, err = tx.ExecContext(ctx, "UPDATE "+string(e.Kind)+" SET seed = ? WHERE id = ?", committed[0].AppendSeed(nil), e.ID)
		return committed[0].Leaf(e.ID, e.Seq, e.RecordedAt), nil, err
	}
	d := evidence.Decision{Entry: e.Entry, Kind: string(e.Kind), ID: e.ID, Seq: e.Seq, RecordedAt: e.RecordedAt, Actor: e.Actor, Note: e.Note}
	if e.Entry == evidence.Deleted {
		d.Subject, err = upgradeTombstone(ctx, tx, e)
	} else if !gone {
		// Of a state that another one followed nothing is left but its entry.
		var later int
		err = tx.GetContext(ctx, &later, "SELECT count(*) FROM ledger WHERE kind = ? AND id = ? AND entry <> 'created' AND seq > ?", e.Kind, e.ID, e.Seq)
		if state, _ := stateOf(e.Kind, st.Values()); later == 0 {
			d.Subject = stateSubject(e.Kind, state...)
		}
	}
	return d.Leaf(), d.Subject[:], err
}

func upgradeTombstone(ctx context.Context, tx *sqlx.Tx, e *oldEntry) (evidence.Hash, error) {
	var t struct {
		Seq         int64
		Timestamp   string
		EventIDHash []byte `db:"event_id_hash"`
		DeletedAt   string `db:"deleted_at"`
		DeletedBy   string `db:"deleted_by"`
		Reason      string
	}
	if err := tx.GetContext(ctx, &t, "SELECT seq, timestamp, event_id_hash, deleted_at, deleted_by, reason FROM tombstone WHERE kind = ? AND id = ?", e.Kind, e.ID); err != nil {
		return evidence.Hash{}, fmt.Errorf("read the tombstone of %s %d: %w", e.Kind, e.ID, err)
	}
	gone, err := (&writeTx{Tx: tx, ctx: ctx}).gone(e.Kind, e.ID, t.Seq)
	return tombstoneSubject(e.Kind, e.ID, t.Seq, t.Timestamp, t.EventIDHash, t.DeletedAt, t.DeletedBy, t.Reason, gone), err
}

// upgradeStates gives the events that came with a state, such as an import's
// resolved ones, the entry of the ledger that vouches for it.
func upgradeStates(ctx context.Context, tx *sqlx.Tx, now time.Time) error {
	w := &writeTx{Tx: tx, ctx: ctx, now: now.UTC().Truncate(time.Microsecond)}
	var last string
	if err := tx.QueryRowxContext(ctx, "SELECT seq, recorded_at FROM ledger ORDER BY seq DESC LIMIT 1").Scan(&w.seq, &last); errors.Is(err, sql.ErrNoRows) {
		return nil // an empty one
	} else if err != nil {
		return err
	}
	if t, err := audit.ParseTime(last); err == nil && t.After(w.now) {
		w.now = t
	}
	for kind, some := range map[audit.Kind]string{
		audit.KindSystemEvent: "(e.resolved OR e.resolved_at IS NOT NULL OR e.resolved_by <> '' OR e.resolution_note <> '')",
		audit.KindDataExport:  "e.download_count IS NOT NULL",
	} {
		t := tables[kind]
		var news []stateNews
		err := eachRow(ctx, tx, "SELECT "+t.columns+" FROM "+string(kind)+" e WHERE "+some+
			" AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.kind = ? AND l.id = e.id AND l.entry <> 'created') ORDER BY e.seq", []any{kind},
			func(row scanner) error {
				st, err := t.scan(row)
				if err == nil {
					state, _ := stateOf(kind, st.Values())
					news = append(news, stateNews{st.ID, st.Event, state})
				}
				return err
			})
		if err != nil {
			return err
		}
		for _, n := range news {
			if err := w.tellState(n); err != nil {
				return err
			}
		}
	}
	return nil
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
