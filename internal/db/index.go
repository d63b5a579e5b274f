package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// indexPause is how long the indexer lets events gather: each lot is a commit,
// and small ones are merged into large ones by more of them.
const indexPause = 250 * time.Millisecond

// indexAgain is how long after it came to nothing the indexer tries again.
const indexAgain = time.Second

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
		removing := s.removing(s.closing)
		if removing {
			time.AfterFunc(removalPause, s.wakeIndexer)
		}
		if err := errors.Join(s.index(s.closing, !removing), s.growTree(s.closing)); err != nil && !errors.Is(err, context.Canceled) {
			// Another program may hold the lock for long. The next append, or the
			// next program, goes on from where this one stopped.
			select {
			case <-time.After(indexAgain):
				s.wakeIndexer()
			case <-s.closing.Done():
			}
		}
	}
}

// lotRows is how many events the indexer takes at once.
const lotRows = 4096

// Index brings the text index up to the ledger's head, in slices so short that
// appends pass in between, and takes out of it what is no longer there. It is
// safe beside others that do the same. What goes wrong with one kind, a damaged lot
// for instance, keeps none of the others from it. What it makes is derived, and need not be
// durable yet when it returns.
func (s *Store) Index(ctx context.Context) error {
	return s.index(ctx, s.purging.Load() == 0) // a purge does the second itself at its end
}

// index is Index, which takes nothing out of the text index where scrub is false.
func (s *Store) index(ctx context.Context, scrub bool) error {
	if err := s.dropStale(ctx); err != nil {
		return fmt.Errorf("index text: %w", s.dialect.classify(err))
	}
	var failed error
	if scrub {
		failed = s.scrubText(ctx)
	}
	var builder trigram.Builder
	for _, kind := range audit.Kinds() {
		if err := s.indexKind(ctx, kind, &builder); err != nil {
			failed = errors.Join(failed, fmt.Errorf("index the text of %s: %w", kind.Plural(), s.dialect.classify(err)))
		}
	}
	return failed
}

// indexKind takes in what is in no lot yet. Lots that cannot be merged stay as they
// are, and what is new is taken in all the same.
func (s *Store) indexKind(ctx context.Context, kind audit.Kind, builder *trigram.Builder) error {
	var unmerged error
	for {
		done, err := s.indexLot(ctx, kind, builder)
		if err != nil {
			return errors.Join(err, unmerged)
		}
		if unmerged == nil {
			unmerged = s.mergeLots(ctx, kind)
		}
		if done {
			return unmerged
		}
	}
}

// textRow is an event's place in the ledger, its id and its folded text.
type textRow struct {
	seq, id int64
	text    []byte
}

// indexLot makes a lot of the next events that are in none. It reads and folds
// them first and holds the lock only to write.
func (s *Store) indexLot(ctx context.Context, kind audit.Kind, builder *trigram.Builder) (done bool, err error) {
	mark, head, rows, err := s.unindexed(ctx, kind, lotRows)
	if err != nil {
		return false, err
	}
	return s.indexRows(ctx, kind, builder, mark, head, rows)
}

// indexRows makes a lot of what unindexed has read.
func (s *Store) indexRows(ctx context.Context, kind audit.Kind, builder *trigram.Builder, mark, head int64, rows []textRow) (done bool, err error) {
	if mark >= head {
		s.recent.indexedUpTo(kind, head)
		return true, nil
	}
	upTo := head
	if len(rows) == lotRows {
		upTo = rows[len(rows)-1].seq
	}
	seqs := make([]int64, len(rows))
	for i, row := range rows {
		builder.Add(row.text)
		seqs[i] = row.seq
	}
	err = s.putLot(ctx, &newLot{kind: kind, seqs: seqs, parts: builder.Build(s.dialect.partPages()), last: func(tx *writeTx) error {
		if err := tx.stillSay(kind, head, rows); err != nil {
			return err
		}
		now, err := searchMark(tx.ctx, tx, kind)
		if err != nil {
			return err
		}
		var gone int
		if err := tx.GetContext(tx.ctx, &gone, "SELECT count(*) FROM search_stale WHERE kind = ? AND last > ?", kind, mark); err != nil {
			return err
		}
		if now != mark || gone > 0 {
			return errChanged // somebody else was here, or took an event away: look again
		}
		_, err = tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			"search:"+string(kind), strconv.FormatInt(upTo, 10))
		return err
	}})
	if err == nil {
		s.recent.indexedUpTo(kind, upTo)
	}
	if errors.Is(err, errChanged) {
		return false, s.scrubKind(ctx, kind)
	}
	return upTo == head, err // what came meanwhile is for the next time
}

// stillSay returns errChanged where an entry of the ledger after one says that any of
// some events was taken away, or something of it, since they were read. What search_stale
// said of it may be forgotten already.
func (tx *writeTx) stillSay(kind audit.Kind, after int64, rows []textRow) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.id
	}
	slices.Sort(ids)
	// Asked by place alone: what came since the rows were read is little, where the
	// decisions about a kind may be many.
	return eachRow(tx.ctx, tx, "SELECT coalesce(p.from_id, l.id), l.id FROM ledger l LEFT JOIN purge p ON p.seq = l.seq"+
		" WHERE l.seq > ? AND l.seq <= ? AND l.kind = ? AND l.entry IN ('deleted', 'redacted', 'purged')", []any{after, tx.seq, kind}, func(r scanner) error {
		var from, to int64
		if err := r.Scan(&from, &to); err != nil {
			return err
		}
		if i, _ := slices.BinarySearch(ids, from); i < len(ids) && ids[i] <= to {
			return errChanged
		}
		return nil
	})
}

// unindexed reads, in one snapshot, the next events without a place in the text
// index.
func (s *Store) unindexed(ctx context.Context, kind audit.Kind, limit int) (mark, head int64, rows []textRow, err error) {
	tx, end, err := begin(ctx, s.worker())
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
	if fresh, ok := s.recent.since(kind, mark, head, head); ok {
		end()
		return mark, head, freshTexts(kind, fresh[:min(len(fresh), limit)]), nil
	}
	if err = s.dialect.inOrder(ctx, tx); err != nil {
		return 0, 0, nil, err
	}
	if rows, err = s.textsAfter(ctx, tx, kind, mark, head, limit); err != nil {
		return 0, 0, nil, err
	}
	upTo := head
	if len(rows) == limit {
		upTo = rows[len(rows)-1].seq
	}
	err = s.settled(ctx, tx, kind, mark, upTo, int64(len(rows)))
	if errors.Is(err, errUnsettled) {
		// What is missing tells nobody when it is there, nor when it is given up.
		time.AfterFunc(indexAgain, s.wakeIndexer)
		return mark, mark, nil, nil
	}
	return mark, head, rows, err
}

// freshTexts makes the searchable texts of events that are at hand.
func freshTexts(kind audit.Kind, fresh []recentRow) []textRow {
	reader := newTextReader(kind, query.Field{Class: query.ClassFree})
	values := make([]string, len(reader.columns))
	rows := make([]textRow, len(fresh))
	var buf []byte
	for i, row := range fresh {
		for j, f := range reader.columns {
			values[j] = row.read(kind, f.Name)
		}
		buf = textOf(reader, buf, values)
		rows[i] = textRow{row.seq, row.id, bytes.Clone(buf)}
	}
	return rows
}

// textStretch is how many entries of the ledger are looked through at once for each
// text that is wanted.
const textStretch = 4

// textsAfter reads the searchable texts of the first events of a kind that were
// recorded after one seq and up to another. It goes through the ledger by stretches:
// a cluster sends what it looks through to the machines that have the events, which
// would be all that is left of the ledger for each lot.
func (s *Store) textsAfter(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, after, upTo int64, limit int) (rows []textRow, err error) {
	stretch := textStretch * int64(limit)
	for from := after; from < upTo && len(rows) < limit; from += stretch {
		some, err := s.textRows(ctx, tx, kind, "l.seq > ? AND l.seq <= ? ORDER BY l.seq LIMIT ?", from, min(from+stretch, upTo), limit-len(rows))
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// textRows reads the searchable texts of events that are chosen by their entries
// l in the ledger.
func (s *Store) textRows(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, chosen string, args ...any) ([]textRow, error) {
	var rows []textRow
	err := s.eachText(ctx, tx, kind, chosen, func(seq, id int64, text []byte) error {
		rows = append(rows, textRow{seq, id, bytes.Clone(text)})
		return nil
	}, args...)
	return rows, err
}

// eachText is textRows for one after the other. A text is good until fn returns.
func (s *Store) eachText(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, chosen string, fn func(seq, id int64, text []byte) error, args ...any) error {
	reader := newTextReader(kind, query.Field{Class: query.ClassFree})
	values := make([]sql.RawBytes, len(reader.columns))
	var seq, id int64
	dest := []any{&seq, &id}
	for i := range values {
		dest = append(dest, &values[i])
	}
	var buf []byte
	return eachRow(ctx, tx, "SELECT l.seq, l.id"+reader.sql+" FROM ledger l JOIN "+string(kind)+" e ON e.id = l.id AND e.seq = l.seq + 0"+ // the sum as in kindColumns.read
		" WHERE l.kind = ? AND l.entry = 'created' AND "+chosen, append([]any{kind}, args...),
		func(r scanner) error {
			if err := r.Scan(dest...); err != nil {
				return err
			}
			buf = reader.text(buf, values)
			return fn(seq, id, buf)
		})
}
