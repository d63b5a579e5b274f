package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// Changes are the fields of an object that changed, by their names. In JSON they
// come in the order of the names.
type Changes map[string]Values

// Values are what a field was before and after. Each may be anything that
// encoding/json can write; nil is null. To keep the digits of a decimal number,
// give it as a string or a [json.Number].
type Values struct {
	Old any `json:"old"`
	New any `json:"new"`
}

// AuditLog is who did what to which object. What is zero is absent.
type AuditLog struct {
	EventID     string // names the event, together with Timestamp; optional
	Timestamp   time.Time
	UserID      string
	Username    string
	Action      string // required: CREATE, UPDATE, DELETE, … or any other upper-case word
	ContentType string // of the object: "shop.order"
	ObjectID    string
	ObjectRepr  string // what the object was called then: "Order 42"
	Changes     Changes
	Reason      string
	IPAddress   string
	UserAgent   string
	SessionKey  string
	RequestID   string
	Module      string
	Metadata    any // anything that encoding/json can write; a json.RawMessage stays as it is
}

// Event returns the common form. It fails where Changes or Metadata cannot be
// written as JSON; everything else is up to [Event.Normalize].
func (a *AuditLog) Event() (*Event, error) {
	b := build(KindAuditLog, a.EventID, a.Timestamp)
	b.text("user_id", a.UserID)
	b.text("username", a.Username)
	b.text("action", a.Action)
	b.text("content_type", a.ContentType)
	b.text("object_id", a.ObjectID)
	b.text("object_repr", a.ObjectRepr)
	if len(a.Changes) > 0 {
		b.json("changes", a.Changes)
	}
	b.text("reason", a.Reason)
	b.text("ip_address", a.IPAddress)
	b.text("user_agent", a.UserAgent)
	b.text("session_key", a.SessionKey)
	b.text("request_id", a.RequestID)
	b.text("module", a.Module)
	b.json("metadata", a.Metadata)
	return b.event()
}

// LoginAttempt is one attempt to sign in. What is zero is absent.
type LoginAttempt struct {
	EventID       string // names the event, together with Timestamp; optional
	Timestamp     time.Time
	Username      string // as it was typed; may be empty
	Status        string // required: SUCCESS, FAILED or BLOCKED
	IPAddress     string
	UserAgent     string
	FailureReason string
	Country       string
	City          string
	SessionKey    string
	RequestID     string
	Metadata      any // as in AuditLog
}

// Event returns the common form, as [AuditLog.Event] does.
func (l *LoginAttempt) Event() (*Event, error) {
	b := build(KindLoginAttempt, l.EventID, l.Timestamp)
	b.text("username", l.Username)
	b.text("status", l.Status)
	b.text("ip_address", l.IPAddress)
	b.text("user_agent", l.UserAgent)
	b.text("failure_reason", l.FailureReason)
	b.text("country", l.Country)
	b.text("city", l.City)
	b.text("session_key", l.SessionKey)
	b.text("request_id", l.RequestID)
	b.json("metadata", l.Metadata)
	return b.event()
}

// DataExport is one export of data. What is zero is absent; an export of no
// rows has a RecordCount of new(int64(0)).
type DataExport struct {
	EventID        string // names the event, together with Timestamp; optional
	Timestamp      time.Time
	UserID         string
	Username       string
	ExportType     string // required: what was exported, "User Data"
	FileFormat     string // "CSV"
	RecordCount    *int64
	FileSize       *int64 // in bytes
	FiltersApplied any    // as Metadata
	IPAddress      string
	FilePath       string
	DownloadCount  *int64
	SessionKey     string
	RequestID      string
	Metadata       any // as in AuditLog
}

// Event returns the common form, as [AuditLog.Event] does.
func (d *DataExport) Event() (*Event, error) {
	b := build(KindDataExport, d.EventID, d.Timestamp)
	b.text("user_id", d.UserID)
	b.text("username", d.Username)
	b.text("export_type", d.ExportType)
	b.text("file_format", d.FileFormat)
	b.integer("record_count", d.RecordCount)
	b.integer("file_size", d.FileSize)
	b.json("filters_applied", d.FiltersApplied)
	b.text("ip_address", d.IPAddress)
	b.text("file_path", d.FilePath)
	b.integer("download_count", d.DownloadCount)
	b.text("session_key", d.SessionKey)
	b.text("request_id", d.RequestID)
	b.json("metadata", d.Metadata)
	return b.event()
}

// SystemEvent is an error, a warning, or something else about the system
// itself, and what became of it. What is zero is absent.
type SystemEvent struct {
	EventID      string // names the event, together with Timestamp; optional
	Timestamp    time.Time
	EventType    string // required: ERROR, WARNING, INFO, SECURITY or PERFORMANCE
	Title        string // required
	Description  string
	Module       string
	FunctionName string
	LineNumber   int64 // from 1
	ErrorCode    string
	StackTrace   string
	UserID       string
	Username     string
	IPAddress    string
	SessionKey   string
	RequestID    string
	Metadata     any // as in AuditLog

	Resolved       bool // stands as soon as ResolvedAt or ResolvedBy is given
	ResolvedAt     time.Time
	ResolvedBy     string
	ResolutionNote string
}

// Event returns the common form, as [AuditLog.Event] does.
func (s *SystemEvent) Event() (*Event, error) {
	b := build(KindSystemEvent, s.EventID, s.Timestamp)
	b.text("event_type", s.EventType)
	b.text("title", s.Title)
	b.text("description", s.Description)
	b.text("module", s.Module)
	b.text("function_name", s.FunctionName)
	if s.LineNumber != 0 {
		b.integer("line_number", &s.LineNumber)
	}
	b.text("error_code", s.ErrorCode)
	b.text("stack_trace", s.StackTrace)
	b.text("user_id", s.UserID)
	b.text("username", s.Username)
	b.text("ip_address", s.IPAddress)
	b.text("session_key", s.SessionKey)
	b.text("request_id", s.RequestID)
	b.json("metadata", s.Metadata)
	if s.Resolved {
		b.text("resolved", "true")
	}
	b.time("resolved_at", s.ResolvedAt)
	b.text("resolved_by", s.ResolvedBy)
	b.text("resolution_note", s.ResolutionNote)
	return b.event()
}

// builder fills an event and keeps the first error.
type builder struct {
	e   *Event
	err error
}

func build(kind Kind, eventID string, timestamp time.Time) *builder {
	b := &builder{e: NewEvent(kind)}
	b.e.EventID = eventID
	b.time("timestamp", timestamp)
	return b
}

func (b *builder) event() (*Event, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.e, nil
}

func (b *builder) text(field, value string) { b.e.Set(field, value) }

func (b *builder) time(field string, t time.Time) {
	if !t.IsZero() {
		b.e.Set(field, FormatTime(t))
	}
}

func (b *builder) integer(field string, n *int64) {
	if n != nil {
		b.e.Set(field, strconv.FormatInt(*n, 10))
	}
}

func (b *builder) json(field string, value any) {
	switch v := value.(type) {
	case nil:
		return
	case json.RawMessage:
		b.e.Set(field, string(v))
		return
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		if b.err == nil {
			b.err = &FieldError{Kind: b.e.Kind, Field: field, Problem: "cannot be written as JSON: " + err.Error()}
		}
		return
	}
	b.e.Set(field, string(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))))
}
