package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/internal/handlers"
	"github.com/auditadmin/auditadmin/internal/query"
)

type searchCommand struct {
	database
	kindFlag
	Format string   `default:"table" enum:"table,json,ndjson" placeholder:"FORMAT" help:"How to show them: ${enum}."`
	Limit  int      `default:"100" help:"How many at most."`
	TZ     zoneFlag `name:"tz" placeholder:"ZONE" help:"The zone of dates in the query and of times in the table; UTC if not given."`
	Query  string   `arg:"" optional:"" help:"The query, between quotes; everything if not given."`
}

// Run shows the newest events that match.
func (c *searchCommand) Run(p *process) error {
	if c.Limit < 1 {
		return usageError{fmt.Errorf("--limit %d: ask for 1 event at least; 'auditadmin export' writes all", c.Limit)}
	}
	f, err := query.Parse(c.kind(), c.Query, query.Options{Now: p.now(), Zone: c.TZ.Location})
	if err != nil {
		return err
	}
	return c.with(p, reading, func(store *db.Store) error {
		sel, err := store.Select(p.ctx, f)
		if err != nil {
			return err
		}
		list, err := c.newest(p, sel)
		if err != nil {
			return err
		}
		switch c.Format {
		case "ndjson":
			return c.lines(p, list)
		case "json":
			return c.json(p, sel, list)
		}
		return c.table(p, f, sel, list)
	})
}

// newest reads as many pages as the limit asks for, and returns them as one.
func (c *searchCommand) newest(p *process, sel *db.Selection) (*db.List, error) {
	list, err := sel.List(p.ctx, db.Page{Limit: c.Limit})
	if err != nil {
		return nil, err
	}
	for list.Next != 0 && len(list.Items) < c.Limit {
		more, err := sel.List(p.ctx, db.Page{After: list.Next, Limit: c.Limit - len(list.Items)})
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, more.Items...)
		list.Next, list.Partial, list.LookedTo = more.Next, more.Partial, more.LookedTo
	}
	return list, nil
}

func (c *searchCommand) lines(p *process, list *db.List) error {
	out := bufio.NewWriter(p.stdout)
	for _, s := range list.Items {
		out.Write(append(format.AppendStored(nil, s), '\n'))
	}
	return out.Flush()
}

// json writes what the list's page answers under .json.
func (c *searchCommand) json(p *process, sel *db.Selection, list *db.List) error {
	count, err := sel.Count(p.ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, asJSON(handlers.NewListJSON(list, count)))
	return err
}

// searchColumns are the fields of a kind that the table shows after the time.
var searchColumns = map[audit.Kind][]string{
	audit.KindAuditLog:     {"username", "action", "module", "object_repr", "changes", "ip_address"},
	audit.KindLoginAttempt: {"username", "status", "ip_address", "country", "city", "failure_reason"},
	audit.KindDataExport:   {"username", "export_type", "file_format", "record_count", "file_size", "ip_address"},
	audit.KindSystemEvent:  {"event_type", "resolved", "module", "username", "title"},
}

// table shows one line an event, as wide as the terminal, and how many there are.
func (c *searchCommand) table(p *process, f *query.Filter, sel *db.Selection, list *db.List) error {
	fields := searchColumns[c.kind()]
	headings := []string{"TIME"}
	for _, name := range fields {
		headings = append(headings, strings.ToUpper(strings.NewReplacer("_repr", "", "_", " ").Replace(name)))
	}
	t := newTable(append(headings, "ID")...)
	for _, s := range list.Items {
		row := []string{c.time(s.Time())}
		for _, name := range fields {
			row = append(row, cell(s.Event, name))
		}
		t.row(append(row, strconv.FormatInt(s.ID, 10))...)
	}
	t.fit, _ = terminal(p.stdout)
	if len(list.Items) > 0 {
		if err := t.write(p.stdout); err != nil {
			return err
		}
	}
	count, err := sel.Count(p.ctx)
	if err != nil {
		return err
	}
	total := strconv.FormatInt(count.Value, 10)
	if !count.Exact {
		total += " or more"
	}
	p.say("%d of %s: %s", len(list.Items), total, f.Sentence())
	return nil
}

func (c *searchCommand) time(t time.Time) string {
	if c.TZ.Location == nil {
		return t.Format("2006-01-02 15:04:05Z")
	}
	return t.In(c.TZ.Location).Format("2006-01-02 15:04:05-07:00")
}

// cell is the text of a field in a table.
func cell(e *audit.Event, field string) string {
	v := e.Get(field)
	switch field {
	case "username":
		if v == "" {
			v = e.Get("user_id")
		}
	case "changes":
		if v == "" {
			break
		}
		changes := audit.ParseChanges(v)
		names := make([]string, len(changes))
		for i, c := range changes {
			names[i] = c.Field
		}
		v = strings.Join(names, ",")
	case "resolved":
		if v != "true" {
			v = "open"
		} else {
			v = "resolved"
		}
	}
	if v == "" {
		return "-"
	}
	if short := []rune(v); len(short) > 60 {
		return string(short[:59]) + "…"
	}
	return v
}

// asJSON writes a value that cannot fail to be written.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
