package handlers

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/auditadmin/auditadmin/audit"
)

// plainText is the text of a page without its markup.
func plainText(t *testing.T, page string) string {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for n := range tree.Descendants() {
		if n.Type == html.TextNode {
			text.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

// What was mistyped is named with what is probably meant, as a link that leads
// somewhere.
func TestDidYouMean(t *testing.T) {
	s := newSite(t)
	for i, e := range []map[string]string{
		{"username": "svc-warehouse", "action": "DELETE"}, {"username": "svc-warehouse", "action": "DELETE"}, {"username": "maria.keller", "action": "UPDATE"},
		{"username": "mario.rossi", "action": "UPDATE"}, {"username": "maria.rossi", "action": "VIEW"}, {"username": "maria.rossi", "action": "VIEW"},
	} {
		e["timestamp"] = at(time.Duration(i+1) * time.Hour)
		s.add(audit.KindAuditLog, e)
	}
	for q, want := range map[string]struct {
		says string            // the sentence, without its markup
		to   map[string]string // text of a link, and the query it leads to
	}{
		"action:DELTE":                              {"Did you mean DELETE (2)?", map[string]string{"DELETE": "action:DELETE"}},
		"user:svc-warehose action:DELETE":           {"Did you mean svc-warehouse (2)?", map[string]string{"svc-warehouse": "user:svc-warehouse action:DELETE"}},
		"user:maria":                                {"Did you mean maria.rossi (2) or maria.keller (1)?", map[string]string{"maria.keller": "user:maria.keller"}},
		"user:svc-warehose action:UPDATE":           {"Did you mean svc-warehouse?", map[string]string{"svc-warehouse": "user:svc-warehouse action:UPDATE"}},
		"action:DELTE,REMOVE":                       {"Did you mean DELETE (2)?", map[string]string{"DELETE": "action:DELETE,REMOVE"}},
		"user:maria.keller OR user:svc-warehouse":   {"Did you mean user:maria.keller,svc-warehouse?", map[string]string{"user:maria.keller,svc-warehouse": "user:maria.keller,svc-warehouse"}},
		"user=maria.keller action:UPDATE":           {"Did you mean user:maria.keller action:UPDATE?", map[string]string{"user:maria.keller action:UPDATE": "user:maria.keller action:UPDATE"}},
		"before:2026-01-01 after:2026-05-01":        {"Did you mean after:2026-01-01 before:2026-05-01?", map[string]string{"after:2026-01-01 before:2026-05-01": "after:2026-01-01 before:2026-05-01"}},
		"user:svc-warehouse action:VIEW":            {"", nil}, // both occur
		"user:somebody.else":                        {"", nil}, // nobody is like that
		"action:DEL*":                               {"", nil}, // finds what it means
		"user:svc-warehouse -action:DELTE type:abc": {"", nil},
	} {
		page := s.page("viewer", "/audit-logs?q="+url.QueryEscape(q))
		text := plainText(t, page)
		if want.says == "" && strings.Contains(text, "Did you mean") || !strings.Contains(text, want.says) {
			_, said, _ := strings.Cut(text, "Did you mean")
			t.Errorf("%s: want %q, got %.80q", q, want.says, said)
		}
		to := links(t, page)
		for label, query := range want.to {
			u, err := url.Parse(to[label])
			if err != nil || u.Query().Get("q") != query {
				t.Errorf("%s: %q leads to %q, want the query %s", q, label, to[label], query)
			}
		}
	}
}

// The words of other query languages are not taken for words of the text in silence.
func TestHabitsOfOtherLanguages(t *testing.T) {
	s := newSite(t)
	s.shop()
	for q, says := range map[string]string{
		"alice OR bob":     "alternatives are written with a comma, as in user:alice,bob",
		"action=delete":    "a field has a colon, as in action:delete",
		`"action=delete"`:  "",
		"alice or bob":     "",
		"nonsense=12":      "",
		"http://x?user=12": "",
	} {
		text := plainText(t, s.page("viewer", "/audit-logs?q="+url.QueryEscape(q)))
		if told := strings.Contains(text, "is looked for as"); told != (says != "") || !strings.Contains(text, says) {
			t.Errorf("%s: says it %v, want %q", q, told, says)
		}
	}
}

func TestRangeThatEndsBeforeItBegins(t *testing.T) {
	s := newSite(t)
	s.shop()
	page := s.page("viewer", "/audit-logs?q=before:2026-01-01+after:2026-05-01")
	text := plainText(t, page)
	if !strings.Contains(text, "The range ends before it begins: after:2026-05-01 is not earlier than before:2026-01-01") {
		t.Error("the page does not say why it is empty")
	}
	if strings.Contains(text, "31 Dec 2025") || !strings.Contains(text, "no time at all") {
		t.Error("the way to a range without time names a time")
	}
	if text := plainText(t, s.page("viewer", "/audit-logs?q=on:2025+on:2026")); strings.Contains(text, "ends before") || !strings.Contains(text, "no time at all") {
		t.Error("two days that exclude each other are taken for one range")
	}
}
