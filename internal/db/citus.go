package db

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

//go:embed citus.sql
var readinessSQL string

// Rows runs a query: a *sql.DB, *sql.Tx or *sql.Conn, and those of sqlx.
type Rows interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Readiness returns what keeps the tables of events of a PostgreSQL database from
// being distributed by id on Citus: one line for each fault, in the order of the
// tables' names, each like "audit_log: trigger guard". It is nil where there is
// nothing, and needs no Citus. The tables are those that the search path finds.
func Readiness(ctx context.Context, db Rows) ([]string, error) {
	rows, err := db.QueryContext(ctx, readinessSQL)
	if err != nil {
		return nil, fmt.Errorf("look whether the tables can be distributed: %w", err)
	}
	defer rows.Close()
	var faults []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, fmt.Errorf("look whether the tables can be distributed: %w", err)
		}
		faults = append(faults, line)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look whether the tables can be distributed: %w", err)
	}
	return faults, nil
}

// ErrNoCitus is returned where a server has no Citus.
var ErrNoCitus = errors.New("the server has no Citus")

// MostShards is how many shards a table can be distributed into.
const MostShards = 1024

// pgMovePatience is how long one statement may take that moves the rows of a table to
// the nodes, of which the server says nothing until it is done.
const pgMovePatience = 24 * time.Hour

// isDistributed reports whether Citus knows a table, which the search path finds.
func isDistributed(ctx context.Context, q sqlx.QueryerContext, table string) (is bool, err error) {
	err = sqlx.GetContext(ctx, q, &is, "SELECT to_regclass('pg_dist_partition') IS NOT NULL")
	if err != nil || !is {
		return false, err
	}
	err = sqlx.GetContext(ctx, q, &is, "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass(?))", table)
	return is, err
}

// Distribute distributes the tables of events of a database of ours, at the address
// of the coordinator of a Citus cluster, by id into so many shards each. What is
// distributed already stays as it is, so that it can be called again after an error.
// Every other table stays on the coordinator. It returns the tables that it has
// distributed. No server may be at work meanwhile: each looks at its start whether the
// tables are distributed. The error wraps ErrNoCitus where the extension is missing; what keeps
// the tables from being distributed (see Readiness) is named before any is.
func Distribute(ctx context.Context, address string, shards int) (done []string, err error) {
	if shards < 1 || shards > MostShards {
		return nil, fmt.Errorf("distribute into %d shards: give 1 to %d", shards, MostShards)
	}
	if !isPostgres(address) {
		return nil, fmt.Errorf("distribute %s: it is a file; give the address of a coordinator, postgres://…", address)
	}
	d, err := newPostgresDialect(address, Options{})
	if err != nil {
		return nil, err
	}
	db := d.writer(Options{}, pgMovePatience)
	defer db.Close()
	fail := func(err error) ([]string, error) {
		return done, fmt.Errorf("distribute %s: %w", d.config.Database, d.classify(err))
	}
	switch there, err := pgState(ctx, db); {
	case err != nil:
		return fail(err)
	case there == pgEmpty:
		return fail(fmt.Errorf("there is nothing in it yet: make it with 'auditadmin serve': %w", fs.ErrNotExist))
	}
	var can bool
	err = db.GetContext(ctx, &can, "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'create_distributed_table' AND pg_function_is_visible(oid))")
	if err != nil {
		return fail(err)
	}
	if !can {
		return fail(fmt.Errorf("%w: install its package on every node, put citus first in shared_preload_libraries, start the servers anew,"+
			" run CREATE EXTENSION citus in the database %s of each, and name the workers to the coordinator with citus_add_node", ErrNoCitus, d.config.Database))
	}
	faults, err := Readiness(ctx, db)
	if err != nil {
		return fail(err)
	}
	if len(faults) > 0 {
		return fail(fmt.Errorf("the tables cannot be distributed: %s", strings.Join(faults, "; ")))
	}
	// Every write changes the head, on the coordinator. Citus has to know of that, or it
	// commits what one machine alone has to do before the coordinator commits, and
	// an event could stay there without its entry in the ledger.
	is, err := isDistributed(ctx, db, "head")
	if err == nil && !is {
		_, err = db.ExecContext(ctx, "SELECT citus_add_local_table_to_metadata('head')")
	}
	if err != nil {
		return fail(fmt.Errorf("head: %w", err))
	}
	for _, kind := range audit.Kinds() {
		table := string(kind)
		is, err := isDistributed(ctx, db, table)
		if err != nil {
			return fail(err)
		}
		if is {
			continue
		}
		if _, err := db.ExecContext(ctx, "SELECT create_distributed_table('"+table+"', 'id', shard_count => "+strconv.Itoa(shards)+")"); err != nil {
			return fail(fmt.Errorf("%s: %w", table, err))
		}
		done = append(done, table)
	}
	return done, nil
}
