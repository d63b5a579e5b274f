package db

import (
	"context"
	"sync"
	"time"
)

// removalPause is for how long nothing more was taken away once that counts as over.
const removalPause = 2 * time.Second

// removal remembers what of search_stale was seen last, and since when it is that, by a
// clock that does not jump.
type removal struct {
	mu    sync.Mutex
	seen  string
	since time.Time
}

// removing reports whether this or another program is about to take events away, many
// of them slice by slice: a file of columns or a lot of the text index that was made
// anew after each slice would be made a dozen times. Whoever takes them away sees to the text
// index himself at his end; what he leaves because he was stopped is found here when
// nothing more comes.
func (s *Store) removing(ctx context.Context) bool {
	if s.purging.Load() > 0 {
		return true
	}
	var now string
	err := s.worker().GetContext(ctx, &now, "SELECT count(*) || ' ' || coalesce(max(last), 0) FROM search_stale")
	if err != nil || now == "0 0" {
		return false // whoever goes on meets the error as well
	}
	r := &s.removal
	r.mu.Lock()
	defer r.mu.Unlock()
	if now != r.seen {
		r.seen, r.since = now, time.Now()
	}
	return time.Since(r.since) < removalPause
}
