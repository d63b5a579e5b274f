package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestScriptsOnPostgreSQL runs testdata/postgres: commands that work with databases
// on a server, whose addresses are in the environment.
func TestScriptsOnPostgreSQL(t *testing.T) {
	server := pgtest.New(t)
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/postgres",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"kills": runKills},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("AUDITADMIN_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			for _, name := range []string{"FIRST", "SECOND", "THIRD"} {
				env.Setenv(name, server.Database(t, ""))
			}
			return nil
		},
	})
}

// runKills runs a command again and again and kills it each time, a little later
// on average: kills COUNT COMMAND….
func runKills(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	killed := 0
	for i := range count {
		cmd := exec.Command(programOf(ts), args[1:]...)
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = append(os.Environ(), "AUDITADMIN_STATE_DIR="+ts.Getenv("AUDITADMIN_STATE_DIR"))
		ts.Check(cmd.Start())
		time.Sleep(time.Duration(10+rand.IntN(40*(i+1))) * time.Millisecond)
		_ = cmd.Process.Kill() // it may be done
		var exit *exec.ExitError
		if err := cmd.Wait(); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
			killed++
		} else {
			ts.Check(err)
		}
	}
	ts.Logf("killed %d of %d", killed, count)
	if killed == 0 {
		ts.Fatalf("nothing was killed: this shows nothing")
	}
}

// programOf is the path of auditadmin in a script.
func programOf(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, "auditadmin")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	ts.Fatalf("there is no auditadmin in the PATH of the script")
	return ""
}
