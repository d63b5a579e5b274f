package authz

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

// TestT19_AskedAgain: what cannot be undone asks again who sends it, on every
// route that the policy says so of and on no other, five minutes after that was
// last shown.
//
// ASVS:V7.5.3 ASVS:V7.5.1
func TestT19_AskedAgain(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("root", db.RoleSuperuser)
	c := h.enter("root")
	asked := func(rule Rule, options ...func(*http.Request)) bool {
		t.Helper()
		target := strings.NewReplacer("{id}", "7", "*", "x").Replace(rule.Pattern)
		if rule.Reason != "" {
			options = append(options, form(rule.Reason, "ticket 17"))
		}
		w := h.do(request(rule.Method, target, append(options, cookie(c))...))
		is := w.Code == 403 && strings.Contains(w.Body.String(), ConfirmField)
		if !is && w.Code != 200 {
			t.Errorf("%s %s: got %d %s", rule.Method, target, w.Code, w.Body)
		}
		return is
	}
	fresh := 0
	for _, step := range []struct {
		wait time.Duration
		due  bool
	}{{0, false}, {freshFor - time.Second, false}, {time.Second, true}, {10 * time.Minute, true}} {
		h.sleep(step.wait)
		for _, rule := range Rules() {
			if rule.Right == Public || rule.Right == TokenOnly || rule.Pattern == "/account/password" {
				continue
			}
			if rule.Fresh {
				fresh++
			}
			if got := asked(rule); got != (rule.Fresh && step.due) {
				t.Errorf("%s %s, %v later: asked again %v", rule.Method, rule.Pattern, step.wait, got)
			}
		}
	}
	if fresh < 4*15 {
		t.Errorf("looked at %d routes that ask again", fresh)
	}
	// A clock that was set back does not count as a short time ago.
	h.sleep(-15 * time.Minute)
	h.sleep(30 * time.Second)
	c = h.enter("root")
	h.sleep(-clockSlack + time.Second)
	rule := Rule{Method: "POST", Pattern: "/tokens", Fresh: true}
	if asked(rule) {
		t.Error("two minutes back: asked again")
	}
}

// TestT19_AnswerGoesOn: the right answer lets the form through with all it held
// and without the answer, gives the session another id, and holds for five
// minutes; a wrong one does nothing, is recorded, and is throttled.
//
// ASVS:V7.2.4
func TestT19_AnswerGoesOn(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("root", db.RoleSuperuser)
	c := h.enter("root")
	h.sleep(freshFor)
	reason := "ticket 17: \"erase\" <it> & more\r\nßöé"
	var got string
	send := func(c *http.Cookie, answer string) (int, *http.Cookie) {
		t.Helper()
		got = ""
		instead := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			got = fmt.Sprintf("%q %q %v", r.PostFormValue("reason"), r.Form["id"], r.PostForm.Has(ConfirmField) || r.Form.Has(ConfirmField))
		})
		h.instead.Store(&instead)
		defer h.instead.Store(nil)
		body := form("reason", reason, "id", "7")
		if answer != "" {
			body = form("reason", reason, "id", "7", ConfirmField, answer)
		}
		w := h.do(request("POST", "/audit-logs/delete", body, cookie(c)))
		for _, renewed := range w.Result().Cookies() {
			return w.Code, renewed
		}
		return w.Code, nil
	}
	derived := h.derived.Load()
	for _, wrong := range []string{"", "a guess at the password", "123456", "abcdef-ghijkl-mnopqr-stuvwx"} {
		if code, renewed := send(c, wrong); code != 403 || renewed != nil || got != "" {
			t.Errorf("answer %q: got %d %v, and the form did %q", wrong, code, renewed, got)
		}
	}
	if n := h.derived.Load() - derived; n != 3 {
		t.Errorf("three answers: got %d keys, want 3", n)
	}
	code, renewed := send(c, password)
	if want := fmt.Sprintf("%q %q %v", reason, []string{"7"}, false); code != 200 || renewed == nil || got != want {
		t.Fatalf("the right answer: got %d %v, and the form had %s, want %s", code, renewed, got, want)
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(c))
	h.sleep(freshFor - time.Second)
	if code, _ := send(renewed, ""); code != 200 {
		t.Errorf("within five minutes: got %d, want 200", code)
	}
	h.sleep(time.Second)
	if code, _ := send(renewed, ""); code != 403 {
		t.Errorf("after five minutes: got %d, want 403", code)
	}
	h.wantRows("SELECT failure_reason || ' ' || count(*) FROM login_attempt WHERE status = 'FAILED' GROUP BY failure_reason", "wrong password, asked again 3")

	before := h.derived.Load()
	for range 100 {
		send(renewed, "a guess at the password")
	}
	if n := h.derived.Load() - before; n != freeFailures {
		t.Errorf("100 guesses: got %d keys, want %d", n, freeFailures)
	}
	if code, _ := send(renewed, password); code != 403 {
		t.Errorf("the right answer while it waits: got %d, want 403", code)
	}
	h.wantStatus(200, "GET", "/audit-logs.json", cookie(renewed)) // reading goes on
}

// TestT19_CodesAnswerOnce: a code answers too, and the same code not twice, nor
// after it signed in.
func TestT19_CodesAnswerOnce(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("root", db.RoleSuperuser)
	secret, recovery, c := h.factor(h.enter("root"))
	answer := func(text string) int {
		t.Helper()
		h.sleep(freshFor)
		w := h.do(request("POST", "/tokens", form(ConfirmField, text), cookie(c)))
		for _, renewed := range w.Result().Cookies() {
			c = renewed
		}
		return w.Code
	}
	h.sleep(freshFor)
	now := h.code(secret)
	h.sleep(-freshFor)
	if got := answer(now); got != 200 {
		t.Fatalf("a code: got %d, want 200", got)
	}
	if how, _, err := h.gate.checkCode(t.Context(), h.reread("root"), now); how != "" || err != nil {
		t.Errorf("the same code signs in: got %q, %v", how, err)
	}
	if got := answer(now); got != 403 {
		t.Errorf("the same code: got %d, want 403", got)
	}
	if got := answer(recovery[0]); got != 200 {
		t.Errorf("a recovery code: got %d, want 200", got)
	}
	if got := answer(recovery[0]); got != 403 {
		t.Errorf("the same recovery code: got %d, want 403", got)
	}
	if got := answer(password); got != 200 {
		t.Errorf("the password: got %d, want 200", got)
	}
}

// TestT19_TooMuch: a form that is too large or cannot be read is refused before
// anybody is asked.
func TestT19_TooMuch(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("root", db.RoleSuperuser)
	c := h.enter("root")
	h.sleep(freshFor)
	h.wantStatus(413, "POST", "/tokens", form("name", strings.Repeat("x", 2*FormLimit)), cookie(c))
	h.wantStatus(400, "POST", "/tokens", form("name", "x"), func(r *http.Request) { r.URL.RawQuery = "%zz" }, cookie(c))
}

// reread is an account as it stands now.
func (h *house) reread(name string) *db.Account {
	h.t.Helper()
	a, err := h.store.Account(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}
