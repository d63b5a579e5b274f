package query

import (
	"math"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// TestTimes gives the range of a term as RFC 3339, and "" where it is open.
func TestTimes(t *testing.T) {
	tests := []struct{ zone, query, from, to string }{
		{"UTC", `on:2026`, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"UTC", `on:2026-02`, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"UTC", `on:2024-02-29`, "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"UTC", `on:2026-12-31T23`, "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"},
		{"UTC", `on:2026-03-01T14:05`, "2026-03-01T14:05:00Z", "2026-03-01T14:06:00Z"},
		{"UTC", `on:2026-03-01T14:05:09`, "2026-03-01T14:05:09Z", "2026-03-01T14:05:10Z"},
		{"UTC", `on:2026-03-01T14:05:09Z`, "2026-03-01T14:05:09Z", "2026-03-01T14:05:10Z"},
		{"UTC", `on:2026-03-01t14:05:09.25z`, "2026-03-01T14:05:09.25Z", "2026-03-01T14:05:09.26Z"},
		{"UTC", `on:2026-03-01T14:05:09.123456Z`, "2026-03-01T14:05:09.123456Z", "2026-03-01T14:05:09.123457Z"},
		{"UTC", `after:2026-03-01T14:05:09.1234561Z`, "2026-03-01T14:05:09.123457Z", ""},
		{"UTC", `after:2026-03-01`, "2026-03-01T00:00:00Z", ""},
		{"UTC", `before:2026-03`, "", "2026-03-01T00:00:00Z"},
		{"UTC", `recorded:2026`, "2026-01-01T00:00:00Z", ""},
		{"UTC", `last:24h`, "2026-03-30T12:35:10Z", ""},
		{"UTC", `last:5m`, "2026-03-31T12:30:10Z", ""},
		{"UTC", `last:7d`, "2026-03-24T12:35:10Z", ""},
		{"UTC", `last:1w`, "2026-03-24T12:35:10Z", ""},
		{"Europe/Paris", `last:7d`, "2026-03-24T12:35:10Z", ""}, // days of 24 hours, clocks or not
		{"Europe/Paris", `on:2026-03-01`, "2026-02-28T23:00:00Z", "2026-03-01T23:00:00Z"},
		{"Europe/Paris", `after:2026-03-01T14:00:00+05:30`, "2026-03-01T08:30:00Z", ""},
		{"Europe/Paris", `on:2026-03-29`, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},    // 23 hours
		{"Europe/Paris", `on:2026-03-29T02`, "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"}, // left out
		{"Europe/Paris", `after:2026-03-29T02:30`, "2026-03-29T01:00:00Z", ""},
		{"Europe/Paris", `on:2026-10-25`, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},                 // 25 hours
		{"Europe/Paris", `on:2026-10-25T02`, "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"},              // twice
		{"America/Sao_Paulo", `on:2018-11-04`, "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},            // begins at 01:00
		{"America/Sao_Paulo", `on:2018-02-17`, "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"},            // its last hour twice
		{"America/Havana", `on:2026-11-01`, "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},               // its first hour twice
		{"Pacific/Apia", `on:2011-12-30`, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"},                 // left out
		{"Pacific/Apia", `on:2011-12`, "2011-12-01T10:00:00Z", "2011-12-31T10:00:00Z"},                    //
		{"Australia/Lord_Howe", `on:2026-10-04T02`, "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"},       // half an hour
		{"Asia/Kolkata", `on:2026-03-01T14:05:09.5Z`, "2026-03-01T14:05:09.5Z", "2026-03-01T14:05:09.6Z"}, //
	}
	for _, tt := range tests {
		f, err := Parse(audit.KindAuditLog, tt.query, Options{Now: testNow, Zone: mustZone(tt.zone)})
		if err != nil {
			t.Errorf("%s in %s: %v", tt.query, tt.zone, err)
			continue
		}
		v := f.Terms[0].Values[0]
		if got, want := micros(v.Lo), tt.from; got != want {
			t.Errorf("%s in %s: from %s, want %s", tt.query, tt.zone, got, want)
		}
		if got, want := micros(v.Hi), tt.to; got != want {
			t.Errorf("%s in %s: to %s, want %s", tt.query, tt.zone, got, want)
		}
	}
}

func micros(us int64) string {
	if us == math.MinInt64 || us == math.MaxInt64 {
		return ""
	}
	return time.UnixMicro(us).UTC().Format(time.RFC3339Nano)
}

// TestDaysJoin walks through a year in quarters of an hour: each instant lies in
// the day and the hour that the clocks show, and days follow without a gap.
func TestDaysJoin(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Paris", "America/New_York", "America/Sao_Paulo", "America/Havana", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Chatham", "Australia/Lord_Howe", "Africa/Casablanca"} {
		zone := mustZone(name)
		before := int64(math.MinInt64)
		for at := time.Date(2011, 1, 1, 0, 0, 0, 0, zone); at.Year() < 2012; at = at.Add(15 * time.Minute) {
			for _, layout := range []string{"2006-01-02", "2006-01-02T15"} {
				// Where clocks go back from 03:45 to 02:45, the hour 02 is in two pieces.
				if name == "Pacific/Chatham" && layout != "2006-01-02" {
					continue
				}
				text := at.Format(layout)
				lo, hi, bad := readTime(text, testNow, zone)
				if bad != nil {
					t.Fatalf("%s in %s: %s", text, name, bad.message)
				}
				if us := at.UnixMicro(); us < lo || us >= hi {
					t.Errorf("%s in %s is from %s to %s, without %s", text, name, micros(lo), micros(hi), micros(us))
				}
				if layout == "2006-01-02" {
					if before != math.MinInt64 && lo != before && hi != before {
						t.Errorf("%s in %s begins at %s, but the day before ends at %s", text, name, micros(lo), micros(before))
					}
					before = hi
				}
			}
		}
	}
}

func TestDuring(t *testing.T) {
	paris := testZone
	at := func(y int, m time.Month, d, h int) time.Time { return time.Date(y, m, d, h, 0, 0, 0, paris) }
	tests := []struct {
		query      string
		start, end time.Time
		want       string
	}{
		{`user:a last:7d b`, at(2026, 3, 1, 0), at(2026, 4, 1, 0), `user:a on:2026-03 b`},
		{`user:a`, at(2026, 1, 1, 0), at(2027, 1, 1, 0), `user:a on:2026`},
		{`on:2026`, at(2026, 3, 29, 0), at(2026, 3, 30, 0), `on:2026-03-29`},
		{`on:2026`, at(2026, 3, 29, 14), at(2026, 3, 29, 15), `on:2026-03-29T14`},
		{`after:2020 -on:2026-01-01 before:2030 x`, at(2026, 3, 1, 0), at(2026, 3, 4, 0), `after:2026-03-01 before:2026-03-04 x`},
		{``, at(2026, 3, 1, 14), at(2026, 3, 1, 16), `after:2026-03-01T14 before:2026-03-01T16`},
		{``, at(2026, 3, 1, 0), time.Time{}, `after:2026-03-01`},
		{`last:7d recorded:2026 -last:1d`, time.Time{}, time.Time{}, `recorded:2026`},
		// Each of the two hours that the clocks show as 02.
		{``, time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), `after:2026-10-25T02 before:2026-10-25T01:00:00Z`},
		{``, time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 2, 0, 0, 0, time.UTC), `after:2026-10-25T01:00:00Z before:2026-10-25T03`},
		{``, time.UnixMicro(1772366709123456), time.UnixMicro(1772366709123457), `after:2026-03-01T12:05:09.123456Z before:2026-03-01T12:05:09.123457Z`},
	}
	for _, tt := range tests {
		f := mustParse(t, audit.KindAuditLog, tt.query).During(tt.start, tt.end)
		if got := f.String(); got != tt.want {
			t.Errorf("%s during %v to %v: got %s, want %s", tt.query, tt.start, tt.end, got, tt.want)
			continue
		}
		if tt.start.IsZero() {
			continue
		}
		lo, hi, ok := mustParse(t, audit.KindAuditLog, f.String()).Bounds()
		wantHi := int64(math.MaxInt64)
		if !tt.end.IsZero() {
			wantHi = tt.end.UnixMicro()
		}
		if !ok || lo != tt.start.UnixMicro() || hi != wantHi {
			t.Errorf("%s: bounds %s to %s, want %v to %v", f, micros(lo), micros(hi), tt.start, tt.end)
		}
	}
}
