package audit

import (
	"context"
	"io"
	"net/http"
)

// Object is what somebody looks at or downloads.
type Object struct {
	Type string // content_type: "shop.order"
	ID   string
	Repr string // "Order 42"
}

// ExportWriter counts what an application exports.
type ExportWriter struct{}

// Export returns a writer to w that counts, and records d when it is finished.
func (r *Recorder) Export(ctx context.Context, w io.Writer, d DataExport) *ExportWriter { return nil }

// Write writes to the writer underneath.
func (w *ExportWriter) Write(p []byte) (int, error) { return 0, nil }

// Rows adds n to the number of records exported.
func (w *ExportWriter) Rows(n int) {}

// Finish records the export as completed, unless a write failed.
func (w *ExportWriter) Finish() error { return nil }

// Close records the export as broken, unless Finish was called.
func (w *ExportWriter) Close() error { return nil }

// ViewHandler records that the user looked at an object.
func (r *Recorder) ViewHandler(next http.Handler, object func(*http.Request) Object) http.Handler {
	return next
}

// DownloadHandler records that the user downloaded an export.
func (r *Recorder) DownloadHandler(next http.Handler, export func(*http.Request) Object) http.Handler {
	return next
}
