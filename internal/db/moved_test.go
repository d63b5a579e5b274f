package db

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestFileThatIsNoLongerThere takes the file away under an open store: nothing
// is acknowledged that would be gone with the process.
func TestFileThatIsNoLongerThere(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"deleted": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".old") },
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", []byte("another file"), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.db")
			s := openAt(t, path)
			mustAppend(t, s, event(t))
			if err := take(path); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Append(t.Context(), []*audit.Event{event(t)}); !errors.Is(err, ErrMoved) {
				t.Errorf("append: got %+v, %v; want ErrMoved", got, err)
			}
			if err := s.Ping(t.Context()); !errors.Is(err, ErrMoved) {
				t.Errorf("ping: got %v, want ErrMoved", err)
			}
		})
	}
}
