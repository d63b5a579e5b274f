package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

type copyCommand struct {
	From string `environment:"AUDITADMIN_DB" default:"audit.db" placeholder:"FILE" help:"The database to copy: a file, or postgres://… for one on a server. It may be in use."`
	To   string `required:"" placeholder:"FILE" help:"Where to: a file, or postgres://…, in which there is nothing yet, or what an earlier run left."`
	stateDir
}

// Run copies a database to another place, and compares every row of both.
func (c *copyCommand) Run(p *process) error {
	o := db.Options{Schema: auditadmin.Schema, Now: p.now, StateDir: c.StateDir}
	keys, err := c.keys(o)
	if err != nil {
		return err
	}
	return c.with(p, func(from *db.Store) error {
		began := p.now()
		progress, done := p.bar()
		copied, err := db.Copy(p.ctx, from, c.To, o, db.CommandLine(p.user), progress)
		done()
		if err != nil {
			if p.ctx.Err() != nil {
				p.say("what was copied stays: the same command goes on with it")
			}
			return err
		}
		if err := report(p.stdout, copied); err != nil {
			return err
		}
		if n := int64(len(copied.Differences)) + copied.More; !copied.Exact() {
			return fmt.Errorf("the copy is not what its source is in %d %s, listed above, and stays unfinished: run 'auditadmin verify --db %s', and copy to a new place",
				n, map[bool]string{true: "place", false: "places"}[n == 1], quoted(from.Path()))
		}
		if err := summarise(p.stdout, copied.Verdict); err != nil {
			return err
		}
		if err := carry(p, keys); err != nil {
			return err
		}
		p.say("copied to %s up to entry %d, compared and verified in %v", copied.Path, copied.Entries, p.now().Sub(began).Round(10*time.Millisecond))
		if copied.Unindexed != nil {
			p.say("the text index is not made yet: 'auditadmin serve' does that, and finds everything meanwhile (%s)", oneLine(copied.Unindexed.Error()))
		}
		if !copied.Recorded {
			p.say("the source cannot be written, so it has no record of the copy")
		}
		if copied.Behind > 0 {
			p.say("the source has gone on: %d entries since are not in the copy. Stop what writes there and run the same command again, before the copy is used: it takes what is missing",
				copied.Behind)
		}
		if n := int64(len(copied.Verdict.Problems)) + copied.Verdict.More; n > 0 {
			return fmt.Errorf("the copy is exact, but the evidence does not hold in %d %s, neither here nor there; look with 'auditadmin verify'",
				n, map[bool]string{true: "place", false: "places"}[n == 1])
		}
		return nil
	})
}

// with opens the source, for reading alone where it cannot be written.
func (c *copyCommand) with(p *process, do func(*db.Store) error) error {
	d := database{DB: c.From, stateDir: c.stateDir}
	err := d.with(p, existing, do)
	if errors.Is(err, db.ErrReadOnly) {
		if second := d.with(p, reading, do); !errors.Is(second, db.ErrReadOnly) {
			return second
		}
	}
	return err
}

// report prints how many rows each table has on both sides, and what they come to.
func report(w io.Writer, c *db.Copied) error {
	for _, d := range c.Differences {
		if _, err := fmt.Fprintln(w, printable(oneLine(d.String()))); err != nil {
			return err
		}
	}
	if c.More > 0 {
		fmt.Fprintf(w, "and %d more\n", c.More)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "table\trows\tSHA-256\trows of the copy\tSHA-256")
	for _, table := range c.Tables {
		fmt.Fprintf(t, "%s\t%d\t%x…\t%d\t%x…\n", table.Name, table.Rows, table.Checksum[:8], table.CopyRows, table.CopySum[:8])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "root of the ledger up to entry %d: %v, of the copy: %v\n", c.Entries, c.Root, c.Copy)
	return err
}

// keyFile is a file that lies beside a database and is no part of it.
type keyFile struct {
	from, to string
	text     []byte
	there    bool // at its place already
}

// keys reads the key files of the source, which go with a database that moves. One
// that lies where it would go has to be the same.
func (c *copyCommand) keys(o db.Options) (all []keyFile, err error) {
	from, err := db.Beside(c.From, o)
	if err != nil {
		return nil, err
	}
	to, err := db.Beside(c.To, o)
	if err != nil {
		return nil, err
	}
	for _, path := range []func(string) string{db.KeyPath, authz.SealPath} {
		k := keyFile{from: path(from), to: path(to)}
		if k.text, err = os.ReadFile(k.from); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("read a key file of the source: %w", err)
		}
		there, err := os.ReadFile(k.to)
		switch {
		case err == nil && !bytes.Equal(there, k.text):
			return nil, fmt.Errorf("%s is there already and is not %s, which goes with the copy: put it away first, if it is of a database that is no more", k.to, k.from)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("look for a key file at the copy's place: %w", err)
		}
		k.there = err == nil
		all = append(all, k)
	}
	return all, nil
}

// carry writes key files beside the copy.
func carry(p *process, keys []keyFile) error {
	for _, k := range keys {
		if k.there {
			continue
		}
		f, err := os.OpenFile(k.to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("the copy is whole, but %s has to go beside it: %w", k.from, err)
		}
		_, err = f.Write(k.text)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			os.Remove(k.to)
			return fmt.Errorf("the copy is whole, but %s has to go beside it: %w", k.from, err)
		}
		p.say("copied beside it: %s, as %s; where another machine serves the copy, take it there", k.from, k.to)
	}
	return nil
}
