package main

import (
	"github.com/auditadmin/auditadmin/internal/db"
)

type dbDistributeCommand struct {
	database
	Shards int `default:"8" placeholder:"N" help:"Into how many shards each table is distributed: 8 for two to four workers, 16 for up to eight."`
}

// Run distributes what is not distributed yet, and says what is left to do.
func (c *dbDistributeCommand) Run(p *process) error {
	done, err := db.Distribute(p.ctx, c.DB, c.Shards)
	for _, table := range done {
		p.say("distributed %s by id into %d shards", table, c.Shards)
	}
	if err != nil {
		return err
	}
	if len(done) == 0 {
		p.say("all tables of events are distributed already")
		return nil
	}
	p.say("the other tables stay on the coordinator: set citus.max_cached_conns_per_worker = %d there, let every auditadmin connect to it, and start anew each that was at work", c.Shards)
	return nil
}
