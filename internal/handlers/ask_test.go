package handlers

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
)

// formOf reads the form of a page as a browser without script would send it.
func formOf(t *testing.T, page, field string) (action string, fields url.Values) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	attr := func(n *html.Node, name string) (string, bool) {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val, true
			}
		}
		return "", false
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		fields = url.Values{}
		for in := range n.Descendants() {
			if name, named := attr(in, "name"); named && in.Data == "input" {
				value, _ := attr(in, "value")
				fields.Add(name, value)
			}
		}
		if fields.Has(field) {
			action, _ = attr(n, "action")
			if method, _ := attr(n, "method"); method != "post" {
				t.Errorf("the form is sent by %q", method)
			}
			return action, fields
		}
	}
	t.Fatalf("the page has no form with the field %q", field)
	return "", nil
}

// TestT19_FormSurvivesTheQuestion: who is asked again loses nothing of what he
// filled in, needs no script for it, and secrets are not sent back to him.
//
// ASVS:V7.5.3
func TestT19_FormSurvivesTheQuestion(t *testing.T) {
	s := newSite(t)
	s.shop()
	var logs listed
	s.data("viewer", "/audit-logs.json?q=type:shop.order", &logs)
	reason := "ticket 17: \"erase\" <b>it</b> & 'more' ßöé\u202e"
	sent := url.Values{"reason": {reason}, "id": {logs.Items[0]["id"].(string), logs.Items[1]["id"].(string)}, "next": {"/audit-logs?q=type:shop.order"}}
	s.pass(6 * time.Minute)
	asked := s.post("superuser", "/audit-logs/delete", sent)
	if asked.Code != http.StatusForbidden || !strings.Contains(asked.Body.String(), "delete audit logs") {
		t.Fatalf("got %d, want asked again: %s", asked.Code, asked.Body)
	}
	action, fields := formOf(t, asked.Body.String(), authz.ConfirmField)
	if action != "/audit-logs/delete" {
		t.Errorf("the form goes to %q", action)
	}
	for name, values := range sent {
		if strings.Join(fields[name], "|") != strings.Join(values, "|") {
			t.Errorf("%s: got %q, want %q", name, fields[name], values)
		}
	}
	fields.Set(authz.ConfirmField, "wrong")
	wrong := s.post("superuser", action, fields)
	if wrong.Code != http.StatusForbidden || !strings.Contains(wrong.Body.String(), "not your password") {
		t.Errorf("a wrong answer: got %d", wrong.Code)
	}
	if strings.Contains(wrong.Body.String(), `value="wrong"`) {
		t.Error("the answer is sent back")
	}
	_, fields = formOf(t, wrong.Body.String(), authz.ConfirmField)
	fields.Set(authz.ConfirmField, password)
	done := s.follow("superuser", action, fields)
	if done.Code != http.StatusSeeOther || done.Header().Get("Location") != "/audit-logs?q=type:shop.order" {
		t.Fatalf("the right answer: got %d to %q", done.Code, done.Header().Get("Location"))
	}
	for _, item := range logs.Items[:2] {
		w := s.get("viewer", "/audit-logs/"+item["id"].(string)+".json")
		if w.Code != http.StatusGone || !strings.Contains(w.Body.String(), `ßöé`) {
			t.Errorf("%s: got %d %s, want it gone with the reason", item["id"], w.Code, w.Body)
		}
	}
	expect(t, "within five minutes", s.post("superuser", "/audit-logs/delete", url.Values{"reason": {"again"}, "id": {logs.Items[2]["id"].(string)}}).Code, http.StatusSeeOther)

	// A new password is typed once more and not sent back.
	s.pass(6 * time.Minute)
	const canary = "a sentence with a canary in it"
	asked = s.post("superuser", "/accounts", url.Values{"name": {"ines"}, "role": {"viewer"}, "password": {canary}})
	if asked.Code != http.StatusForbidden || strings.Contains(asked.Body.String(), canary) {
		t.Errorf("got %d, or the new password is in the page", asked.Code)
	}
	action, fields = formOf(t, asked.Body.String(), authz.ConfirmField)
	if !fields.Has("password") || fields.Get("name") != "ines" {
		t.Errorf("the form has %v, want all that was filled in", fields)
	}
	fields.Set("password", canary)
	fields.Set(authz.ConfirmField, password)
	expect(t, "the account", s.follow("superuser", action, fields).Code, http.StatusSeeOther)
	if _, err := s.store.Account(t.Context(), "ines"); err != nil {
		t.Error(err)
	}
}

// TestT19_EveryRouteThatAsks asks on every route that the policy says so of, by
// the router, before anything happens.
func TestT19_EveryRouteThatAsks(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	s.pass(6 * time.Minute)
	head, asked := s.head(), 0
	for _, rule := range authz.Rules() {
		if !rule.Fresh {
			continue
		}
		kind, _ := kindOf(rule.Pattern)
		path := strings.ReplaceAll(rule.Pattern, "{id}", ids[kind])
		w := s.post("superuser", path, url.Values{"reason": {"x"}, "note": {"x"}})
		if action, _ := formOf(t, w.Body.String(), authz.ConfirmField); w.Code != http.StatusForbidden || action != path {
			t.Errorf("POST %s: got %d and a form to %q", path, w.Code, action)
		}
		if len(w.Result().Cookies()) != 0 {
			t.Errorf("POST %s: got cookies %v", path, w.Result().Cookies())
		}
		asked++
	}
	if asked < 20 {
		t.Errorf("asked on %d routes", asked)
	}
	if now := s.head(); now != head {
		t.Errorf("asking made %d entries in the ledger", now-head)
	}
	// Resolving can be taken back, and does not ask.
	expect(t, "resolve", s.post("responder", "/system-events/"+ids[audit.KindSystemEvent]+"/resolve", url.Values{"note": {"x"}}).Code, http.StatusSeeOther)
}

// TestYourAccount shows somebody his sessions, and ends those of his own alone.
//
// ASVS:V7.5.2 ASVS:V7.4.5
func TestYourAccount(t *testing.T) {
	s := newSite(t)
	var other *http.Cookie
	for _, c := range s.post("", "/login", url.Values{"username": {"vera"}, "password": {password}}).Result().Cookies() {
		if c.Name == "auditadmin" {
			other = c
		}
	}
	s.cookie["other"] = other
	open, err := s.store.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page := s.page("viewer", "/account")
	if !strings.Contains(page, "1 other session") || strings.Count(page, "/account/sessions/") != 1 {
		t.Error("the page does not show the other session")
	}
	rosa, err := s.store.Account(t.Context(), "rosa")
	if err != nil {
		t.Fatal(err)
	}
	for _, se := range open {
		if se.AccountID == rosa.ID {
			expect(t, "somebody else's session", s.post("viewer", "/account/sessions/"+se.PublicID+"/end", nil).Code, http.StatusNotFound)
		}
	}
	expect(t, "rosa", s.get("responder", "/").Code, http.StatusOK)
	expect(t, "the other one", s.get("other", "/").Code, http.StatusOK)
	expect(t, "end the others", s.post("viewer", "/account/end-sessions", nil).Code, http.StatusSeeOther)
	expect(t, "the other one then", s.get("other", "/").Code, http.StatusSeeOther)
	expect(t, "one's own", s.get("viewer", "/").Code, http.StatusOK)
	expect(t, "rosa then", s.get("responder", "/").Code, http.StatusOK)
	if page := s.page("viewer", "/account"); !strings.Contains(page, "signed in nowhere else") {
		t.Error("the page shows sessions that were ended")
	}
}

// TestIssuerPages: without an issuer there is no trace of one; one that is away is
// said to be, and what it never sent is refused.
func TestIssuerPages(t *testing.T) {
	s := newSite(t)
	if page := s.page("", "/login"); strings.Contains(page, "/login/issuer") {
		t.Error("the page offers an issuer that is not there")
	}
	expect(t, "no issuer", s.get("", "/login/issuer").Code, http.StatusNotFound)
	expect(t, "back from none", s.get("", "/login/issuer/callback?code=x&state=y").Code, http.StatusNotFound)
	server, err := New(t.Context(), Config{Store: s.store, Version: "test", KDF: quickKDF, Log: s.server.Log,
		Issuer: &authz.IssuerOptions{URL: "http://127.0.0.1:1", ClientID: "x", Callback: "http://example.com/login/issuer/callback"}})
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	page := s.page("", "/login?next=/audit-logs")
	if !strings.Contains(page, `href="/login/issuer?next=%2Faudit-logs"`) || !strings.Contains(page, "Sign in with 127.0.0.1:1") {
		t.Error("the page does not offer the issuer")
	}
	if w := s.get("", "/login/issuer?next=https://evil.example/"); w.Code != http.StatusBadGateway || strings.Contains(w.Body.String(), "evil") || strings.Contains(w.Body.String(), "connection refused") {
		t.Errorf("an issuer that is away: got %d %s", w.Code, w.Body)
	}
	expect(t, "what it never sent", s.get("", "/login/issuer/callback?code=x&state=y").Code, http.StatusForbidden)
}

// Who is asked finds the way back to what he came from, also after a wrong answer
// and where his browser does not say where he comes from.
func TestLeaveTheQuestion(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	s.pass(6 * time.Minute)
	event := "/audit-logs/" + ids[audit.KindAuditLog]
	for _, test := range []struct {
		path, referer, back string
		form                url.Values
	}{
		{event + "/delete", "", event, url.Values{"reason": {"x"}}},
		{event + "/redact", "", event, url.Values{"reason": {"x"}, "field": {"changes"}}},
		{event + "/delete", event + "/delete", event, url.Values{"reason": {"x"}, authz.ConfirmField: {"wrong"}}},
		{"/audit-logs/delete", "", "/audit-logs?q=user:alice&select=rows", url.Values{"reason": {"x"}, "id": {"12"}, "next": {"/audit-logs?q=user:alice&select=rows"}}},
		{"/audit-logs/delete", "", "/audit-logs", url.Values{"reason": {"x"}, "id": {"12"}, "next": {"https://evil.example/"}}},
		{"/tokens", "", "/accounts", nil},
		{"/retention", "", "/holds", nil},
		{"/account/end-sessions", "/account/end-sessions", "/account", nil},
		{"/accounts/1/disable", "/accounts?tz=UTC", "/accounts?tz=UTC", nil},
	} {
		r := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader(test.form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if test.referer != "" {
			r.Header.Set("Referer", "http://"+r.Host+test.referer)
		}
		w := s.do("superuser", r)
		expect(t, test.path, w.Code, http.StatusForbidden)
		if got := links(t, w.Body.String())["Leave it"]; got != test.back {
			t.Errorf("%s from %q: leaving it leads to %q, want %q", test.path, test.referer, got, test.back)
		}
	}
}

// A form that lacks its reason is told so before anybody has to show who he is,
// and does nothing; with its reason the same form asks.
func TestT19_MissingReasonComesFirst(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	s.pass(6 * time.Minute)
	told := 0
	for _, rule := range authz.Rules() {
		if rule.Reason == "" {
			continue
		}
		kind, _ := kindOf(rule.Pattern)
		path := strings.ReplaceAll(rule.Pattern, "{id}", ids[kind])
		form := url.Values{"id": {ids[kind]}, "field": {"ip_address"}, "query": {"user:alice"}, rule.Reason: {" \n"}}
		head := s.head()
		w := s.post("superuser", path, form)
		expect(t, "POST "+path+" without a reason", w.Code, http.StatusUnprocessableEntity)
		if !strings.Contains(w.Body.String(), "Nothing was done") || strings.Contains(w.Body.String(), authz.ConfirmField) {
			t.Errorf("POST %s: it is not said that the reason is missing, or it is asked who sends it", path)
		}
		form.Set(rule.Reason, "ticket 17")
		expect(t, "POST "+path+" with a reason", s.post("superuser", path, form).Code, http.StatusForbidden)
		if now := s.head(); now != head {
			t.Errorf("POST %s made %d entries in the ledger", path, now-head)
		}
		form.Set(rule.Reason, "")
		expect(t, "POST "+path+" as a viewer", s.post("viewer", path, form).Code, http.StatusForbidden)
		told++
	}
	if told < 13 {
		t.Errorf("told on %d routes", told)
	}
}
