package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// database names the database that a command works on.
type database struct {
	DB string `name:"db" environment:"AUDITADMIN_DB" default:"audit.db" placeholder:"FILE" help:"The database: a file, or postgres://… for one on a server."`
	stateDir
}

// stateDir is where a server's database keeps what lies beside a file.
type stateDir struct {
	StateDir string `name:"state-dir" environment:"AUDITADMIN_STATE_DIR" placeholder:"DIR" help:"The folder for columns and keys of a database on a server; auditadmin in $$XDG_STATE_HOME or ~/.local/state if not given."`
}

// open opens the database. A command that would show an empty one has to find
// it; one that adds to it may create it.
func (d database) open(p *process, o db.Options) (*db.Store, error) {
	o.Schema, o.StateDir = auditadmin.Schema, d.StateDir
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

// counted is a number of events of a kind: "1 audit log".
func counted(n int64, kind audit.Kind) string {
	if n == 1 {
		return "1 " + kind.Singular()
	}
	return strconv.FormatInt(n, 10) + " " + kind.Plural()
}
