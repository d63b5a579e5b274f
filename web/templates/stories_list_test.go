package templates_test

import (
	"fmt"
	"strings"

	"github.com/auditadmin/auditadmin/web/templates"
)

const hostile = "\u202egpj.exe\u202c \x1b[31mred\x1b[0m a\u200bb \x00 \xff مرحبا بالعالم"

var auditColumns = []templates.Column{
	{Label: "Who", Role: templates.RoleWho},
	{Label: "Action", Role: templates.RoleBadge},
	{Label: "What happened", Role: templates.RoleWhat},
	{Label: "Object", Role: templates.RoleObject},
	{Label: "Module", Role: templates.RolePlain, Optional: true},
	{Label: "Address", Role: templates.RolePlain},
}

var systemColumns = []templates.Column{
	{Label: "Type", Role: templates.RoleBadge},
	{Label: "Title", Role: templates.RoleWhat},
	{Label: "Module", Role: templates.RolePlain},
	{Label: "Code", Role: templates.RolePlain, Optional: true},
	{Label: "User", Role: templates.RoleWho},
	{Label: "State", Role: templates.RoleBadge},
}

var rowID = 1817559375270817792

func row(clock string, cells ...templates.Cell) templates.Row {
	rowID -= 1024
	return templates.Row{ID: fmt.Sprint(rowID), Href: "event-audit.html", Time: at(clock), Cells: cells}
}

func audit(clock, who string, badge *templates.Badge, object []templates.Span, module, address string, what ...templates.Span) templates.Row {
	cells := []templates.Cell{
		{Spans: says(who), Href: "user.html"}, {Badge: badge}, {Spans: what}, {Spans: object, Href: "object.html"},
		{Spans: says(module), Href: "?q=module%3A" + module}, {Spans: says(address), Href: "?q=ip"},
	}
	if strings.HasPrefix(who, "svc-") {
		cells[0].Hint = "job"
	}
	return row(clock, cells...)
}

func auditDays() []templates.Day {
	late := audit("11:07:29", "alice", update, []templates.Span{word("Macro “Lost "), found("gift card"), word("”")}, "support", "203.0.113.9", word("changed "), strong("reply_text"), word(" and 1 more"))
	late.Time.Late = "3 days late"
	stone := templates.Row{ID: "1", Href: "error-410.html", Time: at("09:12:44"), Stone: &templates.Stone{Text: "ines.roth deleted an event here", Reason: "note held a full card number, ticket 5498"}}
	return []templates.Day{
		{Label: "Tuesday 31 March 2026", Href: "?q=on%3A2026-03-31", Note: "418 events so far", Rows: []templates.Row{
			audit("14:32:07", "alice", update, says("Order 10482"), "shop", "203.0.113.9", word("changed "), strong("status"), word(" "), quiet("paid"), arrow, quiet("partially_refunded"), word(" and 4 more")),
			audit("14:31:52", "alice", update, []templates.Span{found("Gift card"), word(" GC-8841")}, "billing", "203.0.113.9", word("changed "), strong("balance"), word(" "), quiet("0.00"), arrow, quiet("25.00")),
			audit("14:18:40", "maria.keller", update, says("Product 311"), "catalog", "198.51.100.24", word("changed "), strong("title"), word(" "), found("Gift card"), quiet(", 25 EUR"), arrow, found("Gift card"), quiet(", 25 EUR, print at home")),
			audit("13:55:03", "maria.keller", remove, []templates.Span{found("Gift card"), word(" design “Easter 2025”")}, "catalog", "198.51.100.24", word("deleted it, with "), strong("12 fields")),
			late, stone,
			audit("02:00:03", "svc-billing", update, []templates.Span{found("Gift card"), word(" GC-2093")}, "billing", "10.0.4.17", word("changed "), strong("status"), word(" "), quiet("active"), arrow, quiet("expired")),
		}},
		{Label: "Monday 30 March 2026", Href: "?q=on%3A2026-03-30", Note: "440 events", Rows: []templates.Row{
			audit("17:41:15", "maria.keller", create, says("Product 311 “Gift card, 25 EUR”"), "catalog", "2001:db8:4f:1::c7", word("created it, with "), strong("21 fields")),
			audit("16:20:58", "alice", view, says("GC-8103"), "billing", "203.0.113.9", word("viewed it")),
			audit("15:02:06", "alice", update, []templates.Span{found("Gift card"), word(" GC-7996")}, "billing", "203.0.113.9", word("changed "), strong("pin"), word(" "), templates.Span{Class: templates.Masked, Text: "a91f"}, arrow, templates.Span{Class: templates.Masked, Text: "7c02"}),
			audit("20:31:44", "", update, nil, "", "", word("changed "), strong("stock")),
		}},
		{Label: "Sunday 29 March 2026", Href: "?q=on%3A2026-03-29", Note: "404 events; 23 hours, clocks went forward at 02:00", Rows: []templates.Row{
			audit("20:09:12", "alice", update, says("Order 10341"), "shop", "203.0.113.9", word("changed "), strong("gift_message"), word(" "), quiet("“Happy birthday Noé”"), arrow, quiet("empty")),
		}},
	}
}

func bars() []templates.Bar {
	var all []templates.Bar
	for day := 1; day <= 31; day++ {
		b := templates.Bar{Label: fmt.Sprintf("%d March", day), Href: fmt.Sprintf("?q=on%%3A2026-03-%02d", day), Count: int64(300 + day*37%271)}
		b.CountText = fmt.Sprintf("%d events", b.Count)
		switch {
		case day < 9:
			b.Unknown, b.Count, b.CountText = true, 0, "not counted"
		case day == 15:
			b.Count, b.CountText, b.Href = 0, "0 events", ""
		case day == 31:
			b.Current = true
		}
		if day%7 == 1 {
			b.Tick = fmt.Sprintf("%d Mar", day)
		}
		all = append(all, b)
	}
	return all
}

func facetValues(href string, pairs ...any) []templates.FacetValue {
	var all []templates.FacetValue
	for i := 0; i < len(pairs); i += 3 {
		all = append(all, templates.FacetValue{Label: pairs[i].(string), Count: int64(pairs[i+1].(int)), CountText: pairs[i+2].(string), IncludeHref: href, ExcludeHref: href})
	}
	return all
}

func listPage() templates.ListPage {
	l := layout("Audit logs: updates and deletions that mention “gift card”", 1)
	l.Search.Query = `user:alice,maria.keller,svc-billing action:UPDATE,DELETE -module:auth last:30d "gift card"`
	facets := templates.Facets{Note: "Each list ignores its own filter, so that you can widen it.", Groups: []templates.Facet{
		{Key: "action", Label: "Action", Values: facetValues("?q=action", "UPDATE", 9861, "9,861", "DELETE", 139, "139", "CREATE", 2210, "2,210", "VIEW", 1874, "1,874", "EXPORT", 12, "12")},
		{Key: "user", Label: "User", Note: "of the newest 10,000", Values: facetValues("?q=user", "svc-billing", 9450, "9,450", "alice", 412, "412", "maria.keller", 138, "138", "t.okafor", 61, "61", "", 17, "17"), More: &templates.Link{Text: "9 more", Href: "?facet=user"}},
		{Key: "module", Label: "Module", Values: facetValues("?q=module", "billing", 9402, "9,402", "shop", 311, "311", "auth", 0, "")},
		{Key: "ip", Label: "Address", Values: facetValues("?q=ip", "10.0.4.17", 9450, "9,450", "2001:db8:4f:1::c7", 41, "41")},
	}}
	facets.Groups[0].Values[0].Included, facets.Groups[0].Values[1].Included = true, true
	facets.Groups[1].Values[4].Label, facets.Groups[1].Values[4].Blank = "empty", true
	facets.Groups[2].Values[2].Excluded = true
	return templates.ListPage{
		Layout: l, Kicker: "Audit logs",
		Headline: "Updates and deletions by alice, maria.keller or svc-billing, outside auth, in the last 30 days, that mention “gift card”",
		Query:    l.Search.Query,
		Chips: templates.Chips{ClearHref: "/audit-logs", Items: []templates.Chip{
			{Key: "user", Value: "alice, maria.keller, svc-billing", RemoveHref: "?q=1"},
			{Key: "action", Value: "UPDATE, DELETE", RemoveHref: "?q=2"},
			{Key: "module", Value: "auth", Not: true, RemoveHref: "?q=3"},
			{Key: "last", Value: "30 days", RemoveHref: "?q=4"},
			{Key: "text", Value: "“gift card”", RemoveHref: "?q=5"},
		}},
		Export: &templates.Export{Note: "Exports all that match, more than 10,000 rows, not only this page. The export is recorded under your name.", Links: []templates.Link{
			{Text: "CSV", Hint: "for a spreadsheet", Href: "/audit-logs.csv?q=x"}, {Text: "NDJSON", Hint: "imports back unchanged", Href: "/audit-logs.ndjson?q=x"}, {Text: "JSON", Hint: "this page only", Href: "/audit-logs.json?q=x"},
		}},
		SelectHref: "?select=1",
		When: &templates.When{
			Crumbs:       []templates.Link{{Text: "All", Href: "?q=a"}, {Text: "2026", Href: "?q=b"}, {Text: "March", Current: true}},
			PreviousHref: "?q=p", NextHref: "?q=n",
			Count:     templates.Count{Text: "10,000+", Noun: "events", Note: "counted back to 9 March", More: &templates.Link{Text: "Count the rest", Href: "?count=all"}},
			Histogram: &templates.Histogram{Label: "Events a day, March 2026", Step: "day", Max: "570 a day", Bars: bars(), Why: "not counted, the text is frequent."},
		},
		Table:  templates.Table{Caption: "Audit logs, newest first", Columns: auditColumns, Days: auditDays()},
		Facets: facets,
		Pager: templates.Pager{OlderHref: "?after=1", Covers: "31 March 14:32 back to 29 March 20:09",
			GoTo:  &templates.GoTo{Action: "/audit-logs", Value: "2026-03-28", Min: "2019-06-02", Max: "2026-03-31", Keep: []templates.Hidden{{Name: "q", Value: "x"}}},
			Sizes: []templates.Link{{Text: "25", Href: "?limit=25"}, {Text: "50", Href: "?limit=50", Current: true}, {Text: "100", Href: "?limit=100"}}},
	}
}

func systemTable() templates.Table {
	event := func(clock string, badge *templates.Badge, title, module, code, user string, state *templates.Badge) templates.Row {
		return row(clock, templates.Cell{Badge: badge}, templates.Cell{Spans: says(title)}, templates.Cell{Spans: says(module), Href: "?q=m"}, templates.Cell{Spans: says(code), Href: "?q=c"}, templates.Cell{Spans: says(user), Href: "user.html"}, templates.Cell{Badge: state})
	}
	rows := []templates.Row{
		event("14:29:51", problem, "checkout: reserve stock: deadlock detected", "checkout", "40P01", "lea.ferrand", open),
		event("14:12:09", slow, "GET /audit-logs took 2.31 s", "auditadmin", "", "ines.roth", open),
		event("12:05:18", warning, "billing: gift card import skipped 14 lines", "billing", "", "", done),
		event("09:00:00", info, "nightly backup finished in 41 s", "ops", "", "", nil),
		event("03:12:44", problem, "java.lang.IllegalStateException: Cannot call sendError() after the response has been committed at org.apache.catalina.connector.ResponseFacade.sendError(ResponseFacade.java:456)", "org.apache.catalina.core", "IllegalStateException", "", open),
	}
	rows[2].Locked, rows[3].Locked = "resolved already", "needs no resolution"
	return templates.Table{Caption: "System events, newest first", Columns: systemColumns, Days: []templates.Day{{Label: "Tuesday 31 March 2026", Note: "5 events so far", Rows: rows}}}
}

func listStories() []story {
	auditList := listPage()

	login := listPage()
	login.Layout = layout("Login attempts", 2)
	login.Kicker, login.Headline = "Login attempts", "All login attempts"
	login.Chips, login.Facets.Groups = templates.Chips{}, login.Facets.Groups[1:]
	login.Table.Columns = []templates.Column{{Label: "Name", Role: templates.RoleWho}, {Label: "Status", Role: templates.RoleBadge}, {Label: "What happened", Role: templates.RoleWhat}, {Label: "Address", Role: templates.RolePlain}, {Label: "Place", Role: templates.RolePlain}, {Label: "Browser", Role: templates.RolePlain, Optional: true}}
	attempt := func(clock, name string, badge *templates.Badge, what, address, place string) templates.Row {
		return row(clock, templates.Cell{Spans: says(name), Href: "user.html"}, templates.Cell{Badge: badge}, templates.Cell{Spans: says(what)}, templates.Cell{Spans: says(address), Href: "?q=ip"}, templates.Cell{Spans: says(place), Href: "?q=place"}, templates.Cell{Spans: says("Firefox 136 on macOS"), Title: "Mozilla/5.0 (Macintosh; …)"})
	}
	login.Table.Days = []templates.Day{{Label: "Tuesday 31 March 2026", Rows: []templates.Row{
		attempt("14:27:30", "root", failed, "failed: invalid password", "192.0.2.17", "Rotterdam, NL"),
		attempt("14:27:28", "admin'; DROP TABLE users;--", failed, "failed: no such user", "192.0.2.17", "Rotterdam, NL"),
		attempt("14:27:02", "root", blocked, "blocked: too many attempts", "192.0.2.17", "Rotterdam, NL"),
		attempt("13:58:20", "alice", success, "signed in", "203.0.113.9", "Rennes, FR"),
	}}}

	export := listPage()
	export.Layout = layout("Data exports", 3)
	export.Kicker, export.Headline, export.Chips = "Data exports", "All data exports", templates.Chips{}
	export.Table.Columns = []templates.Column{{Label: "Who", Role: templates.RoleWho}, {Label: "Format", Role: templates.RoleBadge}, {Label: "What was exported", Role: templates.RoleWhat}, {Label: "Rows", Role: templates.RoleNumber}, {Label: "Size", Role: templates.RoleNumber}, {Label: "Downloads", Role: templates.RoleNumber, Optional: true}, {Label: "Address", Role: templates.RolePlain, Optional: true}}
	file := func(clock, who, format, what, rows, size, downloads string) templates.Row {
		return row(clock, templates.Cell{Spans: says(who), Href: "user.html"}, templates.Cell{Badge: &templates.Badge{Text: format, Icon: templates.IconExport}}, templates.Cell{Spans: says(what)}, templates.Cell{Spans: says(rows)}, templates.Cell{Spans: says(size)}, templates.Cell{Spans: says(downloads)}, templates.Cell{Spans: says("203.0.113.9"), Href: "?q=ip"})
	}
	export.Table.Days = []templates.Day{{Label: "Friday 27 March 2026", Rows: []templates.Row{
		file("16:00:02", "t.okafor", "CSV", "orders: status:paid on:2026-03", "1,204", "318 KB", "2"),
		file("15:12:40", "j.lindqvist", "XLSX", "customers: everything", "212,406,118", "19.4 GB", "1"),
	}}}

	system := listPage()
	system.Layout = layout("System events", 4)
	system.Kicker, system.Headline, system.Chips = "System events", "All system events", templates.Chips{}
	system.Table = systemTable()

	selecting := system
	selecting.SelectHref, selecting.When = "", nil
	selecting.Headline = "Open system events"
	selecting.Select = &templates.Select{CancelHref: "list-system.html", Back: "/system-events",
		All: &templates.Link{Text: "resolve all 1,204 that match", Href: "confirm.html"},
		Actions: []templates.SelectAction{
			{Action: "/system-events/resolve", Field: "note", Label: "What was the cause, and what was done?", Hint: "The note stays in the history of each.", Button: "Resolve the selected"},
			{Action: "/system-events/delete", Field: "reason", Label: "Or: why must they be deleted?", Hint: "A tombstone with your name and this reason stays.", Button: "Delete the selected", Destroy: true},
		}}
	selecting.Table.Days[0].Rows[0].Checked = true

	deleting := listPage()
	deleting.SelectHref = ""
	deleting.Select = &templates.Select{CancelHref: "list-audit.html", Actions: []templates.SelectAction{{Action: "/audit-logs/delete", Field: "reason", Label: "Why must they be deleted?", Hint: "A tombstone with your name and this reason stays.", Button: "Delete the selected", Destroy: true}}}

	nothing := listPage()
	nothing.Headline = "Nothing: no deletion by alice, outside billing and catalog, in the last 7 days, mentions “gift card”"
	nothing.When, nothing.Export, nothing.SelectHref = nil, nil, ""
	nothing.Empty = &templates.Empty{
		Lead: []templates.Span{word("The filter "), {Text: "-module:billing,catalog", Class: templates.Code}, word(" takes away the last 5 events.")},
		Link: &templates.Link{Text: "Show those 5", Href: "?q=5"},
		Steps: []templates.SieveStep{
			{Text: "Everything recorded", Left: 48201377, LeftText: "48,201,377"},
			{Text: "in the last 7 days", Term: "last:7d", Left: 301224, LeftText: "301,224", DropHref: "?q=a", DropText: "12 events without it"},
			{Text: "by alice", Term: "user:alice", Left: 1140, LeftText: "1,140", DropHref: "?q=b", DropText: "96 events without it"},
			{Text: "that mention “gift card”", Term: `"gift card"`, Left: 5, LeftText: "5", DropText: "still nothing without it"},
			{Text: "outside billing and catalog", Term: "-module:billing,catalog", LeftText: "0", DropHref: "?q=c", DropText: "5 events without it", Culprit: true},
		},
		Sure: says("Yes. The newest audit log came 2 s ago, and no event in these 7 days was deleted."),
	}

	blank := listPage()
	blank.Headline, blank.Chips, blank.When, blank.Export, blank.SelectHref = "No audit log was recorded yet", templates.Chips{}, nil, nil, ""
	blank.Empty = &templates.Empty{Nothing: []templates.Span{word("The first one comes with "), {Text: "POST /api/v1/events", Class: templates.Code}, word(", with the Go library, or with "), {Text: "auditadmin import", Class: templates.Code}, word(".")}}

	extreme := listPage()
	extreme.Headline = "Audit logs by " + hostile + " and " + strings.Repeat("Llanfairpwllgwyngyll", 6)
	extreme.Notes = []string{"The word “ab” is short: it was looked up in the newest 20,000 events only."}
	extreme.Flash = &templates.Flash{Tone: templates.Sure, Text: "3 events were resolved.", Link: &templates.Link{Text: "Show them", Href: "?q=x"}}
	extreme.When.Count = templates.Count{Text: "1,284,907,311", Noun: "events"}
	extreme.Chips.Items[0].Value = hostile
	extreme.Facets.Groups[1].Values[0].Label = hostile
	extreme.Facets.Groups[1].Values[1].Label = strings.Repeat("very-long-user-name-", 5)
	extreme.Facets.Groups[0].Values[0].CountText = "984,201,377"
	extreme.Table.Days = []templates.Day{{Label: "Tuesday 31 March 2026", Rows: []templates.Row{
		audit("14:32:07", hostile, update, says(hostile), "shop", "2001:db8:4f:1:1234:5678:9abc:def0", word("changed "), strong(hostile), word(" "), quiet(hostile), arrow, quiet(strings.Repeat("no-spaces-at-all", 40))),
		audit("14:32:07", strings.Repeat("very-long-user-name-", 5), &templates.Badge{Text: "PERMISSION_CHANGE", Icon: templates.IconKey}, says(strings.Repeat("対象オブジェクト", 20)), strings.Repeat("module.", 12), "203.0.113.9", word("changed "), strong(strings.Repeat("field_", 20))),
		audit("14:32:07", "Владимир Ильич Преображенский", create, says("فاتورة رقم ١٢٣٤ لشركة النور"), "مبيعات", "203.0.113.9", word("changed "), strong("שם"), word(" "), quiet("שלום עולם"), arrow, quiet("مرحبا 123 abc")),
		audit("14:32:07", "👩‍👩‍👧‍👦 family", view, says("<script>alert(1)</script>"), "\"><img src=x onerror=alert(1)>", "203.0.113.9", word("viewed it")),
	}}}

	return []story{
		{"list-audit", templates.List(auditList)}, {"list-login", templates.List(login)}, {"list-export", templates.List(export)},
		{"list-system", templates.List(system)}, {"list-select", templates.List(selecting)}, {"list-delete", templates.List(deleting)},
		{"list-empty", templates.List(nothing)}, {"list-blank", templates.List(blank)}, {"list-extreme", templates.List(extreme)},
	}
}
