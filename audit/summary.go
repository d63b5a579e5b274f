package audit

import (
	"context"
	"fmt"
)

// Summary counts the events of the last days.
type Summary struct {
	TotalActions     int64 `json:"total_actions"` // audit logs of any action
	Creates          int64 `json:"creates"`
	Updates          int64 `json:"updates"`
	Deletes          int64 `json:"deletes"`
	Views            int64 `json:"views"`
	Logins           int64 `json:"logins"`        // attempts that succeeded
	FailedLogins     int64 `json:"failed_logins"` // attempts that failed; those that were blocked are neither
	SystemErrors     int64 `json:"system_errors"`
	UnresolvedEvents int64 `json:"unresolved_events"`
}

// A Summarizer is a Sink that can also count what it holds.
type Summarizer interface {
	// Summary counts the last days, for one user by name or id, or for everybody
	// where user is "".
	Summary(ctx context.Context, user string, days int) (Summary, error)
}

// Summary counts the events of the last days, for one user by name or id, or
// for everybody where user is "". What waits in the spool or an inbox is not in
// it yet. The error wraps ErrNoSummary where the sink is no [Summarizer].
func (r *Recorder) Summary(ctx context.Context, user string, days int) (Summary, error) {
	s, ok := r.sink.(Summarizer)
	if !ok {
		return Summary{}, fmt.Errorf("summary of %d days: %w", days, ErrNoSummary)
	}
	return s.Summary(ctx, user, days)
}
