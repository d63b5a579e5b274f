package query

import (
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestComplete marks the cursor with ^ and what a choice replaces with [ ].
func TestComplete(t *testing.T) {
	const (
		al = audit.KindAuditLog
		la = audit.KindLoginAttempt
		se = audit.KindSystemEvent
	)
	every := len(Fields(al))
	tests := []struct {
		kind        audit.Kind
		query       string
		replaced    string // the query with what is replaced in brackets
		keys        string // the keys that are offered, by their names or number
		key, prefix string
		values      string
	}{
		{al, `^`, `[]`, "all", "", "", ""},
		{al, `user:alice ^`, `user:alice []`, "all", "", "", ""},
		{al, `^user:alice`, `[]user:alice`, "all", "", "", ""},
		{al, `us^`, `[us]`, "user", "", "", ""},
		{al, `-MO^`, `-[MO]`, "module", "", "", ""},
		{al, `re^`, `[re]`, "request repr reason recorded", "", "", ""},
		{al, `x re^pr y`, `x [repr] y`, "request repr reason recorded", "", "", ""},
		{al, `us^:alice`, `[us:]alice`, "user", "", "", ""},
		{al, `sinc^`, `[sinc]`, "after", "", "", ""},
		{al, `-^`, `[-]`, "", "", "", ""},
		{al, `gift^`, `[gift]`, "", "", "", ""},
		{al, `"us^er"`, `"us[]er"`, "", "", "", ""},
		{al, `"us^`, `"us[]`, "", "", "", ""},

		{al, `user:^`, `user:[]`, "", "user", "", ""},
		{al, `-user:al^`, `-user:[al]`, "", "user", "al", ""},
		{al, `user:bob,al^ x`, `user:bob,[al] x`, "", "user", "al", ""},
		{al, `user:bob,^`, `user:bob,[]`, "", "user", "", ""},
		{al, `user:bo^b,al`, `user:[bob],al`, "", "user", "bo", ""},
		{al, `user:"alice s^`, `user:["alice s]`, "", "user", "alice s", ""},
		{al, `user:"al^ action:x`, `user:["al] action:x`, "", "user", "al", ""},
		{al, `user:"a""b"^`, `user:["a""b"]`, "", "user", `a"b`, ""},
		{al, `nosuch:a^`, `nosuch:a[]`, "", "", "", ""},
		{al, `last:^`, `last:[]`, "", "last", "", "1h 24h 7d 30d 90d 365d"},
		{la, `status:f^`, `status:[f]`, "", "status", "f", "FAILED"},
		{se, `is:^`, `is:[]`, "", "is", "", "unresolved resolved"},
		{se, `event:ERROR,s^`, `event:ERROR,[s]`, "", "event", "s", "SECURITY"},
		{se, `resolved^`, `[resolved]`, "resolved-by", "", "", ""},
	}
	for _, tt := range tests {
		cursor := strings.IndexByte(tt.query, '^')
		q := strings.Replace(tt.query, "^", "", 1)
		c := Complete(tt.kind, q, cursor)
		replaced := q[:c.Start] + "[" + q[c.Start:c.End] + "]" + q[c.End:]
		var keys []string
		for _, f := range c.Keys {
			keys = append(keys, f.Key)
		}
		got := strings.Join(keys, " ")
		if len(keys) == every && tt.keys == "all" {
			got = "all"
		}
		if tt.keys == "" && len(keys) == 0 && tt.key == "" && c.Start == c.End {
			replaced = tt.replaced // nothing is offered, so nothing is replaced
		}
		if replaced != tt.replaced || got != tt.keys || c.Key != tt.key || c.Prefix != tt.prefix || strings.Join(c.Values, " ") != tt.values {
			t.Errorf("%s:\n got %s keys %q, %s:%q, values %q\nwant %s keys %q, %s:%q, values %q", tt.query,
				replaced, got, c.Key, c.Prefix, c.Values, tt.replaced, tt.keys, tt.key, tt.prefix, tt.values)
		}
	}
}

// TestCompleteAnywhere holds that every place of every query has a completion
// within it.
func TestCompleteAnywhere(t *testing.T) {
	for _, q := range []string{`user:alice,"b ""c`, `-x größe:ä,ö "`, `a:,,* ip:::1`, ``} {
		for cursor := -1; cursor <= len(q)+1; cursor++ {
			c := Complete(audit.KindAuditLog, q, cursor)
			if c.Start < 0 || c.Start > c.End || c.End > len(q) {
				t.Errorf("%s at %d: replaces %d to %d", q, cursor, c.Start, c.End)
			}
		}
	}
}
