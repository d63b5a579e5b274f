package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

// scrubText brings the text index to what the rows say now that are named in
// search_stale: of those that are gone nothing is left in it. It goes on where it was
// interrupted.
func (s *Store) scrubText(ctx context.Context) (failed error) {
	for _, kind := range audit.Kinds() {
		failed = errors.Join(failed, s.scrubKind(ctx, kind))
	}
	return failed
}

// scrubKind is scrubText for one kind.
func (s *Store) scrubKind(ctx context.Context, kind audit.Kind) error {
	for {
		done, err := s.scrubLot(ctx, kind)
		if err != nil && !errors.Is(err, errChanged) {
			return fmt.Errorf("take text out of the index of %s: %w", kind.Plural(), err)
		}
		if done {
			return nil
		}
	}
}

// scrubLot makes the oldest lot with stale rows anew.
func (s *Store) scrubLot(ctx context.Context, kind audit.Kind) (done bool, err error) {
	n, err := s.scrubbed(ctx, kind)
	if err != nil || n == nil {
		return err == nil, err
	}
	return false, s.putLot(ctx, n)
}

// scrubbed makes what takes the place of the oldest lot with stale rows, or nil where
// there are none. It ends with forgetting them.
func (s *Store) scrubbed(ctx context.Context, kind audit.Kind) (*newLot, error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return nil, err
	}
	defer end()
	var runs []staleRun
	if err := tx.SelectContext(ctx, &runs, "SELECT first, last, gone FROM search_stale WHERE kind = ? ORDER BY first LIMIT 20000", kind); err != nil || len(runs) == 0 {
		return nil, err
	}
	all, err := lots(ctx, tx, kind, runs[0].First-1)
	if err != nil {
		return nil, err
	}
	forget := func(upTo int64) func(tx *writeTx) error {
		return func(tx *writeTx) error { return tx.forgetUpTo(kind, runs, upTo) }
	}
	if len(all) == 0 { // in no lot: it was not indexed, or is out already
		return &newLot{kind: kind, last: forget(runs[len(runs)-1].Last)}, nil
	}
	l := all[0]
	if runs[0].Last < l.First { // in none either, and neither is what else begins before the next lot
		return &newLot{kind: kind, last: forget(l.First - 1)}, nil
	}
	seqs, whole, err := readLot(ctx, tx, l)
	if errors.Is(err, errLotDamaged) {
		return s.anew(ctx, tx, kind, l, err, forget(l.Last))
	}
	if err != nil {
		return nil, err
	}
	stale, changed := staleRows(runs, seqs)
	texts, err := s.textsOf(ctx, tx, kind, seqs, changed)
	if err != nil {
		return nil, err
	}
	n := &newLot{kind: kind, old: []lot{l}, last: forget(l.Last)}
	if len(texts) == 0 && !slices.Contains(stale, false) {
		return n, nil // nothing is left of it
	}
	var head int64
	if err := tx.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return nil, err
	}
	end()
	n.last = func(tx *writeTx) error {
		if err := tx.stillSay(kind, head, texts); err != nil {
			return err
		}
		return tx.forgetUpTo(kind, runs, l.Last)
	}
	whole.Gone = func(row int) bool { return stale[row] }
	n.seqs, n.parts = seqs, trigram.Replace(s.dialect.partPages(), whole, patchOf(seqs, texts))
	return n, nil
}

// patchOf is a lot of the same rows, in which only those have a text that have a new one.
func patchOf(seqs []int64, texts []textRow) trigram.Lot {
	var patch trigram.Builder
	for _, seq := range seqs {
		var text []byte
		if len(texts) > 0 && texts[0].seq == seq {
			text, texts = texts[0].text, texts[1:]
		}
		patch.Add(text)
	}
	return trigram.Lot{Rows: len(seqs), Parts: patch.Build(1)}
}

// textsOf returns the changed rows that are still there, in the order of the lot.
func (s *Store) textsOf(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, seqs []int64, changed []bool) ([]textRow, error) {
	var asked []int64
	for row, seq := range seqs {
		if changed[row] {
			asked = append(asked, seq)
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	condition, args := s.dialect.among("l.seq", asked)
	rows, err := s.textRows(ctx, tx, kind, condition, args...)
	slices.SortFunc(rows, func(a, b textRow) int { return cmp.Compare(a.seq, b.seq) })
	return rows, err
}
