package db

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// silentReplica is the dialect of a server that says nothing.
type silentReplica struct{ dialect }

func (silentReplica) classify(err error) error {
	if err == nil || errors.Is(err, ErrAway) {
		return err
	}
	return &AwayError{Why: "it says nothing", Cause: err}
}

// TestSilentReplica: what is read from a replica fails as that replica does, whatever
// the server says that is written.
func TestSilentReplica(t *testing.T) {
	l := newLotTest(t)
	s, ctx := l.s, t.Context()
	id := l.add(2, "quagga")[0]
	st, err := s.Get(ctx, audit.KindAuditLog, id)
	l.must(err)
	f, err := query.Parse(audit.KindAuditLog, "quagga", query.Options{Now: noon})
	l.must(err)
	all, needles := mustSelect(t, s, audit.KindAuditLog, ""), mustSelect(t, s, audit.KindAuditLog, "")
	n := newNeedle(audit.KindAuditLog, f.Terms[0])
	replica := openTest(t)
	l.must(errors.Join(replica.ro.Close(), replica.back.Close()))
	s.near, s.ro, s.readPath, s.readDialect = s.ro, replica.ro, "the replica", silentReplica{s.dialect}
	s.back.Close()
	s.back = replica.back
	for what, read := range map[string]func() error{
		"select":         func() error { _, err := s.Select(ctx, f); return err },
		"refresh":        func() error { s.columns.head.Store(0); return s.refresh(AtOneMoment(ctx)) },
		"event":          func() error { _, err := s.Get(ctx, audit.KindAuditLog, id); return err },
		"missing":        func() error { return s.missing(ctx, s.readDialect, s.ro, audit.KindAuditLog, 1) },
		"history":        func() error { _, err := s.Decisions(ctx, audit.KindAuditLog, id); return err },
		"neighbours":     func() error { _, err := s.Neighbours(ctx, st); return err },
		"page":           func() error { _, err := all.List(ctx, Page{Limit: 10}); return err },
		"each":           func() error { return all.Each(ctx, func(*Stored) error { return nil }) },
		"text":           func() error { _, err := s.findText(ctx, audit.KindAuditLog, needles.view, n); return err },
		"can hold":       func() error { _, _, err := s.canHold(ctx, audit.KindAuditLog, needles.view.segments[0], n); return err },
		"recorded":       func() error { _, err := s.recordedFrom(ctx, 2, noon.UnixMicro()); return err },
		"health":         func() error { _, err := s.Health(ctx); return err },
		"what was taken": func() error { _, err := s.TakenBetween(ctx, audit.KindAuditLog, 0, id); return err },
	} {
		if err := read(); !errors.Is(err, ErrAway) {
			t.Errorf("%s: got %v, want that the replica is away", what, err)
		}
	}
	if _, err := s.Holds(ctx); err != nil {
		t.Errorf("got %v for what is read where it is written", err)
	}
}

// TestWhoLeavesDoesNotWait: whoever waits for another one who looks for the same text, or
// at the lag, leaves when his time is over.
func TestWhoLeavesDoesNotWait(t *testing.T) {
	l := newLotTest(t)
	s := l.s
	l.add(2, "quagga")
	f, err := query.Parse(audit.KindAuditLog, "quagga", query.Options{Now: noon})
	l.must(err)
	sel := mustSelect(t, s, audit.KindAuditLog, "")
	n := newNeedle(audit.KindAuditLog, f.Terms[0])
	h := s.texts.get(n.key)
	l.must(h.turn.take(t.Context())) // this test is the one who looks
	defer h.turn.leave()
	l.must(s.lag.turn.take(t.Context()))
	defer s.lag.turn.leave()
	s.readPath = "the replica"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for what, wait := range map[string]func() error{
		"a text": func() error { _, err := s.findText(ctx, audit.KindAuditLog, sel.view, n); return err },
		"a frequent text": func() error {
			_, err := sel.pass(ctx, []condition{{needle: n, term: query.Term{Not: true}}}, []rowPlace{{0, 0}})
			return err
		},
		"the lag": func() error { _, err := s.Lag(ctx); return err },
	} {
		done := make(chan error, 1)
		go func() { done <- wait() }()
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want that the time is over", what, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: it waits on", what)
		}
	}
}
