package format

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// djangoTable is a table that some library of Django writes, and how its rows
// become events. Where several libraries recorded the same change, each record
// is an event: source tells them apart ("import:django:auditlog_logentry").
type djangoTable struct {
	name string
	read func(ctx context.Context, d *djangoEntry) error
}

// djangoTables is the one table of tables.
var djangoTables = []djangoTable{
	{"audit_auditlog", audited(audit.KindAuditLog)},
	{"audit_loginattempt", audited(audit.KindLoginAttempt)},
	{"audit_dataexport", audited(audit.KindDataExport)},
	{"audit_systemevent", audited(audit.KindSystemEvent)},
	{"auditlog_logentry", auditlogEntry},
	{"easyaudit_crudevent", easyauditChange},
	{"easyaudit_loginevent", easyauditLogin},
	{"easyaudit_requestevent", easyauditRequest},
	{"django_admin_log", adminEntry},
	{"axes_accesslog", axesLogin},
	{"axes_accessfailurelog", axesFailure},
	{"axes_accessattempt", axesAttempts},
	{"wagtailcore_modellogentry", wagtailEntry},
	{"wagtailcore_pagelogentry", wagtailEntry},
}

// djangoEntry is one row on its way to events.
type djangoEntry struct {
	site    *site
	table   *djangoTable
	row     row
	events  []*audit.Event
	ignored string
}

// event starts an event of the row, at the time in a column.
func (d *djangoEntry) event(kind audit.Kind, timeColumn string) (*audit.Event, error) {
	at, err := djangoTime(d.row.text(timeColumn))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", timeColumn, err)
	}
	e := audit.NewEvent(kind)
	e.Set("timestamp", at)
	d.events = append(d.events, e)
	return e, nil
}

// actor sets who acted, by his key.
func (d *djangoEntry) actor(ctx context.Context, e *audit.Event, id string) error {
	name, err := d.site.user(ctx, id)
	if err != nil {
		return err
	}
	e.Set("user_id", id)
	e.Set("username", name)
	return nil
}

// object sets what was acted upon. The module is the label of its app.
func (d *djangoEntry) object(e *audit.Event, contentTypeID, id, repr string) {
	app, _, _ := strings.Cut(d.table.name, "_")
	e.Set("module", app)
	if t, ok := d.site.types[contentTypeID]; ok {
		e.Set("content_type", t.app+"."+t.model)
		e.Set("module", t.app)
	} else if contentTypeID != "" {
		e.Set("content_type", "content type "+contentTypeID) // its model is gone
	}
	e.Set("object_id", id)
	e.Set("object_repr", repr)
}

// changes sets the changes, and keeps in the metadata what cannot be read as
// such, so that it is not lost.
func (d *djangoEntry) changes(e *audit.Event, meta *jsonObject, text string) {
	changes := djangoChanges(text)
	e.Set("changes", changes)
	if changes == "" && text != "" && text != "{}" && text != "null" {
		meta.raw("changes", jsonOrText(text))
	}
}

// djangoTime reads a time as Django writes it to SQLite: UTC without saying so,
// or with an offset.
func djangoTime(text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("there is no time")
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999",
		"2006-01-02 15:04:05.999999999Z07:00", time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return audit.FormatTime(t), nil
		}
	}
	return "", fmt.Errorf("%q is no time as Django writes it", shorten(text, 40))
}

// audited reads the tables of the Django Audit Library, whose columns have
// nearly the names of our fields. A column that is not known goes to the
// metadata.
func audited(kind audit.Kind) func(context.Context, *djangoEntry) error {
	renamed := map[string]string{
		"created_at": "timestamp", "additional_data": "metadata", "extra_data": "metadata",
		"resolved_by_id": "resolved_by", "resolution_notes": "resolution_note", "filters": "filters_applied",
	}
	return func(ctx context.Context, d *djangoEntry) error {
		timeColumn := "timestamp"
		if !d.row.has(timeColumn) {
			timeColumn = "created_at"
		}
		e, err := d.event(kind, timeColumn)
		if err != nil {
			return err
		}
		if err := d.actorOf(ctx, e); err != nil {
			return err
		}
		var more jsonObject
		for _, c := range d.row {
			field := c.name
			if other, ok := renamed[c.name]; ok && !d.row.has(other) {
				field = other
			}
			switch value := c.text; {
			case c.null || value == "" || c.name == timeColumn || c.name == "id" || c.name == "user_id":
			case field == "content_type_id":
			case field == "resolved_by":
				name, err := d.site.user(ctx, value)
				if err != nil {
					return err
				}
				if name == "" {
					name = value
				}
				e.Set(field, name)
			case field == "resolved_at":
				at, err := djangoTime(value)
				if err != nil {
					return fmt.Errorf("%s: %w", field, err)
				}
				e.Set(field, at)
			case field == "changes":
				d.changes(e, &more, value)
			case field == "action":
				e.Set(field, word(value))
			case !e.Has(field):
				more.raw(field, jsonOrText(value))
			case field == "metadata" || field == "filters_applied":
				e.Set(field, jsonOrText(value))
			default:
				e.Set(field, value)
			}
		}
		if kind == audit.KindAuditLog {
			d.object(e, d.row.text("content_type_id"), e.Get("object_id"), e.Get("object_repr"))
			if module := d.row.text("module"); module != "" {
				e.Set("module", module)
			}
		}
		mergeMetadata(e, more)
		return nil
	}
}

// actorOf sets the user of kinds that have one.
func (d *djangoEntry) actorOf(ctx context.Context, e *audit.Event) error {
	if !e.Has("user_id") {
		return nil
	}
	return d.actor(ctx, e, d.row.text("user_id"))
}

// auditlogEntry reads django-auditlog.
func auditlogEntry(ctx context.Context, d *djangoEntry) error {
	e, err := d.event(audit.KindAuditLog, "timestamp")
	if err != nil {
		return err
	}
	actions := map[string]string{"0": "CREATE", "1": "UPDATE", "2": "DELETE", "3": "VIEW"}
	action, ok := actions[d.row.text("action")]
	if !ok {
		return fmt.Errorf("action %q is not one of django-auditlog", d.row.text("action"))
	}
	e.Set("action", action)
	if err := d.actor(ctx, e, d.row.text("actor_id")); err != nil {
		return err
	}
	if e.Get("username") == "" {
		e.Set("username", d.row.text("actor_email"))
	}
	d.object(e, d.row.text("content_type_id"), d.row.text("object_pk", "object_id"), d.row.text("object_repr"))
	e.Set("ip_address", d.row.text("remote_addr"))
	e.Set("request_id", d.row.text("cid"))
	var meta jsonObject
	d.changes(e, &meta, d.row.text("changes", "changes_text"))
	for _, name := range []string{"remote_port", "actor_email"} {
		meta.str(name, d.row.text(name))
	}
	for _, name := range []string{"additional_data", "serialized_data"} {
		if value := d.row.text(name); value != "" && value != "null" {
			meta.raw(name, jsonOrText(value))
		}
	}
	e.Set("metadata", meta.String())
	return nil
}

// easyauditChange reads the changes of django-easy-audit. A creation and a
// deletion come with a snapshot only, which then is what was set or lost.
func easyauditChange(ctx context.Context, d *djangoEntry) error {
	e, err := d.event(audit.KindAuditLog, "datetime")
	if err != nil {
		return err
	}
	types := map[string][2]string{
		"1": {"CREATE", ""}, "2": {"UPDATE", ""}, "3": {"DELETE", ""},
		"4": {"UPDATE", "m2m_change"}, "5": {"UPDATE", "m2m_change_rev"}, "6": {"UPDATE", "m2m_add"}, "7": {"UPDATE", "m2m_add_rev"},
		"8": {"UPDATE", "m2m_remove"}, "9": {"UPDATE", "m2m_remove_rev"}, "10": {"UPDATE", "m2m_clear"}, "11": {"UPDATE", "m2m_clear_rev"},
	}
	kind, ok := types[d.row.text("event_type")]
	if !ok {
		return fmt.Errorf("event_type %q is not one of django-easy-audit", d.row.text("event_type"))
	}
	e.Set("action", kind[0])
	if err := d.actor(ctx, e, d.row.text("user_id", "user_pk_as_string")); err != nil {
		return err
	}
	d.object(e, d.row.text("content_type_id"), d.row.text("object_id"), d.row.text("object_repr"))
	snapshot := snapshotFields(d.row.text("object_json_repr"))
	var meta jsonObject
	d.changes(e, &meta, d.row.text("changed_fields"))
	if e.Get("changes") == "" && kind[1] == "" && kind[0] != "UPDATE" {
		e.Set("changes", wholeChange(snapshot, kind[0] == "DELETE"))
		snapshot = ""
	}
	meta.str("relation", kind[1])
	meta.raw("snapshot", snapshot)
	e.Set("metadata", meta.String())
	return nil
}

// easyauditLogin reads the sign-ins of django-easy-audit.
func easyauditLogin(ctx context.Context, d *djangoEntry) error {
	kind := d.row.text("login_type")
	if kind == "1" {
		e, err := d.event(audit.KindAuditLog, "datetime")
		if err != nil {
			return err
		}
		e.Set("action", "LOGOUT")
		e.Set("module", "easyaudit")
		e.Set("user_id", d.row.text("user_id"))
		e.Set("username", d.row.text("username"))
		e.Set("ip_address", d.row.text("remote_ip"))
		return nil
	}
	status, ok := map[string]string{"0": "SUCCESS", "2": "FAILED"}[kind]
	if !ok {
		return fmt.Errorf("login_type %q is not one of django-easy-audit", kind)
	}
	e, err := d.event(audit.KindLoginAttempt, "datetime")
	if err != nil {
		return err
	}
	e.Set("status", status)
	e.Set("username", d.row.text("username"))
	e.Set("ip_address", d.row.text("remote_ip"))
	var meta jsonObject
	meta.str("user_id", d.row.text("user_id"))
	e.Set("metadata", meta.String())
	return nil
}

// easyauditRequest reads the requests of django-easy-audit: pages that somebody
// looked at, so VIEW, or REQUEST where the method may have changed something.
func easyauditRequest(ctx context.Context, d *djangoEntry) error {
	e, err := d.event(audit.KindAuditLog, "datetime")
	if err != nil {
		return err
	}
	method := d.row.text("method")
	e.Set("action", "REQUEST")
	if method == "GET" || method == "HEAD" || method == "OPTIONS" {
		e.Set("action", "VIEW")
	}
	if err := d.actorOf(ctx, e); err != nil {
		return err
	}
	address := d.row.text("url")
	if query := d.row.text("query_string"); query != "" {
		address += "?" + query
	}
	e.Set("module", "easyaudit")
	e.Set("object_repr", shorten(strings.TrimSpace(method+" "+address), 200))
	e.Set("ip_address", d.row.text("remote_ip"))
	var meta jsonObject
	meta.str("method", method)
	meta.str("url", d.row.text("url"))
	meta.str("query_string", d.row.text("query_string"))
	e.Set("metadata", meta.String())
	return nil
}

// adminEntry reads the log of Django's own admin. It names fields and not their
// values, so there are no changes: the reason says what was changed.
func adminEntry(ctx context.Context, d *djangoEntry) error {
	e, err := d.event(audit.KindAuditLog, "action_time")
	if err != nil {
		return err
	}
	action, ok := map[string]string{"1": "CREATE", "2": "UPDATE", "3": "DELETE"}[d.row.text("action_flag")]
	if !ok {
		return fmt.Errorf("action_flag %q is not one of the admin", d.row.text("action_flag"))
	}
	e.Set("action", action)
	if err := d.actorOf(ctx, e); err != nil {
		return err
	}
	d.object(e, d.row.text("content_type_id"), d.row.text("object_id"), d.row.text("object_repr"))
	message := d.row.text("change_message")
	said, fields := adminMessage(message)
	e.Set("reason", said)
	var meta jsonObject
	meta.raw("changed_fields", fields)
	if said != message {
		meta.raw("change_message", jsonOrText(message))
	}
	e.Set("metadata", meta.String())
	return nil
}

// axesLogin reads the sign-ins, and sign-outs, that django-axes let pass.
func axesLogin(ctx context.Context, d *djangoEntry) error {
	if err := axesEvent(d, "SUCCESS", ""); err != nil {
		return err
	}
	if d.row.text("logout_time") == "" {
		return nil
	}
	e, err := d.event(audit.KindAuditLog, "logout_time")
	if err != nil {
		return err
	}
	e.Set("action", "LOGOUT")
	e.Set("module", "axes")
	for _, field := range []string{"username", "ip_address", "user_agent"} {
		e.Set(field, d.row.text(field))
	}
	return nil
}

// axesFailure reads the sign-ins that django-axes saw fail.
func axesFailure(ctx context.Context, d *djangoEntry) error {
	if d.row.text("locked_out") == "1" {
		return axesEvent(d, "BLOCKED", "locked out after too many failures")
	}
	return axesEvent(d, "FAILED", "")
}

// axesAttempts reads the counters by which django-axes locks out. Where it also
// kept each failure, they say nothing new.
func axesAttempts(ctx context.Context, d *djangoEntry) error {
	if d.site.tables["axes_accessfailurelog"] {
		d.ignored = "counts failures that axes_accessfailurelog has one by one"
		return nil
	}
	return axesEvent(d, "FAILED", "")
}

func axesEvent(d *djangoEntry, status, reason string) error {
	e, err := d.event(audit.KindLoginAttempt, "attempt_time")
	if err != nil {
		return err
	}
	e.Set("status", status)
	e.Set("failure_reason", reason)
	for _, field := range []string{"username", "ip_address", "user_agent"} {
		e.Set(field, d.row.text(field))
	}
	e.Set("session_key", d.row.text("session_hash"))
	var meta jsonObject
	meta.str("path", d.row.text("path_info"))
	meta.raw("failures_since_start", d.row.text("failures_since_start"))
	for _, name := range []string{"get_data", "post_data"} {
		meta.raw(name, formFields(strings.Trim(d.row.text(name), "\n-")))
	}
	e.Set("metadata", meta.String())
	return nil
}

// wagtailEntry reads the logs of Wagtail, for pages and for other models.
func wagtailEntry(ctx context.Context, d *djangoEntry) error {
	e, err := d.event(audit.KindAuditLog, "timestamp")
	if err != nil {
		return err
	}
	action := d.row.text("action") // "wagtail.publish.schedule"
	switch verb := strings.TrimPrefix(action, "wagtail."); verb {
	case "edit":
		e.Set("action", "UPDATE")
	default:
		e.Set("action", word(verb)) // create and delete are known as they are
	}
	if err := d.actorOf(ctx, e); err != nil {
		return err
	}
	d.object(e, d.row.text("content_type_id"), d.row.text("object_id", "page_id"), d.row.text("label"))
	e.Set("request_id", d.row.text("uuid")) // shared by the entries of one request
	var meta jsonObject
	meta.str("action", action)
	meta.str("revision_id", d.row.text("revision_id"))
	if data := d.row.text("data", "data_json"); data != "{}" {
		meta.raw("data", jsonOrText(data))
	}
	e.Set("metadata", meta.String())
	return nil
}
