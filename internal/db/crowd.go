package db

import (
	"sync/atomic"
	"time"
)

// crowdLasts is how long another program that appended counts as one that does.
const crowdLasts = time.Second

// crowd notices other programs that append to the same file. Nobody there says who
// waits for the lock, but the ledger grows between two of our own commits.
type crowd struct {
	head atomic.Int64 // of the ledger after our last commit; 0 before the first
	seen atomic.Int64 // when others were met last, in nanoseconds since 1970
}

// begins is told the head of the ledger when a write transaction begins, ends when it
// was committed.
func (c *crowd) begins(head int64) {
	if last := c.head.Load(); last != 0 && head > last {
		c.seen.Store(time.Now().UnixNano())
	}
}

func (c *crowd) ends(head int64) { c.head.Store(head) }

// there reports whether others append just now.
func (c *crowd) there() bool { return time.Since(time.Unix(0, c.seen.Load())) < crowdLasts }
