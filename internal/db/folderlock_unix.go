//go:build unix

package db

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// folderLock is held by the one program that may write to the folder of columns. It
// ends with the program, however that ends.
type folderLock struct{ file *os.File }

// lockFolder makes the folder where there is none, and returns nil where another
// program holds it.
func lockFolder(folder string) (*folderLock, error) { return lockFolderBy(syscall.Flock, folder) }

func lockFolderBy(flock func(fd, how int) error, folder string) (*folderLock, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(folder, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return &folderLock{f}, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = nil
	default: // a file system over a network may have no locks
		err = fmt.Errorf("lock %s: %w; put it on a file system that has locks, and start this program again", f.Name(), err)
	}
	f.Close()
	return nil, err
}

func (l *folderLock) release() { l.file.Close() }
