// Command bench measures auditadmin as people and programs meet it, and prints
// one table: whole pages over HTTP, appends, exports, imports, memory. It fills
// a database with `auditadmin demo`, serves it with `auditadmin serve`, signs in
// over /login and asks. It never fails for being slow: figures belong to a
// machine, and whoever reads them judges.
//
//	go run ./internal/bench -sizes 100000,1000000
//	go run ./internal/bench -docs docs
//
// The first measures and writes down what it found, the second turns that into
// the table and the plot of docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// options are what a run was asked to do.
type options struct {
	sizes    []int
	dir      string // where databases are made and found again
	db       string // a database of its own, for one size
	results  string
	docs     string
	asks     int // of each class of pages
	only     *regexp.Regexp
	addr     string
	profiles string         // of which classes CPU profiles are written
	classes  *regexp.Regexp // that are asked for; nil for all
}

func main() {
	var o options
	sizes, only := "", ""
	flag.StringVar(&sizes, "sizes", "100000,1000000", "how many audit logs, in each database")
	flag.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "auditadmin-bench"), "the folder of the databases; one that is there is used again")
	flag.StringVar(&o.db, "db", "", "a database made before by `auditadmin demo`, instead of one in -dir; or the address of an empty one of PostgreSQL")
	flag.StringVar(&o.results, "results", filepath.Join("bin", "bench.json"), "the file that keeps the figures")
	flag.StringVar(&o.docs, "docs", "", "measure nothing: write the table and the plot of this folder's performance.md from -results")
	flag.IntVar(&o.asks, "asks", 200, "how many requests of each class of pages")
	flag.StringVar(&only, "only", ".", "which steps, a regular expression: "+strings.Join(stepNames(), " "))
	flag.StringVar(&o.addr, "addr", "127.0.0.1:9130", "where the server listens meanwhile")
	flag.StringVar(&o.profiles, "profile", "", "of which classes of pages CPU profiles are written into -dir, a regular expression")
	flag.Func("classes", "which classes of pages, a regular expression", func(text string) (err error) {
		o.classes, err = regexp.Compile(text)
		return err
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, sizes, only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, sizes, only string) error {
	if err := os.MkdirAll(filepath.Dir(o.results), 0o755); err != nil {
		return err
	}
	book, err := readBook(o.results)
	if err != nil {
		return err
	}
	if o.docs != "" {
		return writeDocs(o.docs, book)
	}
	if o.only, err = regexp.Compile(only); err != nil {
		return err
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if err != nil || n < 1000 {
			return fmt.Errorf("-sizes %s: give numbers from 1000 on, divided by commas", text)
		}
		o.sizes = append(o.sizes, n)
	}
	if o.db != "" && len(o.sizes) != 1 {
		return errors.New("-db names one database; give its one size with -sizes")
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	program, err := build(ctx, o.dir)
	if err != nil {
		return err
	}
	for _, n := range o.sizes {
		b := &bench{options: o, program: program, size: n, file: o.db}
		engine := ""
		if b.onServer() {
			engine = postgres
		}
		b.run = book.of(n, engine)
		if b.file == "" {
			b.file = filepath.Join(o.dir, "audit-"+strconv.Itoa(n)+".db")
		}
		b.run.Date, b.run.Machine = time.Now().UTC().Format(time.DateOnly), machine()
		err := b.measure(ctx)
		if saved := book.write(o.results); err == nil { // what was measured until then stays
			err = saved
		}
		if err != nil {
			return err
		}
	}
	fmt.Println()
	book.print(os.Stdout)
	return nil
}

// bench measures one size.
type bench struct {
	options
	program string // the binary
	size    int
	file    string
	run     *figures

	site *site
	draw *draw
}

// steps are what is measured, in this order. The first ones leave the database
// as it is; the others work on a copy of it.
var steps = []struct {
	name string
	copy bool
	do   func(*bench, context.Context) error
}{
	{"fill", false, (*bench).fill},
	{"start", false, (*bench).start},
	{"pages", false, (*bench).pages},
	{"readers", false, (*bench).readers},
	{"work", false, (*bench).work},
	{"profile", false, (*bench).profile},
	{"verify", false, (*bench).verify},
	{"export", false, (*bench).export},
	{"late", true, (*bench).late},
	{"writer", true, (*bench).writer},
	{"append", true, (*bench).append},
	{"purge", true, (*bench).purge},
}

// serverSteps are those that a database of a server is put through; what they
// add to it stays.
var serverSteps = regexp.MustCompile("^(fill|start|pages|readers|work|profile|verify|writer|append)$")

func stepNames() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

// measure takes the steps that were asked for.
func (b *bench) measure(ctx context.Context) error {
	whole := b.file
	defer func() {
		b.stop()
		if b.file != whole {
			remove(b.file)
		}
	}()
	for _, s := range steps {
		if !b.only.MatchString(s.name) && s.name != "fill" || b.onServer() && !serverSteps.MatchString(s.name) {
			continue
		}
		if s.copy && b.file == whole && !b.onServer() {
			b.stop()
			b.file = strings.TrimSuffix(whole, ".db") + "-copy.db"
			remove(b.file)
			if err := copyDatabase(whole, b.file); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "%s audit logs: %s\n", thousands(b.size), s.name)
		if err := s.do(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// machine says in a few words what this is.
func machine() string {
	name := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.SplitSeq(string(info), "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores (%s), %s", runtime.NumCPU(), name, runtime.Version())
}
