//go:build linux

package torture

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestR03DiskFull fills a disk of 8 MB under the server, so that it runs out of
// space at another moment each time: inserting, indexing, writing its log back,
// or noting an export; 3 times, in the long form 100. Nothing is answered with
// 2xx that is not durable; lists, exports, signing in and deleting work; it goes
// on within 5 s after there is space, and says once that the disk was full.
func TestR03DiskFull(t *testing.T) {
	beside(t)
	onSmallDisk(t, func(t *testing.T, dir string) {
		const each = 3 // on one database: then a new one, since the disk is small
		own := random(t, 3)
		f := finding{Fault: "R3", What: "disk full", Times: size(3, 100)}
		began := time.Now()
		var slowest time.Duration
		for done := 0; done < f.Times; {
			h := newHouse(t, dir)
			s := h.open()
			j := newJournal()
			client := &http.Client{Timeout: patience}
			next := 0
			for ; next < 20; next++ { // so that there is something to read and to delete
				j.mark(j.sent, next)
				if status, _, _, err := send(client, s.url, h.token, line(next)); err != nil || status != http.StatusOK {
					t.Fatalf("event %d: got %d, %v, want 200", next, status, err)
				}
				j.mark(j.acked, next)
			}
			for range min(each, f.Times-done) {
				done++
				filler := filepath.Join(dir, "filler")
				fillUp(t, filler, free(t, dir)-own.Int64N(700<<10))
				refused := 0
				for range 3000 {
					j.mark(j.sent, next)
					status, _, header, err := send(client, s.url, h.token, line(next))
					switch {
					case err == nil && status == http.StatusOK:
						j.mark(j.acked, next)
						next++
					case err == nil && status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
						refused++
					default:
						f.Wrong++
						t.Errorf("on a full disk: got %d, %v, Retry-After %q, want 503 and when to try again", status, err, header.Get("Retry-After"))
					}
					if refused >= 5 || f.Wrong > 20 {
						break
					}
				}
				if refused < 5 {
					f.Wrong++
					t.Errorf("the disk with %d bytes free was never full", free(t, dir))
				}
				f.Wrong += whileFull(t, s, j)
				if err := os.Remove(filler); err != nil {
					t.Fatal(err)
				}
				j.mark(j.sent, next)
				waited, err := until(t.Context(), func() bool {
					status, _, _, err := send(client, s.url, h.token, line(next))
					return err == nil && status == http.StatusOK
				})
				if err != nil || waited > 5*time.Second {
					f.Wrong++
					t.Errorf("went on after %s, %v, want within 5 s", waited, err)
				}
				if err == nil {
					j.mark(j.acked, next)
				}
				next++
				slowest = max(slowest, waited)
			}
			var list struct{ Items []struct{ Title string } }
			a := s.get("/system-events.json?q=module:auditadmin+disk+full")
			if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Items) != 1 {
				f.Wrong++
				t.Errorf("GET what it said of the full disk: got %d, %v and %d events, want 1: %.300s", a.status, err, len(list.Items), a.body)
			}
			s.healthy()
			s.stop()
			v := examine(t.Context(), h.db(), j)
			f.add(v)
			for _, w := range v.wrong {
				t.Error(w)
			}
			if err := os.RemoveAll(h.dir); err != nil {
				t.Fatal(err)
			}
		}
		f.Took, f.Note = time.Since(began), fmt.Sprintf("went on after %d ms at worst", slowest.Milliseconds())
		judge(t, f)
	})
}

func fillUp(t testing.TB, path string, n int64) {
	t.Helper()
	if n <= 0 {
		n = 1
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zeros := make([]byte, 64<<10)
	for n > 0 {
		wrote, err := file.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return // as full as it gets
		}
		n -= int64(wrote)
	}
}

// whileFull does what people do while nothing can be recorded, and returns how
// much of it did not work.
func whileFull(t *testing.T, s *server, j *journal) (wrong int) {
	for _, path := range []string{"/audit-logs.json", "/audit-logs.json?q=user:user3", "/audit-logs.json?q=boom", "/login-attempts/facets.json?q=", "/audit-logs/timeline.json?q=&by=day",
		"/audit-logs.csv", "/system-events.ndjson", "/healthz"} {
		if a := s.get(path); a.status != http.StatusOK {
			wrong++
			t.Errorf("GET %s on a full disk: got %d, want 200: %.200s", path, a.status, a.body)
		}
	}
	someone, err := s.signIn()
	if err != nil {
		t.Errorf("sign in on a full disk: %v", err)
		return wrong + 1
	}
	for _, path := range []string{"/", "/audit-logs", "/system-events", "/accounts"} {
		if a, err := someone.get(path); err != nil || a.status != http.StatusOK {
			wrong++
			t.Errorf("GET %s on a full disk: got %d, %v, want 200", path, a.status, err)
		}
	}
	var list struct {
		Items []struct {
			ID      string
			EventID string `json:"event_id"`
		}
	}
	a := s.get("/audit-logs.json?limit=1&q=source:" + source)
	var n int
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Items) == 0 {
		t.Errorf("GET /audit-logs.json on a full disk: %v and %d events, want 1", err, len(list.Items))
		return wrong + 1
	}
	if _, err := fmt.Sscanf(list.Items[0].EventID, "t-%d", &n); err != nil {
		t.Fatal(err)
	}
	j.mark(j.doomed, n)
	a, err = someone.post("/audit-logs/"+list.Items[0].ID+"/delete", url.Values{"reason": {"to make room"}})
	if err != nil || a.status != http.StatusSeeOther {
		wrong++
		t.Errorf("delete on a full disk: got %d, %v, want 303: %.200s", a.status, err, a.body)
	} else {
		j.mark(j.deleted, n)
	}
	return wrong
}

// TestR05ReadOnly serves a database on a disk that was mounted for reading
// alone: pages answer, somebody can sign in, nothing is taken in, and /readyz
// and the pages say why. Started again when it can be written, it records.
func TestR05ReadOnly(t *testing.T) {
	beside(t)
	onSmallDisk(t, func(t *testing.T, dir string) {
		f := finding{Fault: "R5", What: "a disk that cannot be written", Times: 1}
		began := time.Now()
		h := newHouse(t, dir)
		j := newJournal()
		s := h.open()
		client := &http.Client{Timeout: patience}
		store := func(n int) int {
			j.mark(j.sent, n)
			status, _, header, err := send(client, s.url, h.token, line(n))
			switch {
			case err == nil && status == http.StatusOK:
				j.mark(j.acked, n)
			case err != nil || status == http.StatusServiceUnavailable && header.Get("Retry-After") == "":
				f.Wrong++
				t.Errorf("event %d: got %d, %v, Retry-After %q", n, status, err, header.Get("Retry-After"))
			}
			return status
		}
		refused := func(when string, n int) {
			if got := store(n); got != http.StatusServiceUnavailable {
				f.Wrong++
				t.Errorf("%s: got %d, want 503", when, got)
			}
			for _, path := range []string{"/audit-logs.json", "/audit-logs/facets.json?q=", "/healthz"} {
				if a := s.get(path); a.status != http.StatusOK {
					f.Wrong++
					t.Errorf("%s: GET %s: got %d, want 200: %.200s", when, path, a.status, a.body)
				}
			}
			if a := s.get("/readyz"); a.status == http.StatusOK && len(a.body) < 10 {
				f.Wrong++
				t.Errorf("%s: /readyz says %q, want why nothing can be recorded", when, a.body)
			}
			someone, err := s.signIn()
			if err != nil {
				f.Wrong++
				t.Errorf("%s: %v", when, err)
				return
			}
			if a, err := someone.get("/"); err != nil || a.status != http.StatusOK {
				f.Wrong++
				t.Errorf("%s: GET /: got %d, %v, want 200", when, a.status, err)
			}
		}
		for n := range 20 {
			if got := store(n); got != http.StatusOK {
				t.Fatalf("event %d: got %d, want 200", n, got)
			}
		}
		s.stop()
		remount(t, dir, true)
		h.probe = "/healthz" // it is not ready, and says why
		var err error
		if s, err = h.start(); err != nil {
			f.Wrong++
			t.Errorf("start on a disk that cannot be written: %v", err)
		} else {
			refused("started on a disk that cannot be written", 20)
			remount(t, dir, false)
			waited, err := until(t.Context(), func() bool { return s.get("/readyz").status == http.StatusOK })
			if err != nil || waited > 10*time.Second {
				f.Wrong++
				t.Errorf("on a disk that can be written again it was ready after %s, %v, want within 10 s", waited, err)
			}
			if got := store(21); got != http.StatusOK {
				f.Wrong++
				t.Errorf("on a disk that can be written again: got %d, want 200", got)
			}
			f.Note = fmt.Sprintf("went on %d ms after the disk could be written", waited.Milliseconds())
			s.healthy()
			s.stop()
		}
		h.probe = "/readyz"
		s = h.serve()
		if got := store(22); got != http.StatusOK {
			f.Wrong++
			t.Errorf("started on a disk that can be written again: got %d, want 200", got)
		}
		s.stop()
		v := examine(t.Context(), h.db(), j)
		f.add(v)
		for _, w := range v.wrong {
			t.Error(w)
		}
		f.Took = time.Since(began)
		judge(t, f)
	})
}
