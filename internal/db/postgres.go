package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

//go:embed postgres.sql
var postgresSchema string

const (
	pgVersion = 1       // meta 'schema' of postgres.sql
	pgLeast   = 150_000 // the oldest server, as server_version_num says it
	pgLock    = 0x61756469 << 8
)

// The advisory locks: each is held by one server at a time.
const (
	pgLockSchema     = pgLock + iota // who creates or upgrades the schema
	pgLockPartitions                 // who makes or drops partitions
	pgLockPurge                      // who prepares that a partition is dropped
	pgLockCommit                     // who commits on the machines of a cluster
)

// postgresDialect is PostgreSQL 15 or newer through pgx.
type postgresDialect struct {
	config *pgx.ConnConfig
	writes bool // the address asks for a server that takes writes
	pulse  *pgPulse
	texts  *pgTexts
	trace  func(string)
	months *pgMonths
	queue  pgQueue

	cluster  bool // the tables of events are on the machines of a Citus cluster
	invented bool
	patience time.Duration // with readers of a part that is to be dropped
	mu       sync.Mutex
	warning  []string
	roles    pgRoles // that connections take
}

func newPostgresDialect(address string, o Options) (*postgresDialect, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("read the address of the database: %w", err) // which names no password
	}
	if config.Database == "" {
		config.Database = config.User
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = Self
	}
	return &postgresDialect{config: config, writes: asksForWrites(address), pulse: newPgPulse(), texts: &pgTexts{}, trace: o.Trace, months: newPgMonths(),
		invented: o.Invented, patience: 15 * time.Second}, nil
}

func (*postgresDialect) embedded() bool { return false }

// place names the server and the database, without a password, and gives what lies
// beside it a name in the state folder.
func (d *postgresDialect) place(_ string, o Options) (name, beside string, err error) {
	host, port := d.config.Host, strconv.Itoa(int(d.config.Port))
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(host, port), Path: "/" + d.config.Database, User: url.User(d.config.User)}
	more := url.Values{}
	if strings.HasPrefix(host, "/") {
		u.Host, more["host"], more["port"] = "", []string{host}, []string{port}
	}
	if schema := d.config.RuntimeParams["search_path"]; schema != "" {
		more.Set("search_path", schema)
	}
	u.RawQuery = more.Encode()
	folder := o.StateDir
	if folder == "" {
		if folder, err = stateFolder(); err != nil {
			return "", "", err
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", "", fmt.Errorf("make the folder for what is kept beside the database: %w; name another one with --state-dir", err)
	}
	file := host + "-" + port + "-" + d.config.Database
	if schema := d.config.RuntimeParams["search_path"]; schema != "" {
		file += "-" + schema
	}
	return u.String(), filepath.Join(folder, fileName(file)), nil
}

// stateFolder is where programs of this user keep what they need again.
func stateFolder() (string, error) {
	if folder := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(folder) {
		return filepath.Join(folder, Self), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for what is kept beside the database: %w; name one with --state-dir", err)
	}
	return filepath.Join(home, ".local", "state", Self), nil
}

// fileName makes a name that every file system takes, and two names of two.
func fileName(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "_%x_", r)
		}
	}
	return strings.TrimLeft(b.String(), ".")
}

// How a session waits. A writer waits for the lock of the ledger's head, which
// every writer holds for a few milliseconds; one that fell silent while it held it
// is ended by the server. A reader is ended a little before the answer would be.
// No statement of a writer is: a commit that waits for a replica would be done then.
const (
	pgLockWait    = "3s"
	pgSilence     = "4s"
	pgReaderLimit = "55s"
)

// How long a connection waits for a word of the server, which is longer than any of
// its sessions takes for one.
const (
	pgWriterPatience = 4 * time.Second
	pgPatience       = time.Minute
)

// pool opens connections with settings of their own, as a role where that is not
// "", which wait for the server so long. A transaction on those that can only read is
// one snapshot.
func (d *postgresDialect) pool(size int, role string, patience time.Duration, settings map[string]string) *sqlx.DB {
	config := d.config.Copy()
	if role != "" {
		config.RuntimeParams["role"] = role
	}
	for name, value := range settings {
		config.RuntimeParams[name] = value
	}
	reads := settings["default_transaction_read_only"] == "on"
	if reads && d.writes { // such a session never takes writes
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	config.OnNotice = keepWarning
	config.DialFunc = d.pulse.dial(config.DialFunc, patience)
	connector := stdlib.GetConnector(*config, stdlib.OptionAfterConnect(durable))
	opened := pgConnector{Connector: connector, trace: d.trace, texts: d.texts, pulse: d.pulse, reads: reads}
	if reads {
		opened.begin = pgSnapshot
		if d.cluster {
			opened.begin = pgClusterSnapshot
		}
	}
	pool := sql.OpenDB(opened)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return sqlx.NewDb(pool, "postgres") // its name is for sqlx, which binds nothing here
}

// The settings of all sessions, and why:
//   - a plan is made for the values at hand: the months that a list of ids is in
//     are known then, and no other is so much as locked.
//   - no plan reads a whole table to join it: all that is joined here is a few
//     rows by their keys, and a plan that turns with the statistics would make a
//     page of milliseconds one of seconds.
//   - a session whose program is gone with its machine is ended after some ten
//     seconds, whatever it does just then: it may hold the lock that all wait for.
//   - nothing is compiled or done by several: no statement runs long enough for that.
var pgSession = map[string]string{
	"timezone": "UTC", "client_encoding": "UTF8", "plan_cache_mode": "force_custom_plan",
	"enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off", "max_parallel_workers_per_gather": "0",
	"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
}

func pgSettings(more ...string) map[string]string {
	all := map[string]string{}
	for name, value := range pgSession {
		all[name] = value
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func (d *postgresDialect) writer(o Options, patience time.Duration) *sqlx.DB {
	settings := pgSettings("default_transaction_isolation", "read committed", "lock_timeout", pgLockWait, "statement_timeout", "0",
		"idle_in_transaction_session_timeout", pgSilence)
	if o.Invented {
		settings["synchronous_commit"] = "off"
	}
	return d.pool(1, d.roles.append, patience, settings)
}

func (d *postgresDialect) open(ctx context.Context, path string, o Options) (writer, readers *sqlx.DB, err error) {
	fail := func(err error) (*sqlx.DB, *sqlx.DB, error) {
		if writer != nil {
			writer.Close()
		}
		if readers != nil {
			readers.Close()
		}
		name, _, _ := d.place(path, o)
		return nil, nil, fmt.Errorf("open %s: %w", name, d.classify(err))
	}
	if err := d.look(ctx, o); err != nil {
		return fail(err)
	}
	if !o.ReadOnly {
		writer = d.writer(o, pgWriterPatience)
		if err := pgWritable(ctx, writer); err != nil {
			return fail(err)
		}
		d.months.byFunction = d.roles.append != ""
		if err := d.months.ahead(ctx, writer, o.Now()); err != nil {
			return fail(err)
		}
	}
	if readers, err = d.readers(ctx, path, o); err != nil {
		return fail(err)
	}
	return writer, readers, nil
}

// pgWritable says why nothing could be written.
func pgWritable(ctx context.Context, db *sqlx.DB) error {
	var replica, closed, right bool
	if err := db.QueryRowxContext(ctx, "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', has_table_privilege('head', 'UPDATE')").Scan(&replica, &closed, &right); err != nil {
		return err
	}
	switch {
	case replica:
		return ErrReplica
	case closed:
		return fmt.Errorf("%w: its transactions may only read (default_transaction_read_only)", ErrReadOnly)
	case !right:
		return fmt.Errorf("%w: its role may only read", ErrReadOnly)
	}
	return nil
}

// durable sees to it that a commit is on the disk when it is acknowledged, whatever
// the server's own setting is; where that asks for more, it stays.
func durable(ctx context.Context, c *pgx.Conn) (err error) {
	defer func() {
		if err != nil {
			_ = c.Close(ctx) // nobody else does
		}
	}()
	if c.Config().RuntimeParams["synchronous_commit"] != "" || c.Config().RuntimeParams["default_transaction_read_only"] == "on" {
		return nil
	}
	var found string
	if err = c.QueryRow(ctx, "SELECT current_setting('synchronous_commit')").Scan(&found); err != nil || found != "off" {
		return err
	}
	_, err = c.Exec(ctx, "SET synchronous_commit = on")
	return err
}

// pgSnapshot begins a transaction that sees one state of all tables. Which months a
// table has is no part of a snapshot: a reader finds the ones that there are when he
// locks the table. So he locks the tables first, and whoever takes a month away, or
// moves its rows, locks them against readers: then the months and the rows that
// he sees belong together. His snapshot is made right then, by a statement that locks
// another table after it: there the session hears of every month that was made before
// the snapshot. A statement by itself has its snapshot made after its tables are
// locked, but only where it may read what was committed while it waited.
var pgSnapshot = func() string {
	var tables []string
	for _, kind := range audit.Kinds() {
		tables = append(tables, "ONLY "+string(kind))
	}
	return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE " + strings.Join(tables, ", ") + " IN ACCESS SHARE MODE; SELECT FROM ledger LIMIT 0"
}()

// pgClusterSnapshot is pgSnapshot for a cluster. What is committed there is seen on the
// coordinator first, with the ledger, and then on the other machines, one after
// another: a reader who has seen the ledger waits until what he has seen in it is
// everywhere, before he asks the others for anything, which is when their snapshots
// are made. They may show more than the ledger says, which is sorted out by seq. To
// lock the tables would ask them before, so that a reader may miss what is just
// taken away with its month.
var pgClusterSnapshot = func() string {
	lock := strconv.FormatInt(pgLockCommit, 10)
	return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT FROM ledger LIMIT 0; SELECT pg_advisory_lock_shared(" + lock + "), pg_advisory_unlock_shared(" + lock + ")"
}()

// pgReaders is how many connections read at a time, for pages and beside them.
const pgReaders = 8

func (d *postgresDialect) readers(ctx context.Context, _ string, _ Options) (*sqlx.DB, error) {
	return d.readersAs(ctx, d.roles.read)
}

// near opens readers that may read who may sign in, where the others may not.
func (d *postgresDialect) near(ctx context.Context, _ string, _ Options) (*sqlx.DB, error) {
	if d.roles.read == "" {
		return nil, nil
	}
	return d.readersAs(ctx, d.roles.append) // or as the login, which may have been granted that
}

func (d *postgresDialect) readersAs(ctx context.Context, role string) (*sqlx.DB, error) {
	readers := d.pool(pgReaders, role, pgPatience, pgSettings("default_transaction_isolation", "read committed", "default_transaction_read_only", "on",
		"statement_timeout", pgReaderLimit, "idle_in_transaction_session_timeout", "2min"))
	if err := readers.PingContext(ctx); err != nil {
		readers.Close()
		return nil, err
	}
	return readers, nil
}

func (d *postgresDialect) side(ctx context.Context, _ string, o Options) (*sqlx.DB, error) {
	side := d.writer(o, pgPatience)
	if err := side.PingContext(ctx); err != nil {
		side.Close()
		return nil, err
	}
	return side, nil
}

// look finds out what there is and which roles to take, on a connection of its own.
func (d *postgresDialect) look(ctx context.Context, o Options) error {
	login := d.pool(1, "", pgPatience, pgSettings("lock_timeout", pgLockWait, "statement_timeout", "0"))
	defer login.Close()
	version, err := d.examine(ctx, login)
	if err != nil {
		return err
	}
	if o.copying != 0 { // which takes the owner's rights
		return d.inspect(ctx, login, o)
	}
	if d.roles, err = findRoles(ctx, login, version); err != nil {
		return err
	}
	if d.roles.read == "" {
		return d.inspect(ctx, login, o)
	}
	reader := d.pool(1, d.roles.read, pgPatience, pgSettings("statement_timeout", "0"))
	defer reader.Close()
	return d.inspect(ctx, reader, o)
}

// inspect looks at what there is, creates the schema where there is nothing, and
// refuses what is not ours.
func (d *postgresDialect) inspect(ctx context.Context, db *sqlx.DB, o Options) error {
	there, err := pgState(ctx, db)
	if err != nil {
		return err
	}
	if there == pgEmpty {
		switch {
		case o.ReadOnly || o.MustExist:
			return fmt.Errorf("there is nothing in it yet: make it with 'auditadmin serve': %w", fs.ErrNotExist)
		default:
			if err := d.create(ctx, db); err != nil {
				return err
			}
		}
	}
	d.cluster, err = isDistributed(ctx, db, string(audit.KindAuditLog))
	return err
}

// examine reads what the server is and how careful.
func (d *postgresDialect) examine(ctx context.Context, db *sqlx.DB) (version int, err error) {
	var fsync, pages, commit string
	err = db.QueryRowxContext(ctx, "SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes'),"+
		" coalesce((SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), '')").Scan(&version, &fsync, &pages, &commit)
	if err != nil {
		return 0, err
	}
	if version < pgLeast {
		return 0, fmt.Errorf("the server is PostgreSQL %d.%d, and this auditadmin needs 15 or newer", version/10000, version%10000)
	}
	var found []string
	if fsync == "off" {
		found = append(found, "the server runs with fsync = off: when its machine fails, events that were acknowledged are lost and the database may be damaged")
	}
	if pages == "off" {
		found = append(found, "the server runs with full_page_writes = off: when its machine fails, the database may be damaged")
	}
	if commit == "off" {
		found = append(found, "the server's synchronous_commit is off: what others write there may be lost; auditadmin switches it on for itself")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.warning = found
	return version, nil
}

func (d *postgresDialect) warnings() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.warning
}

// What there can be where the tables are looked for.
const (
	pgEmpty = iota
	pgOurs
)

// pgState says what there is, or why it cannot be used.
func pgState(ctx context.Context, q sqlx.QueryerContext) (state int, err error) {
	var schema sql.NullString
	var tables, meta int
	err = q.QueryRowxContext(ctx, `
		SELECT current_schema(), count(*), count(*) FILTER (WHERE c.relname = 'meta')
		FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind IN ('r', 'p')
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`).Scan(&schema, &tables, &meta)
	switch {
	case err != nil:
		return pgEmpty, err
	case !schema.Valid:
		return pgEmpty, errors.New("none of the schemas of the search path exists; create one, or name one with ?search_path=NAME")
	case tables == 0:
		return pgEmpty, nil
	}
	foreign := fmt.Errorf("the schema %s holds tables of another program: %w; name another database, or a schema with ?search_path=NAME", schema.String, ErrForeign)
	if meta == 0 {
		return pgEmpty, foreign
	}
	marks := map[string]string{}
	err = eachRow(ctx, q, "SELECT key, value FROM meta WHERE key IN ('application', 'schema')", nil, func(row scanner) error {
		var key, value string
		err := row.Scan(&key, &value)
		marks[key] = value
		return err
	})
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42703" || err == nil && marks["application"] != Self { // no such column
		return pgEmpty, foreign
	}
	if err != nil {
		return pgEmpty, err
	}
	version, err := strconv.Atoi(marks["schema"])
	if err != nil || version > pgVersion {
		return pgEmpty, fmt.Errorf("it has schema version %s and this auditadmin knows up to %d: %w; use a newer auditadmin", marks["schema"], pgVersion, ErrNewer)
	}
	return pgOurs, nil
}

// create makes the schema. Servers may try at once: the second one finds it made.
func (d *postgresDialect) create(ctx context.Context, db *sqlx.DB) error {
	tx, conn, end, err := beginWrite(ctx, db)
	if err != nil {
		return err
	}
	defer end(false)
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", pgLockSchema); err != nil {
		return err
	}
	if there, err := pgState(ctx, tx); err != nil || there == pgOurs {
		return err
	}
	err = onPgx(conn, func(c *pgx.Conn) error {
		_, err := c.PgConn().Exec(ctx, postgresSchema).ReadAll()
		return err
	})
	if err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('mask_key', ?)", hex.EncodeToString(key)); err != nil {
		return err
	}
	return tx.Commit()
}

// onPgx hands over the connection of the driver underneath.
func onPgx(conn *sqlx.Conn, do func(*pgx.Conn) error) error {
	return conn.Raw(func(c any) error { return do(c.(*pgConn).Conn.Conn()) })
}

func (*postgresDialect) watch(string) (func() error, error) { return func() error { return nil }, nil }

func (*postgresDialect) version(ctx context.Context, db *sqlx.DB) (string, error) {
	var v string
	err := db.GetContext(ctx, &v, "SELECT current_setting('server_version')")
	v, _, _ = strings.Cut(v, " ") // the packager's name follows
	return "PostgreSQL " + v, err
}

func (d *postgresDialect) storage(ctx context.Context, db *sqlx.DB, beside string) (files []FileHealth, free, size int64, err error) {
	own := FileHealth{Name: d.config.Database}
	if err := db.GetContext(ctx, &own.Size, "SELECT pg_database_size(current_database())"); err != nil {
		return nil, 0, 0, err
	}
	files, err = filesBeside(beside)
	return append([]FileHealth{own}, files...), 0, 0, err
}

// among has bounds too, since no partition is spared by a list alone once a plan
// is made for any list, nor on Citus. A list is looked for as a whole in each month
// between its bounds; where that is much more than each of its ids in its own month, they
// are joined one by one. A machine of a cluster may have to ask another for that.
func (d *postgresDialect) among(column string, ids []int64) (string, []any) {
	lo, hi := int64(1), int64(0)
	if len(ids) > 0 {
		lo, hi = slices.Min(ids), slices.Max(ids)
	}
	listed := " = ANY(?)"
	if months := hi/monthLength - lo/monthLength; !d.cluster && strings.HasSuffix(column, "id") && int64(len(ids))*months >= amongProbes {
		listed = " IN (SELECT unnest(CAST(? AS bigint[])))"
	}
	return column + listed + " AND " + column + " BETWEEN ? AND ?", []any{ids, lo, hi}
}

// monthLength is about how far apart the first ids of two months are, and amongProbes
// how many looks into an index cost more than to join a list, each by some two
// microseconds.
const (
	monthLength = int64(30*24*time.Hour/time.Microsecond) << idBits
	amongProbes = 200
)

func (*postgresDialect) bounds(column string, lo, hi int64) (string, []any) {
	return " AND " + column + " BETWEEN ? AND ?", []any{lo, hi}
}

func (*postgresDialect) inOne(audit.Kind, []string, string) (string, bool) { return "", false }

// A row that is larger than a page is cut to pieces in another table.
func (*postgresDialect) partPages() int { return 1 }

func (*postgresDialect) list(numbers []int64) (string, any) {
	return "(SELECT u.value, u.place - 1 AS key FROM unnest(CAST(? AS bigint[])) WITH ORDINALITY u (value, place))", numbers
}

// partsAtOnce weighs what a part costs, some ten microseconds, against what a
// question to the server costs.
func (*postgresDialect) partsAtOnce() int { return 64 }

func (*postgresDialect) joined(a, b string) string { return a + " || " + b }

// scrub is the server's own: what was deleted is out of every answer at once, and
// out of its files after the next vacuum.
func (*postgresDialect) scrub(context.Context, *sqlx.DB) (bool, error) { return true, nil }

func (*postgresDialect) growth(context.Context, *sqlx.DB, string) (int64, error) { return 0, nil }
func (*postgresDialect) pauseLog(context.Context, *sqlx.DB, bool) error          { return nil }
