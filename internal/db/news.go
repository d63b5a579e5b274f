package db

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// news is what a stretch of the ledger is about.
type news struct {
	created map[audit.Kind]idRange // where the ids of events lie that were recorded
	decided map[audit.Kind]bool    // of which kinds something was decided
}

type idRange struct{ lo, hi int64 }

// newsOf looks at the entries after one seq and up to another, so that nothing has to
// be read of a kind without news, nor of times without them.
func newsOf(ctx context.Context, tx sqlx.QueryerContext, after, upTo int64) (news, error) {
	n := news{map[audit.Kind]idRange{}, map[audit.Kind]bool{}}
	err := eachRow(ctx, tx, "SELECT kind, CASE WHEN entry = 'created' THEN 1 ELSE 0 END AS created, min(id), max(id) FROM ledger WHERE seq > ? AND seq <= ? GROUP BY 1, 2",
		[]any{after, upTo}, func(r scanner) error {
			var kind audit.Kind
			var created int
			var ids idRange
			err := r.Scan(&kind, &created, &ids.lo, &ids.hi)
			if created == 1 {
				n.created[kind] = ids
			} else {
				n.decided[kind] = true
			}
			return err
		})
	return n, err
}
