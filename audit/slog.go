package audit

import (
	"context"
	"log/slog"
)

type logQueue struct{}

func (q *logQueue) open(r *Recorder)          {}
func (q *logQueue) close(ctx context.Context) {}

// SlogHandler returns a handler that hands everything to next, and records what
// is at least of the level, ERROR if nil, as a system event.
func (r *Recorder) SlogHandler(next slog.Handler, level slog.Leveler) slog.Handler { return next }
