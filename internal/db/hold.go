package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/auditadmin/auditadmin/internal/query"
)

// Hold is a legal hold: what its query finds is neither deleted nor purged until
// it is released.
type Hold struct {
	ID            int64
	Kind          audit.Kind // of the events it covers, or "" for all kinds
	Query         string     // its dates are in UTC
	Reason        string
	HeldAt        time.Time
	HeldBy        string
	ReleasedAt    time.Time // zero while it holds
	ReleasedBy    string
	ReleaseReason string
}

// Covers reports whether the hold is about events of a kind, and holds.
func (h *Hold) Covers(kind audit.Kind) bool {
	return h.ReleasedAt.IsZero() && (h.Kind == "" || h.Kind == kind)
}

// filter is the hold's query for one of its kinds.
func (h *Hold) filter(kind audit.Kind) (*query.Filter, error) {
	return query.Parse(kind, h.Query, query.Options{Now: h.HeldAt})
}

// HeldError is returned for an event that a hold covers. It wraps ErrHeld.
type HeldError struct {
	Hold
	Event audit.Kind
	ID    int64
}

// Error names the hold, who placed it and why.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s %d is under legal hold %d, which %s placed on %s: %s", e.Event.Singular(), e.ID, e.Hold.ID, e.HeldBy,
		e.HeldAt.UTC().Format(time.DateOnly), e.Hold.Reason)
}

// Unwrap returns ErrHeld.
func (e *HeldError) Unwrap() error { return ErrHeld }

// Hold places a legal hold on the events of a kind, or with "" of all kinds, that
// a query finds, those recorded later included, and returns its id. The query
// means the same for ever, and finds an event as long as the event is there: one with
// last:, or about what can be decided on an event later, is refused. The error of a
// query that cannot be read is a *query.SyntaxError too.
func (s *Store) Hold(ctx context.Context, actor Actor, kind audit.Kind, q, reason string) (int64, error) {
	q, reason = stored(q), stored(reason)
	h := Hold{Kind: kind, Query: q, Reason: reason, HeldBy: actor.Name}
	for _, k := range audit.Kinds() {
		if !h.Covers(k) {
			continue
		}
		f, err := h.filter(k)
		if err != nil {
			return 0, err
		}
		for _, t := range f.Terms {
			if message := letsGo(k, t); message != "" {
				return 0, &query.SyntaxError{Query: q, Position: t.Pos, Length: t.End - t.Pos, Message: message}
			}
		}
	}
	var id int64
	err := s.writeAsSuperuser(ctx, "place a hold", func(tx *writeTx) error {
		at := audit.FormatTime(tx.now)
		err := tx.GetContext(tx.ctx, &id, "INSERT INTO hold (id, kind, query, reason, held_at, held_by)"+
			" SELECT coalesce(max(id), 0) + 1, ?, ?, ?, ?, ? FROM hold RETURNING id", kind, q, reason, at, actor.Name)
		if err != nil {
			return err
		}
		subject := holdSubject(id, string(kind), q, reason, at, actor.Name, "", "", "")
		if err := tx.decide(evidence.Held, holdKind, id, actor.Name, reason, subject); err != nil {
			return err
		}
		e := actor.deed("HOLD", holdObject(id, kind, q), nil)
		e.Set("reason", reason)
		return tx.record(e)
	})
	return id, err
}

// letsGo says why a hold with that term would end without being released, and is ""
// for one that would not.
func letsGo(kind audit.Kind, t query.Term) string {
	if t.Field.Key == "last" {
		return "a hold on what happened lately would let go of it soon; give dates with after: and before:"
	}
	for _, column := range t.Field.Columns {
		if at := kind.Index(column); at >= 0 && kind.Fields()[at].Mutable {
			return "a hold on what is so now would let go of an event that is resolved or opened again; leave " + t.Field.Key + ": out"
		}
	}
	return ""
}

// Release ends a hold. The error wraps ErrNotFound, or ErrConflict where it is
// released already.
func (s *Store) Release(ctx context.Context, actor Actor, id int64, reason string) error {
	reason = stored(reason)
	return s.writeAsSuperuser(ctx, "release a hold", func(tx *writeTx) error {
		all, err := readHolds(tx.ctx, tx, "WHERE id = ?", id)
		switch {
		case err != nil:
			return err
		case len(all) == 0:
			return fmt.Errorf("hold %d: %w", id, ErrNotFound)
		case !all[0].ReleasedAt.IsZero():
			return fmt.Errorf("hold %d is released already: %w", id, ErrConflict)
		}
		h, at := all[0], audit.FormatTime(tx.now)
		_, err = tx.ExecContext(tx.ctx, "UPDATE hold SET released_at = ?, released_by = ?, release_reason = ? WHERE id = ?", at, actor.Name, reason, id)
		if err != nil {
			return err
		}
		subject := holdSubject(id, string(h.Kind), h.Query, h.Reason, audit.FormatTime(h.HeldAt), h.HeldBy, at, actor.Name, reason)
		if err := tx.decide(evidence.Released, holdKind, id, actor.Name, reason, subject); err != nil {
			return err
		}
		e := actor.deed("RELEASE", holdObject(id, h.Kind, h.Query), nil)
		e.Set("reason", reason)
		return tx.record(e)
	})
}

// holdKind stands in the ledger where a kind of event would: a hold has its own
// numbers.
const holdKind audit.Kind = "hold"

// holdObject names a hold as the object of a deed.
func holdObject(id int64, kind audit.Kind, q string) object {
	what := "all kinds of events"
	if kind != "" {
		what = kind.Plural()
	}
	if q == "" {
		q = "everything"
	}
	return object{Self + ".hold", strconv.FormatInt(id, 10), fmt.Sprintf("hold on %s: %s", what, q)}
}

// Holds returns all holds, the released ones included, newest first.
func (s *Store) Holds(ctx context.Context) ([]Hold, error) {
	all, err := readHolds(ctx, s.primary(), "ORDER BY id DESC")
	if err != nil {
		return nil, fmt.Errorf("read the holds: %w", s.dialect.classify(err))
	}
	return all, nil
}

func readHolds(ctx context.Context, q sqlx.QueryerContext, which string, args ...any) ([]Hold, error) {
	var all []Hold
	err := eachRow(ctx, q, "SELECT id, kind, query, reason, held_at, held_by, released_at, released_by, release_reason FROM hold "+which, args,
		func(r scanner) error {
			var h Hold
			var heldAt string
			var releasedAt sql.NullString
			if err := r.Scan(&h.ID, &h.Kind, &h.Query, &h.Reason, &heldAt, &h.HeldBy, &releasedAt, &h.ReleasedBy, &h.ReleaseReason); err != nil {
				return err
			}
			h.HeldAt, _ = audit.ParseTime(heldAt)
			h.ReleasedAt, _ = audit.ParseTime(releasedAt.String)
			if releasedAt.Valid && h.ReleasedAt.IsZero() { // it holds until somebody can say when it ended
				return fmt.Errorf("hold %d was released at %q, which is no time", h.ID, releasedAt.String)
			}
			all = append(all, h)
			return nil
		})
	return all, err
}

// held is what was looked up of the holds on events of one kind, and the state
// of the database in which that is true.
type held struct {
	kind  audit.Kind
	stamp string
	none  bool // no hold covers the kind, whatever its events say
	head  int64
	by    map[int64]*Hold // by the id of an event
}

// holdStamp changes with every hold that is placed or released.
func holdStamp(ctx context.Context, q sqlx.QueryerContext) (stamp string, err error) {
	err = sqlx.GetContext(ctx, q, &stamp, "SELECT count(*) || ' ' || count(released_at) || ' ' || coalesce(max(id), 0) FROM hold")
	return stamp, err
}

// HoldOn returns the hold that covers an event, nil for none. It is what a page
// says: whoever takes an event away looks again.
func (s *Store) HoldOn(ctx context.Context, kind audit.Kind, id int64) (*Hold, error) {
	h, err := s.lookUpHeld(ctx, kind, query.ValueTerm(kind, "id", false, false, strconv.FormatInt(id, 10)))
	if err != nil {
		return nil, fmt.Errorf("look whether %s %d is held: %w", kind.Singular(), id, err)
	}
	return h.by[id], nil
}

// heldOf looks up which events of a kind are held, of those that terms choose, once
// all that was recorded can be looked up.
func (s *Store) heldOf(ctx context.Context, kind audit.Kind, chosen ...query.Term) (*held, error) {
	if err := s.caughtUp(ctx); err != nil {
		return nil, err
	}
	return s.lookUpHeld(ctx, kind, chosen...)
}

func (s *Store) lookUpHeld(ctx context.Context, kind audit.Kind, chosen ...query.Term) (h *held, err error) {
	h = &held{kind: kind, by: map[int64]*Hold{}}
	if h.stamp, err = holdStamp(ctx, s.primary()); err != nil {
		return nil, s.dialect.classify(err)
	}
	all, err := readHolds(ctx, s.primary(), "WHERE released_at IS NULL ORDER BY id")
	if err != nil {
		return nil, s.dialect.classify(err)
	}
	if h.none = !slices.ContainsFunc(all, func(hold Hold) bool { return hold.Covers(kind) }); h.none {
		return h, nil
	}
	v, err := s.view(ctx, kind)
	if err != nil {
		return nil, err
	}
	h.head = v.head
	for i := range all {
		hold := &all[i]
		if !hold.Covers(kind) {
			continue
		}
		f, err := hold.filter(kind)
		if err != nil {
			return nil, fmt.Errorf("hold %d cannot be read, so nothing is taken away: %w", hold.ID, err)
		}
		// The text index is derived, and what it lost would be under no hold: the events
		// themselves are asked.
		narrowed := *f
		narrowed.Terms = append(slices.Clip(f.Terms), chosen...)
		sel, err := s.selectIn(ctx, &narrowed, v, true)
		if err != nil {
			return nil, err
		}
		err = sel.eachPlace(ctx, func(places []rowPlace) error {
			for _, p := range places {
				if id := p.id(v); h.by[id] == nil {
					h.by[id] = hold
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for what hold %d covers: %w", hold.ID, s.readDialect.classify(err))
		}
	}
	return h, nil
}

// errHoldsChanged says that what was looked up of holds has to be looked up again.
var errHoldsChanged = errors.New("what is held has changed meanwhile")

// stillTrue returns errHoldsChanged where, under the lock, what was looked up is not
// true any more: a hold was placed or released since, or an event of the kind has
// changed. One that is gone changes nothing of the others.
func (h *held) stillTrue(tx *writeTx) error {
	stamp, err := holdStamp(tx.ctx, tx)
	changed := stamp != h.stamp
	if err == nil && !changed && !h.none {
		err = tx.GetContext(tx.ctx, &changed, "SELECT count(*) > 0 FROM ledger WHERE seq > ? AND kind = ? AND entry <> 'created' AND entry NOT IN ('deleted', 'purged')", h.head, h.kind)
	}
	if err == nil && changed {
		err = errHoldsChanged
	}
	return err
}

// unlessHeld runs fn, which takes the events of these ids away, in a transaction
// in which no hold covers any of them. The error wraps ErrHeld where one does.
func (s *Store) unlessHeld(ctx context.Context, op string, kind audit.Kind, ids []int64, fn func(tx *writeTx) error) error {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = strconv.FormatInt(id, 10)
	}
	for range 5 {
		h, err := s.heldOf(ctx, kind, query.ValueTerm(kind, "id", false, false, names...))
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		for _, id := range ids {
			if hold := h.by[id]; hold != nil {
				return fmt.Errorf("%s: %w", op, &HeldError{Hold: *hold, Event: kind, ID: id})
			}
		}
		err = s.writeAsSuperuser(ctx, op, func(tx *writeTx) error {
			if err := h.stillTrue(tx); err != nil {
				return err
			}
			return fn(tx)
		})
		if !errors.Is(err, errHoldsChanged) {
			return err
		}
	}
	return fmt.Errorf("%s: %w", op, ErrConflict)
}
