package format

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// An archive is two files: the events, which import reads, and beside them what
// proves that they stood in the ledger, each at its place.
const (
	archiveEvents = ".ndjson.gz"
	archiveProofs = ".proofs.gz"
	archiveFormat = "auditadmin-archive-proofs/1"
)

// archiveHead is the first line of the proofs. Each further one is an
// evidence.SetProof of so many events as it says, in the order of the file; its
// checkpoint is absent where it is that of the line before.
type archiveHead struct {
	Format     string     `json:"format"`
	Kind       audit.Kind `json:"kind"`
	Fields     []string   `json:"fields"`      // that a leaf commits to, in its order
	PublicKeys []string   `json:"public_keys"` // that the checkpoints can be checked with
}

// Archive is a file of events that are about to be taken out of a database:
// NDJSON, compressed, which import reads back, with their proofs in another one.
// Whatever Write has returned for is durable and complete, also when the program
// is killed afterwards.
type Archive struct {
	kind       audit.Kind
	path       string
	events     *os.File // nil until the first Write, as the next one
	proofs     *os.File // nil also where there is no key to prove with
	checkpoint string   // of the part before
	parts      []archivePart
}

// archivePart is a part that was written: its last id, and what there was before it.
type archivePart struct {
	last           int64
	events, proofs int64 // bytes of the files
	checkpoint     string
}

// NewArchive returns an archive in a folder, which has to be there, of events of
// a kind before a time. The files are made by the first Write, so that there are none
// where there was nothing to archive.
func NewArchive(dir string, kind audit.Kind, before, now time.Time) (*Archive, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: errors.New("it is no folder")}
	}
	if err != nil {
		return nil, fmt.Errorf("archive into %s: %w; name a folder that is there", dir, err)
	}
	name := kind.Path() + "-before-" + before.UTC().Format("20060102-150405") + "-" + now.UTC().Format("20060102-150405.000000") + archiveEvents
	return &Archive{path: filepath.Join(dir, name), kind: kind}, nil
}

// Name is the name of the file of events, without its folder.
func (a *Archive) Name() string { return filepath.Base(a.path) }

// Proven reports whether what was written has its proofs beside it.
func (a *Archive) Proven() bool { return a.proofs != nil }

// Write adds events and returns when they are durable, with their proofs. Each
// call makes a gzip member of its own in each file: a reader sees one stream, and
// no kill tears what is there. Events take the place of all those before that end
// after they begin.
func (a *Archive) Write(part db.PurgePart) error {
	if len(part.Events) == 0 {
		return nil
	}
	if err := a.begin(part); err != nil {
		return err
	}
	err := appendMember(a.events, func(w io.Writer) error {
		var line []byte
		out := bufio.NewWriterSize(w, 64<<10)
		for _, st := range part.Events {
			line = appendLine(line[:0], st)
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
		return out.Flush()
	})
	if err != nil || a.proofs == nil {
		return err
	}
	proof := *part.Proof
	if proof.Checkpoint == a.checkpoint {
		proof.Checkpoint = ""
	} else {
		a.checkpoint = proof.Checkpoint
	}
	return appendMember(a.proofs, func(w io.Writer) error {
		lines := json.NewEncoder(w)
		lines.SetEscapeHTML(false)
		if a.parts[len(a.parts)-1].proofs == 0 {
			if err := lines.Encode(archiveHead{archiveFormat, a.kind, db.StatedFields(a.kind), part.PublicKeys}); err != nil {
				return err
			}
		}
		return lines.Encode(proof)
	})
}

// begin makes the files, or goes back to before the parts whose place this one takes.
func (a *Archive) begin(part db.PurgePart) (err error) {
	if a.events == nil {
		if a.events, err = create(a.path); err == nil && part.Proof != nil {
			a.proofs, err = create(strings.TrimSuffix(a.path, archiveEvents) + archiveProofs)
		}
		if err == nil {
			err = syncFolder(filepath.Dir(a.path))
		}
		if err != nil {
			return err
		}
	}
	keep := len(a.parts)
	for keep > 0 && a.parts[keep-1].last >= part.Events[0].ID {
		keep--
	}
	if keep < len(a.parts) {
		back := a.parts[keep]
		a.parts, a.checkpoint = a.parts[:keep], back.checkpoint
		if err = cutBack(a.events, back.events); err == nil && a.proofs != nil {
			err = cutBack(a.proofs, back.proofs)
		}
		if err != nil {
			return err
		}
	}
	now := archivePart{last: part.Events[len(part.Events)-1].ID, checkpoint: a.checkpoint}
	if now.events, err = a.events.Seek(0, io.SeekEnd); err == nil && a.proofs != nil {
		now.proofs, err = a.proofs.Seek(0, io.SeekEnd)
	}
	a.parts = append(a.parts, now)
	return err
}

// appendMember appends a gzip member to a file and returns when it is durable.
func appendMember(f *os.File, write func(io.Writer) error) error {
	zip := gzip.NewWriter(f)
	err := write(zip)
	if err == nil {
		err = zip.Close()
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}

func cutBack(f *os.File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	_, err := f.Seek(size, io.SeekStart)
	return err
}

// Close closes the files.
func (a *Archive) Close() error {
	var err error
	for _, f := range []*os.File{a.events, a.proofs} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// syncFolder makes the names of new files durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
