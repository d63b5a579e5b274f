package query

import (
	"slices"

	"github.com/auditadmin/auditadmin/audit"
)

// entry is one row of the table of fields: the field, and how it is said in a
// sentence. %s stands for the values.
type entry struct {
	Field
	is, not         string // "by %s", "not by %s"
	absent, present string // what key:"" and -key:"" say: "without a user", "with a user"
	many            string // what is counted where the values are too many to name: "users"
}

// table is one kind of event: its fields in the order of the documentation, and
// the event's fields in which free text is looked for.
type table struct {
	kind       audit.Kind
	entries    []entry
	searchable []string
	examples   []string // whole queries to begin with
}

// The fields that several kinds have alike.
var (
	ipEntry = entry{Field{Key: "ip", Label: "Address", Class: ClassAddress, Columns: []string{"ip_address"}, Facet: true,
		Doc: "the address it came from: one address, a network, or the first parts of one", Example: "ip:10.0.0.0/8"},
		"from %s", "not from %s", "without an address", "with an address", "addresses"}
	sessionEntry = entry{Field{Key: "session", Label: "Session", Columns: []string{"session_key"}, Facet: true,
		Doc: "the session it happened in", Example: "session:4f1d9c"},
		"in session %s", "not in session %s", "without a session", "with a session", "sessions"}
	requestEntry = entry{Field{Key: "request", Label: "Request", Columns: []string{"request_id"}, Facet: true,
		Doc: "the request it happened in", Example: "request:req-7f3a"},
		"in request %s", "not in request %s", "without a request", "with a request", "requests"}
	moduleEntry = entry{Field{Key: "module", Label: "Module", Columns: []string{"module"}, Facet: true,
		Doc: "the part of the application", Example: "-module:auth"},
		"in %s", "outside %s", "without a module", "with a module", "modules"}
	agentEntry = entry{Field{Key: "agent", Label: "User agent", Class: ClassText, Columns: []string{"user_agent"},
		Doc: "text within the user agent", Example: "agent:curl"},
		"whose user agent contains %s", "whose user agent does not contain %s", "without a user agent", "with a user agent", ""}
)

// commonEntries end the list of every kind.
var commonEntries = []entry{
	{Field{Key: "after", Label: "After", Class: ClassTime, Columns: []string{"timestamp"},
		Doc: "when it happened: at the start of this time or later", Example: "after:2026-03-01"},
		"since %s", "before %s", "", "", "times"},
	{Field{Key: "before", Label: "Before", Class: ClassTime, Columns: []string{"timestamp"},
		Doc: "when it happened: before the start of this time", Example: "before:2026-04"},
		"before %s", "since %s", "", "", "times"},
	{Field{Key: "on", Label: "On", Class: ClassTime, Columns: []string{"timestamp"},
		Doc: "when it happened: within this year, month, day, hour or instant", Example: "on:2026-03-01"},
		"%s", "not %s", "", "", "times"},
	{Field{Key: "last", Label: "Last", Class: ClassTime, Columns: []string{"timestamp"},
		Doc: "when it happened: within the last minutes (m), hours (h), days (d, of 24 hours) or weeks (w)", Example: "last:30d"},
		"in %s", "not in %s", "", "", "times"},
	{Field{Key: "recorded", Label: "Recorded", Class: ClassTime, Columns: []string{"recorded_at"},
		Doc: "when it was recorded: at the start of this time or later", Example: "recorded:2026-03-01"},
		"recorded since %s", "recorded before %s", "", "", "times"},
	{Field{Key: "source", Label: "Source", Columns: []string{"source"}, Facet: true,
		Doc: "the token, importer or process it came through", Example: "source:import*"},
		"recorded through %s", "not recorded through %s", "without a source", "with a source", "sources"},
	{Field{Key: "id", Label: "Id", Class: ClassID, Columns: []string{"id"},
		Doc: "one event by its id", Example: "id:1817254911344640000"},
		"with the id %s", "without the id %s", "", "", "ids"},
}

func userEntry(is, not string, columns ...string) entry {
	e := entry{Field{Key: "user", Label: "User", Columns: columns, Facet: true,
		Doc: "who it was, by name or id", Example: "user:alice,bob"},
		is, not, "without a user", "with a user", "users"}
	if len(columns) == 1 {
		e.Doc = "the name that was typed"
	}
	return e
}

// tables is the one table of the language: parser, facets, sentences,
// completion, the help page and docs/query.md follow it.
var tables = []table{
	{audit.KindAuditLog, slices.Concat([]entry{
		userEntry("by %s", "not by %s", "username", "user_id"),
		{Field{Key: "action", Label: "Action", Columns: []string{"action"}, Facet: true,
			Doc: "what was done: CREATE, UPDATE, DELETE, VIEW, LOGIN or any other word", Example: "action:DELETE,UPDATE"},
			"only %s", "except %s", "without an action", "with an action", "actions"},
		{Field{Key: "type", Label: "Type", Columns: []string{"content_type"}, Facet: true,
			Doc: "the type of the object", Example: "type:shop.order"},
			"on %s", "not on %s", "without a type of object", "with a type of object", "types of object"},
		{Field{Key: "object", Label: "Object", Columns: []string{"object_id"}, Facet: true,
			Doc: "the id of the object", Example: "object:42"},
			"on object %s", "not on object %s", "without an object", "with an object", "objects"},
		moduleEntry,
		ipEntry,
		sessionEntry,
		requestEntry,
		{Field{Key: "repr", Label: "Object text", Class: ClassText, Columns: []string{"object_repr"},
			Doc: "text within the name of the object, as it was then", Example: `repr:"Order 42"`},
			"whose object’s name contains %s", "whose object’s name does not contain %s", "without a name of the object", "with a name of the object", ""},
		agentEntry,
		{Field{Key: "reason", Label: "Reason", Class: ClassText, Columns: []string{"reason"},
			Doc: "text within the reason that was given", Example: "reason:refund"},
			"whose reason contains %s", "whose reason does not contain %s", "without a reason", "with a reason", ""},
		{Field{Key: "field", Label: "Changed field", Class: ClassText, Columns: []string{"changes"},
			Doc: "text within the name of a changed field", Example: "field:total"},
			"with a change to a field named like %s", "without a change to a field named like %s", "without a changed field", "with a changed field", ""},
		{Field{Key: "old", Label: "Old value", Class: ClassText, Columns: []string{"changes"},
			Doc: "text within a value before the change", Example: "old:pending"},
			"with an old value like %s", "without an old value like %s", "without an old value", "with an old value", ""},
		{Field{Key: "new", Label: "New value", Class: ClassText, Columns: []string{"changes"},
			Doc: "text within a value after the change", Example: "new:refunded"},
			"with a new value like %s", "without a new value like %s", "without a new value", "with a new value", ""},
	}, commonEntries),
		[]string{"username", "user_id", "content_type", "object_id", "object_repr", "changes", "reason", "ip_address", "module", "user_agent"},
		[]string{
			`user:alice action:DELETE last:30d`,
			`action:UPDATE,DELETE -module:auth "gift card"`,
			`type:shop.order object:42`,
			`field:total new:0.00 on:2026-03`,
			`ip:10.0.0.0/8 after:2026-03-01 before:2026-04-01`,
		}},

	{audit.KindLoginAttempt, slices.Concat([]entry{
		userEntry("by %s", "not by %s", "username"),
		{Field{Key: "status", Label: "Status", Columns: []string{"status"}, Facet: true,
			Doc: "SUCCESS, FAILED or BLOCKED", Example: "status:FAILED,BLOCKED"},
			"only %s", "except %s", "without a status", "with a status", "statuses"},
		ipEntry,
		{Field{Key: "country", Label: "Country", Columns: []string{"country"}, Facet: true,
			Doc: "the country it came from", Example: "country:FR"},
			"in %s", "outside %s", "without a country", "with a country", "countries"},
		{Field{Key: "city", Label: "City", Columns: []string{"city"}, Facet: true,
			Doc: "the city it came from", Example: "city:Paris"},
			"in %s", "outside %s", "without a city", "with a city", "cities"},
		sessionEntry,
		requestEntry,
		agentEntry,
		{Field{Key: "reason", Label: "Reason", Class: ClassText, Columns: []string{"failure_reason"},
			Doc: "text within the reason of the failure", Example: "reason:password"},
			"whose reason contains %s", "whose reason does not contain %s", "without a reason", "with a reason", ""},
	}, commonEntries),
		[]string{"username", "ip_address", "failure_reason", "country", "city", "user_agent"},
		[]string{
			`status:FAILED,BLOCKED last:24h`,
			`user:root -ip:10.0.0.0/8`,
			`status:SUCCESS -country:FR,DE last:7d`,
			`reason:password agent:curl`,
		}},

	{audit.KindDataExport, slices.Concat([]entry{
		userEntry("by %s", "not by %s", "username", "user_id"),
		{Field{Key: "export", Label: "Export", Columns: []string{"export_type"}, Facet: true,
			Doc: "what was exported", Example: "export:orders"},
			"of %s", "not of %s", "of nothing named", "of something named", "types of data"},
		{Field{Key: "format", Label: "Format", Columns: []string{"file_format"}, Facet: true,
			Doc: "the format of the file", Example: "format:csv"},
			"only %s", "except %s", "without a format", "with a format", "formats"},
		ipEntry,
		{Field{Key: "rows", Label: "Rows", Class: ClassNumber, Columns: []string{"record_count"},
			Doc: "how many rows: 42, >1000, >=10, <5, <=5 or 10..20", Example: "rows:>1000"},
			"of %s", "not of %s", "without a number of rows", "with a number of rows", "numbers of rows"},
		{Field{Key: "size", Label: "Size", Class: ClassNumber, Columns: []string{"file_size"},
			Doc: "how many bytes, written like rows; with KB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB (1,024s)", Example: "size:>=1MB"},
			"of %s", "not of %s", "without a size", "with a size", "sizes"},
		sessionEntry,
		requestEntry,
	}, commonEntries),
		[]string{"username", "user_id", "export_type", "file_format", "filters_applied", "file_path", "ip_address"},
		[]string{
			`rows:>1000 last:30d`,
			`format:csv user:alice size:>=1MB`,
			`export:orders -ip:10.0.0.0/8`,
		}},

	{audit.KindSystemEvent, slices.Concat([]entry{
		{Field{Key: "event", Label: "Event", Columns: []string{"event_type"}, Facet: true,
			Doc: "ERROR, WARNING, INFO, SECURITY or PERFORMANCE", Example: "event:ERROR,WARNING"},
			"only %s", "except %s", "without a type", "with a type", "types of event"},
		{Field{Key: "is", Label: "State", Class: ClassState, Columns: []string{"resolved"}, Facet: true,
			Doc: "resolved or unresolved", Example: "is:unresolved"},
			"only %s", "except %s", "", "", "states"},
		moduleEntry,
		{Field{Key: "function", Label: "Function", Columns: []string{"function_name"}, Facet: true,
			Doc: "the function that reported it", Example: "function:reserve_stock"},
			"in function %s", "outside function %s", "without a function", "with a function", "functions"},
		{Field{Key: "code", Label: "Code", Columns: []string{"error_code"}, Facet: true,
			Doc: "the error code", Example: "code:40P01"},
			"with code %s", "without code %s", "without a code", "with a code", "codes"},
		userEntry("for %s", "not for %s", "username", "user_id"),
		ipEntry,
		sessionEntry,
		requestEntry,
		{Field{Key: "resolved-by", Label: "Resolved by", Columns: []string{"resolved_by"}, Facet: true,
			Doc: "who resolved it", Example: "resolved-by:ines"},
			"resolved by %s", "not resolved by %s", "resolved by nobody", "resolved by somebody", "people"},
		{Field{Key: "title", Label: "Title", Class: ClassText, Columns: []string{"title"},
			Doc: "text within the title", Example: "title:deadlock"},
			"whose title contains %s", "whose title does not contain %s", "without a title", "with a title", ""},
	}, commonEntries),
		[]string{"title", "description", "module", "function_name", "error_code", "stack_trace", "username", "user_id", "ip_address"},
		[]string{
			`is:unresolved event:ERROR`,
			`event:SECURITY last:7d`,
			`is:unresolved module:checkout title:deadlock`,
			`is:resolved resolved-by:ines on:2026-03`,
		}},
}

// freeEntry is free text. It is not in the tables: nobody types its key.
func freeEntry(kind audit.Kind) entry {
	return entry{Field{Label: "Text", Class: ClassFree, Columns: Searchable(kind),
		Doc: "text anywhere in the searchable fields", Example: `"gift card"`},
		"that mention %s", "that do not mention %s", "", "", ""}
}

// Fields returns the keys that a kind of event has, in the order in which they
// are documented, without free text. The caller must not change what it points
// to.
func Fields(kind audit.Kind) []Field {
	t := tableOf(kind)
	fields := make([]Field, len(t.entries))
	for i, e := range t.entries {
		fields[i] = e.Field
	}
	return fields
}

// Lookup returns the field of a key, and whether the kind has it.
func Lookup(kind audit.Kind, key string) (Field, bool) {
	e, ok := lookup(kind, key)
	return e.Field, ok
}

// Searchable returns the event's fields in which free text is looked for. Of
// changes it is the names of the fields and their values, old and new. The
// caller must not change the result.
func Searchable(kind audit.Kind) []string { return tableOf(kind).searchable }

func lookup(kind audit.Kind, key string) (entry, bool) {
	entries := tableOf(kind).entries
	for i := range entries {
		if entries[i].Key == key {
			return entries[i], true
		}
	}
	return entry{}, false
}

// tableOf panics for what is not a kind, as audit.Kind.Fields does.
func tableOf(kind audit.Kind) *table {
	for i := range tables {
		if tables[i].kind == kind {
			return &tables[i]
		}
	}
	panic("query: unknown kind " + string(kind))
}
