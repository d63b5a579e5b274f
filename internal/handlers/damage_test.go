package handlers

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin/audit"
)

// TestDamagedEvents spoils events of every kind with somebody else's tools, and
// asks for them in every form: they are there, marked, and nothing breaks.
func TestDamagedEvents(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	other, err := sqlx.Open("sqlite3", s.store.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	spoil := map[audit.Kind]string{
		audit.KindAuditLog:     `changes = '{"status":{"old":', metadata = CAST(x'ff' AS TEXT), object_repr = CAST(x'4fff' AS TEXT)`,
		audit.KindLoginAttempt: `timestamp = '9999-12-31T23:59:59.999999Z', city = CAST(x'c3' AS TEXT)`,
		audit.KindDataExport:   `filters_applied = 'q=', timestamp = '0000-01-01T00:00:00.000000Z'`,
		audit.KindSystemEvent:  `metadata = '[1,', title = CAST(x'80' AS TEXT), timestamp = 'soon'`,
	}
	for kind, set := range spoil {
		if _, err := other.Exec("DROP TRIGGER " + string(kind) + "_fixed"); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Exec("UPDATE "+string(kind)+" SET "+set+" WHERE id = ?", ids[kind]); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range pages(ids) {
		s.page("superuser", path)
	}
	for _, kind := range audit.Kinds() {
		event := "/" + kind.Path() + "/" + ids[kind]
		for _, path := range []string{event, "/" + kind.Path()} {
			if !strings.Contains(s.page("viewer", path), "damaged") {
				t.Errorf("GET %s does not say what is damaged", path)
			}
		}
		var twin map[string]any
		s.data("viewer", event+".json", &twin)
		if list, _ := twin["damaged"].([]any); len(list) == 0 {
			t.Errorf("%s.json does not name what is damaged: %v", event, twin)
		}
		for line := range strings.Lines(s.page("viewer", "/"+kind.Path()+".ndjson")) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s.ndjson: not JSON: %s", kind.Path(), line)
			}
		}
		expect(t, kind.Path()+".csv", s.get("viewer", "/"+kind.Path()+".csv").Code, http.StatusOK)
	}
	if !strings.Contains(s.page("superuser", "/health"), "4 damaged events met") {
		t.Error("the health does not count the damaged events")
	}
}
