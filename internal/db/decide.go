package db

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/auditadmin/auditadmin/internal/query"
)

// decideEvents is how many events one transaction decides about, so that it
// does not hold the lock for long.
const decideEvents = 200

// Resolve marks system events resolved with a note and returns how many were
// open before. Each 200 of them are changed together: an error leaves those before, which
// the number says. It wraps ErrNotFound if one of them is not there, and ErrConflict if
// none of them was open.
func (s *Store) Resolve(ctx context.Context, actor Actor, ids []int64, note string) (int, error) {
	changed, _, err := s.ResolveMany(ctx, actor, ids, note)
	return changed, err
}

// ResolveMany is Resolve, and also returns which of them were resolved already.
func (s *Store) ResolveMany(ctx context.Context, actor Actor, ids []int64, note string) (changed int, already []int64, err error) {
	changed, already, err = s.resolve(ctx, actor, ids, note)
	if err == nil && changed == 0 {
		return 0, already, fmt.Errorf("resolve %d system events: they are resolved already: %w", len(ids), ErrConflict)
	}
	return changed, already, err
}

func (s *Store) resolve(ctx context.Context, actor Actor, ids []int64, note string) (total int, already []int64, err error) {
	note = stored(note)
	for part := range slices.Chunk(ids, decideEvents) {
		changed := 0
		var before []int64
		err := s.writeAsSuperuser(ctx, "resolve system events", func(tx *writeTx) error {
			changed, before = 0, nil
			for _, id := range part {
				ok, err := tx.setResolved(actor, id, true, note)
				if err != nil {
					return err
				}
				if ok {
					changed++
				} else {
					before = append(before, id)
				}
			}
			return nil
		})
		if err != nil {
			return total, already, err
		}
		total, already = total+changed, append(already, before...)
	}
	return total, already, nil
}

// The bounds of a look for what was resolved since a page was made.
const (
	sinceEntries = 1_000_000
	sinceEvents  = 100
)

// ResolvedSince returns which system events were resolved after an entry of the
// ledger, in that order: at most 100 of them, and within the next million entries.
func (s *Store) ResolvedSince(ctx context.Context, seq int64) ([]int64, error) {
	var ids []int64
	err := eachRow(ctx, s.ro, "SELECT id FROM ledger WHERE seq BETWEEN ? AND ? AND kind = ? AND entry = 'resolved' ORDER BY seq LIMIT ?",
		[]any{seq + 1, seq + sinceEntries, audit.KindSystemEvent, sinceEvents}, func(row scanner) error {
			var id int64
			err := row.Scan(&id)
			ids = append(ids, id)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("look for what was resolved since: %w", s.readDialect.classify(err))
	}
	return ids, nil
}

// Reopen marks a resolved system event open again. The error wraps ErrNotFound if it is
// not there, and ErrConflict if it is open.
func (s *Store) Reopen(ctx context.Context, actor Actor, id int64, note string) error {
	note = stored(note)
	return s.writeAsSuperuser(ctx, "reopen a system event", func(tx *writeTx) error {
		ok, err := tx.setResolved(actor, id, false, note)
		if err == nil && !ok {
			err = fmt.Errorf("system event %d is open already: %w", id, ErrConflict)
		}
		return err
	})
}

// setResolved changes the resolution of one event, unless it is so already.
func (tx *writeTx) setResolved(actor Actor, id int64, resolved bool, note string) (bool, error) {
	entry, flag, at, by, kept := evidence.Resolved, "true", audit.FormatTime(tx.now), actor.Name, note
	if !resolved {
		entry, flag, at, by, kept = evidence.Reopened, "", "", "", ""
	}
	result, err := tx.ExecContext(tx.ctx,
		"UPDATE system_event SET resolved = ?, resolved_at = ?, resolved_by = ?, resolution_note = ? WHERE id = ? AND resolved = ?",
		resolved, orNull(at), by, kept, id, !resolved)
	if err != nil {
		return false, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		if err != nil {
			return false, err
		}
		var there int
		err := tx.GetContext(tx.ctx, &there, "SELECT 1 FROM system_event WHERE id = ?", id)
		if errors.Is(err, sql.ErrNoRows) {
			err = tx.store.missing(tx.ctx, tx.dialect, tx, audit.KindSystemEvent, id)
		}
		return false, err
	}
	state := stateSubject(audit.KindSystemEvent, flag, at, by, kept)
	if err := tx.decide(entry, audit.KindSystemEvent, id, actor.Name, note, state); err != nil {
		return false, err
	}
	e := actor.deed("UPDATE", eventObject(audit.KindSystemEvent, id), changes{"resolved": {!resolved, resolved}})
	e.Set("reason", note)
	return true, tx.record(e)
}

// ResolveSelection resolves what a filter matched when it was looked at: only
// events recorded up to upTo, and only if there are still confirm of them;
// otherwise the error wraps ErrConflict and nothing is changed. It returns how
// many were open before.
func (s *Store) ResolveSelection(ctx context.Context, actor Actor, f *query.Filter, upTo, confirm int64, note string) (int, error) {
	if f.Kind != audit.KindSystemEvent {
		return 0, fmt.Errorf("resolve %s: only system events are resolved: %w", f.Kind.Plural(), ErrNotFound)
	}
	sel, err := s.Select(ctx, f)
	if err != nil {
		return 0, err
	}
	var ids []int64
	err = sel.eachPlace(ctx, func(places []rowPlace) error {
		for _, p := range places {
			if p.seq(sel.view) <= upTo {
				ids = append(ids, p.id(sel.view))
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("resolve system events: %w", s.readDialect.classify(err))
	}
	if int64(len(ids)) != confirm {
		return 0, fmt.Errorf("resolve %d system events: there are %d now: %w", confirm, len(ids), ErrConflict)
	}
	changed, _, err := s.resolve(ctx, actor, ids, note)
	return changed, err
}

// DeleteLimit is how many events one call of Delete takes at most.
const DeleteLimit = 1000

// Delete deletes events of one kind for good and leaves in the place of each a
// tombstone, an entry in the ledger, and an audit log of the deletion, all with
// the reason. All of them are deleted or none is. The error wraps ErrNotFound,
// ErrDeleted, ErrHeld where a hold covers one of them, or ErrProtected for the
// audit log of a deletion, which stays.
func (s *Store) Delete(ctx context.Context, actor Actor, kind audit.Kind, ids []int64, reason string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	if len(ids) > DeleteLimit {
		return 0, fmt.Errorf("delete %d %s: at most %d at a time: %w", len(ids), kind.Plural(), DeleteLimit, ErrConflict)
	}
	ids, reason = slices.Compact(slices.Sorted(slices.Values(ids))), stored(reason)
	err := s.unlessHeld(ctx, "delete "+kind.Plural(), kind, ids, func(tx *writeTx) error {
		for _, id := range ids {
			if err := tx.delete(actor, kind, id, reason); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.eraseText(ctx)
	return len(ids), nil
}

// eraseText takes the text of events that are gone out of everything derived
// from them. What cannot be done at once is done by whoever works beside the
// database, or by the next program.
func (s *Store) eraseText(ctx context.Context) {
	s.texts.forget()
	if err := s.scrubText(ctx); err != nil {
		s.wakeIndexer()
	}
	if err := s.refresh(ctx); err != nil || s.seal(ctx, false) != nil {
		s.wakeSealer()
	}
	s.scrub(ctx)
}

// scrub takes what was deleted out of the columns and of the log too. Where a reader
// is in the way for long it is left to the next deletion or to the log's own turn: the
// events are gone from every answer already.
func (s *Store) scrub(ctx context.Context) {
	s.eraseColumns(ctx)
	if !s.mayReclaim(ctx) {
		return // it is done as soon as there is room
	}
	for range 4 {
		if gone, err := s.dialect.scrub(ctx, s.rw); gone || err != nil {
			return
		}
	}
}

func (tx *writeTx) delete(actor Actor, kind audit.Kind, id int64, reason string) error {
	st, err := tables[kind].scan(tx.QueryRowxContext(tx.ctx, tables[kind].byID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return tx.store.missing(tx.ctx, tx.dialect, tx, kind, id)
	}
	if err != nil {
		return err
	}
	if trace, err := isTrace(tx.ctx, tx, st); err != nil {
		return err
	} else if trace {
		return fmt.Errorf("audit log %d says what was deleted and stays: %w", id, ErrProtected)
	}
	var hash []byte
	if st.EventID != "" {
		sum := sha256.Sum256([]byte(st.EventID))
		hash = sum[:]
	}
	gone, err := tx.gone(kind, id, st.Seq)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(tx.ctx, "INSERT INTO tombstone (kind, id, seq, timestamp, event_id_hash, deleted_at, deleted_by, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		kind, id, st.Seq, st.Get("timestamp"), hash, audit.FormatTime(tx.now), actor.Name, reason)
	if err != nil {
		return err
	}
	if err := tx.goneText(kind, st.Seq, st.Seq); err != nil {
		return err
	}
	if _, err := tx.ExecContext(tx.ctx, "DELETE FROM "+string(kind)+" WHERE id = ?", id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(tx.ctx, "DELETE FROM redaction WHERE kind = ? AND id = ?", kind, id); err != nil {
		return err
	}
	subject := tombstoneSubject(kind, id, st.Seq, st.Get("timestamp"), hash, audit.FormatTime(tx.now), actor.Name, reason, gone)
	if err := tx.decide(evidence.Deleted, kind, id, actor.Name, reason, subject); err != nil {
		return err
	}
	e := actor.deed("DELETE", eventObject(kind, id), nil)
	e.Set("reason", reason)
	e.Set("metadata", fmt.Sprintf(`{"timestamp":%q,"seq":%d,"recorded_at":%q}`, st.Get("timestamp"), st.Seq, audit.FormatTime(st.RecordedAt)))
	return tx.record(e)
}

// staleText notes that the text of events, whose places in the ledger are a run,
// has changed: scrubText then brings the text index to it.
func (tx *writeTx) staleText(kind audit.Kind, first, last int64) error {
	_, err := tx.ExecContext(tx.ctx, "INSERT INTO search_stale (kind, first, last, gone) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING", kind, first, last)
	return err
}

// goneText is staleText for events that are gone, which need not be looked for.
func (tx *writeTx) goneText(kind audit.Kind, first, last int64) error {
	_, err := tx.ExecContext(tx.ctx, "INSERT INTO search_stale (kind, first, last, gone) VALUES (?, ?, ?, 1) ON CONFLICT (kind, first, last) DO UPDATE SET gone = 1", kind, first, last)
	return err
}

// gone is the evidence.Gone of an event's entry in the ledger.
func (tx *writeTx) gone(kind audit.Kind, id, seq int64) (evidence.Hash, error) {
	var recordedAt string
	var leaf []byte
	err := tx.QueryRowxContext(tx.ctx, "SELECT recorded_at, leaf FROM ledger WHERE seq = ? AND kind = ? AND id = ?", seq, kind, id).Scan(&recordedAt, &leaf)
	if err != nil {
		return evidence.Hash{}, fmt.Errorf("%s %d has no entry %d in the ledger: run 'auditadmin verify': %w", kind.Singular(), id, seq, err)
	}
	h, ok := parseRoot(leaf)
	if !ok {
		return h, fmt.Errorf("entry %d of the ledger has no leaf: run 'auditadmin verify'", seq)
	}
	return evidence.Gone(string(kind), id, seq, recordedAt, &h), nil
}

// traces are the actions of the program's own records of what took something
// away, and the entry of the ledger that each follows.
var traces = map[string]evidence.Entry{"DELETE": evidence.Deleted, "REDACT": evidence.Redacted}

// isTrace reports whether the event is the program's own record of a deletion or
// a redaction, which follows that in the ledger. An imported event that merely
// looks like one is like any other.
func isTrace(ctx context.Context, q queryer, st *Stored) (bool, error) {
	kind, isKind := strings.CutPrefix(st.Get("content_type"), Self+".")
	entry, takes := traces[st.Get("action")]
	if st.Kind != audit.KindAuditLog || st.Source != Self || !takes || !isKind {
		return false, nil
	}
	id, err := strconv.ParseInt(st.Get("object_id"), 10, 64)
	if err != nil {
		return false, nil // a session, which has a name and no number
	}
	var n int
	err = sqlx.GetContext(ctx, q, &n, "SELECT count(*) FROM ledger WHERE seq = ? AND entry = ? AND kind = ? AND id = ?", st.Seq-1, entry, kind, id)
	return n > 0, err
}
