package main

import (
	"fmt"

	"github.com/auditadmin/auditadmin/internal/db"
)

type keyCommands struct {
	Show   keyShowCommand   `cmd:"" help:"Print the public keys that checkpoints are checked with, the present one first."`
	Rotate keyRotateCommand `cmd:"" help:"Sign with a new key from now on; the old public keys stay known."`
}

type keyShowCommand struct{ database }

// Run prints the public keys.
func (c *keyShowCommand) Run(p *process) error {
	return c.with(p, reading, func(store *db.Store) error {
		keys, err := store.PublicKeys()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return fmt.Errorf("there is no key file %s; 'auditadmin serve' makes one", db.KeyPath(store.Beside()))
		}
		for _, key := range keys {
			if _, err := fmt.Fprintln(p.stdout, key); err != nil {
				return err
			}
		}
		return nil
	})
}

type keyRotateCommand struct{ database }

// Run rotates the key and prints the checkpoint that both keys signed.
func (c *keyRotateCommand) Run(p *process) error {
	return c.with(p, existing, func(store *db.Store) error {
		checkpoint, err := store.RotateKey(p.ctx, db.CommandLine(p.user))
		if err != nil {
			return err
		}
		p.say("checkpoints are signed with a new key; this one carries both signatures: hand it to whoever trusts the old key")
		_, err = fmt.Fprint(p.stdout, checkpoint.Note)
		return err
	})
}
