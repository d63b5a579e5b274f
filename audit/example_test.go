package audit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
)

// A web application that is audited: the lines of the package comment, and one
// request.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "audit-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	sink, err := auditdb.Open(ctx, filepath.Join(dir, "audit.db")) // or audit.NewRemote(address, token)
	if err != nil {
		panic(err)
	}
	defer sink.Close()
	recorder, err := audit.New(sink, audit.SpoolDir(filepath.Join(dir, "audit.spool")))
	if err != nil {
		panic(err)
	}
	defer recorder.Close(ctx)
	security, err := audit.SecurityMiddleware(recorder, audit.SecurityOptions{})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		audit.SetUser(r.Context(), audit.User{ID: "7", Name: "alice"})
		err := recorder.LogAuditEvent(r.Context(), audit.AuditLog{Action: "UPDATE", ContentType: "shop.order", ObjectID: r.PathValue("id"),
			Changes: audit.Changes{"status": {Old: "new", New: "paid"}}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	handler := audit.Middleware(recorder)(security(mux))

	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/orders/42", nil))
	summary, err := recorder.Summary(ctx, "alice", 1)
	if err != nil {
		panic(err)
	}
	fmt.Println("alice updated", summary.Updates, "order")
	// Output: alice updated 1 order
}
