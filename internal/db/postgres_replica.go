package db

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
)

func (*postgresDialect) replica(ctx context.Context, db *sqlx.DB) (is bool, err error) {
	err = db.GetContext(ctx, &is, "SELECT pg_is_in_recovery()")
	return is, err
}

// lag is 0 where all that has come is applied and more could come: a primary that
// has nothing to say would make the last change look old.
func (*postgresDialect) lag(ctx context.Context, db *sqlx.DB) (time.Duration, error) {
	var seconds float64
	err := db.GetContext(ctx, &seconds, `
		SELECT CASE
			WHEN NOT pg_is_in_recovery() THEN 0
			WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver) THEN 0
			ELSE coalesce(greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0), 0)
		END::float8`)
	return time.Duration(seconds * float64(time.Second)), err
}
