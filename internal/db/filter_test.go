package db

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// odd are texts that mean something to SQL, to the text index or to LIKE.
var odd = []string{"", "alice", "Bob O'Brien", `"quoted"`, "100%", "a_b", "x\\y", "--", "/* */", "'; DROP TABLE audit_log; --", "NEAR(a b)", "a OR b", "a AND NOT b", "col:term", "^start", "pre*", "(paren)", "{brace}",
	"Zażółć", "ſecret", "K\u212a", "ß", "İstanbul", "a\u0000b", "tab\there", "line\nbreak", "\u202eevil", "ab", "abc", "abcd", "0", "-1", "NULL", "null", "1e9", "\U0001F600"}

// FuzzFilter asks the store any query there is and compares what it finds with a
// walk over the events themselves: no text of a query is ever taken for SQL, for
// an operator of the text index, or for a pattern.
//
// ASVS:V1.2.4 ASVS:V1.2.9
func FuzzFilter(f *testing.F) {
	for _, s := range odd {
		f.Add(s)
		f.Add("user:" + s)
		f.Add("-" + s + " action:UPDATE")
		f.Add(`reason:"` + strings.ReplaceAll(s, `"`, "") + `"`)
		f.Add("repr:" + s + "*")
	}
	s := openTest(f)
	var all []*audit.Event
	for i := range 400 {
		text := odd[i%len(odd)]
		more := odd[i*7%len(odd)]
		all = append(all, event(f, "event_id", fmt.Sprint(i), "username", text, "reason", more, "object_repr", text+" "+more, "module", more, "object_id", text, "action", []string{"CREATE", "UPDATE", "DELETE"}[i%3],
			"changes", fmt.Sprintf(`{%q:{"old":%q,"new":%q}}`, "f"+fmt.Sprint(i%5), strings.ToValidUTF8(strings.Map(plain, text), ""), strings.Map(plain, more))))
	}
	mustAppend(f, s, all...)
	rows := everything(f, s, audit.KindAuditLog)
	if len(rows) != 400 {
		f.Fatalf("stored %d events, want 400", len(rows))
	}
	f.Fuzz(func(t *testing.T, q string) {
		filter, err := query.Parse(audit.KindAuditLog, q, query.Options{Now: noon})
		if err != nil {
			var wrong *query.SyntaxError
			if !errors.As(err, &wrong) {
				t.Fatalf("%q: got %v, want a *SyntaxError", q, err)
			}
			return
		}
		for _, term := range filter.Terms {
			switch term.Field.Class {
			case query.ClassTime, query.ClassValue, query.ClassText, query.ClassFree:
			default:
				return // numbers, networks and ids have tests of their own
			}
			textual := term.Field.Class == query.ClassText || term.Field.Class == query.ClassFree
			if term.Field.Key == "recorded" || textual && slices.ContainsFunc(term.Values, func(v query.Value) bool { return v.Prefix }) {
				return // what the walk below does not know
			}
		}
		sel, err := s.Select(t.Context(), filter)
		if err != nil {
			t.Fatalf("%q: %v", q, err)
		}
		if got, want := walk(t, sel, 70), oracle(t, rows, filter); !slices.Equal(got, want) {
			t.Errorf("%q: found %d events, the rows say %d", q, len(got), len(want))
		}
	})
}

// plain keeps what Go and JSON write alike.
func plain(r rune) rune {
	if r < ' ' || r > '~' || r == '\\' || r == '"' {
		return -1
	}
	return r
}
