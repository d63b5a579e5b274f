package db

import (
	"context"
	"fmt"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// Summary counts what happened within the last days, each of 24 hours back from now: for
// one user, or with "" for everybody.
func (s *Store) Summary(ctx context.Context, days int, user string) (Summary, error) {
	var sum Summary
	counts := func(kind audit.Kind, key string, also ...query.Term) (map[string]int64, int64, error) {
		f, err := query.Parse(kind, fmt.Sprintf("last:%dd", days), query.Options{Now: s.now()})
		if err != nil {
			return nil, 0, fmt.Errorf("summary of %d days: %w", days, err)
		}
		f.Terms = append(f.Terms, also...)
		if user != "" {
			f.Terms = append(f.Terms, query.ValueTerm(kind, "user", false, false, user))
		}
		sel, err := s.Select(ctx, f)
		if err != nil {
			return nil, 0, err
		}
		m, err := sel.match(ctx, noKey)
		if err != nil {
			return nil, 0, err
		}
		field, _ := query.Lookup(kind, key)
		byValue := map[string]int64{}
		values, _ := sel.count(ctx, m, field).most(allValues)
		for _, v := range values {
			byValue[v.Value] = v.Count
		}
		return byValue, sel.total(ctx, m), nil
	}
	actions, total, err := counts(audit.KindAuditLog, "action")
	if err != nil {
		return sum, err
	}
	logins, _, err := counts(audit.KindLoginAttempt, "status")
	if err != nil {
		return sum, err
	}
	events, _, err := counts(audit.KindSystemEvent, "event")
	if err != nil {
		return sum, err
	}
	states, _, err := counts(audit.KindSystemEvent, "is")
	if err != nil {
		return sum, err
	}
	return Summary{
		TotalActions: total, Creates: actions["CREATE"], Updates: actions["UPDATE"], Deletes: actions["DELETE"], Views: actions["VIEW"],
		Logins: logins["SUCCESS"], FailedLogins: logins["FAILED"],
		SystemErrors: events["ERROR"], UnresolvedEvents: states["unresolved"],
	}, nil
}
