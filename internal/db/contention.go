package db

import (
	"context"
	"sync/atomic"
	"time"
)

// Contended reports whether other programs wait to write just now, so that whoever has
// many events should store them a few at a time.
func (s *Store) Contended() bool { return s.dialect.contended() || s.contention.met() }

// GiveWay waits, for whoever stores or takes away many events a few at a time and has
// just kept others from writing for as long as that took, until other programs could
// write too. It does not wait where nobody else writes, nor for a database on a
// server, which sees to that itself. It ends with the context.
func (s *Store) GiveWay(ctx context.Context, took time.Duration) {
	wait := s.contention.wait(took)
	if wait <= 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// contentionLasts is how long another program that appended counts as one that does.
const contentionLasts = time.Second

// contention notices other programs that append to the same file. Nobody there says
// who waits for the lock, but the ledger grows between two of our own commits.
type contention struct {
	head atomic.Int64              // of the ledger after our last commit; 0 before the first
	seen atomic.Pointer[time.Time] // when others were met last, by a clock that does not jump
	grew atomic.Int64              // by how many entries the ledger grew between our last commit and the one before
}

// begins is told the head of the ledger when a write transaction begins, ends when it
// was committed.
func (c *contention) begins(head int64) {
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

func (c *contention) ends(head int64) { c.head.Store(head) }

// met reports whether others append just now.
func (c *contention) met() bool {
	seen := c.seen.Load()
	return seen != nil && time.Since(*seen) < contentionLasts
}

// What others are given of the time that they were kept waiting: at least so much that
// whoever looks for the lock, as writeTo does, finds it free once. Where they add as
// many entries meanwhile as when they append as fast as they can, each event by
// itself, they are given wayMost times as long, and where they add fewer, so much less.
const (
	wayLeast = 2 // half of it
	wayMost  = 2
	wayAt    = 64
)

// wait is for how long others should have the lock after they were kept from it for a
// while.
func (c *contention) wait(took time.Duration) time.Duration {
	if !c.met() {
		return 0
	}
	return max(took/wayLeast, took*wayMost*time.Duration(min(c.grew.Load(), wayAt))/wayAt)
}
