package handlers

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// TestAddressesOfAUser: each address leads to the events that were counted, in
// whichever kind they are, and so do those that the page has no room for.
func TestAddressesOfAUser(t *testing.T) {
	s := newSite(t)
	var tried []map[string]string
	for i := range 24 { // two from each of twelve addresses
		tried = append(tried, map[string]string{"timestamp": at(time.Duration(i+1) * time.Minute), "username": "maria", "status": "SUCCESS", "ip_address": fmt.Sprintf("192.0.2.%d", 101+i%12)})
	}
	s.add(audit.KindLoginAttempt, tried...)
	s.add(audit.KindLoginAttempt, map[string]string{"timestamp": at(2 * time.Hour), "username": "oscar", "status": "SUCCESS", "ip_address": "192.0.2.101"})
	s.add(audit.KindAuditLog, map[string]string{"timestamp": at(time.Hour), "username": "maria", "action": "VIEW", "ip_address": "192.0.2.101"})
	page := s.page("viewer", "/users?name=maria")
	if !strings.Contains(page, "2 login attempts") {
		t.Error("the page does not say what the events of an address were")
	}
	all := links(t, page)
	for text, want := range map[string]struct {
		kind  audit.Kind
		count int
	}{"192.0.2.101": {audit.KindLoginAttempt, 2}, "1 audit log": {audit.KindAuditLog, 1}, "192.0.2.102": {audit.KindLoginAttempt, 2}} {
		list := all[text]
		if !strings.HasPrefix(list, "/"+want.kind.Path()+"?") {
			t.Errorf("%s leads to %q, want %s", text, list, want.kind.Plural())
			continue
		}
		var found listed
		s.data("viewer", strings.Replace(list, "?", ".json?", 1), &found)
		if found.Count.Value != int64(want.count) {
			t.Errorf("%s leads to %d events, want %d", text, found.Count.Value, want.count)
		}
	}
	more := all["and 2 more"]
	if more == "" {
		t.Fatal("the addresses that have no room lead nowhere")
	}
	listed := s.page("viewer", strings.TrimSuffix(more, "#facet-ip"))
	for i := range 12 {
		if address := fmt.Sprintf("192.0.2.%d", 101+i); !strings.Contains(listed, address) {
			t.Errorf("%s does not show %s", more, address)
		}
	}
}

// TestBarsOfAUser: a bar of a user's page leads to the same page of that time, which
// shows as many events of all kinds as the bar counts, down to the hour.
func TestBarsOfAUser(t *testing.T) {
	s := newSite(t)
	for i, kind := range audit.Kinds() {
		required := map[audit.Kind]map[string]string{
			audit.KindAuditLog:     {"action": "VIEW", "ip_address": "192.0.2.1"},
			audit.KindLoginAttempt: {"status": "SUCCESS", "ip_address": "192.0.2.1"},
			audit.KindDataExport:   {"export_type": "orders", "ip_address": "192.0.2.1"},
			audit.KindSystemEvent:  {"event_type": "ERROR", "title": "It broke", "ip_address": "192.0.2.2"},
		}[kind]
		for _, back := range []time.Duration{0, 10 * time.Minute, 40 * time.Hour, 400 * 24 * time.Hour}[:4-i] {
			event := map[string]string{"timestamp": at(back + time.Minute), "username": "maria"}
			maps.Copy(event, required)
			s.add(kind, event)
			if kind != audit.KindDataExport {
				event["username"] = "oscar"
				s.add(kind, event)
			}
		}
	}
	total := regexp.MustCompile(`>(\d+) events? (?:from|on) `)
	bar := regexp.MustCompile(`<a href="([^"]*)">\s*<svg[^>]*>\s*<title>([^<]*): (\d+) events?</title>`)
	var visit func(path string, depth int) int
	visit = func(path string, depth int) int {
		page, count := s.page("viewer", path), 0
		if m := total.FindStringSubmatch(page); m != nil {
			count, _ = strconv.Atoi(m[1])
		}
		sum := 0
		for _, section := range regexp.MustCompile(`<dd>\s*<a[^>]* href="(/[a-z-]+\?[^"]*)">(\d+)</a>`).FindAllStringSubmatch(page, -1) {
			var found listed
			s.data("viewer", strings.Replace(html.UnescapeString(section[1]), "?", ".json?", 1), &found)
			if n, _ := strconv.Atoi(section[2]); found.Count.Value != int64(n) {
				t.Errorf("%s says %d, and %s is %d events", path, n, section[1], found.Count.Value)
			}
			sum += int(found.Count.Value)
		}
		if sum != count {
			t.Errorf("%s says that there are %d events, and its lists have %d", path, count, sum)
		}
		bars := bar.FindAllStringSubmatch(page, -1)
		if len(bars) == 0 && depth < 3 {
			t.Errorf("%s has no bars", path)
		}
		for _, b := range bars {
			href, want := html.UnescapeString(b[1]), b[3]
			if want == "0" {
				continue
			}
			if !strings.HasPrefix(href, "/users?") {
				t.Errorf("a bar of %s leads to %s", path, href)
				continue
			}
			if got := visit(href, depth+1); strconv.Itoa(got) != want {
				t.Errorf("the bar of %s counts %s events, and its page %d", b[2], want, got)
			}
		}
		return count
	}
	if got := visit("/users?name=maria", 0); got != 10 {
		t.Errorf("the page of the user counts %d events, want 10", got)
	}
	if empty := s.page("viewer", "/users?name=maria&q=on:2001"); !strings.Contains(empty, "Nothing was recorded of this user in this time.") {
		t.Error("a time without events does not say so")
	}
	if got := s.get("viewer", "/users?name=maria&q=action:VIEW"); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), "narrowed down by time alone") {
		t.Errorf("a query that is not about time: %d", got.Code)
	}
}

// TestUserNobodyKnows: the page of a name that nobody has says so whatever the time,
// offers the names like it, and has no dates to walk through. Of a user who is known
// a time without events keeps the way to others.
func TestUserNobodyKnows(t *testing.T) {
	s := newSite(t)
	s.add(audit.KindAuditLog, map[string]string{"timestamp": at(time.Hour), "username": "maria.keller", "action": "VIEW"})
	s.add(audit.KindLoginAttempt, map[string]string{"timestamp": at(time.Hour), "username": "marla.keller", "status": "FAILED"})
	const never, steps, number = "Nothing was ever recorded of a user of that name or id.", `aria-label="Date"`, `<dl class="sums">`
	for _, path := range []string{"/users?name=mariakeller", "/users?name=mariakeller&q=on:2026-03"} {
		page := s.page("viewer", path)
		if !strings.Contains(page, never) {
			t.Errorf("%s does not say that nobody is called so", path)
		}
		for _, vain := range []string{steps, number} {
			if strings.Contains(page, vain) {
				t.Errorf("%s has %s, of nothing", path, vain)
			}
		}
		all := links(t, page)
		for _, name := range []string{"maria.keller", "marla.keller"} {
			if all[name] != "/users?name="+name {
				t.Errorf("%s offers %q for %s", path, all[name], name)
			}
		}
	}
	page := s.page("viewer", "/users?name=maria.keller&q=on:2001")
	if !strings.Contains(page, steps) || !strings.Contains(page, number) || strings.Contains(page, never) || strings.Contains(page, "Did you mean") {
		t.Error("a time without events of a user who is known looks like that of nobody")
	}
	if page := s.page("viewer", "/users?name=zz9"); strings.Contains(page, "Did you mean") {
		t.Error("a name that is like no other is taken for one")
	}
}
