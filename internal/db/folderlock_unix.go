//go:build unix

package db

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// folderLock is the right to write to the folder of columns. It ends with the
// program, however that ends.
type folderLock struct{ file *os.File }

// lockFolder makes the folder where there is none, and returns nil where another
// program has the right.
func lockFolder(folder string) (*folderLock, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(folder, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w; the folder has to be on a file system that knows locks", folder, err)
	}
	return &folderLock{f}, nil
}

func (l *folderLock) release() { l.file.Close() }
