package db

import (
	"container/list"
	"sync"

	"github.com/auditadmin/auditadmin/internal/segment"
)

// markCache keeps which rows of a segment in a file a term marked, for the terms
// asked for last: a reader who goes from page to page asks for the same again,
// and such a segment answers the same for ever.
type markCache struct {
	mu    sync.Mutex
	items map[markKey]*list.Element
	used  *list.List // of *markItem, the one used last in front
	size  int
}

type markKey struct {
	segment *segment.Segment
	term    string
}

type markItem struct {
	key markKey
	set segment.Set
}

// markBytes is how much memory the cache may take.
const markBytes = 24 << 20

func newMarkCache() *markCache {
	return &markCache{items: map[markKey]*list.Element{}, used: list.New()}
}

func (c *markCache) get(key markKey) (segment.Set, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[key]
	if !ok {
		return segment.Set{}, false
	}
	c.used.MoveToFront(e)
	return e.Value.(*markItem).set, true
}

func (c *markCache) put(key markKey, set segment.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[key]; ok {
		return
	}
	c.items[key] = c.used.PushFront(&markItem{key, set})
	for c.size += markSize(set); c.size > markBytes; {
		last := c.used.Back()
		item := c.used.Remove(last).(*markItem)
		delete(c.items, item.key)
		c.size -= markSize(item.set)
	}
}

// forget drops what is known of segments that are no longer in use, so that
// their files go.
func (c *markCache) forget(gone map[*segment.Segment]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.items {
		if gone[key.segment] {
			c.size -= markSize(c.used.Remove(e).(*markItem).set)
			delete(c.items, key)
		}
	}
}

func markSize(s segment.Set) int { return 200 + s.Bytes() }
