package handlers

import (
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// view is how pages show one kind of event. The rest of the pages is the same
// for all four.
type view struct {
	kind    audit.Kind
	example string // of a query, in the empty search box
	columns []column
	facts   []fact // beside the event, in their order
	details []detail
}

// column is one column of a table of events.
type column struct {
	templates.Column
	cell func(t *table, st *db.Stored) templates.Cell
}

// views is the one table of how the kinds look.
var views = []view{
	{
		kind:    audit.KindAuditLog,
		example: `user:alice action:DELETE last:7d "gift card"`,
		columns: []column{whoColumn, actionColumn("Action", "action", "action"), whatColumn, objectColumn,
			filterColumn("Module", "module", "module", true), optional(addressColumn)},
		facts:   []fact{whoFact, whenFact, whereFact, moduleFact, objectFact, requestFact, sessionFact, recordFact},
		details: []detail{metadataDetail},
	},
	{
		kind:    audit.KindLoginAttempt,
		example: "status:FAILED ip:203.0.113.0/24 last:24h",
		columns: []column{whoColumn, actionColumn("Status", "status", "status"), whatColumn, addressColumn, placeColumn, agentColumn},
		facts:   []fact{whoFact, whenFact, whereFact, requestFact, sessionFact, recordFact},
		details: []detail{metadataDetail},
	},
	{
		kind:    audit.KindDataExport,
		example: "user:alice rows:>1000 last:30d",
		columns: []column{whoColumn, whatColumn, filterColumn("Format", "file_format", "format", false),
			rowsColumn, sizeColumn, optional(addressColumn)},
		facts:   []fact{whoFact, whenFact, whereFact, fileFact, requestFact, sessionFact, recordFact},
		details: []detail{filtersDetail, metadataDetail},
	},
	{
		kind:    audit.KindSystemEvent,
		example: "event:ERROR is:unresolved module:checkout",
		columns: []column{actionColumn("Type", "event_type", "event"), whatColumn, filterColumn("Module", "module", "module", true),
			stateColumn, whoColumn},
		facts:   []fact{whoFact, whenFact, whereFact, codeFact, requestFact, sessionFact, recordFact},
		details: []detail{metadataDetail},
	},
}

// viewOf returns how a kind looks.
func viewOf(kind audit.Kind) *view {
	for i := range views {
		if views[i].kind == kind {
			return &views[i]
		}
	}
	panic("handlers: no view of " + string(kind))
}

// title is the name of the kind above its list: "Audit logs".
func (w *view) title() string { return sentenceCase(w.kind.Plural()) }

var (
	whoColumn = column{templates.Column{Label: "Who", Role: templates.RoleWho}, func(t *table, st *db.Stored) templates.Cell {
		name := who(st.Event)
		if name == "" {
			return templates.Cell{}
		}
		return templates.Cell{Spans: t.said(name), Href: t.user(name)}
	}}
	whatColumn = column{templates.Column{Label: "What happened", Role: templates.RoleWhat}, func(t *table, st *db.Stored) templates.Cell {
		return templates.Cell{Spans: t.keep(t.what(t.room(), st.Event, false))}
	}}
	objectColumn = column{templates.Column{Label: "Object", Role: templates.RoleObject}, func(t *table, st *db.Stored) templates.Cell {
		name := objectName(st.Event)
		if name == "" {
			return templates.Cell{}
		}
		c := templates.Cell{Spans: t.said(name), Hint: st.Get("content_type"), Href: objectPath(t.visit, st.Event)}
		if st.Get("object_repr") == "" || t.filter.Has("type", st.Get("content_type"), false) {
			c.Hint = ""
		}
		return c
	}}
	addressColumn = column{templates.Column{Label: "Address", Role: templates.RoleAddress}, func(t *table, st *db.Stored) templates.Cell {
		return t.filtered(st, "ip_address", "ip")
	}}
	placeColumn = column{templates.Column{Label: "Place", Role: templates.RolePlain, Optional: true}, func(t *table, st *db.Stored) templates.Cell {
		c := t.filtered(st, "country", "country")
		if city := st.Get("city"); city != "" {
			if len(c.Spans) == 0 {
				return t.filtered(st, "city", "city")
			}
			c.Hint = cut(city, nameLimit)
		}
		return c
	}}
	agentColumn = column{templates.Column{Label: "With", Role: templates.RolePlain, Optional: true}, func(t *table, st *db.Stored) templates.Cell {
		agent := st.Get("user_agent")
		name := agentName(agent)
		if name == "" {
			name = cut(agent, 32)
		}
		if name == "" {
			return templates.Cell{}
		}
		return templates.Cell{Spans: t.said(name), Title: cut(agent, 400)}
	}}
	rowsColumn = column{templates.Column{Label: "Rows", Role: templates.RoleNumber}, func(t *table, st *db.Stored) templates.Cell {
		n, err := strconv.ParseInt(st.Get("record_count"), 10, 64)
		if err != nil {
			return templates.Cell{}
		}
		return templates.Cell{Spans: []templates.Span{plain(number(n))}}
	}}
	sizeColumn = column{templates.Column{Label: "Size", Role: templates.RoleNumber}, func(t *table, st *db.Stored) templates.Cell {
		n, err := strconv.ParseInt(st.Get("file_size"), 10, 64)
		if err != nil {
			return templates.Cell{}
		}
		return templates.Cell{Spans: []templates.Span{plain(size(n))}, Title: plural(n, "byte")}
	}}
	stateColumn = column{templates.Column{Label: "State", Role: templates.RolePlain}, func(t *table, st *db.Stored) templates.Cell {
		if st.Get("resolved") == "true" {
			c := templates.Cell{Badge: &templates.Badge{Text: "resolved", Tone: templates.Sure, Icon: templates.IconTick}, Href: t.toggle("is", "resolved")}
			if by := st.Get("resolved_by"); by != "" {
				c.Hint = "by " + cut(by, nameLimit)
			}
			return c
		}
		return templates.Cell{Spans: []templates.Span{plain("open")}, Href: t.toggle("is", "unresolved")}
	}}
)

// optional leaves a column out where the page is narrow.
func optional(c column) column {
	c.Optional = true
	return c
}

// actionColumn is the column of a badge that filters by its value.
func actionColumn(label, field, key string) column {
	return column{templates.Column{Label: label, Role: templates.RoleBadge}, func(t *table, st *db.Stored) templates.Cell {
		return templates.Cell{Badge: badge(st.Event), Href: t.toggle(key, st.Get(field))}
	}}
}

// filterColumn is the column of a value that filters by itself.
func filterColumn(label, field, key string, optional bool) column {
	return column{templates.Column{Label: label, Role: templates.RolePlain, Optional: optional}, func(t *table, st *db.Stored) templates.Cell {
		return t.filtered(st, field, key)
	}}
}

// filtered is a cell whose value leads to the list filtered by it.
func (t *table) filtered(st *db.Stored, field, key string) templates.Cell {
	value := st.Get(field)
	if value == "" {
		return templates.Cell{}
	}
	return templates.Cell{Spans: t.said(value), Href: t.toggle(key, value)}
}

// userPath is the page of a user.
func userPath(v *visit, name string) string {
	return address("/users", "name", name, "tz", v.params.Get("tz"))
}

// objectPath is the page of the object an event is about, and "" where it is
// about none.
func objectPath(v *visit, e *audit.Event) string {
	if e.Get("content_type") == "" || e.Get("object_id") == "" {
		return ""
	}
	return address("/objects", "type", e.Get("content_type"), "id", e.Get("object_id"), "tz", v.params.Get("tz"))
}

// kindOf is the kind whose pages a path, or an address, belongs to.
func kindOf(path string) (audit.Kind, bool) {
	name := strings.TrimPrefix(path, "/")
	if end := strings.IndexAny(name, "/.?"); end >= 0 {
		name = name[:end]
	}
	for _, kind := range audit.Kinds() {
		if kind.Path() == name {
			return kind, true
		}
	}
	return "", false
}
