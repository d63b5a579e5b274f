//go:build linux

package torture

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", to read past the store
)

// onlooker is somebody who is signed in and looks at pages without end. Each
// answer is the page, or 503 with a sentence that says why there is none.
type onlooker struct {
	t      testing.TB
	person *person
	stop   chan struct{}
	work   sync.WaitGroup

	mutex   sync.Mutex
	shown   int
	refused int
	slowest time.Duration
	wrong   int
	said    map[string]bool
}

func watch(t testing.TB, s *server) *onlooker {
	t.Helper()
	someone, err := s.signIn()
	if err != nil {
		t.Fatal(err)
	}
	o := &onlooker{t: t, person: someone, stop: make(chan struct{}), said: map[string]bool{}}
	o.work.Go(func() {
		for {
			for _, path := range []string{"/audit-logs", "/", "/login-attempts?q=user:user3", "/system-events.json?q=boom", "/audit-logs/facets.json", "/readyz"} {
				select {
				case <-o.stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				o.look(path)
			}
		}
	})
	return o
}

var (
	lead = regexp.MustCompile(`(?s)<h1>(.*?)</h1>.*?<p class="lead">(.*?)</p>`)
	tag  = regexp.MustCompile(`(?s)<[^>]*>`)
	// insides are words that only somebody would use who speaks of the program's
	// inside.
	insides = regexp.MustCompile(`SQLSTATE|SELECT |INSERT |pgx|pgconn|FATAL|goroutine|\.go:|127\.0\.0\.1|` + secretWord)
)

func (o *onlooker) look(path string) {
	a, err := o.person.get(path)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.slowest = max(o.slowest, a.took)
	complain := func(format string, args ...any) {
		if o.wrong++; o.wrong < 5 {
			o.t.Errorf("GET %s: %s", path, fmt.Sprintf(format, args...))
		}
	}
	switch {
	case err != nil:
		complain("%v", err)
	case a.status == http.StatusOK:
		o.shown++
	case a.status != http.StatusServiceUnavailable:
		complain("got %d, want 200 or 503; the server said:\n%s", a.status, strings.Join(regexp.MustCompile(`.*status=5(?:00|01).*`).FindAllString(o.person.server.log(), 3), "\n"))
	default:
		o.refused++
		says := a.body
		if m := lead.FindStringSubmatch(a.body); m != nil {
			says = m[1] + ": " + m[2]
		} else if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			complain("a page without a sentence: %.2000s", a.body)
			return
		}
		says = strings.Join(strings.Fields(tag.ReplaceAllString(says, "")), " ")
		says = regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(says, "")
		if path != "/readyz" && a.header.Get("Retry-After") == "" {
			complain("503 does not say when to come again")
		}
		if found := insides.FindString(says); found != "" || strings.Contains(a.body, secretWord) {
			complain("says %q: %s", found, says)
		}
		o.said[says] = true
	}
}

func (o *onlooker) leave() {
	close(o.stop)
	o.work.Wait()
}

func (o *onlooker) note() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return fmt.Sprintf("%d pages and %d refusals within %d ms", o.shown, o.refused, o.slowest.Milliseconds())
}

func (o *onlooker) sentences() []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var all []string
	for says := range o.said {
		all = append(all, says)
	}
	slices.Sort(all)
	return all
}
