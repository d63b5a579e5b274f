package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/internal/query"
)

type evidenceCommand struct {
	database
	kindFlag
	TZ    zoneFlag `name:"tz" placeholder:"ZONE" help:"The zone of dates in the query; UTC if not given."`
	Query string   `arg:"" help:"The query, between quotes; an empty one for everything."`
	File  string   `arg:"" placeholder:"OUT.zip" help:"The new file; one that is there is not overwritten."`
}

// Run writes what matches with its proofs, for somebody who has no database.
func (c *evidenceCommand) Run(p *process) error {
	f, err := query.Parse(c.kind(), c.Query, query.Options{Now: p.now(), Zone: c.TZ.Location})
	if err != nil {
		return err
	}
	if _, err := os.Lstat(c.File); err == nil {
		return fmt.Errorf("write evidence to %s: %w: choose a name that is free", c.File, fs.ErrExist)
	}
	return c.with(p, existing, func(store *db.Store) error {
		if err := makeKey(p, store); err != nil {
			return err
		}
		by := db.CommandLine(p.user)
		if err := store.HandOut(p.ctx, by, c.kind(), "evidence of "+c.kind().Plural()+": "+f.Sentence()); err != nil {
			return err
		}
		bundle, size, err := c.write(p, store, f, by.Name)
		if recorded := c.record(p, store, f, bundle.Events, size, err); err == nil {
			err = recorded
		}
		if err == nil {
			p.say("wrote the evidence of %s to %s; check it with: auditadmin prove check %s", counted(bundle.Events, c.kind()), c.File, quoted(c.File))
		}
		return err
	})
}

// write writes the bundle beside its place and puts it there when it is whole.
func (c *evidenceCommand) write(p *process, store *db.Store, f *query.Filter, by string) (bundle format.Bundle, size int64, err error) {
	sel, err := store.Select(p.ctx, f)
	if err != nil {
		return bundle, 0, err
	}
	part, err := os.CreateTemp(filepath.Dir(c.File), "."+filepath.Base(c.File)+".*.part")
	if err != nil {
		return bundle, 0, fmt.Errorf("write evidence to %s: %w", c.File, err)
	}
	defer os.Remove(part.Name())
	defer part.Close()
	out := &meter{to: part}
	if bundle, err = format.WriteBundle(p.ctx, out, store, sel, by, p.now()); err == nil {
		err = errors.Join(part.Sync(), os.Link(part.Name(), c.File))
	}
	if err != nil {
		err = fmt.Errorf("write evidence to %s: %w", c.File, err)
	}
	return bundle, out.written, err
}

// record leaves one data export, also of one that broke off.
func (c *evidenceCommand) record(p *process, store *db.Store, f *query.Filter, rows, bytes int64, failed error) error {
	e := audit.NewEvent(audit.KindDataExport)
	e.SetTime(p.now())
	e.Set("export_type", c.Kind)
	e.Set("file_format", "evidence")
	e.Set("record_count", strconv.FormatInt(rows, 10))
	e.Set("file_size", strconv.FormatInt(bytes, 10))
	e.Set("filters_applied", asJSON(map[string]any{"q": f.String(), "kind": c.Kind, "tz": f.Zone.String()}))
	e.Set("metadata", asJSON(map[string]any{"completed": failed == nil}))
	return p.record(store, e)
}

// isBundle reports whether a file is an evidence bundle and no single proof.
func isBundle(f *os.File) bool {
	var magic [4]byte
	_, err := f.ReadAt(magic[:], 0)
	return err == nil && string(magic[:]) == "PK\x03\x04"
}

// checkBundle checks all of an evidence bundle.
func checkBundle(p *process, f *os.File, keys []string) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read the bundle: %w", err)
	}
	b, err := format.CheckBundle(f, info.Size(), keys)
	if err != nil {
		return err
	}
	trust := "a key that you gave"
	if len(keys) == 0 {
		trust = "a key that the bundle itself names: compare it with one that you have from elsewhere, or give that with --key"
	}
	_, err = fmt.Fprintf(p.stdout, "the bundle holds: %d %s, each as it stands in the ledger of %s, of %d entries at %s\nas it says itself, handed out by %s at %s: %s\nsigned by %s, %s\n",
		b.Events, b.Kind.Plural(), b.Checkpoint.Origin(), b.Checkpoint.Size, b.Checkpoint.At.Format(time.RFC3339), printable(b.By), b.At, printable(b.Sentence), strings.Join(b.Signed, " and "), trust)
	if err == nil && len(b.Unproven) > 0 {
		_, err = fmt.Fprintf(p.stdout, "not proven, since it changes after an event is recorded: %s\n", strings.Join(b.Unproven, ", "))
	}
	return err
}
