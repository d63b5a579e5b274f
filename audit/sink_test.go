package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// memory is a sink that keeps what it is given, and can be told to be away.
type memory struct {
	mu      sync.Mutex
	events  []*Event
	lines   map[string]string // what was stored, by event_id
	away    error
	rejects func(*Event) bool
	slow    chan struct{} // where not nil, Append waits for it
	calls   int
}

var errAway = errors.New("the database is away")

func (m *memory) Append(ctx context.Context, events []*Event) (Appended, error) {
	m.mu.Lock()
	slow := m.slow
	m.calls++
	m.mu.Unlock()
	if slow != nil {
		select {
		case <-slow:
		case <-ctx.Done():
			return Appended{}, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		return Appended{}, m.away
	}
	var a Appended
	for _, e := range events {
		if m.rejects != nil && m.rejects(e) {
			return Appended{}, fmt.Errorf("%w: a bad one", ErrRejected)
		}
	}
	for _, e := range events {
		if e.EventID == "" || e.Get("timestamp") == "" {
			return Appended{}, errors.New("an event without event_id or timestamp")
		}
		line := string(AppendJSON(nil, e, nil))
		if m.lines == nil {
			m.lines = map[string]string{}
		}
		if twin, ok := m.lines[e.EventID]; ok {
			a.Duplicates++
			if twin != line {
				a.Conflicts++
			}
			continue
		}
		m.lines[e.EventID] = line
		m.events = append(m.events, NewEventWithValues(e.Kind, append([]string(nil), e.Values()...)))
		m.events[len(m.events)-1].EventID, m.events[len(m.events)-1].Source = e.EventID, e.Source
		a.Accepted++
	}
	return a, nil
}

func (m *memory) setAway(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = err
}

func (m *memory) all() []*Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*Event(nil), m.events...)
}

// only returns the one event of the sink.
func (m *memory) only(t *testing.T) *Event {
	t.Helper()
	all := m.all()
	if len(all) != 1 {
		t.Fatalf("got %d events in the sink, want 1", len(all))
	}
	return all[0]
}

// noticesApart splits what the recorder says about itself from the rest.
func noticesApart(all []*Event) (events, notices []*Event) {
	for _, e := range all {
		if e.Kind == KindSystemEvent && e.Get("module") == "audit" {
			notices = append(notices, e)
		} else {
			events = append(events, e)
		}
	}
	return events, notices
}

// strict returns a recorder that fails where the sink fails.
func strict(t *testing.T, sink Sink, options ...Option) *Recorder {
	t.Helper()
	return newRecorder(t, sink, append([]Option{Strict()}, options...)...)
}

func spooling(t *testing.T, sink Sink, dir string, options ...Option) *Recorder {
	t.Helper()
	return newRecorder(t, sink, append([]Option{SpoolDir(dir)}, options...)...)
}

func newRecorder(t *testing.T, sink Sink, options ...Option) *Recorder {
	t.Helper()
	r, err := New(sink, append([]Option{Source("test")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

// eventually waits until something holds that happens in the background.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came true: %s", what)
		}
	}
}

func anAudit(n int) *Event {
	e := NewEvent(KindAuditLog)
	e.Set("action", "UPDATE")
	e.Set("content_type", "shop.order")
	e.Set("object_id", fmt.Sprint(n))
	return e
}
