package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrNote is wrapped by every error about a checkpoint that is not one.
var ErrNote = errors.New("not a checkpoint of auditadmin")

// originPrefix begins the first line of every checkpoint.
const originPrefix = "auditadmin/"

// Checkpoint is a statement of how large the ledger of a database was and what
// its tree came to: the body of a C2SP tlog-checkpoint.
type Checkpoint struct {
	Incarnation string    // of the database, the part of the origin after "auditadmin/"
	Size        int64     // entries
	Root        Hash      // of the tree over them
	At          time.Time // when it was made; UTC, to the second
}

// Origin is the first line of the note, which names the database: "auditadmin/" and the
// name of its incarnation.
func (c *Checkpoint) Origin() string { return originPrefix + c.Incarnation }

// Text is what is signed: origin, size, root, and the time as an extension line.
func (c *Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\n", c.Origin(), c.Size, c.Root, c.At.UTC().Format(time.RFC3339))
}

// Sign returns the checkpoint as a signed note, with the signature of each signer.
func (c *Checkpoint) Sign(signers ...note.Signer) (string, error) {
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	if err != nil {
		return "", fmt.Errorf("sign the checkpoint of %d entries: %w", c.Size, err)
	}
	return string(signed), nil
}

// ParseCheckpoint reads the body of a checkpoint. Lines that it does not know
// are passed over, as C2SP has it. Its error wraps ErrNote.
func ParseCheckpoint(text string) (*Checkpoint, error) {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return nil, fmt.Errorf("%w: it has fewer than three lines", ErrNote)
	}
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\n")
	}
	name, ok := strings.CutPrefix(lines[0], originPrefix)
	if !ok || name == "" || strings.ContainsAny(name, " +\t\r") {
		return nil, fmt.Errorf("%w: its first line is %q and should be %s and a name", ErrNote, shorten(lines[0]), originPrefix)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return nil, fmt.Errorf("%w: its second line is %q and should be the number of entries", ErrNote, shorten(lines[1]))
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return nil, fmt.Errorf("%w: its third line is %q and should be the root in base64", ErrNote, shorten(lines[2]))
	}
	c := &Checkpoint{Incarnation: name, Size: size, Root: Hash(root)}
	for _, line := range lines[3 : len(lines)-1] {
		if text, ok := strings.CutPrefix(line, "time "); ok && c.At.IsZero() {
			if c.At, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, fmt.Errorf("%w: its time is %q", ErrNote, shorten(text))
			}
		}
	}
	return c, nil
}

// OpenCheckpoint reads a signed checkpoint. Its signatures are checked with the
// public keys; signed names those that hold. With no keys, or none that signed
// it, signed is empty and it is the caller's to say so. A signature of a known
// key that does not hold is an error, which wraps ErrNote.
func OpenCheckpoint(signedNote string, publicKeys []string) (c *Checkpoint, signed []string, err error) {
	var verifiers []note.Verifier
	for _, key := range publicKeys {
		v, err := note.NewVerifier(strings.TrimSpace(key))
		if err != nil {
			return nil, nil, fmt.Errorf("read the public key %q: %w", shorten(key), err)
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open([]byte(signedNote), note.VerifierList(verifiers...))
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unverified):
		n = unverified.Note
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrNote, err)
	}
	if c, err = ParseCheckpoint(n.Text); err != nil {
		return nil, nil, err
	}
	for _, sig := range n.Sigs {
		signed = append(signed, fmt.Sprintf("%s+%08x", sig.Name, sig.Hash))
	}
	return c, signed, nil
}

// SplitNotes returns the signed checkpoints that stand one after the other in a
// text, as a file of checkpoints has them. One that was cut off in the middle,
// and whatever else stands between them, is left out.
func SplitNotes(text string) []string {
	var notes []string
	for at := 0; at < len(text); {
		end := strings.Index(text[at:], "\n"+originPrefix)
		if end < 0 {
			end = len(text)
		} else {
			end += at + 1
		}
		one := strings.TrimRight(text[at:end], "\n") + "\n"
		if strings.HasPrefix(one, originPrefix) && strings.Contains(one, "\n\n— ") {
			notes = append(notes, one)
		}
		at = end
	}
	return notes
}

func shorten(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
