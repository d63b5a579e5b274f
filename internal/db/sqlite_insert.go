package db

import (
	"database/sql/driver"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// sqliteFused is up to how many bytes of text one statement has that goes to the
// engine in one step. The driver makes room for them which it keeps.
const sqliteFused = 1 << 20

// insert goes past database/sql, which would copy every value into a list of its
// own, and asks the driver for a result that there is none of: then it hands over
// all values and takes the first step in one call to C, not in one for each value.
func (sqliteDialect) insert(tx *writeTx, statement string, args []any) error {
	named := make([]driver.NamedValue, len(args))
	size := 0
	for i, v := range args {
		switch v := v.(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		case nil, int64, bool, float64:
		default:
			return fmt.Errorf("insert a %T", v)
		}
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	if size > sqliteFused {
		_, err := tx.ExecContext(tx.ctx, statement, args...)
		return err
	}
	return tx.conn.Raw(func(c any) error {
		rows, err := c.(*sqlite3.SQLiteConn).QueryContext(tx.ctx, statement, named)
		if err != nil {
			return err
		}
		return rows.Close()
	})
}
