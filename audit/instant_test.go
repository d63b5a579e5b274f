package audit

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestInstants compares with the time package, whose layouts say what an instant is.
func TestInstants(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	far := time.FixedZone("", 14*3600)
	for range 100_000 {
		at := time.Unix(random.Int64N(400_000_000_000)-80_000_000_000, random.Int64N(1e9)).In(far) // from before the year 0 to after 9999
		want := at.UTC().Format(timeLayout)
		if got := FormatTime(at); got != want {
			t.Fatalf("%v: got %s, want %s", at, got, want)
		}
		parsed, err := ParseTime(want)
		exact, wrong := time.Parse(time.RFC3339Nano, want)
		if (err == nil) != (wrong == nil) || parsed != exact {
			t.Fatalf("%s: got %v, %v, want %v, %v", want, parsed, err, exact, wrong)
		}
		spoiled := []byte(want)
		spoiled[random.IntN(len(spoiled))] = "0123456789:-.TZ+ "[random.IntN(17)]
		parsed, err = ParseTime(string(spoiled))
		exact, wrong = time.Parse(time.RFC3339Nano, string(spoiled))
		if (err == nil) != (wrong == nil) || parsed != exact.UTC().Truncate(time.Microsecond) {
			t.Fatalf("%s: got %v, %v, want %v, %v", spoiled, parsed, err, exact, wrong)
		}
	}
	for _, s := range []string{"", "2026-02-29T00:00:00.000000Z", "2024-02-29T00:00:00.000000Z", "1900-02-29T00:00:00.000000Z", "2026-04-31T00:00:00.000000Z", "2026-12-31T23:59:60.000000Z", strings.Repeat("1", len(timeLayout))} {
		_, err := ParseTime(s)
		if _, wrong := time.Parse(time.RFC3339Nano, s); (err == nil) != (wrong == nil) {
			t.Errorf("%s: got %v, want %v", s, err, wrong)
		}
	}
}
