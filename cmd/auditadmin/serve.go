package main

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin/audit/geo"
	"github.com/auditadmin/auditadmin/internal/db"
)

type serveCommand struct {
	database
	address
	signInFlags
	sinkFlag
	ReadDB string `name:"read-db" environment:"AUDITADMIN_READ_DB" placeholder:"URL" help:"A streaming replica of the database, postgres://…: what pages show is read there."`
	GeoIP  string `name:"geoip" environment:"AUDITADMIN_GEOIP" placeholder:"FILE" help:"A database of places (.mmdb), to record from which country people sign in here."`
}

// By how many percent the heap grows between two collections. Most of what a server
// keeps in memory stays there: half as much again before the next one, instead of
// twice as much, costs few cycles and saves hundreds of megabytes at ten million
// events. A verification keeps hardly anything, and would collect all the time.
const (
	servedGC   = 50
	verifiedGC = 400
)

// collectAt sets the percentage where the environment does not.
func collectAt(percent int) {
	if _, chosen := os.LookupEnv("GOGC"); !chosen {
		debug.SetGCPercent(percent)
	}
}

// Run serves until it is interrupted.
func (c *serveCommand) Run(p *process) error {
	collectAt(servedGC)
	place, err := c.listen(p.ctx)
	if err != nil {
		return err
	}
	defer place.Close()
	place.signIn = &c.signInFlags
	if place.issuer, err = c.issuer(place.public); err != nil {
		return err
	}
	if c.GeoIP != "" {
		places, err := geo.Open(c.GeoIP)
		if err != nil {
			return err
		}
		defer places.Close()
		place.places = places
	}
	if place.sinks, place.seen, err = c.sinks(p); err != nil {
		return err
	}
	store, err := c.openServed(p)
	if err != nil {
		return err
	}
	for first := true; store != nil; first = false {
		next, err := c.serveStore(p, place, store, first)
		if closed := store.Close(); err == nil {
			err = closed
		}
		if err == nil && next == nil && isClosed(store.Superseded()) && p.ctx.Err() == nil {
			next = c.openAgain(p, p.ctx)
		}
		if err != nil {
			if next != nil {
				next.Close()
			}
			return err
		}
		store = next
	}
	return nil
}

// openServed opens the database to serve it: for reading alone where it cannot
// be written, since people who have to read it can do that all the same.
func (c *serveCommand) openServed(p *process) (*db.Store, error) {
	store, err := c.open(p, db.Options{Served: true, ReadFrom: c.ReadDB})
	from := c.database
	switch {
	case errors.Is(err, db.ErrReadOnly):
	case errors.Is(err, db.ErrAway) && c.ReadDB != "":
		from.DB = c.ReadDB
	default:
		return store, err
	}
	reading, failed := from.open(p, db.Options{Served: true, ReadOnly: true})
	if failed != nil {
		return nil, err
	}
	p.say("warning: %v; pages can be read, nothing is recorded, and who signs in is forgotten, until it can be written", err)
	return reading, nil
}

// serveStore serves a store until the process is interrupted, or the store is
// superseded. A store that is open for reading alone is served until the database can
// be written; then it returns the store to go on with.
func (c *serveCommand) serveStore(p *process, place *place, store *db.Store, first bool) (next *db.Store, err error) {
	accounts, err := store.Accounts(p.ctx)
	if err != nil {
		return nil, err
	}
	if err := c.checkBreakGlass(p, store); err != nil {
		return nil, err
	}
	during := *p
	if keep, ok := place.Listener.(*net.TCPListener); ok {
		if store.Writable() {
			var stop context.CancelFunc
			during.ctx, stop = context.WithCancel(p.ctx)
			var watch sync.WaitGroup
			watch.Go(func() {
				select {
				case <-store.Superseded():
					p.say("warning: the database's server was replaced by one that does not have all that was read; everything is read anew")
					stop()
				case <-during.ctx.Done():
				}
			})
			place.Listener = kept{keep, func() bool { return isClosed(store.Superseded()) && p.ctx.Err() == nil }}
			defer func() {
				stop()
				watch.Wait()
				place.Listener = keep
				if isClosed(store.Superseded()) && p.ctx.Err() == nil {
					err = errors.Join(err, keep.SetDeadline(time.Time{}))
				}
			}()
		} else {
			var stop context.CancelCauseFunc
			during.ctx, stop = context.WithCancelCause(p.ctx)
			var opened *db.Store
			var watch sync.WaitGroup
			watch.Go(func() {
				if opened = c.openAgain(p, during.ctx); opened != nil {
					stop(errWritable)
				}
			})
			place.Listener = kept{keep, func() bool { return true }}
			defer func() {
				stop(nil)
				watch.Wait()
				place.Listener = keep
				err = errors.Join(err, keep.SetDeadline(time.Time{}))
				if next = opened; next != nil && p.ctx.Err() != nil { // at the very end
					err = errors.Join(err, next.Close())
					next = nil
				}
			}()
		}
	}
	return nil, place.serve(&during, store, func() {
		if !first {
			return
		}
		p.say("auditadmin serves %s at %s", store.Path(), place.url())
		for _, warning := range store.Warnings() {
			p.say("warning: %s", warning)
		}
		if len(accounts) == 0 {
			p.say("nobody can sign in yet; create the first account with: auditadmin user create NAME --role superuser --db %s", quoted(store.Path()))
		}
		if place.insecure() {
			p.say("warning: passwords travel in plain http here; give --tls-cert and --tls-key, or serve behind a proxy with https and name it with --public-url")
		}
	})
}

// againEvery is how often a database that could not be written is tried again.
const againEvery = 2 * time.Second

// errWritable ends the serving of a store that is open for reading alone.
var errWritable = errors.New("the database can be written")

// openAgain tries to open the database to write it until it can, and returns nil
// where ctx ends before.
func (c *serveCommand) openAgain(p *process, ctx context.Context) *db.Store {
	tick := time.NewTicker(againEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if store, err := c.open(p, db.Options{Served: true, MustExist: true, ReadFrom: c.ReadDB}); err == nil {
			return store
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// kept is a listener that goes on to hold its place when a server is done with
// it, if there will be another one: who comes meanwhile waits for that.
type kept struct {
	*net.TCPListener
	on func() bool
}

// Close ends the Accept that is waiting.
func (k kept) Close() error {
	if !k.on() {
		return k.TCPListener.Close()
	}
	return k.SetDeadline(time.Unix(1, 0))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
