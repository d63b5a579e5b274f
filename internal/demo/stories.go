package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// planStories plans what somebody should find: a few things that went on in the
// shop among all the ordinary ones.
func (g *generator) planStories() {
	g.deploys()
	g.nights()
	g.bruteForce(g.on(12, 4, 10))
	g.decimalPoint(g.on(9, 16, 42))
	g.giftCard(g.on(6, 12, 31))
	g.borrowedRights(g.on(4, 18, 12))
	g.nightExport(g.on(2, 3, 2))
}

// on is a moment of the shop's day, so many days before the end.
func (g *generator) on(daysAgo, hour, minute int) time.Time {
	d := g.until.In(zone).AddDate(0, 0, -daysAgo)
	return time.Date(d.Year(), d.Month(), d.Day(), hour, minute, g.IntN(60), g.IntN(1e6)*1000, zone).UTC()
}

// tell plans a step of a story, so many audit logs long.
func (g *generator) tell(at time.Time, audits int, what func()) {
	g.planned += audits
	g.at(at, what)
}

// arrives lets somebody sign in a little before his part of a story.
func (g *generator) arrives(at time.Time, name string) {
	g.at(at.Add(-25*time.Second), func() { g.signedIn(g.named(name)) })
}

// decimalPoint: on a busy afternoon a price loses its decimal point. Orders come
// in, a coupon makes one of them negative, the checkout fails, and the price is
// put right an hour later.
func (g *generator) decimalPoint(t time.Time) {
	products := g.shop["catalog.product"]
	o := products.alive[len(products.alive)/2]
	o.set("name", "Cast-iron casserole 28 cm")
	o.set("price", "189.00")
	o.set("status", "published")
	g.protect(o)
	g.arrives(t, "josé.muñoz")
	g.tell(t, 1, func() {
		s := g.signedIn(g.named("josé.muñoz"))
		g.update(s, g.request(), o, "Spring promotion", map[string]any{"price": "18.90", "compare_at_price": "209.00", "on_sale": true})
	})
	for i := range 9 {
		g.tell(t.Add(time.Duration(4+2*i)*time.Minute+g.within(90*time.Second)), 2, func() {
			s := &session{person: g.customer(), key: g.hex(32)}
			request := g.request()
			lines := []any{map[string]any{"product": "Cast-iron casserole 28 cm", "sku": o.get("sku"), "quantity": 2 + g.IntN(5), "price": "18.90"}}
			g.create(s, request, g.shop["orders.order"], map[string]any{"lines": lines, "total": worth(lines), "status": "paid", "customer": s.full})
			g.create(s, request, g.shop["payments.payment"], map[string]any{"amount": worth(lines)})
		})
		if i < 3 {
			continue
		}
		g.tell(t.Add(time.Duration(5+2*i)*time.Minute), 0, func() {
			e := g.fail(fault{from: 0, to: 0, kind: "ERROR", title: "ValueError: discount 25.00 exceeds price 18.90",
				description: "The coupon FIG25 takes 25.00 from “Cast-iron casserole 28 cm” at 18.90. The customer saw an error page. Request %s.",
				module:      "pricing", function: "apply_coupon", line: 118, code: "E-PRICE-2", trace: pythonDiscount, met: customers})
			e.Set("metadata", fmt.Sprintf(`{"release":%d,"host":"web-2","product":%q,"coupon":"FIG25"}`, g.release+g.age()/7, o.id))
		})
	}
	g.arrives(t.Add(52*time.Minute), "maria.keller")
	g.tell(t.Add(52*time.Minute), 1, func() {
		s := g.signedIn(g.named("maria.keller"))
		g.update(s, g.request(), o, "Decimal point: 18.90 instead of 189.00. Orders since 16:42 go to support.",
			map[string]any{"price": "189.00", "compare_at_price": nil, "on_sale": false})
	})
}

// protect takes an object out of everybody's hands but the story's.
func (g *generator) protect(o *object) { o.drop(o) }

// giftCard: a card of 500.00 without a reason, spent within the hour, and gone.
func (g *generator) giftCard(t time.Time) {
	var card *object
	who := func() *session { return g.signedIn(g.named("hüseyin.arslan")) }
	g.arrives(t, "hüseyin.arslan")
	g.tell(t, 1, func() {
		card = g.create(who(), g.request(), g.shop["giftcards.giftcard"], map[string]any{"balance": "500.00", "recipient": "H. Arslan", "active": true})
		g.protect(card)
	})
	g.tell(t.Add(14*time.Minute), 2, func() {
		s := &session{person: g.customerNumber(7), key: g.hex(32)}
		request := g.request()
		g.create(s, request, g.shop["orders.order"], map[string]any{"total": "487.20", "status": "paid", "note": "Gift: no invoice in the parcel"})
		g.update(s, request, card, "", map[string]any{"balance": "12.80"})
	})
	g.tell(t.Add(41*time.Minute), 1, func() { g.remove(who(), g.request(), card, "") })
}

// borrowedRights: a right is given and taken back within minutes, after hours.
func (g *generator) borrowedRights(t time.Time) {
	users := g.shop["accounts.user"]
	var o *object
	for _, u := range users.alive {
		if u.text("username") == "oliver.brandt" {
			o = u
		}
	}
	g.protect(o)
	admin := func() *session { return g.signedIn(g.named("tobias.brandt")) }
	before, raised := []any{"marketing", "reports"}, []any{"marketing", "reports", "finance-admin"}
	o.set("groups", before)
	g.arrives(t, "tobias.brandt")
	g.arrives(t.Add(3*time.Minute), "oliver.brandt")
	g.tell(t, 1, func() {
		g.update(admin(), g.request(), o, "", map[string]any{"groups": raised}).Set("action", "PERMISSION_CHANGE")
	})
	for i := range 3 {
		g.tell(t.Add(time.Duration(180+i*14)*time.Second), 1, func() {
			g.deed(g.signedIn(g.named("oliver.brandt")), g.request(), "VIEW", g.shop["payments.refund"].alive[i], nil, "")
		})
	}
	g.tell(t.Add(7*time.Minute), 1, func() {
		g.update(admin(), g.request(), o, "", map[string]any{"groups": before}).Set("action", "PERMISSION_CHANGE")
	})
}

// nightExport: all customers leave the shop at three in the morning, through
// the account of somebody who works by day and in another country.
func (g *generator) nightExport(t time.Time) {
	owner := *g.named("daniel.okafor")
	owner.home = place{"Moldova", "Chișinău"}
	owner.address = "2001:db8:7a11:4:d1ce::5"
	owner.agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/143.0.0.0 Safari/537.36"
	s := &session{person: &owner, key: g.hex(32)}
	for i := range 2 {
		g.tell(t.Add(time.Duration(i*9)*time.Second), 0, func() { g.attempt(s, "FAILED", "wrong password", g.request()) })
	}
	g.tell(t.Add(31*time.Second), 1, func() { g.signIn(s) })
	for i := range 4 {
		g.tell(t.Add(time.Duration(60+i*11)*time.Second), 1, func() {
			g.deed(s, g.request(), "VIEW", g.shop["customers.customer"].alive[i], nil, "")
		})
	}
	g.tell(t.Add(5*time.Minute), 0, func() {
		e := s.context(g.event(audit.KindDataExport, "export_type", "Customers", "file_format", "csv", "record_count", "184212",
			"file_size", "67341882", "filters_applied", `{}`, "download_count", "3"), g.request())
		e.Set("file_path", "/srv/exports/"+g.now.Format("2006/01")+"/customers-full-"+g.hex(8)+".csv")
		e.Set("metadata", `{"completed":true,"seconds":46.1,"columns":["email","full_name","phone","default_address","loyalty_points"]}`)
	})
	g.tell(t.Add(9*time.Minute), 1, func() { s.door(g, "LOGOUT", g.request()) })
}

// bruteForce: names and passwords from a list, for a quarter of an hour.
func (g *generator) bruteForce(t time.Time) {
	count := min(max(g.n/100, 12), 400)
	names := strings.Fields("admin root maria.keller josé.muñoz birgit.wagner tobias.brandt info office postgres shop backup nina.rossi")
	for i := range count {
		g.tell(t.Add(time.Duration(i)*2200*time.Millisecond+g.within(time.Second)), 0, func() {
			s := &session{person: &person{name: names[i%len(names)], address: "203.0.113.66", agent: "python-requests/2.32.3", home: place{"United States", "Ashburn"}}}
			if i >= 40 || i >= count*3/4 {
				g.attempt(s, "BLOCKED", "too many attempts", g.request())
				return
			}
			g.attempt(s, "FAILED", "wrong password", g.request())
		})
	}
	g.tell(t.Add(time.Duration(count)*2300*time.Millisecond), 0, func() {
		e := g.event(audit.KindSystemEvent, "event_type", "SECURITY", "title", "Many failed sign-ins from 203.0.113.66",
			"description", fmt.Sprintf("%d attempts with %d names within a quarter of an hour. The address is blocked for a day.", count, len(names)),
			"module", "auth", "function_name", "Throttle.watch", "line_number", "74", "error_code", "AUTH-FLOOD", "ip_address", "203.0.113.66")
		g.resolved(e, g.now.Add(5*time.Hour), "amara.diallo", "No sign-in succeeded. Address range added to the edge firewall.")
	})
}

// deploys: a release each Tuesday, and what its settings need.
func (g *generator) deploys() {
	for d := Days - 1; d > 0; d-- {
		t := g.on(d, 10, 5)
		if t.In(zone).Weekday() != time.Tuesday {
			continue
		}
		g.tell(t, 0, func() {
			e := g.event(audit.KindSystemEvent, "event_type", "INFO", "title", fmt.Sprintf("Release %d deployed", g.release+g.age()/7),
				"description", "Rolled out to web-1, web-2 and web-3 in 94 s. No migration is pending.", "module", "deploy", "function_name", "rollout",
				"metadata", fmt.Sprintf(`{"commit":%q,"by":"pavel.novák"}`, g.hex(12)))
			g.resolved(e, g.now, "pavel.novák", "For information")
		})
		if d%3 == 0 {
			g.tell(t.Add(20*time.Minute), 1, func() {
				o := g.shop["settings.integration"].one(g, work{})
				g.deed(&session{person: g.named("amara.diallo"), key: ""}, g.request(), "UPDATE", o, []change{{"api_key", "***", "***"}}, "Yearly rotation of keys")
			})
		}
	}
}

// nights: the stock is synchronised, and says so.
func (g *generator) nights() {
	for d := Days - 1; d > 0; d -= 300 / max(1, min(g.n/20, 300)) { // every night, if that leaves room for the rest
		g.tell(g.on(d, 4, 30), 0, func() {
			e := g.event(audit.KindSystemEvent, "event_type", "INFO", "title", "Nightly stock synchronisation finished",
				"description", fmt.Sprintf("8,4%02d items compared, %d changed, 0 failed in %d.%d s.", g.IntN(100), 40+g.IntN(200), 9+g.IntN(9), g.IntN(10)),
				"module", "inventory", "function_name", "sync", "metadata", `{"job":"stock-sync","host":"worker-1"}`)
			g.resolved(e, g.now, "svc-warehouse", "For information")
		})
	}
}

const pythonDiscount = `Traceback (most recent call last):
  File "/srv/shop/checkout/views.py", line 188, in post
    quote = pricing.quote(basket, coupon=form.cleaned_data["coupon"])
  File "/srv/shop/pricing/service.py", line 52, in quote
    lines = [apply_coupon(line, coupon) for line in basket.lines]
             ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/pricing/coupons.py", line 118, in apply_coupon
    raise ValueError(f"discount {coupon.amount} exceeds price {line.price}")
ValueError: discount 25.00 exceeds price 18.90`
