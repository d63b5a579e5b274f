package authz

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/auditadmin/auditadmin/internal/db"
)

// provider is an OpenID Connect issuer on this machine. It is strict, as the
// standards ask: each code is good once, and only with the verifier that its
// challenge was made of.
type provider struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	mu     sync.Mutex
	codes  map[string]url.Values // what was asked for, by the code that was given
	claims func() map[string]any // of the next tokens, beside what belongs to them
	sign   func([]byte) string   // the ID token of a payload; nil signs with the key
	asked  url.Values            // of the last visit
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// visit is what a browser does at the issuer: it asks with the address it was sent
// to and comes back with a code.
func (p *provider) visit(address string) (back url.Values) {
	p.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = u.Query()
	for name, want := range map[string]string{"response_type": "code", "client_id": "audit", "redirect_uri": "http://example.com/login/issuer/callback", "code_challenge_method": "S256"} {
		if got := p.asked.Get(name); got != want {
			p.t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(p.asked.Get(name)) != 43 {
			p.t.Errorf("%s is %q, want 256 bits", name, p.asked.Get(name))
		}
	}
	code := newSecret()
	p.codes[code] = p.asked
	return url.Values{"code": {code}, "state": {p.asked.Get("state")}}
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	asked, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if id != "audit" || secret != "s3cret" || !known || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	claims := map[string]any{"iss": p.URL, "aud": "audit", "nonce": asked.Get("nonce")}
	for name, value := range p.claims() {
		claims[name] = value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	sign := p.sign
	if sign == nil {
		sign = func(payload []byte) string { return jws(p.t, `{"alg":"RS256","kid":"k1"}`, payload, p.rs256) }
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": sign(payload)})
}

func (p *provider) rs256(input []byte) []byte {
	sum := sha256.Sum256(input)
	sig, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		p.t.Error(err)
	}
	return sig
}

// jws writes a signed token by hand, so that tests can write wrong ones.
func jws(t *testing.T, header string, payload []byte, sign func([]byte) []byte) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

// withIssuer is a house whose people may sign in at an issuer.
func withIssuer(t *testing.T) (*house, *provider) {
	t.Helper()
	p := newProvider(t)
	h := newHouse(t, setup{options: func(o *Options) {
		o.Issuer = &IssuerOptions{URL: p.URL, ClientID: "audit", ClientSecret: "s3cret", Callback: "http://example.com/login/issuer/callback", RoleClaim: "realm.roles", NameClaim: "preferred_username",
			Roles: map[string]db.Role{"readers": db.RoleViewer, "on-call": db.RoleResponder, "audit-admins": db.RoleSuperuser}}
	}})
	p.claims = p.person(h, "ada", "readers")
	return h, p
}

// person are the claims of somebody with those values of the role claim.
func (p *provider) person(h *house, name string, roles ...string) func() map[string]any {
	return func() map[string]any {
		now := h.clock()
		return map[string]any{"sub": "subject of " + name, "preferred_username": name, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Unix(),
			"realm": map[string]any{"roles": roles}}
	}
}

// leave sends a browser to the issuer, and returns where to and its cookies.
func (h *house) leave(query string, options ...func(*http.Request)) (address string, cookies []*http.Cookie) {
	h.t.Helper()
	w := h.do(request("GET", "/login/issuer"+query, options...))
	if w.Code != 303 {
		h.t.Fatalf("leave for the issuer: got %d %s", w.Code, w.Body)
	}
	return w.Header().Get("Location"), w.Result().Cookies()
}

// back is the request of a browser that comes back.
func (h *house) back(values url.Values, cookies []*http.Cookie, options ...func(*http.Request)) (*httptest.ResponseRecorder, *http.Cookie) {
	h.t.Helper()
	r := request("GET", "/login/issuer/callback?"+values.Encode(), options...)
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	w := h.do(r)
	for _, c := range w.Result().Cookies() {
		if c.Name == cookiePlain {
			return w, c
		}
	}
	return w, nil
}

// signInAt is a whole sign-in at the issuer.
func (h *house) signInAt(p *provider, options ...func(*http.Request)) (*httptest.ResponseRecorder, *http.Cookie) {
	h.t.Helper()
	address, cookies := h.leave("?next=/audit-logs", options...)
	return h.back(p.visit(address), cookies, options...)
}

// TestOIDC_SignIn makes an account at the first sign-in, finds it at the next one,
// follows the role that the issuer gives, and lets nobody in without one.
//
// ASVS:V10.5.1 ASVS:V10.2.1
func TestOIDC_SignIn(t *testing.T) {
	h, p := withIssuer(t)
	w, c := h.signInAt(p)
	if w.Code != 204 || c == nil || w.Header().Get("Location") != "/audit-logs" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		t.Fatalf("first sign-in: got %d %s, cookie %v to %q", w.Code, w.Body, c, w.Header().Get("Location"))
	}
	h.wantStatus(200, "GET", "/audit-logs.json", cookie(c))
	h.wantStatus(403, "GET", "/accounts", cookie(c))
	h.wantRows("SELECT name || ' ' || role || ' ' || (issuer = '"+p.URL+"') || ' ' || subject || ' [' || password_hash || ']' FROM account", "ada viewer 1 subject of ada []")

	// Its issuer alone gives it a password and a role.
	ada := h.reread("ada")
	if err := h.store.SetPassword(t.Context(), db.Actor{}, ada.ID, "x"); err == nil {
		t.Error("an account of the issuer got a password here")
	}
	if err := h.store.SetRole(t.Context(), db.Actor{}, ada.ID, db.RoleSuperuser); err == nil {
		t.Error("an account of the issuer got a role here")
	}
	if _, c := h.login("ada", "", from("192.0.2.99:1")); c != nil {
		t.Error("no password opens an account that has none")
	}

	for _, step := range []struct {
		roles []string
		want  db.Role
	}{
		{[]string{"audit-admins", "readers"}, db.RoleSuperuser}, {[]string{"nothing", "on-call"}, db.RoleResponder}, {[]string{"readers"}, db.RoleViewer},
	} {
		h.sleep(time.Minute)
		p.claims = p.person(h, "ada", step.roles...)
		w, c := h.signInAt(p)
		if a := h.reread("ada"); w.Code != 204 || a.Role != step.want || a.ID != ada.ID {
			t.Fatalf("with %v: got %d and %s, want %s", step.roles, w.Code, a.Role, step.want)
		}
		h.wantStatus(map[db.Role]int{db.RoleSuperuser: 200}[step.want]|map[bool]int{true: 403}[step.want != db.RoleSuperuser], "GET", "/accounts", cookie(c))
	}
	// Taken away: the next sign-in fails and ends what was open.
	h.wantStatus(200, "GET", "/audit-logs.json", cookie(c))
	for _, roles := range [][]string{nil, {"nothing"}, {"Readers"}, {""}} {
		h.sleep(time.Minute)
		p.claims = p.person(h, "ada", roles...)
		if w, c := h.signInAt(p); w.Code != 403 || c != nil || !strings.Contains(w.Body.String(), "no role") {
			t.Errorf("with roles %q: got %d %s", roles, w.Code, w.Body)
		}
	}
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(c))
	h.wantRows("SELECT username || ' ' || status || ' ' || failure_reason || ' ' || coalesce(metadata, '') FROM login_attempt WHERE username = 'ada' AND failure_reason <> 'wrong password' ORDER BY seq",
		`ada SUCCESS  {"method":"issuer"}`, `ada SUCCESS  {"method":"issuer"}`, `ada SUCCESS  {"method":"issuer"}`, `ada SUCCESS  {"method":"issuer"}`,
		"ada FAILED the issuer gives no role here ", "ada FAILED the issuer gives no role here ", "ada FAILED the issuer gives no role here ", "ada FAILED the issuer gives no role here ")
	h.wantRows("SELECT action || ' ' || (username = 'issuer ("+p.URL+")') || ' ' || changes FROM audit_log WHERE content_type = 'auditadmin.account' ORDER BY seq LIMIT 2",
		`CREATE 1 {"issuer":{"old":null,"new":"`+p.URL+`"},"role":{"old":null,"new":"viewer"}}`, `PERMISSION_CHANGE 1 {"role":{"old":"viewer","new":"superuser"}}`)

	// Disabled here is disabled, whatever the issuer says.
	p.claims = p.person(h, "ada", "audit-admins")
	if err := h.store.SetDisabled(t.Context(), db.Actor{}, ada.ID, true); err != nil {
		t.Fatal(err)
	}
	h.sleep(time.Minute)
	if w, c := h.signInAt(p); w.Code != 403 || c != nil {
		t.Errorf("a disabled account: got %d", w.Code)
	}
}

// TestOIDC_NoAccountIsTakenOver: the name that an issuer gives somebody never opens
// an account that is there already.
//
// ASVS:V6.8.1 ASVS:V10.5.2
func TestOIDC_NoAccountIsTakenOver(t *testing.T) {
	h, p := withIssuer(t)
	h.account("root", db.RoleSuperuser)
	for _, name := range []string{"root", "ROOT", " root ", "", "auditadmin", "cli (root)", "issuer (x)", "a\u202eb", strings.Repeat("x", 200)} {
		h.sleep(time.Minute)
		p.claims = func() map[string]any {
			c := p.person(h, name, "audit-admins")()
			c["sub"] = "mallory"
			return c
		}
		if w, c := h.signInAt(p); w.Code != 403 || c != nil {
			t.Errorf("as %.20q: got %d %s", name, w.Code, w.Body)
		}
	}
	h.wantRows("SELECT name || ' ' || issuer FROM account", "root ")
}

// TestOIDC_Refused: every way in which an answer can be wrong opens nothing.
//
// ASVS:V10.5.1 ASVS:V10.5.2 ASVS:V10.5.3 ASVS:V9.1.1 ASVS:V9.1.2 ASVS:V6.8.2 ASVS:V9.1.3 ASVS:V9.2.1 ASVS:V9.2.3 ASVS:V10.1.2 ASVS:V10.2.1 ASVS:V10.5.4
func TestOIDC_Refused(t *testing.T) {
	h, p := withIssuer(t)
	with := func(name string, value any) {
		good := p.person(h, "ada", "readers")
		p.claims = func() map[string]any {
			c := good()
			c[name] = value
			return c
		}
	}
	signed := func(header string, sign func([]byte) []byte) {
		p.sign = func(payload []byte) string { return jws(t, header, payload, sign) }
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(jose.JSONWebKey{Key: p.key.Public(), KeyID: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(){
		"wrong nonce":          func() { with("nonce", newSecret()) },
		"no nonce":             func() { with("nonce", "") },
		"wrong audience":       func() { with("aud", "another") },
		"another issuer":       func() { with("iss", "https://evil.example") },
		"expired":              func() { with("exp", h.clock().Add(-time.Second).Unix()) },
		"issued long ago":      func() { with("iat", h.clock().Add(-time.Hour).Unix()) },
		"issued in the future": func() { with("iat", h.clock().Add(time.Hour).Unix()) },
		"nobody":               func() { with("sub", "") },
		"alg none":             func() { signed(`{"alg":"none"}`, func([]byte) []byte { return nil }) },
		"alg None":             func() { signed(`{"alg":"None","kid":"k1"}`, func([]byte) []byte { return nil }) },
		"no signature":         func() { signed(`{"alg":"RS256","kid":"k1"}`, func([]byte) []byte { return nil }) },
		"another key":          func() { signed(`{"alg":"RS256","kid":"k1"}`, (&provider{t: t, key: other}).rs256) },
		"an unknown key":       func() { signed(`{"alg":"RS256","kid":"k2"}`, (&provider{t: t, key: other}).rs256) },
		"the public key as a secret": func() {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: public}, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.sign = func(payload []byte) string {
				s, err := signer.Sign(payload)
				if err != nil {
					t.Fatal(err)
				}
				text, err := s.CompactSerialize()
				if err != nil {
					t.Fatal(err)
				}
				return text
			}
		},
		"another payload": func() {
			p.sign = func(payload []byte) string {
				good := strings.Split(jws(t, `{"alg":"RS256","kid":"k1"}`, payload, p.rs256), ".")
				better := strings.Replace(string(payload), "readers", "audit-admins", 1)
				return good[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(better)) + "." + good[2]
			}
		},
		"no ID token": func() { p.sign = func([]byte) string { return "" } },
	} {
		h.sleep(time.Minute)
		p.claims, p.sign = p.person(h, "ada", "readers"), nil
		change()
		if w, c := h.signInAt(p); w.Code != 502 || c != nil {
			t.Errorf("%s: got %d %s %v, want 502 and no session", what, w.Code, w.Body, c)
		}
	}
	p.claims, p.sign = p.person(h, "ada", "readers"), nil

	// What does not belong to the browser that was sent away.
	address, cookies := h.leave("?next=/audit-logs")
	answer := p.visit(address)
	_, strange := h.leave("")
	for what, try := range map[string]func() (*httptest.ResponseRecorder, *http.Cookie){
		"no cookie":      func() (*httptest.ResponseRecorder, *http.Cookie) { return h.back(answer, nil) },
		"another cookie": func() (*httptest.ResponseRecorder, *http.Cookie) { return h.back(answer, strange) },
		"wrong state": func() (*httptest.ResponseRecorder, *http.Cookie) {
			return h.back(url.Values{"code": answer["code"], "state": {newSecret()}}, cookies)
		},
		"no state": func() (*httptest.ResponseRecorder, *http.Cookie) {
			return h.back(url.Values{"code": answer["code"]}, cookies)
		},
		"nothing": func() (*httptest.ResponseRecorder, *http.Cookie) { return h.back(nil, nil) },
	} {
		if w, c := try(); w.Code != 403 || c != nil {
			t.Errorf("%s: got %d %s, want 403", what, w.Code, w.Body)
		}
	}
	h.sleep(time.Minute)
	if w, c := h.back(url.Values{"error": {"access_denied"}, "state": answer["state"]}, cookies); w.Code != 403 || c != nil {
		t.Errorf("the issuer said no: got %d", w.Code)
	}
	h.sleep(time.Minute)
	if w, c := h.back(url.Values{"code": answer["code"], "state": answer["state"], "iss": {"https://evil.example"}}, cookies); w.Code != 502 || c != nil {
		t.Errorf("another issuer's answer: got %d", w.Code)
	}
	// It was good all the while, and is so once.
	h.sleep(time.Minute)
	w, c := h.back(answer, cookies)
	if w.Code != 204 || c == nil {
		t.Fatalf("the good one: got %d %s", w.Code, w.Body)
	}
	for _, dropped := range w.Result().Cookies() {
		if strings.HasSuffix(dropped.Name, issuerSuffix) && dropped.MaxAge >= 0 {
			t.Error("the cookie of the way there is kept")
		}
	}
	h.sleep(time.Minute)
	if w, c := h.back(answer, cookies); w.Code != 502 || c != nil {
		t.Errorf("the same code once more: got %d %s", w.Code, w.Body)
	}
	// A code of another browser, under the state of one's own, lacks its verifier.
	h.sleep(time.Minute)
	mine, own := h.leave("")
	_ = p.visit(mine)
	stolen, _ := h.leave("")
	taken := p.visit(stolen)
	u, err := url.Parse(mine)
	if err != nil {
		t.Fatal(err)
	}
	if w, c := h.back(url.Values{"code": taken["code"], "state": {u.Query().Get("state")}}, own); w.Code != 502 || c != nil {
		t.Errorf("a stolen code: got %d %s", w.Code, w.Body)
	}
	if n := h.rows("SELECT count(*) FROM login_attempt WHERE status = 'FAILED'")[0]; n == "0" {
		t.Error("no failed sign-in at the issuer was recorded")
	}
}

// TestOIDC_SecondFactorToo: a second factor set up here is asked for after the
// issuer's own.
func TestOIDC_SecondFactorToo(t *testing.T) {
	h, p := withIssuer(t)
	_, c := h.signInAt(p)
	secret, _, _ := h.factor(c)
	p.claims = p.person(h, "ada", "readers")
	w, c := h.signInAt(p)
	if w.Code != 401 || c != nil {
		t.Fatalf("the issuer alone: got %d %v, want a code asked for", w.Code, c)
	}
	if code, c := h.signInCode(w.Result(), h.code(secret)); code != 204 || c == nil {
		t.Errorf("with the code: got %d", code)
	}
	h.wantRows("SELECT metadata ->> 'method' FROM login_attempt WHERE status = 'SUCCESS' ORDER BY seq", "issuer", "issuer and code")
}

// TestOIDC_AskedAgain: who has no password here shows at the issuer again who he
// is, and then his form goes through.
//
// ASVS:V6.8.4 ASVS:V7.6.1
func TestOIDC_AskedAgain(t *testing.T) {
	h, p := withIssuer(t)
	p.claims = p.person(h, "ada", "audit-admins")
	_, c := h.signInAt(p)
	h.sleep(freshFor)
	h.wantStatus(403, "POST", "/tokens", cookie(c))
	again := func(name string, old time.Duration) (*httptest.ResponseRecorder, *http.Cookie) {
		h.sleep(time.Minute)
		p.claims = func() map[string]any {
			all := p.person(h, name, "audit-admins")()
			all["auth_time"] = h.clock().Add(-old).Unix()
			return all
		}
		address, cookies := h.leave("?again=1", cookie(c))
		answer := p.visit(address)
		if p.asked.Get("prompt") != "login" || p.asked.Get("max_age") != "0" {
			t.Errorf("the issuer is not told to ask again: %v", p.asked)
		}
		return h.back(answer, cookies, cookie(c))
	}
	if w, _ := again("eve", 0); w.Code != 403 {
		t.Errorf("somebody else: got %d", w.Code)
	}
	if w, _ := again("ada", time.Hour); w.Code != 403 {
		t.Errorf("an issuer that did not ask: got %d", w.Code)
	}
	h.wantStatus(403, "POST", "/tokens", cookie(c))
	w, renewed := again("ada", 0)
	if w.Code != 204 || renewed == nil {
		t.Fatalf("asked again: got %d %s", w.Code, w.Body)
	}
	h.wantStatus(200, "POST", "/tokens", cookie(renewed))
	h.wantStatus(401, "GET", "/audit-logs.json", cookie(c))
	h.wantRows("SELECT name FROM account", "ada")
}

// TestOIDC_AskedAgainAfterALoss: who shows at the issuer again who he is has from then
// on the role that it gives now, and not the one of his sign-in for hours to come.
func TestOIDC_AskedAgainAfterALoss(t *testing.T) {
	h, p := withIssuer(t)
	p.claims = p.person(h, "ada", "audit-admins")
	_, c := h.signInAt(p)
	h.sleep(freshFor)
	p.claims = p.person(h, "ada", "readers")
	address, cookies := h.leave("?again=1", cookie(c))
	_, c = h.back(p.visit(address), cookies, cookie(c))
	if c == nil {
		t.Fatal("a viewer cannot show again who he is")
	}
	h.wantRows("SELECT role FROM account", "viewer")
	h.wantStatus(403, "POST", "/tokens", cookie(c))
	if w := h.do(request("POST", "/tokens", cookie(c))); strings.Contains(w.Body.String(), ConfirmField) {
		t.Errorf("a viewer is asked who he is, as if he might: %s", w.Body)
	}
}

// TestOIDC_BreakGlass: with passwords switched off one account still has its own,
// and the answer for all others is the one for a wrong password.
func TestOIDC_BreakGlass(t *testing.T) {
	h, p := withIssuer(t)
	h.account("glass", db.RoleSuperuser)
	h.account("ines", db.RoleViewer)
	h.gate.breakGlass = "Glass"
	wrong, _ := h.login("ines", "a guess at the password")
	derived := h.derived.Load()
	right, c := h.login("ines", password)
	if c != nil || seen(right.Code, right.Result().Header, right.Body.String()) != seen(wrong.Code, wrong.Result().Header, wrong.Body.String()) || h.derived.Load()-derived != 1 {
		t.Errorf("a password that is switched off: got %d %v", right.Code, c)
	}
	if _, c := h.login("glass", password); c == nil {
		t.Error("the account for the day of need does not open")
	}
	p.Close() // that day
	if w := h.do(request("GET", "/login/issuer")); w.Code != 502 {
		t.Errorf("an issuer that is away: got %d, want 502", w.Code)
	}
}

func TestParseIssuerRoles(t *testing.T) {
	got, err := ParseIssuerRoles([]string{"a=viewer", "CN=audit,OU=x=superuser"})
	if err != nil || fmt.Sprint(got) != "map[CN=audit,OU=x:superuser a:viewer]" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "a", "=viewer", "a=king", "a="} {
		if _, err := ParseIssuerRoles([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := ParseIssuerRoles([]string{"a=viewer", "a=superuser"}); err == nil {
		t.Error("one value with two roles is taken")
	}
}

func TestRoleClaims(t *testing.T) {
	roles := map[string]db.Role{"v": db.RoleViewer, "s": db.RoleSuperuser, "": db.RoleSuperuser}
	delete(roles, "")
	for text, want := range map[string]db.Role{
		`{"roles":["v"]}`: db.RoleViewer, `{"roles":"s"}`: db.RoleSuperuser, `{"roles":["v","s"]}`: db.RoleSuperuser, `{}`: "", `{"roles":null}`: "",
		`{"roles":[]}`: "", `{"roles":{"v":true}}`: "", `{"roles":[1,true,["v"],{"v":1}]}`: "", `{"roles":["x"]}`: "",
	} {
		var all map[string]any
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatal(err)
		}
		i := &issuer{IssuerOptions: IssuerOptions{RoleClaim: "roles", Roles: roles}}
		if got := i.role(all); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	i := &issuer{IssuerOptions: IssuerOptions{RoleClaim: "https://x.example/roles", Roles: roles}}
	if got := i.role(map[string]any{"https://x.example/roles": []any{"s"}}); got != db.RoleSuperuser {
		t.Errorf("a claim whose name has dots: got %q", got)
	}
}
