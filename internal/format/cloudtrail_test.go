package format

import (
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
	"testing"
)

func TestCloudTrailReal(t *testing.T) {
	path := need.Shared(t, "data/invictus-cloudtrail/cloudtrail-records.ndjson.gz")
	store, s, bad := testImport(t, "cloudtrail", ImportOptions{}, path)
	t.Log(s, bad)
	c := map[string]int{}
	for _, e := range store.events {
		k := e.Get("action") + " | " + e.Get("content_type") + " | " + e.Get("username")
		if c[k]++; c[k] == 1 {
			t.Log(k, e.Get("object_id"), e.Get("object_repr"))
		}
	}
	for i, e := range store.events {
		if i%150 == 1 {
			t.Log(string(audit.AppendJSON(nil, e, nil)))
		}
	}
	again(t, store, "cloudtrail", ImportOptions{}, path)
}
