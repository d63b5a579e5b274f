package audit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what a recorder has done since it was made, for health pages and
// metrics. Every number counts events, unless it says otherwise.
type Stats struct {
	Recorded     int64     // Record said yes: they are durable, in the sink or the spool
	Stored       int64     // the sink has them, by whichever way
	Duplicates   int64     // of Stored: the sink had them already
	Conflicts    int64     // of Duplicates: with another body
	Inbox        int64     // written to an inbox by RecordTx, whether or not the transaction was committed
	Drained      int64     // moved from an inbox to the sink
	Spooled      int64     // took the way over the spool
	Waiting      int64     // are in the spool now
	SpoolBytes   int64     // the size of the spool now, in bytes
	SpooledSince time.Time // since when there is something in the spool; zero if there is nothing
	Skipped      int64     // left out, as the options and Paused say
	Masked       int64     // secrets that were replaced
	Unattributed int64     // audit logs without a user, and what CountUnattributed was told
	Failed       int64     // Record returned an error for them
	Rejected     int64     // the sink refused them for good, after Record had said yes; they were set aside
	Dropped      int64     // errors in the log of the application that came too fast to be recorded
	LastError    string
	LastErrorAt  time.Time
}

type counters struct {
	recorded, stored, duplicates, conflicts, inbox, drained, spooled,
	skipped, masked, unattributed, failed, rejected, dropped atomic.Int64

	mu          sync.Mutex
	lastError   string
	lastErrorAt time.Time
}

func (c *counters) store(a Appended) {
	c.stored.Add(int64(a.Accepted + a.Duplicates))
	c.duplicates.Add(int64(a.Duplicates))
	c.conflicts.Add(int64(a.Conflicts))
}

func (c *counters) noteError(err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError, c.lastErrorAt = err.Error(), now
}

// Stats returns the numbers of this moment. It does not wait for the sink.
func (r *Recorder) Stats() Stats {
	c := &r.counts
	s := Stats{
		Recorded: c.recorded.Load(), Stored: c.stored.Load(), Duplicates: c.duplicates.Load(), Conflicts: c.conflicts.Load(),
		Inbox: c.inbox.Load(), Drained: c.drained.Load(), Spooled: c.spooled.Load(), Skipped: c.skipped.Load(),
		Masked: c.masked.Load(), Unattributed: c.unattributed.Load(), Failed: c.failed.Load(), Rejected: c.rejected.Load(), Dropped: c.dropped.Load(),
	}
	if r.spool != nil {
		s.Waiting, s.SpoolBytes, s.SpooledSince = r.spool.state()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.LastError, s.LastErrorAt = c.lastError, c.lastErrorAt
	return s
}

// CountUnattributed counts n writes that an integration saw and could not
// ascribe to an object, so that they are at least not silent.
func (r *Recorder) CountUnattributed(n int) { r.counts.unattributed.Add(int64(n)) }
