package handlers

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/auditadmin/auditadmin/audit"
)

// links are the addresses that a page leads to, by the text of the link.
func links(t *testing.T, page string) map[string]string {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for n := range tree.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" {
			continue
		}
		href, label := "", ""
		for _, a := range n.Attr {
			switch a.Key {
			case "href":
				href = a.Val
			case "aria-label":
				label = a.Val
			}
		}
		var text strings.Builder
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				text.WriteString(d.Data)
			}
		}
		if label == "" {
			label = strings.Join(strings.Fields(text.String()), " ")
		}
		all[label] = href
	}
	return all
}

// TestEveryLinkLeadsSomewhere follows all the links of all pages.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	s := newSite(t)
	if _, err := s.store.BeginEvidence(t.Context()); err != nil { // proofs are handed out by a server that has begun
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, from := range pages(s.shop()) {
		for label, href := range links(t, s.page("superuser", from)) {
			path, _, _ := strings.Cut(href, "#")
			if path == "" || seen[path] || strings.Contains(path, ".csv") || strings.Contains(path, ".ndjson") {
				continue
			}
			seen[path] = true
			if w := s.get("superuser", path); w.Code != http.StatusOK {
				t.Errorf("%s leads by %q to %s: got %d, want 200", from, label, path, w.Code)
			}
		}
	}
	if len(seen) < 200 {
		t.Errorf("followed only %d links", len(seen))
	}
}

func TestList(t *testing.T) {
	s := newSite(t)
	s.shop()
	page := s.page("viewer", "/audit-logs?q="+url.QueryEscape("user:alice action:UPDATE last:7d"))
	for _, want := range []string{"alice", "refunded", "Monday 30 March 2026", "shop.order", "203.0.113.9", "<b>2</b>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the list does not show %q", want)
		}
	}
	all := links(t, page)
	if got := all["Order 42"]; !strings.HasPrefix(got, "/objects?") {
		t.Errorf("the object leads to %q", got)
	}
	if got := all["alice"]; got == "" {
		t.Error("the user leads nowhere")
	}
	if marked := s.page("viewer", "/audit-logs?q=gift"); !strings.Contains(marked, "<mark>") || !strings.Contains(marked, "gift</mark>") {
		t.Error("what was searched is not marked")
	}
}

func TestEmptyListSaysWhy(t *testing.T) {
	s := newSite(t)
	s.shop()
	page := s.page("viewer", "/audit-logs?q="+url.QueryEscape("user:alice action:DELETE"))
	for _, want := range []string{"action:DELETE", "takes away the last 2 events", "2 events without it"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	way := links(t, page)["2 events without it"]
	if back := s.page("viewer", way); !strings.Contains(back, "refunded") {
		t.Errorf("the way out %q finds nothing", way)
	}
	if page := s.get("viewer", "/users").Body.String(); !strings.Contains(page, "whose page is it to be?<") {
		t.Error("a question ends with a full stop")
	}
	if page := s.page("viewer", "/audit-logs?after=1"); !strings.Contains(page, "past the end") || links(t, page) == nil {
		t.Error("a page past the end does not say so")
	}
	if text := plainText(t, s.page("viewer", "/data-exports")); !strings.Contains(text, "all that match, 1 row, not only") {
		t.Error("one row is not one row")
	}
	fresh := newSite(t)
	if page := fresh.page("viewer", "/system-events"); !strings.Contains(page, "No system events yet") {
		t.Error("an empty kind does not say so")
	}
}

// TestEmptyDatabase: where nothing was recorded yet a list says how events come in,
// leads who may to the tokens for that, and offers no file of nothing.
func TestEmptyDatabase(t *testing.T) {
	s := newSite(t)
	for _, role := range []string{"viewer", "superuser"} {
		page := s.page(role, "/data-exports")
		if !strings.Contains(page, "POST /api/v1/events") || strings.Contains(page, "/data-exports.csv") {
			t.Errorf("to a %s the empty list does not say how events come in, or offers a file", role)
		}
		if got, want := links(t, page)["token that you make"], map[string]string{"superuser": "/accounts#tokens"}[role]; got != want {
			t.Errorf("a %s is led to %q, want %q", role, got, want)
		}
	}
}

func TestZone(t *testing.T) {
	s := newSite(t)
	id := s.shop()[audit.KindAuditLog]
	w := s.get("viewer", "/audit-logs/"+id+"?tz=Asia/Kolkata")
	if !strings.Contains(w.Body.String(), "17:30:00") || !strings.Contains(w.Body.String(), "UTC+05:30") {
		t.Error("the page does not speak in the zone")
	}
	var zone *http.Cookie
	for _, c := range w.Result().Cookies() {
		if c.Name == zoneCookie {
			zone = c
		}
	}
	if zone == nil || zone.Value != "Asia/Kolkata" || !zone.HttpOnly || zone.SameSite != http.SameSiteLaxMode || zone.MaxAge != choiceYear {
		t.Fatalf("got cookie %v, want the zone for a year", zone)
	}
	again := httptestGet("/audit-logs/" + id)
	again.AddCookie(zone)
	if w := s.do("viewer", again); !strings.Contains(w.Body.String(), "17:30:00") {
		t.Error("the zone is not remembered")
	}
	twin := httptestGet("/audit-logs/timeline.json?by=day")
	twin.AddCookie(zone)
	if w := s.do("viewer", twin); !strings.Contains(w.Body.String(), `"start":"2026-03-28T00:00:00Z"`) {
		t.Errorf("a twin follows the cookie: %s", w.Body)
	}
	bad := httptestGet("/audit-logs")
	bad.AddCookie(&http.Cookie{Name: zoneCookie, Value: "Not/AZone"})
	if w := s.do("viewer", bad); w.Code != http.StatusOK {
		t.Errorf("a zone that is gone: got %d, want 200", w.Code)
	}
	dark := s.get("viewer", "/audit-logs?theme=dark")
	if !strings.Contains(dark.Body.String(), `data-theme="dark"`) || !strings.Contains(strings.Join(dark.Header().Values("Set-Cookie"), ""), "theme=dark") {
		t.Error("the theme is not taken")
	}
}

func TestGoToADate(t *testing.T) {
	s := newSite(t)
	s.shop()
	w := s.get("viewer", "/audit-logs?on=2026-03-29&q=type:shop.order")
	if w.Code != http.StatusSeeOther {
		t.Fatalf("got %d, want 303", w.Code)
	}
	page := s.page("viewer", w.Header().Get("Location"))
	if !strings.Contains(page, "Sunday 29 March 2026") || strings.Contains(page, "Monday 30 March 2026") {
		t.Error("the page does not begin at the date")
	}
}

func TestLate(t *testing.T) {
	s := newSite(t)
	id := s.add(audit.KindAuditLog, map[string]string{"timestamp": at(80 * time.Hour), "action": "CREATE", "username": "alice"})[0]
	if page := s.page("viewer", "/audit-logs"); !strings.Contains(page, "3 days late") {
		t.Error("a late event is not marked")
	}
	if page := s.page("viewer", "/audit-logs/"+id); !strings.Contains(page, "3 days after it happened") {
		t.Error("its page does not say so")
	}
	var many []map[string]string
	for i := range 12 {
		many = append(many, map[string]string{"timestamp": at(time.Duration(200+i) * time.Hour), "action": "VIEW"})
	}
	s.add(audit.KindAuditLog, many...)
	if page := s.page("viewer", "/audit-logs?q=action:VIEW"); strings.Contains(page, "days late") || strings.Count(page, "came in late") != 1 {
		t.Errorf("an import is marked %d times, want once, and no row of it", strings.Count(page, "came in late"))
	}
}

// TestBarsLeadToWhatTheyCount follows the bars of charts and the days of lists whose
// range begins or ends within a day, has holes or parts taken out: there are as many
// events as was said.
func TestBarsLeadToWhatTheyCount(t *testing.T) {
	s := newSite(t)
	var events []map[string]string
	for n := range 150 {
		events = append(events, map[string]string{"timestamp": at(time.Duration(n) * time.Hour), "username": "lea", "action": "VIEW"})
	}
	s.add(audit.KindAuditLog, events...)
	count := regexp.MustCompile(`^(.+): (\d+) events?$`)
	for _, q := range []string{"", "after:2026-03-26T15 before:2026-03-30T08:30", "last:4d", "after:2026-03-26T15:30 before:2026-03-27T08:30", "on:2026-03-26,2026-03-29", "on:2026-03 -on:2026-03-28T09",
		"after:2026-03-01 last:100h user:lea", "before:2026-03-29T07:10"} {
		for _, zone := range []string{"UTC", "Europe/Paris"} {
			page, bars := s.page("viewer", "/audit-logs?limit=1000&tz="+zone+"&q="+url.QueryEscape(q)), 0
			for label, href := range links(t, page) {
				found := count.FindStringSubmatch(label)
				if found == nil {
					continue
				}
				bars++
				var list listed
				s.data("viewer", strings.Replace(href, "?", ".json?", 1), &list)
				if got := strconv.FormatInt(list.Count.Value, 10); got != found[2] {
					t.Errorf("%s of %q in %s leads to %s, where there are %s", label, q, zone, href, got)
				}
			}
			if bars == 0 {
				t.Errorf("%q in %s has no bars", q, zone)
			}
			said := regexp.MustCompile(`(?s)<tr class="day">.*?href="([^"]+)".*?<small>(\d+) events?`).FindAllStringSubmatch(page, -1)
			for _, day := range said {
				var list listed
				s.data("viewer", strings.Replace(html.UnescapeString(day[1]), "?", ".json?", 1), &list)
				if got := strconv.FormatInt(list.Count.Value, 10); got != day[2] {
					t.Errorf("the day %s of %q in %s has %s events, want %s", day[1], q, zone, got, day[2])
				}
			}
			if len(said) == 0 {
				t.Errorf("%q in %s has no days", q, zone)
			}
		}
	}
	if page := s.page("viewer", "/audit-logs?q=after:2026-03-26T15"); !strings.Contains(page, "Thu 26 March 2026, from 15:00: 9 events") {
		t.Error("the bar of a part of a day does not say that it is one")
	}
}

func TestDateHierarchy(t *testing.T) {
	s := newSite(t)
	s.shop()
	path := "/audit-logs?q=" + url.QueryEscape("type:shop.order")
	for _, step := range []string{"March 2026", "Mon 30 March 2026"} {
		page := s.page("viewer", path)
		for label, href := range links(t, page) {
			if strings.HasPrefix(label, step+":") {
				path = href
			}
		}
	}
	page := s.page("viewer", path)
	for _, crumb := range []string{"All", "2026", "March"} {
		if links(t, page)[crumb] == "" {
			t.Errorf("%s has no crumb %q", path, crumb)
		}
	}
	if !strings.Contains(page, "refunded") || strings.Contains(page, "Sunday 29 March 2026") {
		t.Errorf("%s is not the day that was chosen", path)
	}
}

func TestObject(t *testing.T) {
	s := newSite(t)
	id := s.shop()[audit.KindAuditLog]
	page := s.page("viewer", "/objects?type=shop.order&id=42")
	for _, want := range []string{"Created on 28 March by lea", "total was already “12.50”", "last recorded value is “10.00”", "That is the whole story"} {
		if !strings.Contains(page, want) {
			t.Errorf("the story does not say %q", want)
		}
	}
	before := s.page("viewer", links(t, page)["before the last event"])
	if !strings.Contains(before, "refunded") {
		t.Error("the state before the last event has no status")
	}
	first := s.find(audit.KindAuditLog, at(72*time.Hour))
	was := s.page("viewer", "/objects?type=shop.order&id=42&at="+first)
	if !strings.Contains(was, "State as of 28 March 2026, 12:00:00") || strings.Contains(was[strings.Index(was, "State as of"):], "refunded") {
		t.Error("the state as of its creation is not what it was then")
	}
	s.post("superuser", "/audit-logs/"+id+"/delete", url.Values{"reason": {"x"}})
	s.page("viewer", "/objects?type=shop.order&id=42")
}

func TestUser(t *testing.T) {
	s := newSite(t)
	s.shop()
	page := s.page("viewer", "/users?name=alice")
	for _, want := range []string{"4 events from 29 March 2026 to 31 March 2026", "203.0.113.9", "198.51.100.7", "wrong password"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of alice does not say %q", want)
		}
	}
}

func TestDashboard(t *testing.T) {
	s := newSite(t)
	s.shop()
	var burst []map[string]string
	for i := range 12 {
		burst = append(burst, map[string]string{"timestamp": at(time.Duration(i) * time.Minute), "username": "root", "status": "FAILED", "ip_address": "192.0.2.66"})
	}
	s.add(audit.KindLoginAttempt, burst...)
	page := s.page("viewer", "/")
	for _, want := range []string{"Unresolved events", "deadlock detected", "12 failed logins", "192.0.2.66", "12,043 rows"} {
		if !strings.Contains(page, want) {
			t.Errorf("the overview does not say %q", want)
		}
	}
	var one listed
	all := links(t, s.page("viewer", "/?user=alice&days=7"))
	if all["2"] == "" {
		t.Errorf("the numbers of alice lead nowhere")
	}
	s.data("viewer", "/audit-logs.json?q="+url.QueryEscape("user:alice last:7d"), &one)
	if one.Count.Value != 2 {
		t.Errorf("alice did %d things, want 2", one.Count.Value)
	}
}

// TestUnresolvedAndOpen: the overview counts the unresolved events of its days and the
// menu those of any time; where they differ the overview names both, and each number
// leads to what it counts.
func TestUnresolvedAndOpen(t *testing.T) {
	s := newSite(t)
	broken := func(before time.Duration, who string) map[string]string {
		return map[string]string{"timestamp": at(before), "event_type": "ERROR", "title": "It broke", "username": who}
	}
	s.add(audit.KindSystemEvent, broken(time.Hour, "alice"), broken(2*time.Hour, "bob"))
	if page := s.page("viewer", "/"); strings.Contains(page, "of 2 open") || strings.Contains(page, "whenever they happened") {
		t.Error("the overview explains a difference that is none")
	}
	s.add(audit.KindSystemEvent, broken(60*24*time.Hour, "alice"), broken(61*24*time.Hour, "oscar"), broken(62*24*time.Hour, "oscar"))
	for path, want := range map[string]string{"/": "of 5 open", "/?days=90": "", "/?user=alice": "of 2 open", "/?user=bob": "", "/?user=oscar": "of 2 open"} {
		page := s.page("viewer", path)
		if got := regexp.MustCompile(`of \d+ open`).FindString(page); got != want {
			t.Errorf("%s says %q beside the unresolved events, want %q", path, got, want)
		}
		if strings.Contains(page, "whenever they happened") != (want != "") {
			t.Errorf("%s explains the numbers, or does not", path)
		}
	}
	all := links(t, s.page("viewer", "/"))
	for text, want := range map[string]int64{"5 open": 5, "System events": 5} {
		var found listed
		s.data("viewer", strings.Replace(all[text], "/system-events", "/system-events.json", 1), &found)
		if found.Count.Value != want {
			t.Errorf("%s leads to %q, %d events, want %d", text, all[text], found.Count.Value, want)
		}
	}
	if all["5 open"] != "/system-events?q=is%3Aunresolved" {
		t.Errorf("the open ones of the menu lead to %q", all["5 open"])
	}
}

// TestOverviewOfOneUser: nothing on it is about anybody else, and of a name that
// nobody has it says so.
func TestOverviewOfOneUser(t *testing.T) {
	s := newSite(t)
	s.shop()
	s.add(audit.KindLoginAttempt, map[string]string{"timestamp": at(time.Hour), "username": "oscar", "status": "FAILED", "ip_address": "192.0.2.66"})
	const unknown = "Nothing was ever recorded of a user of that name or id"
	page := s.page("viewer", "/?user=alice")
	for _, other := range []string{"Failed to sign in most", "What people did", "oscar", "192.0.2.66", "bob", unknown} {
		if strings.Contains(page, other) {
			t.Errorf("the overview of alice says %q", other)
		}
	}
	all := links(t, page)
	for text, count := range map[string]int64{"198.51.100.7": 1, "Audit logs": 2, "Login attempts": 2} {
		var found listed
		s.data("viewer", strings.Replace(all[text], "?", ".json?", 1), &found)
		if found.Count.Value != count {
			t.Errorf("%s leads to %q, %d events, want %d", text, all[text], found.Count.Value, count)
		}
	}
	if all["Everything about this user"] != "/users?name=alice" {
		t.Errorf("the overview leads on to %q", all["Everything about this user"])
	}
	if page := s.page("viewer", "/?user=zzz"); !strings.Contains(page, unknown) || strings.Contains(page, "oscar") {
		t.Error("the overview of nobody does not say that nothing is known")
	}
	if page := s.page("viewer", "/"); strings.Contains(page, unknown) || !strings.Contains(page, "Failed to sign in most") || !strings.Contains(page, "oscar") {
		t.Error("the overview of everybody is not about everybody")
	}
}
