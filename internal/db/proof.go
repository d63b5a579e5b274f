package db

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// Proof returns the proof that an event is recorded as it stands there, against
// the last checkpoint or, where that is older than the event, a new one. The
// error wraps ErrNotFound, ErrDeleted, ErrNoKeys, or ErrAltered where the event
// is not what was recorded: then there is nothing to prove.
func (s *Store) Proof(ctx context.Context, kind audit.Kind, id int64) (*evidence.Proof, error) {
	p, seq, err := s.proofOf(ctx, kind, id)
	if err != nil {
		return nil, err
	}
	c, err := s.covering(ctx, seq)
	if err != nil {
		return nil, err
	}
	return p, s.prove(ctx, p, c)
}

// Proofs calls fn with the proof of each of some events, in their order, all
// against one checkpoint, and ends with the first error of fn. An event that is gone
// meanwhile is left out. The error wraps ErrConflict for an event that was recorded
// after the checkpoint, and ErrAltered for one that is not what was recorded.
func (s *Store) Proofs(ctx context.Context, kind audit.Kind, ids []int64, c *SignedCheckpoint, fn func(*evidence.Proof) error) error {
	return s.eachByID(ctx, kind, ids, func(st *Stored) error {
		if st.Seq > c.Size {
			return fmt.Errorf("prove %s %d: it was recorded after the checkpoint of %d entries: %w", kind.Singular(), st.ID, c.Size, ErrConflict)
		}
		p, _, err := s.proofOf(ctx, kind, st.ID)
		if err == nil {
			err = s.prove(ctx, p, c)
		}
		if err == nil {
			err = fn(p)
		}
		return err
	})
}

// proofOf makes the part of a proof that is about the event itself.
func (s *Store) proofOf(ctx context.Context, kind audit.Kind, id int64) (*evidence.Proof, int64, error) {
	tx, end, err := begin(ctx, s.primary())
	if err != nil {
		return nil, 0, fmt.Errorf("prove %s %d: %w", kind.Singular(), id, s.dialect.classify(err))
	}
	defer end()
	t := tables[kind]
	st, err := t.scan(tx.QueryRowxContext(ctx, t.byID, id))
	if err == sql.ErrNoRows {
		return nil, 0, s.missing(ctx, s.dialect, tx, kind, id)
	}
	var seedColumn, leaf []byte
	var kept evidence.Kept
	if err == nil {
		err = tx.QueryRowxContext(ctx, "SELECT e.seed, l.leaf, (SELECT kept FROM redaction WHERE kind = ? AND id = e.id) FROM "+string(kind)+
			" e JOIN ledger l ON l.seq = e.seq WHERE e.id = ?", kind, id).Scan(&seedColumn, &leaf, (*[]byte)(&kept))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("prove %s %d: %w", kind.Singular(), id, s.dialect.classify(err))
	}
	if len(st.Damaged) > 0 { // what is in st for these was mended
		return nil, 0, fmt.Errorf("prove %s %d: %s is damaged: %w", kind.Singular(), id, strings.Join(st.Damaged, ", "), ErrAltered)
	}
	values := t.statedValues(st.Event)
	seed, _, whole := t.form.ParseSeed(seedColumn)
	var committed evidence.Committed
	switch {
	case whole:
		kept = nil
		committed = evidence.Commit(t.form, seed, st.Source, st.EventID, values)
	case kept.Valid(t.form):
		committed = evidence.CommitKept(t.form, kept, st.Source, st.EventID, values)
	default:
		return nil, 0, fmt.Errorf("prove %s %d: what its leaf was salted with is gone: %w", kind.Singular(), id, ErrAltered)
	}
	recordedAt := audit.FormatTime(st.RecordedAt)
	if got := committed.Leaf(st.ID, st.Seq, recordedAt); string(got[:]) != string(leaf) {
		return nil, 0, fmt.Errorf("prove %s %d: it is not what entry %d of the ledger says: %w", kind.Singular(), id, st.Seq, ErrAltered)
	}
	return &evidence.Proof{Kind: string(kind), ID: strconv.FormatInt(id, 10), Seq: st.Seq, RecordedAt: recordedAt, Source: st.Source, EventID: st.EventID,
		Fields: evidence.ProofFields(t.form, seed, kept, values), Record: committed.AppendRecord(nil, st.ID, st.Seq, recordedAt)}, st.Seq, nil
}

// covering returns a checkpoint of at least so many entries.
func (s *Store) covering(ctx context.Context, entries int64) (*SignedCheckpoint, error) {
	c, err := s.LastCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	if c == nil || c.Size < entries {
		return s.Checkpoint(ctx)
	}
	return c, nil
}

// prove adds the way from the event's leaf to a checkpoint.
func (s *Store) prove(ctx context.Context, p *evidence.Proof, c *SignedCheckpoint) error {
	tx, end, err := begin(ctx, s.primary())
	if err != nil {
		return fmt.Errorf("prove %s %s: %w", p.Kind, p.ID, s.dialect.classify(err))
	}
	defer end()
	if p.Path, err = tlog.ProveRecord(c.Size, p.Seq-1, newTreeReader(ctx, tx)); err != nil {
		return fmt.Errorf("prove %s %s: %w", p.Kind, p.ID, s.dialect.classify(err))
	}
	if p.PublicKeys, err = s.PublicKeys(); err != nil {
		return err
	}
	p.Checkpoint = c.Note
	if _, _, err := p.Check(p.PublicKeys); err != nil {
		return fmt.Errorf("prove %s %s: %w: %w; run 'auditadmin verify'", p.Kind, p.ID, ErrAltered, err)
	}
	return nil
}
