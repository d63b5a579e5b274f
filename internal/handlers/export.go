package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/internal/query"
)

// exportStall is how long an export may stand still because its reader does not
// take what was sent; then it is broken off.
const exportStall = time.Minute

// recordTime is how long the program waits to record what it did, after whoever
// asked may be gone.
const recordTime = 5 * time.Second

// export streams everything that matches, one row after the other in constant
// memory. Its start is recorded before the first byte leaves, its end after the
// last; if it breaks on the way, so does the connection, and nobody takes half a
// file for the whole.
func (s *Server) export(kind audit.Kind, name string) http.HandlerFunc {
	form, known := format.Lookup(name)
	if !known {
		panic("handlers: no format " + name)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visit(w, r) // without a deadline: a large export takes as long as it takes
		var f *query.Filter
		var sel *db.Selection
		if err == nil {
			f, sel, err = v.selection(kind)
		}
		if err == nil && r.Method != http.MethodHead {
			err = s.recordStart(v, f, name)
		}
		if err != nil {
			s.fail(w, v, err)
			return
		}
		w.Header().Set("Content-Type", form.Media)
		w.Header().Set("Content-Disposition", `attachment; filename="`+fileName(kind, name, v.now)+`"`)
		if r.Method == http.MethodHead {
			return
		}
		sent, err := stream(v, sel, w, name)
		if failed := s.recordEnd(v, f, name, sent, err); failed != nil {
			s.Log.ErrorContext(v.Context(), "export not recorded", "request_id", v.requestID(), "error", failed)
		}
		if err != nil {
			s.Log.WarnContext(v.Context(), "export broken off", "request_id", v.requestID(), "path", v.URL.Path, "rows", sent.rows, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// fileName names a file by what is in it and when it was made.
func fileName(kind audit.Kind, name string, now time.Time) string {
	return kind.Path() + "-" + now.UTC().Format("20060102-150405") + "." + name
}

// sent counts what left.
type sent struct {
	rows, bytes int64
}

// stream writes what a selection matches.
func stream(v *visit, sel *db.Selection, w http.ResponseWriter, name string) (n sent, err error) {
	out := &meter{to: w, connection: http.NewResponseController(w)}
	n.rows, err = format.Export(v.Context(), out, name, sel)
	if err == nil {
		err = v.Context().Err()
	}
	n.bytes = out.written
	return n, err
}

// sentAtOnce is how many bytes a reader has to take within exportStall.
const sentAtOnce = 64 << 10

// meter counts bytes, and gives each few of them a deadline of their own.
type meter struct {
	to         http.ResponseWriter
	connection *http.ResponseController
	written    int64
}

func (m *meter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		// Not every connection has deadlines; a test's has none.
		_ = m.connection.SetWriteDeadline(time.Now().Add(exportStall))
		var some int
		some, err = m.to.Write(p[:min(len(p), sentAtOnce)])
		n, p = n+some, p[some:]
	}
	m.written += int64(n)
	return n, err
}

// recordStart records that somebody took data out, before any of it leaves.
func (s *Server) recordStart(v *visit, f *query.Filter, name string) error {
	e := audit.NewEvent(audit.KindAuditLog)
	e.SetTime(s.Now())
	e.Set("username", v.who.Name())
	e.Set("action", "EXPORT")
	e.Set("content_type", db.Self+"."+string(f.Kind))
	e.Set("object_repr", sentenceCase(f.Kind.Plural())+" as "+name+": "+f.Sentence())
	e.Set("module", db.Self)
	e.Set("metadata", asJSON(map[string]any{"q": f.String(), "tz": v.zone.String(), "format": name}))
	if err := s.Store.Record(v.Context(), v.actor(), e); err != nil {
		return fmt.Errorf("record the start of an export: %w", err)
	}
	return nil
}

// recordEnd records an export that ended, well or not.
func (s *Server) recordEnd(v *visit, f *query.Filter, name string, n sent, failed error) error {
	e := audit.NewEvent(audit.KindDataExport)
	e.SetTime(s.Now())
	e.Set("username", v.who.Name())
	e.Set("export_type", string(f.Kind))
	e.Set("file_format", name)
	e.Set("record_count", strconv.FormatInt(n.rows, 10))
	e.Set("file_size", strconv.FormatInt(n.bytes, 10))
	e.Set("filters_applied", asJSON(map[string]any{"q": f.String(), "kind": string(f.Kind), "tz": v.zone.String()}))
	e.Set("metadata", asJSON(map[string]any{"completed": failed == nil}))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.Context()), recordTime)
	defer cancel()
	return s.Store.Record(ctx, v.actor(), e)
}

// asJSON writes a value that cannot fail to be written.
func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}
