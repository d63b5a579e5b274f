package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// database names the database that a command works on.
type database struct {
	DB string `name:"db" environment:"AUDITADMIN_DB" default:"audit.db" placeholder:"FILE" help:"The database, a file."`
}

// open opens the database. A command that would show an empty one has to find
// it; one that adds to it may create it.
func (d database) open(p *process, o db.Options) (*db.Store, error) {
	if strings.HasPrefix(d.DB, "postgres://") || strings.HasPrefix(d.DB, "postgresql://") {
		return nil, usageError{errors.New("--db names a PostgreSQL server, and this version stores in SQLite files alone; give the path of a file")}
	}
	o.Schema = auditadmin.Schema
	if o.Now == nil {
		o.Now = p.now
	}
	return db.Open(p.ctx, d.DB, o)
}

// with opens an existing database, hands it to a command, and closes it.
func (d database) with(p *process, o db.Options, do func(*db.Store) error) error {
	store, err := d.open(p, o)
	if err != nil {
		return err
	}
	err = do(store)
	if closed := store.Close(); err == nil {
		err = closed
	}
	return err
}

// Options of the commands: most need a database that is there, and some only
// read it.
var (
	reading  = db.Options{ReadOnly: true}
	existing = db.Options{MustExist: true}
	creating = db.Options{}
)

// record stores an event about what the command did, also after somebody
// interrupted it.
func (p *process) record(store *db.Store, e *audit.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 5*time.Second)
	defer cancel()
	if err := store.Record(ctx, db.CommandLine(p.user), e); err != nil {
		return fmt.Errorf("record what was done: %w", err)
	}
	return nil
}

// kindFlag chooses one of the four kinds.
type kindFlag struct {
	Kind string `default:"audit_log" enum:"audit_log,login_attempt,data_export,system_event" placeholder:"KIND" help:"The kind of event: ${enum}."`
}

func (k kindFlag) kind() audit.Kind { return audit.Kind(k.Kind) }
