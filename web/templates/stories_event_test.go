package templates_test

import (
	"strings"

	"github.com/auditadmin/auditadmin/web/templates"
)

func fact(label string, lines ...templates.FactLine) templates.Fact {
	return templates.Fact{Label: label, Lines: lines}
}

func line(spans ...templates.Span) templates.FactLine { return templates.FactLine{Spans: spans} }

func leads(text string) templates.Span { return templates.Span{Text: text, Href: "?q=x"} }

func eventFacts() []templates.Fact {
	when := at("14:32:07.412908")
	who := line(leads("alice"))
	who.Key = true
	agent := line(word("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.7; rv:136.0) Gecko/20100101 Firefox/136.0"))
	agent.Fold = "user agent"
	request := line(leads("7f3a91c2"))
	request.Mono = true
	return []templates.Fact{
		fact("Who", who, line(word("user 7, name as it was then"))),
		fact("When", templates.FactLine{Time: &when, Key: true}, line(word("Tuesday 31 March 2026, Europe/Paris (UTC+02:00), 3 min ago")), templates.FactLine{Spans: says("2026-03-31T12:32:07.412908Z"), Mono: true}),
		fact("Where", line(leads("203.0.113.9")), line(word("Firefox 136 on macOS")), agent),
		fact("Module, type", line(leads("shop"), word(", "), leads("shop.order"))),
		fact("Request", request, line(leads("6 events in this request"))),
		fact("Recorded", line(word("14:32:07.430, 17 ms after it happened, as #48,201,312, through token shop-web"))),
	}
}

func eventAround() []templates.Around {
	return []templates.Around{
		{Label: "Same object", Href: "object.html", Note: "Order 10482, 6 events", Earlier: &templates.Near{Spans: says("alice changed payment and 1 more"), Href: "?1", Note: "Sat 28 March 19:20:05, 2 d 18 h before"}, Later: &templates.Near{Spans: says("alice viewed it"), Href: "?2", Note: "14:32:09, 2 s after"}},
		{Label: "Same user", Href: "user.html", Note: "alice, 18,402 events", Earlier: &templates.Near{Spans: says("changed balance on Gift card GC-8841"), Href: "?3", Note: "14:31:52, 15 s before"}},
		{Label: "Same request", Href: "?q=r", Note: "7f3a91c2, 2 events", Later: &templates.Near{Spans: says("viewed Order 10482"), Href: "?4", Note: "14:32:09, 2 s after"}},
	}
}

func auditEvent() templates.EventPage {
	del := func(s string) templates.Span { return templates.Span{Text: s, Class: templates.Del} }
	ins := func(s string) templates.Span { return templates.Span{Text: s, Class: templates.Ins} }
	long := "<!doctype html><table class=\"label\"><tr><td>Léa Ferrand, 14 rue des Lices, 35000 Rennes</td></tr>" + strings.Repeat("<tr><td>1 × Mug “Rennes”</td></tr>", 30)
	excerpt := func(s templates.Span) *templates.Value {
		return &templates.Value{Spans: []templates.Span{{Class: templates.Cut}, word(`<td class="sum">EUR `), s, word("</td>"), {Class: templates.Cut}}, Full: []templates.Span{word(long), s}, Size: "all 6,204 characters", Mono: true}
	}
	diff := &templates.Diff{Caption: "7 fields", Fields: []templates.DiffField{
		{Name: "status", Before: val("paid"), After: val("partially_refunded"), Hit: true},
		{Name: "customer_note", Note: "text, 2 places differ",
			Before: &templates.Value{Spans: []templates.Span{word("Customer called on Friday: one of the two mugs arrived broken. "), del("Wants a full refund to the original card."), word(" Asked for an answer by email, before "), del("the weekend"), word(".")}},
			After:  &templates.Value{Spans: []templates.Span{word("Customer called on Friday: one of the two mugs arrived broken. "), ins("Accepts 25.00 EUR back as a gift card and keeps the other mug."), word(" Asked for an answer by email, before "), ins("Tuesday evening"), word(".")}}},
		{Name: "payment", Note: "JSON, 4 of 14 elements differ", Paths: []templates.DiffPath{
			{Path: ".refund.to", Before: mono(`"card"`), After: mono(`"gift_card"`)},
			{Path: ".refund.amount", Before: mono("0.00"), After: &templates.Value{Spans: says("25.00"), Mono: true, Note: "+25.00"}},
			{Path: ".gift_cards[1]", MissingBefore: "not there", After: mono(`{"code": "GC-8841", "amount": 25.00}`)},
			{Path: ".risk.hold_until", Before: mono(`"2026-04-02"`), MissingAfter: "removed"},
		}, Same: &templates.Same{Title: "10 elements that did not change", Text: ".currency      \"EUR\"\n.captured.at   \"2026-03-26T17:09:41Z\"\n.card.brand    \"visa\""}},
		{Name: "gateway_token", Note: "secret, never stored", Before: &templates.Value{Spans: []templates.Span{{Class: templates.Masked, Text: "a91f"}}}, After: &templates.Value{Spans: []templates.Span{{Class: templates.Masked, Text: "7c02"}}, Note: "another value: the marks differ"}},
		{Name: "pin", Note: "secret, never stored", Before: &templates.Value{Spans: []templates.Span{{Class: templates.Masked}}}, After: &templates.Value{Spans: []templates.Span{{Class: templates.Masked}}, Note: "hidden, and it did change"}},
		{Name: "label_html", Note: "text, 1 place differs", Before: excerpt(del("155.60")), After: excerpt(ins("130.60"))},
		{Name: "display_name", Before: val(hostile), MissingAfter: "empty"},
	}}
	return templates.EventPage{
		Layout:   layout("alice changed status and 6 more on Order 10482", 1),
		Crumbs:   []templates.Link{{Text: "Audit logs", Href: "list-audit.html"}, {Text: "31 March 2026", Href: "?q=on"}, {Text: "event 1817559375270817792"}},
		Headline: []templates.Span{word("alice changed status and 6 more on "), {Text: "Order 10482", Href: "object.html"}},
		Byline:   "Tuesday 31 March 2026, 14:32:07 Paris (12:32:07 UTC), from 203.0.113.9",
		Badges:   []templates.Badge{*update},
		Reason:   val("One of two mugs arrived broken; agreed by phone to refund one to a gift card."),
		Notes:    []templates.Note{{Icon: "clock", Text: []templates.Span{strong("Recorded 3 days late: "), word("it happened on 31 March and was recorded on 3 April 2026, 09:00:12.")}}},
		Diff:     diff,
		Details:  []templates.Details{{Title: "Metadata", Rows: []templates.Detail{{Name: "origin", Value: *mono(`"web"`)}, {Name: "app_version", Value: *mono(`"2026.13.2"`)}}}},
		Around:   eventAround(), Facts: eventFacts(),
		Raw:      "{\n  \"id\": \"1817559375270817792\",\n  \"kind\": \"audit_log\",\n  \"reason\": \"" + hostile + "\"\n}",
		JSONHref: "/audit-logs/1817559375270817792.json",
		Delete:   &templates.NoteForm{Action: "/audit-logs/1/delete", Field: "reason", Title: "Delete this event…", Lead: "The event goes; a tombstone stays in its place for ever, with your name, the time and your reason.", Label: "Reason", Hint: "Shown to every reader of this place. Name the request or ticket that asks for it.", Button: "Delete and leave a tombstone", Icon: templates.IconDelete, Destroy: true},
	}
}

func systemEvent() templates.EventPage {
	p := auditEvent()
	p.Layout = layout("checkout: reserve stock: deadlock detected", 4)
	p.Crumbs[0] = templates.Link{Text: "System events", Href: "list-system.html"}
	p.Headline = says("checkout: reserve stock: deadlock detected")
	p.Badges = []templates.Badge{*problem, {Text: "OPEN AGAIN", Tone: templates.Alarm, Icon: templates.IconAgain}}
	p.Lead = val("Two orders took the same stock rows in a different order; the database ended one of them.\nThe customer saw “try again”.")
	p.Reason, p.Diff, p.Notes = nil, nil, nil
	p.Trace = &templates.Trace{Note: "3 frames of ours, 3 of libraries folded", Size: "as recorded, 2.1 KB",
		Raw: "goroutine 8841 [running]:\nshop/internal/checkout.(*Service).ReserveStock(0xc0001b2000)\n\tinternal/checkout/reserve.go:218 +0x3d1\n…",
		Groups: []templates.FrameGroup{
			{Frames: []templates.Frame{
				{Number: "1", Function: "checkout.(*Service).ReserveStock", Source: "internal/checkout/reserve.go:218", Ours: true},
				{Number: "2", Function: "checkout.(*Service).Place", Source: "internal/checkout/place.go:97", Ours: true},
				{Number: "3", Function: "web.(*Handlers).PostOrder", Source: "internal/web/orders.go:142", Ours: true},
			}},
			{Fold: "3 frames in net/http and chi", Frames: []templates.Frame{
				{Number: "4", Function: "chi.(*Mux).routeHTTP", Source: "chi/v5@v5.2.1/mux.go:476"},
				{Number: "5", Function: "net/http.HandlerFunc.ServeHTTP", Source: "net/http/server.go:2294"},
				{Number: "6", Function: "net/http.(*conn).serve", Source: "net/http/server.go:2102"},
			}},
			{Frames: []templates.Frame{{Number: "↳", Text: "caused by ERROR: deadlock detected (SQLSTATE 40P01)", Ours: true}}},
		}}
	before := templates.Table{Caption: "Audit logs of the 30 minutes before", Columns: auditColumns, Days: []templates.Day{{Rows: auditDays()[0].Rows[:3]}}}
	p.Before = &before
	p.Resolution = &templates.Resolution{
		Steps: []templates.Step{
			{Icon: templates.IconBad, Tone: templates.Alarm, Text: []templates.Span{strong("Happened")}, Time: at("Tue 24 March 03:14:09")},
			{Icon: templates.IconTick, Tone: templates.Sure, Text: []templates.Span{strong("Resolved"), word(" by "), leads("ines.roth")}, Time: at("Tue 24 March 11:02:51"), Gap: "after 7 h 48 min", Note: "Stock rows are now locked in SKU order (lock_order = sku).\nRan the checkout load test twice on staging, no deadlock. Ticket OPS-912."},
			{Icon: templates.IconAgain, Tone: templates.Alarm, Text: []templates.Span{strong("Opened again"), word(" by "), leads("t.okafor")}, Time: at("Tue 31 March 03:12:44"), Gap: "after 6 d 15 h", Note: "It is back."},
		},
		Resolve: &templates.NoteForm{Action: "/system-events/1/resolve", Field: "note", Label: "What was the cause, and what was done?", Hint: "The note stays in this history.", Button: "Mark resolved", Icon: templates.IconTick},
	}
	return p
}

func eventStories() []story {
	creation := auditEvent()
	creation.Headline = []templates.Span{word("lea.ferrand created "), {Text: "Order 10482", Href: "object.html"}, word(" with 3 fields")}
	creation.Badges, creation.Reason, creation.Notes, creation.Around, creation.Delete = []templates.Badge{*create}, nil, nil, nil, nil
	creation.Diff = &templates.Diff{Created: true, Caption: "3 fields", Fields: []templates.DiffField{
		{Name: "status", After: val("new")}, {Name: "total", After: val("155.60")}, {Name: "coupon", MissingAfter: "empty"},
	}}

	login := auditEvent()
	login.Layout = layout("root failed to sign in", 2)
	login.Headline = says("root failed to sign in from 192.0.2.17")
	login.Badges, login.Lead, login.Reason, login.Diff, login.Notes = []templates.Badge{*failed}, val("invalid password"), nil, nil, nil

	export := auditEvent()
	export.Layout = layout("j.lindqvist exported customers", 3)
	export.Headline = says("j.lindqvist exported customers, 212,406,118 rows, as XLSX")
	export.Badges, export.Reason, export.Diff, export.Notes = []templates.Badge{{Text: "XLSX", Icon: templates.IconExport}}, nil, nil, nil
	export.Details = []templates.Details{
		{Title: "Filters that were applied", Rows: []templates.Detail{{Name: "country", Value: *mono(`["FR", "DE"]`)}, {Name: "since", Value: *mono(`"2019-01-01"`)}}},
		{Title: "The file", Rows: []templates.Detail{{Name: "path", Value: *mono("/exports/2026/03/customers-all.xlsx")}, {Name: "size", Value: *val("19.4 GB (20,830,591,385 bytes)")}, {Name: "downloads", Value: *val("1")}}},
	}

	resolved := systemEvent()
	resolved.Badges = []templates.Badge{*problem, *done}
	resolved.Trace, resolved.Before = nil, nil
	resolved.Resolution.Resolve = nil
	resolved.Resolution.Reopen = &templates.NoteForm{Action: "/system-events/1/reopen", Field: "note", Title: "Open it again…", Label: "Why?", Hint: "The note stays in this history.", Button: "Open again", Icon: templates.IconAgain}
	resolved.Delete.Error, resolved.Delete.Text = "The reason is too short: say at least what asked for the deletion.", "x"

	viewer := systemEvent()
	viewer.Resolution.Resolve, viewer.Delete = nil, nil
	viewer.Resolution.Refusal = "To resolve an event you need the role responder; yours is viewer."

	return []story{
		{"event-audit", templates.Event(auditEvent())}, {"event-create", templates.Event(creation)}, {"event-login", templates.Event(login)},
		{"event-export", templates.Event(export)}, {"event-system", templates.Event(systemEvent())}, {"event-resolved", templates.Event(resolved)},
		{"event-viewer", templates.Event(viewer)},
	}
}
