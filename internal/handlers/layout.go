package handlers

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// navigation is the way to the five parts of the product.
func (v *visit) navigation() []templates.NavItem {
	kind, inKind := kindOf(v.URL.Path)
	items := []templates.NavItem{{Label: "Overview", Href: "/", Current: v.URL.Path == "/"}}
	for _, look := range views {
		item := templates.NavItem{Label: look.title(), Href: "/" + look.kind.Path(), Current: inKind && kind == look.kind}
		if look.kind == audit.KindSystemEvent {
			// A page that can be made at all is not kept back by this number.
			if n, _, err := v.server.count(v, look.kind, "is:unresolved"); err == nil && n > 0 {
				item.Open = &templates.Link{Text: number(n) + " open", Href: v.listQuery(look.kind, "is:unresolved"), Hint: "Not resolved, whenever it happened"}
			}
		}
		items = append(items, item)
	}
	return items
}

// zoneMenu is the choice of the zone in which this page speaks.
func (v *visit) zoneMenu() templates.ZoneMenu {
	m := templates.ZoneMenu{Name: v.zone.String(), Short: shortZone(v.zone.String()), Action: v.URL.Path, Keep: v.keep("tz")}
	if v.Method != http.MethodGet && v.Method != http.MethodHead {
		// The page of a form that was refused has no address of its own.
		m.Action, m.Keep = "/", nil
	}
	listed := false
	for _, name := range zones {
		listed = listed || name == m.Name
	}
	names := zones
	if !listed {
		names = append([]string{m.Name}, zones...)
	}
	for _, name := range names {
		zone, err := zoneNamed(name)
		if err != nil {
			continue
		}
		now := v.now.In(zone)
		m.Choices = append(m.Choices, templates.Zone{
			Name:    name,
			Now:     now.Format("15:04") + ", " + offset(now),
			Href:    v.pageHref("tz", name),
			Current: name == m.Name,
		})
	}
	return m
}

// shortZone is a zone in the room of a menu: "Paris".
func shortZone(name string) string {
	return strings.ReplaceAll(name[strings.LastIndexByte(name, '/')+1:], "_", " ")
}

// pageHref is the address of this page with a choice set anew, and of the
// overview where this page is the answer to a form.
func (v *visit) pageHref(name, value string) string {
	if v.Method != http.MethodGet && v.Method != http.MethodHead {
		return address("/", name, value)
	}
	return v.same(name, value)
}

func (v *visit) accountMenu() *templates.AccountMenu {
	m := &templates.AccountMenu{
		Name:         v.who.Name(),
		Role:         string(v.who.Role()),
		OwnHref:      userPath(v, v.who.Name()),
		SelfHref:     "/account",
		LogoutAction: "/logout",
	}
	if v.may(http.MethodGet, "/accounts") {
		m.AccountsHref = "/accounts"
	}
	if v.may(http.MethodGet, "/holds") {
		m.HoldsHref = "/holds"
	}
	if v.may(http.MethodGet, "/health") {
		m.HealthHref = "/health"
	}
	for _, theme := range []struct{ value, label string }{{"system", "As the system"}, {"light", "Light"}, {"dark", "Dark"}} {
		m.Themes = append(m.Themes, templates.Link{
			Text: theme.label, Href: v.pageHref("theme", theme.value),
			Current: theme.value == v.theme || theme.value == "system" && v.theme == "",
		})
	}
	return m
}

// searchBox is the search box of a kind's pages.
func (v *visit) searchBox(kind audit.Kind, q string, invalid bool) *templates.Search {
	look := viewOf(kind)
	return &templates.Search{
		Action:      "/" + kind.Path(),
		Kind:        string(kind),
		Label:       "Search " + kind.Plural(),
		Placeholder: "Search " + kind.Plural() + ": " + look.example,
		Query:       q,
		Invalid:     invalid,
		SuggestURL:  "/suggest.json",
		HelpHref:    address("/query-help", "kind", string(kind)),
		Keep:        v.keepChoices(),
	}
}

// keepChoices are the choices that a new search keeps: not where one was in the
// old one.
func (v *visit) keepChoices() []templates.Hidden {
	var hidden []templates.Hidden
	for _, name := range []string{"tz", "limit"} {
		if value := v.params.Get(name); value != "" {
			hidden = append(hidden, templates.Hidden{Name: name, Value: value})
		}
	}
	return hidden
}

// errorPage says why a request was refused.
func (v *visit) errorPage(err error, seen failure) templates.ErrorPage {
	page := templates.ErrorPage{Status: seen.status, Headline: seen.title}
	kind, inKind := kindOf(v.URL.Path)
	var syntax *query.SyntaxError
	var deleted *db.DeletedError
	switch {
	case errors.As(err, &syntax):
		page.Query = v.badQuery(kind, syntax)
	case errors.As(err, &deleted):
		page.Grave = v.grave(deleted.Tombstone)
		if purged(deleted.Tombstone) {
			page.Headline = "This event was purged"
		}
	default:
		page.Text = []templates.Span{plain(fullStop(sentenceCase(seen.say)))}
	}
	if seen.status >= 500 {
		page.RequestID = v.requestID()
	}
	if seen.status == http.StatusServiceUnavailable && !errors.Is(err, db.ErrReplica) {
		page.Retry = "Try again in a few seconds."
	}
	if v.who.SignedIn() {
		if deleted != nil {
			page.Links = append(page.Links, v.graveLinks(deleted.Tombstone)...)
		}
		var late *overtaken
		if errors.As(err, &late) {
			page.Links = append(page.Links, late.link)
			page.Typed = v.typed()
		}
		if inKind {
			page.Links = append(page.Links, templates.Link{Text: "All " + kind.Plural(), Href: "/" + kind.Path()})
		}
		page.Links = append(page.Links, templates.Link{Text: "The overview", Href: "/"})
	}
	page.Layout = v.layout(seen.title)
	if inKind && v.who.SignedIn() {
		q := ""
		if syntax != nil {
			q = syntax.Query
		}
		page.Search = v.searchBox(kind, q, syntax != nil)
	}
	return page
}

// badQuery points at the mistake in a query, and corrects it where the nearest
// valid word is known.
func (v *visit) badQuery(kind audit.Kind, e *query.SyntaxError) *templates.BadQuery {
	from := min(max(e.Position, 0), len(e.Query))
	to := min(max(from+e.Length, from), len(e.Query))
	m := &templates.BadQuery{Before: e.Query[:from], Wrong: e.Query[from:to], After: e.Query[to:],
		Message: sentenceCase(e.Message), Place: "character " + number(int64(position(e)))}
	if e.Suggestion != "" {
		fixed := m.Before + e.Suggestion + m.After
		m.Fix = &templates.Link{Text: fixed, Href: v.listQuery(kind, fixed)}
	}
	if !kind.Valid() {
		return m
	}
	for _, field := range query.Fields(kind) {
		if field.Key != "" {
			m.Words = append(m.Words, templates.Link{Text: field.Key + ":", Hint: field.Label,
				Href: address("/query-help", "kind", string(kind)) + "#" + field.Key})
		}
	}
	return m
}

// position is where a query goes wrong, in characters from 1: what a person
// counts, and what the message of the error says.
func position(e *query.SyntaxError) int {
	return utf8.RuneCountInString(e.Query[:min(max(e.Position, 0), len(e.Query))]) + 1
}
