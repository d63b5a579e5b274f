package db

import (
	"context"
	"sync"
	"time"
)

// takingPause is for how long nothing more was taken away once that counts as over.
const takingPause = 2 * time.Second

// taking remembers what of search_stale was seen last, and since when it is that, by a
// clock that does not jump.
type taking struct {
	mu    sync.Mutex
	seen  string
	since time.Time
}

// taking reports whether this or another program is about to take events away, many
// of them slice by slice: a file of columns or a lot of the text index that was made
// anew after each slice would be made a dozen times. Whoever takes them away sees to the text
// index himself at his end; what he leaves because he was stopped is found here when
// nothing more comes.
func (s *Store) taking(ctx context.Context) bool {
	if s.purging.Load() > 0 {
		return true
	}
	var now string
	err := s.worker().GetContext(ctx, &now, "SELECT count(*) || ' ' || coalesce(max(last), 0) FROM search_stale")
	if err != nil || now == "0 0" {
		return false // whoever goes on meets the error as well
	}
	t := &s.takes
	t.mu.Lock()
	defer t.mu.Unlock()
	if now != t.seen {
		t.seen, t.since = now, time.Now()
	}
	return time.Since(t.since) < takingPause
}
