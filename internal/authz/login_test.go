package authz

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

// seen is all a caller can see of an attempt to sign in.
func seen(code int, h http.Header, body string) string {
	var headers []string
	for name, values := range h {
		headers = append(headers, fmt.Sprint(name, values))
	}
	sort.Strings(headers)
	return fmt.Sprintf("%d %q %s", code, headers, body)
}

// TestT7_AnswersAreUniform: nothing that is answered, and no work that is done,
// tells whether there is an account of a name.
//
// ASVS:V6.3.8
func TestT7_AnswersAreUniform(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	off := h.account("off", db.RoleViewer)
	if err := h.store.SetDisabled(t.Context(), db.Actor{}, off.ID, true); err != nil {
		t.Fatal(err)
	}
	weak, err := h.store.CreateAccount(t.Context(), db.Actor{}, "weak", db.RoleViewer, "$argon2id$v=19$m=4096,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.CreateAccount(t.Context(), db.Actor{}, "none", db.RoleViewer, ""); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, password, reason string }{
		{"nobody", password, "no such account"},
		{"", password, "no such account"},
		{"ines", "a guess at the password", "wrong password"},
		{"ines", "", "wrong password"},
		{"off", password, "the account is disabled"},
		{"off", "a guess at the password", "wrong password"},
		{"none", "", "wrong password"},
		{weak.Name, "a guess at the password", "wrong password"},
	}
	want, reasons := "", []string{}
	for i, c := range cases {
		before := h.derived.Load()
		w, let := h.login(c.name, c.password, from(fmt.Sprintf("198.51.100.%d:1", i)))
		got := seen(w.Code, w.Result().Header, w.Body.String())
		if want == "" {
			want = got
		}
		if got != want || let != nil {
			t.Errorf("%q with %q: got %s, want %s", c.name, c.password, got, want)
		}
		if n := h.derived.Load() - before; n != 1 {
			t.Errorf("%q with %q: got %d keys, want 1", c.name, c.password, n)
		}
		reasons = append(reasons, c.name+" FAILED "+c.reason)
	}
	h.wantRows("SELECT username || ' ' || status || ' ' || failure_reason FROM login_attempt ORDER BY seq", reasons...)

	// What is longer than any password is refused before anything is derived.
	before := h.derived.Load()
	for i, name := range []string{"nobody2", "ines"} {
		w, _ := h.login(name, strings.Repeat("x", 2000), from(fmt.Sprintf("203.0.113.%d:1", i)))
		if got := seen(w.Code, w.Result().Header, w.Body.String()); got != want {
			t.Errorf("2,000 bytes for %q: got %s, want %s", name, got, want)
		}
	}
	if n := h.derived.Load() - before; n != 0 {
		t.Errorf("2,000 bytes: got %d keys, want 0", n)
	}

	// Throttled: for names somebody has and nobody has alike, even with the
	// right password.
	answers := map[string]string{}
	for _, name := range []string{"ines", "nobody"} {
		for i := range 2 * freeFailures {
			h.login(name, "a guess at the password", from(fmt.Sprintf("[2001:db8:%s:%d::1]:1", map[string]string{"ines": "1", "nobody": "2"}[name], i)))
		}
		before := h.derived.Load()
		w, let := h.login(name, password, from("[2001:db8:3::1]:1"))
		if let != nil || w.Code != 429 || h.derived.Load() != before {
			t.Errorf("the right password for %q while it waits: got %d and %v, want 429 without a key", name, w.Code, let)
		}
		answers[name] = seen(w.Code, w.Result().Header, w.Body.String())
	}
	if answers["ines"] != answers["nobody"] {
		t.Errorf("throttled: got %s for an account and %s for none", answers["ines"], answers["nobody"])
	}
}

// ASVS:V16.3.1 ASVS:V16.2.1
func TestSignInIsRecorded(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("Ines", db.RoleViewer)
	if _, c := h.login(" ines ", password, with("User-Agent", "Firefox \xff")); c == nil {
		t.Fatal("a name in other letters does not sign in")
	}
	h.login(strings.Repeat("ß", 500)+"\x00", password)
	h.wantRows(`SELECT username || '|' || status || '|' || ip_address || '|' || user_agent || '|' || failure_reason || '|' || (session_key <> '') || '|' || source FROM login_attempt ORDER BY seq`,
		" ines |SUCCESS|192.0.2.7|Firefox \uFFFD||1|auditadmin",
		strings.Repeat("ß", 150)+"|FAILED|192.0.2.7||no such account|0|auditadmin")
	if a, err := h.store.Account(t.Context(), "ines"); err != nil || !a.LastLoginAt.Equal(h.clock()) {
		t.Errorf("last sign-in: got %v, %v; want %v", a.LastLoginAt, err, h.clock())
	}
	h.wantRows("SELECT name FROM account", "Ines")
}

// ASVS:V11.2.2
func TestAnOldHashIsRaisedAtSignIn(t *testing.T) {
	h := newHouse(t, setup{})
	ines := h.account("ines", db.RoleViewer)
	// A hash of the time when less memory was taken.
	salt := []byte("sixteen bytes...")
	old := "$argon2id$v=19$m=4096,t=2,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" +
		base64.RawStdEncoding.EncodeToString(h.kdf([]byte(password), salt, 2, 4096, 1, 32))
	if err := h.store.SetPassword(t.Context(), db.Actor{}, ines.ID, old); err != nil {
		t.Fatal(err)
	}
	h.enter("ines")
	a, err := h.store.Account(t.Context(), "ines")
	if err != nil || a.PasswordHash == old || Outdated(a.PasswordHash) {
		t.Errorf("after signing in: got hash %q, %v; want one of now", a.PasswordHash, err)
	}
	h.enter("ines")
}

// TestT6_Guesses: a thousand guesses from a thousand addresses, and from one.
//
// ASVS:V6.3.1 ASVS:V2.4.1
func TestT6_Guesses(t *testing.T) {
	t.Run("one name, many addresses", func(t *testing.T) {
		h := newHouse(t, setup{})
		h.account("ines", db.RoleViewer)
		open := h.enter("ines")
		start, before := h.clock(), h.derived.Load()
		for i := range 1000 {
			h.login("ines", "a guess at the password", from(fmt.Sprintf("10.0.%d.%d:1", i/250, i%250)))
			h.sleep(59 * time.Second / 1000)
		}
		if n := h.derived.Load() - before; n < 5 || n > 10 {
			t.Errorf("1,000 guesses within %v: got %d keys, want 5 to 10", h.clock().Sub(start), n)
		}
		h.wantStatus(200, "GET", "/", cookie(open)) // its owner goes on working

		// With all the patience in the world there are a hundred.
		for range 2000 {
			h.login("ines", "a guess at the password", from(fmt.Sprintf("10.1.0.%d:1", h.derived.Load()%250)))
			h.sleep(10 * time.Minute)
		}
		if n := h.derived.Load() - before; n != maxFailures {
			t.Errorf("guesses over two weeks: got %d keys, want %d", n, maxFailures)
		}
		if _, c := h.login("ines", password, from("10.2.0.1:1")); c != nil {
			t.Error("after a hundred failures the password still opens the account")
		}
		ines, err := h.store.Account(t.Context(), "ines")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.store.SetPassword(t.Context(), db.CommandLine("root"), ines.ID, ines.PasswordHash); err != nil {
			t.Fatal(err)
		}
		if _, c := h.login("ines", password, from("10.2.0.2:1")); c == nil {
			t.Error("a password set anew does not open the account")
		}
	})
	t.Run("many names, one address", func(t *testing.T) {
		h := newHouse(t, setup{})
		before := h.derived.Load()
		for i := range 1000 {
			h.login(fmt.Sprintf("name%d", i), "a guess at the password", from(fmt.Sprintf("[2001:db8:1:2::%x]:1", i+1))) // one /64
			h.sleep(59 * time.Second / 1000)
		}
		if n := h.derived.Load() - before; n < 5 || n > 10 {
			t.Errorf("1,000 guesses within a minute: got %d keys, want 5 to 10", n)
		}
		if n := h.rows("SELECT count(*) FROM throttle")[0]; n != fmt.Sprint(h.derived.Load()-before) {
			t.Errorf("names remembered: got %s, want those that were tried", n)
		}
		h.gate.flush(t.Context(), h.clock().Add(time.Minute))
		h.wantRows("SELECT status || ' ' || sum(coalesce(metadata ->> 'count', 1)) || ' in ' || (CASE status WHEN 'BLOCKED' THEN count(*) ELSE '' END) FROM login_attempt GROUP BY status",
			"BLOCKED 991 in 2", "FAILED 9 in ")
	})
	t.Run("all at once", func(t *testing.T) {
		h := newHouse(t, setup{})
		h.account("ines", db.RoleViewer)
		before := h.derived.Load()
		var wait sync.WaitGroup
		for i := range 100 {
			wait.Go(func() { h.login("ines", "a guess at the password", from(fmt.Sprintf("10.0.0.%d:1", i))) })
		}
		wait.Wait()
		if n := h.derived.Load() - before; n != freeFailures {
			t.Errorf("100 guesses at once: got %d keys, want %d", n, freeFailures)
		}
	})
	t.Run("an office signs in", func(t *testing.T) {
		h := newHouse(t, setup{})
		h.account("ines", db.RoleViewer)
		for range 30 { // success gives the try back
			h.enter("ines")
			h.sleep(time.Second)
		}
	})
}

func TestWaits(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		0: 0, 4: 0, 5: time.Second, 6: 2 * time.Second, 10: 32 * time.Second, 16: 2048 * time.Second,
		17: time.Hour, 99: time.Hour, 100: shutWait, 1 << 30: shutWait,
	} {
		if got := waitAfter(failures); got != want {
			t.Errorf("after %d failures: got a wait of %v, want %v", failures, got, want)
		}
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	state := db.Throttle{Failures: 5, Until: now.Add(24 * time.Hour)} // the clock was set back
	if got := remaining(state, now); got != time.Second {
		t.Errorf("a wait that ends tomorrow after five failures: got %v, want 1s", got)
	}
	for wait, want := range map[time.Duration]int{time.Nanosecond: 1, time.Second: 1, 1001 * time.Millisecond: 2, time.Hour: 3600} {
		if got := (&TooManyError{wait}).Seconds(); got != want {
			t.Errorf("Retry-After for %v: got %d, want %d", wait, got, want)
		}
	}
}

func TestAddressesAreForgotten(t *testing.T) {
	m := newRecent[int, *int](3)
	one := func() *int { return new(int) }
	first := m.get(1, one)
	for k := range 5 {
		m.get(10+k, one)
		if k < 2 && m.get(1, one) != first {
			t.Fatalf("after %d other keys the first one is forgotten", k+1)
		}
	}
	if m.get(1, one) == first {
		t.Error("the key not used for longest is kept")
	}
	if len(m.items) != 3 || m.order.Len() != 3 {
		t.Errorf("size: got %d and %d, want 3", len(m.items), m.order.Len())
	}
}
