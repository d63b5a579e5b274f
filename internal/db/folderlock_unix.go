//go:build unix

package db

import (
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
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, nil
	}
	return &folderLock{f}, nil
}

func (l *folderLock) release() { l.file.Close() }
