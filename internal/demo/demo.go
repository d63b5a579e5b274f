// Package demo invents the audit trail of a small web shop, so that somebody
// who has no data of his own yet can try everything: "Fennel & Fig" sells
// kitchenware, has three dozen people in the office and the warehouse, some
// thousands of customers, nightly jobs, a deploy a week, bugs, and a few things
// that happened in it which somebody should find.
//
// What it invents is coherent: an object's old value is what the event before
// left, a request's events share its id, a session's its key and address, and
// people work when people work. It is the same again for the same seed.
//
// A large trail is that of the group of companies that the shop belongs to: two
// years of sixty systems and thousands of people, with the shop's last months
// among them, so that what should be found is still there to be found.
package demo

import (
	"container/heap"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// Days is how long before its end the invented trail of the shop begins.
const Days = 90

// shopMost is how many audit logs are the shop's alone. Where more are asked for
// it has shopShare of them, and the group has the others.
const shopMost, shopShare = 50_000, 20_000

// slot is the step in which the shop's traffic is planned.
const slot = 10 * time.Minute

// zone is where the shop is. Timestamps are in UTC; the rhythm of the day is not.
var zone = time.FixedZone("CET", 60*60)

// Generate returns the trail of n audit logs that ends at until, in the order in
// which it happened. Events of the other kinds come beside them: about n/10
// login attempts, n/20 system events and n/100 exports. The same arguments give
// the same events. Memory does not grow with n beyond the objects that are alive
// at a time, so n may be ten million.
func Generate(seed uint64, n int, until time.Time) iter.Seq[*audit.Event] {
	until = until.UTC().Truncate(time.Microsecond)
	if n <= shopMost {
		return func(yield func(*audit.Event) bool) { newGenerator(seed, n, until).events()(yield) }
	}
	return func(yield func(*audit.Event) bool) {
		next, stop := iter.Pull(newGenerator(seed, shopShare, until).events())
		defer stop()
		shop, open := next()
		for e := range newGroup(seed, n-shopShare, until).events() {
			for open && shop.Values()[0] < e.Values()[0] { // timestamps, which sort as text
				if !yield(shop) {
					return
				}
				shop, open = next()
			}
			if !yield(e) {
				return
			}
		}
		for open && yield(shop) {
			shop, open = next()
		}
	}
}

// generator is the shop as it stands at the moment now.
type generator struct {
	*rand.Rand
	seed         uint64
	n            int // audit logs wanted
	start, until time.Time
	now          time.Time

	steps   steps // what is going to happen
	ordinal int   // breaks ties between steps of one instant
	out     []*audit.Event
	planned int // audit logs of all steps planned so far

	shop      map[string]*thing
	duties    map[team][]duty
	profiles  map[string]*object // what the shop knows of customers, by their id
	staff     map[team][]*person
	customers *rand.Zipf
	erased    map[string]bool     // customers who asked for it, by their id
	sessions  map[string]*session // of staff, by name
	actor     *person             // who does what is happening
	release   int                 // the deploys so far
}

func newGenerator(seed uint64, n int, until time.Time) *generator {
	g := &generator{
		Rand:     rand.New(rand.NewPCG(seed, 0x666967)), // any second word, as long as it stays
		seed:     seed,
		n:        n,
		start:    until.AddDate(0, 0, -Days),
		until:    until,
		now:      until.AddDate(0, 0, -Days),
		shop:     map[string]*thing{},
		duties:   map[team][]duty{},
		profiles: map[string]*object{},
		erased:   map[string]bool{},
		sessions: map[string]*session{},
		release:  37,
	}
	g.staff = employ()
	g.customers = rand.NewZipf(g.Rand, 1.2, 60, uint64(min(max(n/12, 60), 40_000)))
	g.open()
	return g
}

// events runs the shop: what is planned happens in the order of its time.
func (g *generator) events() iter.Seq[*audit.Event] {
	return func(yield func(*audit.Event) bool) {
		emitted := 0
		// run lets happen what is planned before an instant, and reports whether
		// more is wanted.
		run := func(before time.Time) bool {
			for len(g.steps) > 0 && g.steps[0].at.Before(before) {
				s := heap.Pop(&g.steps).(step)
				g.now = s.at
				s.do()
				for _, e := range g.out {
					if !yield(e) {
						return false
					}
					if e.Kind != audit.KindAuditLog {
						continue
					}
					if emitted++; emitted == g.n {
						return false
					}
				}
				g.out = g.out[:0]
			}
			return true
		}

		if g.n <= 0 {
			return
		}
		g.planStories()
		told := g.planned
		last := g.until.Add(-3 * slot) // what began by then is over at the end
		total, done := 0.0, 0.0
		for t := g.start; t.Before(last); t = t.Add(slot) {
			total += g.traffic(t)
		}
		for t := g.start; t.Before(last); t = t.Add(slot) {
			done += g.traffic(t)
			g.now = t
			for want := told + int(float64(g.n-told)*done/total); g.planned < want; {
				g.planned += g.something(t.Add(g.within(slot)))
			}
			if !run(t.Add(slot)) {
				return
			}
		}
		for run(g.until) { // a plan may have come to less than it promised
			g.now = last
			g.visit(last.Add(g.within(slot)))
		}
	}
}

// traffic is how busy the shop is around an instant, in no particular unit.
func (g *generator) traffic(t time.Time) float64 {
	byHour := [24]float64{
		3, 2, 2, 3, 2, 2, 4, 9, 22, 30, 33, 32, 26, 29, 32, 30, 27, 22, 17, 16, 17, 15, 10, 5,
	}
	local := t.In(zone)
	busy := byHour[local.Hour()]
	if day := local.Weekday(); day == time.Saturday || day == time.Sunday {
		busy *= 0.45
		if local.Hour() >= 18 {
			busy *= 1.6 // Sunday evening is when people shop
		}
	}
	// The shop grows, no two days are alike, and now and then a newsletter goes out.
	day := int(t.Sub(g.start) / (24 * time.Hour))
	busy *= 0.8 + 0.4*float64(day)/Days
	busy *= 0.8 + 0.4*rand.New(rand.NewPCG(g.seed, uint64(day))).Float64()
	if day%17 == 5 {
		busy *= 1.5
	}
	return busy
}

// office reports whether people are at work at an instant.
func office(t time.Time) bool {
	local := t.In(zone)
	day, hour := local.Weekday(), local.Hour()
	return day != time.Saturday && day != time.Sunday && hour >= 7 && hour < 19
}

// step is something that happens at an instant.
type step struct {
	at      time.Time
	ordinal int
	do      func()
}

// steps is a heap of steps, earliest first.
type steps []step

func (s steps) Len() int { return len(s) }
func (s steps) Less(i, j int) bool {
	if s[i].at.Equal(s[j].at) {
		return s[i].ordinal < s[j].ordinal
	}
	return s[i].at.Before(s[j].at)
}
func (s steps) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *steps) Push(x any)   { *s = append(*s, x.(step)) }
func (s *steps) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// at plans something.
func (g *generator) at(t time.Time, do func()) {
	g.ordinal++
	heap.Push(&g.steps, step{at: t, ordinal: g.ordinal, do: do})
}

// within returns a part of a duration by chance, to the microsecond.
func (g *generator) within(d time.Duration) time.Duration {
	return time.Duration(g.Int64N(int64(d/time.Microsecond))) * time.Microsecond
}

// between returns a duration from lo to hi by chance.
func (g *generator) between(lo, hi time.Duration) time.Duration { return lo + g.within(hi-lo) }

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

// pick returns one of the values by chance.
func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// event makes an event of a kind at the present moment.
func (g *generator) event(kind audit.Kind, fields ...string) *audit.Event {
	e := audit.NewEvent(kind)
	e.SetTime(g.now)
	for i := 0; i < len(fields); i += 2 {
		e.Set(fields[i], fields[i+1])
	}
	g.out = append(g.out, e)
	return e
}

// hex returns as many hexadecimal digits as asked for, by chance.
func (g *generator) hex(digits int) string {
	s := make([]byte, 0, digits+16)
	for len(s) < digits {
		s = fmt.Appendf(s, "%016x", g.Uint64())
	}
	return string(s[:digits])
}

// request begins a new request and returns its id.
func (g *generator) request() string {
	return "req-" + g.hex(16)
}
