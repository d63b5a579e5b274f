package audit

// Kind names one of the four kinds of event. Its value is the name of the
// kind's table, and of "kind" in NDJSON.
type Kind string

// The four kinds.
const (
	KindAuditLog     Kind = "audit_log"     // who did what to which object, with before and after
	KindLoginAttempt Kind = "login_attempt" // one attempt to sign in
	KindDataExport   Kind = "data_export"   // one export of data
	KindSystemEvent  Kind = "system_event"  // errors, warnings, security and performance events
)

// Type says how the text of a field is to be read.
type Type int

// The types of fields. Every value of an event is kept as text; the type says
// what that text has to look like, and how it is stored and shown.
const (
	Text    Type = iota // any UTF-8 text
	Word                // one upper-case word, such as an action
	Choice              // one of Field.Choices
	Address             // an IP address in canonical form
	JSON                // a JSON value, kept as it was given
	Integer             // a decimal 64-bit integer
	Time                // an instant, as FormatTime writes it
	Boolean             // "true" or "false"
)

// Field describes one field of a kind.
type Field struct {
	Name     string
	Type     Type
	Required bool     // starred in the contract: never empty (but see EmptyAllowed)
	Choices  []string // of a Choice
	// EmptyAllowed marks a required field that may be empty where it is given:
	// somebody did try to sign in with an empty name.
	EmptyAllowed bool
	// Mutable marks the fields that are not part of what the event itself
	// states: the resolution of a system event and the downloads of an export.
	// A twin that differs in them alone is no conflict.
	Mutable bool
}

// kinds is the one table of kinds: parser, storage, pages and files follow it.
var kinds = []struct {
	kind             Kind
	path             string
	singular, plural string
	fields           []Field
}{
	{KindAuditLog, "audit-logs", "audit log", "audit logs", []Field{
		{Name: "timestamp", Type: Time, Required: true},
		{Name: "user_id"},
		{Name: "username"},
		{Name: "action", Type: Word, Required: true},
		{Name: "content_type"},
		{Name: "object_id"},
		{Name: "object_repr"},
		{Name: "changes", Type: JSON},
		{Name: "reason"},
		{Name: "ip_address", Type: Address},
		{Name: "user_agent"},
		{Name: "session_key"},
		{Name: "request_id"},
		{Name: "module"},
		{Name: "metadata", Type: JSON},
	}},
	{KindLoginAttempt, "login-attempts", "login attempt", "login attempts", []Field{
		{Name: "timestamp", Type: Time, Required: true},
		{Name: "username", Required: true, EmptyAllowed: true},
		{Name: "status", Type: Choice, Required: true, Choices: []string{"SUCCESS", "FAILED", "BLOCKED"}},
		{Name: "ip_address", Type: Address},
		{Name: "user_agent"},
		{Name: "failure_reason"},
		{Name: "country"},
		{Name: "city"},
		{Name: "session_key"},
		{Name: "request_id"},
		{Name: "metadata", Type: JSON},
	}},
	{KindDataExport, "data-exports", "data export", "data exports", []Field{
		{Name: "timestamp", Type: Time, Required: true},
		{Name: "user_id"},
		{Name: "username"},
		{Name: "export_type", Required: true},
		{Name: "file_format"},
		{Name: "record_count", Type: Integer},
		{Name: "file_size", Type: Integer},
		{Name: "filters_applied", Type: JSON},
		{Name: "ip_address", Type: Address},
		{Name: "file_path"},
		{Name: "download_count", Type: Integer, Mutable: true},
		{Name: "session_key"},
		{Name: "request_id"},
		{Name: "metadata", Type: JSON},
	}},
	{KindSystemEvent, "system-events", "system event", "system events", []Field{
		{Name: "timestamp", Type: Time, Required: true},
		{Name: "event_type", Type: Choice, Required: true, Choices: []string{"ERROR", "WARNING", "INFO", "SECURITY", "PERFORMANCE"}},
		{Name: "title", Required: true},
		{Name: "description"},
		{Name: "module"},
		{Name: "function_name"},
		{Name: "line_number", Type: Integer},
		{Name: "error_code"},
		{Name: "stack_trace"},
		{Name: "user_id"},
		{Name: "username"},
		{Name: "ip_address", Type: Address},
		{Name: "session_key"},
		{Name: "request_id"},
		{Name: "metadata", Type: JSON},
		{Name: "resolved", Type: Boolean, Mutable: true},
		{Name: "resolved_at", Type: Time, Mutable: true},
		{Name: "resolved_by", Mutable: true},
		{Name: "resolution_note", Mutable: true},
	}},
}

// KnownActions are the actions that pages know how to say in a sentence. Any
// other upper-case word is an action too.
func KnownActions() []string {
	return []string{"CREATE", "UPDATE", "DELETE", "VIEW", "LOGIN", "LOGOUT", "LOGIN_FAILED",
		"EXPORT", "IMPORT", "PASSWORD_CHANGE", "PERMISSION_CHANGE"}
}

// Kinds returns the four kinds in the order in which pages show them.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, k := range kinds {
		all[i] = k.kind
	}
	return all
}

// ParseKind returns the kind of that name, and whether there is one.
func ParseKind(name string) (Kind, bool) {
	k := Kind(name)
	return k, k.Valid()
}

// Valid reports whether k is one of the four kinds.
func (k Kind) Valid() bool { return k.number() >= 0 }

// Fields returns the fields of the kind in the order of the contract. The
// caller must not change them.
func (k Kind) Fields() []Field { return kinds[k.mustNumber()].fields }

// Path is the kind's name in URLs: "audit-logs".
func (k Kind) Path() string { return kinds[k.mustNumber()].path }

// Singular is the kind's name in a sentence: "audit log".
func (k Kind) Singular() string { return kinds[k.mustNumber()].singular }

// Plural is the kind's name above a list, in lower case: "audit logs".
func (k Kind) Plural() string { return kinds[k.mustNumber()].plural }

// Index returns the place of a field in Fields, or -1 if the kind has no field
// of that name.
func (k Kind) Index(field string) int {
	fields := k.Fields()
	for i := range fields { // each would be copied to be looked at
		if fields[i].Name == field {
			return i
		}
	}
	return -1
}

func (k Kind) number() int {
	for i := range kinds {
		if kinds[i].kind == k {
			return i
		}
	}
	return -1
}

func (k Kind) mustNumber() int {
	n := k.number()
	if n < 0 {
		panic("audit: unknown kind " + string(k))
	}
	return n
}
