package demo

import (
	"fmt"
	"time"
)

// something plans one thing that goes on in the shop from an instant, and
// returns how many audit logs it is going to make.
func (g *generator) something(t time.Time) int {
	g.now = t
	local := t.In(zone)
	night := local.Hour() >= 1 && local.Hour() < 6
	switch odds := g.IntN(1000); {
	case odds < 150:
		return g.trouble(t)
	case odds < 205 && office(t):
		return g.export(t)
	case odds < 310:
		return g.strangers(t)
	case night && odds < 800, odds < 345:
		return g.batch(t)
	case office(t) && odds < 780:
		return g.shift(t)
	default:
		return g.visit(t)
	}
}

// visit is a customer who signs in, looks, and perhaps buys.
func (g *generator) visit(t time.Time) int {
	s := &session{person: g.customer(), key: g.hex(32)}
	clock := t
	later := func(lo, hi time.Duration) time.Time {
		clock = clock.Add(g.between(lo, hi))
		return clock
	}
	planned := 0
	do := func(audits int, at time.Time, what func()) {
		planned += audits
		g.at(at, what)
	}
	g.profile(s.person)
	if g.chance(7) {
		do(0, later(0, time.Second), func() { g.attempt(s, "FAILED", "wrong password", g.request()) })
		later(4*time.Second, 30*time.Second)
	}
	do(1, later(0, time.Second), func() { g.signIn(s) })
	switch odds := g.IntN(10); {
	case odds < 4:
		do(3, later(40*time.Second, 14*time.Minute), func() { g.buy(s) })
	case odds < 6:
		do(1, later(20*time.Second, 4*time.Minute), func() {
			g.create(s, g.request(), g.shop["reviews.review"], nil)
		})
	case odds < 8:
		do(1, later(20*time.Second, 4*time.Minute), func() { g.ownProfile(s) })
	default:
		do(1, later(20*time.Second, 4*time.Minute), func() {
			g.create(s, g.request(), g.shop["support.ticket"], nil)
		})
	}
	if g.chance(3) {
		do(1, later(5*time.Second, 3*time.Minute), func() {
			e := s.door(g, "LOGOUT", g.request())
			e.Set("metadata", fmt.Sprintf(`{"minutes":%d}`, 1+int(g.now.Sub(t).Minutes())))
		})
	}
	return planned
}

// buy is one checkout: an order, its payment, and the stock it reserves, all in
// one request.
func (g *generator) buy(s *session) {
	request := g.request()
	lines := goods(g)
	total := worth(lines)
	g.create(s, request, g.shop["orders.order"], map[string]any{
		"lines": lines, "total": total, "status": "paid", "paid_at": moment(g, nil), "customer": s.full,
		"shipping_address": g.profile(s.person).get("default_address"),
	})
	paid := g.now.Add(g.between(30*time.Millisecond, 400*time.Millisecond))
	g.at(paid, func() { g.create(s, request, g.shop["payments.payment"], map[string]any{"amount": total}) })
	g.at(paid.Add(g.between(2*time.Millisecond, 20*time.Millisecond)), func() { g.reserve(s, request) })
}

// reserve takes a piece from the stock for an order.
func (g *generator) reserve(s *session, request string) {
	o := g.shop["inventory.stockitem"].one(g, work{})
	g.update(s, request, o, "", map[string]any{"reserved": o.get("reserved").(int) + 1})
}

// ownProfile is a customer who changes what the shop knows of him.
func (g *generator) ownProfile(s *session) {
	request := g.request()
	o := g.profile(s.person)
	if g.chance(5) {
		g.deed(s, request, "PASSWORD_CHANGE", o, []change{{"password", "***", "***"}}, "")
		return
	}
	g.work(s, request, o, work{action: "UPDATE", fields: pick(g, "phone", "newsletter", "newsletter language", "default_address", "default_address phone")})
}

// shift is somebody at work: signed in, some things in a row, each a request.
func (g *generator) shift(t time.Time) int {
	who := g.employee(pick(g, support, support, support, support, warehouse, warehouse, warehouse, merchants, merchants, content, content, finance, marketing, engineers))
	count := 2 + g.IntN(9)
	g.at(t, func() { g.signedIn(who) })
	clock := t.Add(g.between(9*time.Second, 50*time.Second))
	for range count {
		g.at(clock, func() {
			s := g.signedIn(who)
			g.task(s, g.request())
		})
		clock = clock.Add(g.between(8*time.Second, 150*time.Second))
	}
	return count
}

// task is one piece of somebody's work. Where there is nothing to do he looks
// at an order.
func (g *generator) task(s *session, request string) {
	t, w := g.duty(s.team)
	if w.action == "CREATE" {
		g.create(s, request, t, nil)
		return
	}
	if o := t.one(g, w); o != nil {
		g.work(s, request, o, w)
		return
	}
	g.work(s, request, g.shop["customers.customer"].one(g, work{}), work{action: "VIEW"})
}

// duty chooses what a member of a team does next, by the odds of the works.
func (g *generator) duty(of team) (*thing, work) {
	all := g.duties[of]
	n := g.IntN(all[len(all)-1].upTo)
	for _, d := range all {
		if n < d.upTo {
			return d.thing, d.work
		}
	}
	panic("demo: a team has nothing to do")
}

// duty is a work with its share of a team's time.
type duty struct {
	thing *thing
	work  work
	upTo  int // the sum of the odds so far
}

// batch is a job of a service account: one request, many objects of a type,
// milliseconds apart.
func (g *generator) batch(t time.Time) int {
	who := g.employee(machines)
	count := 4 + g.IntN(12)
	if hour := t.In(zone).Hour(); hour >= 1 && hour < 6 {
		count = 20 + g.IntN(60)
	}
	count = min(count, 4+g.n/200)
	s := &session{person: who, key: ""}
	request := g.request()
	thing, w := g.duty(machines)
	clock := t
	for range count {
		g.at(clock, func() {
			o := thing.one(g, w)
			if o == nil {
				o, w := g.shop["inventory.stockitem"].one(g, work{}), work{action: "UPDATE", fields: "on_hand reserved"}
				g.work(s, request, o, w)
				return
			}
			g.work(s, request, o, w)
		})
		clock = clock.Add(g.between(900*time.Microsecond, 40*time.Millisecond))
	}
	return count
}

// strangers are people, and programs, that do not get in.
func (g *generator) strangers(t time.Time) int {
	p := g.customer()
	s := &session{person: p}
	reason := pick(g, "wrong password", "wrong password", "account locked", "second factor missing")
	if g.chance(3) { // somebody tries names from a list
		stranger := *p
		stranger.name = pick(g, "admin", "root", "test", "info@fennelfig.example", "administrator", "maria.keller", "shop", "wordpress")
		stranger.home = pick(g, place{"Brazil", "São Paulo"}, place{"Viet Nam", "Hà Nội"}, place{"United States", "Ashburn"}, place{"Russia", "Казань"})
		stranger.address = fmt.Sprintf("203.0.113.%d", 1+g.IntN(254))
		stranger.agent = pick(g, "python-requests/2.32.3", "curl/8.5.0", "Go-http-client/2.0", "Mozilla/5.0")
		s.person = &stranger
		reason = pick(g, "wrong password", "unknown user")
	}
	count := 1 + min(g.IntN(4), g.IntN(4))
	for i := range count {
		g.at(t.Add(time.Duration(i)*g.between(3*time.Second, 40*time.Second)), func() {
			if i >= 3 {
				g.attempt(s, "BLOCKED", "too many attempts", g.request())
				return
			}
			g.attempt(s, "FAILED", reason, g.request())
		})
	}
	return 0
}

// export is somebody who takes data out of the shop.
func (g *generator) export(t time.Time) int {
	who := g.employee(pick(g, finance, finance, marketing, merchants, support))
	g.at(t, func() {
		s := g.signedIn(who)
		x := pick(g, exports...)
		records := x.lo + g.IntN(x.hi-x.lo)
		format := pick(g, "csv", "csv", "xlsx", "xlsx", "pdf", "json")
		e := s.context(g.event("data_export", "export_type", x.what, "file_format", format,
			"record_count", fmt.Sprint(records), "file_size", fmt.Sprint(records*(60+g.IntN(240))),
			"filters_applied", jsonText(x.filters(g))), g.request())
		e.Set("file_path", fmt.Sprintf("/srv/exports/%s/%s-%s.%s", g.now.Format("2006/01"), x.slug, g.hex(8), format))
		e.Set("download_count", fmt.Sprint(g.IntN(3)))
		e.Set("metadata", fmt.Sprintf(`{"completed":true,"seconds":%d.%d}`, records/4000, g.IntN(10)))
	})
	return 0
}

// exports are what people take out now and then.
var exports = []struct {
	what, slug string
	lo, hi     int
	filters    func(*generator) any
}{
	{"Orders", "orders", 40, 4200, func(g *generator) any {
		return map[string]any{"status": []any{"paid", "shipped"}, "from": day(-31, -1)(g), "to": g.now.Format(time.DateOnly)}
	}},
	{"Invoices (DATEV)", "datev", 300, 2600, func(g *generator) any {
		return map[string]any{"month": g.now.AddDate(0, -1, 0).Format("2006-01"), "paid": true}
	}},
	{"Stock list", "stock", 280, 340, func(g *generator) any {
		return map[string]any{"bin": pick(g, "A-*", "B-*", "*"), "below_reorder_point": g.chance(2)}
	}},
	{"Newsletter subscribers", "subscribers", 900, 5200, func(g *generator) any {
		return map[string]any{"newsletter": true, "segment": pick(g, "loyal", "regular", "at risk"), "language": pick(g, "de", "en", "fr")}
	}},
	{"Returns by product", "returns", 12, 400, func(g *generator) any { return map[string]any{"from": day(-90, -30)(g)} }},
	{"Price list", "prices", 300, 330, func(g *generator) any {
		return map[string]any{"status": "published", "supplier": pick(g, suppliers...)}
	}},
}
