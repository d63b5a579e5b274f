package format

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
)

// testSite makes the database of a Django site.
func testSite(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "site 100%?.sqlite3") // letters that mean something in a URI
	db, err := sql.Open("sqlite3", fileURI(path, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return path
}

const (
	siteTypes = `CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label text, model text);
		INSERT INTO django_content_type VALUES (1, 'shop', 'order')`
	siteUsers = `CREATE TABLE auth_user (id integer PRIMARY KEY, username text, password text);
		INSERT INTO auth_user VALUES (7, 'alice', 'x')`
)

// lines writes events as one JSON text each, without the source.
func jsonLines(events []*audit.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, string(audit.AppendJSON(nil, e, nil)))
	}
	return all
}

func TestDjango(t *testing.T) {
	for _, test := range []struct {
		name       string
		statements []string
		want       []string
		bad        []string
	}{
		{"the Django Audit Library", []string{siteTypes, siteUsers,
			`CREATE TABLE audit_auditlog (id integer PRIMARY KEY, timestamp datetime, user_id integer, action text, content_type_id integer, object_id text, object_repr text, changes text, reason text, ip_address text, session_key text, module text, tenant text)`,
			`INSERT INTO audit_auditlog VALUES (1, '2026-03-01 12:00:00.5', 7, 'UPDATE', 1, '42', 'Order 42', '{"total": {"old": "1", "new": "2"}, "note": "x"}', 'because', '203.0.113.9', 's1', 'shop', 'acme')`,
			`CREATE TABLE audit_loginattempt (id integer PRIMARY KEY, username text, status text, ip_address text, country text, timestamp datetime)`,
			`INSERT INTO audit_loginattempt VALUES (1, 'bob', 'FAILED', '203.0.113.9', 'FR', '2026-03-01 12:00:01')`,
			`CREATE TABLE audit_dataexport (id integer PRIMARY KEY, user_id integer, export_type text, file_format text, record_count integer, filters_applied text, timestamp datetime)`,
			`INSERT INTO audit_dataexport VALUES (1, 7, 'users', 'CSV', 100, '{"active": true}', '2026-03-01 12:00:02')`,
			`CREATE TABLE audit_systemevent (id integer PRIMARY KEY, event_type text, title text, resolved bool, resolved_at datetime, resolved_by_id integer, timestamp datetime)`,
			`INSERT INTO audit_systemevent VALUES (1, 'ERROR', 'Boom', 1, '2026-03-02 08:00:00', 7, '2026-03-01 12:00:03')`,
		}, []string{
			`{"kind":"audit_log","event_id":"audit_auditlog:1","timestamp":"2026-03-01T12:00:00.500000Z","user_id":"7","username":"alice","action":"UPDATE","content_type":"shop.order","object_id":"42","object_repr":"Order 42","changes":{"total":{"old":"1","new":"2"},"note":{"new":"x"}},"reason":"because","ip_address":"203.0.113.9","session_key":"s1","module":"shop","metadata":{"tenant":"acme"}}`,
			`{"kind":"login_attempt","event_id":"audit_loginattempt:1","timestamp":"2026-03-01T12:00:01.000000Z","username":"bob","status":"FAILED","ip_address":"203.0.113.9","country":"FR"}`,
			`{"kind":"data_export","event_id":"audit_dataexport:1","timestamp":"2026-03-01T12:00:02.000000Z","user_id":"7","username":"alice","export_type":"users","file_format":"CSV","record_count":100,"filters_applied":{"active": true}}`,
			`{"kind":"system_event","event_id":"audit_systemevent:1","timestamp":"2026-03-01T12:00:03.000000Z","event_type":"ERROR","title":"Boom","resolved":true,"resolved_at":"2026-03-02T08:00:00.000000Z","resolved_by":"alice"}`,
		}, nil},
		{"django-auditlog and users of another table", []string{siteTypes,
			`CREATE TABLE people_person (uuid text PRIMARY KEY, email text, password text); INSERT INTO people_person VALUES ('u-1', 'eve@example.org', 'x')`,
			`CREATE TABLE auditlog_logentry (id integer PRIMARY KEY, object_pk text, object_repr text, action integer, timestamp datetime, actor_id text REFERENCES people_person (uuid), content_type_id integer, remote_addr text, cid text, changes text, additional_data text)`,
			`INSERT INTO auditlog_logentry VALUES (1, '42', 'Order 42', 1, '2026-03-01 13:00:00+01:00', 'u-1', 1, '203.0.113.9', 'req-1', '{"tags": {"type": "m2m", "operation": "add", "objects": ["a", "b"]}, "total": ["None", "2"]}', '{"k": 1}')`,
			`INSERT INTO auditlog_logentry VALUES (2, '43', 'Order 43', 3, '2026-03-01 12:00:01', NULL, 99, NULL, NULL, 'null', NULL)`,
			`INSERT INTO auditlog_logentry VALUES (3, '43', 'Order 43', 9, '2026-03-01 12:00:01', NULL, 1, NULL, NULL, '', NULL)`,
			`INSERT INTO auditlog_logentry VALUES (4, '43', 'Order 43', 1, 'yesterday', NULL, 1, NULL, NULL, '', NULL)`,
			`INSERT INTO auditlog_logentry VALUES (5, '43', 'Order 43', 1, '2026-03-01 12:00:02', NULL, 1, NULL, NULL, '{"price": [NaN, "1"]}', NULL)`,
		}, []string{
			`{"kind":"audit_log","event_id":"auditlog_logentry:1","timestamp":"2026-03-01T12:00:00.000000Z","user_id":"u-1","username":"eve@example.org","action":"UPDATE","content_type":"shop.order","object_id":"42","object_repr":"Order 42","changes":{"tags":{"new":["a", "b"]},"total":{"old":null,"new":"2"}},"ip_address":"203.0.113.9","request_id":"req-1","module":"shop","metadata":{"additional_data":{"k": 1}}}`,
			`{"kind":"audit_log","event_id":"auditlog_logentry:2","timestamp":"2026-03-01T12:00:01.000000Z","action":"VIEW","content_type":"content type 99","object_id":"43","object_repr":"Order 43","module":"auditlog"}`,
			`{"kind":"audit_log","event_id":"auditlog_logentry:5","timestamp":"2026-03-01T12:00:02.000000Z","action":"UPDATE","content_type":"shop.order","object_id":"43","object_repr":"Order 43","module":"shop","metadata":{"changes":"{\"price\": [NaN, \"1\"]}"}}`,
		}, []string{
			`site 100%?.sqlite3:auditlog_logentry:3: action "9" is not one of django-auditlog`,
			`site 100%?.sqlite3:auditlog_logentry:4: timestamp: "yesterday" is no time as Django writes it`,
		}},
		{"django-easy-audit", []string{siteTypes, siteUsers,
			`CREATE TABLE easyaudit_crudevent (id integer PRIMARY KEY, event_type integer, object_id text, object_repr text, object_json_repr text, datetime datetime, content_type_id integer, user_id integer, user_pk_as_string text, changed_fields text)`,
			`INSERT INTO easyaudit_crudevent VALUES (1, 3, '42', 'Order 42', '[{"model": "shop.order", "pk": 42, "fields": {"total": "2"}}]', '2026-03-01 12:00:00', 1, NULL, '7', 'null')`,
			`CREATE TABLE easyaudit_loginevent (id integer PRIMARY KEY, login_type integer, username text, datetime datetime, remote_ip text, user_id integer)`,
			`INSERT INTO easyaudit_loginevent VALUES (1, 1, 'alice', '2026-03-01 12:00:01', '203.0.113.9', 7), (2, 2, NULL, '2026-03-01 12:00:02', '203.0.113.9', NULL)`,
			`CREATE TABLE easyaudit_requestevent (id integer PRIMARY KEY, url text, method text, query_string text, user_id integer, remote_ip text, datetime datetime)`,
			`INSERT INTO easyaudit_requestevent VALUES (1, '/orders', 'POST', 'a=1', 7, '203.0.113.9', '2026-03-01 12:00:03')`,
		}, []string{
			`{"kind":"audit_log","event_id":"easyaudit_crudevent:1","timestamp":"2026-03-01T12:00:00.000000Z","user_id":"7","username":"alice","action":"DELETE","content_type":"shop.order","object_id":"42","object_repr":"Order 42","changes":{"total":{"old":"2","new":null}},"module":"shop"}`,
			`{"kind":"audit_log","event_id":"easyaudit_loginevent:1","timestamp":"2026-03-01T12:00:01.000000Z","user_id":"7","username":"alice","action":"LOGOUT","ip_address":"203.0.113.9","module":"easyaudit"}`,
			`{"kind":"login_attempt","event_id":"easyaudit_loginevent:2","timestamp":"2026-03-01T12:00:02.000000Z","username":"","status":"FAILED","ip_address":"203.0.113.9"}`,
			`{"kind":"audit_log","event_id":"easyaudit_requestevent:1","timestamp":"2026-03-01T12:00:03.000000Z","user_id":"7","username":"alice","action":"REQUEST","object_repr":"POST /orders?a=1","ip_address":"203.0.113.9","module":"easyaudit","metadata":{"method":"POST","url":"/orders","query_string":"a=1"}}`,
		}, nil},
		{"the admin, axes and Wagtail", []string{siteTypes, siteUsers,
			`CREATE TABLE django_admin_log (id integer PRIMARY KEY, action_time datetime, user_id integer, content_type_id integer, object_id text, object_repr text, action_flag integer, change_message text)`,
			`INSERT INTO django_admin_log VALUES (1, '2013-03-18 13:05:32', 7, 1, '42', 'Order 42', 2, 'Changed domain and name.')`,
			`INSERT INTO django_admin_log VALUES (2, '2026-03-01 12:00:00', 7, 1, '42', 'Order 42', 2, '[{"changed": {"fields": ["Total", "Note", "Tag"]}}, {"added": {"name": "line", "object": "Line 1"}}]')`,
			`CREATE TABLE axes_accesslog (id integer PRIMARY KEY, username text, ip_address text, user_agent text, path_info text, attempt_time datetime, logout_time datetime)`,
			`INSERT INTO axes_accesslog VALUES (1, 'alice', '203.0.113.9', 'curl', '/login', '2026-03-01 12:00:01', '2026-03-01 13:00:00')`,
			`CREATE TABLE axes_accessattempt (id integer PRIMARY KEY, username text, ip_address text, failures_since_start integer, post_data text, attempt_time datetime)`,
			`INSERT INTO axes_accessattempt VALUES (1, 'bob', '203.0.113.9', 3, 'username=bob' || char(10) || 'password=hunter2', '2026-03-01 12:00:02')`,
			`CREATE TABLE wagtailcore_pagelogentry (id integer PRIMARY KEY, label text, action text, timestamp datetime, content_type_id integer, page_id integer, user_id integer, uuid text, data text)`,
			`INSERT INTO wagtailcore_pagelogentry VALUES (1, 'Home', 'wagtail.publish.schedule', '2026-03-01 12:00:03', 1, 3, 7, 'u1', '{"revision": {"id": 9}}')`,
		}, []string{
			`{"kind":"audit_log","event_id":"django_admin_log:1","timestamp":"2013-03-18T13:05:32.000000Z","user_id":"7","username":"alice","action":"UPDATE","content_type":"shop.order","object_id":"42","object_repr":"Order 42","reason":"Changed domain and name.","module":"shop"}`,
			`{"kind":"audit_log","event_id":"django_admin_log:2","timestamp":"2026-03-01T12:00:00.000000Z","user_id":"7","username":"alice","action":"UPDATE","content_type":"shop.order","object_id":"42","object_repr":"Order 42","reason":"Changed Total, Note and Tag. Added line \"Line 1\".","module":"shop","metadata":{"changed_fields":["Total","Note","Tag"],"change_message":[{"changed": {"fields": ["Total", "Note", "Tag"]}}, {"added": {"name": "line", "object": "Line 1"}}]}}`,
			`{"kind":"login_attempt","event_id":"axes_accesslog:1","timestamp":"2026-03-01T12:00:01.000000Z","username":"alice","status":"SUCCESS","ip_address":"203.0.113.9","user_agent":"curl","metadata":{"path":"/login"}}`,
			`{"kind":"audit_log","event_id":"axes_accesslog:1:2","timestamp":"2026-03-01T13:00:00.000000Z","username":"alice","action":"LOGOUT","ip_address":"203.0.113.9","user_agent":"curl","module":"axes"}`,
			`{"kind":"login_attempt","event_id":"axes_accessattempt:1","timestamp":"2026-03-01T12:00:02.000000Z","username":"bob","status":"FAILED","ip_address":"203.0.113.9","metadata":{"failures_since_start":3,"post_data":{"username":"bob","password":"hunter2"}}}`,
			`{"kind":"audit_log","event_id":"wagtailcore_pagelogentry:1","timestamp":"2026-03-01T12:00:03.000000Z","user_id":"7","username":"alice","action":"PUBLISH_SCHEDULE","content_type":"shop.order","object_id":"3","object_repr":"Home","request_id":"u1","module":"shop","metadata":{"action":"wagtail.publish.schedule","data":{"revision": {"id": 9}}}}`,
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := testSite(t, test.statements...)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			store, _, bad := testImport(t, "django", ImportOptions{}, path)
			got := jsonLines(store.events)
			if len(got) != len(test.want) {
				t.Errorf("events: got %d, want %d", len(got), len(test.want))
			}
			for i := range min(len(got), len(test.want)) {
				if got[i] != test.want[i] {
					t.Errorf("event %d\ngot  %s\nwant %s", i, got[i], test.want[i])
				}
			}
			if !reflect.DeepEqual(bad, test.bad) {
				t.Errorf("bad rows: got %q, want %q", bad, test.bad)
			}
			again(t, store, "django", ImportOptions{}, path)
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("the file was written")
			}
			if beside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(beside) != 1 {
				t.Errorf("files were left beside it: %q", beside)
			}
		})
	}
}

// Users of a site's own are found by the logs that point to them, whichever log
// that is, and else by what every user of Django has.
func TestDjangoOwnUsers(t *testing.T) {
	const event = `CREATE TABLE easyaudit_crudevent (id integer PRIMARY KEY, event_type integer, object_id text, object_repr text, content_type_id integer, datetime datetime, user_id integer%s)`
	for _, test := range []struct{ name, reference string }{
		{"named by a foreign key", " REFERENCES people_member (id)"},
		{"not named", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := testSite(t, siteTypes,
				`CREATE TABLE people_member (id integer PRIMARY KEY, password text, last_login datetime, email text)`,
				`INSERT INTO people_member VALUES (7, 'x', NULL, 'alice@example.com')`,
				fmt.Sprintf(event, test.reference),
				`INSERT INTO easyaudit_crudevent VALUES (1, 2, '42', 'Order 42', 1, '2026-03-01 12:00:00', 7)`)
			store, _, bad := testImport(t, "django", ImportOptions{}, path)
			if len(bad) > 0 || len(store.events) != 1 {
				t.Fatalf("got %d events and bad rows %q, want 1 and none", len(store.events), bad)
			}
			if got, want := store.events[0].Get("username"), "alice@example.com"; got != want {
				t.Errorf("username: got %q, want %q", got, want)
			}
		})
	}
}

func TestDjangoSource(t *testing.T) {
	path := testSite(t, siteTypes, `CREATE TABLE axes_accessfailurelog (id integer PRIMARY KEY, username text, attempt_time datetime, locked_out bool)`,
		`INSERT INTO axes_accessfailurelog VALUES (1, 'bob', '2026-03-01 12:00:00', 1)`,
		`CREATE TABLE axes_accessattempt (id integer PRIMARY KEY, username text, attempt_time datetime)`,
		`INSERT INTO axes_accessattempt VALUES (1, 'bob', '2026-03-01 12:00:00')`)
	store, summary, _ := testImport(t, "django", ImportOptions{}, path)
	if got, want := store.events[0].Source+" "+store.events[0].Get("status"), "import:django:axes_accessfailurelog BLOCKED"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if summary.Ignored != 1 || summary.Stored != 1 {
		t.Errorf("got %s, want one stored and one ignored: a counter of what is there one by one", summary)
	}
}

// A file in WAL mode is read without making the files that go with it.
func TestDjangoWAL(t *testing.T) {
	path := testSite(t, `PRAGMA journal_mode = WAL`, siteTypes, siteUsers,
		`CREATE TABLE axes_accesslog (id integer PRIMARY KEY, username text, attempt_time datetime)`,
		`INSERT INTO axes_accesslog VALUES (1, 'alice', '2026-03-01 12:00:01')`)
	store, _, _ := testImport(t, "django", ImportOptions{}, path)
	if len(store.events) != 1 {
		t.Errorf("got %d events, want 1", len(store.events))
	}
	if beside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(beside) != 1 {
		t.Errorf("files were left beside it: %q", beside)
	}
}

// ASVS:V5.2.2
func TestDjangoIsNone(t *testing.T) {
	for _, test := range []struct{ name, path, want string }{
		{"text", testFile(t, "a", []byte("hello, this is some text")), "not a SQLite database"},
		{"empty", testFile(t, "b", nil), "not a SQLite database"},
		{"cut off", testFile(t, "c", []byte("SQLite format 3\x00")), "cut off"},
		{"damaged", testFile(t, "d", []byte("SQLite format 3\x00"+strings.Repeat("x", 4096))), "read"},
		{"of something else", testSite(t, "CREATE TABLE cats (name text)"), "none of audit_auditlog"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := importInto(&memory{}, "django", ImportOptions{}, test.path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path) {
				t.Errorf("got %v, want an error with the path and %q", err, test.want)
			}
		})
	}
}

func TestDjangoRealSites(t *testing.T) {
	dir := need.Shared(t, "data/django-dbs")
	log, login := audit.KindAuditLog, audit.KindLoginAttempt
	for _, test := range []struct {
		file    string
		ignored int64
		counts  map[string]int // by table
		more    func(*memory) (got, want []int)
	}{
		{"coreyms-django-blog.sqlite3", 0, map[string]int{"django_admin_log": 11}, nil},
		{"wpadmin-test_project.sqlite3", 0, map[string]int{"django_admin_log": 28}, nil},
		{"wagtail-orderable-viewset.sqlite3", 0, map[string]int{"wagtailcore_modellogentry": 32}, nil},
		{"easyaudit-tests.sqlite3", 0, map[string]int{"easyaudit_crudevent": 72, "easyaudit_requestevent": 80, "easyaudit_loginevent": 3, "django_admin_log": 5}, nil},
		{"replay-simple-icons.sqlite3.gz", 3, map[string]int{"auditlog_logentry": 7044, "easyaudit_crudevent": 8295, "easyaudit_loginevent": 413, "django_admin_log": 7044, "axes_accesslog": 388, "axes_accessfailurelog": 25},
			func(m *memory) (got, want []int) {
				for _, action := range []string{"CREATE", "UPDATE", "DELETE"} {
					n := 0
					for _, e := range m.events {
						if e.Kind == log && e.Get("action") == action && strings.HasPrefix(e.EventID, "auditlog_") {
							n++
						}
					}
					got = append(got, n)
				}
				got = append(got, m.count(login, "status=SUCCESS"), m.count(login, "status=FAILED"))
				return got, []int{3896, 2705, 443, 388 + 388, 25 + 25}
			}},
	} {
		t.Run(test.file, func(t *testing.T) {
			path := filepath.Join(dir, test.file)
			store, summary, bad := testImport(t, "django", ImportOptions{}, path)
			t.Log(summary)
			if len(bad) > 0 || summary.Ignored != test.ignored {
				t.Errorf("got %s and bad rows %q, want %d ignored and none bad", summary, bad, test.ignored)
			}
			counts := map[string]int{}
			for _, e := range store.events {
				table, _, _ := strings.Cut(e.EventID, ":")
				counts[table]++
			}
			if !reflect.DeepEqual(counts, test.counts) {
				t.Errorf("events by table: got %v, want %v", counts, test.counts)
			}
			if test.more != nil {
				if got, want := test.more(store); !reflect.DeepEqual(got, want) {
					t.Errorf("created, updated, deleted, signed in, failed: got %v, want %v", got, want)
				}
			}
			again(t, store, "django", ImportOptions{}, path)
		})
	}
}

func FuzzDjangoValues(f *testing.F) {
	for _, text := range []string{`{"a": ["None", "1"]}`, `{"a": {"type": "m2m", "operation": "add", "objects": []}}`, `[{"changed": {"fields": ["x"]}}]`, `{"a":1}`, `[{"":{}}]`, "Changed a and b."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := audit.NewEvent(audit.KindAuditLog)
		e.Set("timestamp", "2026-03-01T12:00:00Z")
		e.Set("action", word("x"+text))
		e.Set("changes", djangoChanges(text))
		reason, fields := adminMessage(text)
		e.Set("reason", visible(reason))
		e.Set("metadata", `{"fields":`+firstOf(fields, "0")+`,"snapshot":`+firstOf(snapshotFields(text), "0")+`}`)
		// Repeated keys, deep nesting and half characters are refused, and named.
		_ = e.Normalize(testNow)
		for _, field := range []string{"changes", "metadata"} {
			if v := e.Get(field); v != "" && !json.Valid([]byte(v)) {
				t.Fatalf("%q: %s is not JSON: %s", text, field, v)
			}
		}
	})
}
