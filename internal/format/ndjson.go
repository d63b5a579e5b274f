package format

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// readNDJSON reads one event a line. A line that is not UTF-8, or not exactly
// an event, is bad.
func readNDJSON(_ context.Context, in *Input, _ Options, emit func(Record) error) error {
	return eachLine(in.reader, maxLine, func(number int64, line []byte, err error) error {
		r := Record{Line: number, Err: err}
		if err == nil {
			var e *audit.Event
			if e, r.Err = audit.DecodeEvent(line, audit.DecodeOptions{Import: true}); r.Err == nil {
				r.Events = []*audit.Event{e}
			}
		}
		return emit(r)
	})
}

// Writer writes stored events to a file, one after the other. Begin comes
// before the first and End after the last; only after End has returned nil is
// everything written.
type Writer interface {
	Begin() error
	Write(*db.Stored) error
	End() error
}

// NewWriter returns a writer of events of one kind in the named format.
func NewWriter(name string, w io.Writer, kind audit.Kind) (Writer, error) {
	f, ok := Lookup(name)
	if !ok || f.write == nil {
		return nil, fmt.Errorf("write %q: no such format; there are %v", name, Writable())
	}
	return f.write(w, kind), nil
}

// ndjsonWriter writes lines that readNDJSON reads back.
type ndjsonWriter struct {
	out  *bufio.Writer
	line []byte
}

func newNDJSONWriter(w io.Writer, _ audit.Kind) Writer {
	return &ndjsonWriter{out: bufio.NewWriterSize(w, 64<<10)}
}

func (w *ndjsonWriter) Begin() error { return nil }

func (w *ndjsonWriter) Write(s *db.Stored) error {
	w.line = append(AppendStored(w.line[:0], s), '\n')
	_, err := w.out.Write(w.line)
	return err
}

func (w *ndjsonWriter) End() error { return w.out.Flush() }

// AppendStored appends a stored event as one JSON object: kind, then id (in
// quotes: it is too large for many a reader of JSON numbers), seq, recorded_at
// and source, then event_id where there is one, then the fields. An event whose
// row is damaged also has "damaged", the names of the fields that were mended:
// import refuses it, since it is not what was recorded.
func AppendStored(dst []byte, s *db.Stored) []byte {
	dst = audit.AppendJSON(dst, s.Event, &audit.Recorded{ID: s.ID, Seq: s.Seq, RecordedAt: s.RecordedAt, Checked: len(s.Damaged) == 0})
	if len(s.Damaged) == 0 {
		return dst
	}
	return append(append(append(dst[:len(dst)-1], `,"damaged":["`...), strings.Join(s.Damaged, `","`)...), `"]}`...)
}
