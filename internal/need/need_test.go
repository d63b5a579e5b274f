package need_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/auditadmin/auditadmin/internal/need"
)

// outcome is a testing.TB that remembers how it first ended instead of ending.
type outcome struct {
	testing.TB
	ended string
}

func (o *outcome) end(how string) {
	if o.ended == "" {
		o.ended = how
	}
}
func (o *outcome) Helper()               {}
func (o *outcome) Skip(...any)           { o.end("skipped") }
func (o *outcome) Skipf(string, ...any)  { o.end("skipped") }
func (o *outcome) Fatalf(string, ...any) { o.end("failed") }

func TestSkip(t *testing.T) {
	for _, test := range []struct{ variable, want string }{
		{"", "skipped"},
		{"1", "failed"},
	} {
		t.Setenv(need.NoSkip, test.variable)
		var o outcome
		need.Skip(&o, "something is missing")
		if got := o.ended; got != test.want {
			t.Errorf("%s=%q: got %q, want %q", need.NoSkip, test.variable, got, test.want)
		}
	}
}

func TestUnpackaged(t *testing.T) {
	t.Setenv(need.NoSkip, "1")
	var o outcome
	need.Unpackaged(&o, "something is missing")
	if o.ended != "skipped" {
		t.Errorf("a test without what no package brings %s, want it skipped", o.ended)
	}
}

func TestRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(need.Root(t), "schema.sql")); err != nil {
		t.Errorf("Root is not the repository: %v", err)
	}
}
