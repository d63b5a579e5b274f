package main

import (
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"auditadmin": main})
}

// TestScripts runs testdata/script: every command as somebody types it, and
// what it answers. The scripts are a manual, too.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sql":    runSQL,
			"lines":  compareLines,
			"server": runServer,
			"kills":  runKills,
			"taken":  takePort,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			return nil
		},
	})
}

// runSQL does what somebody with his own tools may do to a database file:
// sql FILE STATEMENT.
func runSQL(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sql file statement")
	}
	store, err := sql.Open("sqlite3", ts.MkAbs(args[0]))
	ts.Check(err)
	defer store.Close()
	_, err = store.Exec(args[1])
	ts.Check(err)
}

// takePort listens on a free port until the script ends, and leaves its address
// in a variable: taken VARIABLE.
func takePort(ts *testscript.TestScript, _ bool, args []string) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { taken.Close() })
	ts.Setenv(args[0], taken.Addr().String())
}

// compareLines checks that two files hold the same lines, in any order, after
// the named JSON keys are taken out: lines FILE FILE KEY….
func compareLines(ts *testscript.TestScript, neg bool, args []string) {
	var files [2][]string
	for i, name := range args[:2] {
		text, err := os.ReadFile(filepath.Clean(ts.MkAbs(name)))
		ts.Check(err)
		for line := range strings.Lines(string(text)) {
			for _, key := range args[2:] {
				line = withoutKey(line, key)
			}
			files[i] = append(files[i], line)
		}
		slices.Sort(files[i])
	}
	if same := slices.Equal(files[0], files[1]); same == neg {
		ts.Fatalf("%s has %d lines and %s %d, and they are the same: %v", args[0], len(files[0]), args[1], len(files[1]), same)
	}
}

// withoutKey takes a key with a text or a number as its value out of a line of
// JSON, wherever it stands first.
func withoutKey(line, key string) string {
	start := strings.Index(line, `"`+key+`":`)
	if start < 0 {
		return line
	}
	end := start + len(key) + 3
	if line[end] == '"' {
		end++
		for line[end] != '"' || line[end-1] == '\\' {
			end++
		}
		end++
	} else {
		end += strings.IndexAny(line[end:], ",}")
	}
	if line[end] == ',' {
		end++
	}
	return line[:start] + line[end:]
}
