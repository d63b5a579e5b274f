package db

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/auditadmin/auditadmin/internal/evidence"
)

// KeyPath returns where the key file of a database is: beside is its path, or
// what Store.Beside says.
func KeyPath(beside string) string { return beside + ".key" }

// ReadKeys reads a key file. It refuses one that others than its owner may read
// or write. The error wraps fs.ErrNotExist where there is none.
func ReadKeys(path string) (*evidence.Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("read the key file %s: others may read or write it (mode %04o): chmod 600 it, and think about 'auditadmin key rotate'", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the key file %s: %w", path, err)
	}
	keys, err := evidence.ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("read the key file %s: %w; put back a copy of it", path, err)
	}
	return keys, nil
}

// WriteKeys writes a key file that only its owner may read, in one step and
// durably. Where fresh is set it never replaces one: the error then wraps
// fs.ErrExist.
func WriteKeys(path string, keys *evidence.Keys, fresh bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the key file %s: %w", path, err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(keys.Text())
	if err := errors.Join(err, giveTo(f, strings.TrimSuffix(path, KeyPath(""))), f.Sync(), f.Close()); err != nil {
		return err
	}
	if fresh {
		err = os.Link(f.Name(), path) // unlike a rename it fails where there is one
	} else {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable. Windows keeps them so by itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// keys returns the keys beside the database, and nil where there is no key file.
func (s *Store) keys() (*evidence.Keys, error) {
	keys, err := ReadKeys(KeyPath(s.beside))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return keys, err
}
