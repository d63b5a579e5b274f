package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// export downloads what a filter of at most a million rows matches, and imports
// it into a database of its own.
func (b *bench) export(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	share := min(1, 1e6/float64(b.size))
	from := b.draw.last.Add(-time.Duration(share * float64(b.draw.last.Sub(b.draw.first))))
	q := url.QueryEscape("after:" + from.Format(time.RFC3339))
	file := filepath.Join(b.dir, "export.ndjson")
	defer os.Remove(file)
	for _, format := range []string{"csv", "ndjson"} {
		out, err := os.Create(file)
		if err != nil {
			return err
		}
		rows, first, took, err := b.site.download(ctx, "/audit-logs."+format+"?q="+q, out)
		if closed := out.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
		b.run.add(figure{Name: "export as " + format, Unit: "rows/s", Goal: "350,000", Value: float64(rows) / took.Seconds()})
		b.run.add(figure{Name: "export as " + format + ", first byte", Unit: "ms", Goal: "100", Value: milliseconds(first)})
		b.run.add(figure{Name: "anonymous memory after an export as " + format, Unit: "MiB", Value: b.site.anonymous()})
	}
	// The last one is NDJSON: take it in again.
	again := filepath.Join(b.dir, "again.db")
	remove(again)
	defer remove(again)
	rows, err := trim(file, 300_000)
	if err != nil {
		return err
	}
	start := time.Now()
	if _, err := b.command(ctx, "", "import", "--format", "ndjson", "--db", again, file); err != nil {
		return err
	}
	b.run.add(figure{Name: "import of its own NDJSON", Unit: "events/s", Goal: "40,000", Value: float64(rows) / time.Since(start).Seconds()})
	return nil
}

// download reads a file from the server and counts its lines.
func (s *site) download(ctx context.Context, path string, to io.Writer) (lines int, first, took time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	start := time.Now()
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, 0, 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, 0, 0, fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	buf := make([]byte, 256<<10)
	for {
		n, err := answer.Body.Read(buf)
		if n > 0 && first == 0 {
			first = time.Since(start)
		}
		lines += bytes.Count(buf[:n], []byte{'\n'})
		if _, failed := to.Write(buf[:n]); failed != nil {
			return lines, first, time.Since(start), failed
		}
		if err == io.EOF {
			return lines, first, time.Since(start), nil
		}
		if err != nil {
			return lines, first, time.Since(start), err
		}
	}
}

// trim cuts a file after so many lines and returns how many are left.
func trim(file string, lines int) (int, error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	seen, at := 0, int64(0)
	for {
		n, err := f.Read(buf)
		for i := range n {
			if buf[i] == '\n' {
				if seen++; seen == lines {
					return seen, f.Truncate(at + int64(i) + 1)
				}
			}
		}
		at += int64(n)
		if err == io.EOF {
			return seen, nil
		}
		if err != nil {
			return seen, err
		}
	}
}

// late imports events that are older than everything, others from between, and
// 20,000 of one microsecond, and asks for all pages again.
func (b *bench) late(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	file := filepath.Join(b.dir, "late.ndjson")
	defer os.Remove(file)
	count := b.size / 10
	for i, t := range []struct {
		name  string
		until time.Time
	}{
		{"import of older events", b.draw.first.Add(-time.Hour)},
		{"import of events from between", b.draw.last},
	} {
		if err := writeTrail(file, uint64(1000+i), count, t.until, nil); err != nil {
			return err
		}
		start := time.Now()
		out, err := b.command(ctx, "", "import", "--format", "ndjson", "--no-mask", "--db", b.file, file)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		b.run.add(figure{Name: t.name, Unit: "audit logs/s", Value: float64(count) / time.Since(start).Seconds()})
	}
	at := audit.FormatTime(b.draw.when())
	start := time.Now()
	for _, body := range bodies(60, 1000)[:20] {
		body = bytes.ReplaceAll(body, []byte(`{"kind":"audit_log",`), []byte(`{"kind":"audit_log","timestamp":"`+at+`",`))
		if err := b.site.post(ctx, body); err != nil {
			return err
		}
	}
	b.run.add(figure{Name: "20,000 events of one microsecond", Unit: "events/s", Value: 20_000 / time.Since(start).Seconds()})
	if err := b.ask(ctx, late, max(b.asks/4, 20)); err != nil {
		return err
	}
	worst, of := 0.0, ""
	for _, c := range classes {
		before, ok := b.run.get(c.name)
		after, _ := b.run.get(late + c.name)
		if ok && after.Value/before.Value > worst {
			worst, of = after.Value/before.Value, c.name
		}
	}
	if of != "" {
		b.run.add(figure{Name: "pages after late events over before, worst p95", Unit: "times", Value: worst, Slowest: of})
	}
	return nil
}

// late begins the names of classes that were asked for after late events.
const late = "late: "

// purge takes the oldest tenth away, where the program can, while single events
// arrive.
func (b *bench) purge(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	before := b.draw.first.Add(b.draw.last.Sub(b.draw.first) / 10)
	day := before.Format(time.DateOnly)
	help, err := b.command(ctx, "", "--help")
	if err != nil || !strings.Contains(help, "purge") {
		fmt.Fprintln(os.Stderr, "  this version has no purge")
		return nil
	}
	rows, err := b.count(ctx, audit.KindAuditLog, "before:"+day)
	if err != nil {
		return err
	}
	pause := make(chan time.Duration)
	writing, stop := context.WithCancel(ctx)
	one := bodies(60, 1000)[0]
	one = one[:bytes.IndexByte(one, '\n')+1]
	go func() {
		longest := time.Duration(0)
		for writing.Err() == nil {
			start := time.Now()
			if b.site.post(writing, one) == nil {
				longest = max(longest, time.Since(start))
			}
		}
		pause <- longest
	}()
	start := time.Now()
	_, err = b.command(ctx, "", "purge", "--before", day, "--kind", "audit_log", "--db", b.file)
	took := time.Since(start)
	stop()
	longest := <-pause
	if err != nil {
		return err
	}
	b.run.add(figure{Name: "purge of the oldest tenth", Unit: "rows/s", Goal: "100,000", Value: float64(rows) / took.Seconds()})
	b.run.add(figure{Name: "longest pause of a writer meanwhile", Unit: "ms", Goal: "100", Value: milliseconds(longest)})
	return nil
}

// count asks how many events of a kind a query matches.
func (b *bench) count(ctx context.Context, kind audit.Kind, q string) (int, error) {
	data, err := b.site.read(ctx, "/"+kind.Path()+".json?limit=1&q="+url.QueryEscape(q))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), `"count":{"value":`)
	digits, _, _ := strings.Cut(rest, ",")
	return strconv.Atoi(digits)
}
