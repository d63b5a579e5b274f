package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/internal/query"
)

type purgeCommand struct {
	database
	kindFlag
	Before  string `required:"" placeholder:"DATE" help:"Take away what happened before this year, month, day or instant, in UTC."`
	Archive string `placeholder:"DIR" help:"A folder; the events are written there first, as NDJSON that 'import' reads, with proofs that 'prove check' checks."`
	Reason  string `default:"retention" placeholder:"TEXT" help:"Why; it stands in the trace."`
	DryRun  bool   `help:"Only count what would go and what would stay."`
}

// Run takes old events away for good, and leaves a trace that proves it.
func (c *purgeCommand) Run(p *process) error {
	before, err := c.before(p)
	if err != nil {
		return err
	}
	return c.with(p, existing, func(store *db.Store) error {
		job := db.PurgeJob{Kind: c.kind(), Before: before, Reason: c.Reason, DryRun: c.DryRun}
		var archive *format.Archive
		if c.Archive != "" {
			archive, err = format.NewArchive(c.Archive, c.kind(), before, p.now())
			if err != nil {
				return err
			}
			defer archive.Close()
			job.Archive, job.ArchiveName = archive.Write, archive.Name()
		}
		done := c.watch(p, &job)
		purged, err := store.Purge(p.ctx, db.CommandLine(p.user), job)
		done()
		p.say("%s", c.line(purged, before, job.ArchiveName))
		if archive != nil && purged.Events > 0 && !c.DryRun && !archive.Proven() {
			p.say("the archive has no proofs: the database gets a key to sign them with when it is served for the first time")
		}
		return err
	})
}

func (c *purgeCommand) before(p *process) (time.Time, error) {
	f, err := query.Parse(c.kind(), `before:"`+c.Before+`"`, query.Options{Now: p.now()})
	if err != nil || len(f.Terms) != 1 {
		return time.Time{}, usageError{fmt.Errorf("--before %s: give a year, a month, a day or an instant, such as 2025, 2025-06, 2025-06-30 or 2025-06-30T12:00:00Z", c.Before)}
	}
	before := time.UnixMicro(f.Terms[0].Values[0].Hi).UTC()
	if before.After(p.now()) {
		return time.Time{}, usageError{errors.New("--before " + c.Before + " is in the future; give a date that has passed")}
	}
	return before, nil
}

// watch shows on a terminal how many events are gone.
func (c *purgeCommand) watch(p *process, job *db.PurgeJob) (done func()) {
	if _, is := terminal(p.stderr); !is {
		return func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(p.stderr), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("purging"))
	job.Progress = func(d db.Purged) { _ = bar.Set64(d.Events) } // a bar that cannot be drawn is no reason to stop
	return func() { _ = bar.Finish() }
}

// line says what was done in one line.
func (c *purgeCommand) line(d db.Purged, before time.Time, archive string) string {
	verb := "purged"
	if c.DryRun {
		verb = "would purge"
	}
	text := fmt.Sprintf("%s %s before %s", verb, counted(d.Events, c.kind()), before.Format(time.RFC3339))
	if d.Events > 0 {
		text += fmt.Sprintf(" (%s to %s)", d.First.UTC().Format(time.DateOnly), d.Last.UTC().Format(time.DateOnly))
	}
	if d.Held > 0 {
		text += fmt.Sprintf(", kept %d under legal hold", d.Held)
	}
	if d.Traces > 0 {
		text += fmt.Sprintf(", kept %d that say what was deleted lately", d.Traces)
	}
	if archive != "" && d.Events > 0 && !c.DryRun {
		text += ", archived in " + archive
	}
	return text
}
