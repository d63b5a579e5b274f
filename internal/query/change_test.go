package query

import (
	"math"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

func TestToggle(t *testing.T) {
	tests := []struct{ query, key, value, include, exclude string }{
		{``, `user`, `alice`, `user:alice`, `-user:alice`},
		{`x`, `user`, `alice smith`, `x user:"alice smith"`, `x -user:"alice smith"`},
		{`user:alice x`, `user`, `alice`, `x`, `x -user:alice`},
		{`user:alice,bob`, `user`, `ALICE`, `user:bob`, `user:bob -user:ALICE`},
		{`user:alice`, `user`, `bob`, `user:alice,bob`, `user:alice -user:bob`},
		{`-user:alice`, `user`, `alice`, `user:alice`, ``},
		{`-user:alice,bob`, `user`, `alice`, `-user:bob user:alice`, `-user:bob`},
		{`-user:alice`, `user`, `bob`, `-user:alice user:bob`, `-user:alice,bob`},
		// What is empty, and what looks like something else.
		{`user:alice`, `user`, ``, `user:alice,""`, `user:alice -user:""`},
		{``, `user`, `al*`, `user:"al*"`, `-user:"al*"`},
		{``, `object`, `-1,2`, `object:"-1,2"`, `-object:"-1,2"`},
		// A start or a network gives way to what it holds.
		{`user:al*`, `user`, `alice`, `user:alice`, `user:al* -user:alice`},
		{`user:al*`, `user`, `bob`, `user:al*,bob`, `user:al* -user:bob`},
		{`-user:al*`, `user`, `alice`, `user:alice`, `-user:al*,alice`},
		{`ip:10.0.0.0/8`, `ip`, `10.1.2.3`, `ip:10.1.2.3`, `ip:10.0.0.0/8 -ip:10.1.2.3`},
		{`ip:10.0.0.0/8`, `ip`, `::1`, `ip:10.0.0.0/8,"::1"`, `ip:10.0.0.0/8 -ip:"::1"`},
		{`ip:10.1.2.3`, `ip`, `::ffff:10.1.2.3`, ``, `-ip:10.1.2.3`},
		// What cannot be changes nothing.
		{`x`, `nosuch`, `y`, `x`, `x`},
		{`x`, `ip`, `local`, `x`, `x`},
		// Other terms stay as they are.
		{`type:a user:alice -type:b last:7d`, `type`, `c`, `type:a,c user:alice -type:b last:7d`, `type:a user:alice -type:b,c last:7d`},
		{`user:a user:b`, `user`, `b`, `user:a`, `user:a -user:b`},
	}
	for _, tt := range tests {
		f := mustParse(t, audit.KindAuditLog, tt.query)
		if got := f.Include(tt.key, tt.value).String(); got != tt.include {
			t.Errorf("%s including %s %s: got %s, want %s", tt.query, tt.key, tt.value, got, tt.include)
		}
		if got := f.Exclude(tt.key, tt.value).String(); got != tt.exclude {
			t.Errorf("%s excluding %s %s: got %s, want %s", tt.query, tt.key, tt.value, got, tt.exclude)
		}
		if got := f.String(); got != mustParse(t, audit.KindAuditLog, tt.query).String() {
			t.Errorf("%s: became %s itself", tt.query, got)
		}
	}
}

func TestHas(t *testing.T) {
	f := mustParse(t, audit.KindAuditLog, `user:alice,bo* -user:carol ip:::ffff:10.0.0.1 -ip:10.0.0.0/8 type:""`)
	tests := []struct {
		key, value string
		not, want  bool
	}{
		{"user", "ALICE", false, true},
		{"user", "alice", true, false},
		{"user", "bob", false, false},
		{"user", "bo*", false, false},
		{"user", "carol", true, true},
		{"user", "", false, false},
		{"type", "", false, true},
		{"ip", "10.0.0.1", true, false},
		{"ip", "10.0.0.0/8", true, true},
		{"nosuch", "x", false, false},
	}
	for _, tt := range tests {
		if got := f.Has(tt.key, tt.value, tt.not); got != tt.want {
			t.Errorf("Has(%q, %q, %v): got %v, want %v", tt.key, tt.value, tt.not, got, tt.want)
		}
	}
	if !mustParse(t, audit.KindAuditLog, `ip:10.0.0.1`).Has("ip", "::ffff:10.0.0.1", false) {
		t.Error("an IPv4 address in the form of IPv6 is not the same address")
	}
}

func TestReplaceAndWithout(t *testing.T) {
	const query = `user:a type:b -user:c user:d x`
	f := mustParse(t, audit.KindAuditLog, query)
	with := ValueTerm(f.Kind, "user", false, false, "n")
	without := ValueTerm(f.Kind, "user", false, true, "m")
	tests := []struct {
		name string
		got  *Filter
		want string
	}{
		{"without 0", f.Without(0), `type:b -user:c user:d x`},
		{"without 4", f.Without(4), `user:a type:b -user:c user:d`},
		{"dropped", f.Replace("user"), `type:b -user:c x`},
		{"positive", f.Replace("user", with), `user:n type:b -user:c x`},
		{"negative", f.Replace("user", without), `-user:m type:b x`},
		{"both", f.Replace("user", with, without), `user:n -user:m type:b x`},
		{"new", f.Replace("ip", ValueTerm(f.Kind, "ip", false, false, "10.0.0.1")), query + ` ip:10.0.0.1`},
		{"text", f.Replace("", ValueTerm(f.Kind, "", false, false, "a b")), `user:a type:b -user:c user:d "a b"`},
	}
	for _, tt := range tests {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := f.String(); got != query {
		t.Errorf("the filter itself became %s", got)
	}
}

func TestValueTerm(t *testing.T) {
	term := ValueTerm(audit.KindAuditLog, "object", true, false, "A*", "")
	if v := term.Values[0]; v.Text != "A*" || v.Folded != "a*" || !v.Exact || v.Prefix {
		t.Errorf("got %+v, want the very text A*", v)
	}
	if got, want := term.String(), `object:"A*",""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, key := range []string{"nosuch", "rows"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("an unknown key %s makes a term", key)
				}
			}()
			ValueTerm(audit.KindAuditLog, key, false, false, "1")
		}()
	}
}

func TestBounds(t *testing.T) {
	day := func(d int) int64 { return time.Date(2026, 3, d, 0, 0, 0, 0, testZone).UnixMicro() }
	tests := []struct {
		query  string
		lo, hi int64
		ok     bool
	}{
		{``, math.MinInt64, math.MaxInt64, false},
		{`user:a recorded:2026 -on:2026-03-01`, math.MinInt64, math.MaxInt64, false},
		{`after:2026-03-01`, day(1), math.MaxInt64, true},
		{`after:2026-03-01 before:2026-03-05 after:2026-03-03`, day(3), day(5), true},
		{`on:2026-03-01,2026-03-05`, day(1), day(6), true},
		{`on:2026-03 -on:2026-03-05 on:2026-03-02`, day(2), day(3), true},
		{`on:2026-03-01 on:2026-03-05`, day(5), day(2), true},
	}
	for _, tt := range tests {
		lo, hi, ok := mustParse(t, audit.KindAuditLog, tt.query).Bounds()
		if lo != tt.lo || hi != tt.hi || ok != tt.ok {
			t.Errorf("%s: got %s to %s, %v, want %s to %s, %v", tt.query, micros(lo), micros(hi), ok, micros(tt.lo), micros(tt.hi), tt.ok)
		}
	}
}

func TestHasText(t *testing.T) {
	for query, want := range map[string]bool{``: false, `user:a last:7d`: false, `x`: true, `-"a b"`: true, `reason:x`: true} {
		if got := mustParse(t, audit.KindAuditLog, query).HasText(); got != want {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
}

func TestLabel(t *testing.T) {
	tests := []struct{ query, key, value string }{
		{`user:alice,bo*,""`, "user", "alice, bo*, (empty)"},
		{`"gift card"`, "text", "“gift card”"},
		{`reason:x`, "reason", "“x”"},
		{`-last:7d`, "last", "7 days"},
		{`last:1h`, "last", "1 hour"},
		{`on:2026-03`, "on", "2026-03"},
		{`ip:10.3.*`, "ip", "10.3.0.0/16"},
	}
	for _, tt := range tests {
		key, value := mustParse(t, audit.KindAuditLog, tt.query).Terms[0].Label()
		if key != tt.key || value != tt.value {
			t.Errorf("%s: got %q %q, want %q %q", tt.query, key, value, tt.key, tt.value)
		}
	}
}

// A link's query is that of the filter it stands for.
func TestTextsOfLinks(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 29, 0, 0, 0, 0, paris) // of 23 hours
	for _, q := range []string{"", "user:alice", "-user:alice,bob* action:DELETE", `ip:10.0.0.0/8 "gift card"`, "on:2026-03 user:x", "after:2026-03-01 -on:2026-03-05"} {
		f, err := Parse(audit.KindAuditLog, q, Options{Now: now, Zone: paris})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range [][2]string{{"user", "alice"}, {"user", "Bob, the \"2nd\""}, {"user", ""}, {"ip", "10.1.2.3"}, {"ip", "::ffff:10.1.2.3"}, {"ip", "no address"}, {"action", "DELETE"}, {"nothing", "x"}} {
			if got, want := f.IncludeText(v[0], v[1]), f.Include(v[0], v[1]).String(); got != want {
				t.Errorf("%q including %q: got %q, want %q", q, v, got, want)
			}
			if got, want := f.ExcludeText(v[0], v[1]), f.Exclude(v[0], v[1]).String(); got != want {
				t.Errorf("%q excluding %q: got %q, want %q", q, v, got, want)
			}
		}
		for _, r := range [][2]time.Time{{}, {day, day.AddDate(0, 0, 1)}, {day, {}}, {day, day.Add(time.Hour)}, {day, day.AddDate(0, 0, 2)},
			{day.AddDate(0, 0, -28), day.AddDate(0, 0, 3)}, {day.AddDate(0, -2, -28), day.AddDate(1, -2, -28)}} {
			got, want := f.DuringText(r[0], r[1]), f.During(r[0], r[1]).String()
			if got != want {
				t.Errorf("%q during %v: got %q, want %q", q, r, got, want)
			}
			if again, err := Parse(audit.KindAuditLog, got, Options{Now: now, Zone: paris}); err != nil || again.String() != got {
				t.Errorf("%q is read as %v, %v", got, again, err)
			}
		}
	}
}
