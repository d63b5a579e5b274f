package authz

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/internal/db"
)

// ASVS:V3.3.1 ASVS:V3.3.2 ASVS:V3.3.3 ASVS:V3.3.4
func TestT5_Cookie(t *testing.T) {
	for public, want := range map[string]http.Cookie{
		"":                             {Name: "auditadmin"},
		"http://audit.example:8080":    {Name: "auditadmin"},
		"https://audit.example":        {Name: "__Host-auditadmin", Secure: true},
		"https://audit.example:8443/x": {Name: "__Host-auditadmin", Secure: true},
	} {
		h := newHouse(t, setup{public: public})
		h.account("ines", db.RoleViewer)
		c := h.enter("ines")
		if c.Name != want.Name || c.Secure != want.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
			c.Path != "/" || c.Domain != "" || c.MaxAge != 0 || len(c.Value) != 43 {
			t.Errorf("public URL %q: got cookie %q", public, c.Raw)
		}
		h.wantStatus(200, "GET", "/", cookie(c))
	}
}

// ASVS:V7.2.4 ASVS:V7.4.1
func TestT5_FixationAndReplay(t *testing.T) {
	h := newHouse(t, setup{})
	ines := h.account("ines", db.RoleViewer)
	anonymous := &http.Cookie{Name: cookiePlain, Value: newSecret()}
	_, first := h.login("ines", password, cookie(anonymous))
	if first == nil || first.Value == anonymous.Value {
		t.Fatalf("sign in with a cookie of one's own making: got %v, want a new one", first)
	}
	h.wantStatus(303, "GET", "/", cookie(anonymous))
	h.wantStatus(200, "GET", "/", cookie(first))

	_, second := h.login("ines", password, cookie(first)) // signing in again renews
	h.wantStatus(303, "GET", "/", cookie(first))
	h.wantStatus(200, "GET", "/", cookie(second))

	w := h.do(request("POST", "/logout", cookie(second)))
	if c := w.Result().Cookies(); w.Code != 204 || len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" {
		t.Errorf("sign out: got %d and cookies %v, want one taken back", w.Code, c)
	}
	h.wantStatus(303, "GET", "/", cookie(second))
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(second))
	h.wantStatus(204, "POST", "/logout", cookie(second)) // twice is no error

	third := h.enter("ines")
	if err := h.store.SetPassword(t.Context(), db.CommandLine("root"), ines.ID, ines.PasswordHash); err != nil {
		t.Fatal(err)
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(third))
	h.wantRows("SELECT action || ' ' || username || ' ' || module || ' ' || (session_key <> '') FROM audit_log WHERE action = 'LOGOUT'", "LOGOUT ines auditadmin 1")
}

// ASVS:V7.2.1
func TestT5_OneBitFlipped(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	c := h.enter("ines")
	tried := 0
	for i := range len(c.Value) {
		for bit := range 8 {
			b := []byte(c.Value)
			b[i] ^= 1 << bit
			forged := request("GET", "/audit-logs.json")
			forged.Header.Set("Cookie", c.Name+"="+string(b))
			if got := h.do(forged).Code; got != 401 {
				t.Fatalf("bit %d of character %d flipped: got status %d, want 401", bit, i, got)
			}
			tried++
		}
	}
	if tried < 256 {
		t.Errorf("got %d flips, want at least 256", tried)
	}
	h.wantStatus(200, "GET", "/audit-logs.json", cookie(c))
}

// ASVS:V14.2.4
func TestT5_SecretsAreNotInTheDatabase(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	c := h.enter("ines")
	h.login("ines", "a password with-a-canary-in-it", cookie(c))
	secret, _ := h.token(ScopeRead, time.Time{})
	h.wantStatus(200, "GET", "/audit-logs.json", with("Authorization", "Bearer "+secret))
	searched := 0
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(h.store.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		searched += len(content)
		for _, s := range []string{c.Value, secret, secret[len(tokenPrefix):], password, "with-a-canary-in-it"} {
			if bytes.Contains(content, []byte(s)) {
				t.Errorf("audit.db%s holds %q", suffix, s)
			}
		}
	}
	if searched < 10_000 {
		t.Errorf("searched %d bytes only", searched)
	}
}

// ASVS:V7.3.1 ASVS:V7.3.2
func TestT5_SessionsRunOut(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	c := h.enter("ines")
	begin := h.clock()
	for h.clock().Sub(begin) < sessionAbsolute-20*time.Minute { // in use all day
		h.sleep(20 * time.Minute)
		if h.clock().Sub(begin) < sessionAbsolute {
			h.wantStatus(200, "GET", "/", cookie(c))
		}
	}
	h.sleep(begin.Add(sessionAbsolute).Sub(h.clock()) - time.Second)
	h.wantStatus(200, "GET", "/", cookie(c))
	h.sleep(time.Second)
	h.wantStatus(303, "GET", "/", cookie(c))

	c = h.enter("ines")
	h.sleep(sessionIdle - time.Second)
	h.wantStatus(200, "GET", "/", cookie(c))
	h.sleep(sessionIdle - time.Second)
	h.wantStatus(200, "GET", "/", cookie(c))
	h.sleep(sessionIdle)
	h.wantStatus(303, "GET", "/", cookie(c))

	c = h.enter("ines") // a clock that is set back does not make it live longer
	h.sleep(-time.Hour)
	h.wantStatus(303, "GET", "/", cookie(c))
}

// ASVS:V2.3.2
func TestT5_FiveSessionsAtMost(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	var cookies []*http.Cookie
	for range sessionsMax + 2 {
		h.sleep(time.Minute)
		cookies = append(cookies, h.enter("ines"))
	}
	for i, c := range cookies {
		want := 200
		if i < 2 {
			want = 303
		}
		h.wantStatus(want, "GET", "/", cookie(c))
	}
}

func TestReadingTouchesOnceAMinute(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	c := h.enter("ines")
	secret, tok := h.token(ScopeRead, time.Time{})
	for _, step := range []struct {
		wait  time.Duration
		moved bool
	}{{30 * time.Second, false}, {29 * time.Second, false}, {time.Second, true}, {59 * time.Second, false}, {time.Second, true}} {
		before := h.rows("SELECT seen_at FROM session")[0]
		h.sleep(step.wait)
		h.wantStatus(200, "GET", "/", cookie(c))
		if after := h.rows("SELECT seen_at FROM session")[0]; (after != before) != step.moved {
			t.Errorf("after %v: seen at %s, before %s", step.wait, after, before)
		}
	}
	var used []string
	for range 3 {
		h.wantStatus(200, "GET", "/audit-logs.csv", with("Authorization", "Bearer "+secret))
		used = append(used, h.rows("SELECT used_at FROM token")[0])
		h.sleep(30 * time.Second)
	}
	if used[0] != used[1] || used[1] == used[2] {
		t.Errorf("token %d used at %q: want it noted once a minute", tok.ID, used)
	}
}

// TestT4_DemotionHoldsOnTheNextRequest: nothing of what an account may do is
// kept in its session, and with another role that gets another id.
//
// ASVS:V8.3.2 ASVS:V7.2.4 ASVS:V7.4.2
func TestT4_DemotionHoldsOnTheNextRequest(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("root", db.RoleSuperuser)
	ines := h.account("ines", db.RoleSuperuser)
	c := h.enter("ines")
	want := func(status int, method, target string) {
		t.Helper()
		w := h.do(request(method, target, cookie(c)))
		if w.Code != status {
			t.Errorf("%s %s: got status %d, want %d", method, target, w.Code, status)
		}
		for _, renewed := range w.Result().Cookies() {
			c = renewed
		}
	}
	for _, step := range []struct {
		role         db.Role
		manage, open int
	}{
		{db.RoleSuperuser, 200, 200}, {db.RoleResponder, 403, 200}, {db.RoleViewer, 403, 403}, {db.RoleSuperuser, 200, 200},
	} {
		before, role := c, h.rows("SELECT role FROM account WHERE name = 'ines'")[0]
		if err := h.store.SetRole(t.Context(), db.Actor{}, ines.ID, step.role); err != nil {
			t.Fatal(err)
		}
		want(step.manage, "GET", "/accounts")
		want(step.open, "POST", "/system-events/7/resolve")
		want(200, "GET", "/system-events/7")
		if renewed := c.Value != before.Value; renewed != (role != string(step.role)) {
			t.Errorf("from %s to %s: got another id of the session %v", role, step.role, renewed)
		} else if renewed {
			h.wantStatus(401, "GET", "/audit-logs.json", cookie(before))
		}
	}
	if err := h.store.SetDisabled(t.Context(), db.Actor{}, ines.ID, true); err != nil {
		t.Fatal(err)
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(c))
	if err := h.store.SetDisabled(t.Context(), db.Actor{}, ines.ID, false); err != nil {
		t.Fatal(err)
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(c)) // its sessions stay ended

	// Also where somebody disabled it with a tool of his own.
	c = h.enter("ines")
	own, err := sqlx.Open("sqlite3", "file:"+h.store.Path()+"?_busy_timeout=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	h.wantStatus(200, "GET", "/audit-logs.json", cookie(c))
	if _, err := own.Exec("UPDATE account SET disabled = 1 WHERE name = 'ines'"); err != nil {
		t.Fatal(err)
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(c))
}

// ASVS:V6.2.2 ASVS:V6.2.3 ASVS:V7.4.3
func TestOwnPassword(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	phone, desk := h.enter("ines"), h.enter("ines")
	const chosen = "purple lamps sing at four"
	change := func(c *http.Cookie, current, next string) (int, string, *http.Cookie) {
		w := h.do(request("POST", "/account/password", form("current", current, "password", next), cookie(c)))
		for _, c := range w.Result().Cookies() {
			return w.Code, w.Body.String(), c
		}
		return w.Code, w.Body.String(), nil
	}
	for _, c := range []struct{ current, next, problem string }{
		{"not my password at all", chosen, "current password"}, {password, "short", "5 characters"}, {password, password, "in use"},
	} {
		if code, body, fresh := change(desk, c.current, c.next); code != 422 || !strings.Contains(body, c.problem) || fresh != nil {
			t.Errorf("change %q to %q: got %d %q, want %q", c.current, c.next, code, body, c.problem)
		}
	}
	h.wantStatus(200, "GET", "/", cookie(phone))
	code, body, fresh := change(desk, password, chosen)
	if code != 204 || fresh == nil {
		t.Fatalf("change of password: got %d %q and cookie %v", code, body, fresh)
	}
	h.wantStatus(303, "GET", "/", cookie(desk)) // a new id at a change of password
	h.wantStatus(303, "GET", "/", cookie(phone))
	h.wantStatus(200, "GET", "/", cookie(fresh))
	if _, c := h.login("ines", password); c != nil {
		t.Error("the old password still opens the account")
	}
	if _, c := h.login("ines", chosen); c == nil {
		t.Error("the new password does not open the account")
	}
	h.wantRows("SELECT username || ' ' || action || ' ' || object_repr || ' ' || (session_key <> '') FROM audit_log WHERE action = 'PASSWORD_CHANGE'",
		"ines PASSWORD_CHANGE ines 1")

	// Somebody at an unlocked screen cannot guess on for ever.
	before := h.derived.Load()
	for range 200 {
		change(fresh, "a guess at the password", "whatever comes of it")
	}
	if n := h.derived.Load() - before; n != freeFailures {
		t.Errorf("200 guesses at the current password: got %d keys, want %d", n, freeFailures)
	}
}
