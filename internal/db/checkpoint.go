package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// SignedCheckpoint is a checkpoint as it was handed out.
type SignedCheckpoint struct {
	evidence.Checkpoint
	Note string // signed, in C2SP form
}

// Incarnation is one life of a database: from its beginning, or from where it
// came back from a copy, to the next one.
type Incarnation struct {
	Seq       int64  `db:"seq"` // its entry 'restored'; 0 for the first
	Name      string `db:"name"`
	StartedAt string `db:"started_at"` // as audit.FormatTime writes it
	Reason    string `db:"reason"`
}

// BeginEvidence makes the database ready to be vouched for: it makes the key
// file where there is none and gives the database its name. seen are checkpoints
// of it that are known from elsewhere, such as a file they were written to.
//
// Where the database is not what it was, because it was restored from a copy,
// its ledger ends before a checkpoint that was seen, or its key file is gone, a
// new incarnation begins, with an entry in the ledger that says so: nothing that
// was stated before is ever stated differently under the same name. fresh is that
// incarnation, or nil.
//
// Several servers may have one database, each with a key file of its own. There a
// key that is not the database's begins nothing: the error then wraps ErrNoKeys,
// and this server signs nothing until it has the key that the others have.
func (s *Store) BeginEvidence(ctx context.Context, seen ...*evidence.Checkpoint) (fresh *Incarnation, err error) {
	fresh, err = s.beginEvidence(ctx, "", seen...)
	s.noteSigning(err)
	return fresh, err
}

// MakeKey makes the key file of a file that was never signed, as the first start of
// a server does, and reports whether it did. A key that other programs have, or that
// is lost, is nothing to make another of unasked: the error then wraps ErrNoKeys and
// says what to do.
func (s *Store) MakeKey(ctx context.Context) (made bool, err error) {
	const op = "make the key"
	if _, err := ReadKeys(KeyPath(s.beside)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if !s.dialect.embedded() {
		return false, fmt.Errorf("%s: %w: there is no %s on this machine; copy the key file of a server of this database to there, or if it has none yet start 'auditadmin serve' on the machine that is to sign",
			op, ErrNoKeys, KeyPath(s.beside))
	}
	var name string
	err = s.ro.GetContext(ctx, &name, "SELECT value FROM meta WHERE key = 'checkpoint_key'")
	switch {
	case err == nil:
		return false, fmt.Errorf("%s: %w: the database was signed with %s, and %s is gone; put back a copy of it, or if it is lost make another with 'auditadmin key replace'",
			op, ErrNoKeys, name, KeyPath(s.beside))
	case !errors.Is(err, sql.ErrNoRows):
		return false, fmt.Errorf("%s: %w", op, s.dialect.classify(err))
	}
	_, err = s.BeginEvidence(ctx)
	return err == nil, err
}

// ReplaceKey is for a database whose key is lost on every server: it makes a new
// one, and a new incarnation, which says so. The error wraps fs.ErrExist where there
// is a key file.
func (s *Store) ReplaceKey(ctx context.Context, by Actor) (*Incarnation, error) {
	const op = "replace the lost key"
	if _, err := os.Stat(KeyPath(s.beside)); err == nil {
		return nil, fmt.Errorf("%s: %s is there: %w; move it away first if it is not the database's", op, KeyPath(s.beside), fs.ErrExist)
	}
	fresh, err := s.beginEvidence(ctx, by.Name)
	if err != nil {
		return nil, err
	}
	e := by.deed("UPDATE", object{Self + ".key", "checkpoint", "checkpoint key"}, nil)
	e.Set("reason", "the key was lost")
	return fresh, s.Record(ctx, by, e)
}

// beginEvidence is BeginEvidence; replacedBy is who says that the key is lost.
func (s *Store) beginEvidence(ctx context.Context, replacedBy string, seen ...*evidence.Checkpoint) (fresh *Incarnation, err error) {
	const op = "begin the evidence"
	keys, made, err := s.serverKeys(ctx, replacedBy)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	keyName, err := evidence.KeyName(keys.Public()[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	err = s.write(ctx, op, func(tx *writeTx) error {
		fresh = nil
		lives, err := incarnations(tx.ctx, tx)
		if err != nil {
			return err
		}
		if replacedBy == "" {
			if err := s.signsWith(tx.ctx, tx, keys); err != nil { // another server was the first
				return err
			}
		}
		if len(lives) == 0 {
			err = tx.beginLife(&Incarnation{Name: rand.Text(), StartedAt: audit.FormatTime(tx.now)})
		} else {
			fresh, err = tx.liveAnew(lives, seen, replacedBy, made)
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM meta WHERE key = 'copy'"); err != nil {
			return err
		}
		_, err = tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES ('checkpoint_key', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", keyName)
		return err
	})
	return fresh, err
}

// serverKeys reads the key file, or makes one where there is none, and reports whether
// it did.
func (s *Store) serverKeys(ctx context.Context, replacedBy string) (keys *evidence.Keys, made bool, err error) {
	path := KeyPath(s.beside)
	if keys, err = ReadKeys(path); !errors.Is(err, fs.ErrNotExist) {
		return keys, false, err
	}
	if replacedBy == "" {
		if err := s.signsWith(ctx, s.primary(), nil); err != nil {
			return nil, false, err
		}
	}
	if keys, err = evidence.NewKeys(rand.Reader, "auditadmin/"+strings.ToLower(rand.Text()[:8])); err != nil {
		return nil, false, err
	}
	if err = WriteKeys(path, keys, true); errors.Is(err, fs.ErrExist) { // another server was faster
		keys, err = ReadKeys(path)
		return keys, false, err
	}
	return keys, true, err
}

// liveAnew begins another incarnation after lives where there is a reason for one, and
// returns nil where there is none. made says that the key file was made just now.
func (tx *writeTx) liveAnew(lives []Incarnation, seen []*evidence.Checkpoint, replacedBy string, made bool) (*Incarnation, error) {
	marks := map[string]string{}
	err := eachRow(tx.ctx, tx, "SELECT key, value FROM meta WHERE key IN ('copy', 'checkpoint_key')", nil, func(r scanner) error {
		var key, value string
		err := r.Scan(&key, &value)
		marks[key] = value
		return err
	})
	if err != nil {
		return nil, err
	}
	var reason string
	switch {
	case replacedBy != "":
		reason = "its key was lost, and " + replacedBy + " made a new one"
	case marks["copy"] != "":
		reason = "restored from " + marks["copy"]
	case made && marks["checkpoint_key"] != "":
		reason = "its key file was gone, and a new one was made"
	default:
		if reason, err = tx.fallenBehind(lives, seen); err != nil || reason == "" {
			return nil, err
		}
	}
	next := &Incarnation{Name: rand.Text(), StartedAt: audit.FormatTime(tx.now), Reason: reason}
	if err := tx.decide(evidence.Restored, "", 0, Self, reason, incarnationSubject(next.Name, next.StartedAt, reason)); err != nil {
		return nil, err
	}
	next.Seq = tx.seq
	return next, tx.beginLife(next)
}

// beginLife stores an incarnation.
func (tx *writeTx) beginLife(i *Incarnation) error {
	_, err := tx.ExecContext(tx.ctx, "INSERT INTO incarnation (seq, name, started_at, reason) VALUES (?, ?, ?, ?)", i.Seq, i.Name, i.StartedAt, i.Reason)
	return err
}

// signsWith returns an error that wraps ErrNoKeys unless checkpoints of the database
// are signed with one of keys, or with none yet. A file has one server, whose key is
// right whatever it is.
func (s *Store) signsWith(ctx context.Context, q queryer, keys *evidence.Keys) error {
	if s.dialect.embedded() {
		return nil
	}
	var name string
	err := q.QueryRowxContext(ctx, "SELECT value FROM meta WHERE key = 'checkpoint_key'").Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return s.dialect.classify(err)
	}
	if keys != nil {
		for _, public := range keys.Public() {
			if own, err := evidence.KeyName(public); err == nil && own == name {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: the database's are signed with %s, which is not in %s; copy the key file of a server that has it to there, or if it is lost make another with 'auditadmin key replace'",
		ErrNoKeys, name, KeyPath(s.beside))
}

// noteSigning keeps why this server signs no checkpoints, for whoever asks.
func (s *Store) noteSigning(err error) {
	switch {
	case err == nil:
		s.unsigned.Store(nil)
	case errors.Is(err, ErrNoKeys):
		s.unsigned.Store(&err)
	}
}

// fallenBehind says why the database cannot be the one that made the
// checkpoints, and "" where it can.
func (tx *writeTx) fallenBehind(lives []Incarnation, seen []*evidence.Checkpoint) (string, error) {
	for _, c := range seen {
		if c.Incarnation != lives[len(lives)-1].Name {
			continue
		}
		if c.Size > tx.seq {
			return fmt.Sprintf("a checkpoint of %d entries was made on %s, and the ledger ended with entry %d", c.Size, c.At.UTC().Format(time.RFC3339), tx.seq), nil
		}
		root, err := newTreeReader(tx.ctx, tx).root(c.Size)
		if err != nil {
			return "", err
		}
		if root != c.Root {
			return fmt.Sprintf("the checkpoint of %d entries made on %s states another root", c.Size, c.At.UTC().Format(time.RFC3339)), nil
		}
	}
	return "", nil
}

// Writable reports whether the store was opened to be written.
func (s *Store) Writable() bool { return s.rw != nil }

// Incarnations returns the lives of the database, oldest first.
func (s *Store) Incarnations(ctx context.Context) ([]Incarnation, error) {
	all, err := incarnations(ctx, s.primary())
	if err != nil {
		return nil, fmt.Errorf("read the incarnations: %w", s.dialect.classify(err))
	}
	return all, nil
}

func incarnations(ctx context.Context, q sqlx.QueryerContext) ([]Incarnation, error) {
	var all []Incarnation
	err := sqlx.SelectContext(ctx, q, &all, "SELECT seq, name, started_at, reason FROM incarnation ORDER BY seq")
	return all, err
}

// Checkpoint returns a signed checkpoint of everything that is recorded: the
// last one, or if something was recorded since a new one, which it keeps. The
// error wraps ErrNoKeys where the database has no key file.
func (s *Store) Checkpoint(ctx context.Context) (*SignedCheckpoint, error) {
	keys, err := s.keys()
	if err == nil && keys == nil {
		err = fmt.Errorf("%w: there is no %s; the first 'auditadmin serve' makes one", ErrNoKeys, KeyPath(s.beside))
	}
	if err == nil {
		err = s.signsWith(ctx, s.primary(), keys) // another server may have rotated it
	}
	s.noteSigning(err)
	if err != nil {
		return nil, fmt.Errorf("make a checkpoint: %w", err)
	}
	return s.checkpoint(ctx, keys.Signer())
}

func (s *Store) checkpoint(ctx context.Context, signers ...note.Signer) (*SignedCheckpoint, error) {
	c, err := s.treeHead(ctx)
	if err != nil {
		return nil, fmt.Errorf("make a checkpoint: %w", s.dialect.classify(err))
	}
	last, err := s.LastCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	if last != nil && last.Size == c.Size && last.Incarnation == c.Incarnation && len(signers) == 1 {
		return last, nil
	}
	return s.keepCheckpoint(ctx, c, signers...)
}

// keepCheckpoint signs and keeps a checkpoint. Where another server has kept one of the
// same entries meanwhile it is that one, with the signatures that it has: a witness may
// have signed it.
func (s *Store) keepCheckpoint(ctx context.Context, c *evidence.Checkpoint, signers ...note.Signer) (kept *SignedCheckpoint, err error) {
	err = s.write(ctx, "keep a checkpoint", func(tx *writeTx) error {
		kept = &SignedCheckpoint{Checkpoint: *c}
		before, err := tx.checkpointNote(c.Size)
		if err != nil {
			return err
		}
		if old, _, err := evidence.OpenCheckpoint(before, nil); err == nil && old.Incarnation == c.Incarnation && old.Root == c.Root && strings.HasPrefix(before, old.Text()+"\n") {
			kept.Checkpoint = *old
			if len(signers) == 1 {
				kept.Note = before
				return nil
			}
		}
		text, err := kept.Sign(signers...)
		if err != nil {
			return err
		}
		kept.Note = signedToo(text, before)
		_, err = tx.ExecContext(tx.ctx, "INSERT INTO checkpoint (size, root, note, created_at) VALUES (?, ?, ?, ?)"+
			" ON CONFLICT (size) DO UPDATE SET root = excluded.root, note = excluded.note, created_at = excluded.created_at",
			c.Size, c.Root[:], kept.Note, audit.FormatTime(kept.At))
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// checkpointNote is the checkpoint of some entries as it is kept; "" where there is none.
func (tx *writeTx) checkpointNote(size int64) (text string, err error) {
	err = tx.GetContext(tx.ctx, &text, "SELECT note FROM checkpoint WHERE size = ?", size)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return text, err
}

// signedToo adds to a signed note the signatures of another one that says the same.
func signedToo(text, other string) string {
	body, _, _ := strings.Cut(text, "\n\n")
	said, signatures, _ := strings.Cut(other, "\n\n")
	if said != body {
		return text
	}
	for line := range strings.Lines(signatures) {
		if !strings.Contains(text, line) {
			text += line
		}
	}
	return text
}

// treeHead is the state of the ledger as a checkpoint states it.
func (s *Store) treeHead(ctx context.Context) (*evidence.Checkpoint, error) {
	tx, end, err := begin(ctx, s.primary())
	if err != nil {
		return nil, err
	}
	defer end()
	c := &evidence.Checkpoint{At: s.now().UTC().Truncate(time.Second)}
	if err := tx.GetContext(ctx, &c.Size, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return nil, err
	}
	lives, err := incarnations(ctx, tx)
	if err != nil {
		return nil, err
	}
	if len(lives) == 0 {
		return nil, fmt.Errorf("%w: the database has no name yet; 'auditadmin serve' gives it one", ErrNoKeys)
	}
	c.Incarnation = lives[len(lives)-1].Name
	c.Root, err = newTreeReader(ctx, tx).root(c.Size)
	return c, err
}

// LastCheckpoint returns the newest checkpoint that was kept, and nil if there
// is none.
func (s *Store) LastCheckpoint(ctx context.Context) (*SignedCheckpoint, error) {
	var text string
	err := s.primary().GetContext(ctx, &text, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last checkpoint: %w", s.dialect.classify(err))
	}
	c, _, err := evidence.OpenCheckpoint(text, nil)
	if err != nil {
		return nil, fmt.Errorf("read the last checkpoint: %w; run 'auditadmin verify'", err)
	}
	return &SignedCheckpoint{*c, text}, nil
}

// Consistency returns the proof (RFC 6962) that the first old entries of the
// ledger are also the first ones of a checkpoint of size entries. It is nil where there is
// nothing to prove, of no entries or of all.
func (s *Store) Consistency(ctx context.Context, old, size int64) ([]evidence.Hash, error) {
	tx, end, err := begin(ctx, s.primary())
	if err != nil {
		return nil, s.dialect.classify(err)
	}
	defer end()
	if old <= 0 || old == size {
		return nil, nil
	}
	proof, err := tlog.ProveTree(size, old, newTreeReader(ctx, tx))
	if err != nil {
		return nil, fmt.Errorf("prove that %d entries go on from %d: %w", size, old, s.dialect.classify(err))
	}
	return proof, nil
}

// ThinCheckpoints takes checkpoints away that nobody needs any more: it leaves
// all of the last day, of each hour of the last thirty days and of each day
// before that the last one, and every one with a second signature, which is a
// witness' or that of a key that was changed. Each life of the database keeps
// its own.
func (s *Store) ThinCheckpoints(ctx context.Context) error {
	return s.writeAsSuperuser(ctx, "thin the checkpoints", func(tx *writeTx) error {
		before := func(d time.Duration) string { return audit.FormatTime(tx.now.Add(-d)) }
		const day = 24 * time.Hour
		var thin []int64
		seen := map[string]bool{} // each life in each hour or day of which the last one was met
		err := eachRow(tx.ctx, tx, "SELECT size, note, created_at FROM checkpoint WHERE created_at <= ? ORDER BY size DESC", []any{before(day)}, func(r scanner) error {
			var size int64
			var text, at string
			if err := r.Scan(&size, &text, &at); err != nil {
				return err
			}
			step := len("2006-01-02")
			if at > before(30*day) {
				step = len("2006-01-02T15")
			}
			origin, _, _ := strings.Cut(text, "\n")
			span := origin + "\n" + at[:min(step, len(at))]
			if seen[span] && strings.Count(text, "\n— ") < 2 {
				thin = append(thin, size)
			}
			seen[span] = true
			return nil
		})
		if err != nil || len(thin) == 0 {
			return err
		}
		condition, args := tx.dialect.among("size", thin)
		_, err = tx.ExecContext(tx.ctx, "DELETE FROM checkpoint WHERE "+condition, args...)
		return err
	})
}

// PublicKeys returns the public keys that checkpoints of this database can be
// checked with, the present one first, and none where it has no key file.
func (s *Store) PublicKeys() ([]string, error) {
	keys, err := s.keys()
	if err != nil || keys == nil {
		return nil, err
	}
	return keys.Public(), nil
}

// RotateKey gives the database a new key for its checkpoints. The last
// checkpoint is signed with both, so that who trusts the old one can go on to
// the new one. It returns that checkpoint. The key file is replaced first, so that on a
// later error it has the new key. The error wraps fs.ErrNotExist where there is no key
// file, and ErrNoKeys where its key is not the database's.
func (s *Store) RotateKey(ctx context.Context, by Actor) (*SignedCheckpoint, error) {
	const op = "rotate the key"
	path := KeyPath(s.beside)
	keys, err := ReadKeys(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if err := s.signsWith(ctx, s.primary(), keys); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	next, err := keys.Rotate(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	before, err := evidence.KeyName(keys.Public()[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	after, err := evidence.KeyName(next.Public()[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if err := WriteKeys(path, next, false); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	err = s.write(ctx, op, func(tx *writeTx) error {
		if _, err := tx.ExecContext(tx.ctx, "UPDATE meta SET value = ? WHERE key = 'checkpoint_key'", after); err != nil {
			return err
		}
		return tx.record(by.deed("UPDATE", object{Self + ".key", "checkpoint", "checkpoint key"}, changes{"public_key": {before, after}}))
	})
	if err != nil {
		return nil, err
	}
	return s.checkpoint(ctx, keys.Signer(), next.Signer())
}

// parseRoot reads a hash that a row holds, and reports whether it is one.
func parseRoot(b []byte) (h evidence.Hash, ok bool) {
	if len(b) != tlog.HashSize {
		return h, false
	}
	copy(h[:], b)
	return h, true
}
