package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// canary stands in every payload, so that a tree tells where a value went.
const canary = "xq7zv"

// payloads are sixty texts that become markup, script or a way out of their
// place where a page forgets to escape them. Each holds the canary.
var payloads = []string{
	// a tag between texts
	`<script>xq7zv(1)</script>`, `<img src=x onerror=xq7zv(2)>`, `<svg/onload=xq7zv(3)>`, `<svg><script>xq7zv(4)</script></svg>`,
	`<iframe src=javascript:xq7zv(5)>`, `<iframe srcdoc="<script>xq7zv(6)</script>">`, `<object data=javascript:xq7zv(7)>`, `<embed src=javascript:xq7zv(8)>`,
	`<math><mi xlink:href="javascript:xq7zv(9)">x`, `<a href="javascript:xq7zv(10)">x</a>`, `<form action=javascript:xq7zv(11)><button>x`,
	`<input autofocus onfocus=xq7zv(12)>`, `<details open ontoggle=xq7zv(13)>`, `<video src=x onerror=xq7zv(14)>`, `<body onload=xq7zv(15)>`,
	`<link rel=stylesheet href=//xq7zv.example/16>`, `<meta http-equiv=refresh content="0;url=javascript:xq7zv(17)">`, `<base href=//xq7zv.example/18/>`,
	`<style>@import '//xq7zv.example/19'</style>`, `<xq7zv20 onclick=a>`, `<marquee onstart=xq7zv(21)>`, `<template><script>xq7zv(22)</script></template>`,
	`<ScRiPt>xq7zv(23)</sCrIpT>`, `<script/src=//xq7zv.example/24>`, "<img\tsrc=x\nonerror\r=\fxq7zv(25)>", `<img src=x:xq7zv onerror=a(26)//`, `<<script>xq7zv(27)//<</script>`,
	// out of an attribute
	`"><img src=x onerror=xq7zv(28)>`, `'><svg/onload=xq7zv(29)>`, `" onmouseover="xq7zv(30)`, `' onmouseover='xq7zv(31)`, `x onmouseover=xq7zv(32) y`,
	`" autofocus onfocus=xq7zv(33) x="`, `" style="background:url(//xq7zv.example/34)`, "`><img src=x onerror=xq7zv(35)>", `"><base href="//xq7zv.example/36`,
	`" formaction="javascript:xq7zv(37)`, `" srcdoc="<script>xq7zv(38)</script>`, `\"><script>xq7zv(39)</script>`, `&quot;><script>xq7zv(40)</script>`,
	// out of an element whose text is not markup
	`</script><script>xq7zv(41)</script>`, `</title><script>xq7zv(42)</script>`, `</textarea><script>xq7zv(43)</script>`, `</style><script>xq7zv(44)</script>`,
	`</pre></code><iframe src=javascript:xq7zv(45)>`, `</select></option><svg/onload=xq7zv(46)>`, `</noscript><script>xq7zv(47)</script>`, `</svg><script>xq7zv(48)</script>`,
	`--><script>xq7zv(49)</script><!--`, `]]><script>xq7zv(50)</script>`, `<!--xq7zv51`, `<![CDATA[xq7zv52`, `<?xq7zv53`,
	// an address
	`javascript:xq7zv(54)`, "java\tscript:xq7zv(55)", ` javascript://xq7zv.example/%0aa(56)`, `data:text/html,<script>xq7zv(57)</script>`, `//xq7zv.example/58`, `\\xq7zv.example\59`,
	// a template of another kind, and what reorders or hides text
	"{{constructor.constructor('xq7zv(60)')()}}${xq7zv}<%=xq7zv%>#{xq7zv}\u202e\x1b[31m\x07",
}

// hostileSite is a site whose every field of every kind, and everything else
// that a stranger may fill, holds the text; and every address that shows it.
func hostileSite(t *testing.T, texts ...string) (*site, []string) {
	s := newSite(t)
	paths := []string{"/", "/accounts", "/account/password"}
	for n, kind := range audit.Kinds() {
		var all []*audit.Event
		var times []string
		for i, text := range texts {
			stamp := at(time.Duration(i*10+1) * time.Minute)
			times = append(times, stamp)
			all = append(all, hostileEvent(t, s, kind, text, stamp))
		}
		if _, err := s.store.Append(context.Background(), all); err != nil {
			t.Fatal(err)
		}
		if err := s.store.Index(context.Background()); err != nil {
			t.Fatal(err)
		}
		path := "/" + kind.Path()
		paths = append(paths, path, path+"?select=rows", path+"?select=rows&limit=7", path+"?more=user", path+"?q=nothing+like+it", "/query-help?kind="+string(kind))
		for i, text := range texts {
			id := s.find(kind, times[i])
			if kind == audit.KindSystemEvent && i%2 == 0 {
				if w := s.post("superuser", path+"/"+id+"/resolve", url.Values{"note": {text}}); w.Code != http.StatusSeeOther {
					t.Fatalf("resolve with note %q: got %d, want 303", text, w.Code)
				}
			}
			q := url.QueryEscape(text)
			paths = append(paths, path+"/"+id, path+"?q="+q, path+"?q="+url.QueryEscape(`"`+strings.ReplaceAll(text, `"`, "")+`"`), path+"?q="+url.QueryEscape("user:nobody \"zzz"+text))
			if i%4 == n || long {
				paths = append(paths, path+"?tz="+q, path+"?after="+q, path+"?limit="+q, path+"?on="+q, path+"?select="+q)
			}
		}
	}
	for i, text := range texts {
		q, name := url.QueryEscape(text), strconv.Itoa(i)+strings.Map(visibleOnly, text)
		paths = append(paths, "/?user="+q, "/?days="+q, "/users?name="+q, "/objects?type="+q+"&id="+q, "/nowhere/"+url.PathEscape(text), "/login?next="+q, "/query-help?kind="+q)
		_, hash := authz.NewToken()
		if _, err := s.store.CreateToken(t.Context(), db.CommandLine("tester"), name, authz.ScopeRead, hash, time.Time{}); err != nil {
			t.Fatalf("create a token named %q: %v", name, err)
		}
		if w := s.post("superuser", "/accounts", url.Values{"name": {name}, "role": {"viewer"}, "password": {password}}); w.Code != http.StatusSeeOther {
			t.Fatalf("create an account named %q: got %d, want 303", name, w.Code)
		}
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(url.Values{"username": {name}, "password": {password}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("User-Agent", text)
		r.RemoteAddr = "198.51.100." + strconv.Itoa(i) + ":1"
		w := s.do("", r)
		if w.Code != http.StatusSeeOther {
			t.Fatalf("sign in as %q: got %d, want 303", name, w.Code)
		}
		for _, c := range w.Result().Cookies() {
			if c.Name == "auditadmin" {
				s.cookie[text] = c
			}
		}
	}
	return s, paths
}

// everyPage asks for every page of a hostile site, and for the forms that come
// back because something in them is wrong.
func everyPage(s *site, paths, texts []string, look func(where, page string)) {
	for _, path := range paths {
		look(path, s.get("superuser", path).Body.String())
	}
	for i, text := range texts {
		id := s.find(audit.KindAuditLog, at(time.Duration(i*10+1)*time.Minute))
		event := "/system-events/" + s.find(audit.KindSystemEvent, at(time.Duration(i*10+1)*time.Minute))
		for path, form := range map[string]url.Values{
			"/audit-logs/" + id + "/delete": {"reason": {""}, "next": {text}}, "/audit-logs/delete": {"id": {text}, "reason": {""}, "next": {text}},
			"/accounts": {"name": {text}, "role": {text}, "password": {text}}, "/tokens": {"name": {text}, "scope": {text}, "expires": {text}},
			event + "/resolve": {"note": {""}, "next": {text}}, event + "/reopen": {"note": {""}}, "/system-events/resolve": {"q": {text}, "upto": {text}, "confirm": {text}},
			"/account/password": {"current": {text}, "password": {text}, "again": {text}},
		} {
			look("POST "+path, s.post("superuser", path, form).Body.String())
		}
		// What is too long comes back in the form, with all that was typed.
		much := text + strings.Repeat(" and more", noteLimit/8)
		look("resolve, too long", s.post("superuser", event+"/resolve", url.Values{"note": {much}, "next": {"/system-events?q=" + text}}).Body.String())
		look("delete, too long", s.post("superuser", "/audit-logs/"+id+"/delete", url.Values{"reason": {much}}).Body.String())
		look("delete some, too long", s.post("superuser", "/audit-logs/delete", url.Values{"id": {id}, "reason": {much}, "next": {"/audit-logs?q=" + text}}).Body.String())
		for _, path := range []string{"/account", "/"} { // as somebody of that name, with that browser
			look(path+" of its owner", s.get(text, path).Body.String())
		}
		look("/login", s.get("", "/login?next="+url.QueryEscape(text)).Body.String())
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(url.Values{"username": {text}, "password": {text}, "next": {text}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		look("POST /login", s.do("", r).Body.String())
		if i%6 == 0 {
			s.post("superuser", "/audit-logs/"+id+"/delete", url.Values{"reason": {text}})
			look("grave", s.get("superuser", "/audit-logs/"+id).Body.String())
		}
	}
	look("/audit-logs", s.get("superuser", "/audit-logs").Body.String())
	// What asks again who it is holds the form that it stands in the way of.
	s.pass(10 * time.Minute)
	for _, text := range texts {
		w := s.post("superuser", "/tokens?x="+url.QueryEscape(text), url.Values{"name": {text}, "scope": {text}, text: {text}, "password": {text}})
		look("POST /tokens, asked again", w.Body.String())
		look("POST /audit-logs/delete, asked again", s.post("superuser", "/audit-logs/delete", url.Values{"id": {text, text}, "reason": {text}, "next": {text}}).Body.String())
	}
	s.pass(-10 * time.Minute)
}

// visibleOnly drops what no name may have.
func visibleOnly(r rune) rune {
	if r < ' ' || r == '\u202e' {
		return -1
	}
	return r
}

// hostileEvent is an event that holds the text wherever a kind takes any text.
func hostileEvent(t *testing.T, s *site, kind audit.Kind, text, stamp string) *audit.Event {
	t.Helper()
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	quoted := string(encoded)
	e := audit.NewEvent(kind)
	e.EventID, e.Source = text, text
	for _, f := range kind.Fields() {
		switch {
		case f.Name == "timestamp":
			e.Set(f.Name, stamp)
		case strings.HasPrefix(f.Name, "resol"): // it comes in open
		case f.Name == "action":
			e.Set(f.Name, "UPDATE")
		case f.Name == "changes":
			e.Set(f.Name, fmt.Sprintf(`{%s:{"old":%s,"new":%s},"nested":{"old":{%s:[%s,1]},"new":{%s:[%s,2]}},"long":{"old":%s,"new":null}}`,
				quoted, quoted, `"`+strings.Repeat("x", 50)+quoted[1:], quoted, quoted, quoted, quoted, `"`+strings.Repeat("y ", 900)+quoted[1:]))
		case f.Type == audit.Choice:
			e.Set(f.Name, f.Choices[0])
		case f.Type == audit.JSON:
			e.Set(f.Name, fmt.Sprintf(`{%s:%s,"completed":false}`, quoted, quoted))
		case f.Type == audit.Integer:
			e.Set(f.Name, "7")
		default:
			e.Set(f.Name, text)
		}
	}
	if err := e.Normalize(s.now()); err != nil {
		t.Fatalf("%s with %q: %v", kind, text, err)
	}
	return e
}

// TestT1_XSSMatrix puts sixty payloads into every field of every kind, and into
// whatever else a stranger fills, asks for every page, and looks at the tree that
// a browser would build: a value is text or the value of an attribute, and no
// page has an element or an attribute that it has not with ordinary text.
//
// ASVS:V1.1.2 ASVS:V1.2.1 ASVS:V1.2.2 ASVS:V1.3.3 ASVS:V1.3.5 ASVS:V1.3.7 ASVS:V1.3.10 ASVS:V3.2.2
func TestT1_XSSMatrix(t *testing.T) {
	if len(payloads) != 60 {
		t.Fatalf("got %d payloads, want 60", len(payloads))
	}
	// Ordinary texts that make every part of a page appear.
	ordinary := []string{canary, canary + " \u202e", canary + "\x1b", "/" + canary, canary + "-1", "https://" + canary + ".example/", strings.Repeat(canary+" ", 10)}
	known := map[string]bool{}
	s, paths := hostileSite(t, ordinary...)
	everyPage(s, paths, ordinary, func(where, page string) {
		tree, problems := inspected(t, page)
		for part := range partsOf(tree) {
			known[part] = true
		}
		for _, p := range problems {
			t.Errorf("%s, ordinary text: %s", where, p)
		}
	})
	s, paths = hostileSite(t, payloads...)
	seen, pages := 0, 0
	everyPage(s, paths, payloads, func(where, page string) {
		tree, problems := inspected(t, page)
		for part := range partsOf(tree) {
			if !known[part] {
				problems = append(problems, "an element or attribute that ordinary text does not make: "+part)
			}
		}
		for _, p := range problems {
			t.Errorf("%s: %s", where, p)
		}
		pages++
		seen += strings.Count(page, canary)
	})
	t.Logf("%d payloads, %d pages, seen %d times", len(payloads), pages, seen)
	if seen < 10*pages {
		t.Errorf("the payloads were seen %d times on %d pages: they did not arrive", seen, pages)
	}
}

// TestT1_TheMatrixSees takes pages with an ordinary text and puts payloads in its
// place as they are, which is what a template without escaping would do: each
// payload and each place has to be noticed, or the matrix would prove nothing.
func TestT1_TheMatrixSees(t *testing.T) {
	s, paths := hostileSite(t, canary)
	known := map[string]bool{}
	var pages []string
	for _, path := range paths {
		page := s.get("superuser", path).Body.String()
		tree, _ := inspected(t, page)
		for part := range partsOf(tree) {
			known[part] = true
		}
		pages = append(pages, page)
	}
	noticed := map[int]bool{}
	places, sample := 0, 41 // of some thousands
	if long {
		sample = 1
	}
	for i, page := range pages {
		for at := 0; ; {
			next := strings.Index(page[at:], canary)
			if next < 0 {
				break
			}
			at += next
			if places++; places%sample != 0 {
				at += len(canary)
				continue
			}
			found := 0
			for n, payload := range payloads {
				tree, problems := inspected(t, page[:at]+payload+page[at+len(canary):])
				bad := len(problems) > 0
				for part := range partsOf(tree) {
					bad = bad || !known[part]
				}
				if bad {
					found++
					noticed[n] = true
				}
			}
			if found == 0 {
				t.Errorf("%s: nothing is noticed at %q", paths[i], page[max(0, at-60):at])
			}
			at += len(canary)
		}
	}
	if places < 500 {
		t.Errorf("got %d places, want at least 500", places)
	}
	for n, payload := range payloads {
		// The others need a place that the pages have not: an attribute in single
		// quotes or in none, a whole address, a template made from values.
		if !noticed[n] && strings.ContainsAny(payload, `<"`) {
			t.Errorf("payload %d %q is noticed nowhere", n+1, payload)
		}
	}
	t.Logf("%d payloads of %d noticed, %d places on %d pages", len(noticed), len(payloads), places, len(pages))
}

// inspected parses a page and says where a value is anything but text or the
// value of a harmless attribute.
func inspected(t *testing.T, page string) (tree *html.Node, problems []string) {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for n := range tree.Descendants() {
		switch n.Type {
		case html.TextNode:
			// The query itself, and what is in a form, is what the reader typed, as it was.
			if strings.ContainsAny(n.Data, "\x1b\x07\u202e") && n.Parent.Data != "code" && n.Parent.Data != "textarea" {
				say("a control character stands raw in %q", n.Data)
			}
			if strings.Contains(n.Data, canary) && (n.Parent.Data == "script" || n.Parent.Data == "style") {
				say("a value within %s: %q", n.Parent.Data, n.Data)
			}
		case html.CommentNode:
			say("a comment %q", n.Data)
		case html.ElementNode:
			switch n.Data {
			case "img", "iframe", "object", "embed", "base", "style", "math", "video", "template":
				say("an element %s", n.Data)
			}
			if strings.Contains(n.Data, canary) {
				say("an element %s", n.Data)
			}
			if n.Data == "script" && n.FirstChild != nil {
				say("a script with text of its own")
			}
			for _, a := range n.Attr {
				value := strings.ToLower(strings.TrimSpace(a.Val))
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc", a.Key == "http-equiv", strings.Contains(a.Key, canary):
					say("an attribute %s=%q", a.Key, a.Val)
				case (a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction") &&
					(!strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#") && !strings.HasPrefix(value, "?") || strings.HasPrefix(value, "//") || strings.HasPrefix(value, `/\`)):
					say("%s %s=%q leads away", n.Data, a.Key, a.Val)
				case n.Data == "script" && a.Key == "src" && !strings.HasPrefix(value, "/static/"):
					say("a script from %q", a.Val)
				}
			}
		}
	}
	return tree, problems
}

// partsOf is every element with each of its attributes.
func partsOf(tree *html.Node) map[string]bool {
	all := map[string]bool{}
	for n := range tree.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		all[n.Data] = true
		for _, a := range n.Attr {
			all[n.Data+" "+strconv.Quote(a.Key)] = true
		}
	}
	return all
}
