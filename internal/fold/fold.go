// Package fold counts what repeats, so that a flood becomes a few events that
// say how large it was.
package fold

import "time"

// Group is what came under one key within one window of time.
type Group[K comparable, V any] struct {
	Key         K
	Value       V // of the first
	Count       int
	First, Last time.Time
}

// Folder groups by key. A group begins with its first member and ends a window
// of time later. It holds a bounded number of groups: where another would be too
// many, the oldest end early. It is not safe for concurrent use.
type Folder[K comparable, V any] struct {
	window time.Duration
	most   int
	open   map[K]*Group[K, V]
	queue  []*Group[K, V] // in the order in which they began
	head   int            // of what is left in queue
	latest time.Time
}

// New returns a folder whose groups last for a window, and of which at most so
// many are open at a time.
func New[K comparable, V any](window time.Duration, most int) *Folder[K, V] {
	return &Folder[K, V]{window: window, most: max(most, 1), open: map[K]*Group[K, V]{}}
}

// Add counts one more of a key, and reports whether it began a group. Call Ended
// before, so that it does not fall into a group whose window is over.
func (f *Folder[K, V]) Add(key K, at time.Time, value V) bool {
	if g := f.open[key]; g != nil {
		g.Count++
		if at.After(g.Last) {
			g.Last = at
		}
		return false
	}
	g := &Group[K, V]{Key: key, Value: value, Count: 1, First: at, Last: at}
	f.open[key] = g
	f.queue = append(f.queue, g)
	return true
}

// Ended takes out the groups whose window is over at a time, and those that are
// too many, in the order in which they began. Time does not run backwards: an
// earlier time than before counts as that one.
func (f *Folder[K, V]) Ended(at time.Time) []*Group[K, V] {
	if at.After(f.latest) {
		f.latest = at
	}
	n := f.head
	for n < len(f.queue) && (len(f.queue)-n > f.most || f.latest.Sub(f.queue[n].First) >= f.window) {
		n++
	}
	return f.take(n)
}

// All takes out all groups.
func (f *Folder[K, V]) All() []*Group[K, V] { return f.take(len(f.queue)) }

// Len is how many groups are open.
func (f *Folder[K, V]) Len() int { return len(f.open) }

func (f *Folder[K, V]) take(n int) []*Group[K, V] {
	if n == f.head {
		return nil
	}
	ended := make([]*Group[K, V], n-f.head)
	copy(ended, f.queue[f.head:n])
	for i, g := range ended {
		delete(f.open, g.Key)
		f.queue[f.head+i] = nil
	}
	f.head = n
	if f.head > len(f.queue)/2 { // what was taken may go now
		f.queue = append(f.queue[:0:0], f.queue[f.head:]...)
		f.head = 0
	}
	return ended
}
