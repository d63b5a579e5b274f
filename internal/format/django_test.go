package format

import (
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
	"path/filepath"
	"testing"
)

func TestDjangoReal(t *testing.T) {
	dir := need.Shared(t, "data/django-dbs")
	for _, name := range []string{"coreyms-django-blog.sqlite3", "easyaudit-tests.sqlite3", "wagtail-orderable-viewset.sqlite3", "wpadmin-test_project.sqlite3", "replay-simple-icons.sqlite3.gz"} {
		path := filepath.Join(dir, name)
		store, s, bad := testImport(t, "django", ImportOptions{}, path)
		t.Log(name, s, s.Reasons, bad)
		c := map[string]int{}
		shown := map[string]int{}
		for _, e := range store.events {
			k := e.Source + " "
			if e.Kind == audit.KindAuditLog {
				k += e.Get("action")
			} else {
				k += e.Get("status")
			}
			c[k]++
			if shown[k]++; shown[k] < 3 {
				l := string(audit.AppendJSON(nil, e, nil))
				t.Log(l[:min(600, len(l))])
			}
		}
		for k, n := range c {
			t.Log(n, k)
		}
		again(t, store, "django", ImportOptions{}, path)
	}
}
