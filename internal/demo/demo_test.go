package demo_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/demo"
)

var until = time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)

// line is an event as text, to compare it.
func line(e *audit.Event) string { return string(audit.AppendJSON(nil, e, nil)) }

func TestGenerateIsTheSameAgain(t *testing.T) {
	var first []string
	for e := range demo.Generate(7, 3000, until) {
		first = append(first, line(e))
	}
	i := 0
	for e := range demo.Generate(7, 3000, until) {
		if got := line(e); got != first[i] {
			t.Fatalf("event %d: got %s, want %s", i, got, first[i])
		}
		i++
	}
	for e := range demo.Generate(8, 1, until) {
		if line(e) == first[0] {
			t.Errorf("seeds 7 and 8 begin with the same event: %s", first[0])
		}
	}
}

func TestGenerateGivesAsManyAsAskedFor(t *testing.T) {
	for _, n := range []int{0, 1, 2, 99, 1000, 20_000, 50_001, 60_000} {
		got := 0
		for e := range demo.Generate(1, n, until) {
			if e.Kind == audit.KindAuditLog {
				got++
			}
		}
		if got != n {
			t.Errorf("got %d audit logs, want %d", got, n)
		}
	}
	for range demo.Generate(1, 1000, until) {
		break // and none where the reader has enough
	}
}

// Recording masks secrets, so the events of the demo have none left: exported and
// imported again, which masks too, they are the same.
func TestGenerateHasNoSecrets(t *testing.T) {
	masker := audit.NewMasker([]byte("a key of the test"))
	for e := range demo.Generate(1, 80_000, until) {
		before := line(e)
		if n := masker.Mask(e); n > 0 {
			t.Fatalf("masking finds %d secrets in %s", n, before)
		}
	}
}

// TestGenerateIsCoherent checks what makes a trail believable: order, valid
// events, all kinds, and that an object's old value is what was left before.
func TestGenerateIsCoherent(t *testing.T) {
	t.Run("shop", func(t *testing.T) { testCoherent(t, 20_000, until.AddDate(0, 0, -demo.Days), 10, 59) })
	t.Run("group", func(t *testing.T) { testCoherent(t, 100_000, until.AddDate(0, -24, 0), 60, 60) })
}

func testCoherent(t *testing.T, n int, start time.Time, modulesFrom, modulesTo int) {
	type object struct{ contentType, id string }
	left := map[object]map[string]string{}
	kinds := map[audit.Kind]int{}
	modules := map[string]bool{}
	actions := map[string]int{}
	last := time.Time{}
	for e := range demo.Generate(1, n, until) {
		kinds[e.Kind]++
		before := line(e)
		if err := e.Normalize(until); err != nil {
			t.Fatalf("%v: %s", err, before)
		}
		if got := line(e); got != before {
			t.Errorf("not in its normal form: got %s, want %s", before, got)
		}
		now := e.Time()
		if now.Before(last) || now.Before(start) || !now.Before(until) {
			t.Fatalf("an event of %v follows one of %v, in a trail from %v to %v", now, last, start, until)
		}
		last = now
		if at := e.Get("resolved_at"); at != "" && at > audit.FormatTime(until) {
			t.Errorf("resolved in the future: %s", before)
		}
		if e.Kind != audit.KindAuditLog {
			continue
		}
		modules[e.Get("module")] = true
		actions[e.Get("action")]++
		if e.Get("changes") == "" {
			continue
		}
		var changes map[string]struct{ Old, New json.RawMessage }
		if err := json.Unmarshal([]byte(e.Get("changes")), &changes); err != nil {
			t.Fatalf("%v: %s", err, before)
		}
		o := object{e.Get("content_type"), e.Get("object_id")}
		if left[o] == nil {
			left[o] = map[string]string{}
		}
		if e.Get("action") == "CREATE" && len(left[o]) > 0 {
			t.Errorf("created twice: %s", before)
		}
		for field, c := range changes {
			if want, ok := left[o][field]; ok && string(c.Old) != want {
				t.Errorf("%s %s: the old %s is %s, want %s as the event before left it", o.contentType, o.id, field, c.Old, want)
			}
			left[o][field] = string(c.New)
		}
	}
	for _, kind := range audit.Kinds() {
		if kinds[kind] < 100 {
			t.Errorf("got %d of kind %s, want at least 100", kinds[kind], kind)
		}
	}
	if got := len(modules); got < modulesFrom || got > modulesTo {
		t.Errorf("got %d modules, want %d to %d: %v", got, modulesFrom, modulesTo, slices.Sorted(maps.Keys(modules)))
	}
	for _, action := range []string{"CREATE", "UPDATE", "DELETE", "VIEW", "LOGIN", "LOGOUT", "PASSWORD_CHANGE", "PERMISSION_CHANGE"} {
		if actions[action] == 0 {
			t.Errorf("no event has the action %s: %v", action, actions)
		}
	}
}

// TestGroup checks what a large trail promises beside that.
func TestGroup(t *testing.T) {
	const n = 200_000
	kinds := map[audit.Kind]int{}
	users, requests, fields := map[string]int{}, map[string]int{}, map[int]int{}
	size, six, night, weekend := 0, 0, 0, 0
	for e := range demo.Generate(5, n, until) {
		kinds[e.Kind]++
		if e.Kind != audit.KindAuditLog {
			continue
		}
		users[e.Get("username")]++
		requests[e.Get("request_id")]++
		for _, v := range e.Values() {
			size += len(v)
		}
		if strings.Contains(e.Get("ip_address"), ":") {
			six++
		}
		switch at := e.Time(); {
		case at.Weekday() == time.Saturday || at.Weekday() == time.Sunday:
			weekend++
		case at.Hour() >= 20 || at.Hour() < 5:
			night++
		}
		if e.Get("changes") != "" {
			var changes map[string]json.RawMessage
			if err := json.Unmarshal([]byte(e.Get("changes")), &changes); err != nil {
				t.Fatal(err)
			}
			fields[len(changes)]++
		}
	}
	for _, c := range []struct {
		what            string
		got, from, most int
	}{
		{"login attempts", kinds[audit.KindLoginAttempt], n * 9 / 100, n * 14 / 100},
		{"exports", kinds[audit.KindDataExport], n * 8 / 1000, n * 12 / 1000},
		{"system events", kinds[audit.KindSystemEvent], n * 4 / 100, n * 6 / 100},
		{"users", len(users), 1000, 4000},
		{"events of the busiest user", slices.Max(slices.Collect(maps.Values(users))), n / 50, n / 5},
		{"events of the longest request", slices.Max(slices.Collect(maps.Values(requests))), 50, 200},
		{"bytes of text an audit log", size / n, 480, 600},
		{"events from IPv6", six, n / 20, n / 4},
		{"events at night", night, n / 20, n / 4},
		{"events on weekends", weekend, n / 20, n / 5},
		{"changes of one field", fields[1], n / 10, n / 2},
		{"changes of eight fields", fields[8], n / 100, n / 4},
	} {
		if c.got < c.from || c.got > c.most {
			t.Errorf("got %d %s, want %d to %d", c.got, c.what, c.from, c.most)
		}
	}
}

// TestStories checks that what somebody should find is there to be found, also
// in a small trail.
func TestStories(t *testing.T) {
	stories := map[string]func(*audit.Event) bool{
		"a price that lost its decimal point": func(e *audit.Event) bool {
			return e.Get("object_repr") == "Cast-iron casserole 28 cm" && e.Get("reason") == "Spring promotion"
		},
		"the error it led to": func(e *audit.Event) bool { return e.Get("error_code") == "E-PRICE-2" },
		"a gift card of 500 gone": func(e *audit.Event) bool {
			return e.Get("action") == "DELETE" && e.Get("content_type") == "giftcards.giftcard"
		},
		"a right given for a time": func(e *audit.Event) bool {
			return e.Get("action") == "PERMISSION_CHANGE" && e.Get("object_repr") == "oliver.brandt"
		},
		"all customers at night": func(e *audit.Event) bool { return e.Get("record_count") == "184212" },
		"a brute-force burst": func(e *audit.Event) bool {
			return e.Get("status") == "BLOCKED" && e.Get("ip_address") == "203.0.113.66"
		},
	}
	found := map[string]int{}
	for e := range demo.Generate(3, 2000, until) {
		for name, tells := range stories {
			if tells(e) {
				found[name]++
			}
		}
	}
	for name := range stories {
		if found[name] == 0 {
			t.Errorf("nobody can find %s", name)
		}
	}
}

// BenchmarkGenerate makes events of the shop, and of the group.
func BenchmarkGenerate(b *testing.B) {
	for name, n := range map[string]int{"shop": 20_000, "group": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			events := 0
			for b.Loop() {
				for range demo.Generate(1, n, until) {
					events++
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
