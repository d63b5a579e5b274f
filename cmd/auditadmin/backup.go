package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

type backupCommand struct {
	database
	File string `arg:"" placeholder:"FILE" help:"The new file; one that is there is not overwritten."`
}

// Run copies the database while it is in use, and checks the copy.
func (c *backupCommand) Run(p *process) error {
	return c.with(p, existing, func(store *db.Store) error {
		began := p.now()
		progress, done := p.bar()
		b, err := store.Backup(p.ctx, db.CommandLine(p.user), c.File, progress)
		done()
		if err != nil {
			return err
		}
		p.say("backed up to %s: %d entries, %d bytes, read again and verified in %v", c.File, b.Entries, b.Size, p.now().Sub(began).Round(10*time.Millisecond))
		for _, file := range []struct{ path, use string }{
			{db.KeyPath(store.Beside()), "signs checkpoints"},
			{authz.SealPath(store.Beside()), "opens second factors"},
		} {
			if _, err := os.Stat(file.path); err == nil {
				p.say("not in the copy: %s, which %s; keep a copy of it somewhere else than the backups", file.path, file.use)
			}
		}
		if !b.Verdict.Holds() {
			n := int64(len(b.Verdict.Problems)) + b.Verdict.More
			return fmt.Errorf("the copy is exact, but the evidence does not hold in %d %s, neither here nor there; look with 'auditadmin verify'",
				n, map[bool]string{true: "place", false: "places"}[n == 1])
		}
		return nil
	})
}

// bar shows how far work in several parts has come, on a terminal alone. done
// takes it away.
func (p *process) bar() (progress func(what string, done, all int64), done func()) {
	width, is := terminal(p.stderr)
	if !is {
		return nil, func() {}
	}
	var bar *progressbar.ProgressBar
	current := ""
	finish := func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}
	return func(what string, done, all int64) {
		if what != current {
			finish()
			current = what
			bar = progressbar.NewOptions64(all, progressbar.OptionSetWriter(p.stderr), progressbar.OptionSetWidth(min(40, width/3)),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription(what))
		}
		_ = bar.Set64(done) // a bar that cannot be drawn is no reason to stop
	}, finish
}
