package db

import (
	"context"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

const spreadKey = "spread:" // and the kind, in meta

func readSpreads(ctx context.Context, tx sqlx.QueryerContext) (map[audit.Kind]int64, error) {
	spreads := map[audit.Kind]int64{}
	err := eachRow(ctx, tx, "SELECT key, value FROM meta WHERE key BETWEEN ? AND ?", []any{spreadKey, spreadKey + "~"}, func(r scanner) error {
		var key, value string
		err := r.Scan(&key, &value)
		spreads[audit.Kind(strings.TrimPrefix(key, spreadKey))], _ = strconv.ParseInt(value, 10, 64)
		return err
	})
	return spreads, err
}
