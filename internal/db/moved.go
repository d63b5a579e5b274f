package db

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// watch remembers the file. Where it is deleted or replaced while it is open we
// hold a file without a name: what is written there is gone when the program
// ends, so it must never be acknowledged.
func (sqliteDialect) watch(path string) (inPlace func() error, err error) {
	opened, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("look at the database: %w", err)
	}
	return func() error {
		now, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: %s was deleted or moved while it was open; put it back and start again", ErrMoved, path)
		case err == nil && !os.SameFile(opened, now):
			return fmt.Errorf("%w: %s was replaced while it was open; stop, delete what is left of its -wal and -shm files, and start again", ErrMoved, path)
		}
		return nil // what cannot be looked at may well be there
	}, nil
}
