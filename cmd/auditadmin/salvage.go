package main

import (
	"fmt"
	"strconv"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

type salvageCommand struct {
	Damaged string `arg:"" placeholder:"DAMAGED" help:"The damaged database; it is only read. Nothing else may have it open."`
	New     string `arg:"" placeholder:"NEW" help:"The new database; one that is there is not overwritten."`
}

// Run keeps what can be read of a damaged database.
func (c *salvageCommand) Run(p *process) error {
	show, done := p.bar()
	var progress func(done, all int64)
	if show != nil {
		progress = func(done, all int64) { show("salvaging", done, all) }
	}
	got, err := db.Salvage(p.ctx, c.Damaged, c.New, db.Options{Schema: auditadmin.Schema, Now: p.now}, progress)
	done()
	if err != nil {
		return err
	}
	for _, l := range got.Lost {
		fmt.Fprintln(p.stdout, "lost: "+printable(oneLine(l.String())))
	}
	lost := int64(len(got.Lost)) + got.More
	e := audit.NewEvent(audit.KindAuditLog)
	e.SetTime(p.now())
	e.Set("action", "SALVAGE")
	e.Set("content_type", db.Self+".database")
	e.Set("object_repr", "what could be read of "+c.Damaged)
	e.Set("metadata", asJSON(map[string]any{"events": strconv.FormatInt(got.Events, 10), "entries": strconv.FormatInt(got.Entries, 10), "lost": strconv.FormatInt(lost, 10)}))
	if err := (database{DB: c.New}).with(p, existing, func(store *db.Store) error { return p.record(store, e) }); err != nil {
		return err
	}
	p.say("kept %d events whose evidence holds, and %d entries of the ledger, in %s", got.Events, got.Entries, c.New)
	if lost > 0 {
		return fmt.Errorf("%d rows were lost; 'auditadmin verify --db %s' says what their place in the ledger is", lost, quoted(c.New))
	}
	return nil
}
