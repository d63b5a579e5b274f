package db

import (
	"context"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// makeRoomFor makes the months of ids.
func (d *postgresDialect) makeRoomFor(ctx context.Context, side *sqlx.DB, kind audit.Kind, ids []int64) {
	var list []month
	var from, to int64 // of the month of the id before, as often of this one
	for _, id := range ids {
		if id >= from && id < to {
			continue
		}
		at := monthOf(time.UnixMicro(id >> idBits))
		if from, to = at.first(), (at + 1).first(); !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	if none := d.months.missing(kind, list); none != nil {
		d.months.make(ctx, side, kind, none)
	}
}

// inOrder forbids to sort. Of a table that was just filled the server knows nothing:
// it takes it for small, and would read and sort all of it for every page.
func (*postgresDialect) inOrder(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, "SET LOCAL enable_sort = off")
	return err
}

// survey does at once what the server would sooner or later, so that whatever
// reads the tables next has a good plan. Where the role may not, it is left to that.
func (*postgresDialect) survey(ctx context.Context, side *sqlx.DB, tables []*wholeTable) {
	for _, t := range tables {
		_, _ = side.ExecContext(ctx, "ANALYZE "+t.name)
	}
}
