package audit

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Object is what somebody looks at or downloads.
type Object struct {
	Type string // content_type: "shop.order"
	ID   string // "" records nothing
	Repr string // "Order 42"
}

// ExportWriter counts what an application exports, and records it. It is used
// like a transaction:
//
//	export := recorder.Export(ctx, w, audit.DataExport{ExportType: "Orders", FileFormat: "CSV"})
//	defer export.Close() // broken, unless Finish was reached
//	for … {
//		…write a row to export…
//		export.Rows(1)
//	}
//	return export.Finish()
//
// It is used by one goroutine at a time.
type ExportWriter struct {
	ctx  context.Context
	r    *Recorder
	w    io.Writer
	d    DataExport
	rows int64
	size int64
	err  error // the first one of w
	once sync.Once
	done error
}

// Export returns a writer to w that counts bytes, and rows as it is told. When it
// is finished or closed it records d, with record_count, file_size, and
// "completed" in the metadata. It goes on recording what was given out when ctx
// is cancelled.
func (r *Recorder) Export(ctx context.Context, w io.Writer, d DataExport) *ExportWriter {
	return &ExportWriter{ctx: ctx, r: r, w: w, d: d}
}

// Write writes to the writer underneath, and counts what that took.
func (x *ExportWriter) Write(p []byte) (int, error) {
	n, err := x.w.Write(p)
	x.size += int64(n)
	if err != nil && x.err == nil {
		x.err = err
	}
	return n, err
}

// Rows adds n to the number of records exported.
func (x *ExportWriter) Rows(n int) { x.rows += int64(n) }

// Finish says that the export is whole, and records it. It returns the first
// error of the writer underneath, in which case the export is recorded as
// broken, or else why it could not be recorded.
func (x *ExportWriter) Finish() error {
	x.end(x.err == nil)
	return errors.Join(x.err, x.done)
}

// Close records the export as broken, unless Finish was called. It returns why
// it could not be recorded.
func (x *ExportWriter) Close() error {
	x.end(false)
	return x.done
}

func (x *ExportWriter) end(completed bool) {
	x.once.Do(func() {
		x.d.RecordCount, x.d.FileSize = &x.rows, &x.size
		meta, err := metadataObject(x.d.Metadata)
		if err != nil {
			x.done = x.r.failed(1, err)
			return
		}
		meta["completed"] = completed
		if x.err != nil {
			meta["error"] = x.err.Error()
		}
		x.d.Metadata = meta
		x.done = x.r.LogDataExport(x.ctx, x.d)
	})
}

// metadataObject returns the members of metadata, so that others can be added.
// What is no object becomes the member "value".
func metadataObject(metadata any) (map[string]any, error) {
	switch m := metadata.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return maps.Clone(m), nil
	}
	raw, err := json.Marshal(metadata)
	if err != nil {
		return nil, &FieldError{Kind: KindDataExport, Field: "metadata", Problem: "cannot be written as JSON: " + err.Error()}
	}
	if object, ok := decodePlain(raw).(map[string]any); ok {
		return object, nil
	}
	return map[string]any{"value": json.RawMessage(raw)}, nil
}

// ViewHandler records that the user looked at an object, whenever next answers a
// GET with success. object says which one; it is asked after next, so that it
// finds what next has looked up. See LogViewAccess, SkipActions, SampleViews.
func (r *Recorder) ViewHandler(next http.Handler, object func(*http.Request) Object) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		answer := &response{w: w}
		next.ServeHTTP(answer.writer(), q)
		if q.Method != http.MethodGet || !(succeeded(answer.status) || answer.status == http.StatusNotModified) {
			return
		}
		if o := object(q); o.ID != "" {
			if err := r.LogViewAccess(q.Context(), o.Type, o.ID, o.Repr); err != nil {
				r.logger.ErrorContext(own(q.Context()), "a view was not recorded", "error", err)
			}
		}
	})
}

// DownloadHandler records that the user downloaded a file that an export left:
// an audit log with the action EXPORT on the object that export names, such as
// {"data_export", the export's event_id, "orders.csv"}, with the bytes sent and
// whether they were all in the metadata. The database counts it in that export's
// download_count. Several parts of one download are one:
// the one that has the beginning counts.
func (r *Recorder) DownloadHandler(next http.Handler, export func(*http.Request) Object) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		answer := &fileAnswer{ResponseWriter: w}
		completed := false
		defer func() { // a handler that breaks off panics, and what was sent was sent
			beginning := answer.status != http.StatusPartialContent || strings.HasPrefix(answer.Header().Get("Content-Range"), "bytes 0-")
			if q.Method != http.MethodGet || !succeeded(answer.status) || !beginning {
				return
			}
			o := export(q)
			if o.ID == "" {
				return
			}
			err := r.LogAuditEvent(q.Context(), AuditLog{Action: "EXPORT", ContentType: o.Type, ObjectID: o.ID, ObjectRepr: o.Repr,
				Metadata: map[string]any{"download": true, "bytes": answer.size, "completed": completed && answer.err == nil}})
			if err != nil {
				r.logger.ErrorContext(own(q.Context()), "a download was not recorded", "error", err)
			}
		}()
		next.ServeHTTP(answer, q)
		completed = true
	})
}

// succeeded reports whether a status says that something was given out. The one
// of an answer that says nothing is 0, and goes out as 200.
func succeeded(status int) bool { return status == 0 || 200 <= status && status < 300 }

// fileAnswer remembers how a request was answered, and counts the bytes.
type fileAnswer struct {
	http.ResponseWriter
	status int
	size   int64
	err    error
}

func (w *fileAnswer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // the informational ones come before
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *fileAnswer) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.wrote(int64(n), err)
	return n, err
}

// ReadFrom lets files go out without a copy, where the writer underneath can.
func (w *fileAnswer) ReadFrom(from io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, from)
	w.wrote(n, err)
	return n, err
}

func (w *fileAnswer) wrote(n int64, err error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.size += n
	if w.err == nil {
		w.err = err
	}
}

// Flush is for those who ask for an http.Flusher.
func (w *fileAnswer) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *fileAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
