package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// CheckedArchive is what CheckArchive found to hold.
type CheckedArchive struct {
	Kind       audit.Kind
	Events     int64
	Checkpoint *evidence.Checkpoint // the last of those that the proofs lead to
	Signed     []string             // the keys that signed all of them, of those it was checked with
	Unproven   []string             // the fields that no proof speaks of
}

// The longest line of proofs that is read, and how many events it may be of: far
// beyond those of the largest part.
const (
	maxProofLine   = 256 << 20
	maxProofEvents = 1 << 17
)

// alteredNamed is how many events that are not what was recorded are named.
const alteredNamed = 100

// IsArchive reports whether a name is that of one of the two files of an archive.
func IsArchive(path string) bool {
	return strings.HasSuffix(path, archiveEvents) || strings.HasSuffix(path, archiveProofs)
}

// CheckArchive checks an archive of a purge with nothing but its two files and
// the keys given; with none, with those that it names. path is either file. Every
// event has to be what its leaf says, the leaves have to lead to the checkpoints,
// and those have to be signed. It streams in constant memory. The error wraps
// evidence.ErrProof where something does not hold, and says what; the value then
// counts the events before it, which hold.
func CheckArchive(path string, keys []string) (c *CheckedArchive, err error) {
	c = &CheckedArchive{}
	name := strings.TrimSuffix(strings.TrimSuffix(path, archiveEvents), archiveProofs)
	proofs, err := openInput(name+archiveProofs, nil, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("check the archive: %w; the file of its proofs has to lie beside it", err)
	}
	if err != nil {
		return c, fmt.Errorf("check the archive: %w", err)
	}
	defer proofs.Close()
	events, err := openInput(name+archiveEvents, nil, nil)
	if err != nil {
		return c, fmt.Errorf("check the archive: %w", err)
	}
	defer events.Close()
	k := &archiveCheck{CheckedArchive: c, keys: keys, lines: newLines(events.reader, maxLine), last: -1}
	err = eachLine(proofs.reader, maxProofLine, func(number int64, line []byte, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%w: line %d of the proofs: %w", evidence.ErrProof, number, err)
		case k.form == nil:
			return k.head(line)
		}
		return k.part(number, line)
	})
	if err != nil {
		return c, err
	}
	if _, err := k.lines.next(); err != io.EOF {
		return c, fmt.Errorf("%w: after the first %d events, which hold, there is something that no proof is of", evidence.ErrProof, c.Events)
	}
	if c.Checkpoint == nil {
		return c, fmt.Errorf("%w: there are no proofs", evidence.ErrProof)
	}
	if k.altered > 0 {
		more := ""
		if n := k.altered - int64(len(k.named)); n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		return c, fmt.Errorf("%w: %d of its %d events were not what had been recorded any more when they were archived, %s %s%s; all others hold",
			evidence.ErrProof, k.altered, c.Events, c.Kind, strings.Join(k.named, ", "), more)
	}
	return c, nil
}

// archiveCheck is one run of CheckArchive.
type archiveCheck struct {
	*CheckedArchive
	keys   []string
	form   *evidence.Form
	places []int // of the form's fields among those of the kind
	lines  *lines
	last   int64 // the id of the event before

	altered int64    // events that are not what was recorded
	named   []string // their ids, of the first of them
}

func (k *archiveCheck) head(line []byte) error {
	var h archiveHead
	if err := json.Unmarshal(line, &h); err != nil || h.Format != archiveFormat {
		return fmt.Errorf("%w: the proofs are not of the form %s", evidence.ErrProof, archiveFormat)
	}
	if !slices.Contains(audit.Kinds(), h.Kind) || len(h.Fields) > evidence.MaxFields {
		return fmt.Errorf("%w: the proofs are of no kind of events", evidence.ErrProof)
	}
	for _, name := range h.Fields {
		at := h.Kind.Index(name)
		if at < 0 || slices.Contains(k.places, at) {
			return fmt.Errorf("%w: the proofs speak of the field %q, and a %s has no such field, or they do so twice", evidence.ErrProof, name, h.Kind.Singular())
		}
		k.places = append(k.places, at)
	}
	for at, f := range h.Kind.Fields() {
		if !slices.Contains(k.places, at) {
			k.Unproven = append(k.Unproven, f.Name)
		}
	}
	if len(k.keys) == 0 {
		k.keys = h.PublicKeys
	}
	k.Kind, k.form = h.Kind, evidence.NewForm(string(h.Kind), h.Fields...)
	return nil
}

// part checks the next events against their line of proofs.
func (k *archiveCheck) part(number int64, line []byte) error {
	var p evidence.SetProof
	if err := json.Unmarshal(line, &p); err != nil {
		return fmt.Errorf("%w: line %d of the proofs: %w", evidence.ErrProof, number, err)
	}
	if p.Checkpoint != "" {
		checkpoint, signed, err := evidence.OpenCheckpoint(p.Checkpoint, k.keys)
		if err != nil {
			return fmt.Errorf("%w: %w", evidence.ErrProof, err)
		}
		if k.Checkpoint != nil { // what signed all of them
			signed = slices.DeleteFunc(k.Signed, func(s string) bool { return !slices.Contains(signed, s) })
		}
		if len(signed) == 0 {
			return fmt.Errorf("%w: its checkpoint carries no signature of the keys that it was checked with", evidence.ErrProof)
		}
		k.Checkpoint, k.Signed = checkpoint, signed
	}
	if k.Checkpoint == nil {
		return fmt.Errorf("%w: line %d of the proofs leads to no checkpoint", evidence.ErrProof, number)
	}
	var seqs []int64
	var leaves []evidence.Hash
	if p.Events < 1 || p.Events > maxProofEvents {
		return fmt.Errorf("%w: line %d of the proofs is of %d events", evidence.ErrProof, number, p.Events)
	}
	for i := range p.Events {
		text, err := k.lines.next()
		if err != nil {
			return fmt.Errorf("%w: event number %d of the archive cannot be read: %w", evidence.ErrProof, k.Events+int64(i)+1, cut(err))
		}
		seq, leaf, proven, err := k.event(&p, i, text)
		if err != nil {
			return fmt.Errorf("event number %d of the archive: %w", k.Events+int64(i)+1, err)
		}
		if seqs, leaves = append(seqs, seq), append(leaves, leaf); !proven {
			if k.altered++; len(k.named) < alteredNamed {
				k.named = append(k.named, strconv.FormatInt(k.last, 10))
			}
		}
	}
	if err := p.Check(k.Checkpoint, seqs, leaves); err != nil {
		return fmt.Errorf("events number %d to %d of the archive: %w", k.Events+1, k.Events+int64(p.Events), err)
	}
	k.Events += int64(p.Events)
	return nil
}

// event returns the place and the leaf of event number i of a part.
func (k *archiveCheck) event(p *evidence.SetProof, i int, line []byte) (seq int64, leaf evidence.Hash, proven bool, err error) {
	var head struct {
		ID         string `json:"id"`
		Seq        int64  `json:"seq"`
		RecordedAt string `json:"recorded_at"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return 0, leaf, false, fmt.Errorf("%w: %w", evidence.ErrProof, err)
	}
	id, err := strconv.ParseInt(head.ID, 10, 64)
	if err != nil || id <= k.last {
		return 0, leaf, false, fmt.Errorf("%w: its id %q is none, or not above that of the event before", evidence.ErrProof, head.ID)
	}
	k.last = id
	if leaf, is := p.Unproven[i]; is {
		return head.Seq, leaf, false, nil
	}
	e, err := audit.DecodeEvent(line, audit.DecodeOptions{Import: true})
	if err != nil {
		return 0, leaf, false, fmt.Errorf("%w: %w", evidence.ErrProof, err)
	}
	if e.Kind != k.Kind {
		return 0, leaf, false, fmt.Errorf("%w: it is a %s, and the proofs are of %s", evidence.ErrProof, e.Kind.Singular(), k.Kind.Plural())
	}
	values := make([]string, len(k.places))
	for j, at := range k.places {
		values[j] = e.Values()[at]
	}
	leaf, proven, err = p.Leaf(k.form, i, id, head.Seq, head.RecordedAt, e.Source, e.EventID, values)
	return head.Seq, leaf, proven, err
}
