package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	DB string `name:"db" placeholder:"FILE" help:"Fill this new database and keep it; without it the database is thrown away at the end."`
	stateDir
	Events  int    `default:"20000" help:"How many audit logs; login attempts, exports and system events come beside them."`
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
	clock, target := &pastClock{now: p.now}, database{DB: file, stateDir: c.stateDir}
	err := target.with(p, db.Options{Now: clock.read, Invented: true}, func(store *db.Store) error { return c.fill(p, store, clock) })
	if err != nil || c.NoServe {
		return err
	}
	// What comes from here on happens, and is recorded when it comes and for good:
	// the store is opened as any other one that is served.
	return target.with(p, db.Options{Served: true, MustExist: true}, func(store *db.Store) error {
		accounts, err := c.accounts(p, store)
		if err != nil {
			return err
		}
		return place.serve(p, store, func() {
			fmt.Fprintf(p.stdout, "\n  Open      %s\n%s\n  Stop it with Ctrl-C.\n\n", place.url(), accounts)
		})
	})
}

// pastClock shows the time until it is set to a moment of the past: what is
// invented was recorded when it happened, not when somebody tried the demo.
type pastClock struct {
	now  func() time.Time
	past atomic.Pointer[time.Time]
}

func (c *pastClock) read() time.Time {
	if t := c.past.Load(); t != nil {
		return *t
	}
	return c.now()
}

// fill stores the invented events in a database that has none.
func (c *demoCommand) fill(p *process, store *db.Store, clock *pastClock) error {
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
		bar = progressbar.NewOptions64(int64(c.Events), progressbar.OptionSetWriter(p.stderr), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetDescription("inventing audit logs"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		defer bar.Close()
	} else {
		p.say("inventing %d audit logs", c.Events)
	}
	defer clock.past.Store(nil)
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	batches := make(chan batch, 8) // the next ones are invented while one is stored
	go func() {
		defer close(batches)
		c.invent(ctx, p.now(), batches)
	}()
	others := 0
	for b := range batches {
		if b.err != nil {
			return fmt.Errorf("fill the database: %w", b.err)
		}
		recorded := b.events[len(b.events)-1].Time().Add(db.InventedDelay)
		clock.past.Store(&recorded)
		if _, err := store.Append(p.ctx, b.events); err != nil {
			return fmt.Errorf("fill the database: %w", err)
		}
		others += len(b.events) - b.audits
		if bar != nil {
			_ = bar.Add(b.audits)
		}
	}
	if err := p.ctx.Err(); err != nil {
		return fmt.Errorf("fill the database: %w", err)
	}
	p.say("filled %s with %d audit logs and %d other events", store.Path(), c.Events, others)
	return store.Index(p.ctx)
}

// batch is some invented events in the order of their time, how many of them
// are audit logs, or what went wrong.
type batch struct {
	events []*audit.Event
	audits int
	err    error
}

// invent sends the trail in batches until it ends or nobody wants more of it.
func (c *demoCommand) invent(ctx context.Context, now time.Time, batches chan<- batch) {
	var b batch
	flush := func() (wanted bool) {
		select {
		case batches <- b:
			b = batch{}
			return true
		case <-ctx.Done():
			return false
		}
	}
	for e := range demo.Generate(c.Seed, c.Events, now) {
		e.Source = "demo"
		if b.err = e.Normalize(now); b.err != nil {
			flush()
			return
		}
		b.events = append(b.events, e)
		if e.Kind == audit.KindAuditLog {
			b.audits++
		}
		if len(b.events) == 2000 && !flush() {
			return
		}
	}
	if len(b.events) > 0 {
		flush()
	}
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
