package handlers

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/auditadmin/auditadmin/audit"
)

// payloads are texts that become markup where a page forgets to escape them.
var payloads = []string{
	`"><img src=x onerror=alert(1)>`,
	`</script><script>alert(2)</script>`,
	`'><svg/onload=alert(3)>`,
	`javascript:alert(4)`,
	`</title></textarea></pre><iframe src=javascript:alert(5)>`,
	"{{7*7}}<!--",
	"\u202eevil\u202c\x1b[31m\x07",
}

// TestHostileValues puts markup into every field of every kind, asks for every
// page that shows it, and looks at the tree a browser would build: nothing in it
// may come from a value.
func TestHostileValues(t *testing.T) {
	s := newSite(t)
	for i, payload := range payloads {
		quoted := strconv.Quote(payload)
		if strings.ContainsAny(payload, "\x1b\x07\u202e") {
			quoted = `"\u202eevil\u001b[31m"`
		}
		paths := []string{"/", "/?user=" + url.QueryEscape(payload), "/users?name=" + url.QueryEscape(payload),
			"/objects?type=" + url.QueryEscape(payload) + "&id=" + url.QueryEscape(payload), "/nowhere/" + url.PathEscape(payload)}
		for n, kind := range audit.Kinds() {
			fields := map[string]string{}
			for _, f := range kind.Fields() {
				switch {
				case f.Name == "timestamp":
					fields[f.Name] = audit.FormatTime(noon.Add(-time.Duration(i*10+n) * time.Minute))
				case f.Name == "action":
					fields[f.Name] = "UPDATE"
				case f.Name == "changes":
					fields[f.Name] = fmt.Sprintf(`{%s:{"old":%s,"new":%s},"nested":{"old":{%s:[%s,1]},"new":{%s:[%s,2]}},"long":{"old":%s,"new":null}}`,
						quoted, quoted, `"`+strings.Repeat("x", 50)+quoted[1:], quoted, quoted, quoted, quoted, `"`+strings.Repeat("y ", 900)+quoted[1:])
				case f.Type == audit.Choice:
					fields[f.Name] = f.Choices[0]
				case f.Type == audit.Text:
					fields[f.Name] = payload
				case f.Type == audit.JSON:
					fields[f.Name] = fmt.Sprintf(`{%s:%s,"completed":false}`, quoted, quoted)
				case f.Type == audit.Integer:
					fields[f.Name] = "7"
				}
			}
			delete(fields, "resolved_by") // it comes in open, and is resolved below
			delete(fields, "resolution_note")
			id := s.add(kind, fields)[0]
			path := "/" + kind.Path()
			paths = append(paths, path, path+"/"+id, path+"?select=rows", path+"?q="+url.QueryEscape(`"`+strings.ReplaceAll(payload, `"`, "")+`"`),
				path+"?q="+url.QueryEscape(payload), path+"?q="+url.QueryEscape("user:nobody \"zzz"+payload), path+"?tz="+url.QueryEscape(payload), path+"?after="+url.QueryEscape(payload))
			if kind == audit.KindSystemEvent {
				w := s.post("superuser", path+"/"+id+"/resolve", url.Values{"note": {payload}})
				if w.Code != 303 {
					t.Fatalf("resolve with note %q: got %d, want 303", payload, w.Code)
				}
				empty := s.post("superuser", path+"/"+id+"/reopen", url.Values{"note": {"  "}})
				inspect(t, "POST reopen", empty.Body.String())
				paths = append(paths, path+"?select=all&q=is:resolved")
			}
		}
		for _, path := range paths {
			inspect(t, path, s.get("superuser", path).Body.String())
		}
	}
	// The place of a deleted event shows who and why.
	id := s.add(audit.KindAuditLog, map[string]string{"timestamp": at(time.Hour), "action": "CREATE"})[0]
	s.post("superuser", "/audit-logs/"+id+"/delete", url.Values{"reason": {payloads[0]}})
	inspect(t, "grave", s.get("superuser", "/audit-logs/"+id).Body.String())
}

// inspect fails for elements, attributes and addresses that no template makes.
func inspect(t *testing.T, where, page string) {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for n := range tree.Descendants() {
		// The query itself is what the reader typed, and prints as it was.
		if n.Type == html.TextNode && strings.ContainsAny(n.Data, "\x1b\x07\u202e") && n.Parent.Data != "code" {
			t.Errorf("%s: a control character stands raw in %q", where, n.Data)
		}
		if n.Type == html.CommentNode {
			t.Errorf("%s: a comment %q", where, n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "img", "iframe", "object", "embed", "base", "style":
			t.Errorf("%s: an element %s", where, n.Data)
		}
		for _, a := range n.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style":
				t.Errorf("%s: an attribute %s=%q", where, a.Key, a.Val)
			case (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#"):
				t.Errorf("%s: %s %s=%q leads away", where, n.Data, a.Key, a.Val)
			case n.Data == "script" && a.Key == "src" && !strings.HasPrefix(value, "/static/"):
				t.Errorf("%s: a script from %q", where, a.Val)
			}
		}
		if n.Data == "script" && n.FirstChild != nil {
			t.Errorf("%s: a script with text of its own", where)
		}
	}
}
