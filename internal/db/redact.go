package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// Redactable reports whether the content of a field can be taken away: that of
// texts, addresses and JSON, and never when and as what an event happened.
func Redactable(f audit.Field) bool {
	return !f.Mutable && (f.Type == audit.Text || f.Type == audit.Address || f.Type == audit.JSON)
}

// Redact takes the content of one field of an event away for good, from its row
// and from all that is derived from it. The rest of the event can still be
// proven; what was taken away cannot even be guessed at, since its salt is gone
// too. It leaves an entry in the ledger and an audit log, both with the reason.
//
// The error wraps ErrNotFound, also for a field that cannot be redacted,
// ErrDeleted, ErrHeld where a hold covers the event, ErrConflict where the field is
// empty, or ErrProtected for the trace of a deletion or redaction.
func (s *Store) Redact(ctx context.Context, actor Actor, kind audit.Kind, id int64, field, reason string) error {
	at, reason := kind.Index(field), stored(reason)
	if at < 0 || !Redactable(kind.Fields()[at]) {
		return fmt.Errorf("redact %q of %s %d: there is no such field to redact: %w", field, kind.Singular(), id, ErrNotFound)
	}
	err := s.unlessHeld(ctx, fmt.Sprintf("redact %s of %s %d", field, kind.Singular(), id), kind, []int64{id}, func(tx *writeTx) error {
		return tx.redact(actor, tables[kind], id, kind.Fields()[at], reason)
	})
	if err != nil {
		return err
	}
	s.eraseText(ctx)
	return nil
}

func (tx *writeTx) redact(actor Actor, t *table, id int64, field audit.Field, reason string) error {
	st, err := t.scan(tx.QueryRowxContext(tx.ctx, t.byID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return tx.store.missing(tx.ctx, tx.dialect, tx, t.kind, id)
	}
	if err != nil {
		return err
	}
	if trace, err := isTrace(tx.ctx, tx, st); err != nil {
		return err
	} else if trace {
		return fmt.Errorf("audit log %d says what was taken away and stays: %w", id, ErrProtected)
	}
	if st.Get(field.Name) == "" {
		return fmt.Errorf("the field is empty: %w", ErrConflict)
	}
	kept, leaf, err := tx.kept(t, st)
	if err != nil {
		return err
	}
	for i, name := range t.form.Fields() {
		if name == field.Name {
			kept = evidence.Take(kept, i, st.Get(name))
		}
	}
	// The entry first: while it is the ledger's last one, the row may be changed.
	if err := tx.decide(evidence.Redacted, t.kind, id, actor.Name, field.Name+": "+reason, redactionSubject(t.kind, id, kept, leaf)); err != nil {
		return err
	}
	_, err = tx.ExecContext(tx.ctx, `INSERT INTO redaction (kind, id, seq, kept) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind, id) DO UPDATE SET seq = excluded.seq, kept = excluded.kept`, t.kind, id, tx.seq, []byte(kept))
	if err != nil {
		return err
	}
	empty := any("")
	if field.Type == audit.JSON {
		empty = nil
	}
	if _, err := tx.ExecContext(tx.ctx, "UPDATE "+string(t.kind)+" SET "+field.Name+" = ?, seed = NULL WHERE id = ?", empty, id); err != nil {
		return err
	}
	if err := tx.staleText(t.kind, st.Seq, st.Seq); err != nil {
		return err
	}
	e := actor.deed("REDACT", eventObject(t.kind, id), nil)
	e.Set("reason", reason)
	e.Set("metadata", fmt.Sprintf(`{"field":%q}`, field.Name))
	return tx.record(e)
}

// kept returns what an event's leaf is checked with, and the leaf: from its seed
// or, where something of it was redacted before, from what was kept then.
func (tx *writeTx) kept(t *table, st *Stored) (kept evidence.Kept, leaf []byte, err error) {
	var seed []byte
	err = tx.QueryRowxContext(tx.ctx, "SELECT e.seed, l.leaf, (SELECT kept FROM redaction WHERE kind = ? AND id = e.id) FROM "+string(t.kind)+
		" e JOIN ledger l ON l.seq = e.seq WHERE e.id = ?", t.kind, st.ID).Scan(&seed, &leaf, (*[]byte)(&kept))
	if err != nil {
		return nil, nil, err
	}
	if parsed, _, ok := t.form.ParseSeed(seed); ok {
		kept = evidence.Keep(t.form, parsed, t.statedValues(st.Event))
	}
	if !kept.Valid(t.form) {
		return nil, nil, fmt.Errorf("its evidence is not whole, and what would be left could not be proven; run 'auditadmin verify': %w", ErrConflict)
	}
	return kept, leaf, nil
}

// Redactions returns what was redacted of an event, oldest first; also of one that is
// gone. Beside an error it may return some of it.
func (s *Store) Redactions(ctx context.Context, kind audit.Kind, id int64) ([]Redacted, error) {
	decisions, err := s.Decisions(ctx, kind, id)
	var all []Redacted
	for _, d := range decisions {
		if d.Entry == string(evidence.Redacted) {
			field, reason, _ := strings.Cut(d.Note, ": ")
			all = append(all, Redacted{Field: field, At: d.At, By: d.Actor, Reason: reason})
		}
	}
	return all, err
}
