package db

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPublish: a file comes by its name when it is on the disk and not before, and never
// in the place of another one, also where the file system has no links.
func TestPublish(t *testing.T) {
	noLinks := func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM} }
	for name, link := range map[string]func(string, string) error{"links": os.Link, "none": noLinks} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			part, path := filepath.Join(folder, ".part"), filepath.Join(folder, "backup.db")
			write := func(text string) *os.File {
				if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				f, err := os.Open(part)
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			lost := write("what cannot be synced")
			lost.Close()
			if err := publishBy(link, lost, path); err == nil {
				t.Error("what is not on the disk got its name")
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a file of that name: %v", err)
			}
			f := write("first")
			defer f.Close()
			if err := publishBy(link, f, path); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(part); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the old name is still there: %v", err)
			}
			second := write("second")
			defer second.Close()
			if err := publishBy(link, second, path); !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v, want that there is one of that name", err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "first" {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}
