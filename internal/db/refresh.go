package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/jmoiron/sqlx"
)

// refreshStep is how many entries of the ledger one step of a refresh takes up:
// a multiple of what is sealed at once, so that what is made anew from the
// tables is sealed in full segments.
const refreshStep = 1 << 16

// refresh brings the columns up to the ledger's head.
func (s *Store) refresh(ctx context.Context) error {
	if err := s.sealed.open(ctx, s); err != nil {
		return fmt.Errorf("open the columns: %w", s.readDialect.classify(err))
	}
	if err := s.sameHistory(ctx); err != nil {
		return err
	}
	head, err := s.headNow(ctx)
	if err != nil {
		return err
	}
	c := s.columns
	if head <= c.head.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.head.Load() < head {
		err := s.refreshOnce(ctx)
		if errors.Is(err, errUnsettled) {
			return nil // what can be seen is shown, and the rest when it can be
		}
		if err != nil {
			return fmt.Errorf("read the ledger: %w", s.readDialect.classify(err))
		}
	}
	return nil
}

// refreshOnce takes up the next step, in one snapshot of the database. The
// caller holds mu.
func (s *Store) refreshOnce(ctx context.Context) error {
	c := s.columns
	tx, end, err := begin(ctx, s.back)
	if err != nil {
		return err
	}
	defer end()
	upTo := int64(math.MaxInt64)
	for _, k := range c.kinds {
		upTo = min(upTo, k.known+refreshStep)
	}
	var head int64
	if err := tx.GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return err
	}
	upTo = min(upTo, head)
	next, err := s.pastAt(ctx, tx, upTo)
	if err != nil {
		return err
	}
	least, most := c.extent()
	lately, err := newsOf(ctx, tx, least, max(most, upTo))
	if err != nil {
		return err
	}
	spreads, err := readSpreads(ctx, tx)
	if err != nil {
		return err
	}
	redacted := false
	views := map[audit.Kind]*view{} // shown when all are there: a try that failed half way is made again
	decided := map[audit.Kind][]decision{}
	for _, kind := range audit.Kinds() {
		k := c.kinds[kind]
		old := k.view.Load()
		v := &view{head: max(upTo, k.known), segments: old.segments, count: old.count, spread: spreads[kind]}
		if ids, some := lately.created[kind]; some && upTo > k.known {
			if err := s.readNew(ctx, tx, k, v, upTo, head, ids); err != nil {
				return err
			}
		}
		var changes []decision
		if lately.decided[kind] {
			if changes, err = k.readDecisions(ctx, tx, v, old.head, v.head); err != nil {
				return err
			}
		}
		v.change(changes)
		views[kind], decided[kind] = v, changes
		redacted = redacted || slices.ContainsFunc(changes, func(d decision) bool { return d.redacted })
	}
	for kind, v := range views {
		k := c.kinds[kind]
		k.view.Store(v)
		k.known = v.head
		if k.sealing > 0 {
			k.during = append(k.during, decided[kind]...)
		}
	}
	if redacted { // perhaps by another program: which events held a text is not known any more
		s.texts.forget()
	}
	if next.leaf != nil {
		c.past.Store(next)
	}
	c.head.Store(upTo)
	s.recent.columnedUpTo(upTo)
	s.wakeSealer()
	return nil
}

// readNew adds to a view the events of its kind that were recorded since, up to a seq,
// whose ids lie within a range: from memory, where they are there, else from the table.
func (s *Store) readNew(ctx context.Context, tx *sqlx.Tx, k *kindColumns, v *view, upTo, head int64, ids idRange) error {
	if fresh, known := s.recent.since(k.kind, k.known, upTo, head); known {
		k.readRecent(v, fresh, upTo)
		return nil
	}
	n, err := k.read(ctx, tx, v, k.known, upTo, ids)
	if err != nil {
		return err
	}
	return s.settled(ctx, tx, k.kind, k.known, upTo, n)
}

// extent is up to where every kind is complete, and up to where the one that is
// furthest.
func (c *columns) extent() (least, most int64) {
	least = math.MaxInt64
	for _, k := range c.kinds {
		least, most = min(least, k.known, k.view.Load().head), max(most, k.known)
	}
	return least, most
}
