// Command auditadmin serves an audit database to the people who have to read
// it, and does from a terminal what they do on its pages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/auditadmin/auditadmin/internal/query"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// process is what a command has of the world around it.
type process struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	user           string // who runs it, as the operating system names him
}

// usageError is a command line that was not understood.
type usageError struct{ error }

// run is the whole program: it does what the arguments say and returns the exit
// code. Errors are one line on stderr.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &process{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now, user: osUser()}
	var helped bool
	parser, err := kong.New(&grammar{}, options(p, environ, &helped)...)
	if err != nil {
		panic(err) // the grammar is part of the program
	}
	command, err := parser.Parse(setQueryApart(negativeNumbers(args)))
	if helped {
		return exitDone
	}
	if err != nil {
		p.complain(usageError{explain(parser, err)})
		return exitUsage
	}
	if err := command.Run(p); err != nil {
		return p.complain(err)
	}
	return exitDone
}

// complain prints an error in one line, and returns the exit code it stands for.
func (p *process) complain(err error) int {
	fmt.Fprintln(p.stderr, "auditadmin: "+oneLine(err.Error()))
	var usage usageError
	var syntax *query.SyntaxError
	if errors.As(err, &usage) || errors.As(err, &syntax) {
		return exitUsage
	}
	return exitFailed
}

// say prints a line for a person, beside whatever stdout is for.
func (p *process) say(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) }

// terminal reports whether a stream is a terminal, and how many columns it has.
func terminal(stream any) (columns int, is bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return columns, err == nil
}

// osUser names whoever runs the program, for the record of what he does.
func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprint(os.Getuid())
}

// oneLine joins the lines of a text, so that an error stays one line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
