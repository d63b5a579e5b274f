package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

type verifyCommand struct {
	database
	SinceCheckpoint bool     `help:"Verify only what was recorded since the last checkpoint."`
	Checkpoint      string   `placeholder:"FILE" help:"Verify against the checkpoints that were saved in this file, too."`
	Key             []string `placeholder:"KEY" help:"A public key to check signatures with, or a file of them, in place of the key file beside the database; may be repeated."`
}

// Run verifies the evidence and says where it does not hold.
func (c *verifyCommand) Run(p *process) error {
	collectAt(verifiedGC)
	if c.Checkpoint != "" && c.SinceCheckpoint {
		return usageError{errors.New("--checkpoint compares with all that was recorded, and --since-checkpoint leaves it out; give one of them")}
	}
	o := db.VerifyOptions{SinceCheckpoint: c.SinceCheckpoint}
	if c.Checkpoint != "" {
		text, err := os.ReadFile(c.Checkpoint)
		if err != nil {
			return fmt.Errorf("read the saved checkpoints: %w", err)
		}
		if o.Saved = evidence.SplitNotes(string(text)); len(o.Saved) == 0 {
			return fmt.Errorf("%s holds no signed checkpoint; give what --checkpoint-to wrote, or one that was printed with an export", c.Checkpoint)
		}
	}
	return c.with(p, reading, func(store *db.Store) error {
		var err error
		if o.PublicKeys, err = publicKeys(c.Key); err != nil {
			return err
		}
		if len(c.Key) == 0 {
			if o.PublicKeys, err = store.PublicKeys(); err != nil {
				return err
			}
		}
		progress, done := p.bar()
		if progress != nil {
			o.Progress = func(done, all int64) { progress("verifying", done, all) }
		}
		v, err := store.Verify(p.ctx, o)
		done()
		if err != nil {
			return err
		}
		for _, problem := range v.Problems {
			if _, err := fmt.Fprintln(p.stdout, problem); err != nil {
				return err
			}
		}
		if v.More > 0 {
			fmt.Fprintf(p.stdout, "and %d more\n", v.More)
		}
		for _, life := range v.Restored {
			fmt.Fprintf(p.stdout, "note: since %s the database goes on from entry %d: %s\n", life.StartedAt, life.Seq-1, life.Reason)
		}
		if !v.KeysGiven {
			fmt.Fprintf(p.stdout, "note: signatures were not checked, since there is no key file %s; give a public key with --key\n", db.KeyPath(store.Beside()))
		}
		if err := summarise(p.stdout, v); err != nil {
			return err
		}
		if n := int64(len(v.Problems)) + v.More; n > 0 {
			return fmt.Errorf("the evidence does not hold: %d %s, listed above", n, map[bool]string{true: "place", false: "places"}[n == 1])
		}
		return nil
	})
}

func summarise(w io.Writer, v *db.Verdict) error {
	what := "verified"
	if !v.Holds() {
		what = "looked at"
	}
	_, err := fmt.Fprintf(w, "%s entries %d to %d: %d events whole, %d gone with a trace, %d redacted, %d checkpoints (%d signatures) in %v\n", what,
		v.From, v.UpTo, v.Events, v.Gone, v.Redacted, v.Checkpoints, v.Signed, v.Took.Round(time.Millisecond))
	if err == nil && v.Root != (evidence.Hash{}) {
		_, err = fmt.Fprintf(w, "root %v\n", v.Root)
	}
	return err
}

// publicKeys reads keys that were given as themselves or as files of them, one a
// line.
func publicKeys(given []string) ([]string, error) {
	var keys []string
	for _, text := range given {
		if _, err := evidence.KeyName(text); err == nil {
			keys = append(keys, strings.TrimSpace(text))
			continue
		}
		b, err := os.ReadFile(text)
		if err != nil {
			return nil, fmt.Errorf("--key %s is neither a public key nor a file of them: %w", text, err)
		}
		before := len(keys)
		for line := range strings.Lines(string(b)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "public ")
			if _, err := evidence.KeyName(line); err == nil {
				keys = append(keys, line)
			}
		}
		if len(keys) == before {
			return nil, fmt.Errorf("--key %s: there is no public key in that file", text)
		}
	}
	return keys, nil
}
