package authz

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// recent is a map that forgets the key not used for longest when it is full:
// whoever can make up keys cannot make it grow. It is not safe for concurrent
// use.
type recent[K comparable, V any] struct {
	max   int
	order *list.List // of *recentItem[K, V], the last used first
	items map[K]*list.Element
}

type recentItem[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](max int) *recent[K, V] {
	return &recent[K, V]{max: max, order: list.New(), items: map[K]*list.Element{}}
}

// get returns the value of key, and makes it where there is none.
func (m *recent[K, V]) get(key K, make func() V) V {
	if el, ok := m.items[key]; ok {
		m.order.MoveToFront(el)
		return el.Value.(*recentItem[K, V]).value
	}
	item := &recentItem[K, V]{key, make()}
	m.items[key] = m.order.PushFront(item)
	if m.order.Len() > m.max {
		last := m.order.Back()
		m.order.Remove(last)
		delete(m.items, last.Value.(*recentItem[K, V]).key)
	}
	return item.value
}

// foldEvery is the time in which events under one key become one.
const foldEvery = time.Minute

// fold keeps a flood of refusals from filling the database. The first event
// under a key is stored at once; those of the following minute are counted, and
// one event stands for them all. It is safe for concurrent use.
type fold struct {
	mu    sync.Mutex
	keys  *recent[string, *folded]
	store func(context.Context, *audit.Event) error
}

type folded struct {
	since   time.Time // when an event was last stored
	pending int       // how many happened after it
	last    func(count int) *audit.Event
}

func newFold(store func(context.Context, *audit.Event) error) *fold {
	return &fold{keys: newRecent[string, *folded](10_000), store: store}
}

// add stores the event that make returns for the number of times it stands
// for, or keeps it for later.
func (f *fold) add(ctx context.Context, key string, now time.Time, make func(count int) *audit.Event) error {
	f.mu.Lock()
	k := f.keys.get(key, func() *folded { return &folded{} })
	k.pending++
	k.last = make
	// A clock that was set back must not silence a key for hours.
	if since := now.Sub(k.since); since >= 0 && since < foldEvery {
		f.mu.Unlock()
		return nil
	}
	event := k.take(now)
	f.mu.Unlock()
	return f.store(ctx, event)
}

// flush stores what was counted and is due by now.
func (f *fold) flush(ctx context.Context, now time.Time) error {
	f.mu.Lock()
	var events []*audit.Event
	for _, el := range f.keys.items {
		k := el.Value.(*recentItem[string, *folded]).value
		if k.pending > 0 && now.Sub(k.since) >= foldEvery {
			events = append(events, k.take(now))
		}
	}
	f.mu.Unlock()
	for _, e := range events {
		if err := f.store(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (k *folded) take(now time.Time) *audit.Event {
	e := k.last(k.pending)
	k.since, k.pending, k.last = now, 0, nil
	return e
}
