package db

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// pgBounds reads what a partition says of itself.
var pgBounds = regexp.MustCompile(`^FOR VALUES FROM \('(-?\d+)'\) TO \('(-?\d+)'\)$`)

// parts returns the partitions but for the default one: where the login owns them, or
// where the owner's functions drop them, which know a month by its name.
func (d *postgresDialect) parts(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind) (all []tablePart, err error) {
	err = eachRow(ctx, q, `
		SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), to_regprocedure('lock_month(text, date)') IS NOT NULL AND to_regprocedure('place_purges(bigint)') IS NOT NULL,
			pg_has_role(p.relowner, 'USAGE') AND pg_has_role(c.relowner, 'USAGE')
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
		WHERE p.oid = to_regclass(?) AND c.relnamespace = p.relnamespace AND c.relkind = 'r'`, []any{kind}, func(row scanner) error {
		var name, bounds string
		var functions, owned bool
		if err := row.Scan(&name, &bounds, &functions, &owned); err != nil {
			return err
		}
		found := pgBounds.FindStringSubmatch(bounds)
		if found == nil {
			return nil
		}
		from, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			return err
		}
		to, err := strconv.ParseInt(found[2], 10, 64)
		part := tablePart{name, from, to}
		if d.roles.superuser != "" {
			owned = functions && part.name == part.month().partition(kind)
		}
		if err == nil && owned {
			all = append(all, part)
		}
		return err
	})
	slices.SortFunc(all, func(a, b tablePart) int { return cmp.Compare(a.from, b.from) })
	return all, err
}

// month is the month that a part begins with.
func (p tablePart) month() month { return monthOf(time.UnixMicro(p.from >> idBits)) }

// apart may be silent for as long as an archive takes: it holds nothing that anybody
// waits for.
func (d *postgresDialect) apart(ctx context.Context) (*apart, error) {
	a := &apart{db: d.writer(Options{Invented: d.invented}, pgPatience)}
	var err error
	if a.tx, a.conn, a.end, err = beginWrite(ctx, a.db); err != nil {
		a.db.Close()
		return nil, err
	}
	var mine bool
	_, err = a.tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0")
	if err == nil {
		err = d.superuser(ctx, a.tx)
	}
	if err == nil {
		err = a.tx.GetContext(ctx, &mine, "SELECT pg_try_advisory_xact_lock(?)", pgLockPurge)
	}
	if err != nil || !mine {
		a.close()
		return nil, err
	}
	return a, nil
}

// lockPart asks for the table for a moment only: who waits for readers there keeps
// everybody else waiting. Where it does not come by it, it lets go of all and tries
// again.
func (d *postgresDialect) lockPart(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, part tablePart) (h ledgerHead, err error) {
	until := time.Now().Add(d.patience)
	try := func() (err error) {
		for _, statement := range []string{"SAVEPOINT part", "SET LOCAL idle_in_transaction_session_timeout = '" + pgSilence + "'", "SET LOCAL lock_timeout = '" + pgLockWait + "'"} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", pgLockPartitions); err != nil {
			return err
		}
		if h, err = d.head(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = '15ms'"); err != nil {
			return err
		}
		if d.roles.superuser != "" {
			_, err = tx.ExecContext(ctx, "SELECT lock_month(?, CAST(? AS date))", string(kind), part.month().day())
		} else {
			_, err = tx.ExecContext(ctx, "LOCK TABLE ONLY "+string(kind)+", ONLY "+pgx.Identifier{part.name}.Sanitize()+", ONLY "+fallback(kind)+" IN ACCESS EXCLUSIVE MODE")
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "SET LOCAL lock_timeout = '"+pgLockWait+"'")
		}
		return err
	}
	for wait := 25 * time.Millisecond; ; wait = min(2*wait, 400*time.Millisecond) {
		err := try()
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "55P03" || time.Now().Add(wait).After(until) { // lock_not_available
			return h, d.classify(err)
		}
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT part"); err != nil {
			return h, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return h, ctx.Err()
		}
	}
}

// dropPart detaches the part first: the order that works with references to the
// table, and on Citus.
func (d *postgresDialect) dropPart(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, part tablePart) error {
	statements, args := []string{"ALTER TABLE " + string(kind) + " DETACH PARTITION " + pgx.Identifier{part.name}.Sanitize(), "DROP TABLE " + pgx.Identifier{part.name}.Sanitize()}, []any(nil)
	if d.roles.superuser != "" {
		statements, args = []string{"SELECT drop_month(?, CAST(? AS date))"}, []any{string(kind), part.month().day()}
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return err
		}
	}
	// Whoever needs the month again waits for this transaction, and then looks.
	d.months.forget(kind, part.month())
	return nil
}

// placePurges does not touch what is large in the rows: that stays where it is.
func (d *postgresDialect) placePurges(tx *writeTx, after int64) error {
	statement := "UPDATE purge SET seq = ? - seq WHERE seq < 0"
	if d.roles.superuser != "" {
		statement = "SELECT place_purges(?)"
	}
	_, err := tx.ExecContext(tx.ctx, statement, after)
	return err
}
