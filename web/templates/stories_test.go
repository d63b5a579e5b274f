package templates_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/web/static"
	"github.com/auditadmin/auditadmin/web/templates"
)

// To look at the pages without a server:
//
//	go test -tags sqlite_fts5 ./web/templates -run TestStories -stories /tmp/stories
var storiesDir = flag.String("stories", "", "write every page with canned data into this folder")

// story is one page with canned data.
type story struct {
	name string
	page templ.Component
}

func stories() []story {
	var all []story
	all = append(all, listStories()...)
	all = append(all, eventStories()...)
	all = append(all, historyStories()...)
	all = append(all, overviewStories()...)
	all = append(all, accessStories()...)
	return append(all, failureStories()...)
}

func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(context.Background(), &b); err != nil {
		t.Fatalf("render: %v", err)
	}
	return b.String()
}

// TestStories holds what is true of every page, whatever it shows.
func TestStories(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			html := render(t, s.page)
			if got := strings.Count(html, "<h1"); got != 1 {
				t.Errorf("got %d first headings, want 1", got)
			}
			for _, forbidden := range []string{` style="`, "<style", " onclick", "javascript:", "TemplFailedSanitization", "<script>", "\u202e", "\x1b"} {
				if i := strings.Index(html, forbidden); i >= 0 {
					t.Errorf("got %q in …%s…, want none", forbidden, around(html, i))
				}
			}
			seen := map[string]bool{}
			for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(html, -1) {
				if seen[m[1]] {
					t.Errorf("got two elements with the id %q, want one", m[1])
				}
				seen[m[1]] = true
			}
			for _, m := range regexp.MustCompile(` (?:for|aria-describedby|aria-labelledby|list|form)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
				if !seen[m[1]] {
					t.Errorf("got a reference to the id %q, want an element that has it", m[1])
				}
			}
		})
	}
	if *storiesDir != "" {
		writeStories(t, *storiesDir)
	}
}

func around(s string, i int) string { return s[max(0, i-60):min(len(s), i+60)] }

func writeStories(t *testing.T, dir string) {
	files, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"style.css", "app.js", "favicon.svg"} {
		write(t, filepath.Join(dir, name), string(files.Content(name)))
	}
	var index strings.Builder
	for _, s := range stories() {
		write(t, filepath.Join(dir, s.name+".html"), render(t, s.page))
		index.WriteString(`<li><a href="` + s.name + `.html">` + s.name + "</a>\n")
	}
	write(t, filepath.Join(dir, "index.html"), "<!doctype html><title>Pages</title><ul>\n"+index.String()+"</ul>\n")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// layout is the frame of the stories: ines.roth reads in Paris.
func layout(title string, current int) templates.Layout {
	l := templates.Layout{
		Title:  title,
		Assets: templates.Assets{Style: "style.css", Script: "app.js", Favicon: "favicon.svg"},
		Nav: []templates.NavItem{
			{Label: "Overview", Href: "dashboard.html"},
			{Label: "Audit logs", Href: "list-audit.html"},
			{Label: "Login attempts", Href: "list-login.html"},
			{Label: "Data exports", Href: "list-export.html"},
			{Label: "System events", Href: "list-system.html", Open: &templates.Link{Text: "7 open", Href: "list-system.html"}},
		},
		Search: &templates.Search{
			Action: "/audit-logs", Kind: "audit_log", Label: "Search audit logs",
			Placeholder: `Search audit logs: user:alice action:DELETE last:7d "gift card"`,
			SuggestURL:  "/suggest.json", HelpHref: "help.html",
		},
		Zone: templates.ZoneMenu{
			Name: "Europe/Paris", Short: "Paris", Action: "/audit-logs",
			Choices: []templates.Zone{
				{Name: "Europe/Paris", Now: "14:35, UTC+02:00", Href: "?tz=Europe%2FParis", Current: true},
				{Name: "UTC", Now: "12:35", Href: "?tz=UTC"},
				{Name: "America/New_York", Now: "08:35, UTC−04:00", Href: "?tz=America%2FNew_York"},
			},
		},
		Account: &templates.AccountMenu{
			Name: "ines.roth", Role: "superuser", OwnHref: "user.html", SelfHref: "account.html",
			AccountsHref: "accounts.html", LogoutAction: "/logout",
			Themes: []templates.Link{{Text: "system", Href: "?theme=system", Current: true}, {Text: "light", Href: "?theme=light"}, {Text: "dark", Href: "?theme=dark"}},
		},
		HelpHref: "help.html",
		Version:  "auditadmin 0.1.0, SQLite 3.51.1",
		Printed:  "Zone: Europe/Paris. Printed by ines.roth on 31 March 2026, 14:35:10 (UTC+02:00).",
		Made:     "38 ms",
	}
	if current >= 0 {
		l.Nav[current].Current = true
	}
	return l
}

// at is a time of day on 31 March 2026 in Paris.
func at(clock string) templates.Time {
	return templates.Time{Text: clock, ISO: "2026-03-31T12:32:07.412908Z", UTC: "2026-03-31 12:32:07.412908 UTC"}
}

func says(s string) []templates.Span { return []templates.Span{{Text: s}} }

func val(s string) *templates.Value { return &templates.Value{Spans: says(s)} }

func mono(s string) *templates.Value { return &templates.Value{Spans: says(s), Mono: true} }

func strong(s string) templates.Span { return templates.Span{Text: s, Class: templates.Strong} }
func quiet(s string) templates.Span  { return templates.Span{Text: s, Class: templates.Quiet} }
func found(s string) templates.Span  { return templates.Span{Text: s, Class: templates.Mark} }
func word(s string) templates.Span   { return templates.Span{Text: s} }

var arrow = templates.Span{Class: templates.Arrow}

// The badges that stories use.
var (
	update  = &templates.Badge{Text: "UPDATE", Icon: templates.IconUpdate}
	create  = &templates.Badge{Text: "CREATE", Tone: templates.Now, Icon: templates.IconCreate}
	remove  = &templates.Badge{Text: "DELETE", Tone: templates.Was, Icon: templates.IconDelete}
	view    = &templates.Badge{Text: "VIEW", Icon: templates.IconView}
	failed  = &templates.Badge{Text: "FAILED", Tone: templates.Alarm, Icon: templates.IconBad}
	success = &templates.Badge{Text: "SUCCESS", Tone: templates.Sure, Icon: templates.IconTick}
	blocked = &templates.Badge{Text: "BLOCKED", Tone: templates.Alarm, Icon: templates.IconBlocked}
	problem = &templates.Badge{Text: "ERROR", Tone: templates.Alarm, Icon: templates.IconBad}
	warning = &templates.Badge{Text: "WARNING", Tone: templates.Alarm, Icon: templates.IconWarning}
	info    = &templates.Badge{Text: "INFO", Icon: templates.IconInfo}
	slow    = &templates.Badge{Text: "PERFORMANCE", Icon: templates.IconSlow}
	open    = &templates.Badge{Text: "OPEN", Tone: templates.Alarm, Icon: templates.IconBad}
	done    = &templates.Badge{Text: "RESOLVED", Tone: templates.Sure, Icon: templates.IconTick}
)
