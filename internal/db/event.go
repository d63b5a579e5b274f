package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// Get returns one event. The error wraps ErrNotFound for an id that never was,
// and is a *DeletedError for one that was deleted.
func (s *Store) Get(ctx context.Context, kind audit.Kind, id int64) (*Stored, error) {
	st, err := tables[kind].scan(s.ro.QueryRowxContext(ctx, tables[kind].byID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, s.missing(ctx, s.readDialect, s.ro, kind, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %d: %w", kind.Singular(), id, s.readDialect.classify(err))
	}
	s.damage.met(st)
	return st, nil
}

// missing says why there is no event of that id.
func (s *Store) missing(ctx context.Context, d dialect, q queryer, kind audit.Kind, id int64) error {
	t, err := scanTombstone(kind, q.QueryRowxContext(ctx,
		"SELECT id, seq, timestamp, deleted_at, deleted_by, reason FROM tombstone WHERE kind = ? AND id = ?", kind, id))
	if errors.Is(err, sql.ErrNoRows) {
		t, err = purgedEvent(ctx, q, kind, id)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s %d: %w", kind.Singular(), id, ErrNotFound)
	case err != nil:
		return fmt.Errorf("read the tombstone of %s %d: %w", kind.Singular(), id, d.classify(err))
	}
	return &DeletedError{t}
}

// Decisions returns what was decided about an event, oldest first; also about one that
// is gone.
func (s *Store) Decisions(ctx context.Context, kind audit.Kind, id int64) ([]Decision, error) {
	var all []Decision
	err := eachRow(ctx, s.ro, "SELECT seq, entry, recorded_at, coalesce(actor, ''), coalesce(note, '') FROM ledger"+
		" WHERE kind = ? AND id = ? AND entry <> 'created' ORDER BY seq", []any{kind, id}, func(r scanner) error {
		var d Decision
		var at string
		if err := r.Scan(&d.Seq, &d.Entry, &at, &d.Actor, &d.Note); err != nil {
			return err
		}
		d.At, _ = audit.ParseTime(at)
		all = append(all, d)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s %d: %w", kind.Singular(), id, s.readDialect.classify(err))
	}
	return all, nil
}

// exactly returns the filter of the events that have exactly these values.
func exactly(kind audit.Kind, pairs ...string) *query.Filter {
	f := &query.Filter{Kind: kind}
	for pair := range slices.Chunk(pairs, 2) {
		f.Terms = append(f.Terms, query.ValueTerm(kind, pair[0], true, false, pair[1]))
	}
	return f
}

// Object returns the filter of the audit logs of one object.
func Object(contentType, objectID string) *query.Filter {
	return exactly(audit.KindAuditLog, "type", contentType, "object", objectID)
}

// Neighbours returns, for what an event shares with others of its kind, the
// events just before and after it: the same object, user and session. Request has
// those of its request.
func (s *Store) Neighbours(ctx context.Context, st *Stored) ([]Neighbours, error) {
	kind := st.Kind
	var shared []struct {
		name   string
		filter *query.Filter
	}
	add := func(name string, pairs ...string) {
		shared = append(shared, struct {
			name   string
			filter *query.Filter
		}{name, exactly(kind, pairs...)})
	}
	if kind == audit.KindAuditLog && st.Get("object_id") != "" {
		add("object", "type", st.Get("content_type"), "object", st.Get("object_id"))
	}
	if user := st.Get("username"); user != "" {
		add("user", "user", user)
	} else if id := st.Get("user_id"); id != "" {
		add("user", "user", id)
	}
	if v := st.Get("session_key"); v != "" {
		add("session", "session", v)
	}
	v, err := s.view(ctx, kind)
	if err != nil {
		return nil, err
	}
	all, near := make([]Neighbours, len(shared)), make([]nearIDs, len(shared))
	err = together(len(shared), func(i int) (err error) {
		all[i].Shared = shared[i].name
		all[i].Count, near[i], err = s.nearest(ctx, st.ID, shared[i].filter, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, n := range near {
		ids = append(ids, n.earlier, n.later)
	}
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id int64) bool { return id == 0 })
	found := map[int64]*Stored{}
	err = s.eachByID(ctx, kind, ids, func(st *Stored) error {
		found[st.ID] = st
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the neighbours of %s %d: %w", kind.Singular(), st.ID, s.readDialect.classify(err))
	}
	for i, n := range near {
		all[i].Earlier, all[i].Later = found[n.earlier], found[n.later]
	}
	return all, nil
}

// nearIDs are the ids of the events just before and after another; 0 for none.
type nearIDs struct{ earlier, later int64 }

// nearest finds the events of a filter just before and after an id, and how many
// there are.
func (s *Store) nearest(ctx context.Context, id int64, f *query.Filter, v *view) (count Count, near nearIDs, err error) {
	sel, err := s.selectIn(ctx, f, v, false)
	if err != nil {
		return count, near, err
	}
	if count, err = sel.Count(ctx); err != nil {
		return count, near, err
	}
	for _, side := range []struct {
		page Page
		to   *int64
	}{{Page{After: id}, &near.earlier}, {Page{Before: id}, &near.later}} {
		places, err := sel.page(ctx, side.page, 1, &List{})
		if err != nil {
			return count, near, err
		}
		if len(places) > 0 {
			*side.to = places[0].id(v)
		}
	}
	return count, near, nil
}

// Request returns the events of every kind that one request caused, in the
// order in which they happened; of each kind at most limit, the newest. limit is
// 1 to 1000.
func (s *Store) Request(ctx context.Context, requestID string, limit int) ([]*Stored, error) {
	kinds := audit.Kinds()
	lists := make([]*List, len(kinds))
	err := together(len(kinds), func(i int) error {
		sel, err := s.Select(ctx, exactly(kinds[i], "request", requestID))
		if err != nil {
			return err
		}
		lists[i], err = sel.List(ctx, Page{Limit: limit})
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []*Stored
	for _, list := range lists {
		all = append(all, list.Items...)
	}
	slices.SortStableFunc(all, func(a, b *Stored) int {
		return cmp.Or(a.Time().Compare(b.Time()), cmp.Compare(a.Seq, b.Seq))
	})
	return all, nil
}
