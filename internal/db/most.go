package db

import (
	"cmp"
	"slices"
)

// tiesInOrder is among how many equally frequent values the first in the order
// of the alphabet are chosen. Among more, those that were recorded first are.
const tiesInOrder = 1_000

// mostOf returns the words of the top counts, in no order, and how many are not
// zero. If touched is not nil, only those can be.
func mostOf(text func(number uint32) (string, bool), counts, touched []uint32, top int) (best []FacetValue, distinct int) {
	if touched != nil {
		some := make([]wordCount, len(touched))
		for i, number := range touched {
			some[i] = wordCount{number, counts[number]}
		}
		return mostOfThese(text, some, top)
	}
	var often, second oftenness // in two tables, so that one sum does not wait for the other
	half := len(counts) / 2
	for i, times := range counts[:half] {
		other := counts[half+i]
		if times|other < oftenSmall {
			often.small[times]++
			second.small[other]++
			continue
		}
		often.add(times)
		often.add(other)
	}
	for _, times := range counts[2*half:] {
		often.add(times)
	}
	for i, n := range second.small {
		often.small[i] += n
	}
	c := chooser{text: text}
	c.least, distinct = often.least(top)
	c.few = top < distinct
	for number, times := range counts {
		if times >= c.least+c.above {
			c.take(uint32(number), times)
		}
	}
	return c.best(top), distinct
}

// wordCount is how often the word of a number occurs.
type wordCount struct{ number, times uint32 }

// mostOfThese is mostOf for some words alone.
func mostOfThese(text func(number uint32) (string, bool), some []wordCount, top int) (best []FacetValue, distinct int) {
	var often oftenness
	for _, w := range some {
		often.add(w.times)
	}
	c := chooser{text: text}
	c.least, distinct = often.least(top)
	c.few = top < distinct
	if c.few && c.least < oftenSmall && often.small[c.least] >= tiesInOrder {
		slices.SortFunc(some, func(a, b wordCount) int { return cmp.Compare(a.number, b.number) })
	}
	for _, w := range some {
		if w.times >= c.least+c.above {
			c.take(w.number, w.times)
		}
	}
	return c.best(top), distinct
}

// oftenSmall is from where on counts are not counted themselves: of large ones there
// are few.
const oftenSmall = 256

// oftenness is how many words occur how often.
type oftenness struct {
	small [oftenSmall]int
	large []uint32
}

func (o *oftenness) add(times uint32) {
	if times < oftenSmall {
		o.small[times]++
	} else {
		o.large = append(o.large, times)
	}
}

// least returns how often a word has to occur to be among the top ones, and how many
// occur.
func (o *oftenness) least(top int) (least uint32, distinct int) {
	distinct = len(o.large)
	for _, n := range o.small[1:] {
		distinct += n
	}
	if top >= distinct {
		return 1, distinct
	}
	if top <= len(o.large) {
		slices.SortFunc(o.large, func(a, b uint32) int { return cmp.Compare(b, a) })
		return o.large[max(top-1, 0)], distinct
	}
	left := top - len(o.large)
	for least = oftenSmall - 1; least > 1 && o.small[least] < left; least-- {
		left -= o.small[least]
	}
	return least, distinct
}

// chooser takes the words that occur often enough.
type chooser struct {
	text   func(number uint32) (string, bool)
	least  uint32
	few    bool   // there are more words than are wanted
	ties   int    // that occur as often as the least
	above  uint32 // 1 when there are enough of those
	chosen []FacetValue
}

func (c *chooser) take(number, times uint32) {
	if times == c.least && c.few {
		if c.ties++; c.ties == tiesInOrder {
			c.above = 1
		}
	}
	if text, ok := c.text(number); ok {
		c.chosen = append(c.chosen, FacetValue{text, int64(times)})
	}
}

func (c *chooser) best(top int) []FacetValue {
	if top < len(c.chosen) {
		sortValues(c.chosen)
		c.chosen = c.chosen[:top]
	}
	return c.chosen
}

// sortValues puts the most frequent values first, and equally frequent ones in the order
// of the alphabet.
func sortValues(values []FacetValue) {
	slices.SortFunc(values, func(a, b FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
}
