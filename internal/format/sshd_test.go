package format

import (
	"encoding/json"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
	"os"
	"testing"
)

func TestSSHDElastic(t *testing.T) {
	path := need.Shared(t, "data/elastic-examples/ssh-auth.log.gz")
	var facts struct {
		Lines  int
		Counts map[string]int
	}
	raw, err := os.ReadFile(need.Shared(t, "data/elastic-examples/ssh-auth.facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &facts); err != nil {
		t.Fatal(err)
	}
	o := ImportOptions{Options: Options{Year: 2017}}
	store, s, bad := testImport(t, "sshd", o, path)
	t.Log(s, s.Reasons, bad)
	c := map[string]int{}
	for _, e := range store.events {
		if e.Kind == audit.KindSystemEvent {
			c[e.Get("event_type")+" "+e.Get("module")+" "+e.Get("error_code")]++
		} else {
			c[e.Get("status")+" "+e.Get("failure_reason")]++
		}
	}
	for k, n := range c {
		t.Log(n, k)
	}
	for _, e := range store.events {
		if e.Get("error_code") == "other" {
			t.Log(string(audit.AppendJSON(nil, e, nil)))
		}
	}
	again(t, store, "sshd", o, path)
}
