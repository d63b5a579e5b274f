package handlers

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
)

// ingested is the answer to a body of events.
type ingested struct {
	Accepted   *int
	Duplicates *int
	Conflicts  *int
	Error      string
	Line       int64

	status int
	header http.Header
}

// send posts a body to the ingest address with the token of scope ingest.
func (s *site) send(body []byte, header ...string) ingested {
	s.Helper()
	r := httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := s.do("token:ingest", r)
	return s.read(w.Code, w.Header(), w.Body)
}

func (s *site) read(status int, header http.Header, body io.Reader) ingested {
	s.Helper()
	got := ingested{status: status, header: header}
	if err := json.NewDecoder(body).Decode(&got); err != nil {
		s.Errorf("the answer %d is no JSON: %v", status, err)
	}
	return got
}

// stored wants an answer with those counts.
func (s *site) stored(got ingested, accepted, duplicates, conflicts int) {
	s.Helper()
	if got.status != http.StatusOK || got.Accepted == nil || got.Duplicates == nil || got.Conflicts == nil {
		s.Fatalf("got %d %q in line %d, want 200 with three counts", got.status, got.Error, got.Line)
	}
	if *got.Accepted != accepted || *got.Duplicates != duplicates || *got.Conflicts != conflicts {
		s.Fatalf("got accepted %d, duplicates %d, conflicts %d, want %d, %d, %d", *got.Accepted, *got.Duplicates, *got.Conflicts, accepted, duplicates, conflicts)
	}
}

// total is how many events of a kind match a query.
func (s *site) total(kind audit.Kind, q string) int64 {
	s.Helper()
	var list listed
	s.data("viewer", "/"+kind.Path()+".json?limit=1&q="+url.QueryEscape(q), &list)
	return list.Count.Value
}

// line is one event as a program sends it.
func line(n int, more string) string {
	return fmt.Sprintf(`{"kind":"audit_log","event_id":"e%d","timestamp":"2026-03-31T11:00:%02d.%06dZ","username":"alice","action":"UPDATE","content_type":"shop.order","object_id":"%d"%s}`,
		n, n/1000%60, n%1000, n, more)
}

func lines(from, to int) []byte {
	var b bytes.Buffer
	for n := from; n < to; n++ {
		b.WriteString(line(n, "") + "\n")
	}
	return b.Bytes()
}

func zipped(t testing.TB, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestIngest(t *testing.T) {
	s := newSite(t)
	four := []byte(`{"kind":"audit_log","event_id":"a1","timestamp":"2026-03-01T12:00:00.123456Z","user_id":"7","username":"alice","action":"UPDATE","content_type":"shop.order","object_id":"42","changes":{"password":{"old":"hunter22","new":"hunter23"},"total":{"old":10.00,"new":12.50}},"ip_address":"::ffff:203.0.113.9","module":"shop"}
{"kind":"login_attempt","timestamp":"2026-03-01T12:00:01Z","username":"","status":"FAILED"}

{"kind":"data_export","username":"bob","export_type":"orders","record_count":7}` + "\r\n" + `{"kind":"system_event","event_type":"ERROR","title":"nul \u0000 here","resolved":false}`)
	s.stored(s.send(four), 4, 0, 0)

	var list listed
	s.data("viewer", "/audit-logs.json?q=object:42", &list)
	e := list.Items[0]
	for field, want := range map[string]any{"event_id": "a1", "timestamp": "2026-03-01T12:00:00.123456Z", "source": "robot-ingest", "ip_address": "203.0.113.9", "user_id": "7"} {
		if e[field] != want {
			t.Errorf("%s: got %v, want %v", field, e[field], want)
		}
	}
	changes := asJSON(e["changes"])
	if strings.Contains(changes, "hunter") || !strings.Contains(changes, `"old":"***`) {
		t.Errorf("the changes hold a secret: %s", changes)
	}
	if raw := s.page("viewer", "/audit-logs/"+e["id"].(string)+".json"); !strings.Contains(raw, "12.50") {
		t.Errorf("a number lost its digits: %s", raw)
	}
	s.data("viewer", "/data-exports.json?q=user:bob", &list)
	if got, want := list.Items[0]["timestamp"], audit.FormatTime(noon); got != want {
		t.Errorf("a missing timestamp: got %v, want the server's clock %v", got, want)
	}
	if got, want := s.total(audit.KindSystemEvent, `"nul ␀ here"`), int64(1); got != want {
		t.Errorf("found %d events with U+2400, want %d", got, want)
	}
}

// ASVS:V5.2.2
func TestIngestGzip(t *testing.T) {
	s := newSite(t)
	s.stored(s.send(zipped(t, lines(0, 10)), "Content-Encoding", "gzip"), 10, 0, 0)
	s.stored(s.send(zipped(t, lines(10, 20))), 10, 0, 0) // known by its first bytes
	s.stored(s.send(append(zipped(t, lines(20, 22)), zipped(t, lines(22, 24))...)), 4, 0, 0)
	s.stored(s.send(append([]byte("\xEF\xBB\xBF"), lines(24, 25)...)), 1, 0, 0)
	if got := s.send(zipped(t, lines(0, 10)), "Content-Encoding", "br"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("brotli: got %d, want 415", got.status)
	}
	whole := zipped(t, lines(100, 200))
	for n := range whole {
		if got := s.send(whole[:n], "Content-Encoding", "gzip"); n > 1 && got.status != http.StatusBadRequest {
			t.Fatalf("gzip cut off after %d of %d bytes: got %d, want 400", n, len(whole), got.status)
		}
	}
	if got := s.send(append(whole, "trailing"...)); got.status != http.StatusBadRequest {
		t.Errorf("something after the gzip: got %d, want 400", got.status)
	}
	if got := s.total(audit.KindAuditLog, "type:shop.order"); got != 25 {
		t.Errorf("got %d events stored, want 25", got)
	}
}

// TestIngestRefuses sends bodies with one mistake each: the answer names its
// line, and nothing is stored.
//
// ASVS:V2.3.3 ASVS:V2.2.3
func TestIngestRefuses(t *testing.T) {
	s := newSite(t)
	ok := line(1, "")
	deep := strings.Repeat("[", 100_000)
	long := strings.Repeat("x", audit.MaxField+1)
	for _, test := range []struct {
		name, body string
		status     int
		line       int64
		say        string
	}{
		{"unknown kind", ok + "\n" + `{"kind":"audit_lag","action":"VIEW"}`, 400, 2, "audit_log"},
		{"no kind", `{"action":"VIEW"}`, 400, 1, "kind"},
		{"unknown field", `{"kind":"audit_log","action":"VIEW","actoin":"x"}`, 400, 1, "actoin"},
		{"repeated key", `{"kind":"audit_log","action":"VIEW","action":"DELETE"}`, 400, 1, "action"},
		{"repeated key within", `{"kind":"audit_log","action":"VIEW","changes":{"a":{"old":1,"new":2,"old":3}}}`, 400, 1, "old"},
		{"repeated key, escaped", `{"kind":"audit_log","action":"VIEW","\u0061ction":"DELETE"}`, 400, 1, "action"},
		{"another case", `{"kind":"audit_log","ACTION":"VIEW"}`, 400, 1, "ACTION"},
		{"folded letter", `{"kind":"audit_log","action":"VIEW","u\u017fername":"x"}`, 400, 1, "name"},
		{"lone surrogate", `{"kind":"audit_log","action":"VIEW","reason":"\ud800"}`, 400, 1, ""},
		{"invalid UTF-8", "{\"kind\":\"audit_log\",\"action\":\"VIEW\",\"reason\":\"\xff\"}", 400, 1, ""},
		{"two on a line", `{"kind":"audit_log","action":"VIEW"}{"kind":"audit_log","action":"VIEW"}`, 400, 1, ""},
		{"an array", `[{"kind":"audit_log","action":"VIEW"}]`, 400, 1, "line"},
		{"a missing field", `{"kind":"audit_log","username":"x"}`, 400, 1, "action"},
		{"an event_id without a timestamp", `{"kind":"audit_log","action":"VIEW","event_id":"e"}`, 400, 1, "timestamp"},
		{"long ago", `{"kind":"audit_log","action":"VIEW","timestamp":"1969-12-31T23:59:59.999999Z"}`, 400, 1, "1970"},
		{"far ahead", `{"kind":"audit_log","action":"VIEW","timestamp":"2026-04-01T12:00:00.000001Z"}`, 400, 1, "24 hours"},
		{"very far ahead", `{"kind":"audit_log","action":"VIEW","timestamp":"9999-12-31T23:59:59Z"}`, 400, 1, "2200"},
		{"no zone", `{"kind":"audit_log","action":"VIEW","timestamp":"2026-03-01T12:00:00"}`, 400, 1, "RFC 3339"},
		{"an id of its own", `{"kind":"audit_log","action":"VIEW","id":"1"}`, 400, 1, "id"},
		{"a source of its own", `{"kind":"audit_log","action":"VIEW","source":"auditadmin"}`, 400, 1, "source"},
		{"a recorded_at of its own", `{"kind":"audit_log","action":"VIEW","recorded_at":"2026-03-01T12:00:00Z"}`, 400, 1, "recorded_at"},
		{"a depth bomb", `{"kind":"audit_log","action":"VIEW","changes":` + deep, 400, 1, ""},
		{"a depth bomb, bare", deep, 400, 1, ""},
		{"a depth bomb, closed", `{"kind":"audit_log","action":"VIEW","metadata":` + deep + strings.Repeat("]", 100_000) + "}", 400, 1, ""},
		{"rubbish of 300 KiB", strings.Repeat("r", 300<<10), 400, 1, ""},
		{"UTF-16", "\xff\xfe{\x00}\x00", 400, 1, ""},
		{"blank lines counted", "\n\r\n \n" + ok + "\n\n" + "x", 400, 6, "line 6"},

		{"a field of too much", ok + "\n" + `{"kind":"audit_log","action":"VIEW","reason":"` + long + `"}`, 413, 2, "256 KiB"},
		{"a field of too much, in JSON", `{"kind":"audit_log","action":"VIEW","metadata":{"a":"` + long + `"}}`, 413, 1, "256 KiB"},
		{"size before syntax in a field", `{"kind":"audit_log","nonsense":"` + long + `"}`, 413, 1, "256 KiB"},
		{"size before syntax in what breaks off", `{"kind":"audit_log","reason":"` + long, 413, 1, "256 KiB"},
		{"an event of too much", `{"kind":"audit_log","action":"VIEW","reason":"` + strings.Repeat("x", audit.MaxEvent) + `"}`, 413, 1, "1 MiB"},
		{"size before syntax in a later line", "rubbish\n" + strings.Repeat("y", audit.MaxEvent+1), 413, 2, "1 MiB"},
		{"size before syntax in the body", "rubbish\n" + strings.Repeat(ok+"\n", ingestBody/len(ok)), 413, 0, "8 MiB"},
		{"a body of too much", strings.Repeat("\n", ingestBody+1), 413, 0, "8 MiB"},
	} {
		for _, form := range []string{"plain", "gzip"} {
			body := []byte(test.body)
			if form == "gzip" {
				body = zipped(t, body)
			}
			got := s.send(body)
			if got.status != test.status || got.Line != test.line || got.Error == "" || !strings.Contains(got.Error, test.say) {
				t.Errorf("%s, %s: got %d line %d %q, want %d line %d with %q", test.name, form, got.status, got.Line, got.Error, test.status, test.line, test.say)
			}
			if strings.ContainsAny(got.Error, "\n\r\x00") || len(got.Error) > 500 {
				t.Errorf("%s: the answer repeats too much of the body: %.600q", test.name, got.Error)
			}
		}
	}
	if got := s.total(audit.KindAuditLog, "-module:auditadmin"); got != 0 {
		t.Errorf("%d events were stored of bodies that were refused, want none", got)
	}
}

// TestIngestTakes sends what is allowed, up to its very edge.
func TestIngestTakes(t *testing.T) {
	s := newSite(t)
	head, tail := `{"kind":"audit_log","action":"VIEW","reason":"`, `"}`
	full := func(n int) string { return head + strings.Repeat("x", n) + tail }
	edge := `{"kind":"audit_log","action":"VIEW","reason":"` + strings.Repeat("a", audit.MaxField-20) + `","metadata":"` + strings.Repeat("b", audit.MaxField-20) + `","changes":{"c":"` + strings.Repeat("c", audit.MaxField-20) + `"},"object_repr":"`
	edge += strings.Repeat("d", audit.MaxEvent-len(edge)-2) + `"}`
	for _, test := range []struct {
		name, body string
		events     int
	}{
		{"nothing", "", 0},
		{"nothing but line ends", "\n\r\n\n", 0},
		{"as much as a field may have", full(audit.MaxField), 1},
		{"as much as a field may have, written longer", head + strings.Repeat(`\u0431`, audit.MaxField/6) + tail, 1},
		{"as much as an event may have", edge, 1},
		{"as much as an event may have, with its end", edge + "\r\n", 1},
		{"as much as a body may have", full(1) + strings.Repeat("\n", ingestBody-len(full(1))), 1},
		{"without a last line end", full(1) + "\n" + full(2), 2},
		{"spaces around", "  \t" + full(3) + "  \r\n", 1},
		{"null for what is absent", `{"kind":"audit_log","action":"VIEW","reason":null,"timestamp":null}`, 1},
		{"twice the same without a name", full(4) + "\n" + full(4), 2},
	} {
		got := s.send([]byte(test.body))
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %q, want 200", test.name, got.status, got.Error)
			continue
		}
		s.stored(got, test.events, 0, 0)
		s.stored(s.send(zipped(t, []byte(test.body))), test.events, 0, 0)
	}
}

// TestIngestManySmall sends as many events as a body can hold.
func TestIngestManySmall(t *testing.T) {
	if testing.Short() {
		t.Skip("stores 250,000 events; run without -short")
	}
	s := newSite(t)
	one := `{"kind":"audit_log","action":"A"}` + "\n"
	n := ingestBody / len(one)
	s.stored(s.send([]byte(strings.Repeat(one, n))), n, 0, 0)
}

// ASVS:V13.2.2
func TestIngestRights(t *testing.T) {
	s := newSite(t)
	body := lines(0, 1)
	for _, test := range []struct {
		as     string
		status int
	}{{"", 401}, {"viewer", 403}, {"superuser", 403}, {"token:read", 403}, {"token:ingest", 200}} {
		w := s.do(test.as, httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader(body)))
		if w.Code != test.status {
			t.Errorf("as %q: got %d, want %d: %s", test.as, w.Code, test.status, w.Body)
		}
		if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("as %q: a 401 without WWW-Authenticate", test.as)
		}
		if len(w.Result().Cookies()) > 0 {
			t.Errorf("as %q: got cookies, want none", test.as)
		}
	}
	for _, header := range []string{"Bearer aat_" + strings.Repeat("a", 26), "Bearer", "Basic cm9ib3Q6eA==", s.tokens[authz.ScopeIngest]} {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader(body))
		r.Header.Set("Authorization", header)
		if w := s.do("superuser", r); w.Code != http.StatusUnauthorized {
			t.Errorf("Authorization %q beside a superuser's cookie: got %d, want 401", header, w.Code)
		}
	}
	if w := s.get("token:ingest", "/api/v1/events"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d, want 405", w.Code)
	}
	tokens, err := s.store.Tokens(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		if token.Scope == authz.ScopeIngest {
			w := s.post("superuser", "/tokens/"+strconv.FormatInt(token.ID, 10)+"/revoke", url.Values{})
			if w.Code != http.StatusSeeOther {
				t.Fatalf("revoke: got %d, want 303", w.Code)
			}
		}
	}
	if got := s.send(lines(1, 2)); got.status != http.StatusUnauthorized {
		t.Errorf("with a token that was revoked: got %d, want 401", got.status)
	}
}

func TestIngestReplay(t *testing.T) {
	s := newSite(t)
	body := lines(0, 50)
	s.stored(s.send(body), 50, 0, 0)
	s.stored(s.send(body), 0, 50, 0)
	s.stored(s.send(append(lines(49, 51), lines(50, 51)...)), 1, 2, 0)
	if got := s.total(audit.KindSystemEvent, "code:CONFLICT"); got != 0 {
		t.Fatalf("twins of one body made %d events of conflicts, want none", got)
	}
	// The same name with another body is counted and told once a minute.
	other := []byte(line(7, `,"reason":"forged"`) + "\n" + line(51, ""))
	s.stored(s.send(other), 1, 1, 1)
	s.stored(s.send(other), 0, 2, 1)
	s.stored(s.send(other), 0, 2, 1)
	if got := s.total(audit.KindSystemEvent, "code:CONFLICT event:WARNING is:unresolved"); got != 1 {
		t.Errorf("three conflicts within a minute made %d events, want 1", got)
	}
	s.pass(2 * time.Minute)
	s.stored(s.send(other), 0, 2, 1)
	var list listed
	s.data("viewer", "/system-events.json?q=code:CONFLICT", &list)
	if len(list.Items) != 2 {
		t.Fatalf("got %d events of conflicts, want 2", len(list.Items))
	}
	if got := list.Items[0]["metadata"].(map[string]any); got["conflicts"] != 3.0 || got["token"] != "robot-ingest" {
		t.Errorf("the second event of a conflict says %v, want 3 conflicts of robot-ingest", got)
	}
	if got := s.total(audit.KindAuditLog, "forged"); got != 0 {
		t.Errorf("the body that came later was stored")
	}
}

// TestIngestTogether sends one batch from many sides at once: each event is
// stored once.
func TestIngestTogether(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(s.server)
	defer server.Close()
	body := lines(0, 500)
	var all sync.WaitGroup
	var mutex sync.Mutex
	accepted, duplicates := 0, 0
	for range 16 {
		all.Go(func() {
			got := s.over(server.URL, body)
			if got.status != http.StatusOK {
				t.Errorf("got %d %q, want 200", got.status, got.Error)
				return
			}
			mutex.Lock()
			defer mutex.Unlock()
			accepted += *got.Accepted
			duplicates += *got.Duplicates
		})
	}
	all.Wait()
	if accepted != 500 || duplicates != 15*500 {
		t.Errorf("got %d accepted and %d duplicates, want 500 and %d", accepted, duplicates, 15*500)
	}
	if got := s.total(audit.KindAuditLog, "type:shop.order"); got != 500 {
		t.Errorf("got %d events stored, want 500", got)
	}
}

// over sends a body over a connection.
func (s *site) over(address string, body []byte) ingested {
	r, err := http.NewRequest(http.MethodPost, address+"/api/v1/events", bytes.NewReader(body))
	if err != nil {
		s.Error(err)
		return ingested{}
	}
	r.Header.Set("Authorization", "Bearer "+s.tokens[authz.ScopeIngest])
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Error(err)
		return ingested{}
	}
	defer w.Body.Close()
	return s.read(w.StatusCode, w.Header, w.Body)
}
