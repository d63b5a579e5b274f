//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// lockDir takes a directory for this recorder alone, by a file that has to be
// deleted by hand after a crash: this system has no lock that ends by itself.
func lockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w; if no process uses it, delete %s", ErrSpoolBusy, path)
	} else if err != nil {
		return nil, err
	}
	return lockFile{f}, nil
}

type lockFile struct{ *os.File }

func (l lockFile) Close() error { return errors.Join(l.File.Close(), os.Remove(l.Name())) }

// syncDir does nothing where it is not known to work.
func syncDir(string) error { return nil }
