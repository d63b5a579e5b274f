package demo_test

import (
	"encoding/json"
	"maps"
	"slices"
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
	for _, n := range []int{0, 1, 2, 99, 1000, 20_000} {
		got := 0
		for range demo.Generate(1, n, until) {
			got++
		}
		if got != n {
			t.Errorf("got %d events, want %d", got, n)
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
	for e := range demo.Generate(1, 20_000, until) {
		before := line(e)
		if n := masker.Mask(e); n > 0 {
			t.Fatalf("masking finds %d secrets in %s", n, before)
		}
	}
}

// TestGenerateIsCoherent checks what makes a trail believable: order, valid
// events, all kinds, and that an object's old value is what was left before.
func TestGenerateIsCoherent(t *testing.T) {
	type object struct{ contentType, id string }
	left := map[object]map[string]string{}
	kinds := map[audit.Kind]int{}
	modules := map[string]bool{}
	actions := map[string]int{}
	last, start := time.Time{}, until.AddDate(0, 0, -demo.Days)
	for e := range demo.Generate(1, 20_000, until) {
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
	if n := len(modules); n < 10 || n > 60 {
		t.Errorf("got %d modules, want 10 to 60: %v", n, slices.Sorted(maps.Keys(modules)))
	}
	for _, action := range []string{"CREATE", "UPDATE", "DELETE", "VIEW", "LOGIN", "LOGOUT", "PASSWORD_CHANGE", "PERMISSION_CHANGE"} {
		if actions[action] == 0 {
			t.Errorf("no event has the action %s: %v", action, actions)
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

func BenchmarkGenerate(b *testing.B) {
	for range demo.Generate(1, b.N, until) {
	}
}
