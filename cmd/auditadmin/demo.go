package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/demo"
	"github.com/auditadmin/auditadmin/internal/query"
)

// demoCommand takes no database from the environment: it would fill the one
// that people work with.
type demoCommand struct {
	address
	DB      string `name:"db" placeholder:"FILE" help:"Fill this new database and keep it; without it the database is thrown away at the end."`
	Events  int    `default:"20000" help:"How many events."`
	Seed    uint64 `default:"1" help:"The same number gives the same events again."`
	NoServe bool   `help:"Only fill the database; needs --db."`
}

// Run fills a database with invented events, prints how to sign in, and serves.
func (c *demoCommand) Run(p *process) error {
	if c.NoServe && c.DB == "" {
		return usageError{errors.New("--no-serve would throw away what it made; name a file with --db")}
	}
	if c.Events < 0 {
		return usageError{fmt.Errorf("--events %d: give a number that is not negative", c.Events)}
	}
	var place *place
	if !c.NoServe {
		var err error
		if place, err = c.listen(p.ctx); err != nil {
			return err
		}
		defer place.Close()
	}
	file := c.DB
	if file == "" {
		folder, err := os.MkdirTemp("", "auditadmin-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		defer os.RemoveAll(folder)
		file = filepath.Join(folder, "demo.db")
	}
	return database{file}.with(p, creating, func(store *db.Store) error {
		if err := c.fill(p, store); err != nil {
			return err
		}
		if c.NoServe {
			p.say("filled %s with %d events", file, c.Events)
			return nil
		}
		accounts, err := c.accounts(p, store)
		if err != nil {
			return err
		}
		return place.serve(p, store, func() {
			fmt.Fprintf(p.stdout, "\n  Open      %s\n%s\n  Stop it with Ctrl-C.\n\n", place.url(), accounts)
		})
	})
}

// fill stores the invented events in a database that has none.
func (c *demoCommand) fill(p *process, store *db.Store) error {
	for _, kind := range audit.Kinds() {
		f, err := query.Parse(kind, "", query.Options{Now: p.now()})
		if err != nil {
			return err
		}
		sel, err := store.Select(p.ctx, f)
		if err != nil {
			return err
		}
		list, err := sel.List(p.ctx, db.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(list.Items) > 0 {
			return fmt.Errorf("%s has %s already; the demo fills a new database only, choose another file with --db", store.Path(), kind.Plural())
		}
	}
	var bar *progressbar.ProgressBar
	if _, is := terminal(p.stderr); is {
		bar = progressbar.NewOptions64(int64(c.Events), progressbar.OptionSetWriter(p.stderr), progressbar.OptionShowCount(),
			progressbar.OptionSetDescription("inventing events"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		defer bar.Close()
	}
	const batch = 1000
	now := p.now()
	events := make([]*audit.Event, 0, batch)
	flush := func() error {
		if _, err := store.Append(p.ctx, events); err != nil {
			return fmt.Errorf("fill the database: %w", err)
		}
		if bar != nil {
			_ = bar.Add(len(events))
		}
		events = make([]*audit.Event, 0, batch)
		return nil
	}
	for e := range demo.Generate(c.Seed, c.Events, now) {
		e.Source = "demo"
		if err := e.Normalize(now); err != nil {
			return fmt.Errorf("fill the database: %w", err)
		}
		if events = append(events, e); len(events) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return store.Index(p.ctx)
}

// accounts makes one account of each role, with passwords nobody else knows, and
// returns the lines that say how to sign in.
func (c *demoCommand) accounts(p *process, store *db.Store) (lines string, err error) {
	passwords := authz.NewPasswords(nil)
	for _, a := range []struct {
		name string
		role db.Role
	}{{"demo", db.RoleSuperuser}, {"viewer", db.RoleViewer}} {
		password := strings.ToLower(rand.Text()[:16])
		hash, err := passwords.New(p.ctx, a.name, password)
		if err != nil {
			return "", err
		}
		if _, err := store.CreateAccount(p.ctx, db.CommandLine(p.user), a.name, a.role, hash); err != nil {
			return "", err
		}
		lines += fmt.Sprintf("  Sign in   %-8s %s   (%s)\n", a.name, password, a.role)
	}
	return lines, nil
}
