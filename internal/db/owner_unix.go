//go:build unix

package db

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives a file that root makes beside a database to the owner of that, if
// there is a file of it: a server that does not run as root has to read it.
func giveTo(f *os.File, database string) error {
	info, err := os.Stat(database)
	if os.Geteuid() != 0 || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}
