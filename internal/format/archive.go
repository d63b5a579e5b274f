package format

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// Archive is a file of events that are about to be taken out of a database:
// NDJSON, compressed, which import reads back. Whatever Write has returned for
// is durable and complete, also when the program is killed afterwards.
type Archive struct {
	file *os.File // nil until the first Write
	path string
	kind audit.Kind
}

// NewArchive returns an archive in a folder, which has to be there, of events of
// a kind before a time. The file is made by the first Write, so that there is none
// where there was nothing to archive.
func NewArchive(dir string, kind audit.Kind, before, now time.Time) (*Archive, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: errors.New("it is no folder")}
	}
	if err != nil {
		return nil, fmt.Errorf("archive into %s: %w; name a folder that is there", dir, err)
	}
	name := kind.Path() + "-before-" + before.UTC().Format("20060102-150405") + "-" + now.UTC().Format("20060102-150405.000000") + ".ndjson.gz"
	return &Archive{path: filepath.Join(dir, name), kind: kind}, nil
}

// Name is the name of the file, without its folder.
func (a *Archive) Name() string { return filepath.Base(a.path) }

// Write adds events and returns when they are durable. Each call makes a gzip
// member of its own: a reader sees one stream, and no kill tears what is there.
func (a *Archive) Write(events []*db.Stored) error {
	if a.file == nil {
		f, err := os.OpenFile(a.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		a.file = f
		if err := syncFolder(filepath.Dir(a.path)); err != nil {
			return err
		}
	}
	zip := gzip.NewWriter(a.file)
	w, err := NewWriter("ndjson", zip, a.kind)
	if err == nil {
		err = w.Begin()
	}
	for i := 0; i < len(events) && err == nil; i++ {
		err = w.Write(events[i])
	}
	if err == nil {
		err = w.End()
	}
	if err == nil {
		err = zip.Close()
	}
	if err == nil {
		err = a.file.Sync()
	}
	return err
}

// Close closes the file.
func (a *Archive) Close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

// syncFolder makes the name of a new file durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
