package format

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// Appender stores events; *db.Store is one.
type Appender interface {
	// Append stores normalised events durably, and counts those it had already.
	Append(ctx context.Context, events []*audit.Event) (db.Appended, error)
}

// ImportOptions say how Import treats what it reads.
type ImportOptions struct {
	Options
	// Mask hides the secrets of a normalised event; nil leaves them.
	Mask func(*audit.Event)
	// Stdin is what the file "-" stands for.
	Stdin io.Reader
	// Bad is told of every record that is skipped. It may be nil. Its calls do not
	// overlap, and come from another goroutine than Import's.
	Bad func(*LineError)
	// Progress is told how many bytes of how many have been read; the total is 0
	// where it is not known. It may be nil, and is called like Bad, often.
	Progress func(done, total int64)
}

// Summary counts what became of the records of an import: each was skipped, was
// ignored, or gave events, of which each was stored or a duplicate.
type Summary struct {
	Read       int64 // records: lines that are not blank, rows, or CloudTrail records
	Stored     int64 // events
	Duplicates int64 // events that were there already, conflicts among them
	Conflicts  int64 // events that were there already with another body
	Skipped    int64 // records that are no events
	Ignored    int64 // records left out on purpose
	Reasons    map[string]int64
	Elapsed    time.Duration
}

// String says the counts in one line.
func (s Summary) String() string {
	line := fmt.Sprintf("read %d, stored %d, duplicates %d", s.Read, s.Stored, s.Duplicates)
	if s.Conflicts > 0 {
		line += fmt.Sprintf(" (%d with another body)", s.Conflicts)
	}
	line += fmt.Sprintf(", skipped %d", s.Skipped)
	if s.Ignored > 0 {
		line += fmt.Sprintf(", ignored %d", s.Ignored)
	}
	return line + fmt.Sprintf(", in %.1f seconds", s.Elapsed.Seconds())
}

// Limits of one call of Append; contendedEvents while others wait to write.
const (
	batchEvents     = 1000
	batchBytes      = 4 << 20
	contendedEvents = 128
)

// shared is a store that others may fill at the same time, as db.Store is.
type shared interface {
	Contended() bool
	GiveWay(ctx context.Context, took time.Duration)
}

// atOnce is how many events a call of Append has at most just now.
func atOnce(store Appender) int {
	if s, ok := store.(shared); ok && s.Contended() {
		return contendedEvents
	}
	return batchEvents
}

const maxLine = audit.MaxImportLine

// Import reads the files in their order and stores their events. A record that
// is no event is skipped and counted; a file that cannot be read to its end
// keeps what was read of it, the next file is read, and the error names it. An
// error of the store ends the import. The summary is valid in every case.
//
// An event without a name of its own gets one from what it says, after masking,
// and from how often the same was said before in the same file. So a second
// import of a file adds nothing, an import of a file that has grown adds what is
// new, and lines that are alike within one file are events of their own. What was
// stored without a name counts as named so.
func Import(ctx context.Context, f *Format, files []string, o ImportOptions, store Appender) (Summary, error) {
	im := &importer{
		format: f, options: o,
		summary: Summary{Reasons: map[string]int64{}},
		repeats: newRepeats(1 << 18),
		batches: make(chan []*audit.Event, 1),
	}
	if f.read == nil {
		return im.summary, fmt.Errorf("import %s: this format can only be written", f.Name)
	}
	var err error
	if im.total, err = sizes(files, o.Stdin); err != nil {
		return im.summary, fmt.Errorf("import: %w", err)
	}
	start := o.now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// One goroutine reads while this one stores.
	read := make(chan error, 1)
	go func() {
		defer close(im.batches)
		read <- im.files(ctx, files)
	}()
	var stored db.Appended
	var storeErr error
	for batch := range im.batches {
		if storeErr != nil {
			continue // the reader is about to see that it is over
		}
		for len(batch) > 0 && storeErr == nil {
			some := batch[:min(len(batch), atOnce(store))]
			batch = batch[len(some):]
			began := time.Now()
			done, err := store.Append(ctx, some)
			if s, ok := store.(shared); ok && err == nil {
				s.GiveWay(ctx, time.Since(began))
			}
			stored.Accepted += done.Accepted
			stored.Duplicates += done.Duplicates
			stored.Conflicts += done.Conflicts
			if err != nil {
				storeErr = err
				cancel()
			}
		}
	}
	readErr := <-read
	im.summary.Stored = int64(stored.Accepted)
	im.summary.Duplicates = int64(stored.Duplicates)
	im.summary.Conflicts = int64(stored.Conflicts)
	im.summary.Elapsed = o.now().Sub(start)
	if storeErr != nil {
		return im.summary, fmt.Errorf("import: %w", storeErr)
	}
	if readErr != nil {
		return im.summary, fmt.Errorf("import: %w", readErr)
	}
	return im.summary, nil
}

// CheckInputs reports whether what Import is to read is there and can be read, for
// who opens a database only for that.
func CheckInputs(files []string, stdin io.Reader) error {
	if _, err := sizes(files, stdin); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// sizes adds up the sizes of the files, after seeing that each can be read. It is
// 0 where one is unknown.
func sizes(files []string, stdin io.Reader) (total int64, err error) {
	known := true
	for _, path := range files {
		if path == StandardInput {
			known = false
			if err := checkStdin(stdin); err != nil {
				return 0, err
			}
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		if info.IsDir() {
			return 0, fmt.Errorf("%s is a directory; name its files", path)
		}
		if !info.Mode().IsRegular() {
			known = false // and a pipe that is closed again ends who writes to it
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			return 0, err
		}
		file.Close()
		total += info.Size()
	}
	if !known {
		return 0, nil
	}
	return total, nil
}

// checkStdin reports whether there is a standard input: it may be closed.
func checkStdin(stdin io.Reader) error {
	if stdin == nil {
		return errors.New("read standard input: there is none here")
	}
	if file, is := stdin.(*os.File); is {
		if _, err := file.Stat(); err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
	return nil
}

// importer is one run of Import.
type importer struct {
	format  *Format
	options ImportOptions
	summary Summary
	repeats *repeats
	room    []byte // to digest in

	total, finished int64 // bytes

	batch   []*audit.Event
	size    int // bytes of the batch
	batches chan []*audit.Event
}

// files reads all files. It returns the errors of all that could not be read.
func (im *importer) files(ctx context.Context, files []string) (err error) {
	defer func() { err = errors.Join(err, im.repeats.close()) }()
	var failed []error
	for _, path := range files {
		if err := im.file(ctx, path); err != nil {
			failed = append(failed, err)
		}
		if err := im.flush(ctx); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func (im *importer) file(ctx context.Context, path string) error {
	if err := im.repeats.reset(); err != nil {
		return err
	}
	in, err := openInput(path, im.options.Stdin, func(n int64) {
		if im.options.Progress != nil {
			im.options.Progress(im.finished+n, im.total)
		}
	})
	if err != nil {
		return err
	}
	defer in.Close()
	head, before := slices.Clone(in.head()), im.summary
	err = im.format.read(ctx, in, im.options.Options, func(r Record) error {
		return im.record(ctx, in.Name, r)
	})
	im.finished += in.Size
	// Who gets nothing out of a file may have named the wrong format.
	if nothing := im.summary.Read-before.Read == im.summary.Skipped-before.Skipped; nothing && (err != nil || im.summary.Read > before.Read) && ctx.Err() == nil {
		if f := guess(head); f != nil && f.Name != im.format.Name {
			err = errors.Join(err, fmt.Errorf("it is nothing of --format %s; it looks like --format %s", im.format.Name, f.Name))
		}
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", in.Name, err)
	}
	return nil
}

// record takes one record of an input. An error ends the import.
func (im *importer) record(ctx context.Context, file string, r Record) error {
	im.summary.Read++
	if r.Ignored != "" {
		im.summary.Ignored++
		im.summary.Reasons[r.Ignored]++
		return ctx.Err()
	}
	now := im.options.now()
	for _, e := range r.Events {
		if r.Err != nil {
			break
		}
		r.Err = e.Normalize(now)
	}
	if r.Err != nil { // of several events none is stored: the record is skipped whole
		im.summary.Skipped++
		if im.options.Bad != nil {
			im.options.Bad(&LineError{File: file, Line: r.Line, Row: r.Row, Err: r.Err})
		}
		return ctx.Err()
	}
	for _, e := range r.Events {
		if e.Source == "" {
			e.Source = "import:" + im.format.Name
		}
		if im.options.Mask != nil {
			im.options.Mask(e)
		}
		for i := range max(r.Repeat, 1) {
			if i > 0 {
				twin := audit.NewEventWithValues(e.Kind, slices.Clone(e.Values()))
				twin.Source = e.Source
				e = twin
			}
			if err := im.add(ctx, e); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// add names an event and puts it into the batch.
func (im *importer) add(ctx context.Context, e *audit.Event) error {
	if e.EventID == "" {
		im.room = db.AppendContent(im.room[:0], e)
		c := content{micros: e.Time().UnixMicro(), digest: db.ContentOf(im.room)}
		n, err := im.repeats.next(ctx, c)
		if err != nil {
			return err
		}
		e.EventID = c.digest.Name(n)
	}
	im.batch = append(im.batch, e)
	for _, v := range e.Values() {
		im.size += len(v)
	}
	if len(im.batch) >= batchEvents || im.size >= batchBytes {
		return im.flush(ctx)
	}
	return nil
}

// flush hands the batch to the store.
func (im *importer) flush(ctx context.Context) error {
	if len(im.batch) == 0 {
		return ctx.Err()
	}
	select {
	case im.batches <- im.batch:
	case <-ctx.Done():
		return ctx.Err()
	}
	im.batch, im.size = make([]*audit.Event, 0, batchEvents), 0
	return nil
}
