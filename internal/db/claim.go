package db

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The lock of the folder of columns goes to the first program which acquires it. A
// server lives for long, and keeps in memory what it cannot write: one that finds the
// lock with a command claims it, by a file, and the command cedes it.
const (
	claimFile  = "claim"
	claimWait  = 3 * time.Second // a command looks every sealPause
	claimPause = 20 * time.Millisecond
)

// acquire returns the folder's lock, or nil where another program has it and keeps it. A
// server claims it from a command, and waits for it.
func (f *sealed) acquire(ctx context.Context, served bool) (lock *folderLock, err error) {
	claim := filepath.Join(f.folder, claimFile)
	defer func() {
		if lock != nil {
			f.sign(served)
			os.Remove(claim) // of a server that was killed as well
		}
	}()
	if lock, err = lockFolder(f.folder); lock != nil || err != nil || !served || f.signed() {
		return lock, err
	}
	if err := os.WriteFile(claim, nil, 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(claim)
	for end := time.Now().Add(claimWait); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(claimPause):
		}
		if lock, err = lockFolder(f.folder); lock != nil || err != nil {
			return lock, err
		}
	}
	return nil, nil
}

// serverName is what the file of the lock says while a server holds it.
const serverName = "server\n"

// sign tells others whether it is a server that holds the lock. If that fails they wait in
// vain.
func (f *sealed) sign(served bool) {
	text := ""
	if served {
		text = serverName
	}
	_ = os.WriteFile(filepath.Join(f.folder, lockFile), []byte(text), 0o600)
}

// signed reports whether it is a server that holds the lock.
func (f *sealed) signed() bool {
	text, err := os.ReadFile(filepath.Join(f.folder, lockFile))
	return err == nil && string(text) == serverName
}

// cede gives up the lock where a server claims it: what this program has not written
// the other one makes from the rows. The caller holds work.
func (f *sealed) cede() {
	if f.lock == nil {
		return
	}
	if _, err := os.Stat(filepath.Join(f.folder, claimFile)); errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.lock.release()
	f.lock = nil
}
