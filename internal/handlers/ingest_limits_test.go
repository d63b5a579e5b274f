package handlers

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
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

// TestIngestBombs sends a gigabyte packed into a megabyte, a hundred times at
// once: memory stays bounded and each is refused by its size.
//
// ASVS:V5.2.1 ASVS:V5.2.3
func TestIngestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks bombs; run without -short")
	}
	s := newSite(t)
	s.server.ingest.arrive, s.server.ingest.wait = time.Minute, time.Minute // the machine may be busy with other tests
	server := httptest.NewServer(s.server)
	defer server.Close()
	for _, test := range []struct {
		name  string
		unit  []byte
		times int
	}{{"zeros", make([]byte, 1<<20), 100}, {"line ends", bytes.Repeat([]byte("\n"), 1<<20), 20}} {
		name, unit := test.name, test.unit
		bomb := bytes.Repeat(zipped(t, unit), 1024)
		if ratio := 1 << 30 / len(bomb); ratio < 900 {
			t.Fatalf("the bomb is packed %d:1 only", ratio)
		}
		debug.FreeOSMemory()
		before := heap()
		peak := before
		stop := make(chan struct{})
		var watch, all sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
					peak = max(peak, heap())
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
		t.Logf("%s: %d bytes for 1 GiB, %d at once: memory grew by %d MiB", name, len(bomb), test.times, (peak-before)>>20)
		if grew := peak - before; grew > 64<<20 {
			t.Errorf("%s: memory grew by %d MiB, want at most 64", name, grew>>20)
		}
	}
}

// heap is the memory that the heap has from the system.
func heap() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapSys - m.HeapReleased)
}

// TestIngestMalformed sends ten thousand damaged bodies: none is taken for a
// fault of ours, and none of what is refused is stored.
//
// ASVS:V2.2.1
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

// ASVS:V2.4.1
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
//
// ASVS:V1.4.3
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
	if !s.server.ingest.memory.TryAcquire(ingestMemory) || !s.server.ingest.lines.TryAcquire(lineMemory) {
		t.Error("a request kept its memory after its answer")
	}
}

func BenchmarkIngest(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			body := lines(0, n)
			in := &ingest{masker: audit.NewMasker(make([]byte, 32)), memory: semaphore.NewWeighted(ingestMemory), lines: semaphore.NewWeighted(lineMemory)}
			in.server = &Server{Config: Config{Now: func() time.Time { return noon }}}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/api/v1/events", bytes.NewReader(body))
				space := &room{memory: in.memory, ctx: b.Context(), wait: roomTime}
				if _, err := in.read(r, "x", space); err != nil {
					b.Fatal(err)
				}
				space.leave()
			}
		})
	}
}
