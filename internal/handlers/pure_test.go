package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

func TestBars(t *testing.T) {
	paris, err := zoneNamed("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, paris) }
	for _, test := range []struct {
		lo, hi time.Time
		want   db.Step
		levels int
		exact  bool
	}{
		{day(2026, 1, 1), day(2027, 1, 1), db.ByMonth, 1, true},
		{day(2026, 3, 1), day(2026, 4, 1), db.ByDay, 2, true},
		{day(2026, 3, 29), day(2026, 3, 30), db.ByHour, 3, true}, // 23 hours
		{day(2026, 3, 29).Add(time.Hour), day(2026, 3, 29).Add(2 * time.Hour), "", 4, true},
		{day(2026, 3, 29), day(2026, 3, 31), db.ByHour, 2, false},
		{day(2026, 3, 2), day(2026, 4, 9), db.ByDay, 1, false},
		{day(2025, 3, 2), day(2026, 4, 9), db.ByMonth, 0, false},
		{day(1990, 3, 2), day(2026, 4, 9), db.ByYear, 0, false},
	} {
		if got := bars(test.lo, test.hi); got != test.want {
			t.Errorf("bars(%s, %s): got %q, want %q", test.lo, test.hi, got, test.want)
		}
		levels, exact := enclosing(test.lo, test.hi)
		if len(levels) != test.levels || exact != test.exact {
			t.Errorf("enclosing(%s, %s): got %v %v, want %d %v", test.lo, test.hi, levels, exact, test.levels, test.exact)
		}
	}
	if got, want := oddDay(day(2026, 3, 29)), "23 hours, clocks went forward"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := oddDay(day(2026, 10, 25)), "25 hours, clocks went back"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := oddDay(day(2026, 3, 28)); got != "" {
		t.Errorf("got %q for a day as any other", got)
	}
}

func TestFilled(t *testing.T) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	line := &db.Timeline{Exact: true, Buckets: []db.Bucket{{Start: from.AddDate(0, 0, 9), Count: 3}, {Start: from.AddDate(0, 0, 12), Count: 1}}}
	got := filled(line, db.ByDay, from, from.AddDate(0, 1, 0)).Buckets
	if len(got) != 31 || got[9].Count != 3 || got[10].Count != 0 || got[12].Count != 1 || got[0].Start != from || got[30].Start != from.AddDate(0, 0, 30) {
		t.Errorf("got %v, want the 31 days of March", got)
	}
	if got := filled(line, db.ByDay, time.Unix(0, 0).UTC(), from.AddDate(0, 1, 0)).Buckets; len(got) != 22 || got[0].Count != 3 {
		t.Errorf("got %d steps since the beginning of time, want 22 from the first event on", len(got))
	}
	if got := filled(&db.Timeline{}, db.ByDay, from, from.AddDate(0, 1, 0)).Buckets; len(got) != 0 {
		t.Errorf("got %d steps of nothing", len(got))
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		number(0): "0", number(999): "999", number(1000): "1,000", number(48201377): "48,201,377", number(-12345): "-12,345",
		plural(1, "event"): "1 event", plural(2, "entry"): "2 entries", plural(3, "day"): "3 days", plural(2, "address"): "2 addresses",
		size(1): "1 byte", size(999): "999 bytes", size(1200000): "1.2 MB", size(999950): "1.0 MB", size(5e12): "5.0 TB",
		span(1500 * time.Microsecond): "1 ms", span(90 * time.Second): "1 minute", span(50 * time.Hour): "2 days", span(800 * 24 * time.Hour): "2 years",
		cut("a  b\n c", 10): "a b c", cut("a long text", 7): "a long…", cut("ééééééééé", 4): "ééé…", late(time.Minute): "", late(73 * time.Hour): "3 days late",
		ago(noon, noon): "just now", ago(noon.Add(-time.Hour), noon): "1 hour ago", ago(noon.Add(time.Hour), noon): "in 1 hour",
		sentenceCase("été"): "Été", sentenceCase(""): "", sentenceCase(`limit="x" is no number`): `limit="x" is no number`, article("audit log"): "an audit log", article("login attempt"): "a login attempt",
		joined(", ", "", "a", "", "b"): "a, b", address("/x", "a", "", "b", "c d"): "/x?b=c+d", address("/x"): "/x",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := cut(strings.Repeat("x", 1<<20), 10); got != "xxxxxxxxx…" {
		t.Errorf("got %q of a megabyte", got)
	}
}

func TestMark(t *testing.T) {
	for _, test := range []struct {
		text, needle, want string
	}{
		{"Gift card", "gift", "[Gift] card"},
		{"a gift, a GIFT", "gift", "a [gift], a [GIFT]"},
		{"STRASSE Straße", "straße", "STRASSE [Straße]"},
		{"ÉCOLE", "éco", "[ÉCO]LE"},
		{"nothing", "gift", "nothing"},
		{"", "gift", ""},
		{"aaa", "aa", "[aa]a"},
	} {
		var got strings.Builder
		for _, p := range mark(test.text, []string{query.Fold(test.needle)}) {
			if p.hit {
				got.WriteString("[" + p.text + "]")
			} else {
				got.WriteString(p.text)
			}
		}
		if got.String() != test.want {
			t.Errorf("mark %q in %q: got %q, want %q", test.needle, test.text, got.String(), test.want)
		}
	}
	if got := excerpt(strings.Repeat("before ", 50)+"needle"+strings.Repeat(" after", 50), []string{"needle"}, 60); !strings.Contains(got, "needle") || len(got) > 80 {
		t.Errorf("got the excerpt %q", got)
	}
}

// FuzzMark holds that the parts of a text are the text.
func FuzzMark(f *testing.F) {
	f.Add("Gift card", "gift")
	f.Add("İstanbul ﬁn", "i")
	f.Add("\xff\xfe", "\xff")
	f.Fuzz(func(t *testing.T, text, needle string) {
		var whole strings.Builder
		for _, p := range mark(text, []string{query.Fold(needle)}) {
			whole.WriteString(p.text)
		}
		if whole.String() != text {
			t.Errorf("mark %q in %q: the parts are %q", needle, text, whole.String())
		}
	})
}

// TestSentence says every action and every kind of change.
func TestSentence(t *testing.T) {
	for _, test := range []struct {
		kind   audit.Kind
		fields map[string]string
		want   string
	}{
		{audit.KindAuditLog, map[string]string{"username": "alice", "action": "UPDATE", "object_repr": "Order 42", "changes": `{"status":{"old":"paid","new":"refunded"},"a":{"old":1,"new":2},"b":{"old":1,"new":2}}`},
			"alice changed status paid → refunded and 2 more on Order 42"},
		{audit.KindAuditLog, map[string]string{"username": "alice", "action": "UPDATE", "object_repr": "Order 42", "changes": `{"lines":{"old":[1],"new":[2]},"status":{"old":null,"new":""}}`},
			"alice changed status nothing → empty and 1 more on Order 42"},
		{audit.KindAuditLog, map[string]string{"username": "alice", "action": "UPDATE", "object_repr": "Key", "changes": `{"token":{"old":"***","new":"***"}}`}, "alice changed token *** → *** on Key"},
		{audit.KindAuditLog, map[string]string{"username": "alice", "action": "UPDATE", "content_type": "a.b", "object_id": "7"}, "alice changed a.b 7"},
		{audit.KindAuditLog, map[string]string{"action": "CREATE", "object_repr": "Order 42"}, "Someone created Order 42"},
		{audit.KindAuditLog, map[string]string{"user_id": "7", "action": "LOGIN"}, "7 signed in"},
		{audit.KindAuditLog, map[string]string{"username": "alice", "action": "ASSUME_ROLE", "object_repr": "admin"}, "alice assume role: admin"},
		{audit.KindLoginAttempt, map[string]string{"username": "alice", "status": "FAILED", "failure_reason": "wrong password"}, "alice failed to sign in: wrong password"},
		{audit.KindLoginAttempt, map[string]string{"status": "BLOCKED"}, "A client without a name was blocked"},
		{audit.KindDataExport, map[string]string{"username": "bob", "export_type": "orders", "file_format": "csv"}, "bob exported orders as csv"},
		{audit.KindDataExport, map[string]string{"username": "bob", "export_type": "orders", "metadata": `{"completed":false}`}, "bob exported orders, broken off"},
		{audit.KindSystemEvent, map[string]string{"title": "deadlock detected"}, "deadlock detected"},
	} {
		e := audit.NewEvent(test.kind)
		for name, value := range test.fields {
			e.Set(name, value)
		}
		if got := sentence(e); got != test.want {
			t.Errorf("%v: got %q, want %q", test.fields, got, test.want)
		}
	}
	for _, action := range audit.KnownActions() {
		if _, known := verbs[action]; !known {
			t.Errorf("no words for %s", action)
		}
	}
}

// TestTellingChange: of many changed fields a search shows the one it found.
func TestTellingChange(t *testing.T) {
	e := audit.NewEvent(audit.KindAuditLog)
	e.Set("action", "UPDATE")
	e.Set("changes", `{"a":{"old":"1","new":"2"},"b":{"old":"x","new":"gift card"}}`)
	var got strings.Builder
	for _, s := range (teller{needles: []string{"gift"}}).what(nil, e, false) {
		got.WriteString(s.Text)
		if s.Class == templates.Mark && s.Text != "gift" {
			t.Errorf("marked %q", s.Text)
		}
	}
	if !strings.Contains(got.String(), "gift card") {
		t.Errorf("got %q, want the field with the hit", got.String())
	}
}

func TestAgentName(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14.7; rv:136.0) Gecko/20100101 Firefox/136.0":                                                     "Firefox 136 on macOS",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0":               "Edge 126 on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": "Safari 17 on iPhone",
		"curl/8.5.0":           "curl 8",
		"something of our own": "",
		"":                     "",
	} {
		if got := agentName(agent); got != want {
			t.Errorf("%q: got %q, want %q", agent, got, want)
		}
	}
}

func TestTrace(t *testing.T) {
	python := "Traceback (most recent call last):\n  File \"/usr/lib/python3/site-packages/django/core.py\", line 47, in inner\n    response = get(request)\n  File \"/app/shop.py\", line 218, in reserve\n    lock()\nDeadlock: detected"
	golang := "goroutine 1 [running]:\nruntime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\nmain.reserve(0x1)\n\t/app/reserve.go:218 +0x1d\ncreated by net/http.(*Server).Serve in goroutine 1\n\t/usr/local/go/src/net/http/server.go:3454 +0x485"
	java := "java.lang.IllegalStateException: no\n\tat com.example.Shop.reserve(Shop.java:218)\n\tat java.base/java.lang.Thread.run(Thread.java:1583)\nCaused by: java.io.IOException: disk"
	node := "Error: no\n    at reserve (/app/shop.js:218:7)\n    at node:internal/process/task_queues:95:5"
	for name, test := range map[string]struct {
		raw          string
		ours, others int
	}{"python": {python, 1, 1}, "go": {golang, 1, 2}, "java": {java, 1, 1}, "node": {node, 1, 1}} {
		ours, others := 0, 0
		for _, g := range trace(test.raw).Groups {
			for _, f := range g.Frames {
				switch {
				case f.Text != "":
				case f.Ours:
					ours++
				default:
					others++
				}
				if f.Ours && !strings.Contains(f.Source, "218") {
					t.Errorf("%s: a frame of ours is %+v", name, f)
				}
			}
		}
		if ours != test.ours || others != test.others {
			t.Errorf("%s: got %d of ours and %d of others, want %d and %d", name, ours, others, test.ours, test.others)
		}
	}
	if trace("  \n ") != nil {
		t.Error("a trace of nothing")
	}
	if m := trace("no frames here"); len(m.Groups) != 0 || m.Raw == "" {
		t.Errorf("got %+v, want only the text", m)
	}
}

// TestJudge holds that every sentinel of the store has its answer, however it
// is wrapped, and that nothing else says its cause.
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{db.ErrNotFound, 404}, {&db.DeletedError{Tombstone: db.Tombstone{DeletedBy: "sam", Reason: "why"}}, 410}, {db.ErrConflict, 409}, {db.ErrExists, 409}, {db.ErrProtected, 403},
		{db.ErrReadOnly, 503}, {db.ErrBusy, 503}, {db.ErrFull, 503}, {db.ErrLastOne, 409}, {context.DeadlineExceeded, 503},
		{&query.SyntaxError{Message: "no"}, 400}, {refuse(422, "write it down"), 422}, {refuse(429, "too many"), 429}, {&overtaken{"Too late", "already done", templates.Link{}, db.ErrConflict}, 409}, {&http.MaxBytesError{Limit: 65536}, 413},
		{errors.New("SELECT secret FROM x"), 500},
	} {
		got := judge(fmt.Errorf("list /var/lib/audit.db: %w", test.err))
		if got.status != test.want {
			t.Errorf("%v: got %d, want %d", test.err, got.status, test.want)
		}
		if got.title == "" || got.say == "" || strings.Contains(got.say, "/var/lib") || strings.Contains(got.say, "SELECT") {
			t.Errorf("%v: says %q under %q", test.err, got.say, got.title)
		}
	}
}

func TestPageOf(t *testing.T) {
	for text, want := range map[string]db.Page{
		"": {Limit: 100}, "limit=25": {Limit: 25}, "limit=0": {Limit: 1}, "limit=100000": {Limit: 1000}, "after=12": {After: 12, Limit: 100}, "before=12&limit=7": {Before: 12, Limit: 7},
	} {
		values, _ := url.ParseQuery(text)
		if got, err := pageOf(values); err != nil || got != want {
			t.Errorf("%q: got %v %v, want %v", text, got, err, want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/audit-logs?q=x": "/audit-logs?q=x", "": "/x", "//evil": "/x", "https://evil": "/x", "/\\evil": "/x", "/a\r\nb": "/x", "audit-logs": "/x",
	} {
		if got := localPath(next, "/x"); got != want {
			t.Errorf("%q: got %q, want %q", next, got, want)
		}
	}
}
