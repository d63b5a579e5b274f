package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Delivery tries again after a while, which doubles up to a bound.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 15 * time.Second
)

// lastBatchTimeout bounds how long callers wait at the gate while the last
// events of the spool are delivered.
const lastBatchTimeout = 2 * time.Second

// storeOrSpool gives events to the sink where nothing waits before them, and
// otherwise to the spool.
func (r *Recorder) storeOrSpool(ctx context.Context, events []*Event) error {
	s := r.spool
	if !s.active.Load() {
		err := r.storeNow(ctx, events)
		if err == nil || errors.Is(err, ErrRejected) {
			return err
		}
		return r.toSpool(ctx, events, err)
	}
	return r.toSpool(ctx, events, nil)
}

// toSpool puts events into the spool; away is why the sink did not take them, or
// nil where it was not asked.
func (r *Recorder) toSpool(ctx context.Context, events []*Event, away error) error {
	s := r.spool
	now := r.now()
	var frames []byte
	for _, e := range events {
		frames = appendFrame(frames, e, now)
	}
	if err := s.reserve(ctx, r.closing, int64(len(frames))); err != nil {
		r.lost.Add(int64(len(events)))
		return errors.Join(err, away)
	}
	s.gate.RLock()
	if away == nil && !s.active.Load() { // delivered meanwhile
		s.gate.RUnlock()
		s.mu.Lock()
		s.release(int64(len(frames)))
		s.mu.Unlock()
		return r.storeOrSpool(ctx, events)
	}
	if !s.active.Swap(true) {
		r.counts.noteError(away, now)
		r.logger.ErrorContext(r.closing, "the audit sink is away: events wait in the spool", "spool", s.dir, "error", away)
	}
	err := s.append(frames, len(events), now)
	s.gate.RUnlock()
	if err == nil {
		r.counts.spooled.Add(int64(len(events)))
		return nil
	}
	// Better out of order than not at all.
	if away == nil && !errors.Is(err, ErrClosed) {
		if away = r.storeNow(ctx, events); away == nil {
			return nil
		}
	}
	r.lost.Add(int64(len(events)))
	return errors.Join(err, away)
}

// deliverLoop delivers what comes into the spool.
func (r *Recorder) deliverLoop() {
	retry := time.NewTimer(0)
	defer retry.Stop()
	wait := firstRetry
	for {
		select {
		case <-r.closing.Done():
			return
		case <-r.spool.wake:
		case <-retry.C:
		}
		if !r.spool.active.Load() {
			continue
		}
		if err := r.deliver(r.closing); err != nil {
			r.counts.noteError(err, r.now())
			r.logger.WarnContext(r.closing, "the audit sink is still away", "spool", r.spool.dir, "retry", wait, "error", err)
			// Only the clock wakes it now: what comes in meanwhile does not bring the
			// sink back.
			if !pause(r.closing, wait) {
				return
			}
			wait = min(2*wait, lastRetry)
			retry.Reset(0)
			continue
		}
		wait = firstRetry
	}
}

// pause waits, and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// deliver moves everything from the spool to the sink, in order.
func (r *Recorder) deliver(ctx context.Context) error {
	for {
		// First without closing the gate: if the sink does not answer, nobody waits.
		if err := r.deliverSome(ctx); err != nil {
			return err
		}
		if waiting, _, _ := r.spool.state(); waiting <= deliveryEvents {
			done, err := r.deliverLast(ctx)
			if done || err != nil {
				return err
			}
		}
	}
}

// deliverSome moves the next few events.
func (r *Recorder) deliverSome(ctx context.Context) error {
	d, err := r.spool.next()
	if err != nil || d == nil {
		return err
	}
	return r.deliverBatch(ctx, d)
}

func (r *Recorder) deliverBatch(ctx context.Context, d *delivery) error {
	if err := r.appendSpooled(ctx, d.events); err != nil {
		return err
	}
	if len(d.damaged) > 0 {
		if err := r.spool.setAside(damagedFile, bytes.Join(d.damaged, nil)); err != nil {
			return err
		}
		r.rejected(len(d.damaged), errors.New("damaged on disk"))
	}
	r.spool.delivered(d)
	r.away.delivered += int64(len(d.events))
	return nil
}

// deliverLast moves the last few events while nobody adds any, says what
// happened, and lets events go straight to the sink again. It reports whether
// the spool is empty now.
func (r *Recorder) deliverLast(ctx context.Context) (bool, error) {
	s := r.spool
	s.gate.Lock()
	defer s.gate.Unlock()
	if !s.active.Load() {
		return true, nil
	}
	waiting, _, since := s.state()
	if waiting > 2*deliveryEvents { // many came before the gate was closed
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lastBatchTimeout)
	defer cancel()
	for {
		d, err := s.next()
		if err != nil {
			return false, err
		}
		if d == nil {
			break
		}
		if err := r.deliverBatch(ctx, d); err != nil {
			return false, err
		}
	}
	// The notice goes out before the last segment is deleted: a crash in between
	// delivers both again, and loses neither.
	if err := r.sendNotice(ctx, since); err != nil {
		return false, err
	}
	if err := s.empty(); err != nil {
		return false, err
	}
	r.logger.InfoContext(r.closing, "the audit sink is back: the spool is empty", "spool", s.dir)
	return true, nil
}

// appendSpooled gives events to the sink, and sets aside those among them that
// it will never take.
func (r *Recorder) appendSpooled(ctx context.Context, events []*Event) error {
	if len(events) == 0 {
		return nil
	}
	attempt, cancel := context.WithTimeout(ctx, max(r.timeout, lastBatchTimeout))
	stored, err := r.sink.Append(attempt, events)
	cancel()
	if err == nil {
		r.counts.store(stored)
		return nil
	}
	if !errors.Is(err, ErrRejected) {
		return fmt.Errorf("deliver %d events from the spool: %w", len(events), err)
	}
	if len(events) > 1 {
		half := len(events) / 2
		if err := r.appendSpooled(ctx, events[:half]); err != nil {
			return err
		}
		return r.appendSpooled(ctx, events[half:])
	}
	e := events[0]
	if r.away.aside[e.EventID] { // at an attempt that ended early
		return nil
	}
	if err := r.spool.setAside(rejectedFile, append(AppendJSON(nil, e, &Recorded{RecordedAt: r.now()}), '\n')); err != nil {
		return err
	}
	if r.away.aside == nil {
		r.away.aside = map[string]bool{}
	}
	r.away.aside[e.EventID] = true
	r.rejected(1, err)
	return nil
}

func (r *Recorder) rejected(n int, why error) {
	r.counts.rejected.Add(int64(n))
	r.away.rejected += int64(n)
	r.away.why = why.Error()
	r.counts.noteError(why, r.now())
	r.logger.ErrorContext(r.closing, "events in the spool were set aside", "events", n, "spool", r.spool.dir, "error", why)
}

// away is what happened since the sink went away. Delivery alone uses it, which
// runs in one goroutine at a time.
type away struct {
	delivered, rejected int64
	why                 string
	aside               map[string]bool // the event_ids of what was rejected
	notice              *Event          // on its way
	told                int64           // of the lost events, those the notice tells of
}

// sendNotice records that events waited in the spool, and what became of them.
func (r *Recorder) sendNotice(ctx context.Context, since time.Time) error {
	a := &r.away
	if a.notice == nil {
		a.told = r.lost.Load()
		a.notice = r.notice(a, since)
	}
	stored, err := r.sink.Append(ctx, []*Event{a.notice})
	if err != nil && !errors.Is(err, ErrRejected) {
		return fmt.Errorf("say what happened to the spool: %w", err)
	}
	r.counts.store(stored)
	r.lost.Add(-a.told)
	*a = away{}
	return nil
}

func (r *Recorder) notice(a *away, since time.Time) *Event {
	now := r.now()
	meta := map[string]any{"spooled": a.delivered, "since": FormatTime(since), "until": FormatTime(now)}
	s := SystemEvent{Timestamp: now, EventType: "WARNING", Module: "audit", Metadata: meta,
		Title:       "The audit database was away: " + plural(a.delivered, "event") + " waited in the spool",
		Description: "They were delivered now, in their order, with the times at which they happened."}
	if a.rejected > 0 {
		s.EventType = "ERROR"
		meta["rejected"], meta["why"], meta["kept_in"] = a.rejected, a.why, filepath.Base(r.spool.dir)
		s.Description += " " + plural(a.rejected, "event") + " could not be delivered and stayed in " + rejectedFile + " or " + damagedFile + " of the spool."
	}
	if a.told > 0 {
		s.EventType = "ERROR"
		meta["failed"] = a.told
		s.Description += " " + plural(a.told, "further event") + " could not be stored at all; whoever recorded them was told."
	}
	return r.ownEvent(s)
}

// reportLost records that events could not be stored, now that the sink takes
// some again. It is a matter of luck which caller finds that out.
func (r *Recorder) reportLost(ctx context.Context) {
	n := r.lost.Swap(0)
	if n <= 0 {
		return
	}
	e := r.ownEvent(SystemEvent{Timestamp: r.now(), EventType: "ERROR", Module: "audit", Metadata: map[string]any{"failed": n},
		Title:       plural(n, "event") + " could not be stored",
		Description: "The audit database did not take them; whoever recorded them was told."})
	stored, err := r.sink.Append(ctx, []*Event{e})
	if err != nil {
		r.lost.Add(n)
		return
	}
	r.counts.store(stored)
}

// ownEvent is what the recorder says about itself.
func (r *Recorder) ownEvent(s SystemEvent) *Event {
	e, err := s.Event()
	if err == nil {
		e.Source = r.source
		err = e.Normalize(r.now())
	}
	if err != nil {
		panic("audit: an event of the recorder itself is invalid: " + err.Error())
	}
	r.masker.Mask(e)
	e.EventID = newEventID(r.now())
	return e
}

// closeSpool delivers what waits, once more, and closes the spool.
func (r *Recorder) closeSpool(ctx context.Context) error {
	var err error
	if r.spool.active.Load() {
		err = r.deliver(own(ctx))
	}
	waiting, _, _ := r.spool.state()
	if err != nil {
		err = fmt.Errorf("close the recorder: %s in %s for the next start: %w", plural(waiting, "event")+" wait", r.spool.dir, err)
	}
	return errors.Join(err, r.spool.close())
}

// plural writes "1 event" or "2 events".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
