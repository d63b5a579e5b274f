package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
)

// remote is a sink that sends to an address with the token of scope ingest.
func (s *site) remote(address string, options ...audit.RemoteOption) *audit.Remote {
	s.Helper()
	r, err := audit.NewRemote(address, s.tokens[authz.ScopeIngest], options...)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// order is an event about an order, ready for a sink.
func order(n int) *audit.Event {
	e := audit.NewEvent(audit.KindAuditLog)
	e.EventID = fmt.Sprintf("order-%d", n)
	e.SetTime(noon.Add(time.Duration(n) * time.Millisecond))
	e.Set("action", "CREATE")
	e.Set("content_type", "shop.order")
	e.Set("object_id", fmt.Sprint(n))
	e.Set("metadata", `{"note":"`+strings.Repeat("all the same ", 20)+`"}`)
	return e
}

func orders(from, to int) (all []*audit.Event) {
	for n := from; n < to; n++ {
		all = append(all, order(n))
	}
	return all
}

func TestRemote(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(s.server)
	defer server.Close()
	remote := s.remote(server.URL)
	for _, test := range []struct {
		from, to int
		want     audit.Appended
	}{{0, 1, audit.Appended{Accepted: 1}}, {0, 3, audit.Appended{Accepted: 2, Duplicates: 1}}, {3, 25_000, audit.Appended{Accepted: 24_997}}, {0, 0, audit.Appended{}}} {
		got, err := remote.Append(t.Context(), orders(test.from, test.to))
		if err != nil || got != test.want {
			t.Errorf("orders %d to %d: got %+v, %v, want %+v", test.from, test.to, got, err, test.want)
		}
	}
	changed := order(1)
	changed.Set("reason", "other")
	if got, err := remote.Append(t.Context(), []*audit.Event{changed}); err != nil || got.Conflicts != 1 {
		t.Errorf("a twin with another body: got %+v, %v, want a conflict", got, err)
	}
	if got := s.total(audit.KindAuditLog, "type:shop.order source:robot-ingest"); got != 25_000 {
		t.Errorf("got %d events stored, want 25000", got)
	}

	key, err := remote.MaskKey(t.Context())
	again, _ := s.remote("https://another.example").MaskKey(t.Context())
	if err != nil || len(key) != 32 || !bytes.Equal(key, again) || strings.Contains(string(key), "aat_") {
		t.Errorf("got the mask key %x, %v, and %x another time, want 32 bytes that stay the same", key, err, again)
	}

	bad := order(30_000)
	bad.Set("timestamp", "1900-01-01T00:00:00.000000Z")
	_, err = remote.Append(t.Context(), append(orders(30_001, 30_003), bad))
	var answer *audit.RemoteError
	if !errors.Is(err, audit.ErrRejected) || !errors.As(err, &answer) || answer.Status != http.StatusBadRequest || answer.Event != bad {
		t.Errorf("an event the server refuses: got %v, want a rejection that names it", err)
	}
	large := order(30_004)
	large.Set("reason", strings.Repeat("x", audit.MaxField+1))
	if _, err := remote.Append(t.Context(), []*audit.Event{large}); !errors.Is(err, audit.ErrRejected) {
		t.Errorf("a field of too much: got %v, want a rejection", err)
	}
	if got := s.total(audit.KindAuditLog, "type:shop.order"); got != 25_000 {
		t.Errorf("got %d events stored, want what was stored before", got)
	}

	stranger, err := audit.NewRemote(server.URL, "aat_"+strings.Repeat("a", 26))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Append(t.Context(), orders(0, 1)); err == nil || errors.Is(err, audit.ErrRejected) || strings.Contains(err.Error(), "aat_") {
		t.Errorf("with a wrong token: got %v, want an error that neither gives up the events nor shows the token", err)
	}
}

// TestRemoteAnswers asks servers that answer as servers and proxies do.
func TestRemoteAnswers(t *testing.T) {
	stored := `{"accepted":1,"duplicates":0,"conflicts":0}`
	type answer struct {
		status int
		body   string
		after  string
	}
	for _, test := range []struct {
		name     string
		answers  []answer // the last one again and again
		asked    int64
		ok       bool
		rejected bool
	}{
		{"at once", []answer{{200, stored, ""}}, 1, true, false},
		{"busy first", []answer{{503, `{"error":"busy"}`, ""}, {429, `{"error":"wait"}`, "0"}, {200, stored, ""}}, 3, true, false},
		{"a proxy without its server", []answer{{502, "<html>Bad gateway", ""}, {504, "", ""}, {200, stored, ""}}, 3, true, false},
		{"always busy", []answer{{503, `{"error":"busy"}`, ""}}, 4, false, false},
		{"asked for a long silence", []answer{{503, `{"error":"full"}`, "3600"}}, 1, false, false},
		{"refused", []answer{{400, `{"error":"line 1: no","line":1}`, ""}}, 1, false, true},
		{"a proxy that refuses", []answer{{400, "<html>Bad request", ""}}, 1, false, false},
		{"no right", []answer{{403, `{"error":"no"}`, ""}}, 1, false, false},
		{"somebody else's page", []answer{{200, "<html>Welcome", ""}}, 1, false, false},
		{"somebody else's data", []answer{{200, `{}`, ""}}, 1, false, false},
		{"another count", []answer{{200, `{"accepted":7,"duplicates":0,"conflicts":0}`, ""}}, 1, false, false},
		{"elsewhere", []answer{{307, "", ""}}, 1, false, false},
		{"too large alone", []answer{{413, "<html>", ""}}, 1, false, true},
	} {
		var asked atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := test.answers[min(int(asked.Add(1)), len(test.answers))-1]
			if a.after != "" {
				w.Header().Set("Retry-After", a.after)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(a.status)
			_, _ = io.WriteString(w, a.body)
		}))
		remote, err := audit.NewRemote(server.URL, "secret")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err = remote.Append(ctx, orders(0, 1))
		if (err == nil) != test.ok || errors.Is(err, audit.ErrRejected) != test.rejected {
			t.Errorf("%s: got %v, want stored %v, rejected %v", test.name, err, test.ok, test.rejected)
		}
		if got := asked.Load(); got != test.asked {
			t.Errorf("%s: asked %d times, want %d", test.name, got, test.asked)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the token: %v", test.name, err)
		}
		cancel()
		server.Close()
	}
}

// TestRemoteBehindProxy sends through a proxy that takes less than the server.
func TestRemoteBehindProxy(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 4000 {
			http.Error(w, "<html>Request Entity Too Large", http.StatusRequestEntityTooLarge)
			return
		}
		s.server.ServeHTTP(w, r)
	}))
	defer server.Close()
	got, err := s.remote(server.URL).Append(t.Context(), orders(0, 1000))
	if err != nil || got.Accepted != 1000 {
		t.Errorf("got %+v, %v, want 1000 accepted", got, err)
	}
}

func TestNewRemoteRefuses(t *testing.T) {
	for _, test := range [][2]string{{"", "t"}, {"localhost:8080", "t"}, {"ftp://x", "t"}, {"https://", "t"}, {"https://u:p@x", "t"}, {"https://x?q", "t"},
		{"https://x", ""}, {"https://x", "a b"}, {"https://x", "a\n"}} {
		if _, err := audit.NewRemote(test[0], test[1]); err == nil {
			t.Errorf("%q with token %q: taken, want an error", test[0], test[1])
		}
	}
}

// flaky is a server at one address that can be killed and started again.
type flaky struct {
	*testing.T
	address string
	handler http.Handler
	server  *http.Server
	served  chan struct{}
}

func (f *flaky) start() {
	f.Helper()
	at := f.address
	if at == "" {
		at = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		f.Fatal(err)
	}
	f.address = listener.Addr().String()
	f.server = &http.Server{Handler: f.handler}
	f.served = make(chan struct{})
	go func(server *http.Server, served chan struct{}) {
		_ = server.Serve(listener)
		close(served)
	}(f.server, f.served)
}

// kill breaks every connection off, whatever was on its way.
func (f *flaky) kill() {
	_ = f.server.Close()
	<-f.served
}

// TestRemoteServerKilled kills the server and starts it again while sixteen
// goroutines record: everything that was acknowledged is stored, once.
func TestRemoteServerKilled(t *testing.T) {
	s := newSite(t)
	server := &flaky{T: t, handler: s.server}
	server.start()
	defer func() { server.kill() }()
	spool := filepath.Join(t.TempDir(), "spool")
	recorder, err := audit.New(s.remote("http://"+server.address, audit.RemoteAttempts(2)), audit.SpoolDir(spool),
		audit.SinkTimeout(300*time.Millisecond), audit.Now(func() time.Time { return noon }))
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 16, 150
	var all sync.WaitGroup
	var recorded atomic.Int64
	for w := range writers {
		all.Go(func() {
			for n := range each {
				err := recorder.LogAuditEvent(t.Context(), audit.AuditLog{Username: "w", Action: "CREATE", ContentType: "shop.order", ObjectID: fmt.Sprint(w*each + n)})
				if err != nil {
					t.Errorf("record: %v", err)
					return
				}
				recorded.Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	kills := 0
	for at := int64(writers * each / 8); ; {
		if recorded.Load() >= at && kills < 5 {
			server.kill()
			kills++
			at = recorded.Load() + writers*each/16 // some come in while it is away
			for recorded.Load() < at && recorded.Load() < writers*each {
				time.Sleep(time.Millisecond)
			}
			server.start()
			at += writers * each / 16
		}
		select {
		case <-done:
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for recorder.Stats().Waiting > 0 && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	stats := recorder.Stats()
	if err := recorder.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if kills < 3 || stats.Spooled == 0 {
		t.Errorf("the server was killed %d times and %d events took the spool: too little was tried", kills, stats.Spooled)
	}
	t.Logf("killed %d times; %d of %d events waited in the spool, %d came twice", kills, stats.Spooled, writers*each, stats.Duplicates)
	if got := s.total(audit.KindAuditLog, "type:shop.order"); got != writers*each {
		t.Errorf("got %d events stored, want %d: each once", got, writers*each)
	}
	var facets struct {
		Facets []struct {
			Values []struct{ Count int }
			More   int
		}
	}
	s.data("viewer", "/audit-logs/facets.json?key=object&limit=1000&q="+url.QueryEscape("type:shop.order"), &facets)
	if len(facets.Facets) != 1 || len(facets.Facets[0].Values)+facets.Facets[0].More != writers*each {
		t.Fatalf("got %d objects, want %d", len(facets.Facets[0].Values)+facets.Facets[0].More, writers*each)
	}
	if got := s.total(audit.KindSystemEvent, `module:audit "was away"`); got == 0 {
		t.Error("nothing in the audit database says that events had waited")
	}
}

// TestRemotePoison has an event in the spool that the server will never take:
// it is set aside, counted and reported, and the others go on.
func TestRemotePoison(t *testing.T) {
	s := newSite(t)
	server := &flaky{T: t, handler: s.server}
	server.start()
	server.kill()
	spool := filepath.Join(t.TempDir(), "spool")
	recorder, err := audit.New(s.remote("http://"+server.address, audit.RemoteAttempts(1)), audit.SpoolDir(spool), audit.Now(func() time.Time { return noon }))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		a := audit.AuditLog{Username: "alice", Action: "UPDATE", ContentType: "shop.order", ObjectID: fmt.Sprint(n)}
		if n == 7 {
			a.Reason = strings.Repeat("x", audit.MaxField+1)
		}
		if err := recorder.LogAuditEvent(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	server.start()
	defer func() { server.kill() }()
	if err := recorder.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := recorder.Stats().Rejected; got != 1 {
		t.Errorf("got %d events rejected, want 1", got)
	}
	if got := s.total(audit.KindAuditLog, "type:shop.order"); got != 19 {
		t.Errorf("got %d events stored, want the other 19", got)
	}
	if got := s.total(audit.KindSystemEvent, "event:ERROR module:audit is:unresolved"); got != 1 {
		t.Errorf("got %d system events about it, want 1", got)
	}
	kept := 0
	files, err := os.ReadDir(spool)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(spool, file.Name()))
		if err == nil && strings.Contains(string(text), `"object_id":"7"`) {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("the rejected event is kept in %d files of the spool, want 1", kept)
	}
}
