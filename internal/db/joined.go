package db

import (
	"context"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// joinedRows is how many rows are asked for as one text, and joinedMost how many
// it holds at most with those between them that nobody asked for.
const (
	joinedRows = 256
	joinedMost = 2 * joinedRows
)

// partBreak stands behind each column of a row that is read as one text. No stored
// text holds it.
const partBreak = "\x00"

// joined is rows that the engine handed over as one text, newest first: nearly all of
// the driver's cost is per row and column.
type joined struct {
	rows int // how many they were
	text string
}

// readInOne reads the columns that are named, of which the first are e.id and e.seq, of
// the rows that fulfil a condition. It is false where the engine does not join rows,
// or met something that we did not store: then they have to be read one by one. When
// it returns no connection is in use.
func (s *Store) readInOne(ctx context.Context, q sqlx.QueryerContext, kind audit.Kind, names []string, condition string, args []any) (j joined, ok bool, err error) {
	statement, ok := s.dialect.inOne(kind, names, condition)
	if !ok {
		return j, false, nil
	}
	var long int
	if err := q.QueryRowxContext(ctx, statement, args...).Scan(&j.rows, &long, &j.text); err != nil {
		return j, false, err
	}
	// Then no text of a row holds what stands between its columns.
	return j, strings.Count(j.text, partBreak) == (j.rows-long)*len(names)+2*long, nil
}

// next returns the id of the next row, and what stands behind it. Where the row is
// long there is nothing of it, and it has to be read by itself. It is false at the
// end, and where that is no row.
func (j *joined) next() (id int64, long, ok bool) {
	head, rest, _ := strings.Cut(j.text, partBreak)
	id, err := strconv.ParseInt(head, 10, 64)
	if err != nil {
		return 0, false, false
	}
	j.text, long = strings.CutPrefix(rest, partBreak) // seq is never empty
	return id, long, true
}

// column takes the next column of a row.
func (j *joined) column() (value string, ok bool) {
	value, j.text, ok = strings.Cut(j.text, partBreak)
	return value, ok
}

// leadingNumber reads a number that has only digits; of anything else something.
func leadingNumber(text string) (n int64) {
	for i := range len(text) {
		n = n*10 + int64(text[i]-'0')
	}
	return n
}
