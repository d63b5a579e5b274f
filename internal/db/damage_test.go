package db

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// FuzzWellFormed compares with encoding/json.
func FuzzWellFormed(f *testing.F) {
	for _, s := range []string{"", " ", "{}", "[]", "[[]]", `{"a":{"old":1,"new":[true,null,-1.5e3]}}`, `{"a":1,}`, `{,}`, `[1,]`, `{"a"}`, `{"a":}`, `"\u12"`, `"\u00e9"`, `"\x"`,
		`"\`, `"`, "01", "-", "1.", "1e", "+1", "tru", "nulll", "[1 2]", "{}{}", "]", "[}", `{"a":1 "b":2}`, " [ 1 , \"x\" ] ", "\"\x01\"", `"\u+123"`, `"\u1_23"`, "1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, want := wellFormed(s), json.Valid([]byte(s))
		if got != want && !(want && strings.Count(s, "[")+strings.Count(s, "{") > jsonDepth) {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	})
}

// TestDamagedRows spoils rows with somebody else's tools: every one is still
// read, says which of its fields are damaged, and is JSON.
func TestDamagedRows(t *testing.T) {
	s := openTest(t)
	spoiled := map[string][]string{ // by what is set, the fields that are damaged
		`changes = '{"a":'`:                              {"changes"},
		`changes = 'no JSON', metadata = '{"a":1,}'`:     {"changes", "metadata"},
		`metadata = CAST(x'7b2261ff223a317d' AS TEXT)`:   {"metadata"},
		`reason = CAST(x'61ff62' AS TEXT)`:               {"reason"},
		`username = CAST(x'c328' AS TEXT), changes = ''`: {"username"},
		`timestamp = '0000-01-01T00:00:00.000000Z'`:      {"timestamp"},
		`timestamp = '9999-12-31T23:59:59.999999Z'`:      {"timestamp"},
		`timestamp = 'yesterday'`:                        {"timestamp"},
		`timestamp = ''`:                                 {"timestamp"},
		`object_repr = ''`:                               nil,
		`reason = 'a' || char(0) || 'b'`:                 nil,
	}
	if _, err := s.rw.Exec("DROP TRIGGER audit_log_fixed"); err != nil {
		t.Fatal(err)
	}
	ids := map[int64][]string{}
	for statement, want := range spoiled {
		mustAppend(t, s, event(t, "changes", `{"a":{"old":1,"new":2}}`, "object_repr", statement))
		id := newest(t, s)
		if _, err := s.rw.Exec("UPDATE audit_log SET "+statement+" WHERE id = ?", id); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		ids[id] = want
	}
	sel, err := s.Select(t.Context(), &query.Filter{Kind: audit.KindAuditLog})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = sel.Each(t.Context(), func(st *Stored) error {
		seen++
		if !slices.Equal(st.Damaged, ids[st.ID]) {
			t.Errorf("damaged are %v, want %v", st.Damaged, ids[st.ID])
		}
		if got := st.Time().UnixMicro(); got != st.ID>>idBits {
			t.Errorf("%v: the time is %v", ids[st.ID], st.Time())
		}
		if line := audit.AppendJSON(nil, st.Event, nil); !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
		return nil
	})
	if err != nil || seen != len(spoiled) {
		t.Errorf("read %d events, %v, want %d", seen, err, len(spoiled))
	}
	if n := sameByEveryWay(t, sel, slices.SortedFunc(maps.Keys(ids), func(a, b int64) int { return cmp.Compare(b, a) })); n != len(spoiled) {
		t.Errorf("read %d events, want %d", n, len(spoiled))
	}
	health, err := s.Health(t.Context())
	if err != nil || health.Damaged != len(spoiled)-2 {
		t.Errorf("the health counts %d damaged events, %v, want %d", health.Damaged, err, len(spoiled)-2)
	}
}

// newest returns the id of the newest audit log.
func newest(t *testing.T, s *Store) (id int64) {
	t.Helper()
	if err := s.rw.Get(&id, "SELECT max(id) FROM audit_log"); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestDamageSaysWhatToDo reads the error of a file whose pages are damaged: it
// reaches whoever asks for a verification, too, so that it cannot name that.
func TestDamageSaysWhatToDo(t *testing.T) {
	err := sqliteDialect{}.classify(sqlite3.Error{Code: sqlite3.ErrCorrupt})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "auditadmin salvage") || strings.Contains(err.Error(), "auditadmin verify") {
		t.Errorf("got %v", err)
	}
}
