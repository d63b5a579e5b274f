package audit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin/internal/fold"
)

const (
	floodWindow = time.Minute
	floodGroups = 10_000 // different events that are watched for their like
	floodEvents = 600    // events of one middleware in a window; more are counted only
)

// floods records what repeats as a few events: the first at once, and after a
// minute one more that says how many followed. So neither a failing page nor
// somebody with a scanner fills the database, and nothing goes uncounted.
type floods struct {
	r    *Recorder
	what string // of the event about what was only counted

	mu      sync.Mutex
	folds   *fold.Folder[string, SystemEvent] // guarded by mu
	began   time.Time                         // of the window of events; guarded by mu
	events  int                               // in it; guarded by mu
	counted int                               // over floodEvents; guarded by mu
}

func (r *Recorder) newFloods(what string) *floods {
	f := &floods{r: r, what: what, folds: fold.New[string, SystemEvent](floodWindow, floodGroups)}
	r.workers.Go(func() {
		tick := time.NewTicker(floodWindow / 4)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.end(false)
			case <-r.closing.Done():
				f.end(true)
				return
			}
		}
	})
	return f
}

// record records an event, or counts it to one like it.
func (f *floods) record(ctx context.Context, key string, s SystemEvent) {
	now := f.r.now()
	f.mu.Lock()
	ended, counted := f.folds.Ended(now), f.roll(now)
	first := f.folds.Add(key, now, s)
	if first {
		if f.events++; f.events > floodEvents {
			f.counted++
			first = false
		}
	}
	f.mu.Unlock()
	f.report(ended, counted)
	if first {
		// What goes wrong here the recorder counts, spools and logs itself: the
		// request that is being answered cannot do more about it.
		_ = f.r.LogSystemEvent(ctx, s)
	}
}

// roll begins a new window of events where one is over, and returns how many
// were only counted in the last one.
func (f *floods) roll(now time.Time) int {
	if now.Sub(f.began) < floodWindow {
		return 0
	}
	counted := f.counted
	f.began, f.events, f.counted = now, 0, 0
	return counted
}

// end reports what is over, or everything.
func (f *floods) end(all bool) {
	now := f.r.now()
	f.mu.Lock()
	ended, counted := f.folds.Ended(now), 0
	if all {
		ended = append(ended, f.folds.All()...)
		counted, f.counted = f.counted, 0
	} else {
		counted = f.roll(now)
	}
	f.mu.Unlock()
	f.report(ended, counted)
}

// report records how many followed the first of each group. The recorder may be
// closing, and waits for this.
func (f *floods) report(ended []*fold.Group[string, SystemEvent], counted int) {
	for _, g := range ended {
		if g.Count < 2 {
			continue
		}
		s := g.Value
		s.Timestamp = g.Last
		s.Description = fmt.Sprintf("%d more like this within %s, until %s. %s", g.Count-1, floodWindow, g.Last.UTC().Format("15:04:05"), s.Description)
		s.StackTrace, s.RequestID, s.SessionKey = "", "", ""
		meta := map[string]any{}
		if m, ok := s.Metadata.(map[string]any); ok {
			for k, v := range m {
				meta[k] = v
			}
		}
		meta["count"], meta["first"] = g.Count, FormatTime(g.First)
		s.Metadata = meta
		f.late(s)
	}
	if counted > 0 {
		f.late(SystemEvent{EventType: "WARNING", Title: "Too many events to record each", Module: "audit", ErrorCode: "flood",
			Description: fmt.Sprintf("%d more %s within %s were counted and not recorded.", counted, f.what, floodWindow),
			Metadata:    map[string]any{"count": counted}})
	}
}

// late records an event, also while the recorder is closing.
func (f *floods) late(s SystemEvent) {
	e, err := s.Event()
	if err != nil {
		_ = f.r.failed(1, err)
		return
	}
	ctx := context.Background()
	ready, err := f.r.prepare(ctx, []*Event{e})
	if err == nil && len(ready) > 0 {
		err = f.r.store(ctx, ready)
	}
	if err != nil {
		_ = f.r.failed(1, fmt.Errorf("record what repeated: %w", err))
		return
	}
	f.r.counts.recorded.Add(int64(len(ready)))
}
