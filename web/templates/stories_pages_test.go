package templates_test

import (
	"github.com/auditadmin/auditadmin/web/templates"
)

func historyStories() []story {
	step := func(icon templates.Icon, clock, who string, spans ...templates.Span) templates.StoryStep {
		return templates.StoryStep{Icon: icon, Time: at(clock), Who: templates.Link{Text: who, Href: "user.html"}, Spans: spans, AsOf: &templates.Link{Text: "state here", Href: "?at=1"}}
	}
	del := func(s string) templates.Span { return templates.Span{Text: s, Class: templates.Del} }
	ins := func(s string) templates.Span { return templates.Span{Text: s, Class: templates.Ins} }
	changed := step(templates.IconUpdate, "14:32:07", "alice", templates.Span{Text: "changed status", Href: "event-audit.html"}, word(" "), del("paid"), word(" "), ins("partially_refunded"), word(", and payment, customer_note, gateway_token, label_html."))
	changed.Reason, changed.Current = "One of two mugs arrived broken; agreed by phone to refund one to a gift card.", true
	missing := step(templates.IconUpdate, "19:20:05", "alice", templates.Span{Text: "changed payment", Href: "?e"}, word(": added "), ins("GC-6650, 37.60"))
	missing.Gap, missing.GapHref = "At 19:20:05 carrier was already colissimo, but the last recorded value is chronopost. Something changed it past the recorder, after 27 March 08:15:30.", "help.html"
	created := step(templates.IconCreate, "18:09:12", "lea.ferrand", templates.Span{Text: "created it", Href: "?e"}, word(" with 21 fields"))
	created.Tone = templates.Now
	stone := templates.StoryStep{Icon: templates.IconStone, Time: at("18:00:00"), Stone: &templates.Stone{Text: "ines.roth deleted an event here", Reason: "ticket 5498"}}

	object := templates.ObjectPage{
		Layout: layout("History of Order 10482", 1), Kicker: "shop.order 10482", Headline: "Order 10482",
		Lead:     "Created on 26 March; changed 4 times, by alice and two jobs, last 3 minutes ago.",
		ListHref: "list-audit.html", Export: listPage().Export,
		Days: []templates.StoryDay{
			{Label: "Tuesday 31 March 2026", Steps: []templates.StoryStep{step(templates.IconView, "14:32:09", "alice", word("viewed it")), changed}},
			{Label: "Saturday 28 March 2026", Steps: []templates.StoryStep{missing}},
			{Label: "Thursday 26 March 2026", Steps: []templates.StoryStep{stone, created}},
		},
		End:   []templates.Span{{Text: "That is the whole story: nothing older."}},
		Pager: templates.Pager{OlderHref: "?after=1", Covers: "31 March back to 26 March"},
		State: &templates.State{AsOf: "31 March 2026, 14:32:07", Previous: &templates.Link{Text: "← before this change", Href: "?at=0"}, Following: &templates.Link{Text: "next change →", Href: "?at=2"}, Latest: &templates.Link{Text: "now", Href: "?"},
			Rows: []templates.StateRow{
				{Field: "status", Value: *val("partially_refunded"), Since: templates.Link{Text: "alice, 14:32", Href: "?e"}, Fresh: true},
				{Field: "total", Value: *val("155.60"), Since: templates.Link{Text: "lea.ferrand, 26 Mar", Href: "?e"}},
				{Field: "carrier", Value: *val("colissimo"), Uncertain: "nobody recorded"},
				{Field: "gateway_token", Value: templates.Value{Spans: []templates.Span{{Class: templates.Masked, Text: "7c02"}}}, Since: templates.Link{Text: "alice, 14:32", Href: "?e"}},
				{Field: "customer_note", Value: templates.Value{Spans: says("Customer called on Friday: one of the two mugs arrived broken. Accepts 25.00"), Full: says("Customer called on Friday: …"), Size: "all 412 characters"}, Since: templates.Link{Text: "alice, 14:32", Href: "?e"}},
				{Field: "payload", Value: *mono(hostile), Since: templates.Link{Text: "svc-billing, 26 Mar", Href: "?e"}},
			},
			Note: "Rebuilt from recorded changes; fields that never changed are not known."},
	}

	user := templates.UserPage{
		Layout: layout("alice", 1), Headline: "alice", Lead: "18,402 events, from 12 January 2024 to 3 minutes ago.",
		Sums: overview().Sums, When: &templates.When{Crumbs: []templates.Link{{Text: "All", Href: "?"}, {Text: "March", Current: true}}, Histogram: &templates.Histogram{Label: "Actions a day, last 31 days", Step: "day", Max: "570 a day", Bars: bars()}},
		Facts: []templates.Fact{
			fact("Ids", line(word("7"))),
			fact("Addresses", line(leads("203.0.113.9"), quiet(" 17,020")), line(leads("2001:db8:4f:1::c7"), quiet(" 1,382"))),
			fact("Modules", line(leads("shop"), quiet(" 9,402")), line(leads("billing"), quiet(" 311"))),
		},
		Sections: []templates.UserSection{
			{Title: "Audit logs", Count: templates.Count{Text: "18,120", Noun: "events"}, Href: "list-audit.html", Table: templates.Table{Caption: "Audit logs of alice", Columns: auditColumns, Days: auditDays()[:1]}},
			{Title: "Login attempts", Count: templates.Count{Text: "0", Noun: "events"}, Href: "list-login.html", None: "Nobody tried to sign in under this name."},
			{Title: "System events", Count: templates.Count{Text: "5", Noun: "events"}, Href: "list-system.html", Table: systemTable()},
		},
	}
	health := templates.HealthPage{Layout: layout("Health", -1), Kicker: "Health", Headline: "1 thing to look at", Quiet: "Nothing here needs anybody.",
		Worries: []templates.Attention{{Badge: templates.Badge{Text: "LOOK", Icon: templates.IconWarning}, Spans: says("No backup was made yet"), Note: "Make one."}},
		Sums:    []templates.Sum{{Label: "Events", Text: "48,201,377", Change: "in 48,204,001 entries"}, {Label: "Memory", Text: "312.4 MB", Change: "heap 121.0 MB"}},
		Kinds:   []templates.HealthKind{{Name: templates.Link{Text: "Audit logs", Href: "list-audit.html"}, Events: "48,000,211", Newest: "2 seconds ago", Segments: "732", Tail: "12,044", Searchable: "up to date"}},
		Slow:    []templates.HealthSlow{{Took: "5.31 s", Alarm: true, Method: "GET", Path: "/audit-logs?q=" + hostile, Status: "200", At: at("14:29:51")}},
		Facts:   []templates.Fact{fact("Files", line(word("audit.db 41.2 GB")))}}
	return []story{{"health", templates.Health(health)}, {"object", templates.Object(object)}, {"user", templates.User(user)}}
}

func overview() templates.DashboardPage {
	sum := func(label, text, change string, alarm bool) templates.Sum {
		s := templates.Sum{Label: label, Text: text, Href: "list-audit.html", Change: change, Alarm: alarm}
		for _, b := range bars() {
			s.Spark = append(s.Spark, b.Count)
		}
		return s
	}
	return templates.DashboardPage{
		Layout: layout("Overview", 0), Kicker: "Overview, everybody", Headline: "The last 30 days, 2 to 31 March 2026",
		Period: templates.Period{Action: "/", Days: []templates.Choice{{Value: "1", Label: "today"}, {Value: "7", Label: "7 days"}, {Value: "30", Label: "30 days", Current: true}, {Value: "90", Label: "90 days"}}},
		Sums: []templates.Sum{
			sum("total actions", "1,284,907", "+4 %", false), sum("creates", "214,630", "+2 %", false), sum("updates", "803,118", "+5 %", false),
			sum("deletes", "9,442", "−11 %", false), sum("views", "187,305", "+1 %", false), sum("logins", "61,877", "0 %", false),
			sum("failed logins", "3,204", "+38 %", true), sum("system errors", "118", "+9 %", false), {Label: "unresolved events", Text: "7", Href: "?q=is%3Aunresolved", Alarm: true},
		},
		Activity: templates.Activity{Title: "Actions a day", Count: templates.Count{Text: "1,284,907", Noun: "in 30 days"},
			Histogram: &templates.Histogram{Label: "Actions a day, last 30 days", Step: "day", Max: "57,352 a day", Bars: bars()[1:]}},
		Attention: []templates.Attention{
			{Badge: *problem, Spans: says("checkout: reserve stock: deadlock detected"), Href: "event-system.html", Note: "checkout, open again since 03:12", Time: at("14:29:51")},
			{Badge: *failed, Spans: says("406 failed sign-ins today, 391 of them from 192.0.2.17"), Href: "?q=x", Note: "12 names", Time: at("14:27:30")},
			{Badge: *warning, Spans: says("billing: gift card import skipped 14 lines"), Href: "?q=y", Note: "unresolved for 2 days", Time: at("29 March")},
			{Badge: *slow, Spans: says(hostile), Href: "?q=z", Time: at("28 March")},
		},
		More: &templates.Link{Text: "2 more unresolved", Href: "?q=is%3Aunresolved"},
		Exports: templates.Side{Title: "Recent exports", More: &templates.Link{Text: "All exports", Href: "list-export.html"}, Rows: []templates.SideRow{
			{Name: templates.Link{Text: "orders", Href: "?x"}, Value: "1,204 rows", Note: "t.okafor, 27 Mar"},
			{Name: templates.Link{Text: "gift_cards", Href: "?x"}, Value: "41,880 rows", Note: "maria.keller, 26 Mar"},
			{Name: templates.Link{Text: "customers", Href: "?x"}, Value: "212,406,118 rows", Note: "j.lindqvist, 24 Mar"},
		}},
		Failing: templates.Side{Title: "Most failed sign-ins", More: &templates.Link{Text: "All failed", Href: "?f"}, Rows: []templates.SideRow{
			{Name: templates.Link{Text: "root", Href: "?x"}, Value: "2,118", Note: "last 14:27"},
			{Name: templates.Link{Text: "admin'; DROP TABLE users;--", Href: "?x"}, Value: "391", Note: "last 14:27", Strong: true},
		}},
		Recorder: templates.Side{Title: "Recorder", Rows: []templates.SideRow{
			{Name: templates.Link{Text: "Newest event"}, Value: "2 s ago", Note: "through shop-web"},
			{Name: templates.Link{Text: "Recorded"}, Value: "#48,201,377"},
		}},
	}
}

func overviewStories() []story {
	empty := overview()
	for i := range empty.Sums {
		empty.Sums[i] = templates.Sum{Label: empty.Sums[i].Label, Text: "0", Href: "?"}
	}
	empty.Activity.Histogram, empty.Attention, empty.More = nil, nil, nil
	empty.Quiet = "Nothing waits for anybody."
	empty.Empty = []templates.Span{word("Nothing was recorded yet. Send the first events with "), {Text: "POST /api/v1/events", Class: templates.Code}, word(", or import the logs you have.")}
	empty.Exports.Rows, empty.Exports.None = nil, "Nobody exported anything."
	empty.Failing.Rows, empty.Failing.None = nil, "Nobody failed to sign in."

	help := templates.HelpPage{Layout: layout("Help", -1), Text: "username, object, reason, changed fields and values, address, module",
		Kinds: []templates.Link{{Text: "Audit logs", Href: "?1", Current: true}, {Text: "Login attempts", Href: "?2"}, {Text: "Data exports", Href: "?3"}, {Text: "System events", Href: "?4"}},
		Fields: []templates.HelpField{
			{Key: "user", Label: "User", Doc: "the name or the id of who did it", Example: "user:alice", Href: "?u"},
			{Key: "action", Label: "Action", Doc: "what was done: an upper-case word", Example: "action:DELETE,UPDATE", Href: "?a"},
			{Key: "ip", Label: "Address", Doc: "an address or a network", Example: "ip:10.0.0.0/8", Href: "?i"},
			{Key: "after", Label: "After", Doc: "from a year, month, day or instant on, in the page's zone", Example: "after:2026-03-01", Href: "?t"},
		},
		Examples: []templates.HelpExample{{Says: "What did alice delete last week?", Query: "user:alice action:DELETE last:7d", Href: "?q"}},
	}
	return []story{{"dashboard", templates.Dashboard(overview())}, {"dashboard-empty", templates.Dashboard(empty)}, {"help", templates.Help(help)}}
}

func accessStories() []story {
	day := templates.Time{Text: "12 Jan 2026", ISO: "2026-01-12T08:00:00Z", UTC: "2026-01-12 08:00:00 UTC"}
	account := func(name, role, sessions string) templates.Account {
		return templates.Account{Name: name, Href: "user.html", Role: role, Created: day, LastLogin: &day, Sessions: sessions, RoleAction: "/accounts/1/role", DisableAction: "/accounts/1/disabled", PasswordAction: "/accounts/1/password", SessionsAction: "/accounts/1/end"}
	}
	own := account("ines.roth", "superuser", "2 sessions")
	own.Own, own.DisableAction, own.RoleAction, own.Why = true, "", "", "the last superuser"
	off := account("t.okafor", "viewer", "")
	off.Disabled, off.LastLogin = true, nil
	page := templates.AccountsPage{
		Layout:   layout("Accounts", -1),
		Accounts: []templates.Account{own, account("maria.keller", "responder", "1 session"), off, account("a-very-long-account-name-that-somebody-chose-to-type@example.org", "viewer", "")},
		Roles:    []templates.RoleChoice{{Value: "viewer", Does: "reads"}, {Value: "responder", Does: "reads, and resolves system events"}, {Value: "superuser", Does: "everything: deletes, manages accounts and tokens"}},
		Create:   templates.CreateAccount{Action: "/accounts"}, PasswordRule: "At least 12 characters.",
		Sessions: []templates.Session{{Account: "ines.roth", Created: day, Seen: at("14:35:10"), Expires: day, Address: "203.0.113.77", Agent: "Firefox 136 on Linux", Own: true}, {Account: "maria.keller", Created: day, Seen: at("11:02:51"), Expires: day, Address: "2001:db8:4f:1::c7", Agent: "Safari 19 on iOS", EndAction: "/accounts/sessions/2/end"}},
		Tokens: []templates.Token{
			{Name: "shop-web", Scope: "ingest", Created: day, CreatedBy: "ines.roth", Used: &day, RevokeAction: "/accounts/tokens/1/revoke"},
			{Name: "siem", Scope: "read", Created: day, CreatedBy: "ines.roth", Expires: &day, State: &templates.Badge{Text: "revoked", Icon: templates.IconBlocked}},
		},
		CreateToken: templates.CreateToken{Action: "/accounts/tokens", Scopes: []templates.RoleChoice{{Value: "ingest", Does: "sends events"}, {Value: "read", Does: "reads what a viewer reads"}}, Expiry: []templates.Choice{{Value: "90d", Label: "in 90 days", Current: true}, {Value: "", Label: "never"}}},
	}
	made := page
	made.CreateToken.Secret = "aa_ingest_q9XkV0mP3d7LrT2sYbNwE5uGhJ8cZf1A"
	made.Create.Error, made.Create.Name = "There is an account of that name already.", "maria.keller"

	stranger := templates.Layout{Title: "Sign in", Assets: layout("", -1).Assets, Version: "auditadmin 0.1.0"}
	login := templates.LoginPage{Layout: stranger, Action: "/login", Next: "/audit-logs?q=action%3ADELETE", Then: "the audit logs"}
	refused := login
	refused.Username, refused.Error, refused.Hint, refused.Insecure = "ines.roth", "User name and password do not match.", "After some more tries there is a pause.", true
	password := templates.PasswordPage{Layout: layout("Change my password", -1), Action: "/password", Rule: "At least 12 characters.", Error: "The present password is wrong.", Wrong: "current"}
	mine := templates.AccountPage{Layout: layout("Your account", -1), Name: "ines.roth", Role: "superuser", Does: "also deletes events, and manages accounts and tokens", Created: day, LastLogin: &day,
		PasswordHref: "password.html", Factor: templates.Factor{Since: &day, Left: "2 recovery codes left. Make new ones before the last is used.", Few: true, Required: true, CodesAction: "/codes", RemoveAction: "/off"},
		Sessions: page.Sessions, Others: "1 other session", OthersAction: "/end"}
	issued := mine
	issued.Issuer, issued.LastLogin, issued.Others, issued.Factor = "login.example.org", nil, "", templates.Factor{SetUpHref: "factor.html"}
	squares := templates.QR{Size: 9, Path: "M4 4h1v1h-1z"}
	enrol := templates.FactorPage{Layout: layout("Set up your second factor", -1), Action: "/account/second-factor", Name: "ines.roth", Offer: "x", Secret: "JBSW Y3DP EHPK 3PXP", QR: squares, Error: "This code is not the present one."}
	required := enrol
	required.Layout, required.Required, required.Logout = stranger, true, "/logout"
	recovery := templates.RecoveryPage{Layout: layout("Your second factor is on", -1), Headline: "Your second factor is on", Codes: []string{"abcdef-ghijkl-mnopqr-stuvwx", "234567-ghijkl-mnopqr-stuvwx"}, Next: templates.Link{Text: "I have put them away", Href: "account.html"}}
	ask := templates.AskPage{Layout: layout("Is it still you?", -1), Action: "/accounts", Does: "create accounts", Name: "ines.roth", Field: "confirm", Label: "Your password, or a code", Hint: "Six digits.", Error: "Too many attempts.", Wait: "Try again in 2 seconds.",
		Hidden: []templates.Hidden{{Name: "name", Value: "<b>\"x\""}}, Again: []templates.AskAgain{{Name: "password", Label: "The new password, once more"}}, Cancel: templates.Link{Text: "Leave it", Href: "accounts.html"}}
	askIssuer := ask
	askIssuer.IssuerHref, askIssuer.IssuerName, askIssuer.Label, askIssuer.Hint, askIssuer.Error = "/login/issuer?again=1", "login.example.org", "", "", ""
	code := templates.CodePage{Layout: stranger, Action: "/login/code", Name: "ines.roth", Next: "/", Back: "/login", Error: "Too many attempts.", Hint: "Try again in 2 seconds."}
	offered := login
	offered.IssuerHref, offered.IssuerName = "/login/issuer", "login.example.org"
	return []story{
		{"account", templates.YourAccount(mine)}, {"account-issued", templates.YourAccount(issued)}, {"factor", templates.SetUpFactor(enrol)}, {"factor-required", templates.SetUpFactor(required)},
		{"recovery", templates.Recovery(recovery)}, {"ask", templates.Ask(ask)}, {"ask-issuer", templates.Ask(askIssuer)}, {"code", templates.EnterCode(code)}, {"login-issuer", templates.Login(offered)},
		{"accounts", templates.Accounts(page)}, {"accounts-made", templates.Accounts(made)},
		{"login", templates.Login(login)}, {"login-refused", templates.Login(refused)}, {"password", templates.Password(password)},
	}
}

func failureStories() []story {
	query := templates.ErrorPage{Layout: layout("A mistake in the query", 1), Status: 400, Headline: "The query cannot be read",
		Query: &templates.BadQuery{Before: "user:alice ", Wrong: "acton:DELETE", After: ` last:7d "gift card"`, Message: "There is no key “acton” here", Place: "character 12",
			Fix:   &templates.Link{Text: `user:alice action:DELETE last:7d "gift card"`, Href: "?q=fix"},
			Words: []templates.Link{{Text: "user", Href: "?1"}, {Text: "action", Href: "?2"}, {Text: "type", Href: "?3"}}}}
	query.Search.Query, query.Search.Invalid = `user:alice acton:DELETE last:7d "gift card"`, true
	quote := query
	quote.Query = &templates.BadQuery{Before: `user:alice "gift card`, Message: "The quote is not closed", Place: "character 22"}
	refused := templates.ErrorPage{Layout: layout("Not allowed", -1), Status: 403, Headline: "You may not do this", Text: says("Your role is viewer."), Rule: "only a superuser manages accounts.", Links: []templates.Link{{Text: "Back to the overview", Href: "/"}}}
	absent := templates.ErrorPage{Layout: layout("Not found", 1), Status: 404, Headline: "There is no audit log with this id", Text: says("No event 42 was ever recorded, or it was purged."), Links: []templates.Link{{Text: "All audit logs", Href: "/audit-logs"}}}
	gone := templates.ErrorPage{Layout: layout("Deleted", 1), Status: 410, Headline: "This event was deleted",
		Grave: &templates.Grave{What: "An audit log", Taken: "Deleted", Was: at("31 March 2026, 09:12:44"), When: at("31 March 2026, 13:00:00"), Who: templates.Link{Text: "ines.roth", Href: "user.html"}, Reason: "note held a full card number, ticket 5498", Record: "#48,201,312"}}
	broken := templates.ErrorPage{Layout: layout("Something broke", -1), Status: 500, Headline: "Something broke here", Text: says("It was recorded, and it is not your fault."), RequestID: "c0ffee12-9a", Links: []templates.Link{{Text: "Try again", Href: "?"}}}
	stranger := templates.ErrorPage{Layout: templates.Layout{Title: "Not found", Assets: layout("", -1).Assets}, Status: 503, Headline: "The database is busy", Retry: "Try again in 30 s."}
	confirm := templates.ConfirmPage{Layout: layout("Resolve 1,204 system events?", 4),
		Crumbs: []templates.Link{{Text: "System events", Href: "list-system.html"}, {Text: "Resolve what matches"}}, Headline: "Resolve 1,204 system events?", Query: "is:unresolved module:checkout last:7d",
		Lead:   []templates.Span{word("Exactly the "), strong("1,204"), word(" that you saw: what was recorded since is not touched, and if one of them changed meanwhile nothing happens.")},
		Facts:  []templates.Detail{{Name: "Oldest", Value: *val("24 March 2026, 03:14:09")}, {Name: "Seen up to", Value: *val("#48,201,377")}},
		Form:   templates.NoteForm{Action: "/system-events/resolve", Field: "note", Label: "What was the cause, and what was done?", Hint: "The note stays in the history of each.", Button: "Resolve 1,204 events", Icon: templates.IconTick, Hidden: []templates.Hidden{{Name: "q", Value: "is:unresolved"}, {Name: "upto", Value: "48201377"}, {Name: "confirm", Value: "1204"}}},
		Cancel: templates.Link{Text: "Back, without resolving", Href: "list-system.html"}, More: "and 1,199 more"}
	table := systemTable()
	confirm.Sample = &table
	return []story{
		{"error-query", templates.Error(query)}, {"error-quote", templates.Error(quote)}, {"error-403", templates.Error(refused)}, {"error-404", templates.Error(absent)},
		{"error-410", templates.Error(gone)}, {"error-500", templates.Error(broken)}, {"error-503", templates.Error(stranger)}, {"confirm", templates.Confirm(confirm)},
	}
}
