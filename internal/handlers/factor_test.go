package handlers

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"

	"github.com/auditadmin/auditadmin/internal/authz"
)

// app is what an app for one-time codes shows, by RFC 6238 and not by our code.
func (s *site) app(secret string) string {
	s.Helper()
	key, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(secret, " ", ""))
	if err != nil {
		s.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(s.now().Unix()/30)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1000000)
}

// follow sends a form as a browser does that keeps the cookies it is given.
func (s *site) follow(as, path string, form url.Values) *httptest.ResponseRecorder {
	s.Helper()
	w := s.post(as, path, form)
	for _, c := range w.Result().Cookies() {
		if c.Name == "auditadmin" && c.Value != "" {
			s.cookie[as] = c
		}
	}
	return w
}

// enrol sets up a second factor through the pages, and returns its secret and the
// recovery codes.
func (s *site) enrol(as string) (secret string, recovery []string) {
	s.Helper()
	page := s.page(as, "/account/second-factor")
	offer := regexp.MustCompile(`name="offer" value="([^"]+)"`).FindStringSubmatch(page)
	key := regexp.MustCompile(`class="key"[^>]*>([A-Z2-7 ]+)<`).FindStringSubmatch(page)
	if offer == nil || key == nil {
		s.Fatal("the page offers no second factor")
	}
	wrong := s.post(as, "/account/second-factor", url.Values{"offer": {offer[1]}, "code": {"000000"}})
	if wrong.Code != http.StatusUnprocessableEntity || !strings.Contains(wrong.Body.String(), key[1]) {
		s.Errorf("a wrong code: got %d, and the page does not show the same key again", wrong.Code)
	}
	done := s.follow(as, "/account/second-factor", url.Values{"offer": {offer[1]}, "code": {s.app(key[1])}})
	if done.Code != http.StatusOK {
		s.Fatalf("the right code: got %d %s", done.Code, done.Body)
	}
	recovery = regexp.MustCompile(`[a-z2-7]{6}(-[a-z2-7]{6}){3}`).FindAllString(done.Body.String(), -1)
	if len(recovery) != 10 {
		s.Fatalf("got %d recovery codes, want 10", len(recovery))
	}
	s.pass(time.Minute)
	return key[1], recovery
}

// second signs in with the two halves, and returns the answer to the second.
func (s *site) second(name, code, next string) *httptest.ResponseRecorder {
	s.Helper()
	first := s.post("", "/login", url.Values{"username": {name}, "password": {password}, "next": {next}})
	if got, want := first.Header().Get("Location"), address("/login/code", "next", next); first.Code != http.StatusSeeOther || got != want {
		s.Fatalf("the password: got %d to %q, want 303 to %q", first.Code, got, want)
	}
	send := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range first.Result().Cookies() {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		s.server.ServeHTTP(w, r)
		return w
	}
	if page := send(http.MethodGet, first.Header().Get("Location"), nil); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), `value="`+html.EscapeString(next)+`"`) {
		s.Fatalf("the page for the code: got %d", page.Code)
	}
	return send(http.MethodPost, "/login/code", url.Values{"code": {code}, "next": {next}})
}

// TestT8_SecondFactorThroughPages sets one up, signs in with it and without it,
// loses it, and has it taken away, as people do.
//
// ASVS:V6.3.3 ASVS:V6.5.1 ASVS:V6.3.4
func TestT8_SecondFactorThroughPages(t *testing.T) {
	s := newSite(t)
	if page := s.page("viewer", "/account"); !strings.Contains(page, "/account/second-factor") {
		t.Error("the page of the account offers no second factor")
	}
	before := s.cookie["viewer"]
	secret, recovery := s.enrol("viewer")
	if before.Value == s.cookie["viewer"].Value {
		t.Error("the session keeps its id")
	}
	if w := s.get("viewer", "/account/second-factor"); w.Code != http.StatusSeeOther {
		t.Errorf("a second one: got %d, want led away", w.Code)
	}
	if page := s.page("viewer", "/account"); !strings.Contains(page, "10 recovery codes left") {
		t.Error("the page of the account does not count the recovery codes")
	}
	w := s.second("vera", s.app(secret), "/audit-logs?q=action:DELETE")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/audit-logs?q=action:DELETE" {
		t.Errorf("with the code: got %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := s.second("vera", s.app(secret), "/"); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "used already") {
		t.Errorf("the same code once more: got %d", w.Code)
	}
	s.pass(time.Minute)
	if w := s.second("vera", strings.ToUpper(recovery[4]), "/"); w.Code != http.StatusSeeOther {
		t.Errorf("a recovery code: got %d", w.Code)
	}
	s.pass(time.Minute)
	if w := s.second("vera", recovery[4], "/"); w.Code != http.StatusUnauthorized {
		t.Errorf("the same recovery code: got %d", w.Code)
	}
	if w := s.get("", "/login/code"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?next=%2F" {
		t.Errorf("the page for the code without a password: got %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := s.post("", "/login/code", url.Values{"code": {s.app(secret)}}); w.Code != http.StatusUnauthorized {
		t.Errorf("a code without a password: got %d", w.Code)
	}
	// New recovery codes void the old ones.
	fresh := s.follow("viewer", "/account/recovery-codes", nil)
	if fresh.Code != http.StatusOK || strings.Contains(fresh.Body.String(), recovery[0]) {
		t.Errorf("new recovery codes: got %d, and the old ones among them", fresh.Code)
	}
	s.pass(time.Minute)
	if w := s.second("vera", recovery[0], "/"); w.Code != http.StatusUnauthorized {
		t.Errorf("a recovery code from before: got %d", w.Code)
	}
	// A superuser takes it away, from anybody but himself.
	if page := s.page("superuser", "/accounts"); !strings.Contains(page, "Reset the second factor of vera") {
		t.Error("the page of accounts offers no reset")
	}
	vera, err := s.store.Account(t.Context(), "vera")
	if err != nil {
		t.Fatal(err)
	}
	sam, err := s.store.Account(t.Context(), "sam")
	if err != nil {
		t.Fatal(err)
	}
	reset := func(id int64) string { return "/accounts/" + strconv.FormatInt(id, 10) + "/reset-totp" }
	expect(t, "one's own", s.follow("superuser", reset(sam.ID), url.Values{authz.ConfirmField: {password}}).Code, http.StatusConflict)
	expect(t, "by a responder", s.post("responder", reset(vera.ID), nil).Code, http.StatusForbidden)
	expect(t, "reset", s.post("superuser", reset(vera.ID), nil).Code, http.StatusSeeOther)
	expect(t, "her sessions", s.get("viewer", "/account").Code, http.StatusSeeOther)
	if w := s.post("", "/login", url.Values{"username": {"vera"}, "password": {password}}); w.Header().Get("Location") != "/" {
		t.Errorf("after the reset the password leads to %q", w.Header().Get("Location"))
	}
	var traces listed
	s.data("superuser", "/audit-logs.json?q="+url.QueryEscape("field:second_factor"), &traces)
	if len(traces.Items) != 2 || traces.Items[0]["username"] != "sam" {
		t.Errorf("traces of second factors: got %v, want one of setting it up and one of the reset", traces.Items)
	}
}

// TestSecondFactorIsTurnedOff by its owner.
func TestSecondFactorIsTurnedOff(t *testing.T) {
	s := newSite(t)
	s.enrol("viewer")
	w := s.follow("viewer", "/account/second-factor/remove", nil)
	expect(t, "turn off", w.Code, http.StatusSeeOther)
	s.page("viewer", "/account")
	if w := s.post("", "/login", url.Values{"username": {"vera"}, "password": {password}}); w.Header().Get("Location") != "/" {
		t.Errorf("the password leads to %q", w.Header().Get("Location"))
	}
	expect(t, "new recovery codes for none", s.post("viewer", "/account/recovery-codes", nil).Code, http.StatusConflict)
}

// TestT8_RequiredOfSuperusers leads a superuser without a second factor to the
// page that sets one up, which leads nowhere else.
func TestT8_RequiredOfSuperusers(t *testing.T) {
	s := newSite(t)
	strict, err := New(t.Context(), Config{Store: s.store, Version: "test", KDF: quickKDF, Log: slog.New(slog.DiscardHandler), RequireFactor: true})
	if err != nil {
		t.Fatal(err)
	}
	s.server = strict
	for _, path := range []string{"/", "/audit-logs", "/accounts", "/account", "/account/password"} {
		if w := s.get("superuser", path); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/account/second-factor" {
			t.Errorf("GET %s: got %d to %q", path, w.Code, w.Header().Get("Location"))
		}
	}
	expect(t, "data", s.get("superuser", "/audit-logs.json").Code, http.StatusForbidden)
	expect(t, "a form", s.post("superuser", "/tokens", url.Values{"name": {"x"}}).Code, http.StatusForbidden)
	page := s.page("superuser", "/account/second-factor")
	for _, link := range []string{`href="/audit-logs"`, `href="/accounts"`, `href="/health"`} {
		if strings.Contains(page, link) {
			t.Errorf("the page leads to %s", link)
		}
	}
	if !strings.Contains(page, `action="/logout"`) {
		t.Error("there is no way to sign out")
	}
	expect(t, "a viewer", s.get("viewer", "/audit-logs").Code, http.StatusOK)
	s.enrol("superuser")
	expect(t, "afterwards", s.get("superuser", "/accounts").Code, http.StatusOK)
}

// TestQRIsWhole draws the squares of the code and no others.
func TestQRIsWhole(t *testing.T) {
	const text = "otpauth://totp/auditadmin:ines?issuer=auditadmin&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	drawn, err := drawQR(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		t.Fatal(err)
	}
	dark := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(drawn.Path, -1) {
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(m[i+1])
		}
		if n[2] != n[3] {
			t.Fatalf("a run goes %d there and %d back", n[2], n[3])
		}
		for x := range n[2] {
			dark[[2]int{n[0] + x, n[1]}] = true
		}
	}
	for y := range drawn.Size {
		for x := range drawn.Size {
			inside := x >= 4 && y >= 4 && x < drawn.Size-4 && y < drawn.Size-4
			want := false
			if inside {
				r, _, _, _ := code.At(x-4, y-4).RGBA()
				want = r == 0
			}
			if dark[[2]int{x, y}] != want {
				t.Fatalf("square %d,%d is dark %v, want %v", x, y, !want, want)
			}
		}
	}
}

// TestT5_SecretsAreNotLogged signs in, fails, asks again and breaks, and looks for
// secrets in all the server says of it and in every address it leads to.
//
// ASVS:V16.2.5 ASVS:V14.2.1
func TestT5_SecretsAreNotLogged(t *testing.T) {
	s := newSite(t)
	var log bytes.Buffer
	server, err := New(t.Context(), Config{Store: s.store, Version: "test", KDF: quickKDF, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	secret, recovery := s.enrol("superuser")
	var said strings.Builder
	note := func(w *httptest.ResponseRecorder) {
		said.WriteString(w.Header().Get("Location") + "\n" + w.Header().Get("Refresh") + "\n")
	}
	code := s.app(secret)
	note(s.second("sam", code, "/"))
	note(s.second("sam", "000000", "/"))
	note(s.post("", "/login", url.Values{"username": {"sam"}, "password": {"a-wrong-canary-password"}}))
	s.pass(10 * time.Minute)
	note(s.post("superuser", "/tokens", url.Values{authz.ConfirmField: {"a-wrong-canary-answer"}}))
	note(s.follow("superuser", "/tokens", url.Values{authz.ConfirmField: {password}, "name": {"x"}, "scope": {"read"}, "expires": {"30d"}}))
	note(s.get("superuser", "/nowhere"))
	s.store.Close() // everything breaks from here on
	note(s.get("superuser", "/accounts"))
	note(s.post("", "/login", url.Values{"username": {"sam"}, "password": {password}}))
	note(s.post("superuser", "/tokens", url.Values{authz.ConfirmField: {password}}))
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Fatal("nothing broke, so this test shows nothing")
	}
	for _, canary := range []string{s.cookie["superuser"].Value, password, "a-wrong-canary", strings.ReplaceAll(secret, " ", ""), secret, recovery[0], code} {
		if strings.Contains(log.String(), canary) {
			t.Errorf("the log holds %q", canary)
		}
		if strings.Contains(said.String(), canary) {
			t.Errorf("an address holds %q", canary)
		}
	}
}
