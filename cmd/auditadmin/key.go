package main

import (
	"fmt"

	"github.com/auditadmin/auditadmin/internal/db"
)

type keyCommands struct {
	Show   keyShowCommand   `cmd:"" help:"Print the public keys that checkpoints are checked with, the present one first."`
	Rotate keyRotateCommand `cmd:"" help:"Sign with a new key from now on; the old public keys stay known."`

	Replace keyReplaceCommand `cmd:"" help:"Make a new key for a database whose key is lost; a new incarnation begins."`
}

type keyShowCommand struct{ database }

// Run prints the public keys, and makes the first key where there is none yet: who
// wants to check later needs it before the first signature.
func (c *keyShowCommand) Run(p *process) error {
	var keys []string
	read := func(store *db.Store) (err error) {
		keys, err = store.PublicKeys()
		return err
	}
	if err := c.with(p, reading, read); err != nil {
		return err
	}
	if len(keys) == 0 {
		err := c.with(p, existing, func(store *db.Store) error {
			if err := makeKey(p, store); err != nil {
				return err
			}
			return read(store)
		})
		if err != nil {
			return err
		}
	}
	for _, key := range keys {
		if _, err := fmt.Fprintln(p.stdout, key); err != nil {
			return err
		}
	}
	return nil
}

// makeKey makes the key file of a database that was never signed, and says so.
func makeKey(p *process, store *db.Store) error {
	made, err := store.MakeKey(p.ctx)
	if made {
		p.say("made the key file %s, which signs checkpoints; keep a copy of it somewhere else than the database", db.KeyPath(store.Beside()))
	}
	return err
}

type keyReplaceCommand struct{ database }

// Run makes a new key where the old one is lost.
func (c *keyReplaceCommand) Run(p *process) error {
	return c.with(p, existing, func(store *db.Store) error {
		fresh, err := store.ReplaceKey(p.ctx, db.CommandLine(p.user))
		if err != nil {
			return err
		}
		p.say("made the key file %s; copy it to every server of this database", db.KeyPath(store.Beside()))
		if fresh != nil {
			p.say("the database goes on as the incarnation %s from entry %d on", fresh.Name, fresh.Seq)
		}
		return nil
	})
}

type keyRotateCommand struct{ database }

// Run rotates the key and prints the checkpoint that both keys signed.
func (c *keyRotateCommand) Run(p *process) error {
	return c.with(p, existing, func(store *db.Store) error {
		if err := makeKey(p, store); err != nil {
			return err
		}
		checkpoint, err := store.RotateKey(p.ctx, db.CommandLine(p.user))
		if err != nil {
			return err
		}
		p.say("checkpoints are signed with a new key; this one carries both signatures: hand it to whoever trusts the old key")
		_, err = fmt.Fprint(p.stdout, checkpoint.Note)
		return err
	})
}
