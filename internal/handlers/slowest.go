package handlers

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// slowestKept is how many of the slowest pages are remembered of each minute,
// and so how many are known for sure of the last hour.
const slowestKept = 8

// slowPages remembers the slowest answers of the last hour, in a ring of its
// minutes. It holds no more than that, whatever is asked.
type slowPages struct {
	mutex   sync.Mutex
	minutes [60]slowMinute
}

type slowMinute struct {
	start time.Time
	pages []pageTime // slowest first
}

// pageTime is how long one answer took.
type pageTime struct {
	At      time.Time
	Took    time.Duration
	Method  string
	Pattern string // the route
	Path    string // the address that was asked for, with its query, cut
	Status  int
}

// add remembers an answer, if it is among the slowest of its minute.
func (p *slowPages) add(page pageTime) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	start := page.At.Truncate(time.Minute)
	m := &p.minutes[int(uint64(start.Unix()/60)%uint64(len(p.minutes)))]
	if !m.start.Equal(start) {
		*m = slowMinute{start: start, pages: m.pages[:0]}
	}
	if len(m.pages) == slowestKept && m.pages[slowestKept-1].Took >= page.Took {
		return
	}
	at, _ := slices.BinarySearchFunc(m.pages, page, func(a, b pageTime) int { return cmp.Compare(b.Took, a.Took) })
	m.pages = slices.Insert(m.pages, at, page)
	m.pages = m.pages[:min(len(m.pages), slowestKept)]
}

// slowest returns the slowest answers of the hour before now, slowest first.
func (p *slowPages) slowest(now time.Time) []pageTime {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var all []pageTime
	for _, m := range p.minutes {
		for _, page := range m.pages {
			if age := now.Sub(page.At); age >= 0 && age <= time.Hour {
				all = append(all, page)
			}
		}
	}
	slices.SortFunc(all, func(a, b pageTime) int { return cmp.Compare(b.Took, a.Took) })
	return all[:min(len(all), slowestKept)]
}
