package db

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// month is a calendar month in UTC, counted from year 0 on.
type month int

func monthOf(t time.Time) month {
	t = t.UTC()
	return month(t.Year()*12 + int(t.Month()) - 1)
}

// start is when the month begins.
func (m month) start() time.Time {
	return time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// first is the least id of the month.
func (m month) first() int64 { return m.start().UnixMicro() << idBits }

// partition is the name of the month's part of a table.
func (m month) partition(kind audit.Kind) string {
	return string(kind) + "_" + m.start().Format("2006_01")
}

// day is the first day of the month.
func (m month) day() string { return m.start().Format(time.DateOnly) }

// monthsAhead is how many months are made before they begin, and monthsLook how
// often that is looked at.
const (
	monthsAhead = 2
	monthsLook  = time.Hour
)

// pgMonths knows which months have a partition, as far as this program has seen.
type pgMonths struct {
	byFunction bool // roles that own no table make months by make_month

	mu     sync.Mutex
	known  map[audit.Kind]map[month]bool
	failed map[audit.Kind]map[month]bool // could not be made; until the next look
	looked time.Time
	stuck  map[audit.Kind]time.Time // since when a look has left events in the default partition
	young  map[audit.Kind]time.Time // when the last month was made, until all sessions surely know it
}

func newPgMonths() *pgMonths {
	m := &pgMonths{known: map[audit.Kind]map[month]bool{}, failed: map[audit.Kind]map[month]bool{}, stuck: map[audit.Kind]time.Time{}, young: map[audit.Kind]time.Time{}}
	for _, kind := range audit.Kinds() {
		m.known[kind], m.failed[kind] = map[month]bool{}, map[month]bool{}
	}
	return m
}

// missing returns which of some months have no partition.
func (m *pgMonths) missing(kind audit.Kind, some []month) (none []month) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range some {
		if !m.known[kind][at] && !m.failed[kind][at] {
			none = append(none, at)
		}
	}
	return none
}

// forget is told that a month has no partition any more.
func (m *pgMonths) forget(kind audit.Kind, at month) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[kind][at], m.failed[kind][at] = false, false
}

// ahead makes this month and the next ones, and those of what stands in the default
// partition. A role that may not make tables leaves that to one that may.
func (m *pgMonths) ahead(ctx context.Context, db *sqlx.DB, now time.Time) error {
	m.mu.Lock()
	m.looked = time.Now()
	for _, kind := range audit.Kinds() {
		clear(m.failed[kind])
	}
	m.mu.Unlock()
	var some []month
	for at := monthOf(now); at <= monthOf(now)+monthsAhead; at++ {
		some = append(some, at)
	}
	if err := m.load(ctx, db); err != nil {
		return err
	}
	for _, kind := range audit.Kinds() {
		m.make(ctx, db, kind, m.missing(kind, some))
		left, err := m.drain(ctx, db, kind)
		if err != nil {
			return err
		}
		m.mu.Lock()
		switch _, before := m.stuck[kind]; {
		case !left:
			delete(m.stuck, kind)
		case !before:
			m.stuck[kind] = now
		}
		m.mu.Unlock()
	}
	return nil
}

// drain makes the months of what stands in the default partition, oldest first, and
// reports whether something is left there, since a month could not be made.
func (m *pgMonths) drain(ctx context.Context, db *sqlx.DB, kind audit.Kind) (left bool, err error) {
	for last := month(-1); ; {
		_, first, err := strays(ctx, db, kind)
		if err != nil || !first.Valid {
			return false, err
		}
		at := monthOf(time.UnixMicro(first.Int64 >> idBits))
		if at <= last {
			return true, nil
		}
		m.make(ctx, db, kind, []month{at})
		last = at
	}
}

// fallback is the default partition of a table.
func fallback(kind audit.Kind) string { return string(kind) + "_default" }

// strays looks into the default partition: how many events stand there, mostUnplaced
// at most, and the first id. The right to read a table is none to read its parts, so
// a role asks a function of the owner; where there is neither it finds nothing.
func strays(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind) (n int64, first sql.NullInt64, err error) {
	var may, function bool
	err = q.QueryRowxContext(ctx, "SELECT coalesce(has_table_privilege(to_regclass(?), 'SELECT'), FALSE), coalesce(has_function_privilege(to_regprocedure('unplaced(text)'), 'EXECUTE'), FALSE)",
		fallback(kind)).Scan(&may, &function)
	switch {
	case err != nil:
	case may:
		err = q.QueryRowxContext(ctx, "SELECT count(*), min(id) FROM (SELECT id FROM "+fallback(kind)+" ORDER BY id LIMIT ?) part", mostUnplaced).Scan(&n, &first)
	case function:
		err = q.QueryRowxContext(ctx, "SELECT events, first_id FROM unplaced(?)", string(kind)).Scan(&n, &first)
	}
	return n, first, err
}

// load reads which partitions there are.
func (m *pgMonths) load(ctx context.Context, q sqlx.QueryerContext) error {
	found := map[audit.Kind]map[month]bool{}
	err := eachRow(ctx, q, `
		SELECT p.relname, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
		WHERE p.relkind = 'p' AND p.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())`, nil, func(row scanner) error {
		var table, part string
		if err := row.Scan(&table, &part); err != nil {
			return err
		}
		kind := audit.Kind(table)
		if t, err := time.Parse("2006_01", strings.TrimPrefix(part, table+"_")); err == nil {
			if found[kind] == nil {
				found[kind] = map[month]bool{}
			}
			found[kind][monthOf(t)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, kind := range audit.Kinds() {
		m.known[kind] = found[kind]
		if m.known[kind] == nil {
			m.known[kind] = map[month]bool{}
		}
	}
	return nil
}

// make makes partitions. One that the server refuses to make is not tried again until
// the next look.
func (m *pgMonths) make(ctx context.Context, db *sqlx.DB, kind audit.Kind, some []month) {
	for _, at := range some {
		err := m.makeMonth(ctx, db, kind, at)
		m.mu.Lock()
		m.known[kind][at], m.failed[kind][at] = err == nil, pgRefused(err)
		if err == nil {
			m.young[kind] = time.Now()
		}
		m.mu.Unlock()
		if err == nil {
			_ = m.tell(ctx, db, kind) // tellAgain comes back to it
		}
	}
}

// tell makes every session read anew which months a table has. A session of PostgreSQL
// that reads that in the very moment in which another one attaches a partition can
// be told of it while it reads, forget what it knew, and then keep what it has read: it
// does not see the new month until the table's definition is touched again, and takes
// its events for missing (RelationBuildPartitionDesc of PostgreSQL 15, partdesc.c). So
// that is touched, by taking back a setting that it does not have, which stops neither
// readers nor writers.
func (m *pgMonths) tell(ctx context.Context, db *sqlx.DB, kind audit.Kind) error {
	if m.byFunction {
		_, err := db.ExecContext(ctx, "SELECT tell_months(?)", string(kind))
		return err
	}
	tx, end, err := beginPartitions(ctx, db)
	if err != nil {
		return err
	}
	defer end()
	if _, err := tx.ExecContext(ctx, "ALTER TABLE "+string(kind)+" RESET (fillfactor)"); err != nil {
		return err
	}
	return tx.Commit()
}

// beginPartitions begins a transaction of who makes partitions, of whom there is one at
// a time. It returns what ends it, as begin does.
func beginPartitions(ctx context.Context, db *sqlx.DB) (tx *sqlx.Tx, end func(), err error) {
	if tx, end, err = begin(ctx, db); err != nil {
		return nil, nil, err
	}
	if _, err = tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", pgLockPartitions); err != nil {
		end()
		return nil, nil, err
	}
	return tx, end, nil
}

// monthSettles is how long after a month was made no session can still be at what it
// began to read of the months before that.
const monthSettles = 10 * time.Second

// tellAgain tells all sessions of the months that were made a while ago. They were told
// before the first event came, but whoever read just then may have missed that too.
func (m *pgMonths) tellAgain(ctx context.Context, db *sqlx.DB) {
	for _, kind := range audit.Kinds() {
		m.mu.Lock()
		young, is := m.young[kind]
		m.mu.Unlock()
		if !is || time.Since(young) < monthSettles {
			continue
		}
		err := m.tell(ctx, db, kind)
		m.mu.Lock()
		switch {
		case m.young[kind] != young: // another was made meanwhile
		case err != nil && !pgRefused(err):
			m.young[kind] = time.Now() // it is tried again
		default:
			delete(m.young, kind)
		}
		m.mu.Unlock()
	}
}

func (m *pgMonths) makeMonth(ctx context.Context, db *sqlx.DB, kind audit.Kind, at month) error {
	if !m.byFunction {
		return makeMonth(ctx, db, kind, at)
	}
	_, err := db.ExecContext(ctx, "SELECT make_month(?, CAST(? AS date))", string(kind), at.day())
	return err
}

// makeMonth makes a partition where there is none, and moves into it what stands in
// the default one: readers see that before or afterwards, see pgSnapshot. It is
// attached, not created in its place: that would stop whoever reads the table.
func makeMonth(ctx context.Context, db *sqlx.DB, kind audit.Kind, at month) error {
	tx, end, err := beginPartitions(ctx, db)
	if err != nil {
		return err
	}
	defer end()
	table, part, fallback := string(kind), at.partition(kind), fallback(kind)
	run := func(statement string) (n int64, err error) {
		result, err := tx.ExecContext(ctx, statement)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}
	var there bool
	if err := tx.GetContext(ctx, &there, "SELECT to_regclass(?) IS NOT NULL", part); err != nil || there {
		return err
	}
	from, to := at.first(), (at + 1).first()
	var strays bool
	if err := tx.GetContext(ctx, &strays, "SELECT EXISTS (SELECT 1 FROM "+fallback+" WHERE id >= ? AND id < ?)", from, to); err != nil {
		return err
	}
	if strays {
		// Nobody may look at the table while its rows are on their way, and nobody
		// appends.
		for _, lock := range []string{"SELECT seq FROM head WHERE id = 1 FOR UPDATE", "LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE"} {
			if _, err := run(lock); err != nil {
				return err
			}
		}
	}
	if _, err := run("CREATE TABLE " + part + " (LIKE " + table + " INCLUDING ALL)"); err != nil {
		return err
	}
	if strays {
		bounds := " WHERE id >= " + strconv.FormatInt(from, 10) + " AND id < " + strconv.FormatInt(to, 10)
		came, err := run("INSERT INTO " + part + " SELECT * FROM " + fallback + bounds)
		if err != nil {
			return err
		}
		went, err := run("DELETE FROM " + fallback + bounds)
		if err != nil {
			return err
		}
		if came != went {
			return fmt.Errorf("make %s: %d rows were put into it and %d left %s; nothing was moved", part, came, went, fallback)
		}
	}
	if _, err := run("ALTER TABLE " + table + " ATTACH PARTITION " + part +
		" FOR VALUES FROM (" + strconv.FormatInt(from, 10) + ") TO (" + strconv.FormatInt(to, 10) + ")"); err != nil {
		return err
	}
	return tx.Commit()
}

// makeRoom makes the months of events, which an import of history may be the first
// to need.
func (d *postgresDialect) makeRoom(ctx context.Context, side *sqlx.DB, events []*audit.Event) {
	ctx, cancel := context.WithTimeout(ctx, writeDeadline)
	defer cancel()
	months := map[audit.Kind]map[month]bool{}
	var kind audit.Kind
	var from, to int64 // of the month of the event before, as often of this one
	for _, e := range events {
		id := e.Time().UnixMicro() << idBits
		if e.Kind == kind && id >= from && id < to {
			continue
		}
		at := monthOf(e.Time())
		kind, from, to = e.Kind, at.first(), (at + 1).first()
		if months[kind] == nil {
			months[kind] = map[month]bool{}
		}
		months[kind][at] = true
	}
	for kind, some := range months {
		var list []month
		for at := range some {
			list = append(list, at)
		}
		if none := d.months.missing(kind, list); none != nil {
			d.months.make(ctx, side, kind, none)
		}
	}
}

// writeBack makes the next months in time.
func (d *postgresDialect) writeBack(ctx context.Context, side *sqlx.DB) error {
	d.months.tellAgain(ctx, side)
	d.months.mu.Lock()
	due := time.Since(d.months.looked) >= monthsLook
	d.months.mu.Unlock()
	if !due {
		return nil
	}
	return d.months.ahead(ctx, side, time.Now())
}

// unplaced counts what stands in the default partitions, as far as mostUnplaced.
func (d *postgresDialect) unplaced(ctx context.Context, q sqlx.QueryerContext) (map[audit.Kind]Unplaced, error) {
	all := map[audit.Kind]Unplaced{}
	for _, kind := range audit.Kinds() {
		var u Unplaced
		var err error
		if u.Events, _, err = strays(ctx, q, kind); err != nil {
			return nil, err
		}
		if u.Events > 0 {
			d.months.mu.Lock()
			u.Since = d.months.stuck[kind]
			d.months.mu.Unlock()
		}
		all[kind] = u
	}
	return all, nil
}
