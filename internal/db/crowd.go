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
	head atomic.Int64              // of the ledger after our last commit; 0 before the first
	seen atomic.Pointer[time.Time] // when others were met last, by a clock that does not jump
	grew atomic.Int64              // by how many entries the ledger grew between our last commit and the one before
}

// begins is told the head of the ledger when a write transaction begins, ends when it
// was committed.
func (c *crowd) begins(head int64) {
	last := c.head.Load()
	if last == 0 {
		return
	}
	c.grew.Store(head - last)
	if head > last {
		now := time.Now()
		c.seen.Store(&now)
	}
}

func (c *crowd) ends(head int64) { c.head.Store(head) }

// there reports whether others append just now.
func (c *crowd) there() bool {
	seen := c.seen.Load()
	return seen != nil && time.Since(*seen) < crowdLasts
}

// What others are given of the time that they were kept waiting: at least so much that
// whoever looks for the lock, as writeTo does, finds it free once. Where they add as
// many entries meanwhile as when they append as fast as they can, each event by
// itself, they are given turnMost times as long, and where they add fewer, so much less.
const (
	turnLeast = 2 // half of it
	turnMost  = 2
	turnAt    = 64
)

// turn is how long others should have the lock after they were kept from it for a while.
func (c *crowd) turn(took time.Duration) time.Duration {
	if !c.there() {
		return 0
	}
	return max(took/turnLeast, took*turnMost*time.Duration(min(c.grew.Load(), turnAt))/turnAt)
}
