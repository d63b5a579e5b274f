//go:build linux

package torture

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pieces are what mutations put into bodies.
var pieces = []string{
	"\x00", "\xff\xfe", "\u202e", `\ud800`, `\u0000`, "{", "}", "[", "]", ",", ":", `"`, "\\", "\n", "\r\n", "null", "true", "1e999", "-0", "9223372036854775808", "0x10", "NaN",
	`"kind":"audit_log"`, `"KIND":"audit_log"`, `"kind":"nothing"`, `"timestamp":"0000-00-00T00:00:00Z"`, `"timestamp":"9999-12-31T23:59:59Z"`, `"timestamp":1`, `"event_id":""`,
	`"unknown":1`, `"changes":[]`, `"metadata":"text"`, `"record_count":-1`, `"action":"a b"`, `"username":null`, "\xef\xbb\xbf", `{"kind":"audit_log"}`, "/*", "//", "<html>", "'",
}

// mutate makes something of a good body that nobody should send.
func mutate(good []byte, own *rand.Rand) []byte {
	b := slices.Clone(good)
	for range 1 + own.IntN(6) {
		at := own.IntN(len(b) + 1)
		switch own.IntN(8) {
		case 0:
			if at < len(b) {
				b[at] ^= 1 << own.IntN(8)
			}
		case 1:
			b = b[:at]
		case 2:
			b = slices.Delete(b, at, min(len(b), at+own.IntN(40)))
		case 3, 4:
			b = slices.Insert(b, at, []byte(pieces[own.IntN(len(pieces))])...)
		case 5:
			b = append(b, b[:at]...)
		case 6:
			open := "["
			if own.IntN(2) == 0 {
				open = `{"a":`
			}
			b = slices.Insert(b, at, []byte(strings.Repeat(open, 1+own.IntN(20000)))...)
		case 7:
			b = rubbish(own, own.IntN(2000))
		}
	}
	return b
}

// TestR09MalformedBodies sends 300 bodies that are broken in many ways, plain
// and compressed, with headers that fit and that do not; in the long form
// 10,000. None is answered with 5xx or by a panic, each refusal says why, the
// good events between them are stored, and afterwards the heap is within 10 MB
// of what it was.
func TestR09MalformedBodies(t *testing.T) {
	beside(t)
	f := finding{Fault: "R9", What: "malformed bodies", Times: size(300, 10000)}
	began := time.Now()
	h := newHouse(t, t.TempDir())
	s := h.open()
	j := newJournal()
	client := &http.Client{Timeout: patience}
	for n := range 200 { // so that the heap has seen what is usual
		j.mark(j.sent, n)
		if status, _, _, err := send(client, s.url, h.token, line(n)); err != nil || status != http.StatusOK {
			t.Fatalf("event %d: got %d, %v, want 200", n, status, err)
		}
		j.mark(j.acked, n)
	}
	before := heap(t, s)
	var mutex sync.Mutex
	answers := map[int]int{}
	var work sync.WaitGroup
	for worker := range 8 {
		own := random(t, uint64(900+worker))
		work.Go(func() {
			client := &http.Client{Timeout: patience}
			for i := worker; i < f.Times; i += 8 {
				if i%20 == worker {
					n := 1000 + i
					j.mark(j.sent, n)
					if status, _, _, err := send(client, s.url, h.token, line(n)); err != nil || status != http.StatusOK {
						t.Errorf("a good event between: got %d, %v, want 200", status, err)
						continue
					}
					j.mark(j.acked, n)
					continue
				}
				// Far from the numbers of good events, and without a name: what a
				// mutation leaves whole is stored, and is no event of the journal's.
				good := bytes.ReplaceAll(body([]int{5000000 + 3*i, 5000001 + 3*i}), []byte(`"event_id":"t-`), []byte(`"event_id":"m-`))
				a, err := postRaw(client, s.url, h.token, mutate(good, own), own)
				mutex.Lock()
				switch {
				case err != nil: // the connection was broken off, which is an answer too
					answers[0]++
				case a.status >= 500 && a.status != http.StatusServiceUnavailable || a.status >= 400 && !refusalSays(a.body):
					f.Wrong++
					t.Errorf("got %d %.300s, want no 5xx, and why", a.status, a.body)
				default:
					answers[a.status]++
				}
				mutex.Unlock()
			}
		})
	}
	work.Wait()
	var after int64
	if _, err := until(t.Context(), func() bool {
		_, _, _, _ = send(client, s.url, h.token, line(0)) // garbage is collected when there is more of it
		after = heap(t, s)
		return after < before+10<<20
	}); err != nil {
		f.Wrong++
		t.Errorf("the heap has %d MB and had %d, want less than 10 more", after>>20, before>>20)
	}
	s.healthy()
	s.stop()
	f.Took, f.Note = time.Since(began), fmt.Sprintf("answers %v; heap %+d KB", answers, (after-before)>>10)
	j.strangers = true
	v := examine(t.Context(), h.db(), j)
	f.add(v)
	for _, w := range v.wrong {
		t.Error(w)
	}
	judge(t, f)
}

func refusalSays(body string) bool {
	var said struct{ Error string }
	return json.Unmarshal([]byte(body), &said) == nil && said.Error != ""
}

// postRaw posts a body as it is or compressed, with headers that may lie.
func postRaw(client *http.Client, base, token string, body []byte, own *rand.Rand) (answer, error) {
	encoding := ""
	switch own.IntN(6) {
	case 0, 1:
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(body)
		_ = w.Close()
		if body = packed.Bytes(); own.IntN(2) == 0 {
			body = mutate(body, own)
		}
		encoding = "gzip"
	case 2:
		encoding = []string{"gzip", "br", "identity", "x-gzip", "gzip, gzip"}[own.IntN(5)]
	}
	req, err := http.NewRequest(http.MethodPost, base+"/api/v1/events", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	req.Header.Set("Content-Type", []string{"", "application/x-ndjson", "text/html", "multipart/form-data", ";;;"}[own.IntN(5)])
	if own.IntN(20) == 0 {
		req.ContentLength = -1 // in chunks
	}
	return do(client, req)
}

// heap asks a server how much of its heap is in use.
func heap(t testing.TB, s *server) (bytes int64) {
	t.Helper()
	_, rest, _ := strings.Cut(s.get("/metrics").body, "\ngo_memstats_alloc_bytes ")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		t.Fatalf("/metrics does not say how large the heap is: %v", err)
	}
	return bytes
}

// TestR10HugeEvents sends bodies of 64 KiB to 100 MB, to 9 MB in the quick form,
// 64 at a time: lines without end, fields of a megabyte, ten thousand keys,
// brackets within brackets, compressed ones that swell. They are refused as too
// large or stored, never with 5xx but for "later", and the process stays below
// 256 MiB.
func TestR10HugeEvents(t *testing.T) {
	beside(t)
	f := finding{Fault: "R10", What: "huge bodies, 64 at a time", Times: size(64, 1280)}
	began := time.Now()
	h := newHouse(t, t.TempDir())
	s := h.open()
	sizes := []int64{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 9 << 20, 32 << 20, 100 << 20}
	var mutex sync.Mutex
	answers := map[int]int{}
	var work sync.WaitGroup
	for worker := range 64 {
		work.Go(func() {
			client := &http.Client{Timeout: patience}
			for i := worker; i < f.Times; i += 64 {
				n := sizes[i%len(sizes)]
				if shop.scale == 0 {
					n = min(n, 9<<20)
				}
				req, err := http.NewRequest(http.MethodPost, s.url+"/api/v1/events", huge(i/len(sizes), n))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+h.token)
				a, err := do(client, req)
				mutex.Lock()
				switch {
				case err != nil: // it did not wait for the rest
					answers[0]++
				case a.status >= 500 && (a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == ""):
					f.Wrong++
					t.Errorf("a body of %d KiB: got %d %.300s", n>>10, a.status, a.body)
				default:
					answers[a.status]++
				}
				mutex.Unlock()
			}
		})
	}
	work.Wait()
	peak := memory(t, s, "VmHWM")
	if peak >= 256<<20 {
		f.Wrong++
		t.Errorf("it took %d MiB, want less than 256", peak>>20)
	}
	s.healthy()
	s.stop()
	j := newJournal()
	j.strangers = true
	f.add(examine(t.Context(), h.db(), j))
	f.Took, f.Note = time.Since(began), fmt.Sprintf("answers %v; at most %d MiB resident", answers, peak>>20)
	judge(t, f)
}

// huge is a body of about n bytes, made while it is read.
func huge(way int, n int64) io.Reader {
	const head = `{"kind":"audit_log","action":"UPDATE","username":"huge","metadata":`
	var part string
	switch way % 5 {
	case 0: // one text
		return io.LimitReader(io.MultiReader(strings.NewReader(head+`"`), forever("x")), n)
	case 1: // many keys
		part = `"a_key_of_some_length":"and a value",`
		return io.MultiReader(strings.NewReader(head+`{`), io.LimitReader(forever(part), n/int64(len(part))*int64(len(part))), strings.NewReader(`"end":1}}`))
	case 2: // deep
		return io.LimitReader(io.MultiReader(strings.NewReader(head), forever("[")), n)
	case 3: // many events that are good
		part = `{"kind":"audit_log","action":"UPDATE","username":"huge","reason":"` + strings.Repeat("r", 1000) + `"}` + "\n"
		return io.LimitReader(forever(part), n/int64(len(part))*int64(len(part)))
	}
	var packed bytes.Buffer // much of little
	w := gzip.NewWriter(&packed)
	_, _ = io.Copy(w, io.LimitReader(forever(" "), 4*n))
	_ = w.Close()
	return &packed
}

// forever repeats a text.
func forever(text string) io.Reader { return &repeating{text: text} }

type repeating struct {
	text string
	at   int
}

func (r *repeating) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.text[r.at:])
		n, r.at = n+m, (r.at+m)%len(r.text)
	}
	return n, nil
}
