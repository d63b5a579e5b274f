package db

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// publish gives a file that is whole the name that it is looked for under, in the same
// folder or another one of the disk, and returns when that is on the disk. It replaces
// nothing: the error wraps fs.ErrExist where there is a file of that name. On an error
// there is none of ours.
func publish(f *os.File, name string) error { return publishBy(os.Link, f, name) }

func publishBy(link func(from, to string) error, f *os.File, name string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	err := link(f.Name(), name) // unlike a rename it fails where there is one
	switch {
	case err == nil:
		err = os.Remove(f.Name())
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported): // as on a stick, whose file system has no links
		err = renameFresh(f.Name(), name)
		if err != nil {
			return err
		}
	default:
		return err
	}
	if err = errors.Join(err, syncFolder(filepath.Dir(name))); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// renameFresh is a rename that replaces nothing: the name is taken first.
func renameFresh(from, to string) error {
	taken, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(taken.Close(), os.Rename(from, to)); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}
