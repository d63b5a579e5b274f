package authz

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
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

// fold keeps a flood of refusals from filling the database. The first one under
// a key is stored at once; those of the following minute are counted, and one
// event stands for them all. It is safe for concurrent use.
type fold struct {
	mu   sync.Mutex
	keys *recent[string, *folded]
}

// storing stores one event that stands for count of them.
type storing func(ctx context.Context, count int) error

type folded struct {
	since   time.Time // when an event was last stored
	pending int       // how many happened after it
	store   storing   // of the last of them
}

func newFold() *fold { return &fold{keys: newRecent[string, *folded](10_000)} }

// add stores what happened under key now, or keeps it for later.
func (f *fold) add(ctx context.Context, key string, now time.Time, store storing) error {
	f.mu.Lock()
	k := f.keys.get(key, func() *folded { return &folded{} })
	k.pending++
	k.store = store
	// A clock that was set back must not silence a key for hours.
	if since := now.Sub(k.since); since >= 0 && since < foldEvery {
		f.mu.Unlock()
		return nil
	}
	_, count := k.take(now)
	f.mu.Unlock()
	return store(ctx, count)
}

// flush stores what was counted and is due by now.
func (f *fold) flush(ctx context.Context, now time.Time) error {
	f.mu.Lock()
	var due []func() error
	for _, el := range f.keys.items {
		k := el.Value.(*recentItem[string, *folded]).value
		if k.pending > 0 && now.Sub(k.since) >= foldEvery {
			store, count := k.take(now)
			due = append(due, func() error { return store(ctx, count) })
		}
	}
	f.mu.Unlock()
	var errs error
	for _, store := range due {
		errs = errors.Join(errs, store())
	}
	return errs
}

func (k *folded) take(now time.Time) (storing, int) {
	store, count := k.store, k.pending
	k.since, k.pending, k.store = now, 0, nil
	return store, count
}
