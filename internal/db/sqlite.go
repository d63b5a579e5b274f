package db

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin/audit"
)

const (
	sqliteApplication = 0x61757469 // PRAGMA application_id of schema.sql: "auti"
	sqliteSchema      = 2          // PRAGMA user_version of schema.sql
)

// sqliteCheckpoint is at how many pages the log is written back. Rarer
// checkpoints rewrite a hot page once instead of twenty times.
const sqliteCheckpoint = "4000"

// sqliteWriteBack is of how many pages the log is written back beside the writer.
const sqliteWriteBack = 1000

// tooManyFiles says what to do where the system gives no more files.
const tooManyFiles = "too many files are open; raise the limit, as by ulimit -n"

// sqliteDialect is SQLite through mattn/go-sqlite3, built with FTS5.
type sqliteDialect struct{}

// The settings of both kinds of connection, and why:
//   - synchronous FULL: the driver's default, NORMAL, loses acknowledged commits
//     when the power goes.
//   - immediate transactions: one that reads first and writes later fails at
//     once when somebody else wrote meanwhile, whatever the busy timeout.
//   - hardly a busy timeout for the one that writes, since the driver looks for the
//     lock ever more rarely, and not at the context: writeTo tries again by itself.
//   - secure_delete: what is deleted is overwritten.
//   - mode rw: where the file was moved away, a connection that is opened anew
//     must not make another one.
var (
	sqliteWriter = url.Values{
		"_synchronous": {"FULL"}, "_txlock": {"immediate"}, "_busy_timeout": {"2"},
		"_foreign_keys": {"1"}, "_secure_delete": {"1"}, "_stmt_cache_size": {"64"}, "_mutex": {"no"}, "mode": {"rw"},
	}
	sqliteReader = url.Values{
		"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {"2000"}, "_stmt_cache_size": {"64"}, "_mutex": {"no"},
	}
)

func (sqliteDialect) open(ctx context.Context, path string, o Options) (writer, readers *sqlx.DB, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("find %s: %w", path, err)
	}
	fresh, err := sqliteInspect(abs, o)
	if err != nil {
		return nil, nil, err
	}
	if !o.ReadOnly {
		if writer, err = sqliteOpenWriter(ctx, abs, fresh, o); err != nil {
			return nil, nil, err
		}
	}
	readers, err = sqliteDialect{}.readers(ctx, abs, o)
	if err != nil {
		if writer != nil {
			writer.Close()
		}
		return nil, nil, fmt.Errorf("open %s for reading: %w", path, sqliteDialect{}.classify(err))
	}
	return writer, readers, nil
}

// near, replica, lag and superuser are nothing here: a file has one reader, its
// owner, and no copy that follows it.
func (sqliteDialect) near(context.Context, string, Options) (*sqlx.DB, error) { return nil, nil }
func (sqliteDialect) replica(context.Context, *sqlx.DB) (bool, error)         { return false, nil }
func (sqliteDialect) lag(context.Context, *sqlx.DB) (time.Duration, error)    { return 0, nil }
func (sqliteDialect) superuser(context.Context, *sqlx.Tx) error               { return nil }

func (sqliteDialect) readers(ctx context.Context, path string, o Options) (*sqlx.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	readers, err := sqliteOpenReaders(ctx, abs, sqliteReader)
	if err != nil && o.ReadOnly && sqliteAtRest(abs) {
		// A folder that cannot be written has no room for the log's index either.
		// Where there is no log, none is needed: the file is all there is.
		still := maps.Clone(sqliteReader)
		still.Set("immutable", "1")
		readers, err = sqliteOpenReaders(ctx, abs, still)
	}
	return readers, err
}

func sqliteOpenReaders(ctx context.Context, path string, settings url.Values) (*sqlx.DB, error) {
	readers := sqliteConnect(path, settings, []string{
		"PRAGMA cache_size = -4096", // KiB; the operating system's cache does the work, and memory is for columns
		"PRAGMA temp_store = MEMORY",
	}, "PRAGMA query_only", "1")
	readers.SetMaxOpenConns(max(2, runtime.NumCPU())) // more readers than cores only make each other slow
	readers.SetMaxIdleConns(max(2, runtime.NumCPU()))
	var version int
	if err := readers.GetContext(ctx, &version, "PRAGMA user_version"); err != nil {
		readers.Close()
		return nil, err
	}
	return readers, nil
}

// sqliteAtRest reports whether a database has no write-ahead log with anything
// in it.
func sqliteAtRest(path string) bool {
	info, err := os.Stat(path + "-wal")
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// sqliteInspect looks at a file before SQLite touches it, so that a file that
// is not ours is left exactly as it was. It reports whether there is nothing
// there yet.
func sqliteInspect(path string, o Options) (fresh bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if o.MustExist || o.ReadOnly {
			return false, fmt.Errorf("%s does not exist: name a database with --db, or make one with 'auditadmin serve': %w", path, fs.ErrNotExist)
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the database: %w", err)
	}
	defer f.Close()
	header := make([]byte, 100)
	n, err := io.ReadFull(f, header)
	if n == 0 && errors.Is(err, io.EOF) {
		return true, nil // an empty file, or one whose first commit is still in the log
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, fmt.Errorf("read the database: %w", err)
	}
	if n < len(header) || !bytes.HasPrefix(header, []byte("SQLite format 3\x00")) {
		if sqliteHalfMade(path) {
			return true, nil
		}
		return false, fmt.Errorf("%s is no SQLite database: %w; choose another file with --db", path, ErrForeign)
	}
	application, version := binary.BigEndian.Uint32(header[68:]), binary.BigEndian.Uint32(header[60:])
	if application != sqliteApplication {
		// Right after it was made, the schema may still be in the log alone.
		var tables int
		application, version, tables, err = sqliteProbe(path)
		if err != nil && sqliteHalfMade(path) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, sqliteDialect{}.classify(err))
		}
		if application == 0 && tables == 0 {
			return true, nil // empty, or being made by another program just now
		}
	}
	if application != sqliteApplication {
		return false, fmt.Errorf("%s is a SQLite database of another program: %w; choose another file with --db", path, ErrForeign)
	}
	if version > sqliteSchema {
		return false, fmt.Errorf("%s has schema version %d and this auditadmin knows up to %d: %w; use a newer auditadmin", path, version, sqliteSchema, ErrNewer)
	}
	if version < sqliteSchema && o.copying != 0 {
		return false, fmt.Errorf("%s is an older database: %w; name a file that is new or empty", path, ErrExists)
	}
	if version < sqliteSchema && o.ReadOnly {
		return false, fmt.Errorf("%s has schema version %d and has to be brought to %d first: %w; 'auditadmin serve' does that", path, version, sqliteSchema, ErrReadOnly)
	}
	return false, nil
}

// sqliteHalfMade reports whether the power went while SQLite wrote the first page
// of a new file: the journal beside it says that there was no page before, so that
// SQLite takes back whatever is there now.
func sqliteHalfMade(path string) bool {
	f, err := os.Open(path + "-journal")
	if err != nil {
		return false
	}
	defer f.Close()
	header := make([]byte, 20)
	if _, err := io.ReadFull(f, header); err != nil {
		return false
	}
	return bytes.HasPrefix(header, []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")) && binary.BigEndian.Uint32(header[16:]) == 0
}

// sqliteProbe asks SQLite itself what a file is, log and all, without writing to
// it. A file that is just being made may look torn for a moment.
func sqliteProbe(path string) (application, version uint32, tables int, err error) {
	for range 10 {
		if application, version, tables, err = sqliteProbeOnce(path); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return application, version, tables, err
}

func sqliteProbeOnce(path string) (application, version uint32, tables int, err error) {
	settings := url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {"2000"}}
	if sqliteAtRest(path) {
		settings.Set("immutable", "1")
	}
	db := sqliteConnect(path, settings, nil, "PRAGMA query_only", "1")
	defer db.Close()
	tx, err := db.Beginx() // one moment: with tables, and without what names them, it would be another program's
	if err != nil {
		return 0, 0, 0, err
	}
	defer tx.Rollback()
	err = errors.Join(
		tx.Get(&application, "PRAGMA application_id"),
		tx.Get(&version, "PRAGMA user_version"),
		tx.Get(&tables, "SELECT count(*) FROM sqlite_master"))
	return application, version, tables, err
}

func sqliteOpenWriter(ctx context.Context, path string, fresh bool, o Options) (*sqlx.DB, error) {
	if fresh {
		// Before SQLite would, since it makes files that everybody may read.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("create the database: %w", err)
		}
		f.Close()
	} else if f, err := os.OpenFile(path, os.O_RDWR, 0); errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return nil, fmt.Errorf("%s: %w: %s (%w)", path, ErrReadOnly, tooManyFiles, err)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w; give this user write access to the file and its folder (%w)", path, ErrReadOnly, err)
	} else {
		f.Close()
	}
	settings, synchronous := sqliteWriterSettings(o)
	writer := sqliteConnect(path, settings, []string{
		// Of a fresh file alone, and before its log: an event is about 600 bytes, of
		// which twice as many fit into twice the page with half the rest left over.
		"PRAGMA page_size = 8192",
		"PRAGMA journal_mode = WAL",
		"PRAGMA cache_size = -16384",
		"PRAGMA wal_autocheckpoint = " + sqliteCheckpoint,
	}, "PRAGMA synchronous", synchronous)
	writer.SetMaxOpenConns(1)
	// Turning to a write-ahead log does not wait for others that open the file at
	// the same time, whatever the busy timeout.
	err := sqliteCreate(ctx, writer, o.Schema)
	for deadline := time.Now().Add(writeDeadline); errors.Is(sqliteDialect{}.classify(err), ErrBusy) && time.Now().Before(deadline) && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
		err = sqliteCreate(ctx, writer, o.Schema)
	}
	if err == nil {
		err = sqliteUpgrade(ctx, path, o.Schema, o.Now)
	}
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open %s: %w", path, sqliteDialect{}.classify(err))
	}
	return writer, nil
}

// sqliteWriterSettings returns the settings of a connection that writes, and what
// PRAGMA synchronous has to say then.
func sqliteWriterSettings(o Options) (settings url.Values, synchronous string) {
	settings, synchronous = maps.Clone(sqliteWriter), "2"
	if o.Invented {
		settings.Set("_synchronous", "OFF")
		synchronous = "0"
	}
	return settings, synchronous
}

// sqliteCreate makes the schema in a database that has none. Two programs may
// try at once: the second one finds it made.
func sqliteCreate(ctx context.Context, writer *sqlx.DB, schema string) error {
	var application int64
	if err := writer.GetContext(ctx, &application, "PRAGMA application_id"); err != nil {
		return err
	}
	if application == sqliteApplication {
		return nil
	}
	tx, err := writer.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := tx.GetContext(ctx, &application, "PRAGMA application_id"); err != nil {
		return err
	}
	if application == sqliteApplication {
		return nil
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('mask_key', ?)", hex.EncodeToString(key)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)") // so that the file names itself ours from now on
	return err
}

// sqliteConnector opens connections that have their settings, or fail: a
// setting that silently did not take would cost acknowledged events.
type sqliteConnector struct {
	dsn    string
	driver *sqlite3.SQLiteDriver
}

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c sqliteConnector) Driver() driver.Driver                        { return c.driver }

func sqliteConnect(path string, settings url.Values, pragmas []string, assert, want string) *sqlx.DB {
	hook := func(conn *sqlite3.SQLiteConn) error {
		for _, p := range pragmas {
			if _, err := conn.Exec(p, nil); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
		rows, err := conn.Query(assert, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", assert, err)
		}
		defer rows.Close()
		got := make([]driver.Value, 1)
		if err := rows.Next(got); err != nil {
			return fmt.Errorf("%s: %w", assert, err)
		}
		if s := fmt.Sprint(got[0]); s != want {
			return fmt.Errorf("%s is %s and must be %s", assert, s, want)
		}
		return nil
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}
	pool := sql.OpenDB(sqliteConnector{dsn.String(), &sqlite3.SQLiteDriver{ConnectHook: hook}})
	return sqlx.NewDb(pool, "sqlite3")
}

// EngineVersion names the engine this program brings with it, and its version.
func EngineVersion() string {
	v, _, _ := sqlite3.Version()
	return "SQLite " + v
}

func (sqliteDialect) version(ctx context.Context, db *sqlx.DB) (string, error) {
	var v string
	err := db.GetContext(ctx, &v, "SELECT sqlite_version()")
	return "SQLite " + v, err
}

func (sqliteDialect) classify(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.SystemErrno == syscall.ENOSPC || e.SystemErrno == syscall.EDQUOT {
		return fmt.Errorf("%w; make room (%w)", ErrFull, err)
	}
	if e.SystemErrno == syscall.EMFILE || e.SystemErrno == syscall.ENFILE {
		return fmt.Errorf("%w: %s (%w)", ErrReadOnly, tooManyFiles, err)
	}
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fmt.Errorf("%w by another program; try again (%w)", ErrBusy, err)
	case sqlite3.ErrFull:
		return fmt.Errorf("%w; make room (%w)", ErrFull, err)
	case sqlite3.ErrIoErr:
		return fmt.Errorf("%w; look at the disk and at the log of the system (%w)", ErrDisk, err)
	case sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrCantOpen:
		return fmt.Errorf("%w; check the rights on the file and its folder (%w)", ErrReadOnly, err)
	case sqlite3.ErrCorrupt:
		return fmt.Errorf("%w; go back to a backup, or keep with 'auditadmin salvage' what can be read (%w)", ErrDamaged, err)
	case sqlite3.ErrNotADB:
		return fmt.Errorf("%w (%w)", ErrForeign, err)
	}
	return err
}

func (sqliteDialect) among(column string, ids []int64) (string, []any) {
	return column + " IN (SELECT value FROM json_each(?))", []any{string(jsonNumbers(ids))}
}

func (sqliteDialect) bounds(string, int64, int64) (string, []any) { return "", nil }

// A row that is larger than a page goes on on pages of its own, and fills them.
func (sqliteDialect) partPages() int { return 2 }

func (sqliteDialect) list(numbers []int64) (string, any) {
	return "json_each(?)", string(jsonNumbers(numbers))
}

func (sqliteDialect) partsAtOnce() int { return 1 }

func (sqliteDialect) derived(context.Context, *sqlx.Tx) error { return nil }
func (sqliteDialect) contended() bool                         { return false }
func (sqliteDialect) scattered() bool                         { return false }

func jsonNumbers(numbers []int64) []byte {
	list := make([]byte, 0, 20*len(numbers)+2)
	list = append(list, '[')
	for i, n := range numbers {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, n, 10)
	}
	return append(list, ']')
}

// joined casts, since || makes text even of blobs; that leaves their bytes.
func (sqliteDialect) joined(a, b string) string { return "CAST(" + a + " || " + b + " AS BLOB)" }

func (sqliteDialect) head(ctx context.Context, tx *sqlx.Tx) (h ledgerHead, err error) {
	err = tx.QueryRowxContext(ctx, "SELECT seq, recorded_at FROM ledger ORDER BY seq DESC LIMIT 1").Scan(&h.seq, &h.recordedAt)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return h, err
}

// What follows is nothing to do for a file that this program writes by itself.

func (sqliteDialect) advance(*writeTx) error { return nil }

func (sqliteDialect) settle(_ context.Context, _ *sqlx.DB, _ ledgerHead, _ *writeTx, err error) error {
	return err
}

func (sqliteDialect) makeRoom(context.Context, *sqlx.DB, []*audit.Event)         {}
func (sqliteDialect) makeRoomFor(context.Context, *sqlx.DB, audit.Kind, []int64) {}
func (sqliteDialect) inOrder(context.Context, *sqlx.Tx) error                    { return nil }
func (sqliteDialect) survey(context.Context, *sqlx.DB, []*wholeTable)            {}

func (sqliteDialect) parts(context.Context, sqlx.QueryerContext, audit.Kind) ([]tablePart, error) {
	return nil, nil
}

func (sqliteDialect) apart(context.Context) (*apart, error) { return nil, nil }

func (sqliteDialect) lockPart(context.Context, *sqlx.Tx, audit.Kind, tablePart) (h ledgerHead, err error) {
	return h, nil
}

func (sqliteDialect) placePurges(*writeTx, int64) error { return nil }

func (sqliteDialect) dropPart(context.Context, *sqlx.Tx, audit.Kind, tablePart) error { return nil }

func (sqliteDialect) unplaced(context.Context, sqlx.QueryerContext) (map[audit.Kind]Unplaced, error) {
	return nil, nil
}

func (sqliteDialect) gathers() bool                             { return false }
func (sqliteDialect) copyIn(*writeTx, *rowBuffer) (bool, error) { return false, nil }
func (sqliteDialect) warnings() []string                        { return nil }
func (sqliteDialect) embedded() bool                            { return true }

func (sqliteDialect) place(path string, _ Options) (name, beside string, err error) {
	return path, path, nil
}

func (sqliteDialect) storage(_ context.Context, _ *sqlx.DB, beside string) (files []FileHealth, free, size int64, err error) {
	files, err = filesBeside(beside)
	free, size = diskSpace(filepath.Dir(beside))
	return files, free, size, err
}

// sqliteLong is of how many bytes a row is not joined with others, so that the text
// stays small.
const sqliteLong = 16384

func (sqliteDialect) inOne(kind audit.Kind, names []string, condition string) (string, bool) {
	// Inside stands what is computed once and used twice; SQLite would repeat it
	// but for the LIMIT, and order nothing.
	return "SELECT count(*), ifnull(sum(octet_length(body) > " + strconv.Itoa(sqliteLong) + "), 0), ifnull(group_concat(CASE WHEN octet_length(body) <= " + strconv.Itoa(sqliteLong) +
		" THEN body ELSE concat(id, char(0), char(0)) END, ''), '') FROM (SELECT e.id, " + sqliteJoined(kind, names) + " AS body FROM " + string(kind) + " e WHERE " + condition +
		" ORDER BY e.id DESC LIMIT " + strconv.Itoa(joinedMost) + ")", true
}

// sqliteJoined is the expression for columns of a kind as one text. What may be NULL is
// made to be nothing: concat_ws would pass over it.
func sqliteJoined(kind audit.Kind, names []string) string {
	var joined strings.Builder
	joined.WriteString("concat_ws(char(0)")
	for _, name := range names {
		if sqliteNullable(kind, strings.TrimPrefix(name, "e.")) {
			name = "ifnull(" + name + ", '')"
		}
		joined.WriteString(", " + name)
	}
	joined.WriteString(", '')")
	return joined.String()
}

// sqliteNullable is whether a column of schema.sql may be NULL.
func sqliteNullable(kind audit.Kind, name string) bool {
	at := kind.Index(name)
	if at < 0 {
		return name == "event_id"
	}
	switch kind.Fields()[at].Type {
	case audit.JSON, audit.Time, audit.Integer:
		return true
	}
	return false
}

// scrub writes the log back into the file, where secure_delete has overwritten
// the rows, and empties it. A page that is being read can keep it from that.
func (sqliteDialect) scrub(ctx context.Context, writer *sqlx.DB) (bool, error) {
	conn, err := writer.Connx(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	var busy, pages, moved int
	_, err = conn.ExecContext(ctx, "PRAGMA busy_timeout = 250")
	if err == nil {
		err = conn.QueryRowxContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	}
	_, after := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout = "+sqliteWriter.Get("_busy_timeout"))
	return busy == 0, errors.Join(err, after)
}

func (sqliteDialect) side(ctx context.Context, path string, o Options) (*sqlx.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	settings, synchronous := sqliteWriterSettings(o)
	settings.Set("_busy_timeout", "250") // nobody waits for it
	side := sqliteConnect(abs, settings, []string{"PRAGMA wal_autocheckpoint = 0"}, "PRAGMA synchronous", synchronous)
	side.SetMaxOpenConns(1)
	if err := side.PingContext(ctx); err != nil {
		side.Close()
		return nil, err
	}
	return side, nil
}

func (sqliteDialect) losses() int64 { return 0 }

func (sqliteDialect) writeBack(ctx context.Context, side *sqlx.DB) error {
	var busy, pages, moved int
	err := side.QueryRowxContext(ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &pages, &moved)
	if err != nil || pages-moved < sqliteWriteBack {
		return err
	}
	return side.QueryRowxContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &moved)
}

func (sqliteDialect) growth(ctx context.Context, writer *sqlx.DB, path string) (int64, error) {
	var pages, size int64
	if err := errors.Join(writer.GetContext(ctx, &pages, "PRAGMA page_count"), writer.GetContext(ctx, &size, "PRAGMA page_size")); err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return max(0, pages*size-info.Size()), nil
}

func (sqliteDialect) pauseLog(ctx context.Context, writer *sqlx.DB, pause bool) error {
	pages := sqliteCheckpoint
	if pause {
		pages = "0"
	}
	_, err := writer.ExecContext(ctx, "PRAGMA wal_autocheckpoint = "+pages)
	return err
}
