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

// lockFolder returns nil where another program has the right.
func lockFolder(folder string) *folderLock {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil
	}
	return &folderLock{f}
}

func (l *folderLock) release() { l.file.Close() }
