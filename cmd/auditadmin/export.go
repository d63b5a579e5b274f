package main

import (
	"io"
	"strconv"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/internal/query"
)

type exportCommand struct {
	database
	kindFlag
	Format string   `required:"" enum:"csv,ndjson" placeholder:"FORMAT" help:"What to write: ${enum}."`
	TZ     zoneFlag `name:"tz" placeholder:"ZONE" help:"The zone of dates in the query; UTC if not given."`
	Query  string   `arg:"" optional:"" help:"The query, between quotes; everything if not given."`
}

// Run streams what matches to stdout, and records that as a data export.
func (c *exportCommand) Run(p *process) error {
	f, err := query.Parse(c.kind(), c.Query, query.Options{Now: p.now(), Zone: c.TZ.Location})
	if err != nil {
		return err
	}
	return c.with(p, existing, func(store *db.Store) error {
		sel, err := store.Select(p.ctx, f)
		if err != nil {
			return err
		}
		out := &meter{to: p.stdout}
		rows, err := format.Export(p.ctx, out, c.Format, sel)
		if recorded := c.record(p, store, f, rows, out.written, err); err == nil {
			err = recorded
		}
		if err == nil {
			p.say("exported %s: %s", counted(rows, c.kind()), f.Sentence())
		}
		return err
	})
}

// record leaves one data export, also of one that broke off.
func (c *exportCommand) record(p *process, store *db.Store, f *query.Filter, rows, bytes int64, failed error) error {
	e := audit.NewEvent(audit.KindDataExport)
	e.SetTime(p.now())
	e.Set("export_type", c.Kind)
	e.Set("file_format", c.Format)
	e.Set("record_count", strconv.FormatInt(rows, 10))
	e.Set("file_size", strconv.FormatInt(bytes, 10))
	e.Set("filters_applied", asJSON(map[string]any{"q": f.String(), "kind": c.Kind, "tz": f.Zone.String()}))
	e.Set("metadata", asJSON(map[string]any{"completed": failed == nil}))
	return p.record(store, e)
}

// meter counts the bytes that go through it.
type meter struct {
	to      io.Writer
	written int64
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.to.Write(b)
	m.written += int64(n)
	return n, err
}
