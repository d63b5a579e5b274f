package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/auditadmin/auditadmin/internal/format"
)

// grammar is the command line: one field a subcommand, each in a file of its
// name. A flag that has an `environment` tag is read from there where it is not
// given.
type grammar struct {
	Serve    serveCommand    `cmd:"" help:"Serve the pages; create or upgrade the database first."`
	Demo     demoCommand     `cmd:"" help:"Serve a throw-away database with believable events."`
	User     userCommands    `cmd:"" help:"Manage the accounts that may sign in."`
	Token    tokenCommands   `cmd:"" help:"Manage the keys of programs."`
	Import   importCommand   `cmd:"" help:"Read events from files."`
	Search   searchCommand   `cmd:"" help:"Show the events that match a query."`
	Export   exportCommand   `cmd:"" help:"Write the events that match a query to stdout."`
	Track    trackCommands   `cmd:"" help:"Record what changes in the tables of an application."`
	Summary  summaryCommand  `cmd:"" help:"Count what happened in the last days."`
	Purge    purgeCommand    `cmd:"" help:"Take old events away for good, archived first."`
	Backup   backupCommand   `cmd:"" help:"Copy the database while it is in use, and verify the copy."`
	Copy     copyCommand     `cmd:"" help:"Copy a database to another place or engine, and compare every row."`
	Verify   verifyCommand   `cmd:"" help:"Check the evidence: that nothing was altered, added or taken away unseen."`
	Prove    proveCommands   `cmd:"" help:"Write or check the proof of one event."`
	Key      keyCommands     `cmd:"" help:"Show or rotate the key that signs checkpoints."`
	Evidence evidenceCommand `cmd:"" help:"Write the events that match a query with their proofs, for an auditor."`
	DB       dbCommands      `cmd:"" name:"db" help:"Prepare a database on a server."`
	Salvage  salvageCommand  `cmd:"" help:"Keep what can be read of a damaged database."`
	Version  versionCommand  `cmd:"" help:"Print version, commit and SQLite version."`
}

const description = `Browse, search and resolve audit events.

A database is a file, or one on a PostgreSQL server; --db names it on every command. Flags beat the environment, which beats the defaults. ` +
	`The exit code is 0 when it is done, 1 when it failed and 2 when the command line is wrong.`

// options are what the grammar is parsed with.
func options(p *process, environ []string, helped *bool) []kong.Option {
	return []kong.Option{
		kong.Name("auditadmin"),
		kong.Description(description),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(int) { *helped = true }), // kong exits by itself for --help alone
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Resolvers(fromEnvironment(environ)),
		kong.Vars{"formats": strings.Join(format.Readable(), ",")},
		kong.ValueFormatter(func(v *kong.Value) string {
			if name := v.Tag.Get("environment"); name != "" {
				return strings.TrimSuffix(v.Help, ".") + " ($" + name + ")."
			}
			return v.Help
		}),
	}
}

// fromEnvironment finds the value of a flag in the environment. An empty
// variable is no value.
func fromEnvironment(environ []string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		name := flag.Tag.Get("environment")
		if name == "" {
			return nil, nil
		}
		for _, pair := range slices.Backward(environ) {
			if key, value, _ := strings.Cut(pair, "="); key == name && value != "" {
				return value, nil
			}
		}
		return nil, nil
	})
}

// setQueryApart marks a query at the end of the arguments as one, where it
// begins with a minus and would be taken for a flag: search '-module:auth'.
func setQueryApart(args []string) []string {
	if len(args) < 2 || args[0] != "search" && args[0] != "export" || slices.Contains(args, "--") {
		return args
	}
	last := args[len(args)-1]
	if !strings.HasPrefix(last, "-") || strings.HasPrefix(last, "--") || last == "-" || last == "-h" {
		return args
	}
	return append(slices.Clone(args[:len(args)-1]), "--", last)
}

// negativeNumbers writes a negative number after a flag as that flag's value,
// --limit=-1: apart it would be taken for a flag or a query, and the command says
// better than the parser what is wrong with it.
func negativeNumbers(args []string) []string {
	var joined []string
	for i, arg := range args {
		digits, minus := strings.CutPrefix(arg, "-")
		if _, err := strconv.ParseUint(digits, 10, 64); err == nil && minus && i > 0 {
			if before := args[i-1]; strings.HasPrefix(before, "--") && before != "--" && !strings.Contains(before, "=") {
				joined[len(joined)-1] += "=" + arg
				continue
			}
		}
		joined = append(joined, arg)
	}
	return joined
}

// explain says what is wrong with a command line, and where to read on.
func explain(parser *kong.Kong, err error) error {
	help := "auditadmin --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		if node := parse.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
			if node.Name == "search" || node.Name == "export" {
				switch {
				case strings.HasPrefix(err.Error(), "unexpected argument"):
					return fmt.Errorf("%w: put the whole query between one pair of quotes, as in '%s'", err, `user:alice "gift card"`)
				case strings.HasPrefix(err.Error(), "unknown flag"):
					return fmt.Errorf("%w; a query that begins with a minus comes last; see %s", err, help)
				}
			}
		}
	}
	return fmt.Errorf("%w; see %s", err, help)
}
