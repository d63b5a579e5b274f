package db

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The right to write the files of columns is that of the first program which asks. A
// server lives for long, and keeps in memory what it cannot write: a command that has
// the right gives it up to a server that starts, who asks for it by a file.
const (
	claimFile  = "claim"
	claimWait  = 3 * time.Second // a command looks every sealPause
	claimPause = 20 * time.Millisecond
)

// claim returns the right to write to the folder, or nil where another program has it
// and keeps it. A server waits for a command to cede it.
func (f *sealed) claim(ctx context.Context, served bool) (lock *folderLock, err error) {
	claim := filepath.Join(f.folder, claimFile)
	defer func() {
		if lock != nil {
			f.say(served)
			os.Remove(claim) // of a server that was killed as well
		}
	}()
	if lock, err = lockFolder(f.folder); lock != nil || err != nil || !served || f.server() {
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

// serverName is what the file of the lock says while a server has it.
const serverName = "server\n"

// say tells others whether a server has the lock. If that fails they wait in vain.
func (f *sealed) say(served bool) {
	text := ""
	if served {
		text = serverName
	}
	_ = os.WriteFile(filepath.Join(f.folder, lockFile), []byte(text), 0o600)
}

// server reports whether a server has the lock.
func (f *sealed) server() bool {
	text, err := os.ReadFile(filepath.Join(f.folder, lockFile))
	return err == nil && string(text) == serverName
}

// cede gives up the right where a server asks for it: what this program has not written
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
