package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
)

// badShown is how many bad lines are named; more would hide the first ones.
const badShown = 20

type importCommand struct {
	database
	Format       string   `required:"" enum:"${formats}" placeholder:"FORMAT" help:"The form of the files: ${enum}."`
	Year         int      `placeholder:"YYYY" help:"sshd: the year of the first line, where times have none. If not given, the last line is not later than the file."`
	HostTimezone zoneFlag `placeholder:"ZONE" help:"sshd: the zone of times that name none, such as Europe/Paris; UTC if not given."`
	NoMask       bool     `help:"Keep passwords, keys and other secrets in the events as they are."`
	Files        []string `arg:"" name:"file" help:"The files, gzip or not; - is stdin."`
}

// Run imports files. Lines that are no events are named, counted and skipped.
func (c *importCommand) Run(p *process) error {
	f, err := c.form()
	if err != nil {
		return usageError{err}
	}
	// First of all: a mistyped name is no reason to make a database.
	if err := format.CheckInputs(c.Files, p.stdin); err != nil {
		return err
	}
	return c.with(p, creating, func(store *db.Store) error {
		o, err := c.options(p, store)
		if err != nil {
			return err
		}
		done := c.watch(p, &o)
		sum, err := format.Import(p.ctx, f, c.Files, o, store)
		bad := done()
		if err == nil {
			err = store.Index(p.ctx)
		}
		if recorded := c.record(p, store, sum, err); err == nil {
			err = recorded
		}
		for _, reason := range slices.Sorted(maps.Keys(sum.Reasons)) {
			p.say("ignored %d: %s", sum.Reasons[reason], reason)
		}
		p.say("%s", line(sum))
		switch {
		case err == nil && bad > 0 && sum.Skipped == sum.Read:
			err = fmt.Errorf("all %d were skipped because they are no events of --format %s; name the format that the files have: %s", sum.Read, c.Format, strings.Join(format.Readable(), ", "))
		case err == nil && bad > 0:
			err = fmt.Errorf("%d of %d were skipped because they are no events; the others are stored", sum.Skipped, sum.Read)
		}
		return err
	})
}

// form finds the format, and refuses options that it does not have.
func (c *importCommand) form() (*format.Format, error) {
	f, ok := format.Lookup(c.Format)
	if !ok {
		return nil, fmt.Errorf("--format %s: there is no such format", c.Format)
	}
	given := map[string]bool{"year": c.Year != 0, "host-timezone": c.HostTimezone.Location != nil}
	for _, option := range []string{"year", "host-timezone"} {
		if given[option] && !slices.Contains(f.Options, option) {
			return nil, fmt.Errorf("--%s means nothing for --format %s, whose times are complete", option, c.Format)
		}
	}
	return f, nil
}

func (c *importCommand) options(p *process, store *db.Store) (format.ImportOptions, error) {
	o := format.ImportOptions{
		Options: format.Options{Year: c.Year, Zone: c.HostTimezone.Location, Now: p.now},
		Stdin:   p.stdin,
	}
	if c.NoMask {
		return o, nil
	}
	key, err := store.MaskKey(p.ctx)
	if err != nil {
		return o, err
	}
	masker := audit.NewMasker(key)
	o.Mask = func(e *audit.Event) { masker.Mask(e) }
	return o, nil
}

// watch shows what goes on: a bar on a terminal, and the first bad lines. The
// function it returns ends that and counts the bad lines.
func (c *importCommand) watch(p *process, o *format.ImportOptions) (done func() int) {
	var mu sync.Mutex
	var bad int
	var bar *progressbar.ProgressBar
	if width, is := terminal(p.stderr); is {
		bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(p.stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionSetWidth(min(40, width/3)), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("importing"))
		o.Progress = func(done, total int64) {
			if total > 0 && bar.GetMax64() != total {
				bar.ChangeMax64(total)
			}
			_ = bar.Set64(done) // a bar that cannot be drawn is no reason to stop
		}
	}
	o.Bad = func(e *format.LineError) {
		mu.Lock()
		defer mu.Unlock()
		if bad++; bad <= badShown {
			if bar != nil {
				_ = bar.Clear()
			}
			p.say("%s", printable(oneLine(e.Error())))
		}
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		if bar != nil {
			_ = bar.Finish()
		}
		if bad > badShown {
			p.say("… and %d more", bad-badShown)
		}
		return bad
	}
}

// record leaves one audit log of the import, also of one that broke off.
func (c *importCommand) record(p *process, store *db.Store, sum format.Summary, failed error) error {
	e := audit.NewEvent(audit.KindAuditLog)
	e.SetTime(p.now())
	e.Set("action", "IMPORT")
	e.Set("module", db.Self)
	e.Set("content_type", db.Self+".import")
	e.Set("object_repr", c.Format+" from "+strings.Join(c.Files, ", "))
	e.Set("metadata", asJSON(map[string]any{
		"files": c.Files, "format": c.Format, "masked": !c.NoMask, "completed": failed == nil,
		"read": sum.Read, "stored": sum.Stored, "duplicates": sum.Duplicates, "conflicts": sum.Conflicts, "skipped": sum.Skipped, "ignored": sum.Ignored,
	}))
	return p.record(store, e)
}

// line says in one line what became of an import.
func line(s format.Summary) string {
	seconds := s.Elapsed.Seconds()
	text := fmt.Sprintf("read %d, stored %d, duplicates %d, skipped %d (conflicts %d)", s.Read, s.Stored, s.Duplicates, s.Skipped, s.Conflicts)
	if s.Ignored > 0 {
		text += fmt.Sprintf(", ignored %d", s.Ignored)
	}
	return text + fmt.Sprintf(" in %.1f s (%.0f events/s)", seconds, float64(s.Stored+s.Duplicates)/max(seconds, 0.001))
}

// zoneFlag is a time zone by its name.
type zoneFlag struct{ *time.Location }

// UnmarshalText reads the name of a zone, such as Europe/Paris or UTC.
func (z *zoneFlag) UnmarshalText(text []byte) error {
	location, err := time.LoadLocation(string(text))
	if err != nil || string(text) == "" || string(text) == "Local" {
		return fmt.Errorf("%q is no time zone such as Europe/Paris or UTC", text)
	}
	z.Location = location
	return nil
}
