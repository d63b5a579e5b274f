package handlers

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/auditadmin/auditadmin/audit"
)

// TestFoundInWhatIsNotShown searches for texts in fields that the list has no column
// for: the row says which field it is, with the text around what was found. Where the
// row shows it already nothing is added.
func TestFoundInWhatIsNotShown(t *testing.T) {
	s := newSite(t)
	s.shop()
	s.add(audit.KindAuditLog, map[string]string{"timestamp": at(5 * time.Hour), "username": "mona", "user_id": "u-7781", "action": "UPDATE", "content_type": "shop.coupon", "object_id": "9931",
		"object_repr": "Spring coupon", "reason": `asked for by <b onclick="x()">legal</b> & others`, "user_agent": "curl/8.5.0 (wholesale importer)",
		"changes": `{"percent":{"old":5,"new":15},"rules":{"old":null,"new":{"only":["caf\u00e9 crème","***","plain"]}},"token":{"old":"***:0011aabbccdd","new":"***"}}`})
	s.add(audit.KindSystemEvent, map[string]string{"timestamp": at(5 * time.Hour), "event_type": "ERROR", "title": "import failed",
		"stack_trace": strings.Repeat("at some.line(of the.trace)\n", 7000) + "caused by: a needle in <hay>\n"})
	shown := regexp.MustCompile(`(?s)<p class="found">(.*?)</p>`)
	for _, test := range []struct{ path, want string }{
		{"/audit-logs?q=wholesale", "user agent curl/8.5.0 ([wholesale] importer)"},
		{"/audit-logs?q=agent:wholesale", "user agent curl/8.5.0 ([wholesale] importer)"},
		{"/audit-logs?q=legal", `reason asked for by <b onclick="x()">[legal]</b> & others`},
		{"/audit-logs?q=9931", "object id [9931]"},
		{"/audit-logs?q=7781", "user id u-[7781]"},
		{"/audit-logs?q=" + url.QueryEscape("CAFÉ"), "new value of rules [café] crème"},
		{"/audit-logs?q=rules+legal", `reason asked for by <b onclick="x()">[legal]</b> & others`},
		{"/audit-logs?q=wholesale+legal", `user agent curl/8.5.0 ([wholesale] importer)|reason asked for by <b onclick="x()">[legal]</b> & others`},
		{"/audit-logs?q=spring", ""},        // the column of the object
		{"/audit-logs?q=coupon", ""},        // and its type
		{"/audit-logs?q=percent", ""},       // what happened
		{"/audit-logs?q=action:UPDATE", ""}, // no text was looked for
		{"/audit-logs?q=spring+-wholesale+user:mona", ""},
		{"/system-events?q=needle", "stack trace"},
	} {
		page := s.page("viewer", test.path)
		var got []string
		for _, found := range shown.FindAllStringSubmatch(page, -1) {
			if strings.Contains(found[1], "onclick") && !strings.Contains(found[1], "&lt;b onclick") {
				t.Errorf("%s: not escaped: %s", test.path, found[1])
			}
			text := strings.NewReplacer("<mark>", "[", "</mark>", "]").Replace(found[1])
			text = html.UnescapeString(regexp.MustCompile(`</?(b|bdi)>`).ReplaceAllString(text, ""))
			got = append(got, strings.Join(strings.Fields(text), " "))
		}
		if text := strings.Join(got, "|"); test.want == "stack trace" {
			if !strings.HasPrefix(text, "stack trace … ") || !strings.HasSuffix(text, "caused by: a [needle] in <hay>") {
				t.Errorf("%s: got %q", test.path, text)
			}
		} else if text != test.want {
			t.Errorf("%s: got %q, want %q", test.path, text, test.want)
		}
	}
	// A mask is never shown as a text.
	page := s.page("viewer", "/audit-logs?q="+url.QueryEscape("0011aabb"))
	if found := shown.FindStringSubmatch(page); found != nil && (!strings.Contains(found[1], `class="mask"`) || strings.Contains(found[1], "<mark>")) {
		t.Errorf("a mask is shown as %s", found[1])
	}
}
