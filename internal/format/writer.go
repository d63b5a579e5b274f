package format

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// form is how stored events of one kind are written: what a file begins with, if
// anything, and what each of them is. Both append to dst and keep nothing.
type form struct {
	head   func(dst []byte, kind audit.Kind) []byte
	append func(dst []byte, s *db.Stored) []byte
}

func (f *form) begin(dst []byte, kind audit.Kind) []byte {
	if f.head == nil {
		return dst
	}
	return f.head(dst, kind)
}

// formOf returns the form of the named format.
func formOf(name string) (*form, error) {
	f, ok := Lookup(name)
	if !ok || f.write == nil {
		return nil, fmt.Errorf("write %q: no such format; there are %v", name, Writable())
	}
	return f.write, nil
}

// Export writes everything that is selected to w in the named format, newest
// first, and returns how many events it wrote. It takes the same memory for any
// number of them.
func Export(ctx context.Context, w io.Writer, name string, sel *db.Selection) (events int64, err error) {
	f, err := formOf(name)
	if err != nil {
		return 0, err
	}
	if head := f.begin(nil, sel.Filter().Kind); len(head) > 0 {
		if _, err := w.Write(head); err != nil {
			return 0, err
		}
	}
	err = sel.Encode(ctx, f.append, func(text []byte, n int) error {
		_, err := w.Write(text)
		if err == nil {
			events += int64(n)
		}
		return err
	})
	return events, err
}

// Writer writes stored events to a file, one after the other. Begin comes
// before the first and End after the last; only after End has returned nil is
// everything written.
type Writer struct {
	out  *bufio.Writer
	form *form
	kind audit.Kind
	text []byte
}

// NewWriter returns a writer of events of one kind in the named format.
func NewWriter(name string, w io.Writer, kind audit.Kind) (*Writer, error) {
	f, err := formOf(name)
	if err != nil {
		return nil, err
	}
	return &Writer{out: bufio.NewWriterSize(w, 64<<10), form: f, kind: kind}, nil
}

// Begin writes what the file begins with.
func (w *Writer) Begin() error { return w.put(w.form.begin(w.text[:0], w.kind)) }

// Write writes one event of the writer's kind.
func (w *Writer) Write(s *db.Stored) error { return w.put(w.form.append(w.text[:0], s)) }

// End writes what was kept back until now.
func (w *Writer) End() error { return w.out.Flush() }

func (w *Writer) put(text []byte) error {
	w.text = text
	_, err := w.out.Write(text)
	return err
}
