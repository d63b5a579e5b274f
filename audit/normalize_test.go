package audit

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample returns a complete event of a kind, with some fields set otherwise.
func sample(t *testing.T, kind Kind, set ...string) *Event {
	t.Helper()
	e := NewEvent(kind)
	e.Set("timestamp", "2026-03-01T11:00:00.000000Z")
	for _, f := range kind.Fields() {
		switch {
		case !f.Required || f.Type == Time:
		case f.Type == Choice:
			e.Set(f.Name, f.Choices[0])
		default:
			e.Set(f.Name, "SOMETHING")
		}
	}
	for i := 0; i < len(set); i += 2 {
		e.Set(set[i], set[i+1])
	}
	return e
}

func TestNormalizeField(t *testing.T) {
	tests := []struct {
		kind        Kind
		field, give string
		want        string // of the field
		problem     string // part of the error
	}{
		{KindAuditLog, "timestamp", "2026-03-01T13:00:00+02:00", "2026-03-01T11:00:00.000000Z", ""},
		{KindAuditLog, "timestamp", "2026-03-01T11:00:00.1234567Z", "2026-03-01T11:00:00.123456Z", ""},
		{KindAuditLog, "timestamp", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z", ""},
		{KindAuditLog, "timestamp", "2026-03-02T12:00:00Z", "2026-03-02T12:00:00.000000Z", ""},
		{KindAuditLog, "timestamp", "1969-12-31T23:59:59Z", "", "before 1970"},
		{KindAuditLog, "timestamp", "2201-01-01T00:00:00Z", "", "after 2200"},
		{KindAuditLog, "timestamp", "2026-03-02T12:00:00.000001Z", "", "more than 24 hours"},
		{KindAuditLog, "timestamp", "2026-03-01 11:00", "", "RFC 3339"},
		{KindAuditLog, "timestamp", "", "", "is missing"},

		{KindAuditLog, "action", "update", "UPDATE", ""},
		{KindAuditLog, "action", "Step_2", "STEP_2", ""},
		{KindAuditLog, "action", "", "", "is missing"},
		{KindAuditLog, "action", "two words", "", `got "two words"`},
		{KindAuditLog, "action", "log-in", "", "one word"},
		{KindAuditLog, "action", "2FA", "", "begins with a letter"},
		{KindAuditLog, "action", "ſet", "", "one word"},
		{KindAuditLog, "action", strings.Repeat("A", 65), "", "at most 64"},

		{KindLoginAttempt, "status", "failed", "FAILED", ""},
		{KindLoginAttempt, "status", "OK", "", "SUCCESS, FAILED or BLOCKED"},
		{KindLoginAttempt, "username", "", "", ""},
		{KindSystemEvent, "title", "", "", "is missing"},

		{KindDataExport, "record_count", "+007", "7", ""},
		{KindDataExport, "record_count", "-0", "0", ""},
		{KindDataExport, "record_count", "9223372036854775807", "9223372036854775807", ""},
		{KindDataExport, "record_count", "9223372036854775808", "", "64 bits"},
		{KindDataExport, "record_count", "1.0", "", "whole number"},
		{KindDataExport, "record_count", " 1", "", "whole number"},

		{KindSystemEvent, "resolved", "True", "true", ""},
		{KindSystemEvent, "resolved", "0", "false", ""},
		{KindSystemEvent, "resolved", "", "", ""},
		{KindSystemEvent, "resolved", "yes", "", "true or false"},
		{KindSystemEvent, "resolved_at", "2026-03-04T00:00:00Z", "2026-03-04T00:00:00.000000Z", ""},

		{KindAuditLog, "reason", "a\x00b", "a␀b", ""},
		{KindAuditLog, "reason", "a\xffb", "", "not valid UTF-8 at byte 2"},
		{KindAuditLog, "reason", " kept as it is \r\n\u202e", " kept as it is \r\n\u202e", ""},

		{KindAuditLog, "metadata", `{"n": 1.10, "big": 12345678901234567890e400}`, `{"n": 1.10, "big": 12345678901234567890e400}`, ""},
		{KindAuditLog, "metadata", `{"a":"\u0000","b":"\\u0000"}`, `{"a":"\u2400","b":"\\u0000"}`, ""},
		{KindAuditLog, "metadata", "{\n\t\"a\": 1\r\n}", "{ \t\"a\": 1  }", ""},
		{KindAuditLog, "metadata", ` null `, "", ""},
		{KindAuditLog, "metadata", `"any value"`, `"any value"`, ""},
		{KindAuditLog, "metadata", `{"a":1,"a":2}`, "", `the key "a" is repeated`},
		{KindAuditLog, "metadata", `{"x":[{"a":1,"\u0061":2}]}`, "", `the key "a" is repeated`},
		{KindAuditLog, "metadata", `{"a":1}}`, "", "something follows"},
		{KindAuditLog, "metadata", `{"a":"\ud800"}`, "", "half a surrogate pair"},
		{KindAuditLog, "metadata", `{"a":"\udc00\ud800"}`, "", "half a surrogate pair"},
		{KindAuditLog, "metadata", `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d\ude00"}`, ""},
		{KindAuditLog, "metadata", "{\"a\":\"\xff\"}", "", "invalid UTF-8"},
		{KindAuditLog, "metadata", "{\"a\":\"\x01\"}", "", "U+0001"},
		{KindAuditLog, "metadata", `{"a":01}`, "", "leading zero"},
		{KindAuditLog, "metadata", `{"a":NaN}`, "", "no JSON value begins with 'N'"},
		{KindAuditLog, "metadata", strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat("[", 32) + strings.Repeat("]", 32), ""},
		{KindAuditLog, "metadata", strings.Repeat("[", 33) + strings.Repeat("]", 33), "", "more than 32 levels"},

		{KindAuditLog, "changes", `{"status":{"old":"a","new":"b"}}`, `{"status":{"old":"a","new":"b"}}`, ""},
		{KindAuditLog, "changes", `{"field": "new_value"}`, `{"field": "new_value"}`, ""},
		{KindAuditLog, "changes", `["status"]`, "", "must be a JSON object"},
		{KindAuditLog, "changes", `null`, "", ""},
	}
	for _, tt := range tests {
		e := sample(t, tt.kind, tt.field, tt.give)
		err := e.Normalize(testNow)
		if tt.problem != "" {
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Field != tt.field || !strings.Contains(fe.Problem, tt.problem) {
				t.Errorf("%s %q: got %v, want an error that says %q", tt.field, tt.give, err, tt.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %q: got %v, want no error", tt.field, tt.give, err)
		} else if got := e.Get(tt.field); got != tt.want {
			t.Errorf("%s %q: got %q, want %q", tt.field, tt.give, got, tt.want)
		}
	}
}

func TestNormalizeAddress(t *testing.T) {
	tests := []struct{ give, meta, want, wantMeta string }{
		{"203.0.113.9", "", "203.0.113.9", ""},
		{" 203.0.113.9 ", "", "203.0.113.9", ""},
		{"::ffff:203.0.113.9", "", "203.0.113.9", ""},
		{"2001:DB8:0:0::1", `{"a":1}`, "2001:db8::1", `{"a":1}`},
		{"fe80::1%eth0", "", "fe80::1", `{"address":"fe80::1%eth0"}`},
		{"unknown", "", "", `{"address":"unknown"}`},
		{"203.0.113.9:443", `{}`, "", `{"address":"203.0.113.9:443"}`},
		{"a\"b\x00", ` { "n" : 1.0 } `, "", ` { "n" : 1.0 ,"address":"a\"b␀"} `},
		{"unknown", `{"address":"unknown"}`, "", `{"address":"unknown"}`},
		{"unknown", `{"address":"1 High St"}`, "", `{"address":"1 High St","address_2":"unknown"}`},
		{"unknown", `[1]`, "", `{"value":[1],"address":"unknown"}`},
		{"010.0.0.1", "", "", `{"address":"010.0.0.1"}`},
	}
	for _, tt := range tests {
		e := sample(t, KindAuditLog, "ip_address", tt.give, "metadata", tt.meta)
		if err := e.Normalize(testNow); err != nil {
			t.Errorf("%q: got %v, want no error", tt.give, err)
			continue
		}
		if got := e.Get("ip_address"); got != tt.want {
			t.Errorf("%q: got address %q, want %q", tt.give, got, tt.want)
		}
		if got := e.Get("metadata"); got != tt.wantMeta {
			t.Errorf("%q: got metadata %s, want %s", tt.give, got, tt.wantMeta)
		}
	}
	e := sample(t, KindAuditLog, "ip_address", "unknown", "metadata", strings.Repeat("[", 32)+strings.Repeat("]", 32))
	if err := e.Normalize(testNow); err == nil {
		t.Error("wrapped metadata of 33 levels: got no error, want one")
	}
}

func TestNormalizeResolution(t *testing.T) {
	tests := []struct {
		set  []string
		want string
	}{
		{nil, ""},
		{[]string{"resolved_by", "ines"}, "true"},
		{[]string{"resolved_at", "2026-03-01T11:30:00Z"}, "true"},
		{[]string{"resolution_note", "looked at"}, ""},
		{[]string{"resolved", "false", "resolved_by", "ines"}, "false"},
	}
	for _, tt := range tests {
		e := sample(t, KindSystemEvent, tt.set...)
		if err := e.Normalize(testNow); err != nil {
			t.Errorf("%q: got %v, want no error", tt.set, err)
		} else if got := e.Get("resolved"); got != tt.want {
			t.Errorf("%q: got resolved %q, want %q", tt.set, got, tt.want)
		}
	}
}

func TestNormalizeEventID(t *testing.T) {
	e := sample(t, KindAuditLog)
	e.EventID = strings.Repeat("x", MaxEventID+1)
	var fe *FieldError
	if err := e.Normalize(testNow); !errors.As(err, &fe) || fe.Field != "event_id" {
		t.Errorf("long event_id: got %v, want an error about event_id", err)
	}
	want := `the field "event_id" of an audit_log has 257 bytes, and may have 256`
	if got := fe.Error(); got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
}

func TestFillTime(t *testing.T) {
	e := NewEvent(KindAuditLog)
	e.FillTime(testNow)
	e.FillTime(testNow.Add(time.Hour))
	if got, want := e.Get("timestamp"), "2026-03-01T12:00:00.000000Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
