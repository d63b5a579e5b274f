package handlers

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

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
	s.now = s.now.Add(2 * time.Minute)
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

// TestIngestBombs sends a gigabyte packed into a megabyte, a hundred times at
// once: memory stays bounded and each is refused by its size.
func TestIngestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks bombs; run without -short")
	}
	s := newSite(t)
	server := httptest.NewServer(s.server)
	defer server.Close()
	for _, test := range []struct {
		name  string
		unit  []byte
		times int
	}{{"zeros", make([]byte, 1<<20), 100}, {"line ends", bytes.Repeat([]byte("\n"), 1<<20), 20}} {
		name, unit := test.name, test.unit
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		for range 1024 {
			if _, err := z.Write(unit); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		bomb := b.Bytes()
		if ratio := 1 << 30 / len(bomb); ratio < 900 {
			t.Fatalf("the bomb is packed %d:1 only", ratio)
		}
		debug.FreeOSMemory()
		before := resident(t)
		peak := before
		stop := make(chan struct{})
		var watch, all sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
					peak = max(peak, resident(t))
				}
			}
		})
		for range test.times {
			all.Go(func() {
				if got := s.over(server.URL, bomb); got.status != http.StatusRequestEntityTooLarge {
					t.Errorf("%s: got %d %q, want 413", name, got.status, got.Error)
				}
			})
		}
		all.Wait()
		close(stop)
		watch.Wait()
		t.Logf("%s: %d bytes for 1 GiB, %d at once: resident memory grew by %d MiB", name, len(bomb), test.times, (peak-before)>>20)
		if grew := peak - before; grew > 64<<20 {
			t.Errorf("%s: memory grew by %d MiB, want at most 64", name, grew>>20)
		}
	}
}

// resident is the memory of this process, in bytes.
func resident(t testing.TB) int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("needs /proc/self/statm to measure memory")
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Error(err)
	}
	return pages * os.Getpagesize()
}

// TestIngestMalformed sends ten thousand damaged bodies: none is taken for a
// fault of ours, and none of what is refused is stored.
func TestIngestMalformed(t *testing.T) {
	s := newSite(t)
	s.server.ingest.rate, s.server.ingest.burst = 1e6, 1e6
	random := rand.New(rand.NewPCG(1, 2))
	good := append(lines(0, 3), []byte(`{"kind":"system_event","event_type":"ERROR","title":"t","line_number":7,"metadata":{"a":[1,2.50,{"b":null}]},"resolved":false}`+"\n")...)
	packed := zipped(t, good)
	bodies := 10_000
	if testing.Short() {
		bodies = 1000
	}
	accepted := int64(0)
	for n := range bodies {
		body := bytes.Clone(good)
		if n%4 == 3 {
			body = bytes.Clone(packed)
		}
		for range 1 + random.IntN(4) {
			i := random.IntN(len(body))
			switch random.IntN(5) {
			case 0:
				body[i] = byte(random.IntN(256))
			case 1:
				body[i] ^= 1 << random.IntN(8)
			case 2:
				body = body[:max(i, 1)]
			case 3:
				body = append(body[:i:i], append([]byte(`{"}[,:\u`)[random.IntN(8):][:1], body[i:]...)...)
			case 4:
				j := random.IntN(len(body))
				body = append(body, body[min(i, j):max(i, j)]...)
			}
		}
		got := s.send(body)
		switch got.status {
		case http.StatusOK:
			accepted += int64(*got.Accepted)
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if got.Error == "" || got.status == http.StatusBadRequest && got.Line == 0 {
				t.Fatalf("body %d: got %d without saying what and where: %q", n, got.status, body)
			}
		default:
			t.Fatalf("body %d: got %d %q, want 200, 400 or 413: %q", n, got.status, got.Error, body)
		}
	}
	count := int64(0)
	for _, kind := range audit.Kinds() {
		count += s.total(kind, "source:robot-ingest")
	}
	if count != accepted {
		t.Errorf("got %d events stored, want the %d that were accepted", count, accepted)
	}
}

func TestIngestRate(t *testing.T) {
	s := newSite(t)
	s.server.ingest.rate, s.server.ingest.burst = 0.5, 3
	for n := range 3 {
		s.stored(s.send(lines(n, n+1)), 1, 0, 0)
	}
	got := s.send(lines(3, 4))
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "2" {
		t.Errorf("got %d with Retry-After %q, want 429 with 2", got.status, got.header.Get("Retry-After"))
	}
	// Another token has a rate of its own.
	secret, hash := authz.NewToken()
	if _, err := s.store.CreateToken(t.Context(), authz.ActorOf(httptestGet("/")), "second", authz.ScopeIngest, hash, time.Time{}); err != nil {
		t.Fatal(err)
	}
	s.tokens[authz.ScopeIngest] = secret
	s.stored(s.send(lines(3, 4)), 1, 0, 0)
	if got := s.total(audit.KindAuditLog, "source:second"); got != 1 {
		t.Errorf("got %d events of the second token, want 1", got)
	}
}

// TestIngestSlow holds back a body: it is refused in its time, and others are
// answered meanwhile.
func TestIngestSlow(t *testing.T) {
	s := newSite(t)
	s.server.ingest.arrive = 200 * time.Millisecond
	server := httptest.NewServer(s.server)
	defer server.Close()
	body, feed := io.Pipe()
	defer feed.Close()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/api/v1/events", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.tokens[authz.ScopeIngest])
	go feed.Write(lines(0, 1))
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a body that does not end: got %d, want 408", w.StatusCode)
	}
	s.stored(s.over(server.URL, lines(1, 2)), 1, 0, 0)
	if got := s.total(audit.KindAuditLog, "type:shop.order"); got != 1 {
		t.Errorf("got %d events stored, want 1", got)
	}
}

// TestIngestHalfClosed closes the sending half of a connection: the answer still
// says what became of the events.
func TestIngestHalfClosed(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(s.server)
	defer server.Close()
	address := netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://"))
	answer := halfClosed(t, address, "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+s.tokens[authz.ScopeIngest]+
		"\r\nContent-Length: "+strconv.Itoa(len(lines(0, 3)))+"\r\n\r\n"+string(lines(0, 3)))
	if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, `"accepted":3`) {
		t.Errorf("got %q, want 200 with 3 accepted", answer)
	}
}

// halfClosed sends a request, closes that direction, and reads the answer.
func halfClosed(t *testing.T, address netip.AddrPort, request string) string {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// TestIngestNoRoom fills the memory for all: who comes is told to come again.
func TestIngestNoRoom(t *testing.T) {
	s := newSite(t)
	if err := s.server.ingest.memory.Acquire(t.Context(), ingestMemory); err != nil {
		t.Fatal(err)
	}
	s.stored(s.send(lines(0, 5)), 5, 0, 0) // a small one has its place
	got := s.send(lines(0, 5000))
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d with Retry-After %q, want 503 with one", got.status, got.header.Get("Retry-After"))
	}
	s.server.ingest.memory.Release(ingestMemory)
	s.stored(s.send(lines(0, 5000)), 4995, 5, 0)
	if !s.server.ingest.memory.TryAcquire(ingestMemory) {
		t.Error("a request kept its memory after its answer")
	}
}

func BenchmarkIngest(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			body := lines(0, n)
			in := &ingest{masker: audit.NewMasker(make([]byte, 32)), memory: semaphore.NewWeighted(ingestMemory)}
			in.server = &Server{Config: Config{Now: func() time.Time { return noon }}}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader(body))
				space := &room{memory: in.memory, ctx: b.Context()}
				if _, err := in.read(r, "x", space); err != nil {
					b.Fatal(err)
				}
				space.leave()
			}
		})
	}
}
