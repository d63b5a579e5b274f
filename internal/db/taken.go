package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// TakenLimit is how many events that were taken away are counted: a page says
// whether there are some, and about how many.
const TakenLimit = 1000

// Taken is what was taken away from a stretch of the events of a kind. What stays
// of those events does not say what they were about, so any of them may have been
// about anything.
type Taken struct {
	Deleted  int64     // tombstones, at most TakenLimit
	Stone    int64     // the id of the newest of them
	PurgedTo time.Time // the newest that were purged, zero for none
	Unnamed  int64     // events of which a named field was redacted
}

// Any reports whether anything was taken away.
func (t Taken) Any() bool { return t.Deleted > 0 || t.Unnamed > 0 || !t.PurgedTo.IsZero() }

// TakenBetween returns what was taken away of the events of a kind whose ids are
// from one to another, both included, and of how many that are there one of the named
// fields was redacted, of the newest TakenLimit of which anything was.
func (s *Store) TakenBetween(ctx context.Context, kind audit.Kind, from, to int64, fields ...string) (t Taken, err error) {
	err = s.ro.QueryRowxContext(ctx, "SELECT count(*), coalesce(max(id), 0) FROM (SELECT id FROM tombstone"+
		" WHERE kind = ? AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?) AS newest", kind, from, to, TakenLimit).Scan(&t.Deleted, &t.Stone)
	var purged int64
	if err == nil {
		err = s.ro.GetContext(ctx, &purged, "SELECT to_id FROM purge WHERE kind = ? AND to_id >= ? AND from_id <= ? ORDER BY to_id DESC LIMIT 1", kind, from, to)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		} else if err == nil {
			t.PurgedTo = time.UnixMicro(min(purged, to) >> idBits).UTC()
		}
	}
	if err == nil && len(fields) > 0 {
		err = eachRow(ctx, s.ro, "SELECT id, kept FROM redaction WHERE kind = ? AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?",
			[]any{kind, from, to, TakenLimit}, func(row scanner) error {
				_, names, err := scanRedaction(tables[kind].form, row)
				if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(fields, name) }) {
					t.Unnamed++
				}
				return err
			})
	}
	if err != nil {
		return t, fmt.Errorf("look for what was taken away of %s: %w", kind.Plural(), s.readDialect.classify(err))
	}
	return t, nil
}

// RedactedFields returns, by their ids, the fields that were redacted, of those of these
// events of which something was; nil for none. Where it is not known which, there are
// none under the id.
func (s *Store) RedactedFields(ctx context.Context, kind audit.Kind, ids []int64) (map[int64][]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var all map[int64][]string
	condition, args := s.readDialect.among("id", ids)
	err := eachRow(ctx, s.ro, "SELECT id, kept FROM redaction WHERE kind = ? AND "+condition, append([]any{kind}, args...), func(row scanner) error {
		id, names, err := scanRedaction(tables[kind].form, row)
		if err == nil {
			if all == nil {
				all = map[int64][]string{}
			}
			all[id] = names
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for what was redacted of %s: %w", kind.Plural(), s.readDialect.classify(err))
	}
	return all, nil
}

// scanRedaction reads the id of an event and the fields that were redacted of it.
// What was kept of it may be damaged: then they are not known, and none is named.
func scanRedaction(form *evidence.Form, row scanner) (id int64, names []string, err error) {
	var kept evidence.Kept
	if err := row.Scan(&id, (*[]byte)(&kept)); err != nil {
		return 0, nil, err
	}
	if kept.Valid(form) {
		for i, name := range form.Fields() {
			if kept.Redacted(i) {
				names = append(names, name)
			}
		}
	}
	return id, names, nil
}
