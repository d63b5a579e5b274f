// Package need is for tests that need what a machine may not have: real data
// beside the checkout, a browser, a network. They skip visibly where it is
// missing, and fail where the environment says that nothing may be skipped, so
// that a check which never ran is not taken for one that passed.
package need

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// NoSkip is the environment variable that turns every skip into a failure when
// it is not empty.
const NoSkip = "AUDITADMIN_NO_SKIP"

// Skip ends a test that cannot run. The message says what is missing and, where
// it can be had, how.
func Skip(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv(NoSkip) != "" {
		t.Fatalf("%s is set and this test cannot run: %s", NoSkip, missing)
	}
	t.Skip(missing)
}

// Unpackaged ends a test that needs what no package brings, such as a cluster. It is
// skipped visibly, also where nothing may be skipped: no machine can be made to have
// it. The message says what is missing.
func Unpackaged(t testing.TB, missing string) {
	t.Helper()
	t.Skip(missing)
}

// Root returns the directory of the repository: the one that holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("find the repository: %v", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("find the repository: no go.mod above the working directory")
		}
		dir = parent
	}
}

// Shared returns the path of a file or directory of the shared material beside
// the repository, such as "data/history-sp500", or skips the test where it is
// absent. What is found there is read in place and never written.
func Shared(t testing.TB, path string) string {
	t.Helper()
	full := filepath.Join(Root(t), "..", "shared", filepath.FromSlash(path))
	if _, err := os.Stat(full); err != nil {
		Skip(t, "../shared/"+path+" is missing: it is real data kept beside the repository")
	}
	return full
}

// Program returns the path of the first of the named programs that is
// installed, or skips the test saying how to get one.
func Program(t testing.TB, hint string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Skip(t, names[0]+" is missing: "+hint)
	return ""
}
