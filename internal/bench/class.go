package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/auditadmin/auditadmin/internal/query"
)

// class is one sort of page, with what the 95th percentile of it should not
// exceed at ten million audit logs.
type class struct {
	name string
	goal int // ms
	path func(d *draw) string
}

// classes is every sort of page that is measured, each asked for with values
// drawn from the data.
var classes = []class{
	{"list", 15, func(d *draw) string { return "/audit-logs" }},
	{"next page, any depth", 15, func(d *draw) string { return "/audit-logs?after=" + d.cursor() }},
	{"one filter", 15, func(d *draw) string { return list(d.terms(1, false)) }},
	{"one filter, far back", 15, func(d *draw) string { return list(d.terms(1, false)) + "&after=" + d.cursor() }},
	{"date range", 15, func(d *draw) string { return list(d.span()) }},
	{"one day", 15, func(d *draw) string { return list("on:" + d.when().Format(time.DateOnly)) }},
	{"two to four filters", 25, func(d *draw) string { return list(d.terms(2+d.IntN(3), false)) }},
	{"two to four filters, hardly a result", 25, func(d *draw) string { return list(d.terms(2+d.IntN(3), true)) }},
	{"all facets, no filter", 35, func(d *draw) string { return "/audit-logs/facets.json" }},
	{"all facets, under one to three filters", 35, func(d *draw) string {
		return "/audit-logs/facets.json?q=" + url.QueryEscape(d.terms(1+d.IntN(3), false))
	}},
	{"timeline by year", 10, timeline("year", func(d *draw) string { return "" })},
	{"timeline by month", 10, timeline("month", func(d *draw) string { return "on:" + d.when().Format("2006") })},
	{"timeline by day", 10, timeline("day", func(d *draw) string { return "on:" + d.when().Format("2006-01") })},
	{"timeline by hour", 10, timeline("hour", func(d *draw) string { return "on:" + d.when().Format("2006-01-02") })},
	{"histogram of all days under a filter", 10, timeline("day", func(d *draw) string { return d.terms(1, false) })},
	{"search, common word", 50, func(d *draw) string { return list(query.Quote(pick(d, d.common))) }},
	{"search, rare word", 50, func(d *draw) string { return list(query.Quote(pick(d, d.rare))) }},
	{"search, absent word", 50, func(d *draw) string { return list(d.absent()) }},
	{"search and one or two filters", 50, func(d *draw) string {
		word := pick(d, d.common)
		if d.IntN(3) == 0 {
			word = pick(d, d.rare)
		}
		return list(query.Quote(word) + " " + d.terms(1+d.IntN(2), false))
	}},
	{"one event", 5, func(d *draw) string { return "/audit-logs/" + pick(d, d.events)["id"] }},
	{"history of an object", 15, func(d *draw) string {
		e := pick(d, d.events)
		return "/objects?" + url.Values{"type": {e["content_type"]}, "id": {e["object_id"]}}.Encode()
	}},
	{"everything about a user", 15, func(d *draw) string { return "/users?name=" + url.QueryEscape(pick(d, d.events)["username"]) }},
	{"overview", 25, func(d *draw) string { return "/" }},
	{"login attempts, one filter", 15, func(d *draw) string {
		e := pick(d, d.logins)
		return "/login-attempts?q=" + url.QueryEscape("user:"+query.Quote(e["username"])+" status:"+e["status"])
	}},
	{"system events, one filter", 15, func(d *draw) string {
		e := pick(d, d.alarms)
		return "/system-events?q=" + url.QueryEscape("module:"+query.Quote(e["module"])+" event:"+e["event_type"])
	}},
}

func timeline(by string, q func(*draw) string) func(*draw) string {
	return func(d *draw) string {
		return "/audit-logs/timeline.json?by=" + by + "&q=" + url.QueryEscape(q(d))
	}
}

// pages measures every class, one client after another's answer.
func (b *bench) pages(ctx context.Context) error { return b.ask(ctx, "", b.asks) }

// ask asks so many times for every class. A prefix tells a second round apart.
func (b *bench) ask(ctx context.Context, prefix string, asks int) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if !b.onServer() {
		if err := warm(b.file); err != nil {
			return err
		}
	}
	for _, c := range classes {
		if b.classes != nil && !b.classes.MatchString(c.name) {
			continue
		}
		for range asks / 10 { // warm, with other values
			if _, _, err := b.site.get(ctx, c.path(b.draw)); err != nil {
				return err
			}
		}
		var took []time.Duration
		spent := b.site.cpu()
		slowest, at := time.Duration(0), ""
		for range asks {
			path := c.path(b.draw)
			t, _, err := b.site.get(ctx, path)
			if err != nil {
				return err
			}
			if took = append(took, t); t > slowest {
				slowest, at = t, path
			}
		}
		f := timing(prefix+c.name, fmt.Sprintf("%d", c.goal), took)
		f.Slowest, f.CPU = at, milliseconds(b.site.cpu()-spent)/float64(asks)
		b.run.add(f)
	}
	return nil
}

// warm reads the database once, so that the operating system has it in memory as
// far as there is room: what is measured is the program, not the disk.
func warm(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// ready has a server that has loaded what it keeps in memory, and values to ask for.
func (b *bench) ready(ctx context.Context) error {
	started := b.site == nil || b.site.server == nil
	if err := b.serve(ctx); err != nil {
		return err
	}
	if err := b.site.first(ctx); err != nil {
		return err
	}
	if b.draw == nil {
		var err error
		if b.draw, err = newDraw(ctx, b.site, 1); err != nil {
			return err
		}
	}
	for _, path := range []string{"/audit-logs/facets.json", "/login-attempts/facets.json", "/data-exports/facets.json", "/system-events/facets.json", "/"} {
		if _, _, err := b.site.get(ctx, path); err != nil {
			return err
		}
	}
	if started {
		rest(ctx, b.site.server.Process.Pid)
	}
	return nil
}
