package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/auditadmin/auditadmin/internal/db"
)

// version is the version of this source; CHANGELOG.md says what is in it.
const version = "0.1.0"

// commit is set by the linker, see the Makefile. Without it the go command's
// own note of the commit is used.
var commit string

type versionCommand struct{}

// Run prints the versions of what this program is made of.
func (c *versionCommand) Run(p *process) error {
	_, err := fmt.Fprintf(p.stdout, "auditadmin %s\ncommit %s\n%s\n%s\n", version, builtFrom(), db.EngineVersion(), runtime.Version())
	return err
}

// builtFrom is the commit of the source, as far as it is known.
func builtFrom() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = cmp.Or(commit, s.Value)
			}
		}
	}
	return cmp.Or(commit, "unknown")
}
