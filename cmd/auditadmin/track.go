package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	_ "github.com/mattn/go-sqlite3" // opens databases of applications

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/sqltrack"
	"github.com/auditadmin/auditadmin/internal/db"
)

// trackCommands are about the databases of applications.
type trackCommands struct {
	Tables trackTables `cmd:"" default:"withargs" help:"Record changes of an application's tables by triggers, or stop it."`
	Drain  trackDrain  `cmd:"" help:"Move what triggers have recorded into the audit database."`
}

type trackTables struct {
	DB     string   `name:"db" required:"" placeholder:"APPDB" help:"The application's database: a file of SQLite, or postgres://… with --dry-run."`
	All    bool     `help:"Track every table, also those that were added since."`
	Tables []string `placeholder:"TABLE,…" help:"Track these tables, and leave the others as they are."`
	Skip   []string `placeholder:"TABLE,…" help:"Do not track these; session_* is all that begin with session_."`
	Prefix string   `placeholder:"TEXT" help:"What the content type has before the table's name: shop. makes shop.orders."`
	DryRun bool     `help:"Print the SQL and change nothing."`
	Remove bool     `help:"Remove the triggers."`
}

// Run adds, renews or removes triggers, and says what became of each table.
func (c *trackTables) Run(p *process) error {
	if c.All == (len(c.Tables) > 0) {
		return usageError{errors.New("say --all or --tables, and not both: which tables is it about?")}
	}
	o := sqltrack.Options{Dialect: sqltrack.SQLite, Tables: c.Tables, Skip: c.Skip, Prefix: c.Prefix}
	if isPostgres(c.DB) {
		if !c.DryRun {
			return usageError{fmt.Errorf("this program has no driver of PostgreSQL, but psql has: auditadmin track --db %[1]s --all --dry-run | psql %[1]s", withoutPassword(c.DB))}
		}
		_, err := fmt.Fprint(p.stdout, sqltrack.Script(o, c.Remove))
		return err
	}
	app, err := openApp(p.ctx, c.DB)
	if err != nil {
		return err
	}
	defer app.Close()
	plan, err := c.plan(p.ctx, app, o)
	if err != nil {
		return err
	}
	if c.DryRun {
		for _, s := range plan.Statements {
			fmt.Fprintln(p.stdout, s+";")
		}
		return nil
	}
	t := newTable("TABLE", "STATE", "WHY")
	for _, table := range plan.Tables {
		t.row(table.Name, table.State, table.Reason)
	}
	return t.write(p.stdout)
}

func (c *trackTables) plan(ctx context.Context, app *sql.DB, o sqltrack.Options) (*sqltrack.Plan, error) {
	switch {
	case c.DryRun:
		return sqltrack.MakePlan(ctx, app, o, c.Remove)
	case c.Remove:
		return sqltrack.Remove(ctx, app, o)
	}
	return sqltrack.Apply(ctx, app, o)
}

type trackDrain struct {
	database
	App string `required:"" placeholder:"APPDB" help:"The application's database, a file of SQLite."`
}

// Run moves the events of an inbox. What is none stays there, and is counted.
func (c *trackDrain) Run(p *process) error {
	if isPostgres(c.App) {
		return usageError{errors.New("this program has no driver of PostgreSQL: let the application drain its own database, with audit.DrainEvery")}
	}
	app, err := openApp(p.ctx, c.App)
	if err != nil {
		return err
	}
	defer app.Close()
	return c.with(p, creating, func(store *db.Store) (err error) {
		recorder, err := audit.New(store, audit.Strict(), audit.Now(p.now))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, recorder.Close(p.ctx)) }()
		n, err := recorder.Drain(p.ctx, app)
		if err != nil {
			return err
		}
		if err := store.Index(p.ctx); err != nil {
			return err
		}
		stats := recorder.Stats()
		p.say("moved %d, skipped %d", n, stats.Skipped)
		if stats.Rejected > 0 {
			return fmt.Errorf("%d entries are no events and stay in %s, whose column problem says why", stats.Rejected, audit.InboxTable)
		}
		return nil
	})
}

// openApp opens an application's database, which has to be there and to be no
// audit database itself.
func openApp(ctx context.Context, path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the application's database: %w", err)
	}
	app, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_busy_timeout=5000")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	var id int64
	if err := app.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), app.Close())
	}
	if id == 0x61757469 { // "auti", see schema.sql
		return nil, errors.Join(usageError{fmt.Errorf("%s is an audit database itself; give the application's own", path)}, app.Close())
	}
	return app, nil
}

func isPostgres(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// withoutPassword is an address as it may stand in an error.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "postgres://…"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	return u.String()
}
