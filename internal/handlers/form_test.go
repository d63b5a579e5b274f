package handlers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// expect is the status of an answer, and where it leads.
func expect(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %d, want %d", what, got, want)
	}
}

// tooLate checks the page of a decision that somebody made before: what was
// decided, and the way to the event.
func tooLate(t *testing.T, w *httptest.ResponseRecorder, path string, says ...string) {
	t.Helper()
	expect(t, "a decision that was made before", w.Code, http.StatusConflict)
	for _, want := range append(says, `<a href="`+path+`"`) {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page does not say %q: %s", want, regexp.MustCompile(`(?s)<div class="failure">.*?</ul>`).FindString(w.Body.String()))
		}
	}
}

// What came in resolved says itself who resolved it, and what was never resolved
// cannot have been opened again.
func TestResolvedElsewhere(t *testing.T) {
	s := newSite(t)
	ids := s.add(audit.KindSystemEvent,
		map[string]string{"timestamp": at(time.Hour), "event_type": "ERROR", "title": "Disk full", "resolved": "true", "resolved_at": at(time.Minute), "resolved_by": "otto", "resolution_note": "a new disk"},
		map[string]string{"timestamp": at(2 * time.Hour), "event_type": "ERROR", "title": "Disk slow"})
	note := url.Values{"note": {"looked at it"}}
	tooLate(t, s.post("responder", "/system-events/"+ids[0]+"/resolve", note), "/system-events/"+ids[0], "Already resolved by otto", "11:59:00", "a new disk")
	tooLate(t, s.post("responder", "/system-events/"+ids[1]+"/reopen", note), "/system-events/"+ids[1], "never resolved")
}

// ASVS:V2.3.1
func TestResolve(t *testing.T) {
	s := newSite(t)
	path := "/system-events/" + s.shop()[audit.KindSystemEvent]
	note := url.Values{"note": {"restarted the pool"}}

	expect(t, "resolve as a viewer", s.post("viewer", path+"/resolve", note).Code, http.StatusForbidden)
	missing := s.post("responder", path+"/resolve", url.Values{"note": {"   "}})
	expect(t, "resolve without a note", missing.Code, http.StatusUnprocessableEntity)
	if !strings.Contains(missing.Body.String(), "Nothing was done") {
		t.Error("the form does not say what is missing")
	}
	long := s.post("responder", path+"/resolve", url.Values{"note": {strings.Repeat("n", noteLimit+1)}})
	expect(t, "resolve with a long note", long.Code, http.StatusUnprocessableEntity)
	if !strings.Contains(long.Body.String(), strings.Repeat("n", noteLimit+1)) {
		t.Error("what was typed is lost")
	}
	expect(t, "resolve with far too much", s.post("responder", path+"/resolve", url.Values{"note": {strings.Repeat("n", 2*formLimit)}}).Code, http.StatusRequestEntityTooLarge)

	done := s.post("responder", path+"/resolve", note)
	expect(t, "resolve", done.Code, http.StatusSeeOther)
	if got := done.Header().Get("Location"); got != path {
		t.Errorf("resolve leads to %q, want %q", got, path)
	}
	page := s.page("viewer", path)
	for _, want := range []string{"restarted the pool", "rosa"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	tooLate(t, s.post("superuser", path+"/resolve", note), path, "It is resolved already", "Already resolved by rosa on 31 March at 12:00:00, so nothing was done: “restarted the pool”.")
	id := path[strings.LastIndexByte(path, '/')+1:]
	tooLate(t, s.post("superuser", "/system-events/resolve", url.Values{"id": {id}, "note": {"me too"}}), path, "Already resolved by rosa")
	expect(t, "reopen", s.post("responder", path+"/reopen", url.Values{"note": {"it came back"}}).Code, http.StatusSeeOther)
	tooLate(t, s.post("superuser", path+"/reopen", note), path, "It is open already", "Already opened again by rosa on 31 March at 12:00:00, so nothing was done: “it came back”.")
	expect(t, "resolve what is not there", s.post("responder", "/system-events/12/resolve", note).Code, http.StatusNotFound)
	expect(t, "resolve by GET", s.get("responder", path+"/resolve").Code, http.StatusMethodNotAllowed)
	if page := s.page("viewer", path); strings.Contains(page, "<textarea") || !strings.Contains(page, "Only a responder or a superuser may") {
		t.Error("a viewer is offered the form, or not told the rule")
	}
	var traces listed
	s.data("viewer", "/audit-logs.json?q=user:rosa+type:auditadmin.system_event", &traces)
	if len(traces.Items) != 2 {
		t.Errorf("got %d traces of decisions, want 2", len(traces.Items))
	}
}

func TestFlashIsShownOnce(t *testing.T) {
	s := newSite(t)
	path := "/system-events/" + s.shop()[audit.KindSystemEvent]
	done := s.post("responder", path+"/resolve", url.Values{"note": {"done"}})
	var flash *http.Cookie
	for _, c := range done.Result().Cookies() {
		if c.Name == flashCookie {
			flash = c
		}
	}
	if flash == nil || !flash.HttpOnly || flash.SameSite != http.SameSiteLaxMode {
		t.Fatalf("got cookie %v, want one that is HttpOnly and Lax", flash)
	}
	r := httptestGet(path)
	r.AddCookie(flash)
	w := s.do("viewer", r)
	if !strings.Contains(w.Body.String(), "1 system event resolved.") {
		t.Error("the page does not say what was done")
	}
	if !strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), "\n"), flashCookie+"=; ") {
		t.Error("the message is not taken back")
	}
	forged := httptestGet(path)
	forged.AddCookie(&http.Cookie{Name: flashCookie, Value: "deleted everything.1"})
	if w := s.do("viewer", forged); strings.Contains(w.Body.String(), "deleted everything") {
		t.Error("a made-up message is shown")
	}
}

func TestResolveSelected(t *testing.T) {
	s := newSite(t)
	s.shop()
	var list listed
	s.data("viewer", "/system-events.json", &list)
	ids := url.Values{"note": {"looked at"}, "next": {"/system-events?q=is:resolved"}}
	for _, item := range list.Items[:2] {
		ids.Add("id", item["id"].(string))
	}
	done := s.post("responder", "/system-events/resolve", ids)
	expect(t, "resolve two", done.Code, http.StatusSeeOther)
	if got, want := done.Header().Get("Location"), "/system-events?q=is:resolved"; got != want {
		t.Errorf("leads to %q, want %q", got, want)
	}
	for as, path := range map[string]string{"responder": "/system-events/resolve", "superuser": "/audit-logs/delete"} {
		list := strings.TrimSuffix(path, path[strings.LastIndexByte(path, '/'):])
		none := s.post(as, path, url.Values{"note": {"a new disk"}, "reason": {"a new disk"}, "next": {list + "?q=last:7d"}})
		expect(t, path+" of none", none.Code, http.StatusBadRequest)
		page := none.Body.String()
		if back := links(t, page)["Back to the rows"]; back != list+"?q=last%3A7d&select=rows" || !strings.Contains(page, "Nothing was selected") || !strings.Contains(page, "a new disk") {
			t.Errorf("%s of none leads back to %q, or does not give back what was written", path, back)
		}
	}
	expect(t, "resolve nonsense", s.post("responder", "/system-events/resolve", url.Values{"note": {"x"}, "id": {"abc"}}).Code, http.StatusBadRequest)
	again := s.post("responder", "/system-events/resolve", url.Values{"id": {list.Items[2]["id"].(string)}})
	expect(t, "resolve without a note", again.Code, http.StatusUnprocessableEntity)
	if !strings.Contains(again.Body.String(), list.Items[2]["id"].(string)) {
		t.Error("the form forgot what was selected")
	}
	away := s.post("responder", "/system-events/resolve", url.Values{"id": {list.Items[2]["id"].(string)}, "note": {"x"}, "next": {"//evil.example/"}})
	if got := away.Header().Get("Location"); got != "/system-events" {
		t.Errorf("leads to %q, want /system-events", got)
	}
}

// TestOnToTheNextOpen: who resolved one event is led to the next older one that is
// open, or to the newest, and from one that is open to those that say the same.
func TestOnToTheNextOpen(t *testing.T) {
	s := newSite(t)
	event := func(before time.Duration, title string) map[string]string {
		return map[string]string{"timestamp": at(before), "event_type": "ERROR", "title": title}
	}
	ids := s.add(audit.KindSystemEvent, event(time.Hour, "Disk full"), event(2*time.Hour, `Disk "slow"`), event(3*time.Hour, "Disk full"))
	const alike = "Resolve it with others of this title"
	if to := links(t, s.page("viewer", "/system-events/"+ids[0]))[alike]; to != "" {
		t.Errorf("a viewer is led to resolve %s", to)
	}
	var same listed
	to := links(t, s.page("responder", "/system-events/"+ids[0]))[alike]
	if to == "" {
		t.Fatal("the events of the same title are not led to")
	}
	s.data("responder", strings.Replace(to, "/system-events", "/system-events.json", 1), &same)
	if same.Count.Value != 2 || !strings.Contains(s.page("responder", to), `name="id" value="`+ids[2]+`"`) {
		t.Errorf("%s has %d events to select, want both of that title", to, same.Count.Value)
	}
	note := url.Values{"note": {"looked at it"}}
	after := func(path string) *httptest.ResponseRecorder { // the page that the form leads to, with what it left
		w := s.post("responder", path, note)
		r := httptestGet(w.Header().Get("Location"))
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
		return s.do("responder", r)
	}
	for _, step := range []struct{ resolve, next string }{{ids[1], ids[2]}, {ids[2], ids[0]}, {ids[0], ""}} {
		w := after("/system-events/" + step.resolve + "/resolve")
		if !strings.Contains(w.Body.String(), "1 system event resolved.") {
			t.Fatalf("nothing is said after %s was resolved", step.resolve)
		}
		all, want := links(t, w.Body.String()), ""
		if step.next != "" {
			want = "/system-events/" + step.next
		}
		if all["The next open one"] != want || all[alike] != "" {
			t.Errorf("after %s it goes on to %q and %q, want %q", step.resolve, all["The next open one"], all[alike], want)
		}
		if !strings.Contains(w.Body.String(), "(after ") {
			t.Error("the decision does not say how long it took")
		}
	}
	reopened := after("/system-events/" + ids[0] + "/reopen")
	if all := links(t, reopened.Body.String()); all["The next open one"] != "" {
		t.Error("who opened an event again is led away from it")
	}
}

// TestOwnSessionIsSignedOut: nobody ends the session he is in from the list of all of
// them by mistake; signing out does that.
func TestOwnSessionIsSignedOut(t *testing.T) {
	s := newSite(t)
	page := s.page("superuser", "/accounts")
	rows := regexp.MustCompile(`(?s)<tr>.*?</tr>`).FindAllString(page[strings.Index(page, "Last seen"):], -1)
	own, others := 0, 0
	for _, row := range rows {
		switch ends := strings.Contains(row, "/end\""); {
		case strings.Contains(row, "this one"):
			own++
			if ends {
				t.Errorf("the session in which the page is read has an end: %s", row)
			}
		case ends:
			others++
		}
	}
	if own != 1 || others == 0 {
		t.Errorf("got %d own sessions, and %d others to be ended", own, others)
	}
}

// TestResolveSomeResolved: what is open of a selection is resolved, and of the rest
// the answer says by whom, when and why it was; of a selection of which nothing is
// open it says that of all, and gives back what was typed.
func TestResolveSomeResolved(t *testing.T) {
	s := newSite(t)
	s.shop()
	var list listed
	s.data("viewer", "/system-events.json", &list)
	form := url.Values{"note": {"one cause & one mend"}}
	for _, item := range list.Items {
		form.Add("id", item["id"].(string))
	}
	first := form["id"][0]
	expect(t, "resolve one", s.post("superuser", "/system-events/"+first+"/resolve", url.Values{"note": {"restarted"}}).Code, http.StatusSeeOther)
	done := s.post("responder", "/system-events/resolve", form)
	expect(t, "resolve three, one of them again", done.Code, http.StatusSeeOther)
	look := func(role string) string {
		r := httptest.NewRequest(http.MethodGet, done.Header().Get("Location"), nil)
		for _, c := range done.Result().Cookies() {
			r.AddCookie(c)
		}
		if c := s.cookie[role]; c != nil {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		s.server.ServeHTTP(w, r)
		return w.Body.String()
	}
	page := look("responder")
	for _, want := range []string{"2 system events resolved. 1 more was resolved already, and nothing was changed there: “deployed” by sam on 31 March at 12:00:00 (restarted).", "/system-events?q=id%3A" + first} {
		if !strings.Contains(page, want) {
			t.Errorf("the answer does not say %q", want)
		}
	}
	if strings.Contains(look(""), "deployed") {
		t.Error("a stranger is told what was resolved")
	}
	var now listed
	s.data("viewer", "/system-events.json?q=id:"+first, &now)
	if got := now.Items[0]["resolution_note"]; got != "restarted" {
		t.Errorf("the first resolution is now %q", got)
	}
	none := s.post("superuser", "/system-events/resolve", form)
	expect(t, "resolve what is all resolved", none.Code, http.StatusConflict)
	for _, want := range []string{"They are resolved already", "All 3 were resolved before, so nothing was done: ", "by sam on 31 March at 12:00:00 (restarted)", "by rosa on", "See them", "one cause &amp; one mend"} {
		if !strings.Contains(none.Body.String(), want) {
			t.Errorf("the refusal does not say %q", want)
		}
	}
	expect(t, "the list of them", s.get("viewer", links(t, none.Body.String())["See them"]).Code, http.StatusOK)
}

// TestResolveLessThanWasSeen resolves by a query of which somebody resolved a part
// since: the page asks once more, with what was typed, and says who did.
func TestResolveLessThanWasSeen(t *testing.T) {
	s := newSite(t)
	id := s.shop()[audit.KindSystemEvent]
	field := func(page, name string) string {
		found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
		if found == nil {
			t.Fatalf("the page has no %s", name)
		}
		return found[1]
	}
	page := s.page("responder", "/system-events?select=all&q=is:unresolved")
	form := url.Values{"q": {"is:unresolved"}, "upto": {field(page, "upto")}, "confirm": {field(page, "confirm")}, "note": {"one cause & one mend"}}
	expect(t, "resolve one", s.post("superuser", "/system-events/"+id+"/resolve", url.Values{"note": {"restarted"}}).Code, http.StatusSeeOther)

	again := s.post("responder", "/system-events/resolve", form)
	expect(t, "what was seen", again.Code, http.StatusConflict)
	for _, want := range []string{"3 events matched when you looked, and 2 now", "Resolved since: “deadlock detected” by sam on 31 March at 12:00:00 (restarted).", "one cause &amp; one mend"} {
		if !strings.Contains(again.Body.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	form.Set("upto", field(again.Body.String(), "upto"))
	form.Set("confirm", field(again.Body.String(), "confirm"))
	expect(t, "what is seen now", s.post("responder", "/system-events/resolve", form).Code, http.StatusSeeOther)

	form.Set("upto", field(page, "upto"))
	none := s.post("responder", "/system-events/resolve", form)
	expect(t, "once more", none.Code, http.StatusConflict)
	for _, want := range []string{"They are resolved already", "by sam on", "by rosa on", "one cause &amp; one mend"} {
		if !strings.Contains(none.Body.String(), want) {
			t.Errorf("the refusal does not say %q", want)
		}
	}
}

// TestResolveWhatWasSeen resolves by a query: what came in after the page was
// made is not touched, and another count is a conflict.
func TestResolveWhatWasSeen(t *testing.T) {
	s := newSite(t)
	s.shop()
	page := s.page("responder", "/system-events?select=all&q=is:unresolved")
	upto := regexp.MustCompile(`name="upto" value="(\d+)"`).FindStringSubmatch(page)
	if upto == nil || !strings.Contains(page, `name="confirm" value="3"`) {
		t.Fatalf("the page shows no upto, or not confirm=3: %s", page)
	}
	form := url.Values{"q": {"is:unresolved"}, "upto": {upto[1]}, "confirm": {"3"}, "note": {"known"}}
	late := s.add(audit.KindSystemEvent, map[string]string{"timestamp": at(0), "event_type": "ERROR", "title": "came since"})[0]

	expect(t, "as a viewer", s.post("viewer", "/system-events/resolve", form).Code, http.StatusForbidden)
	expect(t, "the page as a viewer", s.get("viewer", "/system-events?select=all&q=is:unresolved").Code, http.StatusForbidden)
	for field, value := range map[string]string{"confirm": "2", "upto": "1"} {
		other := url.Values{"q": form["q"], "upto": form["upto"], "confirm": form["confirm"], "note": form["note"]}
		other.Set(field, value)
		expect(t, "another "+field, s.post("responder", "/system-events/resolve", other).Code, http.StatusConflict)
	}
	expect(t, "without numbers", s.post("responder", "/system-events/resolve", url.Values{"q": {"is:unresolved"}, "note": {"x"}}).Code, http.StatusBadRequest)
	expect(t, "without a note", s.post("responder", "/system-events/resolve", url.Values{"q": form["q"], "upto": form["upto"], "confirm": form["confirm"]}).Code, http.StatusUnprocessableEntity)
	expect(t, "a wrong query", s.post("responder", "/system-events/resolve", url.Values{"q": {"is:"}, "upto": form["upto"], "confirm": form["confirm"], "note": {"x"}}).Code, http.StatusBadRequest)

	expect(t, "what was seen", s.post("responder", "/system-events/resolve", form).Code, http.StatusSeeOther)
	var open listed
	s.data("viewer", "/system-events.json?q=is:unresolved", &open)
	if len(open.Items) != 1 || open.Items[0]["id"] != late {
		t.Errorf("open are %v, want only %s, which came since", open.Items, late)
	}
}

func TestDelete(t *testing.T) {
	s := newSite(t)
	id := s.shop()[audit.KindAuditLog]
	path := "/audit-logs/" + id
	reason := url.Values{"reason": {"ticket 17: erase"}}

	expect(t, "as a responder", s.post("responder", path+"/delete", reason).Code, http.StatusForbidden)
	if strings.Contains(s.page("responder", path), path+"/delete") {
		t.Error("a responder is offered to delete")
	}
	again := s.post("superuser", path+"/delete", url.Values{"reason": {""}})
	expect(t, "without a reason", again.Code, http.StatusUnprocessableEntity)
	if !strings.Contains(again.Body.String(), "Nothing was done") {
		t.Error("the form does not say what is missing")
	}
	expect(t, "with a reason", s.post("superuser", path+"/delete", reason).Code, http.StatusSeeOther)

	grave := s.get("viewer", path)
	expect(t, "its page", grave.Code, http.StatusGone)
	for _, want := range []string{"ticket 17: erase", "sam"} {
		if !strings.Contains(grave.Body.String(), want) {
			t.Errorf("its page does not say %q", want)
		}
	}
	twin := s.get("viewer", path+".json")
	expect(t, "its twin", twin.Code, http.StatusGone)
	for _, want := range []string{`"error":"Deleted by sam: ticket 17: erase"`, `"deleted_by":"sam"`, `"reason":"ticket 17: erase"`, `"deleted_at":"2026-03-31T12:00:00.000000Z"`} {
		if !strings.Contains(twin.Body.String(), want) {
			t.Errorf("its twin has no %s: %s", want, twin.Body)
		}
	}
	if page := s.page("viewer", "/audit-logs"); !strings.Contains(page, "sam deleted an event here") || !strings.Contains(page, "ticket 17: erase") {
		t.Error("its place in the list is empty")
	}
	expect(t, "once more", s.post("superuser", path+"/delete", reason).Code, http.StatusGone)

	var trace listed
	s.data("viewer", "/audit-logs.json?q=action:DELETE+object:"+id, &trace)
	if len(trace.Items) != 1 || trace.Items[0]["reason"] != "ticket 17: erase" {
		t.Fatalf("the trace is %v, want one with the reason", trace.Items)
	}
	expect(t, "the trace itself", s.post("superuser", "/audit-logs/"+trace.Items[0]["id"].(string)+"/delete", reason).Code, http.StatusForbidden)
}

func TestDeleteSelected(t *testing.T) {
	s := newSite(t)
	s.shop()
	var list listed
	s.data("viewer", "/login-attempts.json?q=user:alice", &list)
	form := url.Values{"reason": {"tests"}}
	for _, item := range list.Items {
		form.Add("id", item["id"].(string))
	}
	expect(t, "without a reason", s.post("superuser", "/login-attempts/delete", url.Values{"id": form["id"]}).Code, http.StatusUnprocessableEntity)
	expect(t, "none", s.post("superuser", "/login-attempts/delete", url.Values{"reason": {"x"}}).Code, http.StatusBadRequest)
	many := url.Values{"reason": {"x"}}
	for i := range 1001 {
		many.Add("id", fmt.Sprint(i+1))
	}
	expect(t, "too many", s.post("superuser", "/login-attempts/delete", many).Code, http.StatusBadRequest)
	expect(t, "both", s.post("superuser", "/login-attempts/delete", form).Code, http.StatusSeeOther)
	s.data("viewer", "/login-attempts.json?q=user:alice", &list)
	if len(list.Items) != 0 {
		t.Errorf("%d are left, want none", len(list.Items))
	}
}

// ASVS:V7.4.5
func TestAccounts(t *testing.T) {
	s := newSite(t)
	create := url.Values{"name": {"ines"}, "role": {"viewer"}, "password": {password}}
	expect(t, "as a responder", s.post("responder", "/accounts", create).Code, http.StatusForbidden)
	expect(t, "create", s.post("superuser", "/accounts", create).Code, http.StatusSeeOther)
	for what, change := range map[string]url.Values{
		"twice":            {"name": {"INES"}, "role": {"viewer"}, "password": {password}},
		"a short password": {"name": {"paul"}, "role": {"viewer"}, "password": {"short"}},
		"no role":          {"name": {"paul"}, "role": {"king"}, "password": {password}},
		"no name":          {"name": {""}, "role": {"viewer"}, "password": {password}},
	} {
		w := s.post("superuser", "/accounts", change)
		expect(t, what, w.Code, http.StatusUnprocessableEntity)
		if strings.Contains(w.Body.String(), password) {
			t.Errorf("%s: the password is in the page", what)
		}
	}
	page := s.page("superuser", "/accounts")
	id := regexp.MustCompile(`/accounts/(\d+)/role`).FindAllStringSubmatch(page, -1)
	if len(id) != 3 {
		t.Fatalf("roles of %d accounts can be changed, want 3: all but one's own", len(id))
	}
	ines := "/accounts/" + id[len(id)-1][1]
	var own string
	accounts, err := s.store.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		switch a.Name {
		case "ines":
			ines = fmt.Sprintf("/accounts/%d", a.ID)
		case "sam":
			own = fmt.Sprintf("/accounts/%d", a.ID)
		}
	}
	expect(t, "role", s.post("superuser", ines+"/role", url.Values{"role": {"responder"}}).Code, http.StatusSeeOther)
	expect(t, "a role that is none", s.post("superuser", ines+"/role", url.Values{"role": {"king"}}).Code, http.StatusBadRequest)
	expect(t, "one's own role", s.post("superuser", own+"/role", url.Values{"role": {"viewer"}}).Code, http.StatusConflict)
	oneself := s.post("superuser", own+"/disable", nil)
	expect(t, "disable oneself", oneself.Code, http.StatusConflict)
	if !strings.Contains(oneself.Body.String(), "<h1>That is your own account</h1>") {
		t.Error("the page that refuses to disable oneself has no heading")
	}
	expect(t, "disable", s.post("superuser", ines+"/disable", nil).Code, http.StatusSeeOther)
	expect(t, "enable", s.post("superuser", ines+"/enable", nil).Code, http.StatusSeeOther)
	expect(t, "a bad password", s.post("superuser", ines+"/password", url.Values{"password": {"x"}}).Code, http.StatusUnprocessableEntity)
	expect(t, "a password", s.post("superuser", ines+"/password", url.Values{"password": {password + "2"}}).Code, http.StatusSeeOther)
	expect(t, "nobody", s.post("superuser", "/accounts/999/disable", nil).Code, http.StatusNotFound)
	expect(t, "not a number", s.post("superuser", "/accounts/x/disable", nil).Code, http.StatusNotFound)
	expect(t, "no session", s.post("superuser", "/sessions/none/end", nil).Code, http.StatusNotFound)

	open, err := s.store.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range open {
		for _, a := range accounts {
			if a.ID == session.AccountID && a.Name == "vera" {
				expect(t, "a session", s.post("superuser", "/sessions/"+session.PublicID+"/end", nil).Code, http.StatusSeeOther)
			}
		}
	}
	if w := s.get("viewer", "/audit-logs"); w.Code != http.StatusSeeOther {
		t.Errorf("a page in a session that was ended: got %d, want 303", w.Code)
	}
}

func TestTokens(t *testing.T) {
	s := newSite(t)
	w := s.post("superuser", "/tokens", url.Values{"name": {"grafana"}, "scope": {"read"}, "expires": {"30d"}})
	expect(t, "create", w.Code, http.StatusOK)
	secret := regexp.MustCompile(`aat_[\w-]{43}`).FindString(w.Body.String())
	if secret == "" {
		t.Fatal("the secret is not shown")
	}
	s.tokens["grafana"] = secret
	s.page("token:grafana", "/audit-logs.json")
	if page := s.page("superuser", "/accounts"); strings.Contains(page, secret) {
		t.Error("the secret is shown a second time")
	}
	for what, form := range map[string]url.Values{
		"no name":  {"name": {""}, "scope": {"read"}, "expires": {"30d"}},
		"no scope": {"name": {"x"}, "scope": {"write"}, "expires": {"30d"}},
		"no end":   {"name": {"x"}, "scope": {"read"}, "expires": {"soon"}},
	} {
		expect(t, what, s.post("superuser", "/tokens", form).Code, http.StatusUnprocessableEntity)
	}
	tokens, err := s.store.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		if token.Name == "grafana" {
			expect(t, "revoke", s.post("superuser", fmt.Sprintf("/tokens/%d/revoke", token.ID), nil).Code, http.StatusSeeOther)
		}
	}
	expect(t, "a revoked token", s.get("token:grafana", "/audit-logs.json").Code, http.StatusUnauthorized)
}

func TestSigningIn(t *testing.T) {
	s := newSite(t)
	page := s.page("", "/login?next=/system-events?q=event:ERROR")
	if !strings.Contains(page, "system events") || !strings.Contains(page, `value="/system-events?q=event:ERROR"`) {
		t.Error("the page does not say where it goes on")
	}
	var answers []string
	for _, name := range []string{"sam", "nobody at all"} {
		w := s.post("", "/login", url.Values{"username": {name}, "password": {"wrong"}})
		expect(t, "a wrong password", w.Code, http.StatusUnauthorized)
		answers = append(answers, regexp.MustCompile(`value="[^"]*"|made in [^.]*`).ReplaceAllString(w.Body.String(), ""))
	}
	if answers[0] != answers[1] {
		t.Error("a wrong password and an unknown name get different answers")
	}
	w := s.post("", "/login", url.Values{"username": {"sam"}, "password": {password}, "next": {"https://evil.example/"}})
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != "/" {
		t.Errorf("got %d to %q, want 303 to /", w.Code, got)
	}
	out := s.post("viewer", "/logout", nil)
	expect(t, "sign out", out.Code, http.StatusSeeOther)
	expect(t, "after signing out", s.get("viewer", "/").Code, http.StatusSeeOther)
	if w := s.get("superuser", "/login?next=/accounts"); w.Header().Get("Location") != "/accounts" {
		t.Error("who is signed in is asked again")
	}
}

func TestOwnPassword(t *testing.T) {
	s := newSite(t)
	fresh := "another sentence nobody guesses"
	for what, form := range map[string]url.Values{
		"two different": {"current": {password}, "password": {fresh}, "again": {fresh + "!"}},
		"wrong current": {"current": {"wrong"}, "password": {fresh}, "again": {fresh}},
		"too short":     {"current": {password}, "password": {"short"}, "again": {"short"}},
	} {
		expect(t, what, s.post("viewer", "/account/password", form).Code, http.StatusUnprocessableEntity)
	}
	w := s.post("viewer", "/account/password", url.Values{"current": {password}, "password": {fresh}, "again": {fresh}})
	expect(t, "change", w.Code, http.StatusSeeOther)
	expect(t, "the old session", s.get("viewer", "/audit-logs").Code, http.StatusSeeOther)
	expect(t, "the new password", s.post("", "/login", url.Values{"username": {"vera"}, "password": {fresh}}).Code, http.StatusSeeOther)
}
