package audit

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTypedEvents(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	tests := []struct {
		give interface{ Event() (*Event, error) }
		want string
	}{
		{&AuditLog{
			EventID: "a1", Timestamp: at, UserID: "7", Username: "alice", Action: "update", ContentType: "shop.order", ObjectID: "42",
			ObjectRepr: "Order 42", Changes: Changes{"total": {Old: json.Number("10.00"), New: "<12.50>"}, "a": {New: true}},
			Reason: "r", IPAddress: "::ffff:203.0.113.9", UserAgent: "ua", SessionKey: "s", RequestID: "q", Module: "shop",
			Metadata: json.RawMessage(`{"n": 1.0}`),
		}, `{"kind":"audit_log","event_id":"a1","timestamp":"2026-03-01T11:00:00.123456Z","user_id":"7","username":"alice","action":"UPDATE",` +
			`"content_type":"shop.order","object_id":"42","object_repr":"Order 42","changes":{"a":{"old":null,"new":true},"total":{"old":10.00,"new":"<12.50>"}},` +
			`"reason":"r","ip_address":"203.0.113.9","user_agent":"ua","session_key":"s","request_id":"q","module":"shop","metadata":{"n": 1.0}}`},
		{&LoginAttempt{Timestamp: at, Status: "FAILED", IPAddress: "203.0.113.9", UserAgent: "ua", FailureReason: "f", Country: "FR", City: "Rennes",
			SessionKey: "s", RequestID: "q", Metadata: map[string]int{"try": 3}},
			`{"kind":"login_attempt","timestamp":"2026-03-01T11:00:00.123456Z","username":"","status":"FAILED","ip_address":"203.0.113.9","user_agent":"ua",` +
				`"failure_reason":"f","country":"FR","city":"Rennes","session_key":"s","request_id":"q","metadata":{"try":3}}`},
		{&DataExport{Timestamp: at, UserID: "7", Username: "alice", ExportType: "User Data", FileFormat: "CSV", RecordCount: new(int64(0)),
			FileSize: new(int64(1024)), FiltersApplied: map[string]bool{"active": true}, IPAddress: "::1", FilePath: "/tmp/x", DownloadCount: new(int64(2)),
			SessionKey: "s", RequestID: "q", Metadata: "m"},
			`{"kind":"data_export","timestamp":"2026-03-01T11:00:00.123456Z","user_id":"7","username":"alice","export_type":"User Data","file_format":"CSV",` +
				`"record_count":0,"file_size":1024,"filters_applied":{"active":true},"ip_address":"::1","file_path":"/tmp/x","download_count":2,"session_key":"s",` +
				`"request_id":"q","metadata":"m"}`},
		{&SystemEvent{Timestamp: at, EventType: "error", Title: "t", Description: "d", Module: "m", FunctionName: "f", LineNumber: 12, ErrorCode: "E1",
			StackTrace: "a\nb", UserID: "7", Username: "alice", IPAddress: "::1", SessionKey: "s", RequestID: "q", Metadata: []int{1},
			ResolvedAt: at, ResolvedBy: "ines", ResolutionNote: "n"},
			`{"kind":"system_event","timestamp":"2026-03-01T11:00:00.123456Z","event_type":"ERROR","title":"t","description":"d","module":"m","function_name":"f",` +
				`"line_number":12,"error_code":"E1","stack_trace":"a\nb","user_id":"7","username":"alice","ip_address":"::1","session_key":"s","request_id":"q",` +
				`"metadata":[1],"resolved":true,"resolved_at":"2026-03-01T11:00:00.123456Z","resolved_by":"ines","resolution_note":"n"}`},
	}
	for _, tt := range tests {
		e, err := tt.give.Event()
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Normalize(testNow); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendJSON(nil, e, nil)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		// Nothing a kind has is left out of its type.
		for i, f := range e.Kind.Fields() {
			if e.Values()[i] == "" && !f.EmptyAllowed {
				t.Errorf("%s: the field %s has no place in the type", e.Kind, f.Name)
			}
		}
	}
}

func TestTypedEventRefuses(t *testing.T) {
	_, err := (&AuditLog{Action: "VIEW", Metadata: func() {}}).Event()
	var fe *FieldError
	if !errors.As(err, &fe) || fe.Field != "metadata" || !strings.Contains(err.Error(), "cannot be written as JSON") {
		t.Errorf("got %v, want an error about metadata", err)
	}
	e, err := (&AuditLog{Action: "VIEW"}).Event()
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Get("timestamp"); got != "" {
		t.Errorf("zero time: got %q, want it absent", got)
	}
}
