package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

func TestMaskName(t *testing.T) {
	secret := strings.Fields(`password Password PASSWORD user_password userPassword UserPASSWORD new-password password2 passwd pwd
		password_hash passwordHash password.confirmation ｐａｓｓｗｏｒｄ ſecret 𝐩assword secret client_secret clientSecret
		SecretString aws_secret_access_key secretAccessKey token access_token accessToken refreshToken csrfmiddlewaretoken gateway_token
		X-Amz-Security-Token APIKey api_key apikey x-api-key api-keys private_key privateKeyPem signing_key encryptionKey session_key
		sessionid PHPSESSID credit_card creditCardNumber card_number cc_number cvv cvv2 cvc ssn social_security_number otp totp_secret pin
		card_pin db_pass smtp_password recovery_codes backup_code verification_code jwt passphrase ssh_passphrase hmac_key token_value
		pass pass_word OAuthToken`)
	unsecret := strings.Fields(`username tokens token_count max_tokens tokenCount next_token nextPageToken NextToken page_token stop_token
		password_changed_at passwordChangedAt password_policy password_strength has_password is_secret isSecret requires_password
		use_token secret_name secretName secret_id key_id api_key_id access_key_id accessKeyId private_key_id public_key key keys
		primary_key foreign_key sort_key cache_key idempotency_key pin_code zip_code country_code pinned shipping_pin_code passenger
		passport_country compass boarding_pass pass_rate bypass card card_type credit_card_type credit_limit scorecard discard
		session session_count authorized authorization_type cookie_policy keyboard monkey turkey tokenizer spin opinion shopping
		hotpot description code status_code error_code security_code reason author authority card_count num_tokens iban
		secretary secretariat token_type password_reset_required`)
	m := NewMasker(testKey)
	for _, name := range append(secret, "pass\u200bword") {
		if got := m.names.certainty(name); got != certain {
			t.Errorf("%s (%q): got %d, want a secret", name, splitName(name), got)
		}
	}
	for _, name := range unsecret {
		if got := m.names.certainty(name); got == certain {
			t.Errorf("%s (%q): got a secret, want none", name, splitName(name))
		}
	}
	m = NewMasker(testKey, MaskFields("IBAN", "home address"), KeepFields("session_key", "gate_pin"))
	for name, want := range map[string]certainty{"iban": certain, "homeAddress": certain, "HOME_ADDRESS": certain, "address": open, "sessionKey": open} {
		if got := m.names.certainty(name); got != want {
			t.Errorf("with options, %s: got %d, want %d", name, got, want)
		}
	}
}

// m12 stands for a mask with a fingerprint in the tests below.
var m12 = regexp.MustCompile(`\*\*\*[0-9a-f]{12}`)

func TestMaskJSON(t *testing.T) {
	tests := []struct{ give, want string }{
		{`{"password":{"old":"hunter2","new":"1"}}`, `{"password":{"old":"M","new":"M"}}`},
		{`{"password":{"old":null,"new":"","set":true}}`, ``},
		{`{"password":{"old":"***","new":"***0123456789ab"}}`, ``},
		{`{"password":"set","token":"[REDACTED]","secret":"********"}`, ``},
		{`{ "a" : 1.50 , "pin" : 1234 , "b":"\u0041\/" }`, `{ "a" : 1.50 , "pin" : "M" , "b":"\u0041\/" }`},
		{`{"tokens":["abcd1234efgh", 12, "short"]}`, `{"tokens":["M", 12, "short"]}`},
		{`{"secret":{"a":["x1",[2,{"b":"y3"}]]}}`, `{"secret":{"a":["M",["M",{"b":"M"}]]}}`},
		{`[{"name":"DB_PASSWORD","value":"x1"},{"value":"y2","name":"API_KEY"},{"name":"PATH","value":"/bin"}]`,
			`[{"name":"DB_PASSWORD","value":"M"},{"value":"M","name":"API_KEY"},{"name":"PATH","value":"/bin"}]`},
		{`{"field":"password","old_value":"a1","new_value":"b2"}`, `{"field":"password","old_value":"M","new_value":"M"}`},
		{`{"body":"{\"user\":\"al\",\"password\":\"hunter2\"}"}`, `{"body":"{\"user\":\"al\",\"password\":\"M\"}"}`},
		{`{"accessKey":{"userName":"al","status":"Active","secretAccessKey":"a1"},"secret":{"secretName":"db","defaultMode":420}}`,
			`{"accessKey":{"userName":"al","status":"Active","secretAccessKey":"M"},"secret":{"secretName":"db","defaultMode":420}}`},
		{`{"ElevatedToken":"%%1842","sessionId":"ab12cd34"}`, ``},
		{`{"authorization":"granted","cookie":"accepted"}`, ``},
		{`{"Authorization":"Bearer canarytokencanary","Cookie":"sid=1234567"}`, `{"Authorization":"M","Cookie":"M"}`},
		{`{"note":"card 4111 1111 1111 1111 was used","n":4111111111111111,"order_id":4111111111111111}`,
			`{"note":"card M was used","n":"M","order_id":4111111111111111}`},
		{`{"broken": "AKIAIOSFODNN7EXAMPLE`, `{"broken": "M`},
		{`{"password" broken`, ``},
	}
	m := NewMasker(testKey)
	for _, tt := range tests {
		e := NewEvent(KindAuditLog)
		e.Set("metadata", tt.give)
		n := m.Mask(e)
		got := m12.ReplaceAllString(e.Get("metadata"), "M")
		if tt.want == "" {
			if n != 0 || e.Get("metadata") != tt.give {
				t.Errorf("%s: got %d masked, %s, want it unchanged", tt.give, n, e.Get("metadata"))
			}
			continue
		}
		if got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.give, got, tt.want)
		}
		if want := len(m12.FindAllString(e.Get("metadata"), -1)); n != want {
			t.Errorf("%s: got %d masked, want %d", tt.give, n, want)
		}
		once := e.Get("metadata")
		if again := m.Mask(e); again != 0 || e.Get("metadata") != once {
			t.Errorf("masking %s again: got %d, %s", once, again, e.Get("metadata"))
		}
	}
}

// secretsByShape are made up; each has to be found wherever it stands. They are
// put together here, so that no scanner takes this file for a leak.
var secretsByShape = []string{
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
	"-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
	"AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "Y34FZKBOKMUTVV7A",
	"ghp" + "_0123456789abcdefghijABCDEFGHIJ012345", "github" + "_pat_11ABCDEFG0abcdefghijkl_mnop",
	"xoxb" + "-123456789012-abcdefABCDEF", "sk" + "_live_4eC39HqLyjWDarjtT1zdp7dc", "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
	"4111 1111 1111 1111", "5555555555554444", "3782-822463-10005",
	"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b2dWRWJTmaasJmhSH8", "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
	"$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "pbkdf2_sha256$260000$abcdef$Bl3CiJ8fz5bWoYkEZ3fwHsIcZ2wqNqaJGzVGJzQJp0Y=",
	"$6$rounds=5000$saltsalt$KqJWpanXZHKq2BOB43TSaYhEWsQ1Lr5QNyPCDH/Tp.6",
}

func TestMaskShapes(t *testing.T) {
	m := NewMasker(testKey)
	for _, secret := range secretsByShape {
		for _, around := range []string{"%s", "before %s after", "key=%s", `("%s")`, "token: %s.", "a,%s,b"} {
			s := fmt.Sprintf(around, secret)
			got, n := m.Text(s)
			if n == 0 || strings.Contains(got, secret) || !m12.MatchString(got) {
				t.Errorf("%s: got %d masked in %s", s, n, got)
			}
			again, n := m.Text(got)
			if n != 0 || again != got {
				t.Errorf("masking %s again: got %d, %s", got, n, again)
			}
		}
	}
	parts := []struct{ give, want string }{
		{"postgres://app:hunter2@db/shop?sslmode=off", "postgres://app:M@db/shop?sslmode=off"},
		{"GET /reset?user=al&token=abc&x=1 200", "GET /reset?user=al&token=M&x=1 200"},
		{"username=al&password=hunter2", "username=al&password=M"},
		{"Server=db;User Id=sa;Password=hunter2;", "Server=db;User Id=sa;Password=M;"},
		{"Authorization: Bearer abcdef123456", "Authorization: Bearer M"},
		{"sent Bearer abcdefghij0123456789 twice", "sent Bearer M twice"},
		{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("al:hunter2")), "Authorization: Basic M"},
		{"AKIA" + "IOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "M M"},
		{"https://b.s3.amazonaws.com/k?X-Amz-Signature=0123456789abcdef0123456789abcdef", "https://b.s3.amazonaws.com/k?X-Amz-Signature=M"},
	}
	for _, tt := range parts {
		got, _ := m.Text(tt.give)
		if got = m12.ReplaceAllString(got, "M"); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.give, got, tt.want)
		}
	}
	for _, s := range []string{
		"Basic information about the order", "Bearer of good news and much more than that", "Authorization: denied for user alice",
		"commit 3f786850e387550fdab836ed7e6dc881de23001b", "0123456789abcdef0123456789abcdef", "1772366400123456", "1817559375270817792",
		"4111111111111112", "41111111-1111-1111-1111-111111111111", "0.4111111111111111", "https://example.org/4111111111111111",
		"ubuntu : TTY=pts/0 ; PWD=/home/ubuntu ; USER=root ; COMMAND=/bin/ls", "TTY=pts/0 ; PWD=/root ; COMMAND=ls",
		"the password= was wrong", "def login(username, password=None, token=token):", "http://host:8080/@scope/pkg", "mailto:al@example.org",
		"$2 and $3", "eyJust a word.and another.one", "-----BEGIN PUBLIC KEY-----", "sk_live_", "risk_test_0123456789", "xoxo", "ghp_short",
	} {
		if got, n := m.Text(s); n != 0 || got != s {
			t.Errorf("%s: got %s, want no mask", s, got)
		}
	}
}

func TestMaskFingerprint(t *testing.T) {
	m, other := NewMasker(testKey), NewMasker([]byte("another key"))
	if NewMasker(testKey).mask("a") != m.mask("a") || m.mask("a") == m.mask("b") || m.mask("a") == other.mask("a") {
		t.Errorf("got %s, %s, %s, want them to differ by value and key", m.mask("a"), m.mask("b"), other.mask("a"))
	}
	if got := NewMasker(nil).mask("a"); got != "***" {
		t.Errorf("without a key: got %s, want ***", got)
	}
	for s, want := range map[string]bool{"***": true, "***0123456789ab": true, "***0123456789aB": false, "****": false, "": false, "x***": false, "***0123456789abc": false} {
		if got := IsMask(s); got != want {
			t.Errorf("IsMask(%q): got %t, want %t", s, got, want)
		}
	}
	if got, want := MaskFingerprint("***0123456789ab"), "0123456789ab"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMaskCanaries puts secrets at random places of random change sets; none
// may be left, and everything else has to be.
func TestMaskCanaries(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := NewMasker(testKey)
	names := []string{"password", "apiKey", "client_secret", "ＴＯＫＥＮ", "old-passwd", "CVV", "private_key"}
	for i := range 10_000 {
		canary := fmt.Sprintf("canary%08d", i)
		number := 700_000_000 + i
		name := names[r.IntN(len(names))]
		var v any
		switch r.IntN(8) {
		case 0:
			v = map[string]any{name: canary}
		case 1:
			v = map[string]any{name: map[string]any{"old": canary, "new": number}}
		case 2:
			v = map[string]any{"list": []any{1, map[string]any{name: []any{canary, number}}}}
		case 3:
			v = map[string]any{"url": "https://example.org/cb?a=1&" + "token=" + canary + "&b=2"}
		case 4:
			v = map[string]any{"header": "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("al:"+canary))}
		case 5:
			inner, _ := json.Marshal(map[string]any{name: canary})
			v = map[string]any{"body": string(inner)}
		case 6:
			v = map[string]any{"dsn": "mysql://root:" + canary + "@localhost/db"}
		case 7:
			v = []any{map[string]any{"key": "SECRET_KEY", "value": canary}}
		}
		raw, err := json.Marshal(map[string]any{"visible": i, "settings": map[string]any{"new": v}})
		if err != nil {
			t.Fatal(err)
		}
		e := NewEvent(KindAuditLog)
		e.Set("changes", string(raw))
		m.Mask(e)
		got := e.Get("changes")
		left := []string{canary, fmt.Sprint(number), base64.StdEncoding.EncodeToString([]byte("al:" + canary))}
		for _, s := range left {
			if strings.Contains(got, s) {
				t.Fatalf("%s is left of %s in %s", s, raw, got)
			}
		}
		if !strings.Contains(got, fmt.Sprintf(`"visible":%d`, i)) || !json.Valid([]byte(got)) {
			t.Fatalf("got %s from %s", got, raw)
		}
	}
}

// TestMaskRealHistories holds 83,327 real changes, none of which is a secret.
func TestMaskRealHistories(t *testing.T) {
	m := NewMasker(testKey)
	for _, name := range histories {
		t.Run(name, func(t *testing.T) {
			eachHistoryLine(t, name, func(line []byte) {
				e, err := DecodeEvent(line, DecodeOptions{Import: true})
				if err != nil {
					t.Fatal(err)
				}
				if n := m.Mask(e); n != 0 {
					t.Errorf("got %d masks in %s, want none\n%s", n, line, AppendJSON(nil, e, nil))
				}
			})
		})
	}
}

// TestMaskHostile gives a quarter of a megabyte of what nearly matches. What
// takes time in proportion takes well under a second; the limit is wide so that
// a busy machine does not fail it, and one step in the square would.
func TestMaskHostile(t *testing.T) {
	deep := strings.Repeat(`{"value":`, 31) + `1` + strings.Repeat(`,"name":"password"}`, 31)
	for _, s := range []string{
		deep, strings.Repeat("$2b$", 60_000), strings.Repeat("4111 ", 50_000), strings.Repeat("?token=a&", 25_000),
		strings.Repeat("eyJ.", 60_000), strings.Repeat("-----BEGIN PRIVATE KEY-----", 8_000), strings.Repeat("://a:", 50_000),
		`"` + strings.Repeat("[", 125_000) + `"`,
	} {
		e := NewEvent(KindAuditLog)
		e.Set("metadata", s)
		e.Set("reason", s)
		start := time.Now()
		NewMasker(testKey).Mask(e)
		took := time.Since(start)
		t.Logf("%.30s…: %d bytes, twice, in %s", s, len(s), took.Round(time.Millisecond))
		if took > time.Minute {
			t.Errorf("%.30s…: took %s for %d bytes", s, took, len(s))
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add(`{"password":"x","a":[{"name":"token","value":"y"}]}`)
	f.Add("Basic YWw6eA== 4111 1111 1111 1111 ?token=abc")
	f.Add(`{"value":{"value":"1","key":"pwd"},"key":"\u0070wd"}`)
	m := NewMasker(testKey)
	f.Fuzz(func(t *testing.T, s string) {
		e := sample(t, KindAuditLog, "metadata", s, "reason", s)
		if e.Normalize(testNow) != nil {
			return
		}
		m.Mask(e)
		if err := e.Normalize(testNow); err != nil {
			t.Fatalf("masked event: %v in %q", err, e.Values())
		}
		before := fmt.Sprint(e.Values())
		if n := m.Mask(e); n != 0 || fmt.Sprint(e.Values()) != before {
			t.Fatalf("masking again: %d masked, got %q, want %q", n, e.Values(), before)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	e, err := DecodeEvent([]byte(exampleLine), DecodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	m := NewMasker(testKey)
	b.ReportAllocs()
	for b.Loop() {
		m.Mask(e)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
