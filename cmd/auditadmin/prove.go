package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/auditadmin/auditadmin/internal/format"
)

type proveCommands struct {
	Event proveCommand      `cmd:"" default:"withargs" help:"Write the proof that an event is recorded as it stands there."`
	Check proveCheckCommand `cmd:"" help:"Check a proof, a bundle or an archive, without a database and without a network."`
}

type proveCommand struct {
	database
	Withhold []string `placeholder:"FIELD" help:"Leave the content of this field out of the proof, which goes on to hold; may be repeated."`
	Kind     string   `arg:"" enum:"audit_log,login_attempt,data_export,system_event" placeholder:"KIND" help:"The kind of event: ${enum}."`
	ID       int64    `arg:"" name:"id" placeholder:"ID" help:"Its id."`
}

// Run writes a proof to stdout.
func (c *proveCommand) Run(p *process) error {
	kind := audit.Kind(c.Kind)
	for _, field := range c.Withhold {
		if kind.Index(field) < 0 {
			return usageError{fmt.Errorf("--withhold %s: a %s has no such field", field, kind.Singular())}
		}
	}
	return c.with(p, existing, func(store *db.Store) error {
		if err := makeKey(p, store); err != nil {
			return err
		}
		proof, err := store.Proof(p.ctx, kind, c.ID)
		if err != nil {
			return err
		}
		for _, field := range c.Withhold {
			proof.Withhold(field)
		}
		_, err = p.stdout.Write(proof.Text())
		return err
	})
}

type proveCheckCommand struct {
	Key  []string `placeholder:"KEY" help:"A public key that you have from elsewhere, or a file of them, in place of those that the proof names itself; may be repeated."`
	File string   `arg:"" placeholder:"FILE" help:"The proof, an evidence bundle (.zip), or the archive of a purge (.ndjson.gz, with its .proofs.gz beside it); - for the proof on stdin."`
}

// Run checks a proof.
func (c *proveCheckCommand) Run(p *process) error {
	if format.IsArchive(c.File) {
		return c.archive(p)
	}
	in := p.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("read the proof: %w", err)
		}
		defer f.Close()
		if isBundle(f) {
			var keys []string
			if len(c.Key) > 0 {
				if keys, err = publicKeys(c.Key); err != nil {
					return err
				}
			}
			return checkBundle(p, f, keys)
		}
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 64<<20))
	if err != nil {
		return fmt.Errorf("read the proof: %w", err)
	}
	proof, err := evidence.ParseProof(text)
	if err != nil {
		return err
	}
	keys, trust := proof.PublicKeys, "a key that the proof itself names: compare it with one that you have from elsewhere, or give that with --key"
	if len(c.Key) > 0 {
		trust = "a key that you gave"
		if keys, err = publicKeys(c.Key); err != nil {
			return err
		}
	}
	checkpoint, signed, err := proof.Check(keys)
	if err != nil {
		return err
	}
	if len(signed) == 0 {
		return fmt.Errorf("%w: its checkpoint carries no signature of the keys that it was checked with", evidence.ErrProof)
	}
	_, err = fmt.Fprintf(p.stdout, "the proof holds: %s %s is entry %d of %d in the ledger of %s, as of %s\nsigned by %s, %s\n", proof.Kind, proof.ID, proof.Seq,
		checkpoint.Size, checkpoint.Origin(), checkpoint.At.Format(time.RFC3339), strings.Join(signed, " and "), trust)
	return err
}

// archive checks all of the archive of a purge.
func (c *proveCheckCommand) archive(p *process) error {
	var keys []string
	trust := "a key that the archive itself names: compare it with one that you have from elsewhere, or give that with --key"
	if len(c.Key) > 0 {
		var err error
		if keys, err = publicKeys(c.Key); err != nil {
			return err
		}
		trust = "a key that you gave"
	}
	a, err := format.CheckArchive(c.File, keys)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "the archive holds: %d %s, each as it stood in the ledger of %s, of %d entries at %s\nsigned by %s, %s\n",
		a.Events, a.Kind.Plural(), a.Checkpoint.Origin(), a.Checkpoint.Size, a.Checkpoint.At.Format(time.RFC3339), strings.Join(a.Signed, " and "), trust)
	if err == nil && len(a.Unproven) > 0 {
		_, err = fmt.Fprintf(p.stdout, "not proven, since it changes after an event is recorded: %s\n", strings.Join(a.Unproven, ", "))
	}
	return err
}
