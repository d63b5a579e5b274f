package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// walkBudget is how many rows a page may look at for a frequent text before it
// is shown with what was found, and shortBudget the same for a word of one or two
// letters.
const walkBudget = 1_200

// pageBytes is about how much one page holds. A thousand events of a megabyte
// would take the memory of everybody.
const pageBytes = 16 << 20

// errPageFull ends the reading of a page that holds pageBytes already.
var errPageFull = errors.New("the page is full")

// List returns a page, newest first. A page that asks for events newer than
// Before has the ones next to it. Where events are so large that Limit of them
// would be more than about 16 MiB there are fewer, and the cursors say where it
// goes on.
func (sel *Selection) List(ctx context.Context, p Page) (*List, error) {
	var list *List
	err := errPageFull
	for limit := min(max(p.Limit, 1), 1000); errors.Is(err, errPageFull); limit = min(limit-1, len(list.Items)) {
		list = &List{}
		var places []rowPlace
		if places, err = sel.page(ctx, p, limit, list); err != nil {
			return nil, err
		}
		ids := make([]int64, len(places))
		for i, place := range places {
			ids[i] = place.id(sel.view)
		}
		size := 0
		err = sel.store.eachByID(ctx, sel.filter.Kind, ids, func(st *Stored) error {
			if size += st.size(); size > pageBytes && len(list.Items) > 0 {
				return errPageFull
			}
			list.Items = append(list.Items, st)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read a page of %s: %w", sel.filter.Kind.Plural(), sel.store.readDialect.classify(err))
	}
	if list.Tombstones, err = sel.tombstones(ctx, p, list); err != nil {
		return nil, fmt.Errorf("read the tombstones of a page: %w", sel.store.readDialect.classify(err))
	}
	return list, nil
}

// page finds the rows of a page, newest first, and its cursors.
func (sel *Selection) page(ctx context.Context, p Page, limit int, list *List) ([]rowPlace, error) {
	forward := p.Before != 0 // towards newer events
	walking := sel.walking()
	sets := sel.bases(ctx, noKey)
	if m := sel.matches[noKey]; m != nil && m.known && m.exact {
		sets, walking = these(m.sets), nil
	}
	start := func() *merge {
		switch {
		case forward:
			return sel.oldest(sets, p.Before)
		case p.After != 0:
			return sel.newest(sets, p.After)
		}
		return sel.newest(sets, math.MaxInt64)
	}
	it := start()
	it.bounded = walking != nil

	budget := walkBudget
	for _, c := range walking {
		if c.needle.short {
			budget = shortBudget
		}
	}
	var found []rowPlace
	var last rowPlace
	looked, more := 0, true
	for len(found) <= limit && more && (walking == nil || looked < budget) {
		var batch []rowPlace
		for len(batch) < max(2*limit, 256) {
			place, ok := it.next()
			if !ok {
				more = false
				break
			}
			batch = append(batch, place)
			if walking == nil && len(found)+len(batch) > limit {
				break
			}
		}
		if len(batch) == 0 {
			break
		}
		looked += len(batch)
		last = batch[len(batch)-1]
		kept := batch
		if walking != nil {
			var err error
			if kept, err = sel.pass(ctx, walking, batch); err != nil {
				return nil, err
			}
		}
		found = append(found, kept...)
	}
	further := len(found) > limit
	found = found[:min(len(found), limit)]
	reached := it.stopped // how far it looked, where that was not to the end
	if walking != nil && !further && (more || reached != 0) {
		if reached == 0 {
			reached = last.id(sel.view)
		}
		list.Partial = true
		list.LookedTo = time.UnixMicro(reached >> idBits).UTC()
	}
	sel.cursors(p, list, sets, found, further, reached)
	if forward {
		slices.Reverse(found)
	}
	return found, nil
}

// cursors says whether there is more on either side of a page whose rows are
// still in the order they were found in.
func (sel *Selection) cursors(p Page, list *List, sets *rowSets, found []rowPlace, further bool, reached int64) {
	forward := p.Before != 0
	var onward int64 // where the walk goes on
	switch {
	case further:
		onward = found[len(found)-1].id(sel.view)
	case list.Partial:
		onward = reached
	}
	// On the side the page came from there is what it was asked to be beyond of,
	// and whatever was recorded there since.
	var back int64
	if p.After != 0 || p.Before != 0 {
		var it *merge
		from := p.After
		if len(found) > 0 {
			from = found[0].id(sel.view)
		}
		if forward {
			if len(found) == 0 {
				from = p.Before + 1
			}
			it = sel.newest(sets, from)
		} else {
			if len(found) == 0 {
				from = max(p.After-1, 1)
			}
			it = sel.oldest(sets, from)
		}
		if _, ok := it.next(); ok {
			back = from
		}
	}
	if forward {
		list.Previous, list.Next = onward, back
	} else {
		list.Next, list.Previous = onward, back
	}
}

// tombstones returns the deleted events whose places lie on a page, where the
// filter asks for nothing but times.
func (sel *Selection) tombstones(ctx context.Context, p Page, list *List) ([]Tombstone, error) {
	for _, t := range sel.filter.Terms {
		if t.Field.Class != query.ClassTime || t.Field.Key == "recorded" || t.Not {
			return nil, nil
		}
	}
	lo, hi := int64(0), int64(math.MaxInt64)
	if p.After != 0 {
		hi = p.After - 1
	}
	if p.Before != 0 {
		lo = p.Before + 1
	}
	// On the side the page came from its range begins at the cursor, and not at its
	// first row: what was deleted between the two stands on no other page.
	if n := len(list.Items); n > 0 {
		if list.Next != 0 && p.Before == 0 {
			lo = max(lo, list.Items[n-1].ID)
		}
		if list.Previous != 0 && p.After == 0 {
			hi = min(hi, list.Items[0].ID)
		}
	}
	from, to, bounded := sel.filter.Bounds()
	var all []Tombstone
	err := eachRow(ctx, sel.store.ro, "SELECT id, seq, timestamp, deleted_at, deleted_by, reason FROM tombstone"+
		" WHERE kind = ? AND id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1000", []any{sel.filter.Kind, lo, hi}, func(r scanner) error {
		t, err := scanTombstone(sel.filter.Kind, r)
		if m := t.Timestamp.UnixMicro(); err == nil && (!bounded || m >= from && m < to) {
			all = append(all, t)
		}
		return err
	})
	return all, err
}

func scanTombstone(kind audit.Kind, r scanner) (Tombstone, error) {
	t := Tombstone{Kind: kind}
	var timestamp, deletedAt string
	if err := r.Scan(&t.ID, &t.Seq, &timestamp, &deletedAt, &t.DeletedBy, &t.Reason); err != nil {
		return t, err
	}
	t.Timestamp, _ = audit.ParseTime(timestamp)
	t.DeletedAt, _ = audit.ParseTime(deletedAt)
	return t, nil
}
