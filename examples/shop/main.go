// Command shop is a small shop that audits itself: what its staff do is read in
// auditadmin beside it. `make example` runs both.
//
// What the audit costs a program is in [open], and a line here and there in the
// handlers: who signed in, what was exported, why something was done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "shop: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var c config
	addr := flag.String("addr", "127.0.0.1:8090", "where to listen")
	file := flag.String("audit", "audit.db", "the audit database, a file")
	server := flag.String("server", "", "the address of an auditadmin server, instead of a file; its token is taken from AUDIT_TOKEN")
	drive := flag.Bool("drive", false, "click through the shop as its staff and an attacker would, again and again")
	flag.StringVar(&c.database, "db", "shop.db", "the shop's own database, a file")
	flag.StringVar(&c.spool, "spool", "audit.spool", "where events wait while the audit database is away, a directory")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("there is nothing to do with %q; see shop -help", flag.Args())
	}

	// Where the events go: a file that is shared with auditadmin, or its server.
	if *server != "" {
		remote, err := audit.NewRemote(*server, os.Getenv("AUDIT_TOKEN"))
		if err != nil {
			return err
		}
		c.sink = remote
	} else {
		db, err := auditdb.Open(ctx, *file)
		if err != nil {
			return err
		}
		defer db.Close()
		c.sink = db
	}
	c.slowRequest = 500 * time.Millisecond // so that the slow page is one
	s, err := open(ctx, c)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return errors.Join(err, s.close(ctx))
	}
	web := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	address := "http://" + listener.Addr().String()
	fmt.Printf("  The shop  %s   sign in as anna or ben, password %q\n", address, staffPassword)

	if *drive {
		err = keepVisiting(ctx, address)
	} else {
		select {
		case <-ctx.Done():
		case err = <-served:
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, web.Shutdown(end), s.close(end))
}
