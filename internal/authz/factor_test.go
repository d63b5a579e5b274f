package authz

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

// TestRFC6238 holds codes to the numbers of RFC 6238, appendix B, cut to six
// digits.
//
// ASVS:V6.5.5
func TestRFC6238(t *testing.T) {
	secret := []byte("12345678901234567890")
	for seconds, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := codeAt(secret, seconds/30); got != want {
			t.Errorf("at %d: got %s, want %s", seconds, got, want)
		}
		now := time.Unix(seconds, 0)
		for steps, right := range map[int]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
			if seconds < 60 && steps > 1 {
				continue // before 1970
			}
			counter, got := counterOf(secret, want, now.Add(time.Duration(-steps)*codeStep))
			if got != right || right && counter != seconds/30 {
				t.Errorf("code of %d shown %d steps away: got %v of step %d, want %v", seconds, steps, got, counter, right)
			}
		}
		for _, wrong := range []string{"", want[1:], want + "0", " " + want, strings.Repeat("0", 1000)} {
			if _, right := counterOf(secret, wrong, now); right {
				t.Errorf("%.20q passes for %s", wrong, want)
			}
		}
	}
}

func TestTypedCodes(t *testing.T) {
	const recovery = "abcdefghijklmnopqrstuvwx"
	for text, want := range map[string][2]string{
		"123456": {"123456"}, " 123 456 ": {"123456"}, "123-456": {"123456"}, "12345": {}, "1234567": {}, "12345x": {}, "": {}, "１２３４５６": {},
		recovery: {1: recovery}, "ABCDEF-ghijkl-mnopqr-stuvwx": {1: recovery}, recovery[1:]: {}, recovery[1:] + "1": {}, recovery + "a": {},
	} {
		if code, rec := typed(text); code != want[0] || rec != want[1] {
			t.Errorf("typed(%q): got %q and %q, want %q", text, code, rec, want)
		}
	}
	codes, hashes := newRecoveryCodes()
	seen := map[string]bool{}
	for i, c := range codes {
		_, rec := typed(c)
		if len(rec) != recoveryLength || seen[rec] || !bytes.Equal(hashID(rec), hashes[i]) {
			t.Errorf("recovery code %q: reads as %q, or is there twice, or is stored as another", c, rec)
		}
		seen[rec] = true
	}
	if len(codes) != recoveryCodes {
		t.Errorf("got %d recovery codes, want %d", len(codes), recoveryCodes)
	}
}

// factor sets up a second factor for the owner of a session, who gets the new
// cookie, as somebody does who reads the secret from the page.
func (h *house) factor(c *http.Cookie) (secret []byte, recovery []string, renewed *http.Cookie) {
	h.t.Helper()
	var offer *Offer
	var err error
	h.within("GET", "/account/second-factor", c, func(w http.ResponseWriter, r *http.Request) { offer, err = h.gate.NewOffer(r) })
	if err != nil {
		h.t.Fatal(err)
	}
	if secret, err = secretText.DecodeString(offer.Secret); err != nil {
		h.t.Fatal(err)
	}
	w := h.within("POST", "/account/second-factor", c, func(w http.ResponseWriter, r *http.Request) {
		recovery, err = h.gate.AcceptOffer(w, r, offer.Sealed, h.code(secret))
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.sleep(2 * codeStep) // that code is used up
	return secret, recovery, w.Result().Cookies()[0]
}

// code is what an app shows now.
func (h *house) code(secret []byte) string { return codeAt(secret, h.clock().Unix()/30) }

// signInCode sends a code after a password, from a browser that has the cookies of
// the answer to it, and returns the answer and the session's cookie or nil.
func (h *house) signInCode(first *http.Response, code string) (int, *http.Cookie) {
	h.t.Helper()
	r := request("POST", "/login/code", form("code", code))
	for _, c := range first.Cookies() {
		r.AddCookie(c)
	}
	w := h.do(r)
	for _, c := range w.Result().Cookies() {
		if c.Name == cookiePlain {
			return w.Code, c
		}
	}
	return w.Code, nil
}

// TestT8_PasswordAloneDoesNotOpen: with a second factor the password opens
// nothing but the question for the code.
//
// ASVS:V6.3.3
func TestT8_PasswordAloneDoesNotOpen(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	secret, recovery, _ := h.factor(h.enter("ines"))
	w, c := h.login("ines", password)
	if c == nil || c.Name != cookiePlain+challengeSuffix || w.Code != 401 {
		t.Fatalf("the password: got %d and cookie %v, want the one of half a sign-in", w.Code, c)
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(c))
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(&http.Cookie{Name: cookiePlain, Value: c.Value}))
	for _, wrong := range []string{"", "000000", codeAt(secret, 1), recovery[0] + "x", strings.Repeat("9", 5000)} {
		if code, c := h.signInCode(w.Result(), wrong); code != 422 || c != nil {
			t.Errorf("code %.10q: got %d and %v, want nobody let in", wrong, code, c)
		}
		h.sleep(time.Minute)
		w, _ = h.login("ines", password, from("192.0.2.8:1"))
	}
	code, session := h.signInCode(w.Result(), h.code(secret))
	if code != 204 || session == nil {
		t.Fatalf("the right code: got %d", code)
	}
	h.wantStatus(200, "GET", "/audit-logs.json", cookie(session))
	if code, c := h.signInCode(w.Result(), h.code(secret)); code != 410 || c != nil {
		t.Errorf("the same half of a sign-in once more: got %d", code)
	}
	h.wantRows("SELECT json_extract(metadata, '$.method') FROM login_attempt WHERE status = 'SUCCESS' ORDER BY seq", "password", "password and code")

	// What waits longer than five minutes is over, and leaves a failed attempt.
	w, _ = h.login("ines", password, from("192.0.2.9:1"))
	h.sleep(challengeLife)
	if code, _ := h.signInCode(w.Result(), h.code(secret)); code != 410 {
		t.Errorf("a code after five minutes: got %d, want 410", code)
	}
	before := len(h.rows("SELECT id FROM login_attempt"))
	h.gate.flush(t.Context(), h.clock())
	h.gate.flush(t.Context(), h.clock())
	lapsed := h.rows("SELECT status || ' ' || username || ' ' || ip_address || ' ' || failure_reason FROM login_attempt ORDER BY seq")[before:]
	if len(lapsed) == 0 || lapsed[len(lapsed)-1] != "FAILED ines 192.0.2.9 no code of the second factor followed" {
		t.Errorf("abandoned sign-ins: got %q", lapsed)
	}
	h.wantRows("SELECT id_hash FROM challenge")
}

// TestT8_SameCodeTwice: of any number of sign-ins with the same code, one after
// the other or at once, exactly one succeeds; and a clock that steps back does not
// open it again.
//
// ASVS:V6.5.1
func TestT8_SameCodeTwice(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	secret, recovery, _ := h.factor(h.enter("ines"))
	// Each round wants the same text from 32 browsers that know the password.
	round := func(text string, want int) {
		t.Helper()
		h.sleep(time.Hour)
		if text == "" {
			text = h.code(secret)
		}
		ines, err := h.store.Account(t.Context(), "ines")
		if err != nil {
			t.Fatal(err)
		}
		var together sync.WaitGroup
		var mu sync.Mutex
		opened := 0
		for range 32 {
			together.Go(func() {
				// checkCode is what both signing in and confirming ask.
				how, _, err := h.gate.checkCode(t.Context(), ines, text)
				var many *TooManyError
				if err != nil && !errors.As(err, &many) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if how != "" {
					opened++
				}
			})
		}
		together.Wait()
		if opened != want {
			t.Errorf("%.6s… shown 32 times at once: opened %d times, want %d", text, opened, want)
		}
		if err := h.store.ClearThrottle(t.Context(), db.CodeKey(ines.ID)); err != nil {
			t.Fatal(err)
		}
		ok := 0
		for range 4 { // and without the throttle in the way
			if how, _, err := h.gate.checkCode(t.Context(), ines, text); err != nil {
				t.Fatal(err)
			} else if how != "" {
				ok++
			}
		}
		if ok != 0 {
			t.Errorf("%.6s… opened %d times more one after the other", text, ok)
		}
		if err := h.store.ClearThrottle(t.Context(), db.CodeKey(ines.ID)); err != nil {
			t.Fatal(err)
		}
	}
	round("", 1)
	round("", 1)
	round(recovery[3], 1)
	round(recovery[3], 0)

	// 32 without a throttle at all: the counter alone decides.
	h.sleep(time.Hour)
	ines, err := h.store.Account(t.Context(), "ines")
	if err != nil {
		t.Fatal(err)
	}
	var together sync.WaitGroup
	accepted := make(chan bool, 32)
	for range 32 {
		together.Go(func() {
			ok, err := h.store.AcceptCode(t.Context(), ines.ID, ines.CodeSecret, h.clock().Unix()/30)
			if err != nil {
				t.Error(err)
			}
			accepted <- ok
		})
	}
	together.Wait()
	close(accepted)
	n := 0
	for ok := range accepted {
		if ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("a step accepted by 32 callers at once: got %d, want 1", n)
	}

	// The clock steps back an hour: every code of that time was passed by.
	h.sleep(-time.Hour)
	for range 3 {
		if how, reason, err := h.gate.checkCode(t.Context(), ines, h.code(secret)); how != "" || err != nil {
			t.Errorf("a code after the clock stepped back: got %q %q %v, want refused", how, reason, err)
		}
		h.sleep(codeStep)
	}
	h.sleep(time.Hour)
	if how, _, err := h.gate.checkCode(t.Context(), ines, h.code(secret)); how != byCode || err != nil {
		t.Errorf("a code when the clock has caught up: got %q, %v", how, err)
	}
}

// TestT8_CodesAreThrottled: a thousand guesses get as few tries as passwords do,
// and who has a session goes on.
//
// ASVS:V6.3.1 ASVS:V6.6.3
func TestT8_CodesAreThrottled(t *testing.T) {
	h := newHouse(t, setup{})
	ines := h.account("ines", db.RoleViewer)
	_, _, session := h.factor(h.enter("ines"))
	w, _ := h.login("ines", password)
	tried := 0
	for i := range 1000 {
		r := request("POST", "/login/code", form("code", fmt.Sprintf("%06d", i)), from(fmt.Sprintf("10.0.%d.%d:1", i/250, i%250)))
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
		if h.do(r).Code == 422 {
			tried++
		}
		h.sleep(59 * time.Second / 1000)
	}
	if tried < 5 || tried > 10 {
		t.Errorf("1,000 guesses within a minute: got %d tries, want 5 to 10", tried)
	}
	h.wantStatus(200, "GET", "/", cookie(session))
	if err := h.store.RemoveFactor(t.Context(), db.CommandLine("root"), ines.ID); err != nil {
		t.Fatal(err)
	}
	if _, c := h.login("ines", password, from("10.9.0.1:1")); c == nil || c.Name != cookiePlain {
		t.Error("after a reset the password alone does not open the account")
	}
}

// TestT8_ChangesEndHalves: what was begun before a password, an account or a
// second factor changed is not completed after it.
//
// ASVS:V7.4.2
func TestT8_ChangesEndHalves(t *testing.T) {
	for what, change := range map[string]func(h *house, id int64) error{
		"password": func(h *house, id int64) error {
			a, err := h.store.AccountByID(t.Context(), id)
			if err != nil {
				return err
			}
			return h.store.SetPassword(t.Context(), db.Actor{}, id, a.PasswordHash)
		},
		"disabled":      func(h *house, id int64) error { return h.store.SetDisabled(t.Context(), db.Actor{}, id, true) },
		"second factor": func(h *house, id int64) error { return h.store.RemoveFactor(t.Context(), db.Actor{}, id) },
	} {
		h := newHouse(t, setup{})
		ines := h.account("ines", db.RoleViewer)
		secret, _, session := h.factor(h.enter("ines"))
		w, _ := h.login("ines", password)
		if err := change(h, ines.ID); err != nil {
			t.Fatal(err)
		}
		if code, c := h.signInCode(w.Result(), h.code(secret)); code != 410 || c != nil {
			t.Errorf("%s: half a sign-in from before goes on with %d", what, code)
		}
		h.wantStatus(401, "GET", "/audit-logs.json", cookie(session))
	}
}

// TestT8_SecretsAreSealed: neither the secret of the codes nor a recovery code nor
// the id of half a sign-in is in the file, and a row of somebody else opens
// nothing.
//
// ASVS:V6.5.2 ASVS:V13.3.2
func TestT8_SecretsAreSealed(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	h.account("vera", db.RoleViewer)
	secret, recovery, _ := h.factor(h.enter("ines"))
	h.factor(h.enter("vera"))
	_, half := h.login("ines", password)
	needles := [][]byte{secret, []byte(secretText.EncodeToString(secret)), []byte(fmt.Sprintf("%x", secret)), []byte(half.Value)}
	for _, c := range recovery {
		needles = append(needles, []byte(c), []byte(strings.ReplaceAll(c, "-", "")))
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(h.store.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needles {
			if bytes.Contains(content, n) {
				t.Errorf("audit.db%s holds %q", suffix, n)
			}
		}
	}
	info, err := os.Stat(h.store.Path() + sealSuffix)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: got %v, %v; want it for its owner alone", info.Mode(), err)
	}
	ines, err := h.store.Account(t.Context(), "ines")
	if err != nil {
		t.Fatal(err)
	}
	vera, err := h.store.Account(t.Context(), "vera")
	if err != nil {
		t.Fatal(err)
	}
	vera.CodeSecret = ines.CodeSecret // as somebody who can write the file would have it
	if _, _, err := h.gate.checkCode(t.Context(), vera, h.code(secret)); !errors.Is(err, ErrSeal) {
		t.Errorf("the secret of another account: got %v, want ErrSeal", err)
	}

	// Without the key file codes are not checked, and paper still helps.
	if err := os.Remove(h.store.Path() + sealSuffix); err != nil {
		t.Fatal(err)
	}
	h.gate.sealer = &sealer{path: h.store.Path() + sealSuffix}
	if _, _, err := h.gate.checkCode(t.Context(), ines, h.code(secret)); !errors.Is(err, ErrSeal) {
		t.Errorf("without the key file: got %v, want ErrSeal", err)
	}
	if _, err := os.Stat(h.store.Path() + sealSuffix); err == nil {
		t.Error("a lost key file was replaced by one that opens nothing")
	}
	if how, _, err := h.gate.checkCode(t.Context(), ines, recovery[0]); how != byRecovery || err != nil {
		t.Errorf("a recovery code without the key file: got %q, %v", how, err)
	}
}

// TestManyMakeOneKey: programs that need the key file at the same time agree.
func TestManyMakeOneKey(t *testing.T) {
	path := t.TempDir() + "/audit.db.seal"
	var together sync.WaitGroup
	sealed := make(chan string, 16)
	for range 16 {
		together.Go(func() {
			text, err := (&sealer{path: path}).seal([]byte("plain"), "test")
			if err != nil {
				t.Error(err)
			}
			sealed <- text
		})
	}
	together.Wait()
	close(sealed)
	one := &sealer{path: path}
	for text := range sealed {
		if plain, err := one.open(text, "test"); err != nil || string(plain) != "plain" {
			t.Errorf("open: got %q, %v", plain, err)
		}
		if _, err := one.open(text, "another"); !errors.Is(err, ErrSeal) {
			t.Errorf("for another purpose: got %v, want ErrSeal", err)
		}
	}
	for _, damaged := range []string{"", "x", strings.Repeat("A", 80), "not base64!"} {
		if _, err := one.open(damaged, "test"); !errors.Is(err, ErrSeal) {
			t.Errorf("open(%q): got %v, want ErrSeal", damaged, err)
		}
	}
	entries, err := os.ReadDir(t.TempDir())
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestT8_OffersAreOfOneSession: what was offered to somebody else, or in another
// session, sets up nothing.
func TestT8_OffersAreOfOneSession(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("ines", db.RoleViewer)
	h.account("vera", db.RoleViewer)
	ines, desk, vera := h.enter("ines"), h.enter("ines"), h.enter("vera")
	var offer *Offer
	h.within("GET", "/account/second-factor", ines, func(w http.ResponseWriter, r *http.Request) { offer, _ = h.gate.NewOffer(r) })
	secret, err := secretText.DecodeString(offer.Secret)
	if err != nil {
		t.Fatal(err)
	}
	try := func(c *http.Cookie, sealed, code string) (err error) {
		h.within("POST", "/account/second-factor", c, func(w http.ResponseWriter, r *http.Request) {
			_, err = h.gate.AcceptOffer(w, r, sealed, code)
		})
		return err
	}
	for what, err := range map[string]error{
		"somebody else": try(vera, offer.Sealed, h.code(secret)), "another session": try(desk, offer.Sealed, h.code(secret)),
		"no offer": try(ines, "", h.code(secret)), "a wrong code": try(ines, offer.Sealed, "000000"), "no code": try(ines, offer.Sealed, ""),
	} {
		if !errors.Is(err, ErrCode) {
			t.Errorf("%s: got %v, want ErrCode", what, err)
		}
	}
	if err := try(ines, offer.Sealed, h.code(secret)); err != nil {
		t.Errorf("the offer itself: %v", err)
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(ines)) // a new id
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(desk)) // other sessions end
	h.wantRows("SELECT changes FROM audit_log WHERE action = 'UPDATE'", `{"recovery_codes":{"old":0,"new":10},"second_factor":{"old":false,"new":true}}`)
}

// TestT8_RequiredOfSuperusers: where a second factor is required a superuser
// without one does nothing else, from his next request on.
func TestT8_RequiredOfSuperusers(t *testing.T) {
	h := newHouse(t, setup{})
	h.account("root", db.RoleSuperuser)
	h.account("vera", db.RoleViewer)
	root, vera := h.enter("root"), h.enter("vera")
	h.wantStatus(200, "GET", "/accounts", cookie(root))
	h.gate.requireFactor = true
	for _, rule := range Rules() {
		if rule.Right == Public || rule.Right == TokenOnly || rule.Bare {
			continue
		}
		target := strings.NewReplacer("{id}", "7", "*", "x").Replace(rule.Pattern)
		w := h.do(request(rule.Method, target, cookie(root)))
		led := w.Code == 303 && w.Header().Get("Location") == "/account/second-factor"
		if told := w.Code == 403 && strings.Contains(w.Body.String(), "/account/second-factor"); !led && !told {
			t.Errorf("%s %s: got %d %q, want led to the second factor", rule.Method, target, w.Code, w.Body)
		}
	}
	h.wantStatus(200, "GET", "/", cookie(vera))
	h.wantStatus(200, "GET", "/account/second-factor", cookie(root))
	_, _, root = h.factor(root)
	h.wantStatus(200, "GET", "/accounts", cookie(root))
	h.wantStatus(204, "POST", "/logout", cookie(root))
}
