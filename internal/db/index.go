package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// sliceTime is how long one slice of indexing may hold the write lock.
const sliceTime = 20 * time.Millisecond

// indexPause is how long the indexer lets events gather.
const indexPause = 50 * time.Millisecond

// wakeIndexer tells the indexer that there is something new. It never blocks.
func (s *Store) wakeIndexer() {
	select {
	case s.stale <- struct{}{}:
	default:
	}
}

// indexLoop keeps the text index close behind the ledger. What it has not
// reached yet is searched directly, so its pace changes no answer.
func (s *Store) indexLoop() {
	for {
		select {
		case <-s.stale:
		case <-s.closing.Done():
			return
		}
		// Single events come in bursts: a moment later there is one commit for
		// all of them, and none in the way of the next.
		select {
		case <-time.After(indexPause):
		case <-s.closing.Done():
			return
		}
		if err := s.Index(s.closing); err != nil && !errors.Is(err, context.Canceled) {
			// Another program may hold the lock for long. The next append, or the
			// next program, goes on from where this one stopped.
			select {
			case <-time.After(time.Second):
				s.wakeIndexer()
			case <-s.closing.Done():
			}
		}
	}
}

// Index brings the text index up to the ledger's head, in slices so short that
// appends pass in between. It is safe beside others that do the same.
func (s *Store) Index(ctx context.Context) error {
	for _, kind := range audit.Kinds() {
		rows := 400
		for {
			done, took, err := s.indexSlice(ctx, kind, rows)
			if err != nil {
				return fmt.Errorf("index the text of %s: %w", kind.Plural(), err)
			}
			if done {
				break
			}
			if took > 0 {
				rows = min(max(int(float64(rows)*float64(sliceTime)/float64(took)), 50), 4*rows, 4000)
			}
		}
	}
	return nil
}

// textRow is one row's place in the ledger and its folded text.
type textRow struct {
	seq, id int64
	text    string
}

// indexSlice indexes up to limit events. It reads and folds them first and holds
// the lock only to write.
func (s *Store) indexSlice(ctx context.Context, kind audit.Kind, limit int) (done bool, took time.Duration, err error) {
	mark, head, rows, err := s.unindexed(ctx, kind, limit)
	if err != nil {
		return false, 0, s.dialect.classify(err)
	}
	if mark >= head {
		return true, 0, nil
	}
	upTo := head
	if len(rows) == limit {
		upTo = rows[len(rows)-1].seq
	}
	var start time.Time
	err = s.writeLater(ctx, "index text", func(tx *writeTx) error {
		start = time.Now()
		now, err := searchMark(tx.ctx, tx, kind)
		if err != nil || now != mark {
			return err // somebody else was here: look again
		}
		gone := map[int64]bool{}
		err = eachRow(tx.ctx, tx, "SELECT id FROM ledger WHERE seq > ? AND kind = ? AND entry = 'deleted'", []any{head, kind}, func(r scanner) error {
			var id int64
			err := r.Scan(&id)
			gone[id] = true
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if gone[row.id] {
				continue
			}
			if err := s.dialect.indexText(tx.ctx, tx.Tx, kind, row.seq, row.text); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			"search:"+string(kind), strconv.FormatInt(upTo, 10))
		return err
	})
	return false, time.Since(start), err
}

// unindexed reads, in one snapshot, the next events without an entry in the
// text index.
func (s *Store) unindexed(ctx context.Context, kind audit.Kind, limit int) (mark, head int64, rows []textRow, err error) {
	tx, end, err := begin(ctx, s.ro)
	if err != nil {
		return 0, 0, nil, err
	}
	defer end()
	if mark, err = searchMark(ctx, tx, kind); err != nil {
		return 0, 0, nil, err
	}
	if err = tx.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil || mark >= head {
		return mark, head, nil, err
	}
	reader := newTextReader(kind, query.Field{Class: query.ClassFree})
	values := make([]sql.RawBytes, len(reader.columns))
	var row textRow
	dest := []any{&row.seq, &row.id}
	for i := range values {
		dest = append(dest, &values[i])
	}
	var buf []byte
	err = eachRow(ctx, tx, "SELECT l.seq, e.id"+reader.sql+" FROM ledger l JOIN "+string(kind)+" e ON e.id = l.id"+
		" WHERE l.seq > ? AND l.kind = ? AND l.entry = 'created' ORDER BY l.seq LIMIT ?", []any{mark, kind, limit},
		func(r scanner) error {
			if err := r.Scan(dest...); err != nil {
				return err
			}
			buf = reader.text(buf, values)
			rows = append(rows, textRow{row.seq, row.id, string(buf)})
			return nil
		})
	return mark, head, rows, err
}
