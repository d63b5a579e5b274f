package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestExport(t *testing.T) {
	errPipe := errors.New("broken pipe")
	for _, test := range []struct {
		name   string
		run    func(r *Recorder) error
		want   map[string]string
		failed error
	}{
		{"finished", func(r *Recorder) error {
			var out bytes.Buffer
			x := r.Export(context.Background(), &out, DataExport{ExportType: "Orders", FileFormat: "CSV"})
			defer x.Close()
			for range 3 {
				if _, err := io.WriteString(x, "a,b\n"); err != nil {
					return err
				}
				x.Rows(1)
			}
			return x.Finish()
		}, map[string]string{"export_type": "Orders", "record_count": "3", "file_size": "12", "metadata": `{"completed":true}`}, nil},
		{"given up", func(r *Recorder) error {
			x := r.Export(context.Background(), io.Discard, DataExport{ExportType: "Orders", Metadata: map[string]string{"why": "test"}})
			x.Rows(2)
			return x.Close()
		}, map[string]string{"record_count": "2", "file_size": "0", "metadata": `{"completed":false,"why":"test"}`}, nil},
		{"broken", func(r *Recorder) error {
			x := r.Export(context.Background(), brokenWriter{errPipe}, DataExport{ExportType: "Orders"})
			defer x.Close()
			_, _ = io.WriteString(x, "12345678")
			return x.Finish()
		}, map[string]string{"file_size": "5", "metadata": `{"completed":false,"error":"broken pipe"}`}, errPipe},
		{"panicking", func(r *Recorder) error {
			defer func() { _ = recover() }()
			x := r.Export(context.Background(), io.Discard, DataExport{ExportType: "Orders", Metadata: 7})
			defer x.Close()
			panic("no")
		}, map[string]string{"metadata": `{"completed":false,"value":7}`}, nil},
		{"client gone", func(r *Recorder) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			x := r.Export(ctx, io.Discard, DataExport{ExportType: "Orders"})
			return x.Finish()
		}, map[string]string{"metadata": `{"completed":true}`}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := &memory{}
			if err := test.run(strict(t, sink)); !errors.Is(err, test.failed) {
				t.Errorf("got error %v, want %v", err, test.failed)
			}
			e := sink.only(t)
			for field, want := range test.want {
				if got := e.Get(field); got != want {
					t.Errorf("%s: got %s, want %s", field, got, want)
				}
			}
		})
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 5, w.err }

func TestExportThatIsNotRecordedIsAnError(t *testing.T) {
	r := strict(t, &memory{away: errAway})
	if err := r.Export(context.Background(), io.Discard, DataExport{ExportType: "Orders"}).Finish(); !errors.Is(err, errAway) {
		t.Errorf("got %v, want the sink's error", err)
	}
}

func TestViewsAndDownloads(t *testing.T) {
	file := func(w http.ResponseWriter, q *http.Request) {
		http.ServeContent(w, q, "orders.csv", time.Time{}, strings.NewReader("0123456789"))
	}
	object := func(*http.Request) Object { return Object{"shop.order", "42", "Order 42"} }
	get := func(headers ...string) *http.Request {
		q := httptest.NewRequest("GET", "/orders/42", nil)
		for i := 0; i < len(headers); i += 2 {
			q.Header.Set(headers[i], headers[i+1])
		}
		return q
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, test := range []struct {
		name     string
		download bool
		next     http.HandlerFunc
		request  *http.Request
		object   func(*http.Request) Object
		want     string // metadata; "no" where nothing is recorded
	}{
		{"view", false, file, get(), object, ""},
		{"view of nothing", false, status(404), get(), object, "no"},
		{"view by POST", false, file, httptest.NewRequest("POST", "/", nil), object, "no"},
		{"view from the cache", false, status(304), get(), object, ""},
		{"view of no object", false, file, get(), func(*http.Request) Object { return Object{} }, "no"},
		{"download", true, file, get(), object, `{"bytes":10,"completed":true,"download":true}`},
		{"first part", true, file, get("Range", "bytes=0-3"), object, `{"bytes":4,"completed":true,"download":true}`},
		{"another part", true, file, get("Range", "bytes=4-"), object, "no"},
		{"download refused", true, status(403), get(), object, "no"},
		{"download by HEAD", true, file, httptest.NewRequest("HEAD", "/", nil), object, "no"},
		{"download broken off", true, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "0123")
			panic(http.ErrAbortHandler)
		}, get(), object, `{"bytes":4,"completed":false,"download":true}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := &memory{}
			r := strict(t, sink)
			h := r.ViewHandler(test.next, test.object)
			action := "VIEW"
			if test.download {
				h, action = r.DownloadHandler(test.next, test.object), "EXPORT"
			}
			answer := httptest.NewRecorder()
			func() {
				defer func() { _ = recover() }()
				h.ServeHTTP(answer, test.request)
			}()
			if test.want == "no" {
				if got := len(sink.all()); got != 0 {
					t.Errorf("got %d events, want none", got)
				}
				return
			}
			e := sink.only(t)
			if e.Get("action") != action || e.Get("object_id") != "42" || e.Get("object_repr") != "Order 42" || e.Get("metadata") != test.want {
				t.Errorf("got %s, want %s with %s", AppendJSON(nil, e, nil), action, test.want)
			}
		})
	}
}
