package handlers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// readyTime is how long readiness waits for the database. Who asks will ask
// again soon.
const readyTime = 2 * time.Second

// healthz says that the process lives, and asks nothing of anything else: a
// database that is busy is no reason to kill the server.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	say(w, http.StatusOK, "ok\n")
}

// readyz says whether pages can be answered and events recorded, and if not why
// not.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	if err := s.Store.Ping(ctx); err != nil {
		s.Log.WarnContext(r.Context(), "not ready", "error", err)
		say(w, http.StatusServiceUnavailable, "not ready: "+judge(err).title+"\n")
		return
	}
	if !s.Store.Writable() && s.Store.Replica() { // which is what it is for
		say(w, http.StatusOK, "ready for reading alone\n")
		return
	}
	if h := s.Store.Hindrance(); h != nil {
		say(w, http.StatusServiceUnavailable, "not ready: "+judge(h.Err).title+" since "+audit.FormatTime(h.Since)+"\n")
		return
	}
	say(w, http.StatusOK, "ready\n")
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// showMetrics writes what Prometheus reads.
func (s *Server) showMetrics(w http.ResponseWriter, v *visit) error {
	var out bytes.Buffer
	s.metrics.write(&out, s.Version)
	header(&out, "auditadmin_events", "gauge", "Events that are stored, by kind.")
	for _, kind := range audit.Kinds() {
		n, _, err := s.count(v, kind, "")
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "auditadmin_events{kind=%s} %d\n", label(string(kind)), n)
	}
	open, recorded, err := s.count(v, audit.KindSystemEvent, "is:unresolved")
	if err != nil {
		return err
	}
	header(&out, "auditadmin_system_events_unresolved", "gauge", "System events that wait for somebody.")
	fmt.Fprintf(&out, "auditadmin_system_events_unresolved %d\n", open)
	header(&out, "auditadmin_ledger_entries_total", "counter", "Entries of the ledger.")
	fmt.Fprintf(&out, "auditadmin_ledger_entries_total %d\n", recorded)
	if s.Store.Replica() {
		lag, err := s.Store.Lag(v.Context())
		if err != nil {
			return err
		}
		header(&out, "auditadmin_replica_lag_seconds", "gauge", "How far what pages read trails what is recorded.")
		fmt.Fprintf(&out, "auditadmin_replica_lag_seconds %g\n", lag.Behind.Seconds())
	}
	unplaced, err := s.Store.Unplaced(v.Context())
	if err != nil {
		return err
	}
	if unplaced != nil {
		header(&out, "auditadmin_events_outside_of_months", "gauge", "Events in the default partition, which should be empty, by kind.")
		for _, kind := range audit.Kinds() {
			fmt.Fprintf(&out, "auditadmin_events_outside_of_months{kind=%s} %d\n", label(string(kind)), unplaced[kind].Events)
		}
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = out.WriteTo(w)
	return nil
}

// count counts the events of a kind that match a query, and returns up to which
// entry of the ledger.
func (s *Server) count(v *visit, kind audit.Kind, q string) (n, upTo int64, err error) {
	f, err := query.Parse(kind, q, query.Options{Now: v.now})
	if err != nil {
		return 0, 0, err
	}
	sel, err := s.Store.Select(v.Context(), f)
	if err != nil {
		return 0, 0, err
	}
	count, err := sel.Count(v.Context())
	return count.Value, sel.UpTo(), err
}
