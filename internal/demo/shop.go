package demo

import (
	"fmt"
	"strings"
)

// things is everything that the shop keeps in its database, and what is done
// with it. A new type of object is one more entry here.
func things() []*thing {
	titled := func(format, name string) func(*object) string {
		return func(o *object) string { return fmt.Sprintf(format, o.text(name)) }
	}
	numbered := func(format string) func(*object) string {
		return func(o *object) string { return fmt.Sprintf(format, o.id) }
	}
	is := func(name string, values ...string) func(*object) bool {
		return func(o *object) bool {
			for _, v := range values {
				if o.text(name) == v {
					return true
				}
			}
			return false
		}
	}
	priceReasons := []string{"Supplier raised the list price", "Match competitor", "Spring promotion", "Agreed with Birgit", "Copper went up again", "Clearance"}

	return []*thing{
		{contentType: "catalog.product", title: titled("%s", "name"), first: 101, stock: 320, limit: 4000, fields: []field{
			{"name", product, nil},
			{"sku", coded("FF-", 6), nil},
			{"price", money(8, 190), reprice},
			{"compare_at_price", fixed(nil), again(money(20, 220))},
			{"on_sale", fixed(false), toggle},
			{"status", oneOf("draft", "published", "published", "published"), after("draft>published published>archived archived>published")},
			{"description", prose, revise},
			{"seo_title", oneOf(claims...), otherOf(claims...)},
			{"attributes", attributes, refine},
			{"tags", labels("kitchen", "gift", "oven-safe", "handmade", "new", "last chance"), relabel("kitchen", "gift", "oven-safe", "handmade", "new", "last chance")},
			{"weight_g", number(180, 5200), shift(60)},
			{"supplier", oneOf(suppliers...), otherOf(suppliers...)},
		}, works: []work{
			{"UPDATE", merchants, 30, "price", priceReasons, nil},
			{"UPDATE", merchants, 12, "price compare_at_price on_sale", priceReasons, nil},
			{"UPDATE", content, 22, "description", []string{"Typo", "Legal asked for it", "Translation follows"}, nil},
			{"UPDATE", content, 8, "description seo_title tags attributes", nil, nil},
			{"UPDATE", content, 6, "status", []string{"Photos are ready", "No longer produced"}, nil},
			{"UPDATE", machines, 26, "weight_g supplier attributes", nil, nil},
			{"DELETE", merchants, 1, "", []string{"Duplicate of another product"}, is("status", "archived")},
		}},
		{contentType: "inventory.stockitem", title: numbered("Stock item %s"), first: 2001, stock: 300, limit: 4000, fields: []field{
			{"sku", coded("FF-", 6), nil},
			{"on_hand", number(0, 240), shift(9)},
			{"reserved", number(0, 9), shift(2)},
			{"bin", oneOf("A-01-3", "A-07-1", "B-02-4", "C-11-2", "C-12-5", "D-04-1"), otherOf("A-01-3", "A-07-1", "B-02-4", "C-11-2", "C-12-5", "D-04-1")},
			{"reorder_point", number(5, 40), shift(6)},
			{"counted_at", fixed(nil), moment},
		}, works: []work{
			{"UPDATE", warehouse, 40, "on_hand counted_at", []string{"Cycle count", "Found behind shelf C", "Broken in transit"}, nil},
			{"UPDATE", warehouse, 12, "bin", nil, nil},
			{"UPDATE", machines, 70, "on_hand reserved", nil, nil},
			{"UPDATE", merchants, 5, "reorder_point", nil, nil},
		}},
		{contentType: "orders.order", title: numbered("Order #%s"), first: 48210, stock: 120, limit: 3000, fields: []field{
			{"customer", people, nil},
			{"lines", goods, recount},
			{"total", money(12, 400), nil},
			{"currency", oneOf("EUR", "EUR", "EUR", "EUR", "CHF", "DKK", "PLN"), nil},
			{"status", fixed("pending"), after("paid>packed packed>shipped shipped>delivered")},
			{"shipping_address", home, move},
			{"paid_at", fixed(nil), moment},
			{"packed_by", fixed(nil), actor},
			{"carrier", fixed(nil), again(oneOf("DHL", "DHL", "GLS", "Chronopost", "InPost"))},
			{"tracking_number", fixed(nil), again(coded("00340", 15))},
			{"note", fixed(""), again(oneOf("Leave with the neighbour", "Gift: no invoice in the parcel", "Customer called, very friendly", "Second attempt"))},
		}, works: []work{
			{"UPDATE", warehouse, 30, "status packed_by", nil, is("status", "paid")},
			{"UPDATE", warehouse, 30, "status carrier tracking_number", nil, is("status", "packed")},
			{"UPDATE", machines, 28, "status", nil, is("status", "shipped")},
			{"UPDATE", support, 9, "shipping_address note", []string{"Customer asked by phone", "Wrong house number"}, is("status", "pending", "paid", "packed")},
			{"UPDATE", support, 4, "lines", []string{"Customer asked by mail"}, is("status", "pending")},
			{"VIEW", support, 40, "", nil, nil},
		}},
		{contentType: "payments.payment", title: numbered("Payment %s"), first: 70411, stock: 40, limit: 800, fields: []field{
			{"amount", money(12, 400), nil},
			{"method", oneOf("card", "card", "paypal", "klarna", "sepa", "gift card"), nil},
			{"status", fixed("authorised"), after("authorised>captured captured>settled")},
			{"card_number", fixed("***"), nil},
			{"provider_ref", coded("pi_", 24), nil},
			{"captured_at", fixed(nil), moment},
			{"risk", risk, nil},
		}, works: []work{
			{"UPDATE", machines, 36, "status captured_at", nil, is("status", "authorised")},
			{"UPDATE", machines, 16, "status", nil, is("status", "captured")},
			{"VIEW", finance, 12, "", nil, nil},
		}},
		{contentType: "payments.refund", title: numbered("Refund %s"), first: 5120, stock: 20, limit: 300, fields: []field{
			{"amount", money(8, 220), reprice},
			{"status", fixed("requested"), after("requested>approved requested>approved requested>declined approved>paid")},
			{"approved_by", fixed(nil), actor},
			{"reason_code", oneOf("damaged", "late", "not as described", "changed mind"), nil},
			{"iban", fixed("***"), nil},
		}, works: []work{
			{"CREATE", support, 8, "", nil, nil},
			{"UPDATE", finance, 12, "status approved_by", []string{"Photo shows the damage", "Goodwill", "Third this year"}, is("status", "requested")},
			{"UPDATE", machines, 8, "status", nil, is("status", "approved")},
		}},
		{contentType: "returns.return", title: numbered("Return R-%s"), first: 3300, stock: 20, limit: 300, fields: []field{
			{"order", number(48000, 51000), nil},
			{"lines", goods, nil},
			{"status", fixed("announced"), after("announced>received received>inspected inspected>closed")},
			{"condition", fixed(nil), again(oneOf("as new", "used", "broken"))},
			{"label", coded("RET", 12), nil},
		}, works: []work{
			{"CREATE", support, 7, "", nil, nil},
			{"UPDATE", warehouse, 18, "status condition", nil, is("status", "announced", "received", "inspected")},
		}},
		{contentType: "giftcards.giftcard", title: numbered("Gift card %s"), first: 812, stock: 60, limit: 400, fields: []field{
			{"code", fixed("***"), nil},
			{"balance", oneOf("25.00", "50.00", "100.00", "150.00"), reprice},
			{"currency", fixed("EUR"), nil},
			{"expires_on", day(360, 1100), again(day(360, 1100))},
			{"active", fixed(true), toggle},
			{"recipient", people, nil},
			{"note", fixed(""), again(oneOf("Reissued, the letter was lost", "Competition prize", "Compensation"))},
		}, works: []work{
			{"CREATE", support, 4, "", []string{"Compensation for a broken delivery", "Bought by phone"}, nil},
			{"UPDATE", support, 3, "expires_on note", []string{"Customer was ill"}, nil},
			{"UPDATE", machines, 8, "balance", nil, nil},
		}},
		{contentType: "promotions.coupon", title: titled("Coupon %s", "code"), first: 240, stock: 25, limit: 120, fields: []field{
			{"code", coded("FIG", 4), nil},
			{"percent_off", oneOf(5, 10, 15, 20, 25), otherOf(5, 10, 15, 20, 25)},
			{"starts_on", day(0, 20), again(day(0, 20))},
			{"ends_on", day(21, 60), again(day(21, 60))},
			{"max_uses", oneOf(100, 500, 2000, nil), otherOf(100, 500, 2000, nil)},
			{"categories", labels("pots", "boards", "textiles", "glass", "knives"), relabel("pots", "boards", "textiles", "glass", "knives")},
			{"rules", couponRules, loosen},
			{"active", fixed(true), toggle},
		}, works: []work{
			{"CREATE", marketing, 4, "", nil, nil},
			{"UPDATE", marketing, 7, "percent_off ends_on", []string{"Runs better than planned", "Ask Nina before you change this"}, nil},
			{"UPDATE", marketing, 4, "categories rules max_uses", nil, nil},
			{"DELETE", marketing, 2, "", []string{"Never used"}, nil},
		}},
		{contentType: "customers.customer", title: titled("%s", "full_name"), limit: 6000, fields: []field{
			{"full_name", people, rename},
			{"email", mailbox, again(mailbox)},
			{"phone", phone, again(phone)},
			{"language", oneOf("de", "de", "en", "fr", "pl", "ja"), otherOf("de", "en", "fr", "pl", "ja")},
			{"newsletter", oneOf(true, false), toggle},
			{"segment", oneOf("new", "regular", "loyal", "at risk"), otherOf("new", "regular", "loyal", "at risk")},
			{"default_address", home, move},
			{"loyalty_points", number(0, 900), shift(120)},
			{"password", fixed("***"), nil},
			{"note", fixed(""), again(letter)},
		}, works: []work{
			{"VIEW", support, 46, "", nil, nil},
			{"UPDATE", support, 14, "default_address phone", []string{"By phone", "By mail"}, nil},
			{"UPDATE", support, 4, "email full_name", []string{"Married", "Typo in the address"}, nil},
			{"UPDATE", machines, 34, "segment loyalty_points", nil, nil},
			{"UPDATE", support, 5, "note", nil, nil},
			{"DELETE", support, 1, "", []string{"Erasure request (Art. 17 GDPR)"}, nil},
		}},
		{contentType: "support.ticket", title: titled("%s", "subject"), first: 9100, stock: 60, limit: 500, fields: []field{
			{"subject", oneOf(subjects...), nil},
			{"status", fixed("open"), after("open>waiting waiting>open open>solved solved>closed")},
			{"priority", oneOf("normal", "normal", "high", "low"), otherOf("normal", "high", "low", "urgent")},
			{"assignee", fixed(nil), actor},
			{"tags", labels("delivery", "damage", "payment", "question", "praise"), relabel("delivery", "damage", "payment", "question", "praise")},
			{"message", letter, nil},
		}, works: []work{
			{"UPDATE", support, 34, "status assignee", nil, is("status", "open", "waiting", "solved")},
			{"UPDATE", support, 8, "priority tags", nil, nil},
			{"VIEW", support, 14, "", nil, nil},
		}},
		{contentType: "cms.page", title: titled("Page “%s”", "title"), first: 12, stock: 30, limit: 60, fields: []field{
			{"title", oneOf("About us", "Delivery and returns", "How to season cast iron", "Our workshop", "Privacy", "Imprint", "Gift guide", "Care for wood"), nil},
			{"body", func(g *generator) any { return paragraphs(g, 6) }, revise},
			{"published", fixed(true), toggle},
			{"meta", pageMeta, func(g *generator, old any) any { return with(old, "description", pick(g, phrases...)) }},
		}, works: []work{
			{"UPDATE", content, 14, "body", []string{"Typo", "New return policy from the 1st", "Photos replaced"}, nil},
			{"UPDATE", content, 4, "body meta published", nil, nil},
			{"VIEW", content, 5, "", nil, nil},
		}},
		{contentType: "reviews.review", title: numbered("Review %s"), first: 6600, stock: 60, limit: 400, fields: []field{
			{"rating", oneOf(5, 5, 5, 4, 4, 3, 1), nil},
			{"text", verdict, nil},
			{"status", fixed("new"), after("new>published new>published new>published new>hidden published>hidden")},
			{"reply", fixed(nil), again(letter)},
		}, works: []work{
			{"UPDATE", support, 9, "status", []string{"Not about the product"}, is("status", "new")},
			{"UPDATE", support, 4, "reply", nil, is("status", "published")},
		}},
		{contentType: "suppliers.purchaseorder", title: numbered("Purchase order PO-%s"), first: 1740, stock: 25, limit: 150, fields: []field{
			{"supplier", oneOf(suppliers...), nil},
			{"lines", goods, recount},
			{"total", money(400, 9000), reprice},
			{"status", fixed("draft"), after("draft>sent sent>confirmed confirmed>received")},
			{"expected_on", day(7, 50), again(day(7, 70))},
		}, works: []work{
			{"CREATE", merchants, 4, "", nil, nil},
			{"UPDATE", merchants, 7, "lines total", nil, is("status", "draft")},
			{"UPDATE", merchants, 8, "status expected_on", []string{"Delayed by two weeks", "Confirmed by phone"}, nil},
			{"UPDATE", warehouse, 4, "status", []string{"Two pallets, one damaged"}, is("status", "confirmed")},
		}},
		{contentType: "newsletter.campaign", title: titled("Campaign “%s”", "subject"), first: 88, stock: 12, limit: 60, fields: []field{
			{"subject", oneOf("Spring in the kitchen", "A knife for life", "Three soups for cold days", "Last chance: copper", "Neu: Steinzeug aus Höhr"), nil},
			{"body", prose, revise},
			{"segment", oneOf("everybody", "loyal", "at risk", "Germany"), otherOf("everybody", "loyal", "at risk", "Germany")},
			{"scheduled_for", day(1, 9), again(day(1, 9))},
			{"status", fixed("draft"), after("draft>scheduled scheduled>sent")},
		}, works: []work{
			{"CREATE", marketing, 2, "", nil, nil},
			{"UPDATE", marketing, 8, "body segment", nil, is("status", "draft")},
			{"UPDATE", marketing, 3, "status scheduled_for", nil, is("status", "draft")},
			{"UPDATE", machines, 2, "status", nil, is("status", "scheduled")},
		}},
		{contentType: "accounts.user", title: titled("%s", "username"), limit: 60, fields: []field{
			{"username", fixed(""), nil},
			{"email", mailbox, again(mailbox)},
			{"groups", labels("support", "warehouse", "content", "reports"), relabel("support", "warehouse", "content", "reports", "refunds")},
			{"is_active", fixed(true), toggle},
			{"mfa", oneOf("totp", "none"), otherOf("totp", "webauthn")},
			{"password", fixed("***"), nil},
		}, works: []work{
			{"PERMISSION_CHANGE", engineers, 3, "groups", []string{"Holiday cover", "Moved to another team", "Asked by Birgit"}, nil},
			{"UPDATE", engineers, 2, "is_active", []string{"Left the company", "Back from parental leave"}, nil},
			{"UPDATE", engineers, 1, "mfa", nil, nil},
		}},
		{contentType: "settings.featureflag", title: titled("Flag %s", "name"), first: 5, stock: 14, limit: 40, fields: []field{
			{"name", oneOf("new-checkout", "express-shipping", "search-v2", "gift-wrap", "klarna-pl", "photo-reviews"), nil},
			{"enabled", oneOf(true, false), toggle},
			{"rollout_percent", oneOf(0, 10, 50, 100), otherOf(0, 5, 10, 25, 50, 100)},
			{"rules", flagRules, relaxRules},
		}, works: []work{
			{"UPDATE", engineers, 7, "rollout_percent", []string{"No errors since yesterday", "Back to 0, see the incident"}, nil},
			{"UPDATE", engineers, 4, "enabled rules", nil, nil},
		}},
		{contentType: "settings.integration", title: titled("Integration %s", "name"), first: 3, stock: 6, limit: 20, fields: []field{
			{"name", oneOf("Stripe", "DHL", "Klarna", "Mailgun", "DATEV", "Algolia"), nil},
			{"api_key", fixed("***"), nil},
			{"endpoint", oneOf("https://api.partner.example/v2", "https://api.partner.example/v3"), otherOf("https://api.partner.example/v2", "https://api.partner.example/v3")},
			{"timeout_s", oneOf(5, 10, 30), otherOf(3, 5, 10, 30)},
			{"enabled", fixed(true), toggle},
		}, works: []work{
			{"UPDATE", engineers, 3, "timeout_s endpoint", []string{"Partner switches off v2", "Timeouts since Monday"}, nil},
		}},
		{contentType: "shipping.rate", title: titled("Rate %s", "name"), first: 21, stock: 15, limit: 40, fields: []field{
			{"name", oneOf("Standard DE", "Express DE", "EU zone 1", "EU zone 2", "Switzerland", "Japan"), nil},
			{"price", money(3, 29), reprice},
			{"free_from", oneOf("49.00", "79.00", nil), otherOf("49.00", "59.00", "79.00", nil)},
			{"zones", labels("DE", "AT", "FR", "NL", "PL", "DK", "SE"), relabel("DE", "AT", "FR", "NL", "PL", "DK", "SE")},
		}, works: []work{
			{"UPDATE", merchants, 3, "price free_from", []string{"New contract with DHL"}, nil},
			{"UPDATE", merchants, 2, "zones", nil, nil},
		}},
	}
}

// open fills the shop with what it has when the trail begins.
func (g *generator) open() {
	g.actor = g.staff[support][0]
	for _, t := range things() {
		g.shop[t.contentType] = t
		t.next = t.first
		for range t.stock {
			t.make(g)
		}
		for _, w := range t.works {
			list := g.duties[w.by]
			sum := w.odds
			if len(list) > 0 {
				sum += list[len(list)-1].upTo
			}
			g.duties[w.by] = append(list, duty{t, w, sum})
		}
	}
	for i, o := range g.shop["orders.order"].alive { // some are on their way already
		o.set("status", []string{"paid", "packed", "shipped"}[i%3])
	}
	for i := range 60 {
		g.profile(g.customerNumber(i))
	}
	for _, group := range employees {
		for _, p := range g.staff[group.team] {
			if group.team == machines {
				continue
			}
			o := g.shop["accounts.user"].make(g)
			o.id = p.id
			o.set("username", p.name)
			o.set("email", p.email)
			o.set("groups", []any{string(p.team)})
		}
	}
}

// profile is what the shop knows of a customer.
func (g *generator) profile(p *person) *object {
	if o := g.profiles[p.id]; o != nil {
		return o
	}
	t := g.shop["customers.customer"]
	if len(t.alive) == t.limit {
		delete(g.profiles, t.alive[0].id)
	}
	o := t.make(g)
	o.id = p.id
	o.set("full_name", p.full)
	o.set("email", p.email)
	o.set("default_address", with(o.get("default_address"), "name", p.full, "city", p.home.city, "country", p.home.country))
	g.profiles[p.id] = o
	return o
}

// set changes a value without recording it.
func (o *object) set(name string, v any) {
	for i, f := range o.fields {
		if f.name == name {
			o.values[i] = v
		}
	}
}

var suppliers = []any{"Solinger Stahlwerk", "Atelier Dubois", "Kiln & Co.", "Nordic Wood AB", "Rame Torino", "京都陶器"}

var claims = []any{"Handmade kitchenware | Fennel & Fig", "Made in Solingen | Fennel & Fig", "Buy once, keep for life | Fennel & Fig", "Free delivery from 49 € | Fennel & Fig"}

var subjects = []any{
	"Lid arrived chipped", "Where is my parcel?", "Wrong item in the box", "Invoice for my company", "Charged twice", "Can I change the address?",
	"Voucher is not accepted", "Thank you!", "Pan sticks after a week", "Retoure: falsche Größe", "¿Es apto para inducción?",
}

func attributes(g *generator) any {
	return map[string]any{
		"colour":     pick(g, "black", "sage", "cream", "ochre", "cobalt"),
		"dimensions": map[string]any{"width_cm": 10 + g.IntN(40), "height_cm": 4 + g.IntN(30)},
		"materials":  []any{pick(g, wares...).material, pick(g, "cork", "brass", "beech")},
		"care":       []any{"hand wash", "dry at once"},
	}
}

func refine(g *generator, old any) any {
	m := old.(map[string]any)
	switch g.IntN(3) {
	case 0:
		return with(m, "colour", pick(g, "black", "sage", "cream", "ochre", "cobalt", "rust"))
	case 1:
		return with(m, "dimensions", with(m["dimensions"], "height_cm", 4+g.IntN(30)))
	default:
		return with(m, "care", relabel("hand wash", "dry at once", "oil monthly", "dishwasher safe")(g, m["care"]))
	}
}

func couponRules(g *generator) any {
	return map[string]any{"minimum": pick(g, "30.00", "50.00", "80.00"), "combine": false, "exclude": []any{"gift cards"}}
}

func loosen(g *generator, old any) any {
	return with(old, "minimum", pick(g, "20.00", "30.00", "50.00", "80.00"), "combine", g.chance(4))
}

func flagRules(g *generator) any {
	return []any{map[string]any{"if": map[string]any{"country": []any{"DE", "AT"}}, "then": true}}
}

func relaxRules(g *generator, old any) any {
	countries := labels("DE", "AT", "FR", "NL", "PL", "DK")(g)
	return []any{map[string]any{"if": map[string]any{"country": countries}, "then": true}}
}

func risk(g *generator) any {
	return map[string]any{"score": g.IntN(60), "checks": map[string]any{"address": "pass", "postcode": pick(g, "pass", "pass", "unavailable")}}
}

func pageMeta(g *generator) any {
	return map[string]any{"description": pick(g, phrases...), "robots": "index,follow"}
}

// rename gives somebody another family name.
func rename(g *generator, old any) any {
	full, _ := old.(string)
	first, _, _ := strings.Cut(full, " ")
	return first + " " + pick(g, lastNames...)
}

func mailbox(g *generator) any {
	return fmt.Sprintf("%s%d@%s", pick(g, "anna", "jonas", "lea", "mia", "paul", "zuzana", "chiara"), 10+g.IntN(90), pick(g, mailHosts...))
}

func phone(g *generator) any { return fmt.Sprintf("+49 30 %07d", g.IntN(9999999)) }
