package audit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
)

// serve is an audited application, as short as it gets.
func serve(ctx context.Context, path string, mux *http.ServeMux, use func(http.Handler, *audit.Recorder)) error {
	db, err := auditdb.Open(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	recorder, err := audit.New(db, audit.SpoolDir(path+".spool"))
	if err != nil {
		return err
	}
	defer recorder.Close(ctx)
	handler := audit.Middleware(recorder)(mux)

	type order struct {
		Status string `json:"status"`
	}
	mux.HandleFunc("POST /orders/42/pay", func(w http.ResponseWriter, q *http.Request) {
		before, after := order{"open"}, order{"paid"}
		audit.SetUser(q.Context(), audit.User{ID: "7", Name: "alice"})
		err := recorder.LogAuditEvent(q.Context(), audit.AuditLog{Action: "UPDATE",
			ContentType: "shop.order", ObjectID: "42", Changes: audit.Diff(before, after)})
		if err != nil {
			http.Error(w, "not recorded", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no stock", http.StatusInternalServerError)
	})
	use(handler, recorder)
	return nil
}

func Example() {
	dir, err := os.MkdirTemp("", "audit-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	err = serve(ctx, filepath.Join(dir, "audit.db"), http.NewServeMux(), func(h http.Handler, r *audit.Recorder) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/orders/42/pay", nil))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/broken", nil))
		all, err := r.Summary(ctx, "", 30)
		fmt.Println(all.Updates, "update,", all.SystemErrors, "error,", err)
		alice, err := r.Summary(ctx, "alice", 30)
		fmt.Println(alice.TotalActions, "by alice,", err)
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 update, 1 error, <nil>
	// 1 by alice, <nil>
}

// TestDocumentationIsRun holds that the code in the package's documentation is
// the code of the example.
func TestDocumentationIsRun(t *testing.T) {
	source := func(name string) map[string]bool {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := map[string]bool{}
		for line := range strings.Lines(string(b)) {
			if code, ok := strings.CutPrefix(line, "//\t"); ok || name != "doc.go" {
				if !ok {
					code = line
				}
				lines[strings.TrimSpace(code)] = true
			}
		}
		return lines
	}
	run, shown := source("example_test.go"), source("doc.go")
	if len(shown) < 10 {
		t.Fatalf("found %d lines of code in doc.go", len(shown))
	}
	for line := range shown {
		if !run[line] {
			t.Errorf("doc.go shows %q, which the example does not run", line)
		}
	}
}
