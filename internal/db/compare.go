package db

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"math"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/internal/evidence"
)

// differencesNamed is how many differences are named.
const differencesNamed = 100

// compare reads all rows of both sides, of the source in the moment of src, and
// says where they are not the same.
func (c *copier) compare(src *sqlx.Tx, copied *Copied) error {
	if err := c.from.dialect.inOrder(c.ctx, src); err != nil {
		return err
	}
	sides := [2]moment{func() (*sqlx.Tx, func(), error) { return src, func() {}, nil }, c.to.moments(c.ctx)}
	copied.Tables, copied.Differences, copied.More = nil, nil, 0
	var done int64
	for _, t := range wholeTables {
		w := &comparison{table: t, found: CopiedTable{Name: t.name}, sums: [2]hash.Hash{sha256.New(), sha256.New()},
			differs: func(d Difference) {
				if len(copied.Differences) < differencesNamed {
					copied.Differences = append(copied.Differences, d)
				} else {
					copied.More++
				}
			},
			met: func(n int) {
				done += int64(n)
				c.progress("comparing", min(done, c.mark.Rows), c.mark.Rows)
			}}
		if err := w.walk(c.ctx, c.rowsAtOnce, sides); err != nil {
			return fmt.Errorf("compare %s: %w", t.name, c.to.dialect.classify(c.from.dialect.classify(err)))
		}
		copied.Tables = append(copied.Tables, w.found)
		if t.name == "ledger" {
			copied.Root, copied.Copy = w.trees[0].Root(), w.trees[1].Root()
		}
	}
	return nil
}

// comparison walks over a table on both sides at once, in the order of its key.
type comparison struct {
	table   *wholeTable
	found   CopiedTable
	sums    [2]hash.Hash
	trees   [2]evidence.Frontier // of the ledger
	differs func(Difference)
	met     func(rows int)
}

func (w *comparison) walk(ctx context.Context, size int, at [2]moment) error {
	ctx, cancel := context.WithCancel(ctx)
	var sides [2]*side
	for i := range sides {
		sides[i] = &side{table: w.table, pages: w.table.pages(ctx, at[i], size, "", math.MinInt64, math.MaxInt64)}
	}
	defer func() {
		cancel()
		for _, s := range sides {
			for range s.pages { // until nobody reads any more
			}
		}
	}()
	var rows [2][]any
	var forms [2][]byte // of the rows
	next := func(i int) error {
		var err error
		if rows[i], err = sides[i].next(); err != nil || rows[i] == nil {
			return err
		}
		forms[i] = encodeRow(forms[i][:0], rows[i])
		w.sums[i].Write(forms[i])
		if w.table.name == "ledger" {
			w.trees[i].Add(leafOf(w.table, rows[i]))
		}
		if i == 0 {
			if w.found.Rows++; w.found.Rows%wholeRows == 0 {
				w.met(wholeRows)
			}
		} else {
			w.found.CopyRows++
		}
		return nil
	}
	both := func() error {
		if err := next(0); err != nil {
			return err
		}
		return next(1)
	}
	err := both()
	for err == nil && (rows[0] != nil || rows[1] != nil) {
		switch order := w.table.compare(rows[0], rows[1]); {
		case order < 0:
			w.differs(Difference{w.table.name, w.table.nameOf(rows[0]), "it is in the source and not in the copy"})
			err = next(0)
		case order > 0:
			w.differs(Difference{w.table.name, w.table.nameOf(rows[1]), "it is in the copy and not in the source"})
			err = next(1)
		default:
			if !bytes.Equal(forms[0], forms[1]) {
				w.differs(Difference{w.table.name, w.table.nameOf(rows[0]), "not the same: " + strings.Join(w.table.unequal(rows[0], rows[1]), ", ")})
			}
			err = both()
		}
	}
	w.met(int(w.found.Rows % wholeRows))
	w.sums[0].Sum(w.found.Checksum[:0])
	w.sums[1].Sum(w.found.CopySum[:0])
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// side is one of the two databases.
type side struct {
	table *wholeTable
	pages <-chan rowPage
	page  rowPage
	at    int
}

// next returns the next row, and nil after the last one. It stays as it is.
func (s *side) next() ([]any, error) {
	for s.at == s.page.rows {
		p, more := <-s.pages
		if !more {
			return nil, nil
		}
		if p.err != nil {
			return nil, p.err
		}
		s.page, s.at = p, 0
	}
	s.at++
	return s.page.row(s.table, s.at-1), nil
}

// compare says which of two rows comes first; one that is not there comes last.
func (t *wholeTable) compare(a, b []any) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	for _, at := range t.order {
		order := 0
		switch x := a[at].(type) {
		case int64:
			y, _ := b[at].(int64)
			order = cmp.Compare(x, y)
		case string:
			y, _ := b[at].(string)
			order = strings.Compare(x, y)
		case []byte:
			y, _ := b[at].([]byte)
			order = bytes.Compare(x, y)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// unequal names the columns in which two rows differ.
func (t *wholeTable) unequal(a, b []any) (names []string) {
	for i, name := range t.columns {
		if !bytes.Equal(encodeRow(nil, a[i:i+1]), encodeRow(nil, b[i:i+1])) {
			names = append(names, name)
		}
	}
	return names
}
