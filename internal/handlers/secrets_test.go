package handlers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/auditadmin/auditadmin/audit"
)

// secretPlaces are the places where applications really leave secrets; %s is the
// secret as text, %d as a number.
var secretPlaces = []string{
	`{"password":{"old":"%s","new":"%s"}}`, `{"Password":{"old":null,"new":"%s"}}`, `{"user_PASSWORD_hash":{"old":"%s","new":null}}`, `{"pass word":{"new":"%s"}}`,
	`{"settings":{"old":null,"new":{"smtp":{"password":"%s"}}}}`, `{"settings":{"old":{"deep":{"er":{"api_key":"%s"}}},"new":null}}`,
	`{"users":{"old":[],"new":[{"name":"a","token":"%s"},{"name":"b","token":"%s"}]}}`, `{"secret":{"old":["%s",["%s"]],"new":[]}}`,
	`{"pin":{"old":1,"new":%d}}`, `{"password":{"old":%d,"new":[%d,{"x":%d}]}}`, `{"access_token":{"new":%d.5}}`,
	`{"headers":{"new":{"Authorization":"Bearer %s"}}}`, `{"headers":{"new":"Authorization: Basic %b"}}`, `{"note":{"new":"Authorization: Bearer %s"}}`,
	`{"callback":{"new":"https://hooks.example/x?token=%s&y=1"}}`, `{"link":{"new":"see https://app.example/reset?code=1&password=%s"}}`, `{"dsn":{"new":"postgres://app:%s@db.example/app"}}`,
	`{"fields":{"new":[{"name":"password","value":"%s"},{"key":"client_secret","value":"%s"}]}}`, `{"\u0070assword":{"new":"%s"}}`, `{"ｐassword":{"new":"%s"}}`,
	`{"config":{"new":"{\"password\":\"%s\"}"}}`, `{"env":{"new":"PASSWORD=%s"}}`, `{"cookie":{"new":"sessionid=%s; path=/"}}`, `{"private_key":{"new":"%s"}}`,
}

// TestT12_SecretsNeverReachTheDisk sends change sets with a secret in every
// place where applications leave one, reads and exports them, and looks for each
// secret, as it was and in base64, in every byte of the database, in the log, on
// the pages and in the exports.
//
// ASVS:V14.2.4 ASVS:V16.2.5 ASVS:V13.3.2
func TestT12_SecretsNeverReachTheDisk(t *testing.T) {
	s := newSite(t)
	random := rand.New(rand.NewPCG(12, 12))
	sets := 1_000
	if long {
		sets = 10_000
	}
	var secrets []string
	var body bytes.Buffer
	for i := range sets {
		number := strconv.Itoa(700_000_000 + random.IntN(200_000_000))
		secret := "Canary" + number + "z" + strconv.FormatUint(random.Uint64(), 36)
		secrets = append(secrets, secret, number, base64.StdEncoding.EncodeToString([]byte("app:" + secret))[:24])
		place := strings.NewReplacer("%s", secret, "%d", number, "%b", base64.StdEncoding.EncodeToString([]byte("app:"+secret))).Replace(secretPlaces[i%len(secretPlaces)])
		if !json.Valid([]byte(place)) {
			t.Fatalf("no JSON: %s", place)
		}
		stamp := audit.FormatTime(noon.AddDate(0, 0, -1))
		fmt.Fprintf(&body, `{"kind":"audit_log","timestamp":%q,"event_id":"e%d","username":"alice","action":"UPDATE","content_type":"auth.user","object_id":"%d","changes":%s,"metadata":%s}`+"\n", stamp, i, i, place, place)
		if body.Len() > 4<<20 || i == sets-1 {
			s.ingestAll(body.Bytes())
			body.Reset()
		}
	}
	if err := s.store.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for _, path := range []string{"/audit-logs.csv", "/audit-logs.ndjson", "/audit-logs.json?limit=1000", "/audit-logs?limit=1000", "/audit-logs/facets.json", "/objects?type=auth.user&id=0", "/audit-logs.json?limit=1000&q=field:password"} {
		said.WriteString(s.get("superuser", path).Body.String())
	}
	if n := s.total(audit.KindAuditLog, "type:auth.user"); n != int64(sets) {
		t.Fatalf("got %d events, want %d", n, sets)
	}
	for where, text := range map[string]string{"the files of the database": databaseFiles(t, s), "the log": s.log.String(), "pages and exports": said.String()} {
		hits := 0
		for i, secret := range secrets {
			if strings.Contains(text, secret) {
				if hits++; hits < 10 {
					t.Errorf("%s hold %q of %s", where, secret, secretPlaces[i/3%len(secretPlaces)])
				}
			}
		}
		if hits > 0 {
			t.Errorf("%d of %d secrets stand in %s, want 0", hits, len(secrets), where)
		}
	}
}

// ingestAll sends a body that has to be taken.
func (s *site) ingestAll(body []byte) {
	s.Helper()
	if w := s.do("token:ingest", httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader(body))); w.Code != http.StatusOK {
		s.Fatalf("ingest: got %d, want 200: %s", w.Code, w.Body)
	}
}

// TestT12_OrdinaryFieldsStay: what only sounds like a secret is kept, or nobody
// could read the history.
func TestT12_OrdinaryFieldsStay(t *testing.T) {
	s := newSite(t)
	ordinary := []string{"total", "status", "email", "author", "tokenizer_version", "passenger", "compass", "secretary", "keyboard", "monkey", "pinned", "opinion", "shipping", "hash_algorithm", "key_account_manager", "password_changed_at", "token_count", "public_key_algorithm"}
	for i, field := range ordinary {
		s.ingestAll([]byte(fmt.Sprintf(`{"kind":"audit_log","timestamp":%q,"event_id":"o%d","action":"UPDATE","content_type":"shop.x","changes":{%q:{"old":"plain text","new":"Value%d of it"}}}`, audit.FormatTime(noon.AddDate(0, 0, -2)), i, field, i)))
	}
	body := s.get("viewer", "/audit-logs.ndjson?q=type:shop.x").Body.String()
	kept := 0
	for i, field := range ordinary {
		if strings.Contains(body, fmt.Sprintf("Value%d of it", i)) {
			kept++
		} else {
			t.Logf("%s is masked", field)
		}
	}
	if kept < len(ordinary)*99/100 {
		t.Errorf("%d of %d ordinary fields are kept, want at least 99 of 100", kept, len(ordinary))
	}
}

// invisible are all characters that a reader cannot see, or that a terminal, a
// spreadsheet or a browser obeys: 65 controls, every format character, and what
// changes the direction of text.
func invisible() []rune {
	var all []rune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) { // those are seen
			all = append(all, r)
		}
	}
	return all
}

// harmlessOnPages may stand in a page as they are: line ends and tabs are space
// there, and joiners are parts of letters and of emoji.
const harmlessOnPages = "\n\t\r\u200c\u200d"

// TestT13_NothingInvisibleReachesASink records every such character in every
// text field and looks at every place where it comes out again: pages, headers,
// the log. Data for programs stays as it was, escaped in JSON.
//
// ASVS:V1.2.3 ASVS:V16.4.1 ASVS:V5.4.2 ASVS:V16.2.4
func TestT13_NothingInvisibleReachesASink(t *testing.T) {
	s := newSite(t)
	runes := invisible()
	if len(runes) < 65+150 {
		t.Fatalf("got %d characters, want the 65 controls and every format character", len(runes))
	}
	step := 8
	raw := map[rune]bool{}
	for _, r := range runes {
		raw[r] = !strings.ContainsRune(harmlessOnPages, r)
	}
	if long {
		step = 1
	}
	for from := 0; from < len(runes); from += 40 {
		var text strings.Builder
		for _, r := range runes[from:min(from+40, len(runes))] {
			text.WriteString("a" + string(r) + "b")
		}
		for i, kind := range audit.Kinds() {
			if (from/40+i)%4 != 0 && !long {
				continue
			}
			stamp := audit.FormatTime(noon.AddDate(0, 0, -1-from))
			e := hostileEvent(t, s, kind, text.String(), stamp)
			if _, err := s.store.Append(t.Context(), []*audit.Event{e}); err != nil {
				t.Fatal(err)
			}
			id := s.find(kind, stamp)
			for _, path := range []string{"/" + kind.Path(), "/" + kind.Path() + "/" + id} {
				page := s.page("viewer", path)
				for i, r := range page {
					if raw[r] {
						t.Errorf("GET %s: %U stands raw in %q", path, r, page[max(0, i-40):min(len(page), i+20)])
					}
				}
			}
			for _, path := range []string{"/" + kind.Path() + ".json", "/" + kind.Path() + ".ndjson", "/" + kind.Path() + "/" + id + ".json"} {
				if body := s.page("viewer", path); strings.ContainsFunc(body, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x2028 || r == 0x2029 }) {
					t.Errorf("GET %s: a control character stands raw in the JSON", path)
				}
			}
		}
	}
	// What comes in with a request goes out in headers and into the log.
	for i := 0; i < len(runes); i += step {
		text := "x" + string(runes[i]) + "Set-Cookie: a=b"
		for _, r := range []*http.Request{
			httptestGet("/login?next=" + url.QueryEscape("/audit-logs?q="+text)), httptestGet("/audit-logs.csv?q=" + url.QueryEscape(`"`+text+`"`)), httptestGet("/" + url.PathEscape(text)),
			httptestGet("/audit-logs?tz=" + url.QueryEscape(text)), httptest.NewRequest(http.MethodPost, "/system-events/resolve", strings.NewReader(url.Values{"next": {"/" + text}, "note": {text}, "id": {text}}.Encode())),
		} {
			r.Header.Set("User-Agent", text)
			r.Header.Set("X-Request-Id", text)
			if r.Method == http.MethodPost {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			w := s.do("responder", r)
			for name, values := range w.Header() {
				for _, v := range values {
					if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
						t.Errorf("%s: header %s holds %q", r.URL, name, v)
					}
				}
			}
			if got := w.Header().Values("Set-Cookie"); strings.Contains(strings.Join(got, " "), "a=b;") {
				t.Errorf("%s: a cookie of the caller's own making: %q", r.URL, got)
			}
		}
		s.server.Log.Info("said by a stranger", "text", text, text, "x")
	}
	for _, r := range s.log.String() {
		if r != '\n' && raw[r] {
			t.Errorf("%U stands raw in the log", r)
		}
	}
}
